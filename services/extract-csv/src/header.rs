//! The names of the columns: from the first record, or made up.

use crate::field::{BadQuote, Rules};
use crate::mask::LANES;
use crate::params::DuplicateHeaders;
use crate::scan::Scanner;
use crate::text::View;
use flight_common::Fault;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// The first record that is not a blank line.
#[derive(Debug, PartialEq, Eq)]
pub struct Record {
    /// Its fields, without quotes.
    pub fields: Vec<String>,
    /// Where it begins in the text.
    pub start: usize,
    /// Where the next one begins.
    pub end: usize,
}

/// Reads the first record of a text of whole records, if there is one.
///
/// # Errors
/// Where it begins, if one of its fields goes on after its closing quote.
pub fn first_record(text: View<'_>, rules: &Rules) -> Result<Option<Record>, (usize, BadQuote)> {
    let bytes = text.text();
    let mut scanner = Scanner::new(rules.dialect);
    let (mut fields, mut start, mut field) = (Vec::new(), 0, 0);
    let mut scratch = Vec::new();
    for at in (0..bytes.len()).step_by(LANES) {
        let (word, known) = text.word(at);
        let mut ends = scanner.step(word, known).fields;
        while ends != 0 {
            let end = at + ends.trailing_zeros() as usize;
            ends &= ends - 1;
            let ends_record = bytes[end] == b'\n';
            let raw = &bytes[field..end];
            let raw = if ends_record { raw.strip_suffix(b"\r").unwrap_or(raw) } else { raw };
            field = end + 1;
            if ends_record && fields.is_empty() && raw.is_empty() {
                start = field;
                continue;
            }
            let name = rules.text(raw, &mut scratch).map_err(|bad| (start, bad))?;
            fields.push(String::from_utf8_lossy(name).into_owned());
            if ends_record {
                return Ok(Some(Record { fields, start, end: field }));
            }
        }
    }
    Ok(None)
}

/// Refuses names that show that the text is not what it was taken for.
///
/// # Errors
/// [`flight_common::FaultKind::BadData`] for zero bytes, and for line breaks of a kind that ends no line here.
pub fn check_characters(fields: &[String], place: &str) -> Result<(), Fault> {
    if fields.iter().any(|field| field.contains('\0')) {
        return Err(Fault::bad_data(format!("{place}: there are zero bytes in it"))
            .help("set `encoding` if it is text, such as utf-16le"));
    }
    let lone = |field: &String| field.split('\r').skip(1).any(|rest| !rest.starts_with('\n'));
    if fields.iter().any(lone) {
        return Err(Fault::bad_data(format!("{place}: there are carriage returns in it without a line feed"))
            .help("end lines with a line feed: tr '\\r' '\\n' < old.csv > new.csv"));
    }
    Ok(())
}

/// Names for columns: empty ones become `column_1` by their place, and of two equal ones the later is renamed, or both
/// are refused.
///
/// # Errors
/// [`flight_common::FaultKind::BadData`] with the places of the first two that are equal.
pub fn names(fields: Vec<String>, duplicates: DuplicateHeaders, place: &str) -> Result<Vec<String>, Fault> {
    let mut taken: HashMap<String, usize> = HashMap::with_capacity(fields.len());
    let mut names = Vec::with_capacity(fields.len());
    let given: Vec<String> = fields
        .into_iter()
        .enumerate()
        .map(|(at, name)| if name.is_empty() { format!("column_{}", at + 1) } else { name })
        .collect();
    for (at, name) in given.iter().enumerate() {
        match taken.entry(name.clone()) {
            Entry::Vacant(free) => {
                free.insert(at);
                names.push(name.clone());
            }
            Entry::Occupied(first) if duplicates == DuplicateHeaders::Refuse => {
                let (first, second) = (first.get() + 1, at + 1);
                let message = format!("{place}: columns {first} and {second} are both called \"{name}\"");
                return Err(Fault::bad_data(message)
                    .column(name)
                    .help("rename one of them in the file, or set `duplicate_headers: rename`"));
            }
            Entry::Occupied(_) => {
                let mut numbers = 1..;
                let renamed = numbers.find_map(|number| {
                    let renamed = format!("{name}.{number}");
                    (!taken.contains_key(&renamed) && !given.contains(&renamed)).then_some(renamed)
                });
                let renamed = renamed.expect("there are more numbers than columns");
                taken.insert(renamed.clone(), at);
                names.push(renamed);
            }
        }
    }
    Ok(names)
}

/// `column_1` and so on.
pub fn numbered(columns: usize) -> Vec<String> {
    (1..=columns).map(|place| format!("column_{place}")).collect()
}

/// The fault for a file without a record.
pub fn empty(path: &str, header: bool) -> Fault {
    let help = if header { "a CSV file has at least a line with the names of its columns" } else { "write some rows" };
    Fault::bad_data(format!("{path} is empty")).help(help)
}

/// The fault for two files, of which the second has other columns than the first.
pub fn other_columns((first, second): (&str, &str), expected: &[String], found: &[String]) -> Fault {
    let place = (0..).find(|place| expected.get(*place) != found.get(*place)).unwrap_or_default();
    let named = |names: &[String]| names.get(place).map_or("no column".to_owned(), |name| format!("\"{name}\""));
    let (expected, found) = (named(expected), named(found));
    let message = format!("{second}: its column {} is {found}, where {first} has {expected}", place + 1);
    Fault::bad_data(message).help(
        "files of one pattern have the same columns in the same order: choose a narrower pattern, or read them apart",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(fields: &[&str], duplicates: DuplicateHeaders) -> Result<Vec<String>, Fault> {
        names(fields.iter().map(|&name| name.to_owned()).collect(), duplicates, "a.csv, line 1")
    }

    #[test]
    fn two_columns_of_one_name_are_refused_by_their_places() {
        let fault = named(&["a", "b", "a"], DuplicateHeaders::Refuse).expect_err("refused");
        assert!(fault.message().contains("columns 1 and 3") && fault.message().contains("\"a\""), "{fault}");
    }

    #[test]
    fn later_ones_are_renamed_on_demand_to_names_that_are_free() {
        let renamed = named(&["a", "a.1", "a", "", "a"], DuplicateHeaders::Rename).expect("renamed");
        assert_eq!(renamed, ["a", "a.1", "a.2", "column_4", "a.3"]);
    }
}
