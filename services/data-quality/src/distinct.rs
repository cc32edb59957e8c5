//! How many different hashes there are, within a bounded memory.
//!
//! Hashes are sorted into parts by their leading bits. A part waits in a buffer; a buffer that is full is rid of
//! repeats and, if that does not help, put on a spool: memory while the budget allows, then disk. At the end the parts
//! are counted one by one. A part for which there is no memory is divided again by its next bits, so that nothing fails
//! for want of memory while there is disk.

use arrow::array::{ArrayRef, AsArray, FixedSizeBinaryArray, RecordBatch};
use arrow::buffer::Buffer;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use flight_common::{Fault, Reservation, SpillSpace, Spool, SpoolWriter};
use std::sync::{Arc, LazyLock};

const BITS: u32 = 6;
const PARTS: usize = 1 << BITS;
const BYTES: usize = size_of::<u128>();
/// The hashes that a buffer holds at least, and at most.
const BUFFER: (usize, usize) = (64, 16 * 1024);

/// Counts different hashes.
pub struct Distinct {
    space: SpillSpace,
    /// Leading bits by which the hashes have been divided before they came here.
    depth: u32,
    /// The hashes that a buffer holds before it goes to the spool.
    full: usize,
    parts: Vec<Waiting>,
    spool: SpoolWriter<RecordBatch>,
    /// Items on the spool.
    items: usize,
    /// Buffers are bounded by `full`: they are booked, and need not ask.
    memory: Reservation,
}

#[derive(Default)]
struct Waiting {
    buffer: Vec<u128>,
    /// Where its other hashes lie in the spool.
    places: Vec<usize>,
    spooled: usize,
}

/// Some of the hashes, none of which is in another part: to be counted on any thread.
pub struct Part {
    waiting: Waiting,
    spool: Arc<Spool<RecordBatch>>,
    space: SpillSpace,
    depth: u32,
    full: usize,
    _memory: Arc<Reservation>,
}

impl Distinct {
    /// Counts within this space, beside `others` that do the same.
    pub fn new(space: &SpillSpace, others: usize) -> Self {
        let share = space.budget().limit() / (16 * (1 + others));
        Self::divided(space, 0, (share / (PARTS * BYTES)).clamp(BUFFER.0, BUFFER.1))
    }

    fn divided(space: &SpillSpace, depth: u32, full: usize) -> Self {
        Self {
            space: space.clone(),
            depth,
            full,
            parts: (0..PARTS).map(|_| Waiting::default()).collect(),
            spool: SpoolWriter::new(space, schema()),
            items: 0,
            memory: space.budget().reservation(),
        }
    }

    /// Takes these hashes in.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::Busy`] when neither memory nor disk can take them.
    pub fn add(&mut self, hashes: impl IntoIterator<Item = u128>) -> Result<(), Fault> {
        for hash in hashes {
            let place = (hash << self.depth >> (u128::BITS - BITS)) as usize;
            if self.parts[place].buffer.len() == self.parts[place].buffer.capacity() {
                self.make_room(place)?;
            }
            self.parts[place].buffer.push(hash);
        }
        Ok(())
    }

    /// Makes a buffer larger until it is as large as it may be, then rids it of repeats, then puts it on the spool.
    fn make_room(&mut self, place: usize) -> Result<(), Fault> {
        let part = &mut self.parts[place];
        let held = part.buffer.capacity();
        if held < self.full {
            part.buffer.reserve_exact(held.max(BUFFER.0 / 4).min(self.full - held));
            self.memory.grow((part.buffer.capacity() - held) * BYTES);
            return Ok(());
        }
        part.buffer.sort_unstable();
        part.buffer.dedup();
        if part.buffer.len() > self.full / 2 {
            part.places.push(self.items);
            part.spooled += part.buffer.len();
            self.items += 1;
            self.spool.push(to_batch(std::mem::replace(&mut part.buffer, Vec::with_capacity(held)))?)?;
        }
        Ok(())
    }

    /// Its parts. The number of different hashes is the sum of theirs.
    pub fn finish(self) -> impl Iterator<Item = Part> + Send {
        let Self { space, depth, full, parts, spool, memory, .. } = self;
        let (spool, memory) = (Arc::new(spool.finish()), Arc::new(memory));
        let filled = parts.into_iter().filter(|part| !part.buffer.is_empty() || !part.places.is_empty());
        filled.map(move |waiting| Part {
            waiting,
            spool: spool.clone(),
            space: space.clone(),
            depth: (depth + BITS).min(u128::BITS - BITS),
            full,
            _memory: memory.clone(),
        })
    }
}

impl Part {
    /// How many different hashes are in it.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::Busy`] when neither memory nor disk suffices.
    pub fn count(self) -> Result<u64, Fault> {
        let hashes = self.waiting.spooled + self.waiting.buffer.len();
        let slots = Table::slots(hashes);
        match self.space.budget().try_reserve(slots * BYTES) {
            Some(_memory) => self.count_in_table(Table::new(slots)),
            None if self.waiting.places.is_empty() => Ok(sorted(self.waiting.buffer)),
            None => self.divide(),
        }
    }

    fn count_in_table(self, mut table: Table) -> Result<u64, Fault> {
        table.add(self.waiting.buffer);
        for place in &self.waiting.places {
            table.add(from_batch(&self.spool.get(*place)?));
        }
        Ok(table.different)
    }

    fn divide(self) -> Result<u64, Fault> {
        let mut divided = Distinct::divided(&self.space, self.depth, self.full);
        divided.add(self.waiting.buffer)?;
        for place in &self.waiting.places {
            let batch = self.spool.get(*place)?;
            divided.add(from_batch(&batch))?;
        }
        divided.finish().map(Part::count).sum()
    }
}

/// Without memory of its own, and slower than a table.
fn sorted(mut hashes: Vec<u128>) -> u64 {
    hashes.sort_unstable();
    hashes.dedup();
    hashes.len() as u64
}

/// A hash table with open addressing, of which at least half stays free. Zero marks a free slot.
struct Table {
    slots: Vec<u128>,
    different: u64,
    zero: bool,
}

impl Table {
    fn slots(hashes: usize) -> usize {
        (2 * hashes).next_power_of_two()
    }

    fn new(slots: usize) -> Self {
        Self { slots: vec![0; slots], different: 0, zero: false }
    }

    fn add(&mut self, hashes: impl IntoIterator<Item = u128>) {
        let mask = self.slots.len() - 1;
        for hash in hashes {
            if hash == 0 {
                self.different += u64::from(!self.zero);
                self.zero = true;
                continue;
            }
            // The leading bits have been used to divide the hashes; these are their last ones.
            let mut place = hash as usize & mask;
            while self.slots[place] != 0 && self.slots[place] != hash {
                place = (place + 1) & mask;
            }
            self.different += u64::from(self.slots[place] == 0);
            self.slots[place] = hash;
        }
    }
}

fn schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> =
        LazyLock::new(|| Arc::new(Schema::new(vec![Field::new("hash", DataType::FixedSizeBinary(16), false)])));
    SCHEMA.clone()
}

fn to_batch(hashes: Vec<u128>) -> Result<RecordBatch, Fault> {
    let hashes: Vec<i128> = hashes.into_iter().map(|hash| hash as i128).collect();
    let array: ArrayRef = Arc::new(FixedSizeBinaryArray::try_new(BYTES as i32, Buffer::from_vec(hashes), None)?);
    Ok(RecordBatch::try_new(schema(), vec![array])?)
}

fn from_batch(batch: &RecordBatch) -> impl Iterator<Item = u128> + '_ {
    let (hashes, _) = batch.column(0).as_fixed_size_binary().value_data().as_chunks::<BYTES>();
    hashes.iter().map(|bytes| u128::from_ne_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use flight_common::MemoryBudget;

    fn space(memory: usize) -> SpillSpace {
        SpillSpace::new(MemoryBudget::new(memory), std::env::temp_dir(), u64::MAX)
    }

    /// A number spread over 128 bits: the multiplier is odd, so that different numbers stay different.
    fn spread(number: u128) -> u128 {
        (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
    }

    fn count(space: &SpillSpace, hashes: impl IntoIterator<Item = u128>) -> u64 {
        let mut distinct = Distinct::new(space, 0);
        distinct.add(hashes).expect("there is disk");
        distinct.finish().map(|part| part.count().expect("there is disk")).sum()
    }

    #[test]
    fn repeats_are_counted_once() {
        let space = space(1 << 20);
        assert_eq!(count(&space, []), 0);
        assert_eq!(count(&space, (0..10_000).map(|n| spread(n % 777)).chain([0, 0])), 778);
        assert_eq!((space.bytes_spilled(), space.budget().used()), (0, 0));
    }

    #[test]
    fn what_memory_cannot_hold_is_counted_from_disk() {
        let space = space(100_000);
        assert_eq!(count(&space, (0..200_000).map(|n| spread(n % 150_000))), 150_000);
        assert!(space.bytes_spilled() > 1_000_000);
        assert_eq!((space.budget().used(), space.disk_used()), (0, 0));
    }

    #[test]
    fn without_any_memory_the_parts_are_divided_until_they_fit() {
        let space = space(0);
        assert_eq!(count(&space, (0..100_000).map(|n| spread(n % 70_000))), 70_000);
        assert!(space.budget().peak() <= 3 * PARTS * BUFFER.0 * BYTES, "{}", space.budget().peak());
    }

    #[test]
    fn a_few_hashes_over_and_over_need_no_disk() {
        let space = space(0);
        assert_eq!(count(&space, (0..200_000).map(|n| spread(n % 2))), 2);
        assert_eq!(count(&space, (0..200_000).map(|n| n % 20)), 20, "equal in all but the last bits");
        assert_eq!(space.bytes_spilled(), 0);
    }

    #[test]
    fn hashes_that_differ_in_their_last_bits_only_are_divided_to_the_end() {
        let space = space(0);
        assert_eq!(count(&space, (0..3000).map(|n| n % 1000)), 1000);
    }
}
