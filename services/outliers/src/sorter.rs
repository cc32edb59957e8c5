//! Many small records in order, in bounded memory: an external merge sort.
//!
//! Records gather in a buffer of a fixed share of the memory. A full buffer is sorted and put on a spool as one *run*:
//! memory while there is some, then disk. At the end runs are merged, [`FAN_IN`] at a time, until one is left (Knuth,
//! TAOCP 3, 5.4.1).

use arrow::array::{AsArray, RecordBatch, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, UInt64Type};
use flight_common::{Fault, Reservation, SpillSpace, Spool, SpoolWriter};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;
use std::sync::{Arc, LazyLock};

/// Runs merged at once.
const FAN_IN: usize = 16;
/// The records that the buffer holds at least, and at most.
const BUFFER: (usize, usize) = (256, 256 * 1024);
/// Records merged before others get the thread.
const TURN: u64 = 64 * 1024;

/// What is sorted: by `major`, then `minor`, then `rest`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Record {
    /// What is compared first: a group, or a row.
    pub major: u128,
    /// What is compared next.
    pub minor: u64,
    /// What is compared last.
    pub rest: u64,
}

/// Takes records in, in any order.
pub struct Sorter {
    space: SpillSpace,
    /// Records in a full buffer.
    full: usize,
    buffer: Vec<Record>,
    spool: SpoolWriter<RecordBatch>,
    items: usize,
    runs: Vec<Range<usize>>,
    records: u64,
    /// The buffer is bounded by `full`: it is booked, and need not ask.
    memory: Reservation,
}

impl Sorter {
    /// Sorts within this space, beside `others` that do the same.
    pub fn new(space: &SpillSpace, others: usize) -> Self {
        let share = space.budget().limit() / (16 * (1 + others)) / size_of::<Record>();
        Self {
            space: space.clone(),
            full: share.clamp(BUFFER.0, BUFFER.1),
            buffer: Vec::new(),
            spool: SpoolWriter::new(space, SCHEMA.clone()),
            items: 0,
            runs: Vec::new(),
            records: 0,
            memory: space.budget().reservation(),
        }
    }

    /// Takes one more in.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::Busy`] when neither memory nor disk can take it.
    pub fn push(&mut self, record: Record) -> Result<(), Fault> {
        let held = self.buffer.capacity();
        if self.buffer.len() == self.full {
            self.write_run()?;
        } else if self.buffer.len() == held {
            self.buffer.reserve_exact(held.max(BUFFER.0).min(self.full - held));
            self.memory.grow((self.buffer.capacity() - held) * size_of::<Record>());
        }
        self.buffer.push(record);
        self.records += 1;
        Ok(())
    }

    /// All of them in order.
    ///
    /// # Errors
    /// As [`Sorter::push`].
    pub async fn finish(mut self) -> Result<Sorted, Fault> {
        if !self.buffer.is_empty() {
            self.write_run()?;
        }
        // What the buffer took is enough for the pieces that a merge holds.
        drop(std::mem::take(&mut self.buffer));
        let piece = self.piece();
        let (mut spool, mut runs) = (self.spool.finish(), self.runs);
        while runs.len() > 1 {
            let mut merged = SpoolWriter::new(&self.space, SCHEMA.clone());
            let (mut items, mut longer) = (0, Vec::new());
            for some in runs.chunks(FAN_IN) {
                let first = items;
                merge(&spool, some, piece, |batch| {
                    items += 1;
                    merged.push(batch)
                })
                .await?;
                longer.push(first..items);
            }
            (spool, runs) = (merged.finish(), longer);
        }
        Ok(Sorted { spool: Arc::new(spool), piece: piece as u64, len: self.records })
    }

    /// The records of each item of a run but for its last.
    fn piece(&self) -> usize {
        self.full / FAN_IN
    }

    fn write_run(&mut self) -> Result<(), Fault> {
        self.buffer.sort_unstable();
        let first = self.items;
        for piece in self.buffer.chunks(self.piece()) {
            self.spool.push(to_batch(piece)?)?;
            self.items += 1;
        }
        self.runs.push(first..self.items);
        self.buffer.clear();
        Ok(())
    }
}

async fn merge(
    spool: &Spool<RecordBatch>,
    runs: &[Range<usize>],
    piece: usize,
    mut write: impl FnMut(RecordBatch) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let mut cursors: Vec<Cursor> = runs.iter().cloned().map(Cursor::new).collect();
    let mut heap = BinaryHeap::new();
    for (run, cursor) in cursors.iter_mut().enumerate() {
        heap.extend(cursor.next(spool)?.map(|record| Reverse((record, run))));
    }
    let mut ready = Vec::with_capacity(piece);
    let mut turn = 0;
    while let Some(Reverse((record, run))) = heap.pop() {
        heap.extend(cursors[run].next(spool)?.map(|record| Reverse((record, run))));
        ready.push(record);
        if ready.len() == piece {
            write(to_batch(&ready)?)?;
            ready.clear();
        }
        let_others(&mut turn).await;
    }
    if ready.is_empty() { Ok(()) } else { write(to_batch(&ready)?) }
}

/// Lets others have the thread now and then, so that a cancelled run ends soon.
pub async fn let_others(turn: &mut u64) {
    *turn += 1;
    if turn.is_multiple_of(TURN) {
        tokio::task::yield_now().await;
    }
}

/// Walks one run.
struct Cursor {
    items: Range<usize>,
    batch: RecordBatch,
    row: usize,
}

impl Cursor {
    fn new(items: Range<usize>) -> Self {
        Self { items, batch: RecordBatch::new_empty(SCHEMA.clone()), row: 0 }
    }

    fn next(&mut self, spool: &Spool<RecordBatch>) -> Result<Option<Record>, Fault> {
        if self.row == self.batch.num_rows() {
            let Some(item) = self.items.next() else { return Ok(None) };
            (self.batch, self.row) = (spool.get(item)?, 0);
        }
        self.row += 1;
        Ok(Some(record(&self.batch, self.row - 1)))
    }
}

/// Records in order.
pub struct Sorted {
    spool: Arc<Spool<RecordBatch>>,
    piece: u64,
    len: u64,
}

impl Sorted {
    /// How many there are.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Reads them at any place. Each reader holds a piece of them in memory.
    pub fn reader(&self) -> Reader {
        Reader { spool: self.spool.clone(), piece: self.piece, held: None }
    }
}

/// Reads sorted records.
pub struct Reader {
    spool: Arc<Spool<RecordBatch>>,
    piece: u64,
    held: Option<(u64, RecordBatch)>,
}

impl Reader {
    /// The record at this place, which is below [`Sorted::len`].
    ///
    /// # Errors
    /// What the spill file says.
    pub fn get(&mut self, place: u64) -> Result<Record, Fault> {
        let (item, row) = (place / self.piece, (place % self.piece) as usize);
        if let Some((held, batch)) = &self.held
            && *held == item
        {
            return Ok(record(batch, row));
        }
        let batch = self.spool.get(usize::try_from(item).map_err(Fault::internal)?)?;
        let found = record(&batch, row);
        self.held = Some((item, batch));
        Ok(found)
    }
}

static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let field = |name: &str| Field::new(name, DataType::UInt64, false);
    Arc::new(Schema::new(["high", "low", "minor", "rest"].map(field).to_vec()))
});

fn to_batch(records: &[Record]) -> Result<RecordBatch, Fault> {
    let column = |of: fn(&Record) -> u64| Arc::new(UInt64Array::from_iter_values(records.iter().map(of)));
    let (high, low) = (column(|record| (record.major >> 64) as u64), column(|record| record.major as u64));
    let columns = [high, low, column(|record| record.minor), column(|record| record.rest)];
    Ok(RecordBatch::try_new(SCHEMA.clone(), columns.map(|column| column as _).to_vec())?)
}

fn record(batch: &RecordBatch, row: usize) -> Record {
    let at = |place: usize| batch.column(place).as_primitive::<UInt64Type>().value(row);
    Record { major: u128::from(at(0)) << 64 | u128::from(at(1)), minor: at(2), rest: at(3) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flight_common::MemoryBudget;

    #[tokio::test]
    async fn records_come_back_in_order_with_and_without_memory() {
        for memory in [64 << 20, 100_000, 0] {
            let space = SpillSpace::new(MemoryBudget::new(memory), std::env::temp_dir(), u64::MAX);
            let mut sorter = Sorter::new(&space, 0);
            let scattered = (0..10_000u64).map(|n| n.wrapping_mul(0x9E37_79B9_7F4A_7C15));
            let mut wanted: Vec<Record> =
                scattered.map(|n| Record { major: u128::from(n % 7) << 90, minor: n, rest: n >> 3 }).collect();
            wanted.iter().for_each(|record| sorter.push(*record).expect("there is disk"));
            let sorted = sorter.finish().await.expect("there is disk");
            wanted.sort_unstable();
            let mut reader = sorted.reader();
            let found: Vec<Record> = (0..sorted.len()).map(|place| reader.get(place).expect("readable")).collect();
            assert_eq!(found, wanted, "with {memory} bytes");
            assert_eq!(space.bytes_spilled() > 0, memory < 1 << 20);
            drop((reader, sorted));
            assert_eq!((space.budget().used(), space.disk_used()), (0, 0));
        }
    }

    #[tokio::test]
    async fn nothing_sorted_is_nothing() {
        assert_eq!(Sorter::new(&SpillSpace::default(), 0).finish().await.expect("sorted").len(), 0);
    }
}
