//! Which types of Arrow fit which columns of SQLite. Pure.
//!
//! A column takes values of all kinds, but its declared type may turn one into another on the way: a text that looks like a
//! number becomes one, a whole number a float. (Its manual, *Datatypes in SQLite*: <https://sqlite.org/datatype3.html>, 3.)
//! What would be changed does not fit: the pipeline says what it wants with a cast.

use arrow::datatypes::DataType;

/// Digits of a decimal that SQLite keeps in a float (its manual, *Datatypes*, 3).
const FLOAT_DIGITS: u8 = 15;
/// Digits of the longest whole number that is one whatever they are.
const WHOLE_DIGITS: u16 = 18;

/// What a column makes of values: the affinity of its declared type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Affinity {
    /// Nothing.
    None,
    /// Texts of numbers.
    Text,
    /// Whole numbers of texts that look like one.
    Integer,
    /// Numbers of texts that look like one.
    Numeric,
    /// Floats of whole numbers, and of texts that look like a number.
    Real,
}

/// A type, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Type {
    affinity: Affinity,
    /// What values the table refuses, if it is a `STRICT` one.
    strict: Option<Strict>,
}

/// What a column of a `STRICT` table takes (SQLite's manual, *STRICT Tables*).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Strict {
    /// `ANY`: all, as they are.
    All,
    /// `BLOB`: these alone.
    Blobs,
    /// The others: what is of their type.
    Others,
}

impl Type {
    /// That of a column that is declared so, in a table that may be a `STRICT` one.
    pub fn of(declared: &str, is_strict: bool) -> Self {
        let declared = declared.to_ascii_lowercase();
        let strict = is_strict.then_some(match declared.as_str() {
            "any" => Strict::All,
            "blob" => Strict::Blobs,
            _ => Strict::Others,
        });
        let affinity = if strict == Some(Strict::All) { Affinity::None } else { Affinity::of(&declared) };
        Self { affinity, strict }
    }
}

impl Affinity {
    /// By the rules of the manual, *Determination Of Column Affinity*, in their order.
    fn of(declared: &str) -> Self {
        let has = |parts: &[&str]| parts.iter().any(|part| declared.contains(part));
        match () {
            () if has(&["int"]) => Self::Integer,
            () if has(&["char", "clob", "text"]) => Self::Text,
            () if declared.is_empty() || has(&["blob"]) => Self::None,
            () if has(&["real", "floa", "doub"]) => Self::Real,
            () => Self::Numeric,
        }
    }
}

/// Whether values of this plain type fit; else what to do about it.
///
/// # Errors
/// What to try.
pub fn fits(plain: &DataType, column: &Type) -> Result<(), String> {
    use Affinity as A;
    let affinity = column.affinity;
    let is_number = matches!(affinity, A::Integer | A::Numeric);
    let good = match plain {
        DataType::Null => true,
        DataType::BinaryView => match column.strict {
            // No column makes something else of a blob.
            None => matches!(affinity, A::None | A::Text | A::Numeric),
            Some(strict) => strict != Strict::Others,
        },
        _ if column.strict == Some(Strict::Blobs) => false,
        _ if affinity == A::None => true,
        DataType::Boolean | DataType::Int64 => is_number,
        DataType::Float32 | DataType::Float64 => matches!(affinity, A::Numeric | A::Real),
        // They are written as text.
        DataType::Utf8View | DataType::UInt64 => affinity == A::Text,
        DataType::Decimal128(precision, scale) | DataType::Decimal256(precision, scale) => {
            // A scale below zero means zeros before the point.
            let is_whole = *scale <= 0 && u16::from(*precision) + u16::from(scale.unsigned_abs()) <= WHOLE_DIGITS;
            match affinity {
                A::None | A::Text => true,
                A::Integer => is_whole,
                A::Numeric => is_whole || *precision <= FLOAT_DIGITS,
                A::Real => *precision <= FLOAT_DIGITS,
            }
        }
        // Texts too, but none that looks like a number.
        DataType::Date32 | DataType::Time64(_) | DataType::Timestamp(..) => matches!(affinity, A::Text | A::Numeric),
        // Up to 32 bits, which a float holds.
        whole if whole.is_integer() => is_number || affinity == A::Real,
        _ => false,
    };
    if good { Ok(()) } else { Err(help(plain, column)) }
}

/// What to do about values that do not fit.
fn help(plain: &DataType, column: &Type) -> String {
    let to = match (column.affinity, plain) {
        _ if column.strict == Some(Strict::Blobs) => "BYTEA",
        (Affinity::None | Affinity::Text, _) => "VARCHAR",
        (Affinity::Integer, _) => "BIGINT",
        (Affinity::Numeric, DataType::UInt64) => "BIGINT",
        (Affinity::Numeric | Affinity::Real, _) => "DOUBLE",
    };
    let cast = format!("cast it before, such as CAST(x AS {to}) in the step sql");
    match plain {
        DataType::Utf8View if column.affinity != Affinity::None => format!(
            "SQLite would make numbers of texts that look like one there: make the table with a column of the type TEXT, \
             or {cast}"
        ),
        DataType::Decimal128(..) | DataType::Decimal256(..) | DataType::UInt64 | DataType::Int64
            if column.affinity != Affinity::Text && column.strict != Some(Strict::Blobs) =>
        {
            format!(
                "SQLite may make floats of such numbers there, and lose digits: make the table with a column of the type \
                 {}, or {cast}",
                if *plain == DataType::Int64 { "INTEGER" } else { "TEXT" }
            )
        }
        _ => cast,
    }
}

/// The declared type that a column of a new table gets; nothing for what SQLite has no place for. What is not known to it is known to who reads it
/// here: see the step `extract-sql`.
pub fn made(plain: &DataType) -> Option<String> {
    Some(match plain {
        DataType::Boolean => "BOOLEAN".to_owned(),
        DataType::Float32 | DataType::Float64 => "REAL".to_owned(),
        // Of a longer one SQLite would keep what a float keeps.
        DataType::Decimal128(precision, scale) if *precision <= FLOAT_DIGITS && *scale >= 0 => {
            format!("DECIMAL({precision}, {scale})")
        }
        DataType::Null | DataType::Utf8View | DataType::Decimal128(..) | DataType::Decimal256(..) => "TEXT".to_owned(),
        DataType::UInt64 => "TEXT".to_owned(),
        DataType::BinaryView => "BLOB".to_owned(),
        DataType::Date32 => "DATE".to_owned(),
        DataType::Time64(_) => "TIME".to_owned(),
        DataType::Timestamp(_, None) => "TIMESTAMP".to_owned(),
        // With its offset, which a timestamp has not.
        DataType::Timestamp(_, Some(_)) => "TEXT".to_owned(),
        whole if whole.is_integer() => "INTEGER".to_owned(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::TimeUnit;

    const STAMP: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);

    fn fits_in(plain: &DataType, declared: &str, is_strict: bool) -> bool {
        fits(plain, &Type::of(declared, is_strict)).is_ok()
    }

    #[test]
    fn a_declared_type_says_what_becomes_of_values() {
        for (declared, wanted) in [
            ("BIGINT", Affinity::Integer),
            ("CHARINT", Affinity::Integer),
            ("VARCHAR(9)", Affinity::Text),
            ("CLOB", Affinity::Text),
            ("", Affinity::None),
            ("BLOB", Affinity::None),
            ("DOUBLE PRECISION", Affinity::Real),
            ("FLOAT", Affinity::Real),
            ("DECIMAL(10,5)", Affinity::Numeric),
            ("STRING", Affinity::Numeric),
            ("ANY", Affinity::Numeric),
        ] {
            assert_eq!(Type::of(declared, false), Type { affinity: wanted, strict: None }, "{declared}");
        }
    }

    #[test]
    fn what_a_column_would_change_does_not_fit() {
        for (plain, declared) in [
            (DataType::Utf8View, "INTEGER"),
            (DataType::Utf8View, "NUMERIC"),
            (DataType::Utf8View, "STRING"),
            (DataType::Utf8View, "REAL"),
            (DataType::Int64, "REAL"),
            (DataType::Int64, "TEXT"),
            (DataType::UInt64, "INTEGER"),
            (DataType::Float64, "TEXT"),
            (DataType::Float64, "INTEGER"),
            (DataType::Boolean, "TEXT"),
            (DataType::Decimal128(38, 10), "decimal(38,10)"),
            (DataType::Decimal128(16, 2), "DOUBLE"),
            (DataType::Decimal128(15, 2), "INTEGER"),
            (DataType::Decimal128(19, 0), "INTEGER"),
            (STAMP, "INTEGER"),
        ] {
            let help = fits(&plain, &Type::of(declared, false)).expect_err(declared);
            assert!(help.contains("CAST(x AS "), "{plain} {declared}: {help}");
        }
        for (plain, declared) in [
            (DataType::Utf8View, "varchar"),
            (DataType::Int64, "NUMERIC"),
            (DataType::Int32, "REAL"),
            (DataType::Float64, "NUMERIC"),
            (DataType::Decimal128(38, 10), "TEXT"),
            (DataType::Decimal128(38, 10), ""),
            (DataType::Decimal128(15, 2), "NUMERIC"),
            (DataType::Decimal128(18, 0), "INTEGER"),
            (DataType::Null, "INTEGER"),
            (DataType::BinaryView, "UUID"),
            (STAMP, "DATETIME"),
        ] {
            assert!(fits_in(&plain, declared, false), "{plain} {declared}");
        }
    }

    #[test]
    fn a_strict_table_takes_what_is_of_its_types() {
        for (plain, declared, wanted) in [
            (DataType::Utf8View, "ANY", true),
            (DataType::BinaryView, "ANY", true),
            (DataType::BinaryView, "BLOB", true),
            (DataType::BinaryView, "TEXT", false),
            (DataType::Utf8View, "BLOB", false),
            (DataType::Int64, "BLOB", false),
            (DataType::Int64, "INT", true),
            (DataType::Int64, "TEXT", false),
        ] {
            assert_eq!(fits_in(&plain, declared, true), wanted, "{plain} {declared}");
        }
    }

    #[test]
    fn a_table_that_was_made_takes_the_same_rows_again() {
        let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into()));
        for plain in [
            DataType::Null,
            DataType::Boolean,
            DataType::Int8,
            DataType::UInt32,
            DataType::Int64,
            DataType::UInt64,
            DataType::Float32,
            DataType::Float64,
            DataType::Decimal128(15, 2),
            DataType::Decimal128(15, -2),
            DataType::Decimal256(60, 2),
            DataType::Utf8View,
            DataType::BinaryView,
            DataType::Date32,
            DataType::Time64(TimeUnit::Microsecond),
            STAMP,
            utc,
        ] {
            let declared = made(&plain).expect("a type");
            assert!(fits_in(&plain, &declared, false), "{plain} {declared}");
        }
    }
}
