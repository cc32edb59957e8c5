//! Decimals within the digits of their type. What Arrow computes fits in the bits of a decimal, which hold a little more.

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::datatypes::{
    DECIMAL32_MAX_PRECISION, DECIMAL64_MAX_PRECISION, DECIMAL128_MAX_PRECISION, DECIMAL256_MAX_PRECISION, DataType,
    Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type,
};
use datafusion::arrow::error::ArrowError;

/// Checks what was computed. A type with room to spare was made wide enough for whatever comes out.
///
/// # Errors
/// The value that has too many digits.
pub fn check(values: &ArrayRef) -> Result<(), ArrowError> {
    match *values.data_type() {
        DataType::Decimal32(digits @ DECIMAL32_MAX_PRECISION, _) => {
            values.as_primitive::<Decimal32Type>().validate_decimal_precision(digits)
        }
        DataType::Decimal64(digits @ DECIMAL64_MAX_PRECISION, _) => {
            values.as_primitive::<Decimal64Type>().validate_decimal_precision(digits)
        }
        DataType::Decimal128(digits @ DECIMAL128_MAX_PRECISION, _) => {
            values.as_primitive::<Decimal128Type>().validate_decimal_precision(digits)
        }
        DataType::Decimal256(digits @ DECIMAL256_MAX_PRECISION, _) => {
            values.as_primitive::<Decimal256Type>().validate_decimal_precision(digits)
        }
        _ => Ok(()),
    }
}
