//! Counts of byte strings, in memory while there is some, then in sorted runs.
//!
//! When the memory for distinct values is used up, they are written out in order with their counts, as one *run*, and
//! counting starts over. At the end the runs are merged: equal values meet, and their counts are added. One pass over
//! the input is enough however many distinct values there are.

use arrow::array::{AsArray, LargeBinaryArray, RecordBatch, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, UInt64Type};
use flight_common::{Fault, Reservation, SpillSpace, Spool, SpoolWriter};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::ops::Range;
use std::sync::Arc;

/// What a distinct value takes in the map besides its bytes: the entry, its share of free places, the allocation.
const ENTRY: usize = 96;
/// Bytes of values in one item of a run: what the merge holds of each run.
const PIECE: usize = 64 << 10;
/// Values merged before others get the thread.
const TURN: usize = 4096;

/// Counts so far.
pub struct Tally {
    space: SpillSpace,
    memory: Reservation,
    /// Memory taken without asking.
    floor: usize,
    counts: HashMap<Box<[u8]>, u64>,
    spilled: Option<SpoolWriter<RecordBatch>>,
    items: usize,
    /// The items of each run.
    runs: Vec<Range<usize>>,
}

/// The value with the highest count; of several the smallest, provided that values come in order.
#[derive(Default)]
struct Best {
    value: Option<Box<[u8]>>,
    count: u64,
}

impl Best {
    fn offer(&mut self, value: &[u8], count: u64) {
        let first = self.value.as_deref().is_none_or(|best| value < best);
        if count > self.count || (count == self.count && first) {
            *self = Self { value: Some(value.into()), count };
        }
    }
}

impl Tally {
    /// Nothing counted yet. `floor` bytes may be taken even if the budget has none.
    pub fn new(space: &SpillSpace, floor: usize) -> Self {
        Self {
            memory: space.budget().reservation(),
            space: space.clone(),
            floor,
            counts: HashMap::new(),
            spilled: None,
            items: 0,
            runs: Vec::new(),
        }
    }

    /// Counts one value.
    pub fn add(&mut self, value: &[u8]) -> Result<(), Fault> {
        if let Some(count) = self.counts.get_mut(value) {
            *count += 1;
            return Ok(());
        }
        let cost = value.len() + ENTRY;
        if !self.take(cost) {
            self.write_run()?;
            // A value larger than all there is must still be counted; its row was in memory a moment ago.
            self.memory.grow(cost);
        }
        self.counts.insert(value.into(), 1);
        Ok(())
    }

    fn take(&mut self, cost: usize) -> bool {
        if self.memory.bytes() + cost <= self.floor {
            self.memory.grow(cost);
            return true;
        }
        self.memory.try_grow(cost)
    }

    /// The most frequent value; nothing if there is none at all.
    pub async fn most_frequent(mut self) -> Result<Option<Box<[u8]>>, Fault> {
        let mut best = Best::default();
        if self.runs.is_empty() {
            self.counts.iter().for_each(|(value, count)| best.offer(value, *count));
            return Ok(best.value);
        }
        self.write_run()?;
        let Some(spilled) = self.spilled.take() else { return Ok(None) };
        let mut merge = Merge::new(spilled.finish(), self.runs)?;
        self.memory.grow(merge.cursors.len() * PIECE);
        while !merge.next(TURN, &mut best)? {
            tokio::task::yield_now().await;
        }
        Ok(best.value)
    }

    fn write_run(&mut self) -> Result<(), Fault> {
        let mut counts: Vec<(Box<[u8]>, u64)> = std::mem::take(&mut self.counts).into_iter().collect();
        if counts.is_empty() {
            return Ok(());
        }
        counts.sort_unstable();
        let first = self.items;
        let writer = self.spilled.get_or_insert_with(|| SpoolWriter::new(&self.space, schema()));
        let mut rest = counts.as_slice();
        while !rest.is_empty() {
            let mut bytes = 0;
            let fitting = rest.iter().take_while(|(value, _)| {
                bytes += value.len() + size_of::<u64>();
                bytes <= PIECE
            });
            let (piece, more) = rest.split_at(fitting.count().max(1));
            writer.push(to_batch(piece)?)?;
            self.items += 1;
            rest = more;
        }
        drop(counts);
        self.memory.shrink(self.memory.bytes());
        self.runs.push(first..self.items);
        Ok(())
    }
}

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("value", DataType::LargeBinary, false),
        Field::new("count", DataType::UInt64, false),
    ]))
}

fn to_batch(piece: &[(Box<[u8]>, u64)]) -> Result<RecordBatch, Fault> {
    let values = LargeBinaryArray::from_iter_values(piece.iter().map(|(value, _)| value));
    let counts = UInt64Array::from_iter_values(piece.iter().map(|(_, count)| *count));
    Ok(RecordBatch::try_new(schema(), vec![Arc::new(values), Arc::new(counts)])?)
}

/// Walks all runs at once in the order of their values.
struct Merge {
    spool: Spool<RecordBatch>,
    cursors: Vec<Cursor>,
    /// The next value of each run, smallest first.
    heap: BinaryHeap<Reverse<(Box<[u8]>, usize)>>,
    /// The value whose counts are being added.
    value: Option<Box<[u8]>>,
    count: u64,
}

struct Cursor {
    items: Range<usize>,
    batch: RecordBatch,
    row: usize,
}

impl Merge {
    fn new(spool: Spool<RecordBatch>, runs: Vec<Range<usize>>) -> Result<Self, Fault> {
        let cursors = runs.into_iter().map(|items| Cursor { items, batch: RecordBatch::new_empty(schema()), row: 0 });
        let mut merge = Self { spool, cursors: cursors.collect(), heap: BinaryHeap::new(), value: None, count: 0 };
        for run in 0..merge.cursors.len() {
            merge.refill(run)?;
        }
        Ok(merge)
    }

    /// Offers up to `turn` further values, and says whether that was all.
    fn next(&mut self, turn: usize, best: &mut Best) -> Result<bool, Fault> {
        for _ in 0..turn {
            let Some(Reverse((value, run))) = self.heap.pop() else {
                if let Some(value) = self.value.take() {
                    best.offer(&value, self.count);
                }
                return Ok(true);
            };
            let cursor = &mut self.cursors[run];
            let count = cursor.batch.column(1).as_primitive::<UInt64Type>().value(cursor.row);
            cursor.row += 1;
            if self.value.as_deref() == Some(&*value) {
                self.count += count;
            } else if let Some(done) = self.value.replace(value) {
                best.offer(&done, std::mem::replace(&mut self.count, count));
            } else {
                self.count = count;
            }
            self.refill(run)?;
        }
        Ok(false)
    }

    /// Puts the next value of a run on the heap, if there is one.
    fn refill(&mut self, run: usize) -> Result<(), Fault> {
        let cursor = &mut self.cursors[run];
        if cursor.row == cursor.batch.num_rows() {
            let Some(item) = cursor.items.next() else { return Ok(()) };
            cursor.batch = self.spool.get(item)?;
            cursor.row = 0;
        }
        let value = cursor.batch.column(0).as_binary::<i64>().value(cursor.row);
        self.heap.push(Reverse((value.into(), run)));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flight_common::MemoryBudget;

    async fn most_frequent(values: &[&str], memory: usize) -> (Option<String>, u64) {
        let space = SpillSpace::new(MemoryBudget::new(memory), std::env::temp_dir(), u64::MAX);
        let mut tally = Tally::new(&space, 0);
        values.iter().for_each(|value| tally.add(value.as_bytes()).expect("there is disk"));
        let best = tally.most_frequent().await.expect("there is disk");
        assert_eq!(space.budget().used(), 0);
        (best.map(|value| String::from_utf8_lossy(&value).into_owned()), space.bytes_spilled())
    }

    #[tokio::test]
    async fn the_most_frequent_value_is_found_with_and_without_memory() {
        let names: Vec<String> = (0..500).map(|n| format!("name {}", n % 90)).collect();
        let mut values: Vec<&str> = names.iter().map(String::as_str).collect();
        values.extend(["name 77", "name 77"]);
        for memory in [1 << 20, 1000, 0] {
            let (best, spilled) = most_frequent(&values, memory).await;
            assert_eq!(best.as_deref(), Some("name 77"), "with {memory} bytes");
            assert_eq!(spilled > 0, memory < 1 << 20);
        }
    }

    #[tokio::test]
    async fn of_equally_frequent_values_the_smallest_wins() {
        for memory in [1 << 20, 0] {
            assert_eq!(most_frequent(&["c", "b", "a", "b", "c"], memory).await.0.as_deref(), Some("b"));
            assert_eq!(most_frequent(&[], memory).await.0, None);
        }
    }
}
