//! Whether two runs of a step gave equal rows.

use crate::describe::{StepKind, StepSpec};
use crate::testing::Ran;
use arrow::array::{Array, RecordBatch};
use arrow::compute::concat_batches;
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};

/// The first difference between two runs, over all outputs. Rows of a step that keeps no order may have changed places;
/// the receipts of a load may name different files.
pub(super) fn difference(spec: &StepSpec, one: &Ran, other: &Ran) -> Option<String> {
    let of = |ran: &Ran| -> Result<Vec<RecordBatch>, ArrowError> {
        let main = concat_batches(&ran.schema, &ran.batches)?;
        Ok(std::iter::once(main).chain(ran.further.iter().flatten().cloned()).collect())
    };
    let (one, other) = match (of(one), of(other)) {
        (Ok(one), Ok(other)) => (one, other),
        (Err(error), _) | (_, Err(error)) => return Some(error.to_string()),
    };
    let pairs = spec.outputs.iter().zip(one.iter().zip(&other));
    pairs.filter_map(|(output, (one, other))| Some(format!("{output}: {}", tables(spec, one, other)?))).next()
}

fn tables(spec: &StepSpec, one: &RecordBatch, other: &RecordBatch) -> Option<String> {
    if one.num_rows() != other.num_rows() {
        return Some(format!("{} rows, and {} rows", one.num_rows(), other.num_rows()));
    }
    let is_receipt = spec.kind == StepKind::Load;
    if one.schema().fields() != other.schema().fields() {
        return Some(format!("{:?}, and {:?}", one.schema(), other.schema()));
    }
    if spec.keeps_order && !is_receipt {
        // To the last bit: NaN equals itself here, and 0.0 is not -0.0.
        let differs = |place: &usize| one.column(*place) != other.column(*place);
        let place = (0..one.num_columns()).find(differs)?;
        return Some(format!("column {} holds other values", one.schema().field(place).name()));
    }
    let lines = |batch: &RecordBatch| -> Result<Vec<String>, ArrowError> {
        let mut lines = lines(batch, is_receipt)?;
        lines.sort();
        Ok(lines)
    };
    match (lines(one), lines(other)) {
        (Ok(one), Ok(other)) => {
            let (one, other) = one.into_iter().zip(other).find(|(one, other)| one != other)?;
            Some(format!("a row {one}, and a row {other}"))
        }
        (Err(error), _) | (_, Err(error)) => Some(error.to_string()),
    }
}

/// Each row as a text that tells all its values apart.
fn lines(batch: &RecordBatch, is_receipt: bool) -> Result<Vec<String>, ArrowError> {
    let options = FormatOptions::default().with_display_error(false);
    let schema = batch.schema();
    let columns = schema.fields().iter().zip(batch.columns());
    let columns = columns.filter(|(field, _)| !(is_receipt && field.name() == "path"));
    let columns = columns.map(|(_, column)| Ok((column.logical_nulls(), ArrayFormatter::try_new(column, &options)?)));
    let columns: Vec<_> = columns.collect::<Result<_, ArrowError>>()?;
    let line = |row: usize| {
        let cells = columns.iter().map(|(nulls, column)| match nulls {
            Some(nulls) if nulls.is_null(row) => Ok("null".to_owned()),
            _ => Ok(format!("{:?}", column.value(row).try_to_string()?)),
        });
        Ok(format!("({})", cells.collect::<Result<Vec<_>, ArrowError>>()?.join(", ")))
    };
    (0..batch.num_rows()).map(line).collect()
}
