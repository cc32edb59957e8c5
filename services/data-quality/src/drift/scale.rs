//! Bins of numbers: ranges that hold about as many of the file's values each.
//!
//! There are two divisions. The coarse one has as many bins as the user asked for, and the index is worked out over it. The
//! fine one, by thousandths, is what values are counted into, and it tells the largest distance between the two
//! distribution functions. A value that fills a bin by itself gets one of its own: a column that is 0 in half of its rows
//! has a bin for 0.

/// Fine ranges, about.
const FINE: usize = 1000;

/// A place on the number line, just before or just behind a value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cut {
    /// The value.
    pub at: f64,
    /// Whether the value itself lies before the cut.
    pub behind: bool,
}

impl Cut {
    fn is_before(&self, value: f64) -> bool {
        if self.behind { self.at < value } else { self.at <= value }
    }
}

/// The ranges of a column.
#[derive(Clone, Debug, PartialEq)]
pub struct Scale {
    fine: Vec<Cut>,
    /// The places of the fine cuts that are coarse ones.
    coarse: Vec<usize>,
}

impl Scale {
    /// The ranges for these values, with about so many coarse ones.
    pub fn of(mut values: Vec<f64>, bins: usize) -> Self {
        values.sort_unstable_by(f64::total_cmp);
        let fine = cuts(&values, bins * FINE.div_ceil(bins));
        let coarse = cuts(&values, bins);
        let place = |cut: &Cut| fine.iter().position(|other| other == cut);
        let coarse = coarse.iter().filter_map(place).collect();
        Self { fine, coarse }
    }

    /// How many fine ranges there are.
    pub fn len(&self) -> usize {
        self.fine.len() + 1
    }

    /// The fine range in which a value lies.
    pub fn place(&self, value: f64) -> usize {
        self.fine.partition_point(|cut| cut.is_before(value))
    }

    /// The coarse ranges: where each begins and ends, and the fine ranges in it.
    pub fn coarse(&self) -> impl Iterator<Item = (Option<Cut>, Option<Cut>, std::ops::Range<usize>)> + '_ {
        (0..=self.coarse.len()).map(|bin| {
            let from = bin.checked_sub(1).map(|before| self.coarse[before]);
            let to = self.coarse.get(bin).copied();
            let range = from.map_or(0, |cut| cut + 1)..to.map_or(self.len(), |cut| cut + 1);
            (from.map(|cut| self.fine[cut]), to.map(|cut| self.fine[cut]), range)
        })
    }
}

/// Where sorted values are cut into so many parts: behind each quantile k/parts, which is the smallest value that as many do
/// not exceed (type 1 of R. J. Hyndman and Y. Fan, *Sample Quantiles in Statistical Packages*, The American Statistician 50,
/// 1996); and also before it where two quantiles are the same.
fn cuts(values: &[f64], parts: usize) -> Vec<Cut> {
    let mut cuts: Vec<Cut> = Vec::new();
    let quantiles = (1..parts).filter_map(|part| values.get((part * values.len()).div_ceil(parts).checked_sub(1)?));
    for &at in quantiles {
        let behind = Cut { at, behind: true };
        let own = Cut { at, behind: false };
        match cuts.as_slice() {
            [.., before, last] if *last == behind && *before == own => {}
            [.., last] if *last == behind => cuts.insert(cuts.len() - 1, own),
            _ => cuts.push(behind),
        }
    }
    cuts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn behind(at: f64) -> Cut {
        Cut { at, behind: true }
    }

    fn before(at: f64) -> Cut {
        Cut { at, behind: false }
    }

    #[test]
    fn values_are_cut_into_equal_parts() {
        let values: Vec<f64> = (1..=8).map(f64::from).collect();
        assert_eq!(cuts(&values, 4), [behind(2.0), behind(4.0), behind(6.0)]);
        assert_eq!(cuts(&values, 2), [behind(4.0)]);
        assert_eq!(cuts(&[5.0, 7.0, 9.0], 2), [behind(7.0)]);
    }

    #[test]
    fn a_value_that_fills_a_part_has_one_of_its_own() {
        let values = [0.0, 0.0, 0.0, 0.0, 0.0, 3.0, 8.0, 9.0];
        assert_eq!(cuts(&values, 4), [before(0.0), behind(0.0), behind(3.0)]);
        assert_eq!(cuts(&[7.0; 20], 4), [before(7.0), behind(7.0)]);
        assert_eq!(cuts(&[7.0], 10), [before(7.0), behind(7.0)]);
        assert_eq!(cuts(&[], 10), []);
    }

    #[test]
    fn each_value_lies_in_one_range() {
        let scale = Scale::of(vec![0.0, 0.0, 0.0, 0.0, 0.0, 3.0, 8.0, 9.0], 4);
        let places = |values: &[f64]| values.iter().map(|value| scale.place(*value)).collect::<Vec<_>>();
        let placed = places(&[f64::NEG_INFINITY, -0.1, 0.0, 0.1, 3.0, 3.1, 9.0, f64::INFINITY]);
        assert!(placed.is_sorted() && placed[7] < scale.len(), "{placed:?}");
        assert!(placed[0] == placed[1] && placed[1] < placed[2] && placed[2] < placed[3]);
        let coarse: Vec<_> = scale.coarse().map(|(_, _, range)| range).collect();
        let bin = |value: f64| coarse.iter().position(|range| range.contains(&scale.place(value)));
        let bins = [-5.0, 0.0, 0.5, 3.0, 3.5, 99.0].map(bin);
        assert_eq!(bins, [Some(0), Some(1), Some(2), Some(2), Some(3), Some(3)]);
        assert_eq!((coarse[0].start, coarse[3].end), (0, scale.len()));
    }
}
