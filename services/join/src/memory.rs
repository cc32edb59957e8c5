//! The memory of a join: taken from the budget of the process, and handed on to DataFusion.
//!
//! A join asks for what a hash table over the rows will need *before* it keeps them ([`JoinMemory::try_hold`]), and
//! takes another way when it is refused. So DataFusion, which draws on what is held, is never refused in the middle,
//! where it could only fail.
//!
//! That is another idea than the memory of queries (`queries::WorkingMemory`), whose operators ask when they need it, and are
//! refused so that they spill. And a join builds the few parts of DataFusion that it takes, without its SQL.

use datafusion_common::Result;
use datafusion_execution::memory_pool::{MemoryLimit, MemoryPool, MemoryReservation};
use flight_common::{MemoryBudget, Reservation};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a join takes in any case, and only books: without it nothing could be joined while others hold all there is.
const FLOOR: usize = 1 << 20;

/// The memory that a join holds.
#[derive(Clone, Debug)]
pub struct JoinMemory(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    held: Reservation,
    /// What a join may hold at most: something is left for spools and for the steps beside it.
    most: usize,
    floor: usize,
    /// What DataFusion uses of it.
    used: usize,
}

impl JoinMemory {
    /// Memory from this budget; nothing is held yet.
    pub fn new(budget: &MemoryBudget) -> Self {
        let limit = budget.limit();
        let (most, floor) = (limit / 4 * 3, FLOOR.min(limit / 2));
        Self(Arc::new(Mutex::new(State { held: budget.reservation(), most, floor, used: 0 })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it holds `bytes` in all now.
    pub fn try_hold(&self, bytes: usize) -> bool {
        let mut state = self.state();
        let held = state.held.bytes();
        if bytes <= held {
            return true;
        }
        if bytes <= state.floor {
            state.held.grow(bytes - held);
            return true;
        }
        bytes <= state.most && state.held.try_grow(bytes - held)
    }

    /// Holds as much as can be had, before spools take the rest. Returns what it holds.
    pub fn hold_most(&self) -> usize {
        let mut wanted = self.state().most;
        let floor = self.state().floor;
        while wanted > floor && !self.try_hold(wanted) {
            wanted /= 2;
        }
        self.try_hold(floor);
        self.state().held.bytes()
    }

    /// The most it may ever hold.
    pub fn most(&self) -> usize {
        self.state().most
    }
}

impl fmt::Display for JoinMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("working memory")
    }
}

impl MemoryPool for JoinMemory {
    fn name(&self) -> &str {
        "working memory"
    }

    fn grow(&self, _reservation: &MemoryReservation, additional: usize) {
        let mut state = self.state();
        state.used += additional;
        // Only if the need was estimated too low: then it is at least in the books.
        let short = state.used.saturating_sub(state.held.bytes());
        state.held.grow(short);
    }

    fn shrink(&self, _reservation: &MemoryReservation, shrink: usize) {
        let mut state = self.state();
        state.used = state.used.saturating_sub(shrink);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        self.grow(reservation, additional);
        Ok(())
    }

    fn reserved(&self) -> usize {
        self.state().used
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.most())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_holds_no_more_than_its_share_and_never_less_than_the_floor() {
        let budget = MemoryBudget::new(8 << 20);
        let memory = JoinMemory::new(&budget);
        assert!(!memory.try_hold(7 << 20));
        let other = budget.try_reserve(7 << 20);
        assert!(other.is_some());
        assert!(!memory.try_hold(2 << 20));
        assert!(memory.try_hold(1 << 20));
        drop(other);
        assert_eq!(memory.hold_most(), 6 << 20);
        drop(memory);
        assert_eq!(budget.used(), 0);
    }
}
