//! The memory that the answers of a portion take until it leaves.
//!
//! Words are booked when they come, since they are there, whatever was thought to be enough for them. Once there are too
//! many, nothing more is asked for this portion: it leaves with the rows that have been asked for.

use flight_common::Reservation;
use std::sync::{Mutex, PoisonError};

/// Bytes of answers with which a portion leaves in any case.
const MOST: usize = 8 << 20;
/// Bytes with which none leaves yet: where others have taken all memory, rows had better not go one by one.
const LEAST: usize = 256 << 10;
/// Answers are there twice while they become a column.
const COPIES: usize = 2;

/// What answers take.
#[derive(Debug)]
pub struct Room(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    reserved: Reservation,
    /// What is reserved for answers that have not come.
    left: usize,
    taken: usize,
    is_refused: bool,
}

impl Room {
    /// With so much of what is reserved for answers.
    pub fn new(reserved: Reservation, left: usize) -> Self {
        Self(Mutex::new(Inner { left: left.min(reserved.bytes()), reserved, taken: 0, is_refused: false }))
    }

    /// Takes an answer in.
    pub fn take(&self, words: &str) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.taken += words.len();
        let bytes = words.len().saturating_mul(COPIES);
        let more = bytes.saturating_sub(inner.left);
        inner.left -= bytes - more;
        if !inner.reserved.try_grow(more) {
            inner.reserved.grow(more);
            inner.is_refused = true;
        }
    }

    /// Gives back what no answer took: none comes any more.
    pub fn close(&self) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let left = std::mem::take(&mut inner.left);
        inner.reserved.shrink(left);
    }

    /// Whether nothing more is to be asked.
    pub fn is_full(&self) -> bool {
        let inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.taken > if inner.is_refused { LEAST } else { MOST }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flight_common::MemoryBudget;

    #[test]
    fn answers_are_booked_beyond_what_is_reserved_and_fill_the_room() {
        let budget = MemoryBudget::new(32 << 20);
        let room = Room::new(budget.try_reserve(3000).expect("there is memory"), 2000);
        room.take(&"x".repeat(1000));
        assert_eq!((budget.used(), room.is_full()), (3000, false));
        let thrifty = Room::new(budget.try_reserve(3000).expect("there is memory"), 2000);
        thrifty.take("x");
        thrifty.close();
        assert_eq!(budget.used(), 3000 + 1000 + COPIES);
        drop(thrifty);
        room.take(&"x".repeat(MOST));
        assert_eq!((budget.used(), room.is_full()), (3000 + COPIES * MOST, true));
        drop(room);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn without_memory_the_room_is_smaller_but_there_is_some() {
        let budget = MemoryBudget::new(0);
        let room = Room::new(budget.reservation(), 2000);
        room.take(&"x".repeat(LEAST));
        assert!(!room.is_full());
        room.take("x");
        assert!(room.is_full());
        assert_eq!(budget.used(), COPIES * (LEAST + 1));
    }
}
