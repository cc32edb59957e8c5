//! What each sorter of a query has held, for the merge that takes over from it.
//!
//! A sorter that keeps all its rows in memory hands them to its merge batch by batch, and the merge cannot make do with
//! less. DataFusion books the two apart; they belong together by being registered one after the other, on one thread.

use datafusion::execution::memory_pool::MemoryConsumer;
use std::thread::{self, ThreadId};

/// How DataFusion calls who sorts.
const SORTERS: &str = "ExternalSorter[";

/// The sorters of a query whose merges are still to end.
#[derive(Debug, Default)]
pub struct Sorters(Vec<Sorter>);

#[derive(Debug)]
struct Sorter {
    id: usize,
    on: ThreadId,
    merge: Option<usize>,
    /// Whether it was refused more once, so that it has spilled.
    spilled: bool,
    holds: usize,
    held_at_most: usize,
}

impl Sorters {
    pub fn begins(&mut self, consumer: &MemoryConsumer) {
        if consumer.name().starts_with(SORTERS) {
            let (id, on) = (consumer.id(), thread::current().id());
            self.0.push(Sorter { id, on, merge: None, spilled: false, holds: 0, held_at_most: 0 });
        }
    }

    pub fn merge_begins(&mut self, merge: &MemoryConsumer) {
        let here = thread::current().id();
        let its = self.0.iter_mut().rev().find(|sorter| sorter.on == here && sorter.merge.is_none());
        if let Some(sorter) = its {
            sorter.merge = Some(merge.id());
        }
    }

    /// Takes note that it gets no more: it spills what it has.
    pub fn is_refused(&mut self, consumer: &MemoryConsumer) {
        if let Some(sorter) = self.0.iter_mut().find(|sorter| sorter.id == consumer.id()) {
            sorter.spilled = true;
        }
    }

    /// Forgets a sorter with its merge, which ends last, or one that never had any. What it spilled is merged after its own end, by
    /// a merge that can make do with less.
    pub fn ends(&mut self, consumer: &MemoryConsumer) {
        let id = consumer.id();
        for sorter in self.0.iter_mut().filter(|sorter| sorter.id == id && sorter.spilled) {
            sorter.held_at_most = 0;
        }
        self.0.retain(|sorter| sorter.merge != Some(id) && (sorter.id != id || sorter.merge.is_some()));
    }

    pub fn takes(&mut self, consumer: &MemoryConsumer, bytes: usize) {
        if let Some(sorter) = self.0.iter_mut().find(|sorter| sorter.id == consumer.id()) {
            sorter.holds += bytes;
            sorter.held_at_most = sorter.held_at_most.max(sorter.holds);
        }
    }

    pub fn gives_back(&mut self, consumer: &MemoryConsumer, bytes: usize) {
        if let Some(sorter) = self.0.iter_mut().find(|sorter| sorter.id == consumer.id()) {
            sorter.holds = sorter.holds.saturating_sub(bytes);
        }
    }

    /// The bytes that the sorter of this merge held at most; none where nothing is known of it.
    pub fn held_before(&self, merge: &MemoryConsumer) -> usize {
        self.0.iter().find(|sorter| sorter.merge == Some(merge.id())).map_or(0, |sorter| sorter.held_at_most)
    }
}
