//! The values at two ranks among many, in bounded memory and several passes.
//!
//! Each pass narrows the range in which a rank's value lies. If the values of the range fit in memory, the pass gathers
//! them and the value is selected. If not, it counts them in 4,096 equal parts of the range, and the next pass looks
//! into one part only. So any amount of values is done in at most six passes over 64 bits, and seldom more than two.

use arrow::array::ArrowNativeTypeOp;
use arrow::datatypes::i256;
use flight_common::{MemoryBudget, Reservation};

const PART_BITS: u32 = 12;
const PARTS: usize = 1 << PART_BITS;

/// A value that can be counted in parts of a range. `MIN` and `MAX` enclose all values, and their distance fits.
pub trait Key: Copy + Ord {
    /// No value is smaller.
    const MIN: Self;
    /// No value is larger.
    const MAX: Self;

    /// The bits that the distance to a larger key takes.
    fn bits_to(self, high: Self) -> u32;

    /// Which part of the range from `low` it lies in, parts being 2^shift long.
    fn part(self, low: Self, shift: u32) -> usize;

    /// The first and last key of a part of the range from this one.
    fn part_from(self, part: usize, shift: u32) -> (Self, Self);
}

impl Key for u64 {
    const MIN: Self = 0;
    const MAX: Self = u64::MAX;

    fn bits_to(self, high: Self) -> u32 {
        u64::BITS - (high - self).leading_zeros()
    }

    fn part(self, low: Self, shift: u32) -> usize {
        ((self - low) >> shift) as usize
    }

    fn part_from(self, part: usize, shift: u32) -> (Self, Self) {
        let first = self + ((part as u64) << shift);
        (first, first.saturating_add((1 << shift) - 1))
    }
}

/// Decimals, of at most 76 digits: less than 2^253.
impl Key for i256 {
    const MIN: Self = i256::from_parts(0, -(1 << 125));
    const MAX: Self = i256::from_parts(0, 1 << 125);

    fn bits_to(self, high: Self) -> u32 {
        256 - high.sub_wrapping(self).leading_zeros()
    }

    fn part(self, low: Self, shift: u32) -> usize {
        // Shorter than a shift's operand, and below PARTS.
        (self.sub_wrapping(low) >> shift as u8).as_i128() as usize
    }

    fn part_from(self, part: usize, shift: u32) -> (Self, Self) {
        let first = self.add_wrapping(i256::from_i128(part as i128) << shift as u8);
        (first, first.add_wrapping((i256::ONE << shift as u8).sub_wrapping(i256::ONE)))
    }
}

/// Looks for the values at two ranks.
pub struct Selection<K> {
    searches: Vec<Search<K>>,
}

impl<K: Key> Selection<K> {
    /// Looks for the values at these ranks, counted from 0 in order of size, among `count`.
    pub fn new(ranks: [u64; 2], count: u64) -> Self {
        let search = Search { low: K::MIN, high: K::MAX, count, ranks: ranks.to_vec(), work: Work::None };
        Self { searches: vec![search] }
    }

    /// Both values, once they are known.
    pub fn found(&self) -> Option<[K; 2]> {
        let first = self.searches.first().filter(|search| search.is_done())?;
        let last = self.searches.last().filter(|search| search.is_done())?;
        Some([first.low, last.low])
    }

    /// Begins a pass. What it keeps is taken from the budget.
    pub fn begin(&mut self, budget: &MemoryBudget) {
        self.searches.iter_mut().for_each(|search| search.begin(budget));
    }

    /// Takes one value of the pass.
    pub fn see(&mut self, value: K) {
        self.searches.iter_mut().for_each(|search| search.see(value));
    }

    /// Ends a pass. Ranks that were looked for together part here if their values lie apart.
    pub fn end(&mut self) {
        self.searches = self.searches.drain(..).flat_map(Search::end).collect();
    }
}

/// Looks for the values at some ranks within one range. Done when the range is one value.
struct Search<K> {
    low: K,
    high: K,
    /// How many values lie in the range.
    count: u64,
    /// The ranks within the range, ascending.
    ranks: Vec<u64>,
    work: Work<K>,
}

/// What a pass keeps.
enum Work<K> {
    None,
    Gather { values: Vec<K>, _memory: Reservation },
    Count { counts: Vec<u64>, shift: u32, smallest: K, largest: K, _memory: Reservation },
}

impl<K: Key> Search<K> {
    fn is_done(&self) -> bool {
        self.low == self.high
    }

    fn begin(&mut self, budget: &MemoryBudget) {
        if self.is_done() {
            return;
        }
        let count = usize::try_from(self.count).unwrap_or(usize::MAX);
        self.work = match budget.try_reserve(count.saturating_mul(size_of::<K>())) {
            Some(memory) => Work::Gather { values: Vec::with_capacity(count), _memory: memory },
            None => {
                let mut memory = budget.reservation();
                memory.grow(PARTS * size_of::<u64>());
                let shift = self.low.bits_to(self.high).saturating_sub(PART_BITS);
                Work::Count { counts: vec![0; PARTS], shift, smallest: self.high, largest: self.low, _memory: memory }
            }
        };
    }

    fn see(&mut self, value: K) {
        if value < self.low || value > self.high {
            return;
        }
        match &mut self.work {
            Work::None => {}
            Work::Gather { values, .. } => values.push(value),
            Work::Count { counts, shift, smallest, largest, .. } => {
                counts[value.part(self.low, *shift)] += 1;
                *smallest = value.min(*smallest);
                *largest = value.max(*largest);
            }
        }
    }

    fn end(mut self) -> Vec<Self> {
        match std::mem::replace(&mut self.work, Work::None) {
            Work::None => vec![self],
            Work::Gather { mut values, .. } => {
                let at = |rank: u64| *values.select_nth_unstable(rank as usize).1;
                self.ranks.iter().copied().map(at).map(Self::done).collect()
            }
            Work::Count { counts, shift, smallest, largest, .. } => self.narrowed(&counts, shift, smallest, largest),
        }
    }

    fn done(value: K) -> Self {
        Self { low: value, high: value, count: 1, ranks: vec![0], work: Work::None }
    }

    /// A search for each part of the range in which a rank lies. The ends that were met narrow it further: values
    /// that all lie close together would else share one part for many passes.
    fn narrowed(&self, counts: &[u64], shift: u32, smallest: K, largest: K) -> Vec<Self> {
        let mut searches: Vec<Self> = Vec::new();
        let mut ranks = self.ranks.iter().copied().peekable();
        let mut below = 0;
        for (part, count) in counts.iter().enumerate() {
            let within = |rank: &u64| *rank < below + count;
            let mut here = Vec::new();
            while let Some(rank) = ranks.next_if(within) {
                here.push(rank - below);
            }
            if !here.is_empty() {
                let (first, last) = self.low.part_from(part, shift);
                let (low, high) = (first.max(smallest), last.min(largest));
                searches.push(Self { low, high, count: *count, ranks: here, work: Work::None });
            }
            below += count;
        }
        searches
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selected<K: Key + std::fmt::Debug>(values: &[K], memory: usize) -> ([K; 2], usize) {
        let budget = MemoryBudget::new(memory);
        let count = values.len() as u64;
        let mut selection = Selection::new([(count - 1) / 2, count / 2], count);
        let mut passes = 0;
        while selection.found().is_none() {
            selection.begin(&budget);
            values.iter().for_each(|value| selection.see(*value));
            selection.end();
            passes += 1;
        }
        (selection.found().expect("the loop ended"), passes)
    }

    fn middle<K: Key>(values: &[K]) -> [K; 2] {
        let mut sorted = values.to_vec();
        sorted.sort_unstable();
        [sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]]
    }

    #[test]
    fn with_and_without_memory_the_middle_is_the_same() {
        let scattered: Vec<u64> = (1..=1000u64).map(|n| n.wrapping_mul(0x9E37_79B9_7F4A_7C15)).collect();
        let close: Vec<u64> = (0..999).map(|n| (1 << 63) + n % 17).collect();
        let apart: Vec<u64> = vec![u64::MAX, 0, 0, u64::MAX];
        for values in [scattered, close, apart, vec![7], vec![3, 3, 3, 3]] {
            for memory in [0, 100, 1 << 20] {
                let (found, passes) = selected(&values, memory);
                assert_eq!(found, middle(&values));
                assert!(passes <= 6, "{passes} passes over {} values", values.len());
            }
            let wide: Vec<i256> = values.iter().map(|value| i256::from_i128(i128::from(*value) - (1 << 40))).collect();
            assert_eq!(selected(&wide, 0).0, middle(&wide));
        }
    }

    #[test]
    fn values_that_lie_close_together_need_no_more_than_two_passes() {
        let close: Vec<u64> = (0..999).map(|n| (1 << 63) + n % 17).collect();
        assert_eq!(selected(&close, 0).1, 2);
    }
}
