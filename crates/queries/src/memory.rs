//! The memory of a query: taken from the budget of the process, and dealt out to DataFusion's operators.
//!
//! Who is refused can do one of three things, and gets its memory accordingly:
//!
//! - *spill* what it holds (sorts, groups): a quarter is for whoever asks first, beyond that each gets an even share of
//!   the half that they have together, so that none is refused before it holds anything that it could spill;
//! - *merge fewer* spilled runs at a time: a merge takes all that it gets, so it gets an even share of the other half, or
//!   what its sorter held before it: rows that were never spilled go from the one to the other, and have to;
//! - *fail* (hash tables, one side of a nested loop, what a merge in memory compares): it gets what the budget of the
//!   process has.
//!
//! Queries of one process have even shares of what there is: one that comes later finds that those before it make do with less
//! from then on.
//!
//! (The step `join` knows beforehand what it needs, so nobody in it is refused: it has a memory of its own.)

use crate::faults::{into_error, too_large};
use crate::sorters::Sorters;
use datafusion::common::{Result, resources_datafusion_err};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation};
use flight_common::{MemoryBudget, Reservation, Share};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a query takes in any case, and only books: without it nothing could be asked while others hold all there is.
const FLOOR: usize = 1 << 20;
/// How DataFusion calls those who merge spilled runs.
const MERGES: &str = "ExternalSorterMerge";
/// How it calls those who keep one side of a nested loop. Refused as others are, they would read that side once more, and
/// most can be read only once.
const NESTED_LOOPS: &str = "NestedLoopJoinLoad";

/// The memory that a query may use. Clones share it.
#[derive(Clone, Debug)]
pub struct WorkingMemory(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    held: Reservation,
    share: Share,
    /// What all queries together use at most that can make do with less: something is left for the others, for spools, and for
    /// the steps beside them.
    for_all: usize,
    floor: usize,
    /// What is held also while nobody uses it.
    kept_back: usize,
    /// What a query that keeps something back makes do with, whatever the others do.
    has_to_do: Option<usize>,
    spillers: usize,
    merges: usize,
    sorters: Sorters,
    by_spillers: usize,
    by_others: usize,
}

impl WorkingMemory {
    /// Memory from this budget; nothing is held yet.
    pub fn new(budget: &MemoryBudget) -> Self {
        let limit = budget.limit();
        Self(Arc::new(Mutex::new(State {
            held: budget.reservation(),
            share: budget.share(),
            for_all: limit / 4 * 3,
            floor: FLOOR.min(limit / 8),
            kept_back: 0,
            has_to_do: None,
            spillers: 0,
            merges: 0,
            sorters: Sorters::default(),
            by_spillers: 0,
            by_others: 0,
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a query should make do with now: the more of them are under way, the less.
    pub fn most(&self) -> usize {
        self.state().most()
    }

    /// Holds two thirds of that, or as much of it as can be had, before spools take the rest; it has to do.
    pub fn keep_back(&self) {
        let mut state = self.state();
        let mut wanted = state.most() / 3 * 2;
        while wanted > state.floor && !state.hold(wanted) {
            wanted /= 2;
        }
        state.kept_back = state.held.bytes();
        state.has_to_do = Some(wanted.max(state.floor));
    }
}

impl State {
    fn most(&self) -> usize {
        self.has_to_do.unwrap_or_else(|| self.share.of(self.for_all).max(self.floor))
    }

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
        // What it has it keeps, also where others have taken more than there is.
        short == 0 || self.held.try_grow(short)
    }

    /// Whether a consumer may hold so much more in a reservation. What a merge in memory compares comes in many small
    /// ones, which are never too large.
    fn allows(&self, consumer: &MemoryConsumer, holds: usize, more: usize) -> bool {
        let most = self.most();
        let share = |among: usize| most / 2 / among.max(1);
        match (consumer.can_spill(), is_merge(consumer)) {
            // Who holds nothing could spill nothing.
            (true, _) => holds == 0 || self.by_spillers + more <= most / 4 || holds + more <= share(self.spillers),
            (false, true) => holds + more <= share(self.merges).max(self.sorters.held_before(consumer)),
            (false, false) => true,
        }
    }

    fn count(&mut self, consumer: &MemoryConsumer) -> &mut usize {
        if is_merge(consumer) { &mut self.merges } else { &mut self.spillers }
    }

    fn take(&mut self, consumer: &MemoryConsumer, bytes: usize) {
        self.sorters.takes(consumer, bytes);
        *self.by(consumer) += bytes;
    }

    fn give_back(&mut self, consumer: &MemoryConsumer, bytes: usize) {
        self.sorters.gives_back(consumer, bytes);
        let by = self.by(consumer);
        *by = by.saturating_sub(bytes);
    }

    fn by(&mut self, consumer: &MemoryConsumer) -> &mut usize {
        if consumer.can_spill() { &mut self.by_spillers } else { &mut self.by_others }
    }
}

fn is_merge(consumer: &MemoryConsumer) -> bool {
    consumer.name().starts_with(MERGES)
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
        if consumer.can_spill() || is_merge(consumer) {
            let mut state = self.state();
            *state.count(consumer) += 1;
            match is_merge(consumer) {
                true => state.sorters.merge_begins(consumer),
                false => state.sorters.begins(consumer),
            }
        }
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        if consumer.can_spill() || is_merge(consumer) {
            let mut state = self.state();
            let count = state.count(consumer);
            *count = count.saturating_sub(1);
            state.sorters.ends(consumer);
        }
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        let mut state = self.state();
        state.take(reservation.consumer(), additional);
        // What was not asked for is at least in the books.
        let short = state.used().saturating_sub(state.held.bytes());
        state.held.grow(short);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        let mut state = self.state();
        state.give_back(reservation.consumer(), shrink);
        let needed = state.used().max(state.kept_back);
        let spare = state.held.bytes().saturating_sub(needed);
        state.held.shrink(spare);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        let mut state = self.state();
        let consumer = reservation.consumer();
        let wanted = state.used() + additional;
        if !state.allows(consumer, reservation.size(), additional) || !state.hold(wanted) {
            state.sorters.is_refused(consumer);
            if consumer.name().starts_with(NESTED_LOOPS) {
                return Err(into_error(too_large()));
            }
            let (name, size, used) = (consumer.name(), reservation.size(), state.used());
            return Err(resources_datafusion_err!(
                "{name} holds {size} bytes and wants {additional} more; the whole query holds {used}"
            ));
        }
        state.take(consumer, additional);
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
        let first = consumer(&pool, "first", true);
        first.try_grow(12 << 20).expect("half of the memory, while it is alone");
        assert!(first.try_grow(1 << 20).is_err());
        let second = consumer(&pool, "second", true);
        second.try_grow(6 << 20).expect("its share");
        assert!(second.try_grow(1 << 20).is_err());
        let third = consumer(&pool, "third", false);
        third.try_grow(14 << 20).expect("what is left");
        assert!(third.try_grow(1).is_err());
        assert_eq!(budget.used(), 32 << 20);
        drop((first, second, third));
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn merges_of_runs_share_too_and_what_they_compare_is_not_refused() {
        let budget = MemoryBudget::new(32 << 20);
        let pool: Arc<dyn MemoryPool> = Arc::new(WorkingMemory::new(&budget));
        let (first, second) =
            (consumer(&pool, "ExternalSorterMerge[0]", false), consumer(&pool, "ExternalSorterMerge[1]", false));
        first.try_grow(6 << 20).expect("its share");
        assert!(first.try_grow(1).is_err());
        second.try_grow(6 << 20).expect("its share");
        let compared: Vec<MemoryReservation> = (0..20).map(|_| first.new_empty()).collect();
        assert!(compared.iter().all(|one| one.try_grow(1 << 20).is_ok()));
        assert!(first.new_empty().try_grow(1 << 20).is_err(), "the budget is at its end");
    }

    #[test]
    fn a_merge_takes_over_what_its_sorter_held() {
        let budget = MemoryBudget::new(64 << 20);
        let pool: Arc<dyn MemoryPool> = Arc::new(WorkingMemory::new(&budget));
        let sorts: Vec<[MemoryReservation; 2]> = (0..8)
            .map(|n| {
                let sorter = consumer(&pool, &format!("ExternalSorter[{n}]"), true);
                [sorter, consumer(&pool, &format!("ExternalSorterMerge[{n}]"), false)]
            })
            .collect();
        // One that came first has more than an even share, which is 3 MiB: rows of the others come when it is through.
        let [sorter, merge] = &sorts[0];
        sorter.try_grow(12 << 20).expect("a quarter is for whoever asks first");
        let run = sorter.split(12 << 20);
        for _ in 0..12 {
            run.shrink(1 << 20);
            merge.try_grow(1 << 20).expect("its sorter had it");
        }
        assert!(merge.try_grow(1 << 20).is_err(), "more than its sorter had");
        let [_, other] = &sorts[1];
        other.try_grow(3 << 20).expect("its share");
        assert!(other.try_grow(1 << 20).is_err(), "its sorter had nothing");
        drop((run, sorts));
        assert_eq!(budget.used(), 0);
        // What was spilled is merged by who can make do with less.
        let sorter = consumer(&pool, "ExternalSorter[0]", true);
        let merge = consumer(&pool, "ExternalSorterMerge[0]", false);
        let others: Vec<MemoryReservation> =
            (0..7).map(|n| consumer(&pool, &format!("ExternalSorterMerge[{n}]"), false)).collect();
        sorter.try_grow(24 << 20).expect("it is alone");
        assert!(sorter.try_grow(1 << 20).is_err());
        sorter.shrink(12 << 20);
        merge.try_grow(12 << 20).expect("it writes to the disk what its sorter had");
        merge.free();
        drop(sorter);
        assert!(merge.try_grow(4 << 20).is_err(), "an even share has to do");
        drop(others);
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
    fn queries_at_once_have_even_shares() {
        let budget = MemoryBudget::new(32 << 20);
        let first: Arc<dyn MemoryPool> = Arc::new(WorkingMemory::new(&budget));
        let sort = consumer(&first, "first", true);
        sort.try_grow(4 << 20).expect("it is alone");
        let others: Vec<Arc<dyn MemoryPool>> = (0..3).map(|_| Arc::new(WorkingMemory::new(&budget)) as _).collect();
        assert!(sort.try_grow(1 << 20).is_err(), "it has more than its share, and spills");
        for other in &others {
            consumer(other, "other", true).try_grow(3 << 20).expect("its share");
        }
        drop(others);
        sort.try_grow(8 << 20).expect("it is alone again");
    }

    #[test]
    fn what_is_kept_back_is_not_given_away_and_has_to_do() {
        let budget = MemoryBudget::new(8 << 20);
        let memory = WorkingMemory::new(&budget);
        memory.keep_back();
        assert_eq!((budget.used(), memory.most()), (4 << 20, 4 << 20));
        let pool: Arc<dyn MemoryPool> = Arc::new(memory);
        let sort = consumer(&pool, "sort", true);
        sort.try_grow(1 << 20).expect("it is held already");
        assert_eq!(budget.used(), 4 << 20);
        drop(sort);
        assert_eq!(budget.used(), 4 << 20);
    }

    #[test]
    fn what_is_held_stays_its_own_while_others_take_more_than_there_is() {
        let budget = MemoryBudget::new(8 << 20);
        let memory = WorkingMemory::new(&budget);
        memory.keep_back();
        let mut others = budget.reservation();
        others.grow(8 << 20);
        let pool: Arc<dyn MemoryPool> = Arc::new(memory);
        let sort = consumer(&pool, "sort", true);
        sort.try_grow(2 << 20).expect("it is held already");
        assert!(consumer(&pool, "table", false).try_grow(3 << 20).is_err(), "more than that");
    }
}
