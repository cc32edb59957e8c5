//! A set of hashes that is looked into for each row. What it takes is reserved before it is taken.

use flight_common::{MemoryBudget, Reservation};
use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};

/// Hashes of values.
pub struct Hashes {
    table: HashSet<u128, BuildHasherDefault<LowHalf>>,
    memory: Reservation,
}

impl Hashes {
    /// No hashes yet.
    pub fn new(budget: &MemoryBudget) -> Self {
        Self { table: HashSet::default(), memory: budget.reservation() }
    }

    /// Whether this hash is in it.
    pub fn contains(&self, hash: u128) -> bool {
        self.table.contains(&hash)
    }

    /// Takes a hash in. Returns false if there is no memory for it.
    pub fn insert(&mut self, hash: u128) -> bool {
        self.table.contains(&hash) || (self.has_room() && self.table.insert(hash))
    }

    /// The table doubles when it is full, and for that moment there are two.
    fn has_room(&mut self) -> bool {
        if self.table.len() < self.table.capacity() {
            return true;
        }
        let now = self.memory.bytes();
        if !self.memory.try_grow((2 * now).max(4 * SLOT)) {
            return false;
        }
        self.table.reserve(1);
        self.memory.shrink(now);
        true
    }
}

/// What a place in the table takes: a hash, and a byte that tells whether it is free. Of eight places seven can be used.
const SLOT: usize = size_of::<u128>() + 1;

/// The keys are hashes already, with secrets of their own.
#[derive(Default)]
struct LowHalf(u64);

impl Hasher for LowHalf {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.first_chunk().map_or(0, |bytes| u64::from_ne_bytes(*bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_table_takes_is_reserved_and_given_back() {
        let budget = MemoryBudget::new(1 << 20);
        let mut hashes = Hashes::new(&budget);
        for hash in (0..20_000u128).map(|n| n << 70 | n) {
            assert!(hashes.insert(hash) && hashes.insert(hash));
            let places = (hashes.table.capacity() * 8 / 7).next_power_of_two();
            assert_eq!(budget.used(), places * SLOT);
        }
        assert!(hashes.contains(7 << 70 | 7) && !hashes.contains(7));
        // 32,768 places, and while they were filled, the 16,384 before.
        assert_eq!(budget.peak(), (32_768 + 16_384) * SLOT);
        drop(hashes);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn without_memory_nothing_is_taken_in() {
        let budget = MemoryBudget::new(1000);
        let mut hashes = Hashes::new(&budget);
        let taken = (0..100).take_while(|n| hashes.insert(*n)).count();
        assert!((10..=58).contains(&taken), "{taken}");
        assert!(budget.peak() <= 1000);
        assert!(hashes.insert(0), "it is there already");
    }
}
