//! Rows dealt out to spools by the hash of their key, so that rows that may match lie in spools of equal number.

use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, is_null, or, take_record_batch};
use arrow::datatypes::SchemaRef;
use datafusion_common::hash_utils::{QualityRandomState, create_hashes};
use flight_common::wire::{row_bytes, split};
use flight_common::{BatchStream, Fault, SpillSpace, Spool, SpoolWriter, StepContext};
use futures::{StreamExt, TryStreamExt};
use std::sync::Arc;

/// How rows are dealt out.
#[derive(Clone, Debug)]
pub struct Deal {
    /// The number of spools.
    pub spools: usize,
    /// Bytes that are gathered for a spool before they are written to it.
    pub gather: usize,
    /// The places of the key.
    pub keys: Arc<[usize]>,
    /// Another one deals otherwise.
    pub seed: u64,
    /// Whether rows with a null in the key match nothing, and so may go anywhere.
    pub nulls_anywhere: bool,
}

impl Deal {
    /// Deals all rows out, on as many threads as there are cores.
    ///
    /// # Errors
    /// The stream's fault, or that neither memory nor disk can take the rows.
    pub async fn all(self, rows: BatchStream, context: &StepContext) -> Result<Vec<Spool<RecordBatch>>, Fault> {
        let schema = rows.schema();
        let (spools, gather) = (self.spools, self.gather);
        let mut writers: Vec<Writer> = (0..spools).map(|_| Writer::new(context.space(), &schema)).collect();
        let dealt = context.map_parallel(rows, move |batch| self.deal(&batch));
        let mut dealt = std::pin::pin!(dealt.boxed());
        while let Some(shares) = dealt.try_next().await? {
            for (place, share) in shares {
                writers[place].push(share, gather)?;
            }
        }
        writers.into_iter().map(Writer::finish).collect()
    }

    /// The shares of a batch: the number of a spool, and its rows.
    fn deal(&self, batch: &RecordBatch) -> Result<Vec<(usize, RecordBatch)>, Fault> {
        let mut rows: Vec<Vec<u32>> = vec![Vec::new(); self.spools];
        for (row, place) in self.places(batch)?.into_iter().enumerate() {
            rows[place].push(u32::try_from(row).map_err(Fault::internal)?);
        }
        let filled = rows.into_iter().enumerate().filter(|(_, rows)| !rows.is_empty());
        filled.map(|(place, rows)| Ok((place, take_record_batch(batch, &UInt32Array::from(rows))?))).collect()
    }

    fn places(&self, batch: &RecordBatch) -> Result<Vec<usize>, Fault> {
        let keys: Vec<ArrayRef> = self.keys.iter().map(|place| batch.column(*place).clone()).collect();
        let mut hashes = vec![0; batch.num_rows()];
        create_hashes(&keys, &QualityRandomState::with_seed(self.seed), &mut hashes).map_err(Fault::internal)?;
        let spools = self.spools as u64;
        // The upper half of the hash, scaled to the number of spools.
        let mut places: Vec<usize> = hashes.into_iter().map(|hash| (((hash >> 32) * spools) >> 32) as usize).collect();
        if self.nulls_anywhere
            && let Some(nulls) = any_null(&keys)?
        {
            for row in nulls.values().set_indices() {
                places[row] = row % self.spools;
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
            // Not cut, but rid of the string data of rows that went elsewhere.
            for part in split(concat_batches(&self.schema, &shares)?, usize::MAX / 2) {
                self.spool.push(part)?;
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Spool<RecordBatch>, Fault> {
        self.write()?;
        Ok(self.spool.finish())
    }
}
