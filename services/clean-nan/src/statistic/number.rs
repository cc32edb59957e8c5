//! Numbers of every type in four widths, none of which loses a digit; and figures back in the column's own type.

use crate::decimal::{nearest, widest};
use arrow::array::{
    ArrayRef, ArrowPrimitiveType, AsArray, Decimal256Array, Float64Array, Int64Array, PrimitiveArray, UInt64Array,
};
use arrow::buffer::NullBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal256Type, Float64Type, Int64Type, UInt64Type, i256};
use flight_common::Fault;
use std::sync::Arc;

/// The width that holds all values of a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// Signed integers.
    Signed,
    /// Unsigned integers.
    Unsigned,
    /// Floats.
    Float,
    /// Decimals of this scale.
    Decimal(i8),
}

impl Width {
    /// The width for a plain type; none if it holds no numbers.
    pub fn of(plain: &DataType) -> Option<Self> {
        use DataType as T;
        match plain {
            T::Decimal32(_, scale) | T::Decimal64(_, scale) | T::Decimal128(_, scale) | T::Decimal256(_, scale) => {
                Some(Self::Decimal(*scale))
            }
            signed if signed.is_signed_integer() => Some(Self::Signed),
            unsigned if unsigned.is_unsigned_integer() => Some(Self::Unsigned),
            float if float.is_floating() => Some(Self::Float),
            _ => None,
        }
    }

    /// A column's values in this width.
    pub fn widen(self, column: &ArrayRef) -> Result<Numbers, Fault> {
        Ok(match self {
            Self::Signed => Numbers::Signed(cast(column, &DataType::Int64)?.as_primitive::<Int64Type>().clone()),
            Self::Unsigned => Numbers::Unsigned(cast(column, &DataType::UInt64)?.as_primitive::<UInt64Type>().clone()),
            Self::Float => Numbers::Float(cast(column, &DataType::Float64)?.as_primitive::<Float64Type>().clone()),
            Self::Decimal(scale) => {
                Numbers::Decimal(cast(column, &widest(scale))?.as_primitive::<Decimal256Type>().clone())
            }
        })
    }
}

/// The values of a column, widened.
pub enum Numbers {
    /// Signed integers.
    Signed(Int64Array),
    /// Unsigned integers.
    Unsigned(UInt64Array),
    /// Floats.
    Float(Float64Array),
    /// Decimals.
    Decimal(Decimal256Array),
}

/// Calls `see` with each value that is there, in order.
pub fn each<T: ArrowPrimitiveType>(
    values: &PrimitiveArray<T>,
    present: Option<&NullBuffer>,
    mut see: impl FnMut(T::Native),
) {
    match present {
        None => values.values().iter().for_each(|value| see(*value)),
        Some(present) => present.valid_indices().for_each(|row| see(values.values()[row])),
    }
}

/// `sum / count`, to the nearest value that the integer type has, as one row.
pub fn whole_row(sum: i128, count: u64, plain: &DataType) -> Result<ArrayRef, Fault> {
    // Between the smallest and the largest value of the column, so that the casts cannot fail.
    let value = nearest(i256::from_i128(sum), i256::from_i128(count.into())).as_i128();
    let wide: ArrayRef = match plain.is_unsigned_integer() {
        true => Arc::new(UInt64Array::from(vec![u64::try_from(value).map_err(Fault::internal)?])),
        false => Arc::new(Int64Array::from(vec![i64::try_from(value).map_err(Fault::internal)?])),
    };
    Ok(cast(&wide, plain)?)
}

/// `sum / count`, to the nearest value of the column's scale, as one row.
pub fn decimal_row(sum: i256, count: u64, scale: i8, plain: &DataType) -> Result<ArrayRef, Fault> {
    let value = nearest(sum, i256::from_i128(count.into()));
    let wide = Decimal256Array::from(vec![value]).with_data_type(widest(scale));
    Ok(cast(&(Arc::new(wide) as ArrayRef), plain)?)
}

/// A float as one row, unless it is not finite: a column with infinite values on both sides has no middle.
pub fn float_row(value: f64, plain: &DataType) -> Result<Option<ArrayRef>, Fault> {
    let wide: ArrayRef = Arc::new(Float64Array::from(vec![value]));
    value.is_finite().then(|| Ok(cast(&wide, plain)?)).transpose()
}
