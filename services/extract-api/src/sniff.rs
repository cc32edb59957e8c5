//! The look at the first records: names, and what was seen under each.

use crate::fields::{each_field, told, unescaped};
use crate::kind::Kind;
use crate::layout::{ColumnPlan, Layout};
use crate::options::Options;
use crate::split::Records;
use flight_common::Fault;
use flight_common::values::{Forms, Seen};
use serde_json::value::RawValue;
use std::collections::HashMap;

/// The column of records that are no objects.
pub const VALUE: &str = "value";

/// Objects that lie in one another: more are an attack, and would take more stack than there is.
const DEEPEST: usize = 128;

/// Columns of records: more are most likely data that stand where names should, and each takes room in each row.
const MOST_COLUMNS: usize = 16 * 1024;

/// What was seen so far.
#[derive(Default)]
pub struct Sample {
    fields: Fields,
    /// How many fields there are, those of objects within others too.
    count: usize,
    rows: u64,
}

/// What a look at records needs, and how many fields it has found.
struct Looking<'a> {
    forms: &'a Forms,
    fields: usize,
}

impl Looking<'_> {
    fn has_enough(&self) -> bool {
        self.fields > MOST_COLUMNS
    }
}

/// The fields of an object, in the order in which they were first seen.
#[derive(Default)]
struct Fields {
    fields: Vec<(String, Seeing)>,
    places: HashMap<String, usize>,
}

/// What was seen under one name.
#[derive(Default)]
struct Seeing {
    /// Texts, numbers and booleans.
    scalars: Seen,
    has_scalars: bool,
    /// Those in lists.
    elements: Seen,
    has_elements: bool,
    has_lists: bool,
    /// Lists hold lists or objects.
    is_nested: bool,
    has_objects: bool,
    inner: Fields,
}

impl Fields {
    fn at(&mut self, name: &str, looking: &mut Looking<'_>) -> &mut Seeing {
        let place = match self.places.get(name) {
            Some(&place) => place,
            None => {
                looking.fields += 1;
                self.places.insert(name.to_owned(), self.fields.len());
                self.fields.push((name.to_owned(), Seeing::default()));
                self.fields.len() - 1
            }
        };
        &mut self.fields[place].1
    }

    /// `depth` are the objects around this one.
    fn look(&mut self, object: &str, depth: usize, looking: &mut Looking<'_>) -> Result<(), String> {
        if depth == DEEPEST {
            return Err(format!("more than {DEEPEST} objects lie in one another"));
        }
        let seen = each_field(object, |name, value| {
            let seeing = self.at(&name, looking);
            match looking.has_enough() {
                true => Err(String::new()),
                false => seeing.look(value, depth, looking),
            }
        });
        seen.map_err(|error| error.into_fault(|what| what))
    }

    /// The columns that they become, and the names of the objects that have columns of their own.
    fn columns(self, around: &str, options: &Options, columns: &mut Vec<ColumnPlan>, objects: &mut Vec<String>) {
        for (name, seeing) in self.fields {
            let name = format!("{around}{name}");
            let given = options.types.iter().find(|(given, _)| *given == name);
            if let Some((_, kind)) = given {
                columns.push(ColumnPlan { name, kind: kind.clone(), given: true });
            } else if seeing.is_object() {
                seeing.inner.columns(&format!("{name}."), options, columns, objects);
                objects.push(name);
            } else {
                columns.push(ColumnPlan { name, kind: seeing.kind(), given: false });
            }
        }
    }
}

impl Seeing {
    fn look(&mut self, value: &str, depth: usize, looking: &mut Looking<'_>) -> Result<(), String> {
        let forms = looking.forms;
        match value.as_bytes() {
            [b'n', ..] => {}
            [b'{', ..] => {
                self.has_objects = true;
                self.inner.look(value, depth + 1, looking)?;
            }
            [b'[', ..] => {
                self.has_lists = true;
                let elements: Vec<&RawValue> = serde_json::from_str(value).map_err(|error| told(&error))?;
                for element in elements {
                    match element.get().as_bytes() {
                        [b'n', ..] => {}
                        [b'{' | b'[', ..] => self.is_nested = true,
                        _ => {
                            self.has_elements = true;
                            add(&mut self.elements, element.get(), forms)?;
                        }
                    }
                }
            }
            _ => {
                self.has_scalars = true;
                add(&mut self.scalars, value, forms)?;
            }
        }
        Ok(())
    }

    fn is_object(&self) -> bool {
        self.has_objects && !self.has_lists && !self.has_scalars && !self.inner.fields.is_empty()
    }

    fn kind(&self) -> Kind {
        match (self.has_objects, self.has_lists, self.has_scalars) {
            (false, false, _) => Kind::Plain(self.scalars.data_type()),
            (false, true, false) if self.has_elements && !self.is_nested => Kind::List(self.elements.data_type()),
            _ => Kind::Json,
        }
    }
}

/// A text may be a date or a time; it is no number, whatever it looks like.
fn add(seen: &mut Seen, value: &str, forms: &Forms) -> Result<(), String> {
    match value.starts_with('"') {
        true => seen.add_text(unescaped(value).map_err(|error| told(&error))?.as_bytes(), forms),
        false => seen.add(value.as_bytes(), forms),
    }
    Ok(())
}

impl Sample {
    /// How many records were looked at.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Looks at records, up to as many as are wanted.
    ///
    /// # Errors
    /// The first that is no JSON, or no UTF-8.
    pub fn look(&mut self, records: &Records, options: &Options) -> Result<(), Fault> {
        match &records.names {
            Some(names) => self.look_at_rows(records, names, options),
            None => self.look_at_json(records, options),
        }
    }

    fn look_at_json(&mut self, records: &Records, options: &Options) -> Result<(), Fault> {
        let mut looking = Looking { forms: &options.forms, fields: self.count };
        for record in records.values() {
            if self.rows >= options.sample_rows {
                break;
            }
            self.rows += 1;
            let text = std::str::from_utf8(record).map_err(|_| bad(self.rows, "it is not UTF-8"))?.trim();
            let seen = match text.as_bytes().first() {
                Some(b'{') => self.fields.look(text, 0, &mut looking),
                // All that may follow is checked when it is read for good.
                _ if text == "null" => Ok(()),
                _ => serde_json::from_str::<&RawValue>(text)
                    .map_err(|error| told(&error))
                    .and_then(|value| self.fields.at(VALUE, &mut looking).look(value.get(), 0, &mut looking)),
            };
            if looking.has_enough() {
                return Err(too_many(self.rows));
            }
            seen.map_err(|what| bad(self.rows, &format!("it is not JSON: {what}")))?;
        }
        self.count = looking.fields;
        Ok(())
    }

    fn look_at_rows(&mut self, records: &Records, names: &[String], options: &Options) -> Result<(), Fault> {
        let mut looking = Looking { forms: &options.forms, fields: self.count };
        for name in names {
            self.fields.at(name, &mut looking);
        }
        self.count = looking.fields;
        if looking.has_enough() {
            return Err(too_many(1));
        }
        for (number, field) in records.values().enumerate() {
            let place = number % names.len();
            if place == 0 {
                if self.rows >= options.sample_rows {
                    break;
                }
                self.rows += 1;
            }
            let value = field.trim_ascii();
            if !value.is_empty() && !options.nulls.contain(value) {
                let seeing = &mut self.fields.fields[place].1;
                seeing.scalars.add(value, &options.forms);
            }
        }
        Ok(())
    }

    /// What it all comes to.
    ///
    /// # Errors
    /// As [`Layout::new`].
    pub fn layout(self, options: &Options) -> Result<Layout, Fault> {
        let (mut columns, mut objects) = (Vec::new(), Vec::new());
        self.fields.columns("", options, &mut columns, &mut objects);
        Layout::new(columns, objects, options)
    }
}

fn bad(record: u64, what: &str) -> Fault {
    Fault::bad_data(format!("record {record}: {what}")).row(record)
}

/// The fault for more names than columns can have.
fn too_many(record: u64) -> Fault {
    let message = format!("up to record {record} there are more than {MOST_COLUMNS} fields of different names");
    Fault::bad_data(message).row(record).help(
        "are they data, and no names? set `sample_rows: 0`, and say in `types` which columns are wanted: \
         an object as it is written is `{name: json}`",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn sniffed(records: &[&str], more: serde_json::Value) -> Result<Vec<String>, Fault> {
        let mut params = json!({"url": "http://h/"});
        params.as_object_mut().expect("a map").extend(more.as_object().expect("a map").clone());
        let options = Options::new(flight_common::params::parse(&params)?)?;
        let mut gathered = Records::default();
        for record in records {
            gathered.bytes.extend_from_slice(record.as_bytes());
            gathered.ends.push(gathered.bytes.len());
        }
        let mut sample = Sample::default();
        sample.look(&gathered, &options)?;
        let layout = sample.layout(&options)?;
        Ok(layout.columns.iter().map(|column| format!("{}: {}", column.name, column.kind.name())).collect())
    }

    fn columns(records: &[&str]) -> Vec<String> {
        sniffed(records, json!({})).expect("columns")
    }

    #[test]
    fn types_lose_nothing_and_texts_stay_texts() {
        let record = r#"{"i": 9007199254740993, "f": 0.5, "t": "007", "n": "5", "b": true, "d": "2024-02-29",
            "s": "2024-02-29T10:00:00Z", "z": null, "e": "", "w": 12345678901234567890, "y": "true"}"#;
        let wanted = [
            "i: int64",
            "f: float64",
            "t: string",
            "n: string",
            "b: boolean",
            "d: date",
            "s: timestamp[us, UTC]",
            "z: string",
            "e: string",
            "w: string",
            "y: string",
        ];
        assert_eq!(columns(&[record]), wanted);
        assert_eq!(columns(&[r#"{"a": 1}"#, r#"{"a": 2.5}"#]), ["a: float64"]);
        assert_eq!(columns(&[r#"{"a": 1}"#, r#"{"a": "x"}"#]), ["a: string"]);
        assert_eq!(columns(&[r#"{"a": 9007199254740993}"#, r#"{"a": 0.5}"#]), ["a: string"]);
    }

    #[test]
    fn objects_are_flattened_and_lists_kept() {
        let records = [
            r#"{"u": {"id": 1, "at": {"x": 1.5}}, "tags": ["a", null], "items": [{"a": 1}], "none": [], "mixed": [1]}"#,
            r#"{"u": {"id": 2, "new": true}, "tags": [], "mixed": {"a": 1}, "o": {}}"#,
        ];
        let wanted = [
            "u.id: int64",
            "u.at.x: float64",
            "u.new: boolean",
            "tags: list(string)",
            "items: json",
            "none: json",
            "mixed: json",
            "o: json",
        ];
        assert_eq!(columns(&records), wanted);
        let given = json!({"types": {"u": "json", "tags": "json", "late.x": "int64"}});
        let kept = sniffed(&records, given).expect("columns");
        assert_eq!(kept[..2], ["u: json", "tags: json"]);
        assert_eq!(kept.last().map(String::as_str), Some("late.x: int64"));
    }

    #[test]
    fn two_fields_that_become_one_column_are_refused() {
        let fault = sniffed(&[r#"{"a.b": 1, "a": {"b": 2}}"#], json!({})).expect_err("a clash");
        assert!(
            fault.message().contains("\"a.b\"") && fault.help_text().is_some_and(|help| help.contains("\"a\": json"))
        );
        assert_eq!(
            columns(&[r#"{"a.b": 1, "a": 2, "A": 3, "": 4}"#]),
            ["a.b: int64", "a: int64", "A: int64", ": int64"]
        );
    }

    #[test]
    fn values_that_are_no_objects_are_a_column() {
        assert_eq!(columns(&["1", "null", "2"]), ["value: int64"]);
        assert_eq!(columns(&["[1]", "[2, 3]"]), ["value: list(int64)"]);
        assert!(sniffed(&["nul"], json!({})).is_err() && sniffed(&[], json!({})).is_err());
    }

    #[test]
    fn fields_of_more_names_than_columns_can_have_are_refused() {
        let record = |from: usize| {
            let fields: Vec<String> = (from..from + 1000).map(|n| format!("\"k{n}\": {{\"a\": {n}}}")).collect();
            format!("{{{}}}", fields.join(","))
        };
        let records: Vec<String> = (0..9).map(|n| record(n * 1000)).collect();
        let records: Vec<&str> = records.iter().map(String::as_str).collect();
        assert_eq!(columns(&records[..8]).len(), 8000);
        let fault = sniffed(&records, json!({})).expect_err("too many");
        assert!(fault.message().contains("record 9") && fault.row_number() == Some(9), "{fault:?}");
    }
}
