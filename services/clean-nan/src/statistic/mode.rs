//! The most frequent value of a column.

use super::tally::Tally;
use super::{Survey, visit};
use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, RecordBatch};
use arrow::buffer::NullBuffer;
use arrow::compute::{cast, filter};
use arrow::datatypes::{DataType, Float16Type, Float32Type, Float64Type};
use arrow::row::{RowConverter, SortField};
use flight_common::cells::plain;
use flight_common::{Fault, Spool, StepContext};
use std::ops::Add;
use std::sync::Arc;

/// Memory that counting may take even if the budget has none left, because rows wait in it: without any, each value
/// would be a run of its own.
const FLOOR: usize = 8 << 20;

/// The mode of each of these columns.
pub async fn of(
    surveys: &[Survey],
    rows: &Spool<RecordBatch>,
    context: &StepContext,
) -> Result<Vec<Option<ArrayRef>>, Fault> {
    let floor = FLOOR / surveys.len().max(1);
    let counter = |survey: &Survey| Counter::new(&survey.target.plain, Tally::new(context.space(), floor));
    let mut counters = surveys.iter().map(counter).collect::<Result<Vec<Counter>, Fault>>()?;
    visit(&mut counters, surveys, rows, |counter, column, present| counter.see(column, present)).await?;
    let mut modes = Vec::new();
    for (counter, survey) in counters.into_iter().zip(surveys) {
        modes.push(counter.mode(&survey.target.plain).await?);
    }
    Ok(modes)
}

/// Counts values as Arrow's comparable rows: bytes that are equal if the values are, and sort as the values do.
struct Counter {
    rows: RowConverter,
    tally: Tally,
}

impl Counter {
    fn new(plain: &DataType, tally: Tally) -> Result<Self, Fault> {
        Ok(Self { rows: RowConverter::new(vec![SortField::new(plain.clone())])?, tally })
    }

    fn see(&mut self, column: &ArrayRef, present: Option<&NullBuffer>) -> Result<(), Fault> {
        let column = plain(column)?;
        let values = match present {
            Some(present) => filter(&column, &BooleanArray::new(present.inner().clone(), None))?,
            None => column,
        };
        let rows = self.rows.convert_columns(&[with_one_zero(values)])?;
        rows.iter().try_for_each(|row| self.tally.add(row.data()))
    }

    async fn mode(self, plain: &DataType) -> Result<Option<ArrayRef>, Fault> {
        let Some(value) = self.tally.most_frequent().await? else { return Ok(None) };
        let mut columns = self.rows.convert_rows([self.rows.parser().parse(&value)])?;
        let value = columns.pop().ok_or_else(|| Fault::internal("a row without its column"))?;
        Ok(Some(if value.data_type() == plain { value } else { cast(&value, plain)? }))
    }
}

/// Floats have two zeros that are equal and sort apart: both as the positive one.
fn with_one_zero(values: ArrayRef) -> ArrayRef {
    match values.data_type() {
        DataType::Float16 => plus_zero::<Float16Type>(&values),
        DataType::Float32 => plus_zero::<Float32Type>(&values),
        DataType::Float64 => plus_zero::<Float64Type>(&values),
        _ => values,
    }
}

fn plus_zero<T: ArrowPrimitiveType>(values: &ArrayRef) -> ArrayRef
where
    T::Native: Add<Output = T::Native>,
{
    let zero = T::Native::default();
    Arc::new(values.as_primitive::<T>().unary::<_, T>(|value| value + zero))
}
