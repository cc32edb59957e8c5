//! Quartiles, median and median absolute deviation of sorted values.
//!
//! Quantiles between two values are interpolated linearly at (n − 1)·p, the usual definition (R. J. Hyndman and Y. Fan,
//! *Sample Quantiles in Statistical Packages*, The American Statistician 50, 1996, type 7).

use crate::sorter::{Reader, let_others};
use flight_common::Fault;
use std::ops::Range;

const SIGN: u64 = 1 << 63;

/// A float's bits, turned so that they sort as the float does: negative ones backwards, and below the others.
pub fn to_key(value: f64) -> u64 {
    let bits = value.to_bits();
    if bits & SIGN == 0 { bits | SIGN } else { !bits }
}

/// The float of a key.
pub fn from_key(key: u64) -> f64 {
    f64::from_bits(if key & SIGN == 0 { !key } else { key & !SIGN })
}

/// The quantile at `quarters` / 4 of the values in a range of sorted records that is not empty.
pub fn quantile(values: &mut Reader, range: &Range<u64>, quarters: u64) -> Result<f64, Fault> {
    let steps = (range.end - range.start - 1) * quarters;
    let (place, part) = (range.start + steps / 4, (steps % 4) as f64 / 4.0);
    let lower = from_key(values.get(place)?.minor);
    if part == 0.0 {
        return Ok(lower);
    }
    let upper = from_key(values.get(place + 1)?.minor);
    Ok(if lower == upper { lower } else { between(lower, upper, part) })
}

/// By halves where the distance, as of large values of both signs, is beyond all floats.
fn between(lower: f64, upper: f64, part: f64) -> f64 {
    let distance = upper - lower;
    if !distance.is_infinite() {
        return lower + distance * part;
    }
    let [lower, upper] = [lower, upper].map(|value| value / 2.0);
    2.0 * (lower + (upper - lower) * part)
}

/// How far two values in order are apart, which for finite ones is at most the largest float.
fn apart(lower: f64, upper: f64) -> f64 {
    let distance = upper - lower;
    if lower.is_finite() && upper.is_finite() { distance.min(f64::MAX) } else { distance }
}

/// The median distance from `median` of the values in a range of sorted records that is not empty.
///
/// Distances grow from the median to both sides, so that two sorted sequences are merged up to the middle one.
pub async fn deviation(left: &mut Reader, right: &mut Reader, range: &Range<u64>, median: f64) -> Result<f64, Fault> {
    let count = range.end - range.start;
    let (mut above, mut turn) = (range.start + count / 2, 0);
    let mut below = above;
    let (mut before, mut last) = (0.0, 0.0);
    for _ in 0..=count / 2 {
        let down = match below > range.start {
            true => Some(apart(from_key(left.get(below - 1)?.minor), median)),
            false => None,
        };
        let up = match above < range.end {
            true => Some(apart(median, from_key(right.get(above)?.minor))),
            false => None,
        };
        before = last;
        last = match (down, up) {
            (Some(down), Some(up)) if down <= up => {
                below -= 1;
                down
            }
            (Some(down), None) => {
                below -= 1;
                down
            }
            (_, Some(up)) => {
                above += 1;
                up
            }
            (None, None) => last,
        };
        let_others(&mut turn).await;
    }
    Ok(if count % 2 == 1 { last } else { before + (last - before) / 2.0 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sorter::{Record, Sorter};
    use flight_common::SpillSpace;

    #[test]
    fn keys_sort_as_their_values_do() {
        let floats = [f64::NEG_INFINITY, -1e300, -1.0, -1e-310, -0.0, 0.0, 1e-310, 1.0, 1e300, f64::INFINITY];
        assert!(floats.windows(2).all(|pair| to_key(pair[0]) < to_key(pair[1])));
        assert!(floats.iter().all(|value| from_key(to_key(*value)).to_bits() == value.to_bits()));
    }

    async fn figures(values: &[f64]) -> [f64; 4] {
        let mut sorter = Sorter::new(&SpillSpace::default(), 0);
        let records = values.iter().map(|value| Record { major: 0, minor: to_key(*value), rest: 0 });
        records.for_each(|record| sorter.push(record).expect("there is memory"));
        let sorted = sorter.finish().await.expect("sorted");
        let (mut left, mut right, all) = (sorted.reader(), sorted.reader(), 0..sorted.len());
        let [first, median, third] = [1, 2, 3].map(|n| quantile(&mut left, &all, n).expect("readable"));
        let deviation = deviation(&mut left, &mut right, &all, median).await.expect("readable");
        [first, median, third, deviation]
    }

    #[tokio::test]
    async fn quartiles_and_deviations_are_those_of_the_books() {
        assert_eq!(figures(&[7.0]).await, [7.0, 7.0, 7.0, 0.0]);
        assert_eq!(figures(&[2.0, 1.0]).await, [1.25, 1.5, 1.75, 0.5]);
        // numpy.percentile([1, 2, 4, 8], [25, 50, 75]), and |x - 3| = 2, 1, 1, 5.
        assert_eq!(figures(&[8.0, 1.0, 4.0, 2.0]).await, [1.75, 3.0, 5.0, 1.5]);
        let [first, median, third, deviation] = figures(&[f64::MIN, f64::MAX]).await;
        assert_eq!((median, deviation), (0.0, f64::MAX));
        assert!([-first, third].iter().all(|quartile| (quartile * 2.0 / f64::MAX - 1.0).abs() < 1e-15));
        assert_eq!(figures(&[f64::INFINITY, f64::INFINITY]).await[0], f64::INFINITY);
        // The example of Wikipedia's article on the median absolute deviation.
        assert_eq!(figures(&[1.0, 1.0, 2.0, 2.0, 4.0, 6.0, 9.0]).await, [1.5, 2.0, 5.0, 1.0]);
    }
}
