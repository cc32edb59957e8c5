//! What a column of SQLite holds.
//!
//! In SQLite any value may stand in any column; a declared type is a wish. It is taken at its word here, and a value that
//! does not fit is an error. What has no declared type, such as an expression, is what its first rows are.

use arrow::datatypes::{DataType, TimeUnit};
use rusqlite::types::Type;

/// How the values of a column are read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Form {
    Whole,
    Bool,
    Real,
    Text,
    Bytes,
    Decimal(u8, i8),
    Date,
    Time,
    Timestamp,
}

impl Form {
    /// The type that it becomes.
    pub fn data_type(self) -> DataType {
        match self {
            Self::Whole => DataType::Int64,
            Self::Bool => DataType::Boolean,
            Self::Real => DataType::Float64,
            Self::Text => DataType::Utf8,
            Self::Bytes => DataType::Binary,
            Self::Decimal(precision, scale) => DataType::Decimal128(precision, scale),
            Self::Date => DataType::Date32,
            Self::Time => DataType::Time64(TimeUnit::Microsecond),
            Self::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
        }
    }

    /// The form of a declared type; nothing for one that tells nothing. Where SQLite's own rules know it (its manual,
    /// *Datatypes*, 3.1) they hold; common names that it has no rule for come before.
    pub fn declared(declared: &str) -> Option<Self> {
        let upper = declared.trim().to_uppercase();
        let (name, arguments) = upper.split_once('(').unwrap_or((&upper, ""));
        let has = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
        Some(match name.trim() {
            "BOOL" | "BOOLEAN" => Self::Bool,
            "DATE" => Self::Date,
            "TIME" => Self::Time,
            "DATETIME" => Self::Timestamp,
            name if name.starts_with("TIMESTAMP") => Self::Timestamp,
            "DECIMAL" | "NUMERIC" => decimal(arguments)?,
            _ if has(&["INT"]) => Self::Whole,
            _ if has(&["CHAR", "CLOB", "TEXT", "STRING", "JSON", "UUID"]) => Self::Text,
            _ if has(&["BLOB", "BINARY"]) => Self::Bytes,
            _ if has(&["REAL", "FLOA", "DOUB"]) => Self::Real,
            _ => return None,
        })
    }
}

impl Form {
    /// The form of what is cast to this type; nothing where a cast gives numbers of either kind. By SQLite's own rules (its
    /// manual, *Datatypes*, 3.1): here a name that it has no rule for makes a number.
    pub fn cast(to: &str) -> Option<Self> {
        let upper = to.to_uppercase();
        let has = |parts: &[&str]| parts.iter().any(|part| upper.contains(part));
        match () {
            () if has(&["INT"]) => Some(Self::Whole),
            () if has(&["CHAR", "CLOB", "TEXT"]) => Some(Self::Text),
            () if has(&["BLOB"]) => Some(Self::Bytes),
            () if has(&["REAL", "FLOA", "DOUB"]) => Some(Self::Real),
            () => None,
        }
    }
}

fn decimal(arguments: &str) -> Option<Form> {
    let mut parts = arguments.trim_end_matches([')', ' ']).split(',').map(str::trim);
    let precision: u8 = parts.next()?.parse().ok().filter(|precision| (1..=38).contains(precision))?;
    let scale: i8 = parts.next().unwrap_or("0").parse().ok()?;
    let fits = scale >= 0 && scale.unsigned_abs() <= precision;
    fits.then_some(Form::Decimal(precision, scale))
}

/// Which kinds of values were seen in a column.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    whole: bool,
    real: bool,
    text: bool,
    bytes: bool,
}

impl Seen {
    /// Takes one more value in.
    pub fn add(&mut self, value: Type) {
        match value {
            Type::Null => {}
            Type::Integer => self.whole = true,
            Type::Real => self.real = true,
            Type::Text => self.text = true,
            Type::Blob => self.bytes = true,
        }
    }

    /// The form that holds them all; text when there was none. Nothing if there is no such form.
    pub fn form(self) -> Option<Form> {
        match (self.whole, self.real, self.text, self.bytes) {
            (true, false, false, false) => Some(Form::Whole),
            (_, true, false, false) => Some(Form::Real),
            (_, false, _, false) => Some(Form::Text),
            (false, false, false, true) => Some(Form::Bytes),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declared_types_are_taken_at_their_word() {
        for (declared, form) in [
            ("INTEGER", Some(Form::Whole)),
            ("unsigned big int", Some(Form::Whole)),
            ("VARCHAR(20)", Some(Form::Text)),
            ("double precision", Some(Form::Real)),
            ("DECIMAL(10, 2)", Some(Form::Decimal(10, 2))),
            ("NUMERIC(5)", Some(Form::Decimal(5, 0))),
            ("NUMERIC", None),
            ("DECIMAL(50,2)", None),
            ("boolean", Some(Form::Bool)),
            ("DATETIME", Some(Form::Timestamp)),
            ("date", Some(Form::Date)),
            ("blob", Some(Form::Bytes)),
            ("", None),
        ] {
            assert_eq!(Form::declared(declared), form, "{declared}");
        }
    }

    #[test]
    fn a_cast_tells_the_form_where_sqlite_gives_one_kind_of_value() {
        for (to, form) in [
            ("INTEGER", Some(Form::Whole)),
            ("varchar(20)", Some(Form::Text)),
            ("DOUBLE PRECISION", Some(Form::Real)),
            ("BLOB", Some(Form::Bytes)),
            ("NUMERIC", None),
            ("DECIMAL(10, 2)", None),
            ("DATE", None),
        ] {
            assert_eq!(Form::cast(to), form, "{to}");
        }
    }

    #[test]
    fn values_that_were_seen_tell_the_form() {
        let form = |values: &[Type]| {
            let mut seen = Seen::default();
            values.iter().for_each(|value| seen.add(*value));
            seen.form()
        };
        assert_eq!(form(&[]), Some(Form::Text));
        assert_eq!(form(&[Type::Null, Type::Integer]), Some(Form::Whole));
        assert_eq!(form(&[Type::Integer, Type::Real]), Some(Form::Real));
        assert_eq!(form(&[Type::Integer, Type::Text]), Some(Form::Text));
        assert_eq!(form(&[Type::Blob, Type::Text]), None);
        assert_eq!(form(&[Type::Real, Type::Text]), None);
    }
}
