//! Which types of Arrow fit which of PostgreSQL. Pure.
//!
//! What would lose digits, or mean something else than it did, does not fit: the pipeline says what it wants with a cast.

use arrow::datatypes::{DataType, TimeUnit};

/// The type that a column of a new table gets.
pub fn made(plain: &DataType) -> String {
    match plain {
        DataType::Boolean => "boolean".to_owned(),
        DataType::Int8 | DataType::Int16 | DataType::UInt8 => "smallint".to_owned(),
        DataType::Int32 | DataType::UInt16 => "integer".to_owned(),
        DataType::Int64 | DataType::UInt32 => "bigint".to_owned(),
        DataType::UInt64 => "numeric(20)".to_owned(),
        DataType::Float32 => "real".to_owned(),
        DataType::Float64 => "double precision".to_owned(),
        DataType::Decimal128(precision, scale) | DataType::Decimal256(precision, scale) => {
            // A scale below zero means zeros before the point.
            let zeros = scale.min(&0).unsigned_abs();
            format!("numeric({}, {})", u16::from(*precision) + u16::from(zeros), scale.max(&0))
        }
        DataType::BinaryView => "bytea".to_owned(),
        DataType::Date32 => "date".to_owned(),
        DataType::Time64(_) => "time".to_owned(),
        DataType::Timestamp(_, None) => "timestamp".to_owned(),
        DataType::Timestamp(_, Some(_)) => "timestamptz".to_owned(),
        DataType::Duration(_) | DataType::Interval(_) => "interval".to_owned(),
        DataType::List(item) => made(item.data_type()) + "[]",
        // Texts, and columns of nothing but nulls.
        _ => "text".to_owned(),
    }
}

/// A type of PostgreSQL, as far as it matters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Type {
    /// Its name in `pg_type`; of a domain that of what it stands on, of an array that of its items.
    pub name: String,
    /// Whether it is an array.
    pub array: bool,
    /// Decimals of a `numeric` that has digits of its own.
    pub scale: Option<i32>,
    /// Decimals of the seconds of a time that has fewer than six.
    pub seconds: Option<u32>,
    /// Whether an `interval` holds some of its fields only: years and months, say.
    pub partial: bool,
}

impl Type {
    /// A type with its modifier, as `pg_attribute` has it (PostgreSQL's sources: `numeric.c`, `timestamp.c`).
    pub fn new(name: String, array: bool, modifier: i32) -> Self {
        /// The bits of an interval's modifier that tell the decimals of its seconds; all of them set: six.
        const DECIMALS: i32 = 0xffff;
        /// The fields of an interval that has all.
        const ALL_FIELDS: i32 = 0x7fff;
        let given = modifier >= 0;
        let scale = (name == "numeric" && modifier >= 4).then(|| (((modifier - 4) & 0x7ff) ^ 0x400) - 0x400);
        let seconds = match name.as_str() {
            "time" | "timestamp" | "timestamptz" if given => Some(modifier),
            "interval" if given => Some(modifier & DECIMALS),
            _ => None,
        };
        let seconds = seconds.and_then(|seconds| u32::try_from(seconds).ok()).filter(|seconds| *seconds < 6);
        let partial = name == "interval" && given && modifier >> 16 & ALL_FIELDS != ALL_FIELDS;
        Self { name, array, scale, seconds, partial }
    }
}

/// Whether values of this plain type fit; else what to do about it.
///
/// # Errors
/// What to try.
pub fn fits(plain: &DataType, column: &Type) -> Result<(), String> {
    if let DataType::Null = plain {
        return Ok(());
    }
    let name = column.name.as_str();
    let cast = || format!("cast it before, such as CAST(x AS {}) in the step sql", sql_name(column));
    let item = match (plain, column.array) {
        (DataType::List(item), true) => item.data_type(),
        (DataType::List(_), false) => return Err("load it into an array column, or unnest it before".to_owned()),
        (_, true) => return Err("an array column takes a list".to_owned()),
        (plain, false) => plain,
    };
    let good = match item {
        DataType::Null => true,
        DataType::Boolean => name == "bool",
        // The server says which number is too large.
        DataType::Int8 | DataType::Int16 | DataType::UInt8 | DataType::UInt16 => {
            matches!(name, "int2" | "int4" | "int8" | "numeric" | "float4" | "float8" | "oid")
        }
        DataType::Int32 | DataType::UInt32 => matches!(name, "int2" | "int4" | "int8" | "numeric" | "float8" | "oid"),
        DataType::Int64 | DataType::UInt64 => matches!(name, "int2" | "int4" | "int8" | "numeric" | "oid"),
        DataType::Float32 => matches!(name, "float4" | "float8" | "numeric"),
        DataType::Float64 => matches!(name, "float8" | "numeric"),
        DataType::Decimal128(_, scale) | DataType::Decimal256(_, scale) => match name {
            "numeric" if column.scale.is_some_and(|held| i32::from(*scale) > held) => {
                let held = column.scale.unwrap_or_default();
                return Err(format!("its {scale} decimals would be rounded to {held}: {}", cast()));
            }
            "numeric" => true,
            "int2" | "int4" | "int8" => *scale <= 0,
            _ => false,
        },
        DataType::BinaryView => name == "bytea",
        DataType::Date32 => matches!(name, "date" | "timestamp"),
        DataType::Time64(TimeUnit::Microsecond) => name == "time",
        DataType::Timestamp(_, None) => name == "timestamp",
        DataType::Timestamp(_, Some(_)) => name == "timestamptz",
        DataType::Duration(_) | DataType::Interval(_) if column.partial => {
            return Err("it would be cut to some of its fields: load it into a column that is `interval`".to_owned());
        }
        DataType::Duration(_) | DataType::Interval(_) => name == "interval",
        // A text may be an enum, JSON, a UUID, an address: what has no type of its own in Arrow.
        DataType::Utf8View => !has_counterpart(name),
        _ => false,
    };
    if good { Ok(()) } else { Err(cast()) }
}

/// Types that a text does not stand for: there is one in Arrow that does.
fn has_counterpart(name: &str) -> bool {
    matches!(
        name,
        "bool"
            | "int2"
            | "int4"
            | "int8"
            | "oid"
            | "float4"
            | "float8"
            | "numeric"
            | "bytea"
            | "date"
            | "time"
            | "timestamp"
            | "timestamptz"
            | "interval"
    )
}

/// A type as the step `sql` casts to it.
fn sql_name(column: &Type) -> String {
    let name = match column.name.as_str() {
        "bool" => "BOOLEAN",
        "int2" => "SMALLINT",
        "int4" => "INT",
        "int8" | "oid" => "BIGINT",
        "float4" => "REAL",
        "float8" => "DOUBLE",
        "numeric" => return format!("DECIMAL(38, {})", column.scale.unwrap_or(10)),
        "bytea" => "BYTEA",
        "date" => "DATE",
        "time" => "TIME",
        "timestamp" => "TIMESTAMP",
        "timestamptz" => "TIMESTAMPTZ",
        "interval" => "INTERVAL",
        _ => "VARCHAR",
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::Field;
    use std::sync::Arc;

    fn column(name: &str) -> Type {
        Type { name: name.to_owned(), ..Type::default() }
    }

    #[test]
    fn what_would_lose_digits_does_not_fit() {
        assert!(fits(&DataType::Int64, &column("int4")).is_ok(), "the server looks at each number");
        for (plain, name) in [
            (DataType::Int64, "float8"),
            (DataType::Float64, "float4"),
            (DataType::Float64, "int4"),
            (DataType::Timestamp(TimeUnit::Microsecond, None), "timestamptz"),
            (DataType::Utf8View, "date"),
            (DataType::Int64, "text"),
        ] {
            assert!(fits(&plain, &column(name)).expect_err(name).contains("CAST"), "{plain} {name}");
        }
        let money = Type { scale: Some(2), ..column("numeric") };
        assert!(fits(&DataType::Decimal128(10, 2), &money).is_ok());
        assert!(fits(&DataType::Decimal128(10, 3), &money).expect_err("rounded").contains("rounded to 2"));
    }

    #[test]
    fn a_modifier_says_what_a_column_cuts_off() {
        let read = |name: &str, modifier| Type::new(name.to_owned(), false, modifier);
        assert_eq!(read("numeric", ((10 << 16) | 2) + 4).scale, Some(2));
        assert_eq!((read("timestamp", -1).seconds, read("timestamptz", 0).seconds), (None, Some(0)));
        assert_eq!(read("time", 6).seconds, None);
        let (all, seconds) = (read("interval", 0x7fff_0003), read("interval", -1));
        assert_eq!((all.seconds, all.partial, seconds.seconds, seconds.partial), (Some(3), false, None, false));
        let years_to_months = read("interval", (6 << 16) | 0xffff);
        assert!(years_to_months.partial && fits(&DataType::Duration(TimeUnit::Second), &years_to_months).is_err());
    }

    #[test]
    fn texts_stand_for_what_has_no_type_of_its_own() {
        for name in ["text", "varchar", "uuid", "jsonb", "mood"] {
            assert!(fits(&DataType::Utf8View, &column(name)).is_ok(), "{name}");
        }
    }

    #[test]
    fn lists_are_arrays() {
        let list = DataType::List(Arc::new(Field::new_list_field(DataType::Int32, true)));
        assert_eq!(made(&list), "integer[]");
        assert!(fits(&list, &Type { array: true, ..column("int4") }).is_ok());
        assert!(
            fits(&list, &column("int4")).is_err()
                && fits(&DataType::Int32, &Type { array: true, ..column("int4") }).is_err()
        );
        assert_eq!(made(&DataType::Decimal128(5, -2)), "numeric(7, 0)");
    }
}
