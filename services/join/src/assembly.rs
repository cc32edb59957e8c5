//! From the columns that the engine gives to the columns that were promised.

use crate::layout::{Layout, Source};
use crate::pass::{Pass, Side};
use crate::rows::{plain, recoded};
use arrow::array::{ArrayRef, RecordBatch, new_null_array};
use arrow::compute::{is_not_null, kernels::zip::zip};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::error::ArrowError;
use datafusion_common::JoinType;
use flight_common::{BatchStream, Fault};
use futures::StreamExt;

/// How to make the output of what one pass of the engine gives.
pub struct Assembly {
    /// The columns to ask the engine for.
    pub projection: Vec<usize>,
    schema: SchemaRef,
    cells: Vec<Cell>,
}

/// Where an output column's values are among the columns asked for.
enum Cell {
    Column(usize),
    /// The first unless it is null, else the second.
    FirstOf(usize, usize),
    Missing,
}

impl Assembly {
    /// For this pass of a join of this type. `build_width` is the number of columns of the build side.
    pub fn new(layout: &Layout, join_type: JoinType, pass: Pass, build_width: usize) -> Self {
        let mut projection = Vec::new();
        let mut ask = |side: Side, place: usize| {
            let place = if pass.gives_both() && side != pass.build { build_width + place } else { place };
            projection.iter().position(|asked| *asked == place).unwrap_or_else(|| {
                projection.push(place);
                projection.len() - 1
            })
        };
        let (has_left, has_right) = (pass.gives(Side::Left), pass.gives(Side::Right));
        let cells = layout.sources.iter().map(|source| match *source {
            Source::Left(place) if has_left => Cell::Column(ask(Side::Left, place)),
            Source::Right(place) if has_right => Cell::Column(ask(Side::Right, place)),
            Source::Key(pair) if has_left && has_right && join_type == JoinType::Full => {
                Cell::FirstOf(ask(Side::Left, pair.left), ask(Side::Right, pair.right))
            }
            Source::Key(pair) if has_right && (join_type == JoinType::Right || !has_left) => {
                Cell::Column(ask(Side::Right, pair.right))
            }
            Source::Key(pair) => Cell::Column(ask(Side::Left, pair.left)),
            Source::Left(_) | Source::Right(_) => Cell::Missing,
        });
        let cells = cells.collect();
        Self { projection, schema: layout.schema.clone(), cells }
    }

    /// The output, batch by batch.
    pub fn assemble(self, joined: BatchStream) -> BatchStream {
        let schema = self.schema.clone();
        let items = joined.flat_map(move |batch| {
            let made = batch.and_then(|batch| {
                let mut parts = Vec::new();
                self.make(batch, &mut parts).map(|()| parts)
            });
            futures::stream::iter(match made {
                Ok(parts) => parts.into_iter().map(Ok).collect(),
                Err(fault) => vec![Err(fault)],
            })
        });
        BatchStream::new(schema, items)
    }

    /// One batch, or several if a dictionary's keys cannot count the values of so many rows.
    fn make(&self, batch: RecordBatch, parts: &mut Vec<RecordBatch>) -> Result<(), Fault> {
        let rows = batch.num_rows();
        match self.columns(&batch) {
            Ok(_) if rows == 0 => {}
            Ok(columns) => parts.push(RecordBatch::try_new(self.schema.clone(), columns)?),
            Err(ArrowError::DictionaryKeyOverflowError) if rows > 1 => {
                self.make(batch.slice(0, rows / 2), parts)?;
                self.make(batch.slice(rows / 2, rows - rows / 2), parts)?;
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn columns(&self, batch: &RecordBatch) -> Result<Vec<ArrayRef>, ArrowError> {
        let types = self.schema.fields().iter().map(|field| field.data_type());
        self.cells.iter().zip(types).map(|(cell, data_type)| cell.values(batch, data_type)).collect()
    }
}

impl Cell {
    fn values(&self, batch: &RecordBatch, data_type: &DataType) -> Result<ArrayRef, ArrowError> {
        let values = match *self {
            Self::Column(place) => batch.column(place).clone(),
            Self::FirstOf(first, second) => {
                let first = batch.column(first);
                let second = recoded(batch.column(second), first.data_type())?;
                zip(&is_not_null(first)?, first, &second)?
            }
            Self::Missing => return Ok(new_null_array(data_type, batch.num_rows())),
        };
        // By way of the plain type: the key of the other side may be encoded otherwise.
        let values = recoded(&values, &plain_of(&values, data_type))?;
        recoded(&values, data_type)
    }
}

/// The plain type on the way to `target`; worked out only where there is a way to go.
fn plain_of(values: &ArrayRef, target: &DataType) -> DataType {
    if values.data_type() == target { target.clone() } else { plain(target) }
}
