//! What is done about the outliers of a batch.

use crate::border::Border;
use crate::moments::{floats, numbers};
use crate::params::Action;
use crate::plan::Plan;
use arrow::array::{Array, ArrayRef, BooleanArray, Decimal256Array, Float64Array, RecordBatch};
use arrow::buffer::BooleanBuffer;
use arrow::compute::kernels::zip::zip;
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::{DataType, i256};
use flight_common::Fault;
use flight_common::cells::plain_type;
use std::sync::Arc;

/// Which values of a batch's column are outliers.
pub enum Marks {
    /// Those beyond this border; none without one.
    Border(Option<Border>),
    /// Those in these rows of the batch, each with the nearest value that is no outlier.
    Rows(Vec<(usize, f64)>),
}

/// The outliers of a column.
struct Found {
    rows: BooleanBuffer,
    /// For each row with one, the nearest value that is none.
    nearest: Vec<(usize, f64)>,
}

impl Marks {
    fn found(self, batch: &RecordBatch, place: usize) -> Result<Found, Fault> {
        let border = match self {
            Self::Border(border) => border,
            Self::Rows(nearest) => {
                let mut rows = vec![false; batch.num_rows()];
                nearest.iter().for_each(|(row, _)| rows[*row] = true);
                return Ok(Found { rows: rows.into(), nearest });
            }
        };
        let Some(border) = border else {
            return Ok(Found { rows: BooleanBuffer::new_unset(batch.num_rows()), nearest: Vec::new() });
        };
        let numbers = numbers(batch, place)?;
        let values = numbers.values();
        let rows = BooleanBuffer::collect_bool(values.len(), |row| border.nearest(values[row]).is_some());
        // What lies under a null is no value.
        let rows = match numbers.nulls() {
            Some(nulls) => &rows & nulls.inner(),
            None => rows,
        };
        let nearest = rows.set_indices().filter_map(|row| Some((row, border.nearest(values[row])?))).collect();
        Ok(Found { rows, nearest })
    }
}

/// The batch after treatment, and how many rows are gone, or how many values were clipped or flagged. A batch without
/// outliers is passed on as it is.
pub fn treat(plan: &Plan, batch: RecordBatch, marks: Vec<Marks>) -> Result<(RecordBatch, u64), Fault> {
    let found = plan.places.iter().zip(marks).map(|(place, marks)| marks.found(&batch, *place));
    let found: Vec<Found> = found.collect::<Result<_, _>>()?;
    let values: usize = found.iter().map(|found| found.nearest.len()).sum();
    match plan.action {
        Action::Flag => Ok((flagged(plan, batch, found)?, values as u64)),
        Action::Remove | Action::Clip if values == 0 => Ok((batch, 0)),
        Action::Clip => Ok((clipped(plan, batch, &found)?, values as u64)),
        Action::Remove => {
            let none = BooleanBuffer::new_unset(batch.num_rows());
            let any = found.iter().fold(none, |any, found| &any | &found.rows);
            let removed = any.count_set_bits() as u64;
            Ok((filter_record_batch(&batch, &BooleanArray::new(!&any, None))?, removed))
        }
    }
}

fn flagged(plan: &Plan, batch: RecordBatch, found: Vec<Found>) -> Result<RecordBatch, Fault> {
    let mut columns = batch.columns().to_vec();
    columns.extend(found.into_iter().map(|found| Arc::new(BooleanArray::new(found.rows, None)) as ArrayRef));
    Ok(RecordBatch::try_new(plan.output.clone(), columns)?)
}

fn clipped(plan: &Plan, batch: RecordBatch, found: &[Found]) -> Result<RecordBatch, Fault> {
    let mut columns = batch.columns().to_vec();
    for (place, found) in plan.places.iter().zip(found).filter(|(_, found)| !found.nearest.is_empty()) {
        columns[*place] = clip(&columns[*place], found).map_err(|fault| {
            let name = batch.schema_ref().field(*place).name();
            fault.column(name)
        })?;
    }
    Ok(RecordBatch::try_new(batch.schema(), columns)?)
}

/// The column with the outliers in these rows replaced, in its own type.
fn clip(column: &ArrayRef, found: &Found) -> Result<ArrayRef, Fault> {
    let plain = plain_type(column.data_type());
    let values = cast(column, plain)?;
    let original = floats(&values)?;
    let mut nearest = vec![0.0; column.len()];
    for (row, value) in &found.nearest {
        // Rounded towards the middle, so that what is put in is no outlier.
        nearest[*row] = inward(*value, original.value(*row), plain);
    }
    let nearest = in_type(nearest, plain)?;
    let mask = BooleanArray::new(found.rows.clone(), None);
    if found.nearest.iter().any(|(row, _)| nearest.is_null(*row)) {
        return Err(Fault::bad_data(format!("the nearest value that is no outlier does not fit into {plain}"))
            .help("use action: remove or action: flag"));
    }
    let merged = zip(&mask, &nearest, &values)?;
    match plain == column.data_type() {
        true => Ok(merged),
        false => Ok(cast(&merged, column.data_type())?),
    }
}

/// `nearest` as a number that the type holds: whole, or with the digits of its scale, on the side away from `original`.
fn inward(nearest: f64, original: f64, plain: &DataType) -> f64 {
    let whole = |value: f64| if original < nearest { value.ceil() } else { value.floor() };
    match scale(plain) {
        Some(scale) => whole(nearest * 10f64.powi(scale.into())),
        None if plain.is_integer() => whole(nearest),
        None => nearest,
    }
}

fn scale(plain: &DataType) -> Option<i8> {
    match plain {
        DataType::Decimal32(_, scale)
        | DataType::Decimal64(_, scale)
        | DataType::Decimal128(_, scale)
        | DataType::Decimal256(_, scale) => Some(*scale),
        _ => None,
    }
}

/// Numbers, or for a decimal its units, as the column's type; null where one does not fit.
fn in_type(numbers: Vec<f64>, plain: &DataType) -> Result<ArrayRef, Fault> {
    let Some(scale) = scale(plain) else {
        return Ok(cast(&Float64Array::from(numbers), plain)?);
    };
    let units = numbers.into_iter().map(i256::from_f64);
    let wide: Decimal256Array = units.collect();
    Ok(cast(&wide.with_data_type(DataType::Decimal256(76, scale)), plain)?)
}
