//! Rows dealt out by the hash of their key, so that rows that may match come to places of equal number: spools, here,
//! or the tables of [`crate::routing`].

use crate::rows::WHOLE;
use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, is_null, or, take_record_batch};
use arrow::datatypes::SchemaRef;
use datafusion_common::hash_utils::{QualityRandomState, create_hashes};
use flight_common::wire::{row_bytes, split};
use flight_common::{BatchStream, Fault, SpillSpace, Spool, SpoolWriter, StepContext};
use futures::{Stream, StreamExt, TryStreamExt};
use std::sync::Arc;

/// The rows of a batch that go to a place.
pub type Share = (usize, RecordBatch);

/// How rows are dealt out.
#[derive(Clone, Debug)]
pub struct Deal {
    /// The number of places to deal to.
    pub places: usize,
    /// The places of the key.
    pub keys: Arc<[usize]>,
    /// Another one deals otherwise.
    pub seed: u64,
    /// Whether rows with a null in the key match nothing, and so may go anywhere.
    pub nulls_anywhere: bool,
}

impl Deal {
    /// The shares of each batch, worked out on as many threads as there are cores.
    pub fn shares(
        self,
        rows: BatchStream,
        context: &StepContext,
    ) -> impl Stream<Item = Result<Vec<Share>, Fault>> + Send + 'static {
        context.map_parallel(rows, move |batch| self.deal(&batch))
    }

    /// Deals all rows out to spools. Before it is written, about `gather` bytes wait for each.
    ///
    /// # Errors
    /// The stream's fault, or that neither memory nor disk can take the rows.
    pub async fn into_spools(
        self,
        rows: BatchStream,
        gather: usize,
        context: &StepContext,
    ) -> Result<Vec<Spool<RecordBatch>>, Fault> {
        let schema = rows.schema();
        let mut writers: Vec<Writer> = (0..self.places).map(|_| Writer::new(context.space(), &schema)).collect();
        let mut dealt = self.shares(rows, context).boxed();
        while let Some(shares) = dealt.try_next().await? {
            for (place, share) in shares {
                writers[place].push(share, gather)?;
            }
        }
        writers.into_iter().map(Writer::finish).collect()
    }

    fn deal(&self, batch: &RecordBatch) -> Result<Vec<Share>, Fault> {
        let even = batch.num_rows() / self.places;
        let mut rows: Vec<Vec<u32>> = (0..self.places).map(|_| Vec::with_capacity(even + even / 4)).collect();
        for (row, place) in self.places_of(batch)?.into_iter().enumerate() {
            rows[place].push(u32::try_from(row).map_err(Fault::internal)?);
        }
        let filled = rows.into_iter().enumerate().filter(|(_, rows)| !rows.is_empty());
        let share = |(place, rows)| {
            let share = take_record_batch(batch, &UInt32Array::from(rows))?;
            Ok(split(share, WHOLE).into_iter().map(move |share| (place, share)))
        };
        let shares: Result<Vec<_>, Fault> = filled.map(share).collect();
        Ok(shares?.into_iter().flatten().collect())
    }

    fn places_of(&self, batch: &RecordBatch) -> Result<Vec<usize>, Fault> {
        let keys: Vec<ArrayRef> = self.keys.iter().map(|place| batch.column(*place).clone()).collect();
        let mut hashes = vec![0; batch.num_rows()];
        create_hashes(&keys, &QualityRandomState::with_seed(self.seed), &mut hashes).map_err(Fault::internal)?;
        let count = self.places as u64;
        // The upper half of the hash, scaled to the number of places.
        let mut places: Vec<usize> = hashes.into_iter().map(|hash| (((hash >> 32) * count) >> 32) as usize).collect();
        if self.nulls_anywhere
            && let Some(nulls) = any_null(&keys)?
        {
            for row in nulls.values().set_indices() {
                places[row] = row % self.places;
            }
        }
        Ok(places)
    }
}

/// Which rows have a null in the key, if there is any.
fn any_null(keys: &[ArrayRef]) -> Result<Option<BooleanArray>, Fault> {
    let mut found: Option<BooleanArray> = None;
    for key in keys.iter().filter(|key| key.is_nullable()) {
        let nulls = is_null(key)?;
        found = Some(match found {
            Some(before) => or(&before, &nulls)?,
            None => nulls,
        });
    }
    Ok(found)
}

/// Gathers shares until they are worth writing.
struct Writer {
    spool: SpoolWriter<RecordBatch>,
    schema: SchemaRef,
    shares: Vec<RecordBatch>,
    bytes: usize,
}

impl Writer {
    fn new(space: &SpillSpace, schema: &SchemaRef) -> Self {
        Self { spool: SpoolWriter::new(space, schema.clone()), schema: schema.clone(), shares: Vec::new(), bytes: 0 }
    }

    fn push(&mut self, share: RecordBatch, gather: usize) -> Result<(), Fault> {
        self.bytes += row_bytes(&share);
        self.shares.push(share);
        if self.bytes >= gather { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> Result<(), Fault> {
        let shares = std::mem::take(&mut self.shares);
        self.bytes = 0;
        if !shares.is_empty() {
            self.spool.push(concat_batches(&self.schema, &shares)?)?;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Spool<RecordBatch>, Fault> {
        self.write()?;
        Ok(self.spool.finish())
    }
}
