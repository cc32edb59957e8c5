//! Batches that wait for a value from below.
//!
//! A batch can be filled from below when each target's next value is known. Most batches know theirs from the batch
//! that follows; where a column misses values over many batches, all of them wait, in a spool. With each batch its
//! *head* is kept, the first value of each target; when the last carry is known, the carries of all the waiting batches
//! are worked out from their heads, from the last to the first. Heads and carries are one row for each batch.

use crate::column::Target;
use crate::neighbour::{Carry, newer};
use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, new_null_array};
use arrow::datatypes::{Field, Schema, SchemaRef};
use flight_common::cells::present;
use flight_common::{BatchStream, Fault, SpillSpace, Spool, SpoolWriter};
use futures::{Stream, StreamExt};
use std::sync::Arc;

/// The waiting batches.
pub struct Held {
    space: SpillSpace,
    input: SchemaRef,
    carry: SchemaRef,
    batches: SpoolWriter<RecordBatch>,
    heads: SpoolWriter<RecordBatch>,
    /// Which targets still want a value from below.
    wanting: Vec<bool>,
}

impl Held {
    /// None yet.
    pub fn new(space: &SpillSpace, input: SchemaRef, targets: &[Target]) -> Self {
        let fields: Vec<Field> =
            targets.iter().map(|target| Field::new(&target.name, target.plain.clone(), true)).collect();
        let carry = Arc::new(Schema::new(fields));
        Self {
            space: space.clone(),
            batches: SpoolWriter::new(space, input.clone()),
            heads: SpoolWriter::new(space, carry.clone()),
            input,
            carry,
            wanting: vec![false; targets.len()],
        }
    }

    /// Whether a batch with this head has all that the waiting ones want.
    pub fn is_answered_by(&self, head: &Carry) -> bool {
        self.wanting.iter().zip(head).all(|(wanting, value)| !wanting || value.is_some())
    }

    /// Whether nothing is wanted from below.
    pub fn is_content(&self) -> bool {
        !self.wanting.contains(&true)
    }

    /// Lets one more batch wait, of which this is the head. What it misses in its last row is wanted from now on.
    pub fn push(&mut self, batch: RecordBatch, head: &Carry, targets: &[Target]) -> Result<(), Fault> {
        let Some(last) = batch.num_rows().checked_sub(1) else { return Ok(()) };
        let misses_last = |target: &Target| Ok(present(&batch.column(target.place).slice(last, 1))?.is_some());
        self.wanting = targets.iter().map(misses_last).collect::<Result<_, Fault>>()?;
        self.heads.push(to_batch(head, &self.carry)?)?;
        self.batches.push(batch)
    }

    /// All waiting batches in order, each with its carry; `last` is that of the last one.
    pub fn release(
        &mut self,
        last: Carry,
    ) -> Result<impl Stream<Item = Result<(RecordBatch, Carry), Fault>> + Send + use<>, Fault> {
        let batches = std::mem::replace(&mut self.batches, SpoolWriter::new(&self.space, self.input.clone())).finish();
        let heads = std::mem::replace(&mut self.heads, SpoolWriter::new(&self.space, self.carry.clone())).finish();
        self.wanting.fill(false);
        let carries = self.carries(&heads, last)?;
        let rows: BatchStream = batches.drain();
        Ok(rows.enumerate().map(move |(place, batch)| {
            let carry = carries.get(carries.len() - 1 - place)?;
            Ok((batch?, from_batch(&carry)))
        }))
    }

    /// The carry of each batch, from the last batch to the first.
    fn carries(&self, heads: &Spool<RecordBatch>, last: Carry) -> Result<Spool<RecordBatch>, Fault> {
        let mut carries = SpoolWriter::new(&self.space, self.carry.clone());
        let mut carry = last;
        for place in (0..heads.len()).rev() {
            carries.push(to_batch(&carry, &self.carry)?)?;
            carry = newer(from_batch(&heads.get(place)?), carry);
        }
        Ok(carries.finish())
    }
}

fn to_batch(carry: &Carry, schema: &SchemaRef) -> Result<RecordBatch, Fault> {
    let row = |(value, field): (&Option<ArrayRef>, &Arc<Field>)| match value {
        Some(value) => value.clone(),
        None => new_null_array(field.data_type(), 1),
    };
    let columns = carry.iter().zip(schema.fields()).map(row).collect();
    let one_row = RecordBatchOptions::new().with_row_count(Some(1));
    Ok(RecordBatch::try_new_with_options(schema.clone(), columns, &one_row)?)
}

/// A value that is carried is never null, so that null can stand for none.
fn from_batch(row: &RecordBatch) -> Carry {
    row.columns().iter().map(|column| (column.logical_null_count() == 0).then(|| column.clone())).collect()
}
