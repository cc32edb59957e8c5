//! Which types of MySQL and MariaDB become which of Arrow.

use crate::trouble::Wrong;
use arrow::datatypes::{DataType, Decimal128Type, Decimal256Type, DecimalType, TimeUnit};
use mysql_async::Column;
use mysql_async::consts::{ColumnFlags, ColumnType};

/// The number of the character set that means bytes.
const BINARY: u16 = 63;

/// How the values of a column are read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Form {
    /// `TINYINT`
    Int8,
    /// `TINYINT UNSIGNED`
    UInt8,
    /// `SMALLINT`, `YEAR`
    Int16,
    /// `SMALLINT UNSIGNED`
    UInt16,
    /// `INT`, `MEDIUMINT`
    Int32,
    /// `INT UNSIGNED`, `MEDIUMINT UNSIGNED`
    UInt32,
    /// `BIGINT`
    Int64,
    /// `BIGINT UNSIGNED`
    UInt64,
    /// `FLOAT`
    Float32,
    /// `DOUBLE`
    Float64,
    /// `DECIMAL`, of up to 38 digits.
    Decimal128(u8, i8),
    /// `DECIMAL`, of up to 65 digits.
    Decimal256(u8, i8),
    /// `BIT(1)`
    Bit,
    /// `BIT` with more bits, as a number.
    Bits,
    /// What is text.
    Text,
    /// What is bytes.
    Bytes,
    /// `DATE`
    Date,
    /// `TIME`
    Time,
    /// `DATETIME`; `TIMESTAMP`, in UTC
    Timestamp {
        /// Whether it is an instant.
        utc: bool,
    },
}

/// The form of a column.
///
/// # Errors
/// Why there is none.
pub fn form(column: &Column) -> Result<Form, Wrong> {
    use ColumnType::*;
    let unsigned = column.flags().contains(ColumnFlags::UNSIGNED_FLAG);
    let signed = |signed, otherwise| if unsigned { otherwise } else { signed };
    Ok(match column.column_type() {
        MYSQL_TYPE_TINY => signed(Form::Int8, Form::UInt8),
        MYSQL_TYPE_SHORT => signed(Form::Int16, Form::UInt16),
        MYSQL_TYPE_LONG | MYSQL_TYPE_INT24 => signed(Form::Int32, Form::UInt32),
        MYSQL_TYPE_LONGLONG => signed(Form::Int64, Form::UInt64),
        MYSQL_TYPE_YEAR => Form::Int16,
        MYSQL_TYPE_FLOAT => Form::Float32,
        MYSQL_TYPE_DOUBLE => Form::Float64,
        MYSQL_TYPE_DECIMAL | MYSQL_TYPE_NEWDECIMAL => decimal(column.column_length(), column.decimals(), unsigned)?,
        MYSQL_TYPE_BIT if column.column_length() == 1 => Form::Bit,
        MYSQL_TYPE_BIT => Form::Bits,
        MYSQL_TYPE_NULL | MYSQL_TYPE_JSON | MYSQL_TYPE_ENUM | MYSQL_TYPE_SET => Form::Text,
        MYSQL_TYPE_VARCHAR
        | MYSQL_TYPE_VAR_STRING
        | MYSQL_TYPE_STRING
        | MYSQL_TYPE_TINY_BLOB
        | MYSQL_TYPE_MEDIUM_BLOB
        | MYSQL_TYPE_LONG_BLOB
        | MYSQL_TYPE_BLOB => {
            if column.character_set() == BINARY {
                Form::Bytes
            } else {
                Form::Text
            }
        }
        MYSQL_TYPE_DATE | MYSQL_TYPE_NEWDATE => Form::Date,
        MYSQL_TYPE_TIME | MYSQL_TYPE_TIME2 => Form::Time,
        MYSQL_TYPE_DATETIME | MYSQL_TYPE_DATETIME2 => Form::Timestamp { utc: false },
        MYSQL_TYPE_TIMESTAMP | MYSQL_TYPE_TIMESTAMP2 => Form::Timestamp { utc: true },
        MYSQL_TYPE_GEOMETRY => {
            return Err(Wrong::new("it is a geometry, which has no counterpart", "write ST_AsText(the_column)"));
        }
        other => {
            let what = format!("it is {other:?}, which has no counterpart");
            return Err(Wrong::new(what, "cast it in the query: CAST(the_column AS CHAR)"));
        }
    })
}

/// The length that the server tells counts the sign and the point.
fn decimal(length: u32, scale: u8, unsigned: bool) -> Result<Form, Wrong> {
    let precision = length.saturating_sub(u32::from(!unsigned)).saturating_sub(u32::from(scale > 0));
    let fitting = u8::try_from(precision.max(u32::from(scale)).max(1)).ok().zip(i8::try_from(scale).ok());
    match fitting {
        Some((precision, scale)) if precision <= Decimal128Type::MAX_PRECISION => {
            Ok(Form::Decimal128(precision, scale))
        }
        Some((precision, scale)) if precision <= Decimal256Type::MAX_PRECISION => {
            Ok(Form::Decimal256(precision, scale))
        }
        _ => {
            let what = format!("a decimal of {precision} digits has no counterpart: there are up to 76");
            Err(Wrong::new(what, "cast it in the query: CAST(x AS DECIMAL(38, 4))"))
        }
    }
}

impl Form {
    /// The form of whole numbers of any length, for one of whole numbers.
    pub fn long(self) -> Self {
        match self {
            Self::Int8 | Self::Int16 | Self::Int32 => Self::Int64,
            Self::UInt8 | Self::UInt16 | Self::UInt32 => Self::UInt64,
            other => other,
        }
    }

    /// The type that it becomes.
    pub fn data_type(self) -> DataType {
        match self {
            Self::Int8 => DataType::Int8,
            Self::UInt8 => DataType::UInt8,
            Self::Int16 => DataType::Int16,
            Self::UInt16 => DataType::UInt16,
            Self::Int32 => DataType::Int32,
            Self::UInt32 => DataType::UInt32,
            Self::Int64 => DataType::Int64,
            Self::UInt64 | Self::Bits => DataType::UInt64,
            Self::Float32 => DataType::Float32,
            Self::Float64 => DataType::Float64,
            Self::Decimal128(precision, scale) => DataType::Decimal128(precision, scale),
            Self::Decimal256(precision, scale) => DataType::Decimal256(precision, scale),
            Self::Bit => DataType::Boolean,
            Self::Text => DataType::Utf8,
            Self::Bytes => DataType::Binary,
            Self::Date => DataType::Date32,
            Self::Time => DataType::Time64(TimeUnit::Microsecond),
            Self::Timestamp { utc } => DataType::Timestamp(TimeUnit::Microsecond, utc.then(|| "UTC".into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_of_a_decimal_tells_its_digits() {
        assert_eq!(decimal(12, 2, false), Ok(Form::Decimal128(10, 2)));
        assert_eq!(decimal(11, 2, true), Ok(Form::Decimal128(10, 2)));
        assert_eq!(decimal(39, 0, false), Ok(Form::Decimal128(38, 0)));
        assert_eq!(decimal(67, 30, false), Ok(Form::Decimal256(65, 30)));
    }

    #[test]
    fn texts_and_bytes_differ_by_their_character_set() {
        let column = |kind, set| Column::new(kind).with_character_set(set);
        assert_eq!(form(&column(ColumnType::MYSQL_TYPE_BLOB, 45)), Ok(Form::Text));
        assert_eq!(form(&column(ColumnType::MYSQL_TYPE_BLOB, BINARY)), Ok(Form::Bytes));
        assert_eq!(form(&column(ColumnType::MYSQL_TYPE_JSON, BINARY)), Ok(Form::Text));
        assert!(
            form(&column(ColumnType::MYSQL_TYPE_GEOMETRY, BINARY)).is_err_and(|wrong| wrong.help.contains("ST_AsText"))
        );
    }
}
