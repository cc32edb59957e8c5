//! Which group a row belongs to, as a hash of 128 bits.
//!
//! Two lanes of SipHash with keys that are drawn anew for each run: among n groups the probability that any two get one
//! hash is about n²/2¹²⁹. Null and null are one group, NaN and NaN are, and 0.0 and -0.0 are.

use arrow::array::{ArrayRef, ArrowPrimitiveType, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float16Type, Float32Type, Float64Type};
use arrow::row::{RowConverter, SortField};
use flight_common::Fault;
use flight_common::cells::{plain, plain_type};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

/// Tells the groups of rows.
pub struct Groups {
    places: Vec<usize>,
    rows: RowConverter,
    lanes: [RandomState; 2],
}

impl Groups {
    /// Groups by the columns at these places; nothing if there are none.
    pub fn new(places: &[usize], input: &arrow::datatypes::Schema) -> Result<Option<Self>, Fault> {
        if places.is_empty() {
            return Ok(None);
        }
        let fields = places.iter().map(|place| SortField::new(plain_type(input.field(*place).data_type()).clone()));
        let rows = RowConverter::new(fields.collect())?;
        Ok(Some(Self { places: places.to_vec(), rows, lanes: [RandomState::new(), RandomState::new()] }))
    }

    /// The group of each row.
    pub fn of(&self, batch: &RecordBatch) -> Result<Vec<u128>, Fault> {
        let columns = self.places.iter().map(|place| comparable(batch.column(*place)));
        let rows = self.rows.convert_columns(&columns.collect::<Result<Vec<_>, Fault>>()?)?;
        let lane = |lane: &RandomState, bytes: &[u8]| u128::from(lane.hash_one(bytes));
        let hash = |bytes: &[u8]| lane(&self.lanes[0], bytes) << 64 | lane(&self.lanes[1], bytes);
        Ok(rows.iter().map(|row| hash(row.data())).collect())
    }
}

/// The column without its encoding, with one zero and one NaN.
fn comparable(column: &ArrayRef) -> Result<ArrayRef, Fault> {
    let column = plain(column)?;
    Ok(match column.data_type() {
        DataType::Float16 => one_of_each::<Float16Type>(
            &column,
            |value| value.is_nan(),
            <Float16Type as ArrowPrimitiveType>::Native::NAN,
        ),
        DataType::Float32 => one_of_each::<Float32Type>(&column, f32::is_nan, f32::NAN),
        DataType::Float64 => one_of_each::<Float64Type>(&column, f64::is_nan, f64::NAN),
        _ => column,
    })
}

fn one_of_each<T: ArrowPrimitiveType>(column: &ArrayRef, is_nan: fn(T::Native) -> bool, nan: T::Native) -> ArrayRef
where
    T::Native: std::ops::Add<Output = T::Native>,
{
    let zero = T::Native::default();
    Arc::new(column.as_primitive::<T>().unary::<_, T>(|value| if is_nan(value) { nan } else { value + zero }))
}
