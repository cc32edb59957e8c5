//! What a report counts, and a value as it shows it.

use arrow::array::{ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type, UInt64Type};
use arrow::util::display::array_value_to_string;
use flight_common::Fault;
use serde_json::Value;

/// The counter of values that were put in.
pub const NULLS_FILLED: &str = "nulls_filled";

/// The longest text that a report shows of a value, in characters.
const SHOWN: usize = 100;

/// The value in a column of one row: numbers and booleans as such, decimals and all others as text, cut short.
pub fn shown(row: &ArrayRef) -> Result<Value, Fault> {
    Ok(match row.data_type() {
        DataType::Boolean => row.as_boolean().value(0).into(),
        signed if signed.is_signed_integer() => {
            cast(row, &DataType::Int64)?.as_primitive::<Int64Type>().value(0).into()
        }
        unsigned if unsigned.is_unsigned_integer() => {
            cast(row, &DataType::UInt64)?.as_primitive::<UInt64Type>().value(0).into()
        }
        float if float.is_floating() => cast(row, &DataType::Float64)?.as_primitive::<Float64Type>().value(0).into(),
        _ => array_value_to_string(row, 0)?.chars().take(SHOWN).collect::<String>().into(),
    })
}
