//! Keeping items: in memory while the budget allows, then in a spill file.
//!
//! - [`Spool`]: written to its end, then read, as often as needed. For a step whose meaning needs the whole input.
//! - [`spill_queue`]: read while it is written. For a tee's branches, inputs staged ahead, outputs not read yet.
//!
//! Both put each item on a [`Shelf`], which knows where things lie. Spill files have no name from the
//! start, so that no crash leaves one behind. A library that spills by itself gets one too: [`ScratchFile`].

mod queue;
mod scratch;
mod shelf;

pub(crate) use shelf::OwnedBuffer;

pub use queue::{SpillReceiver, SpillSender, spill_queue};
pub use scratch::{ScratchFile, ScratchReader};

use crate::fault::Fault;
use crate::memory::MemoryBudget;
use crate::parcel::Parcel;
use crate::stream::EdgeStream;
use arrow::datatypes::SchemaRef;
use futures::{StreamExt, stream};
use shelf::{Kept, Shelf};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Where kept items may go: a share of memory, and a folder on disk with a quota.
#[derive(Clone, Debug)]
pub struct SpillSpace {
    budget: MemoryBudget,
    dir: Arc<PathBuf>,
    quota: u64,
    used: Arc<AtomicU64>,
    spilled: Arc<AtomicU64>,
}

impl SpillSpace {
    /// Space under this budget, then in `dir`, which must exist, up to `quota` bytes.
    pub fn new(budget: MemoryBudget, dir: impl Into<PathBuf>, quota: u64) -> Self {
        let zero = || Arc::new(AtomicU64::new(0));
        Self { budget, dir: Arc::new(dir.into()), quota, used: zero(), spilled: zero() }
    }

    /// The same space, counting what goes to disk from zero: one step's own figure.
    pub fn counted_apart(&self) -> Self {
        Self { spilled: Arc::new(AtomicU64::new(0)), ..self.clone() }
    }

    /// The memory it draws on.
    pub fn budget(&self) -> &MemoryBudget {
        &self.budget
    }

    /// The folder for spill files.
    pub fn dir(&self) -> &std::path::Path {
        &self.dir
    }

    /// Bytes that went to disk.
    pub fn bytes_spilled(&self) -> u64 {
        self.spilled.load(Ordering::Relaxed)
    }

    /// Bytes of disk taken now.
    pub fn disk_used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }
}

/// The whole system's temporary folder, under the default budget.
impl Default for SpillSpace {
    fn default() -> Self {
        Self::new(MemoryBudget::default(), std::env::temp_dir(), u64::MAX)
    }
}

/// Writes a [`Spool`].
pub struct SpoolWriter<T> {
    shelf: Shelf<T>,
    kept: Vec<Kept<T>>,
    rows: u64,
    bytes: u64,
}

impl<T: Parcel> SpoolWriter<T> {
    /// An empty spool for items of this schema.
    pub fn new(space: &SpillSpace, schema: SchemaRef) -> Self {
        Self { shelf: Shelf::new(space.clone(), schema), kept: Vec::new(), rows: 0, bytes: 0 }
    }

    /// Keeps one more item.
    ///
    /// # Errors
    /// [`crate::FaultKind::Busy`] when neither memory nor disk can take it.
    pub fn push(&mut self, item: T) -> Result<(), Fault> {
        self.rows += item.rows();
        self.bytes += item.bytes() as u64;
        self.kept.push(self.shelf.put(item, true)?);
        Ok(())
    }

    /// Keeps all of a stream.
    ///
    /// # Errors
    /// The stream's fault, or as [`SpoolWriter::push`].
    pub async fn push_all(&mut self, stream: &mut EdgeStream<T>) -> Result<(), Fault> {
        while let Some(item) = stream.next().await {
            self.push(item?)?;
        }
        Ok(())
    }

    /// The spool, complete.
    pub fn finish(self) -> Spool<T> {
        Spool { shelf: Arc::new(self.shelf), kept: self.kept, rows: self.rows, bytes: self.bytes }
    }
}

/// Items kept to be read again, in the order in which they were written.
pub struct Spool<T> {
    shelf: Arc<Shelf<T>>,
    kept: Vec<Kept<T>>,
    rows: u64,
    bytes: u64,
}

impl<T: Parcel> Spool<T> {
    /// Its rows.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The bytes its rows take.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How many items it holds.
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// Whether it holds no item.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// The item at this place: for a pass in another order than the one in which they were written.
    ///
    /// # Errors
    /// [`crate::FaultKind::Internal`] when there is no such item, or as the spill file says.
    pub fn get(&self, place: usize) -> Result<T, Fault> {
        let kept = self.kept.get(place);
        self.shelf.get(kept.ok_or_else(|| Fault::internal(format!("no item {place} in a spool of {}", self.len())))?)
    }

    /// Its items one by one: for a pass that only looks.
    pub fn iter(&self) -> impl Iterator<Item = Result<T, Fault>> + '_ {
        self.kept.iter().map(|kept| self.shelf.get(kept))
    }

    /// The last pass: each item's memory is given back as it leaves.
    pub fn drain(self) -> EdgeStream<T> {
        let schema = self.shelf.schema();
        let shelf = self.shelf;
        EdgeStream::new(schema, stream::iter(self.kept.into_iter().map(move |kept| shelf.take(kept))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::batch;
    use arrow::array::RecordBatch;

    fn numbers(from: i64) -> RecordBatch {
        batch!("n" => Int64Array [Some(from), None, Some(from + 2)], "s" => StringArray ["a", "", "ü"])
    }

    fn space(bytes: usize) -> SpillSpace {
        SpillSpace::new(MemoryBudget::new(bytes), std::env::temp_dir(), u64::MAX)
    }

    #[test]
    fn what_does_not_fit_in_memory_comes_back_from_disk_unchanged() {
        let space = space(200);
        let mut writer = SpoolWriter::new(&space, numbers(0).schema());
        for n in 0..20 {
            writer.push(numbers(n)).expect("there is disk");
        }
        let spool = writer.finish();
        assert_eq!(spool.rows(), 60);
        assert!(space.bytes_spilled() > 0);
        for _pass in 0..2 {
            let back: Vec<RecordBatch> = spool.iter().map(|item| item.expect("readable")).collect();
            assert_eq!(back, (0..20).map(numbers).collect::<Vec<_>>());
        }
        assert_eq!(spool.get(17).expect("readable"), numbers(17));
        assert!(spool.get(spool.len()).is_err());
        drop(spool);
        assert_eq!((space.budget().used(), space.disk_used()), (0, 0));
    }

    #[test]
    fn what_was_drained_gives_its_disk_back() {
        let space = space(0);
        let mut writer = SpoolWriter::new(&space, numbers(0).schema());
        for n in 0..20 {
            writer.push(numbers(n)).expect("there is disk");
        }
        assert!(space.disk_used() > 0);
        let drained = futures::executor::block_on_stream(writer.finish().drain());
        assert_eq!(drained.count(), 20);
        assert_eq!(space.disk_used(), 0);
    }

    #[test]
    fn a_full_quota_is_a_clear_fault() {
        let space = SpillSpace::new(MemoryBudget::new(0), std::env::temp_dir(), 100);
        let mut writer = SpoolWriter::new(&space, numbers(0).schema());
        let fault = (0..20).find_map(|n| writer.push(numbers(n)).err()).expect("100 bytes are not enough");
        assert_eq!(fault.kind(), crate::FaultKind::Busy);
        assert!(fault.help_text().is_some());
    }
}
