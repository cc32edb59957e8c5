//! The memory of a query: taken from the budget of the process, and dealt out to DataFusion's operators.
//!
//! Operators that can spill (sorts, groups) share with those that cannot (hash tables, merges). Half of the memory is
//! for whoever asks first; beyond that an operator that can spill gets no more than its even share, so that none is
//! refused before it holds anything that it could spill.

use datafusion::common::{Result, resources_datafusion_err};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation};
use flight_common::{MemoryBudget, Reservation};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a query takes in any case, and only books: without it nothing could be asked while others hold all there is.
const FLOOR: usize = 1 << 20;

/// The memory that a query may use. Clones share it.
#[derive(Clone, Debug)]
pub struct WorkingMemory(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    held: Reservation,
    /// What a query may use at most: something is left for spools and for the steps beside it.
    most: usize,
    floor: usize,
    /// What is held also while nobody uses it.
    kept_back: usize,
    spillers: usize,
    by_spillers: usize,
    by_others: usize,
}

impl WorkingMemory {
    /// Memory from this budget; nothing is held yet.
    pub fn new(budget: &MemoryBudget) -> Self {
        let limit = budget.limit();
        Self(Arc::new(Mutex::new(State {
            held: budget.reservation(),
            most: limit / 4 * 3,
            floor: FLOOR.min(limit / 2),
            kept_back: 0,
            spillers: 0,
            by_spillers: 0,
            by_others: 0,
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The most that a query may ever use.
    pub fn most(&self) -> usize {
        self.state().most
    }

    /// Holds half of that, or as much of it as can be had, before spools take the rest.
    pub fn keep_back(&self) {
        let mut state = self.state();
        let mut wanted = state.most / 2;
        while wanted > state.floor && !state.hold(wanted) {
            wanted /= 2;
        }
        state.kept_back = state.held.bytes();
    }
}

impl State {
    fn used(&self) -> usize {
        self.by_spillers + self.by_others
    }

    /// Whether it holds `bytes` in all now.
    fn hold(&mut self, bytes: usize) -> bool {
        let short = bytes.saturating_sub(self.held.bytes());
        if bytes <= self.floor {
            self.held.grow(short);
            return true;
        }
        self.held.try_grow(short)
    }

    /// Whether a consumer that uses so much may use so much more.
    fn allows(&self, can_spill: bool, uses: usize, more: usize) -> bool {
        if !can_spill {
            return self.used() + more <= self.most;
        }
        let share = (self.most - self.by_others.clamp(self.most / 2, self.most)) / self.spillers.max(1);
        self.used() + more <= self.most / 2 || uses + more <= share
    }

    fn take(&mut self, can_spill: bool, bytes: usize) {
        match can_spill {
            true => self.by_spillers += bytes,
            false => self.by_others += bytes,
        }
    }
}

impl fmt::Display for WorkingMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("working memory")
    }
}

impl MemoryPool for WorkingMemory {
    fn name(&self) -> &str {
        "working memory"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.state().spillers += usize::from(consumer.can_spill());
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        let mut state = self.state();
        state.spillers = state.spillers.saturating_sub(usize::from(consumer.can_spill()));
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        let mut state = self.state();
        state.take(reservation.consumer().can_spill(), additional);
        // What was not asked for is at least in the books.
        let short = state.used().saturating_sub(state.held.bytes());
        state.held.grow(short);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        let mut state = self.state();
        match reservation.consumer().can_spill() {
            true => state.by_spillers = state.by_spillers.saturating_sub(shrink),
            false => state.by_others = state.by_others.saturating_sub(shrink),
        }
        let needed = state.used().max(state.kept_back);
        let spare = state.held.bytes().saturating_sub(needed);
        state.held.shrink(spare);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        let mut state = self.state();
        let can_spill = reservation.consumer().can_spill();
        let wanted = state.used() + additional;
        if !state.allows(can_spill, reservation.size(), additional) || !state.hold(wanted) {
            let (name, size, most) = (reservation.consumer().name(), reservation.size(), state.most);
            return Err(resources_datafusion_err!(
                "{name} holds {size} bytes and wants {additional} more of {most}, of which {} are in use",
                state.used()
            ));
        }
        state.take(can_spill, additional);
        Ok(())
    }

    fn reserved(&self) -> usize {
        self.state().used()
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.most())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn consumer(pool: &Arc<dyn MemoryPool>, name: &str, can_spill: bool) -> MemoryReservation {
        MemoryConsumer::new(name).with_can_spill(can_spill).register(pool)
    }

    #[test]
    fn who_can_spill_leaves_an_even_share_to_the_others() {
        let budget = MemoryBudget::new(32 << 20);
        let pool: Arc<dyn MemoryPool> = Arc::new(WorkingMemory::new(&budget));
        let (first, second) = (consumer(&pool, "first", true), consumer(&pool, "second", true));
        first.try_grow(12 << 20).expect("the first half is for whoever asks first");
        assert!(first.try_grow(1 << 20).is_err());
        second.try_grow(6 << 20).expect("its share");
        assert!(second.try_grow(1 << 20).is_err());
        let third = consumer(&pool, "third", false);
        third.try_grow(6 << 20).expect("what is left");
        assert!(third.try_grow(1).is_err());
        assert_eq!(budget.used(), 24 << 20);
        drop((first, second, third));
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn a_little_can_be_had_while_others_hold_all() {
        let budget = MemoryBudget::new(8 << 20);
        let others = budget.try_reserve(8 << 20);
        let pool: Arc<dyn MemoryPool> = Arc::new(WorkingMemory::new(&budget));
        let sort = consumer(&pool, "sort", true);
        sort.try_grow(1 << 20).expect("the floor");
        assert!(sort.try_grow(1).is_err());
        drop(others);
        sort.try_grow(1 << 20).expect("it is there now");
    }

    #[test]
    fn what_is_kept_back_is_not_given_away() {
        let budget = MemoryBudget::new(8 << 20);
        let memory = WorkingMemory::new(&budget);
        memory.keep_back();
        assert_eq!(budget.used(), 3 << 20);
        let pool: Arc<dyn MemoryPool> = Arc::new(memory);
        let sort = consumer(&pool, "sort", true);
        sort.try_grow(1 << 20).expect("it is held already");
        assert_eq!(budget.used(), 3 << 20);
        drop(sort);
        assert_eq!(budget.used(), 3 << 20);
    }
}
