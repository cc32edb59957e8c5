//! Names of types, as users write them and as messages show them.

use crate::columns;
use crate::fault::{Fault, Violation};
use crate::params::{self, Wrong, did_you_mean};
use arrow::array::timezone::Tz;
use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, Schema, TimeUnit};
use std::collections::BTreeMap;

/// The names to choose from, in the order in which they are shown.
pub const NAMES: [&str; 16] = [
    "string",
    "int64",
    "float64",
    "boolean",
    "date",
    "timestamp",
    "timestamp[us, UTC]",
    "decimal(10,2)",
    "time",
    "int8",
    "int16",
    "int32",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
];

/// The type of that name: `int64`, `timestamp[us, Europe/Berlin]`, `decimal(12,2)`. Common other names are understood.
///
/// # Errors
/// What is wrong with it, and what to try.
pub fn parse(name: &str) -> Result<DataType, (String, String)> {
    let folded = name.trim().to_lowercase();
    let (base, arguments) = match folded.split_once(['[', '(']) {
        None => (folded.as_str(), Vec::new()),
        // The zone keeps its case.
        Some((base, _)) => {
            let inner = &name.trim()[base.len() + 1..];
            let inner = inner.strip_suffix([']', ')']).ok_or_else(|| unknown(name))?;
            (base, inner.split(',').map(str::trim).collect())
        }
    };
    match base.trim_end() {
        "decimal" | "numeric" | "decimal128" => return decimal(name, &arguments),
        "timestamp" | "datetime" => return timestamp(name, &arguments),
        _ if !arguments.is_empty() => return Err(unknown(name)),
        _ => {}
    }
    Ok(match base {
        "string" | "str" | "text" | "utf8" | "varchar" | "object" => DataType::Utf8,
        "int64" | "int" | "integer" | "bigint" | "long" => DataType::Int64,
        "int32" => DataType::Int32,
        "int16" | "smallint" => DataType::Int16,
        "int8" | "tinyint" => DataType::Int8,
        "uint64" => DataType::UInt64,
        "uint32" => DataType::UInt32,
        "uint16" => DataType::UInt16,
        "uint8" => DataType::UInt8,
        "float64" | "float" | "double" => DataType::Float64,
        "float32" | "real" => DataType::Float32,
        "boolean" | "bool" => DataType::Boolean,
        "date" | "date32" => DataType::Date32,
        "time" | "time64" => DataType::Time64(TimeUnit::Microsecond),
        _ => return Err(unknown(name)),
    })
}

/// The types that a step's parameter `types` gives to columns, by their names. What is no type goes to `wrong`.
pub fn given(types: BTreeMap<String, String>, wrong: &mut Vec<Violation>) -> Vec<(String, DataType)> {
    let mut given = Vec::new();
    for (column, name) in types {
        match parse(&name) {
            Ok(data_type) => given.push((column, data_type)),
            Err((message, help)) => {
                wrong.push(Violation::new(pointer(&column), format!("types.{column}: {message}")).help(help));
            }
        }
    }
    given
}

/// The places of the columns that types are given to, in the order of those.
///
/// # Errors
/// [`crate::FaultKind::BadSchema`] with all that are no columns, and the nearest name of each.
pub fn places(schema: &Schema, given: &[(String, DataType)]) -> Result<Vec<usize>, Fault> {
    let mut wrong = Wrong::default();
    let find = |(name, _): &(String, DataType)| wrong.note(columns::find(schema, name, &pointer(name)));
    let places = given.iter().filter_map(find).collect();
    wrong.into_result().map(|()| places)
}

/// The place of a column in the parameter `types`.
pub fn pointer(column: &str) -> String {
    params::pointer(["types", column])
}

fn unknown(name: &str) -> (String, String) {
    (format!("unknown type \"{name}\""), did_you_mean(name, NAMES))
}

fn decimal(name: &str, arguments: &[&str]) -> Result<DataType, (String, String)> {
    let help = || "write `decimal(precision,scale)` with up to 38 digits, such as `decimal(12,2)`".to_owned();
    let [precision, scale] = arguments else {
        return Err((format!("\"{name}\" needs a precision and a scale"), help()));
    };
    match (precision.parse::<u8>(), scale.parse::<i8>()) {
        (Ok(precision @ 1..=DECIMAL128_MAX_PRECISION), Ok(scale))
            if scale >= 0 && scale.unsigned_abs() <= precision =>
        {
            Ok(DataType::Decimal128(precision, scale))
        }
        _ => Err((format!("\"{name}\" is no decimal type"), help())),
    }
}

fn timestamp(name: &str, arguments: &[&str]) -> Result<DataType, (String, String)> {
    let (unit, zone) = match arguments {
        [] => ("us", None),
        [unit] => (*unit, None),
        [unit, zone] => (*unit, Some(*zone)),
        _ => return Err(unknown(name)),
    };
    let unit = match unit {
        "s" => TimeUnit::Second,
        "ms" => TimeUnit::Millisecond,
        "us" => TimeUnit::Microsecond,
        "ns" => TimeUnit::Nanosecond,
        _ => {
            return Err((format!("\"{unit}\" is no unit of time"), "use s, ms, us or ns: `timestamp[us, UTC]`".into()));
        }
    };
    if let Some(zone) = zone
        && zone.parse::<Tz>().is_err()
    {
        let help = "use UTC, an offset such as +01:00, or a name such as Europe/Berlin";
        return Err((format!("\"{zone}\" is no time zone"), help.into()));
    }
    Ok(DataType::Timestamp(unit, zone.map(Into::into)))
}

/// The name under which [`parse`] knows the type.
pub fn name(data_type: &DataType) -> String {
    match data_type {
        DataType::Utf8 => "string".into(),
        DataType::Date32 => "date".into(),
        DataType::Time64(_) => "time".into(),
        DataType::Decimal128(precision, scale) => format!("decimal({precision},{scale})"),
        DataType::Timestamp(TimeUnit::Microsecond, None) => "timestamp".into(),
        DataType::Timestamp(unit, zone) => {
            let unit = match unit {
                TimeUnit::Second => "s",
                TimeUnit::Millisecond => "ms",
                TimeUnit::Microsecond => "us",
                TimeUnit::Nanosecond => "ns",
            };
            match zone {
                Some(zone) => format!("timestamp[{unit}, {zone}]"),
                None => format!("timestamp[{unit}]"),
            }
        }
        other => other.to_string().to_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_known_by_the_name_it_is_shown_with() {
        for known in NAMES.into_iter().chain(["float32", "timestamp[s]", "timestamp[ns, Europe/Berlin]"]) {
            let parsed = parse(known).expect("a known type");
            assert_eq!(name(&parsed), known);
        }
    }

    #[test]
    fn case_spaces_and_brackets_do_not_matter() {
        assert_eq!(parse(" Decimal[ 12, 2 ]"), parse("decimal(12,2)"));
        assert_eq!(parse("TIMESTAMP(us,Europe/Berlin)"), parse("timestamp[us, Europe/Berlin]"));
        assert_eq!(parse("Integer"), Ok(DataType::Int64));
    }

    #[test]
    fn what_is_no_type_is_refused_with_a_hint() {
        assert_eq!(parse("strin").expect_err("no type").1, "did you mean \"string\"?");
        for wrong in ["decimal", "decimal(40,2)", "decimal(4,6)", "timestamp[us, Nowhere]", "timestamp[h]", "int64(3)"]
        {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        assert!(parse("timestamp[us").is_err());
    }
}
