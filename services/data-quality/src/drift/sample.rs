//! Some of many values, within a bounded memory: each is as likely to be among them as any other, and they are the same
//! ones every time.
//!
//! A value's place is hashed, and values with small hashes are kept: all of them at first, half of them once the memory is
//! full, then a quarter, and so on.

/// The least and the most that a sample may take. The most is 16,384 numbers: the rank of a quantile of so many is off by
/// 0.4 % of them (one standard deviation, √(p(1 − p)/n)).
const MOST_BYTES: (usize, usize) = (4 << 10, 256 << 10);

/// What each of so many samples may take where there is this much memory: together no more than a sixteenth of it.
pub fn share(memory: usize, samples: usize) -> usize {
    (memory / (16 * samples.max(1))).clamp(MOST_BYTES.0, MOST_BYTES.1)
}

/// A value, and what it takes.
pub trait Sampled {
    /// Its bytes, with all that it points to.
    fn bytes(&self) -> usize;
}

impl Sampled for f64 {
    fn bytes(&self) -> usize {
        size_of::<Self>()
    }
}

impl Sampled for Box<str> {
    fn bytes(&self) -> usize {
        size_of::<Self>() + self.len()
    }
}

/// Some of the values.
pub struct Sample<T> {
    kept: Vec<(u64, T)>,
    bytes: usize,
    most_bytes: usize,
    /// How many bits of a hash must be zero.
    level: u32,
    seen: u64,
}

impl<T: Sampled> Sample<T> {
    /// No values yet, and never more than these bytes of them, but for one that is larger.
    pub fn new(most_bytes: usize) -> Self {
        Self { kept: Vec::new(), bytes: 0, most_bytes, level: 0, seen: 0 }
    }

    /// Takes the next value in, or not.
    pub fn add(&mut self, value: impl FnOnce() -> T) {
        let hash = spread(self.seen);
        self.seen += 1;
        if hash.leading_zeros() < self.level {
            return;
        }
        let value = value();
        self.bytes += size_of::<u64>() + value.bytes();
        self.kept.push((hash, value));
        while self.bytes > self.most_bytes && self.kept.len() > 1 && self.level < u64::BITS {
            self.level += 1;
            self.kept.retain(|(hash, _)| hash.leading_zeros() >= self.level);
            self.bytes = self.kept.iter().map(|(_, value)| size_of::<u64>() + value.bytes()).sum();
        }
    }

    /// The values, in no order.
    pub fn into_values(self) -> impl Iterator<Item = T> {
        self.kept.into_iter().map(|(_, value)| value)
    }
}

/// SplitMix64's finalizer (G. L. Steele, D. Lea, C. H. Flood, *Fast Splittable Pseudorandom Number Generators*, OOPSLA 2014).
fn spread(place: u64) -> u64 {
    let mixed = place.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_share_a_part_of_the_memory() {
        assert_eq!([share(256 << 20, 3), share(4 << 20, 4), share(4 << 20, 64)], [256 << 10, 64 << 10, 4 << 10]);
        assert_eq!((share(0, 1), share(usize::MAX, 0)), MOST_BYTES);
    }

    #[test]
    fn a_few_values_are_all_kept() {
        let mut sample = Sample::new(MOST_BYTES.1);
        (0..10_000).for_each(|n| sample.add(|| f64::from(n)));
        assert_eq!(sample.into_values().count(), 10_000);
    }

    #[test]
    fn of_many_values_a_fair_part_is_kept_within_the_bound() {
        let mut sample = Sample::new(MOST_BYTES.1);
        for n in 0..1_000_000 {
            sample.add(|| f64::from(n));
            assert!(sample.bytes <= MOST_BYTES.1);
        }
        let mut values: Vec<f64> = sample.into_values().collect();
        assert!((8_192..=16_384).contains(&values.len()), "{}", values.len());
        values.sort_by(f64::total_cmp);
        for (part, wanted) in [(0.1, 100_000.0), (0.5, 500_000.0), (0.9, 900_000.0)] {
            let found = values[(values.len() as f64 * part) as usize];
            assert!((found - wanted).abs() < 15_000.0, "{found} for {wanted}");
        }
    }

    #[test]
    fn long_texts_are_bounded_by_what_they_take() {
        let mut sample = Sample::new(MOST_BYTES.1);
        let long: Box<str> = "x".repeat(MOST_BYTES.1 / 4).into();
        (0..100).for_each(|_| sample.add(|| long.clone()));
        assert!((1..=3).contains(&sample.kept.len()));
        (0..3).for_each(|_| sample.add(|| "x".repeat(2 * MOST_BYTES.1).into()));
        assert!(sample.kept.len() <= 3);
    }
}
