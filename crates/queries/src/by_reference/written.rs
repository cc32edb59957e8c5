//! Rows written out: views become what they stand for, some rows at a time.

use crate::node::Does;
use crate::sizes::sizes;
use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::compute::cast;
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::{StreamExt, stream};
use std::ops::Range;
use std::sync::Arc;

/// Bytes that are written out at a time; a row that is longer goes alone.
const PIECE: u64 = 4 << 20;

/// Rows written out: what an operator gives over views, in the types of this schema, that it would give without.
#[derive(Debug)]
pub(super) struct Written(pub SchemaRef);

impl Does for Written {
    const NAME: &'static str = "Written";

    fn execute(
        &self,
        inner: &Arc<dyn ExecutionPlan>,
        partition: usize,
        task: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let schema = self.0.clone();
        let viewing = inner.execute(partition, task)?;
        let written = {
            let schema = schema.clone();
            viewing.flat_map(move |batch| match batch {
                Ok(batch) => stream::iter(pieces(&batch, &schema)).left_stream(),
                Err(error) => stream::iter([Err(error)]).right_stream(),
            })
        };
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, written)))
    }
}

/// A batch of views, cut so that each piece is small when it is written out in this schema.
pub(super) fn pieces(
    batch: &RecordBatch,
    schema: &SchemaRef,
) -> impl Iterator<Item = Result<RecordBatch>> + Send + use<> {
    let (batch, schema) = (batch.clone(), schema.clone());
    cuts(&batch).into_iter().map(move |rows| {
        let piece = batch.slice(rows.start, rows.len());
        let columns = piece.columns().iter().zip(schema.fields()).map(|(column, field)| {
            match column.data_type() == field.data_type() {
                true => Ok(column.clone()),
                false => cast(column, field.data_type()),
            }
        });
        let columns = columns.collect::<std::result::Result<Vec<ArrayRef>, _>>()?;
        let rows = RecordBatchOptions::new().with_row_count(Some(piece.num_rows()));
        Ok(RecordBatch::try_new_with_options(schema.clone(), columns, &rows)?)
    })
}

/// The rows of each piece.
fn cuts(batch: &RecordBatch) -> Vec<Range<usize>> {
    let mut bytes = vec![0_u64; batch.num_rows()];
    for column in batch.columns().iter().filter(|column| is_view(column.data_type())) {
        bytes.iter_mut().zip(sizes(column)).for_each(|(all, one)| *all = all.saturating_add(one));
    }
    let (mut cuts, mut begun, mut sum) = (Vec::new(), 0, 0_u64);
    for (row, more) in bytes.iter().enumerate() {
        if sum.saturating_add(*more) > PIECE && row > begun {
            cuts.push(begun..row);
            (begun, sum) = (row, 0);
        }
        sum = sum.saturating_add(*more);
    }
    cuts.push(begun..batch.num_rows());
    cuts
}

fn is_view(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8View | DataType::BinaryView)
}
