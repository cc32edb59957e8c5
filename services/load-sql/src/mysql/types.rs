//! Which types of Arrow fit which of MariaDB and MySQL. Pure.
//!
//! What would lose digits, or mean something else than it did, does not fit: the pipeline says what it wants with a cast.

use arrow::datatypes::{DataType, TimeUnit};

/// Digits of the longest `decimal`.
const DIGITS: u16 = 65;
/// Decimals of those. (MariaDB has more since 10.2; MySQL has not.)
const DECIMALS: i8 = 30;
/// Characters of all keys of a table that are texts: an index holds 3072 bytes, four for a character.
const KEY_CHARACTERS: usize = 768;
/// Characters of one of them, at the most.
const LONGEST_KEY: usize = 255;

/// A type, as far as it matters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Type {
    /// Its name in the information schema: `int`, `varchar`.
    pub name: String,
    /// Decimals of a number.
    pub scale: Option<i64>,
    /// Decimals of the seconds of a time.
    pub seconds: Option<u32>,
    /// The members of an `enum` or a `set`.
    pub members: Vec<String>,
    /// Whether the server numbers rows that bring none.
    pub numbered: bool,
    /// Whether a null may become the time at which it is written: a `timestamp NOT NULL`
    /// (MariaDB's manual, *explicit_defaults_for_timestamp*).
    pub stamped: bool,
}

impl Type {
    /// The members that a type such as `enum('a','it''s')` is written with.
    pub fn members(written: &str) -> Vec<String> {
        let list = written.strip_prefix("enum('").or_else(|| written.strip_prefix("set('"));
        let Some(list) = list.and_then(|list| list.strip_suffix("')")) else { return Vec::new() };
        list.split("','").map(|member| member.replace("''", "'")).collect()
    }
}

/// The type that a column of a new table gets; nothing for what there is no place for. `keys` are how many keys share its
/// index, for a column that is one.
pub fn made(plain: &DataType, keys: Option<usize>) -> Option<String> {
    let length = keys.map(|keys| LONGEST_KEY.min(KEY_CHARACTERS / keys.max(1)));
    Some(match plain {
        DataType::Boolean => "boolean".to_owned(),
        DataType::Int8 => "tinyint".to_owned(),
        DataType::UInt8 => "tinyint unsigned".to_owned(),
        DataType::Int16 => "smallint".to_owned(),
        DataType::UInt16 => "smallint unsigned".to_owned(),
        DataType::Int32 => "int".to_owned(),
        DataType::UInt32 => "int unsigned".to_owned(),
        DataType::Int64 => "bigint".to_owned(),
        DataType::UInt64 => "bigint unsigned".to_owned(),
        DataType::Float32 => "float".to_owned(),
        DataType::Float64 => "double".to_owned(),
        DataType::Decimal128(precision, scale) | DataType::Decimal256(precision, scale) => {
            // A scale below zero means zeros before the point.
            let digits = u16::from(*precision) + u16::from(scale.min(&0).unsigned_abs());
            return (digits <= DIGITS && *scale <= DECIMALS).then(|| format!("decimal({digits}, {})", scale.max(&0)));
        }
        DataType::Date32 => "date".to_owned(),
        DataType::Time64(TimeUnit::Microsecond) => "time(6)".to_owned(),
        DataType::Timestamp(_, None) => "datetime(6)".to_owned(),
        // Without the word some servers add a default of their own.
        DataType::Timestamp(_, Some(_)) => "timestamp(6) NULL".to_owned(),
        DataType::BinaryView => length.map_or("longblob".to_owned(), |length| format!("varbinary({length})")),
        // Columns of nothing but nulls are texts. Keys differ where their characters do.
        DataType::Utf8View | DataType::Null => {
            length.map_or("longtext".to_owned(), |length| format!("varchar({length}) COLLATE utf8mb4_bin"))
        }
        _ => return None,
    })
}

/// Whether values of this plain type fit; else what to do about it.
///
/// # Errors
/// What to try.
pub fn fits(plain: &DataType, column: &Type) -> Result<(), String> {
    let name = column.name.as_str();
    let cast = || format!("cast it before, such as CAST(x AS {}) in the step sql", sql_name(column));
    let whole = matches!(name, "tinyint" | "smallint" | "mediumint" | "int" | "bigint");
    let good = match plain {
        DataType::Null => true,
        DataType::Boolean => matches!(name, "tinyint" | "bit"),
        // The server says which number is too large.
        DataType::Int8 | DataType::Int16 | DataType::UInt8 | DataType::UInt16 => {
            whole || matches!(name, "decimal" | "float" | "double")
        }
        DataType::Int32 | DataType::UInt32 => whole || matches!(name, "decimal" | "double"),
        DataType::Int64 | DataType::UInt64 => whole || name == "decimal",
        DataType::Float32 | DataType::Float64 if matches!(name, "float" | "double") && column.scale.is_some() => {
            return Err(
                "it would be rounded: load it into a column that is `double`, without decimals of its own".to_owned()
            );
        }
        DataType::Float32 => matches!(name, "float" | "double"),
        DataType::Float64 => name == "double",
        DataType::Decimal128(_, scale) | DataType::Decimal256(_, scale) => match name {
            "decimal" if column.scale.is_some_and(|held| i64::from(*scale) > held) => {
                let held = column.scale.unwrap_or_default();
                return Err(format!("its {scale} decimals would be rounded to {held}: {}", cast()));
            }
            "decimal" => true,
            _ => whole && *scale <= 0,
        },
        DataType::BinaryView => {
            matches!(name, "binary" | "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob")
        }
        DataType::Date32 => matches!(name, "date" | "datetime"),
        DataType::Time64(TimeUnit::Microsecond) => name == "time",
        DataType::Timestamp(_, None) => name == "datetime",
        DataType::Timestamp(_, Some(_)) => name == "timestamp",
        // A text may be JSON, a UUID, an address: what has no type of its own in Arrow.
        DataType::Utf8View => is_text(name),
        _ => return Err("make a text of it, or leave it out, before: SELECT … in the step sql".to_owned()),
    };
    if good { Ok(()) } else { Err(cast()) }
}

fn is_text(name: &str) -> bool {
    let plain = matches!(name, "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext");
    plain || matches!(name, "enum" | "set" | "json" | "uuid" | "inet4" | "inet6" | "xmltype")
}

/// A type as the step `sql` casts to it.
fn sql_name(column: &Type) -> String {
    let name = match column.name.as_str() {
        "bit" => "BOOLEAN",
        "tinyint" => "TINYINT",
        "smallint" => "SMALLINT",
        "mediumint" | "int" => "INT",
        "bigint" => "BIGINT",
        "float" => "REAL",
        "double" => "DOUBLE",
        "decimal" => return format!("DECIMAL(38, {})", column.scale.unwrap_or(10)),
        "binary" | "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob" => "BYTEA",
        "date" => "DATE",
        "time" => "TIME",
        "datetime" => "TIMESTAMP",
        "timestamp" => "TIMESTAMPTZ",
        _ => "VARCHAR",
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str) -> Type {
        Type { name: name.to_owned(), ..Type::default() }
    }

    #[test]
    fn what_would_lose_digits_does_not_fit() {
        assert!(fits(&DataType::Int64, &column("int")).is_ok(), "the server looks at each number");
        for (plain, name) in [
            (DataType::Int64, "double"),
            (DataType::Float64, "float"),
            (DataType::Float64, "decimal"),
            (DataType::Timestamp(TimeUnit::Microsecond, None), "timestamp"),
            (DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), "datetime"),
            (DataType::Utf8View, "date"),
            (DataType::Utf8View, "blob"),
            (DataType::Int64, "text"),
        ] {
            assert!(fits(&plain, &column(name)).expect_err(name).contains("CAST"), "{plain} {name}");
        }
        let money = Type { scale: Some(2), ..column("decimal") };
        assert!(fits(&DataType::Decimal128(10, 2), &money).is_ok());
        assert!(fits(&DataType::Decimal128(10, 3), &money).expect_err("rounded").contains("rounded to 2"));
        let rounding = Type { scale: Some(2), ..column("double") };
        assert!(fits(&DataType::Float64, &rounding).expect_err("rounded").contains("rounded"));
    }

    #[test]
    fn a_new_table_has_a_type_for_what_it_can_hold() {
        assert_eq!(made(&DataType::UInt64, None).as_deref(), Some("bigint unsigned"));
        assert_eq!(made(&DataType::Decimal128(5, -2), None).as_deref(), Some("decimal(7, 0)"));
        assert_eq!(made(&DataType::Utf8View, Some(4)).as_deref(), Some("varchar(192) COLLATE utf8mb4_bin"));
        for none in
            [DataType::Decimal256(76, 4), DataType::Decimal128(38, 31), DataType::Duration(TimeUnit::Microsecond)]
        {
            assert_eq!(made(&none, None), None, "{none}");
        }
    }

    #[test]
    fn members_of_an_enum_are_read() {
        assert_eq!(Type::members("enum('a','it''s','x,y','')"), ["a", "it's", "x,y", ""]);
        assert!(Type::members("varchar(3)").is_empty());
    }
}
