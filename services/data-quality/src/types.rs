//! Which Arrow types are what a user calls numeric, datetime, string.

use crate::params::ColumnType;
use arrow::datatypes::DataType;
use flight_common::cells::plain_type;

/// Whether a column of this type holds what is wanted. One of the null type holds nothing that could be wrong.
pub fn holds(data_type: &DataType, wanted: ColumnType) -> bool {
    let found = plain_type(data_type);
    let is_date = matches!(found, DataType::Date32 | DataType::Date64);
    let is_timestamp = matches!(found, DataType::Timestamp(..));
    if found.is_null() {
        return true;
    }
    match wanted {
        ColumnType::Numeric | ColumnType::Number => found.is_numeric(),
        ColumnType::Integer | ColumnType::Int => found.is_integer(),
        ColumnType::Float => found.is_floating(),
        ColumnType::Decimal => found.is_decimal(),
        ColumnType::String | ColumnType::Text => found.is_string(),
        ColumnType::Boolean | ColumnType::Bool => *found == DataType::Boolean,
        ColumnType::Datetime => is_date || is_timestamp,
        ColumnType::Date => is_date,
        ColumnType::Timestamp => is_timestamp,
        ColumnType::Time => matches!(found, DataType::Time32(_) | DataType::Time64(_)),
        ColumnType::Binary => found.is_binary() || matches!(found, DataType::FixedSizeBinary(_)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::TimeUnit;

    #[test]
    fn types_are_told_by_their_values() {
        let words = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
        assert!(holds(&words, ColumnType::String) && !holds(&words, ColumnType::Integer));
        assert!(holds(&DataType::Utf8View, ColumnType::Text));
        assert!(holds(&DataType::UInt8, ColumnType::Numeric) && holds(&DataType::UInt8, ColumnType::Int));
        assert!(holds(&DataType::Decimal128(9, 2), ColumnType::Numeric));
        assert!(!holds(&DataType::Decimal128(9, 2), ColumnType::Float));
        let instant = DataType::Timestamp(TimeUnit::Second, None);
        assert!(holds(&instant, ColumnType::Datetime) && !holds(&instant, ColumnType::Date));
        assert!(holds(&DataType::Null, ColumnType::Boolean));
        assert!(!holds(&DataType::Utf8, ColumnType::Datetime));
    }
}
