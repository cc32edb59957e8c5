//! Which types of PostgreSQL become which of Arrow.

use super::numeric;
use crate::trouble::Wrong;
use arrow::datatypes::{DataType, Field, IntervalUnit, TimeUnit};
use std::sync::Arc;
use tokio_postgres::types::{Kind, Type};

/// How the fields of a column are read.
#[derive(Clone, Debug, PartialEq)]
pub enum Form {
    /// `bool`
    Bool,
    /// `int2`
    Int2,
    /// `int4`
    Int4,
    /// `int8`
    Int8,
    /// `oid` and alike: 32 bits without a sign, as 64 bits.
    Oid,
    /// `float4`
    Float4,
    /// `float8`
    Float8,
    /// `numeric`, as a decimal of up to 38 digits.
    Decimal128(u8, i8),
    /// `numeric`, as a decimal of up to 76 digits.
    Decimal256(u8, i8),
    /// What is text on the wire too.
    Text,
    /// `jsonb`: a version, then text.
    Jsonb,
    /// `uuid`, as text.
    Uuid,
    /// `inet` and `cidr`, as text.
    Network,
    /// `bytea`
    Bytes,
    /// `date`
    Date,
    /// `time`
    Time,
    /// `timestamp`; with a zone, in UTC
    Timestamp {
        /// Whether it is an instant.
        utc: bool,
    },
    /// `interval`
    Interval,
    /// An array.
    List(Box<Form>),
}

/// The form of a column of this type.
///
/// # Errors
/// Why there is none.
pub fn form(data_type: &Type, modifier: i32) -> Result<Form, Wrong> {
    match data_type.kind() {
        Kind::Enum(_) => return Ok(Form::Text),
        Kind::Domain(base) => return form(base, modifier),
        Kind::Array(item) => {
            return match form(item, modifier)? {
                Form::List(_) => Err(unknown(data_type)),
                item => Ok(Form::List(Box::new(item))),
            };
        }
        _ => {}
    }
    Ok(match *data_type {
        Type::BOOL => Form::Bool,
        Type::INT2 => Form::Int2,
        Type::INT4 => Form::Int4,
        Type::INT8 => Form::Int8,
        Type::OID | Type::XID | Type::CID => Form::Oid,
        Type::FLOAT4 => Form::Float4,
        Type::FLOAT8 => Form::Float8,
        Type::NUMERIC => match numeric::data_type(modifier)? {
            DataType::Decimal256(precision, scale) => Form::Decimal256(precision, scale),
            DataType::Decimal128(precision, scale) => Form::Decimal128(precision, scale),
            _ => return Err(unknown(data_type)),
        },
        Type::TEXT
        | Type::VARCHAR
        | Type::BPCHAR
        | Type::NAME
        | Type::CHAR
        | Type::UNKNOWN
        | Type::JSON
        | Type::XML
        | Type::VOID => Form::Text,
        Type::JSONB => Form::Jsonb,
        Type::UUID => Form::Uuid,
        Type::INET | Type::CIDR => Form::Network,
        Type::BYTEA => Form::Bytes,
        Type::DATE => Form::Date,
        Type::TIME => Form::Time,
        Type::TIMESTAMP => Form::Timestamp { utc: false },
        Type::TIMESTAMPTZ => Form::Timestamp { utc: true },
        Type::INTERVAL => Form::Interval,
        // An extension's type, which has no number of its own.
        _ if data_type.name() == "citext" => Form::Text,
        _ => return Err(unknown(data_type)),
    })
}

fn unknown(data_type: &Type) -> Wrong {
    Wrong::new(
        format!("it is {}, which has no counterpart", data_type.name()),
        "cast it in the query: the_column::text",
    )
}

impl Form {
    /// The type that it becomes.
    pub fn data_type(&self) -> DataType {
        match self {
            Self::Bool => DataType::Boolean,
            Self::Int2 => DataType::Int16,
            Self::Int4 => DataType::Int32,
            Self::Int8 | Self::Oid => DataType::Int64,
            Self::Float4 => DataType::Float32,
            Self::Float8 => DataType::Float64,
            Self::Decimal128(precision, scale) => DataType::Decimal128(*precision, *scale),
            Self::Decimal256(precision, scale) => DataType::Decimal256(*precision, *scale),
            Self::Text | Self::Jsonb | Self::Uuid | Self::Network => DataType::Utf8,
            Self::Bytes => DataType::Binary,
            Self::Date => DataType::Date32,
            Self::Time => DataType::Time64(TimeUnit::Microsecond),
            Self::Timestamp { utc: false } => DataType::Timestamp(TimeUnit::Microsecond, None),
            Self::Timestamp { utc: true } => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Self::Interval => DataType::Interval(IntervalUnit::MonthDayNano),
            Self::List(item) => DataType::List(Arc::new(item.field())),
        }
    }

    /// The field of an array's items.
    pub fn field(&self) -> Field {
        Field::new_list_field(self.data_type(), true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_are_lists_of_what_they_hold() {
        let list = form(&Type::NUMERIC_ARRAY, (10 << 16 | 2) + 4).expect("known");
        let item = Field::new_list_field(DataType::Decimal128(10, 2), true);
        assert_eq!(list.data_type(), DataType::List(Arc::new(item)));
    }

    #[test]
    fn a_type_without_counterpart_says_how_to_read_it() {
        for unknown in [Type::POINT, Type::MONEY, Type::INT4_RANGE, Type::TS_VECTOR] {
            let wrong = form(&unknown, -1).expect_err("unknown");
            assert!(wrong.help.contains("::text"));
        }
    }
}
