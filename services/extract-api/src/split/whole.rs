//! An object where the records should be: columns, one record, or an envelope around the list that was meant.

use super::gathered::Gathered;
use crate::fields::each_field;
use crate::options::RecordsPath;
use flight_common::Fault;
use flight_common::params::pointer;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// The records of an object.
///
/// # Errors
/// [`flight_common::FaultKind::BadData`] for columns of several lengths, for an envelope, and for what is no JSON.
pub fn records(object: &[u8], path: &RecordsPath, gathered: &mut Gathered) -> Result<(), Fault> {
    let text = std::str::from_utf8(object).map_err(|_| Fault::bad_data("the answer is not UTF-8"))?;
    let mut fields: Vec<(Cow<'_, str>, &str)> = Vec::new();
    each_field(text, |name, value| {
        fields.push((name, value));
        Ok::<_, Fault>(())
    })
    .map_err(|error| error.into_fault(|what| Fault::bad_data(format!("the answer is not JSON: {what}"))))?;
    if !path.told
        && let Some((name, _)) = fields.iter().find(|(_, value)| holds_objects(value))
    {
        let pointer = pointer([&**name]);
        return Err(Fault::bad_data(format!("the answer is an object with a list of objects in \"{name}\""))
            .help(format!("set `records_path: \"{pointer}\"`, or `\"\"` if the whole answer is one record")));
    }
    match !fields.is_empty() && fields.iter().all(|(_, value)| value.starts_with('[')) {
        true => columns(&fields, gathered),
        false => {
            gathered.bytes().extend_from_slice(object);
            gathered.end_value();
            gathered.end_record();
            Ok(())
        }
    }
}

fn holds_objects(value: &str) -> bool {
    value.strip_prefix('[').is_some_and(|rest| rest.trim_start().starts_with('{'))
}

/// Columns as records.
fn columns(fields: &[(Cow<'_, str>, &str)], gathered: &mut Gathered) -> Result<(), Fault> {
    let mut columns: Vec<(String, Vec<&RawValue>)> = Vec::with_capacity(fields.len());
    for (name, list) in fields {
        let key = serde_json::Value::from(name.as_ref()).to_string();
        let list =
            serde_json::from_str(list).map_err(|error| Fault::bad_data(format!("the answer is not JSON: {error}")))?;
        columns.push((key, list));
    }
    let rows = columns[0].1.len();
    if let Some((name, list)) = columns.iter().find(|(_, list)| list.len() != rows) {
        let first = &columns[0].0;
        let message = format!("{first} has {rows} values, and {name} {}: they are no columns of one table", list.len());
        return Err(Fault::bad_data(message).help("is `records_path` the right place?"));
    }
    for row in 0..rows {
        let bytes = gathered.bytes();
        for (place, (key, list)) in columns.iter().enumerate() {
            bytes.push(if place == 0 { b'{' } else { b',' });
            bytes.extend_from_slice(key.as_bytes());
            bytes.push(b':');
            bytes.extend_from_slice(list[row].get().as_bytes());
        }
        bytes.push(b'}');
        gathered.end_value();
        gathered.end_record();
    }
    Ok(())
}
