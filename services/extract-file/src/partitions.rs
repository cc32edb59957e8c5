//! Columns that folders make: `sales/year=2024/region=north/part-0.parquet`.

use crate::params::PartitionType;
use arrow::array::{ArrayRef, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field};
use flight_common::Fault;
use flight_common::params::did_you_mean;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How a null is spelled as a folder.
const NULL: &str = "__HIVE_DEFAULT_PARTITION__";

/// The columns that a file's folders make, and their values as they are written.
pub type Written = Vec<(String, Option<String>)>;

/// What the folders of a path say.
pub fn of_path(path: &str) -> Written {
    let folders = path.rsplit_once('/').map_or("", |(folders, _)| folders);
    let parts = folders.split('/').filter_map(|folder| folder.split_once('='));
    let parts = parts.filter(|(name, _)| !name.is_empty());
    parts.map(|(name, value)| (decoded(name), (value != NULL).then(|| decoded(value)))).collect()
}

/// `%3A` as it was before it became part of a path.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let digits = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()).filter(|_| first == b'%') {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

/// The columns that the folders of all files make.
///
/// # Errors
/// [`flight_common::FaultKind::BadData`] where folders of two files make other columns, or a value is not of its type;
/// [`flight_common::FaultKind::BadParams`] for a type of a column that there is not.
pub fn columns(files: &[(&str, &Written)], given: &BTreeMap<String, PartitionType>) -> Result<Vec<Field>, Fault> {
    let Some(((first, written), others)) = files.split_first() else { return Ok(Vec::new()) };
    let names = |written: &Written| written.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    let expected = names(written);
    if let Some((_, twice)) = expected.iter().enumerate().find(|(place, name)| expected[..*place].contains(name)) {
        return Err(Fault::bad_data(format!("two folders of {first} give the column \"{twice}\""))
            .column(twice)
            .help("give one of the folders another name"));
    }
    if let Some((path, other)) = others.iter().find(|(_, other)| names(other) != expected) {
        let told = |names: &[String]| if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        return Err(Fault::bad_data(format!(
            "the folders of {first} and {path} make other columns: {}, and {}",
            told(&expected),
            told(&names(other))
        ))
        .help("choose a narrower pattern"));
    }
    if let Some(unknown) = given.keys().find(|name| !expected.contains(name)) {
        let message = format!("no folder makes a column \"{unknown}\"");
        let help = did_you_mean(unknown, expected.iter().map(String::as_str));
        return Err(Fault::bad_params(message.clone()).help(help).violation("/partition_types", message));
    }
    let field = |(place, name): (usize, &String)| {
        let values = files.iter().map(|(path, written)| (*path, written[place].1.as_deref()));
        let data_type = match given.get(name) {
            Some(given) => checked(name, *given, values)?,
            None => guessed(values.filter_map(|(_, value)| value)),
        };
        Ok(Field::new(name, data_type, true))
    };
    expected.iter().enumerate().map(field).collect()
}

fn arrow_type(given: PartitionType) -> DataType {
    match given {
        PartitionType::String => DataType::Utf8,
        PartitionType::Int64 => DataType::Int64,
        PartitionType::Date => DataType::Date32,
    }
}

fn checked<'a>(
    name: &str,
    given: PartitionType,
    mut values: impl Iterator<Item = (&'a str, Option<&'a str>)>,
) -> Result<DataType, Fault> {
    let data_type = arrow_type(given);
    let wrong = values.find(|(_, value)| value.is_some_and(|value| one(Some(value), &data_type).is_err()));
    match wrong {
        Some((path, value)) => Err(Fault::bad_data(format!(
            "{path}: \"{}\" is no {data_type} for the column \"{name}\"",
            value.unwrap_or_default()
        ))
        .column(name)
        .help(format!("set partition_types: {{{name}: string}}"))),
        None => Ok(data_type),
    }
}

/// Whole numbers and days, if all values are; a number such as `07` would not be the same any more.
fn guessed<'a>(values: impl Iterator<Item = &'a str>) -> DataType {
    let values: Vec<&str> = values.collect();
    let whole = |value: &&str| value.parse::<i64>().is_ok_and(|number| number.to_string() == **value);
    let day = |value: &&str| value.len() == 10 && one(Some(value), &DataType::Date32).is_ok();
    match values.is_empty() {
        false if values.iter().all(whole) => DataType::Int64,
        false if values.iter().all(day) => DataType::Date32,
        _ => DataType::Utf8,
    }
}

/// One value as an array of one row.
///
/// # Errors
/// [`flight_common::FaultKind::BadData`] for a value that is not of the type.
pub fn one(value: Option<&str>, data_type: &DataType) -> Result<ArrayRef, Fault> {
    let Some(value) = value else { return Ok(new_null_array(data_type, 1)) };
    let text: ArrayRef = Arc::new(arrow::array::StringArray::from(vec![value]));
    let cast = cast(&text, data_type)?;
    match cast.null_count() {
        0 => Ok(cast),
        _ => Err(Fault::bad_data(format!("\"{value}\" is no {data_type}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guess(paths: &[&str]) -> Result<Vec<(String, DataType)>, Fault> {
        let written: Vec<Written> = paths.iter().map(|path| of_path(path)).collect();
        let files: Vec<(&str, &Written)> = paths.iter().copied().zip(&written).collect();
        let fields = columns(&files, &BTreeMap::new())?;
        Ok(fields.iter().map(|field| (field.name().clone(), field.data_type().clone())).collect())
    }

    #[test]
    fn folders_are_columns_and_file_names_are_not() {
        let written = of_path("a/year=2024/at=12%3A30/=x/b/k=v.parquet");
        assert_eq!(
            written,
            [("year".to_owned(), Some("2024".to_owned())), ("at".to_owned(), Some("12:30".to_owned()))]
        );
        assert_eq!(of_path(&format!("k={NULL}/f")), [("k".to_owned(), None)]);
        assert!(of_path("k=v").is_empty());
    }

    #[test]
    fn a_guessed_type_never_changes_a_value() {
        let of = |values: [&str; 2]| guess(&values.map(|value| format!("k={value}/f")).each_ref().map(String::as_str));
        for (values, wanted) in [
            (["2024", "-1"], DataType::Int64),
            (["2024", "07"], DataType::Utf8),
            (["2024-02-29", "1969-12-31"], DataType::Date32),
            (["2024-02-30", "2024-01-01"], DataType::Utf8),
            (["1", NULL], DataType::Int64),
            ([NULL, NULL], DataType::Utf8),
        ] {
            assert_eq!(of(values).expect("they agree"), [("k".to_owned(), wanted)], "{values:?}");
        }
    }

    #[test]
    fn folders_that_make_other_columns_are_told_by_both_paths() {
        let fault = guess(&["year=1/f", "month=1/g"]).expect_err("they differ");
        assert!(fault.message().contains("year=1/f") && fault.message().contains("month=1/g"), "{fault}");
    }
}
