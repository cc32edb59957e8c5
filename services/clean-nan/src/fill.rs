//! One value for all that is missing in a column, and rows without what is missing.

use crate::column::{Target, replace};
use arrow::array::{ArrayRef, BooleanArray, RecordBatch, Scalar};
use arrow::buffer::NullBuffer;
use arrow::compute::filter_record_batch;
use arrow::compute::kernels::zip::zip;
use flight_common::Fault;
use flight_common::cells::{plain, present};
use std::sync::Arc;

/// Puts one value into each of some columns.
#[derive(Clone)]
pub struct Filler(Arc<[(usize, ArrayRef)]>);

impl Filler {
    /// The values, each as one row of its column's plain type, by the column's place.
    pub fn new(values: impl IntoIterator<Item = (usize, ArrayRef)>) -> Self {
        Self(values.into_iter().collect())
    }

    /// The batch with nothing missing in those columns, and how many values were put in.
    pub fn fill(&self, batch: RecordBatch) -> Result<(RecordBatch, u64), Fault> {
        let mut filled = 0;
        let mut new = Vec::new();
        for (place, value) in self.0.iter() {
            let column = batch.column(*place);
            let Some(present) = present(column)? else { continue };
            filled += present.null_count() as u64;
            let mask = BooleanArray::new(present.inner().clone(), None);
            new.push((*place, zip(&mask, &plain(column)?, &Scalar::new(value.clone()))?));
        }
        match new.is_empty() {
            true => Ok((batch, 0)),
            false => Ok((replace(&batch, new)?, filled)),
        }
    }
}

/// The rows that miss nothing in these columns, and how many went.
pub fn complete_rows(batch: RecordBatch, targets: &[Target]) -> Result<(RecordBatch, u64), Fault> {
    let mut complete: Option<NullBuffer> = None;
    for target in targets {
        complete = NullBuffer::union(complete.as_ref(), present(batch.column(target.place))?.as_ref());
    }
    let Some(complete) = complete else { return Ok((batch, 0)) };
    let kept = filter_record_batch(&batch, &BooleanArray::new(complete.inner().clone(), None))?;
    Ok((kept, complete.null_count() as u64))
}
