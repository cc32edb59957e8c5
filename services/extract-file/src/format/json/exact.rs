//! What the decoder would pass over without a word, found before it sees it: it would round `9007199254740993` to a float,
//! cut `1.5` to a whole number, read the text `"007"` as 7, leave out a field that is no column, and keep the last of two
//! fields of one name.
//!
//! The text is walked along the types of the columns. What is no JSON ends the walk: the decoder tells of that.

use super::expected::{Expected, Named, Whole, of_type, place};
use super::scan::{Scan, text_of};
use crate::params::UnknownFields;
use arrow::datatypes::{FieldRef, Fields};
use flight_common::values;
use memchr::memchr2;

/// Digits of a whole number that every float holds.
const SAFE_DIGITS: usize = 15;
/// Characters of a value that are shown.
const SHOWN: usize = 60;

/// What is looked for in a text.
#[derive(Debug)]
pub struct Exact {
    columns: Named,
    unknown: UnknownFields,
    /// How many fields there are, those within others too.
    fields: usize,
}

/// What is wrong at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// A value that the type does not hold: what it is not, to follow it.
    Value(&'static str),
    /// A field that is not among the columns, or not among those of the record around it.
    Unknown,
    /// A field whose name another one of the record has.
    Twice,
}

/// What is wrong, and where.
#[derive(Debug, PartialEq)]
pub struct Offence {
    /// Where it stands in the text.
    pub at: usize,
    /// Records before its own.
    pub record: usize,
    /// The column, or the field of it: `a.b`.
    pub column: String,
    /// What stands there.
    pub value: String,
    /// What is wrong with it.
    pub wrong: Wrong,
}

/// Whether to go on after an offence, which is of the field at this place.
type Tell<'a> = dyn FnMut(Offence, &[usize]) -> bool + 'a;

impl Exact {
    /// What is looked for in the values of columns of these types, and in their names.
    pub fn of(columns: &Fields, whole: Whole) -> Self {
        Self::of_wanted(columns, |_| true, whole, UnknownFields::Refuse)
    }

    /// The same, of columns of which only some are wanted: of others nothing but the name matters.
    pub fn of_wanted(
        columns: &[FieldRef],
        is_wanted: impl Fn(&str) -> bool,
        whole: Whole,
        unknown: UnknownFields,
    ) -> Self {
        let mut count = columns.len();
        let fields = columns.iter().map(|field| {
            let expected = match is_wanted(field.name()) {
                true => of_type(field.data_type(), whole, &mut count),
                false => Expected::Any,
            };
            (field.name().clone(), expected)
        });
        let columns = Named { first: 0, fields: fields.collect() };
        Self { columns, unknown, fields: count }
    }

    /// Looks at records one after the other.
    pub fn look(&self, text: &[u8], tell: &mut Tell<'_>) {
        let mut walk = Walk {
            scan: Scan { text, at: 0 },
            record: 0,
            names: Vec::new(),
            places: Vec::new(),
            objects: 0,
            seen: vec![0; self.fields],
            unknown: self.unknown,
            tell,
        };
        walk.scan.space();
        while walk.scan.at < text.len() {
            if walk.record(&self.columns).is_none() {
                return;
            }
            walk.record += 1;
            walk.scan.space();
        }
    }
}

/// A walk through a text. Each step gives nothing where it is to end.
struct Walk<'a, 't> {
    scan: Scan<'a>,
    record: usize,
    /// The fields that it is in, and their places within each other.
    names: Vec<&'a str>,
    places: Vec<usize>,
    /// Objects that it has entered.
    objects: u64,
    /// Of each field the last object that it was seen in.
    seen: Vec<u64>,
    unknown: UnknownFields,
    tell: &'a mut Tell<'t>,
}

impl<'a> Walk<'a, '_> {
    fn record(&mut self, named: &'a Named) -> Option<()> {
        let fields = &named.fields;
        self.objects += 1;
        let object = self.objects;
        self.scan.take(b'{')?;
        self.scan.space();
        if self.scan.take(b'}').is_some() {
            return Some(());
        }
        let mut next = 0;
        loop {
            let start = self.scan.at;
            let key = self.scan.string()?;
            match place(fields, key, next) {
                Some(place) => {
                    next = place + 1;
                    self.names.push(&fields[place].0);
                    self.places.push(place);
                    if std::mem::replace(&mut self.seen[named.first + place], object) == object {
                        self.offend(start, Wrong::Twice)?;
                    }
                    self.scan.colon()?;
                    self.value(&fields[place].1)?;
                    self.names.pop();
                    self.places.pop();
                }
                None => {
                    if self.unknown == UnknownFields::Refuse {
                        self.offend_unknown(start, key)?;
                    }
                    self.scan.colon()?;
                    self.scan.skip()?;
                }
            }
            self.scan.space();
            if self.scan.take(b',').is_none() {
                return self.scan.take(b'}');
            }
            self.scan.space();
        }
    }

    fn list(&mut self, item: &'a Expected) -> Option<()> {
        self.scan.take(b'[')?;
        self.scan.space();
        if self.scan.take(b']').is_some() {
            return Some(());
        }
        loop {
            self.value(item)?;
            self.scan.space();
            if self.scan.take(b',').is_none() {
                return self.scan.take(b']');
            }
            self.scan.space();
        }
    }

    fn value(&mut self, expected: &'a Expected) -> Option<()> {
        let start = self.scan.at;
        match (expected, *self.scan.text.get(start)?) {
            (Expected::Record(fields), b'{') => self.record(fields),
            (Expected::List(item), b'[') => self.list(item),
            (Expected::List(_), other) if other != b'n' => {
                self.scan.skip()?;
                self.offend(start, Wrong::Value("is no list, and those of the first records are"))
            }
            (Expected::Record(_), other) if other != b'n' => {
                self.scan.skip()?;
                self.offend(start, Wrong::Value("is no record, and those of the first records are"))
            }
            (Expected::Text, b'{' | b'[') => {
                self.scan.skip()?;
                self.offend(start, Wrong::Value("is a list or a record, and the column is one of single values"))
            }
            (Expected::Boolean, b'"' | b'{' | b'[' | b'-' | b'0'..=b'9') => {
                self.scan.skip()?;
                self.offend(start, Wrong::Value("is neither true nor false, and those of the first records are"))
            }
            (Expected::Whole | Expected::Float, b'"') => {
                self.scan.string()?;
                self.offend(start, Wrong::Value("is a text, and the first records hold numbers there"))
            }
            (Expected::Whole | Expected::Float, b'{' | b'[') => {
                self.scan.skip()?;
                self.offend(start, Wrong::Value("is no number, and the first records hold numbers there"))
            }
            (Expected::Whole, b'-' | b'0'..=b'9') => match self.scan.number() {
                number if is_whole(number) => Some(()),
                _ => self.offend(start, Wrong::Value("is no whole number, and those of the first records are")),
            },
            (Expected::Float, b'-' | b'0'..=b'9') => match self.scan.number() {
                number if is_held(number) => Some(()),
                _ => self.offend(
                    start,
                    Wrong::Value("is not held to the last digit by float64, the type found from the first records"),
                ),
            },
            _ => self.scan.skip(),
        }
    }

    fn offend_unknown(&mut self, start: usize, key: &[u8]) -> Option<()> {
        let name = text_of(key)?;
        let column = self.names.iter().copied().chain([name.as_str()]).collect::<Vec<_>>().join(".");
        self.tell(start, column, Wrong::Unknown)
    }

    fn offend(&mut self, start: usize, wrong: Wrong) -> Option<()> {
        let column = self.names.join(".");
        self.tell(start, column, wrong)
    }

    fn tell(&mut self, start: usize, column: String, wrong: Wrong) -> Option<()> {
        let value = String::from_utf8_lossy(&self.scan.text[start..self.scan.at]);
        let value = match value.char_indices().nth(SHOWN) {
            Some((end, _)) => format!("{}…", &value[..end]),
            None => value.into_owned(),
        };
        let offence = Offence { at: start, record: self.record, column, value, wrong };
        (self.tell)(offence, &self.places).then_some(())
    }
}

fn is_whole(number: &[u8]) -> bool {
    number.strip_prefix(b"-").unwrap_or(number).iter().all(u8::is_ascii_digit)
}

/// Whether a float holds it to the last digit. Of what is no whole number that means that it comes out as it went in; of
/// one beyond 64 bits it is enough that a float is written so, as JavaScript writes large ones.
fn is_held(number: &[u8]) -> bool {
    if number.len() <= SAFE_DIGITS && memchr2(b'e', b'E', number).is_none() {
        return true;
    }
    let text = String::from_utf8_lossy(number);
    if !is_whole(number) {
        return text.parse().is_ok_and(|float: f64| values::is_held(number, float));
    }
    let is_wide = text.parse::<i64>().is_err() && text.parse::<u64>().is_err();
    let is_so = |float: f64| format!("{float:.0}") == text || (is_wide && float.to_string() == text);
    text.parse().is_ok_and(is_so)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::{DataType, Field};
    use std::sync::Arc;

    fn fields() -> Fields {
        let record = DataType::Struct(Fields::from(vec![
            Field::new("t", DataType::Utf8, true),
            Field::new("x", DataType::Float64, true),
        ]));
        let list = DataType::List(Arc::new(Field::new("item", record.clone(), true)));
        Fields::from(vec![
            Field::new("n", DataType::Int64, true),
            Field::new("f", DataType::Float64, true),
            Field::new("s", DataType::Utf8, true),
            Field::new("b", DataType::Boolean, true),
            Field::new("o", record, true),
            Field::new("l", list, true),
        ])
    }

    /// Column and value of each offence, and the number of its record.
    fn found(text: &str, whole: Whole) -> Vec<(String, String, usize)> {
        let mut found = Vec::new();
        let columns = fields();
        let exact = Exact::of_wanted(&columns, |_| true, whole, UnknownFields::Ignore);
        exact.look(text.as_bytes(), &mut |offence, _| {
            assert!(text[offence.at..].starts_with(&offence.value));
            found.push((offence.column, offence.value, offence.record));
            true
        });
        found
    }

    fn one(column: &str, value: &str, record: usize) -> Vec<(String, String, usize)> {
        vec![(column.to_owned(), value.to_owned(), record)]
    }

    #[test]
    fn values_that_their_types_hold_are_no_offence() {
        for text in [
            "",
            r#"{"n": -7, "f": 1e300, "s": 9007199254740993, "o": null, "l": []}"#,
            r#"{"f": 9007199254740992, "n": 9007199254740993} {"f": 0.30000000000000004}"#,
            r#"{"f": 123456789012345680000, "n": null} {"f": 1152921504606846976}"#,
            r#"{"other": {"n": [1.5, "}", {"\"": 9007199254740993}]}, "s": "\"n\": 1.5 \\", "n": 1}"#,
            r#"{ "o" : { "x" : 0.1 , "t" : "007" } , "l" : [ { "x" : 2 } , null , { } ] }"#,
        ] {
            assert_eq!(found(text, Whole::IsWhole), [], "{text}");
        }
    }

    #[test]
    fn values_that_they_do_not_hold_are_found_wherever_they_are() {
        for (text, column, value, record) in [
            (r#"{"f": 9007199254740993}"#, "f", "9007199254740993", 0),
            (r#"{"f": 9007199254740993.0}"#, "f", "9007199254740993.0", 0),
            (r#"{"f": 1234567890123456789.25}"#, "f", "1234567890123456789.25", 0),
            (r#"{"f": 1e-400}"#, "f", "1e-400", 0),
            (r#"{"f": 1152921504606847000}"#, "f", "1152921504606847000", 0),
            (r#"{"f": 1}{"f": -18446744073709551617}"#, "f", "-18446744073709551617", 1),
            (
                r#"{"n": 1}
{"n": 2}
{"n": 1.5}"#,
                "n",
                "1.5",
                2,
            ),
            (r#"{"n": 1e3}"#, "n", "1e3", 0),
            (r#"{"n": "007"}"#, "n", "\"007\"", 0),
            (r#"{"s": "x", "\u006e": 2.5}"#, "n", "2.5", 0),
            (r#"{"o": {"t": "x", "x": 9007199254740993}}"#, "o.x", "9007199254740993", 0),
            (r#"{"l": [{"x": 1}, {"x": "1"}]}"#, "l.x", "\"1\"", 0),
            (r#"{"s": 1} {"s": {"a": [1]}}"#, "s", r#"{"a": [1]}"#, 1),
            (r#"{"o": {"t": ["x"]}}"#, "o.t", r#"["x"]"#, 0),
            (r#"{"b": true} {"b": null} {"b": "true"}"#, "b", "\"true\"", 2),
        ] {
            assert_eq!(found(text, Whole::IsWhole), one(column, value, record), "{text}");
        }
        let all = found(r#"{"n": 9007199254740993, "f": 1}{"f": 9007199254740993}"#, Whole::IsFloat);
        assert_eq!(all.len(), 2, "{all:?}");
    }

    #[test]
    fn what_is_no_json_ends_the_walk() {
        for text in [
            r#"{"n": 1.5"#,
            r#"{"n" 1}"#,
            r#"{"n": }"#,
            r#"{"n": "x"#,
            r#"{"other": ]}"#,
            "7 {}",
            "{",
            r#"{"a\"#,
            r#"{"a":,}"#,
            r#"{"other": {"#,
            r#"{"l": [{"x": "#,
        ] {
            assert!(found(text, Whole::IsWhole).len() <= 1, "{text}");
        }
    }

    /// The place of each wrong field, and what is wrong with it.
    fn fields_found(text: &str, unknown: UnknownFields) -> Vec<(String, usize, Wrong)> {
        let mut found = Vec::new();
        let columns = fields();
        let exact = Exact::of_wanted(&columns, |name| name != "o", Whole::IsWhole, unknown);
        exact.look(text.as_bytes(), &mut |offence, _| {
            found.push((offence.value, offence.record, offence.wrong));
            true
        });
        found
    }

    #[test]
    fn fields_that_are_no_columns_and_fields_of_one_name_are_found_wherever_they_are() {
        for (text, value, record, wrong) in [
            (r#"{"n": 1} {"n": 2, "new": [{"x": "}"}]}"#, "\"new\"", 1, Wrong::Unknown),
            (r#"{"l": [{"t": "a"}, {"u": 1, "t": "b"}]}"#, "\"u\"", 0, Wrong::Unknown),
            (r#"{"n": 1, "s": "x", "n": 1}"#, "\"n\"", 0, Wrong::Twice),
            (r#"{"s": "x", "\u0073": "y"}"#, "\"\\u0073\"", 0, Wrong::Twice),
            (r#"{"o": 1, "o": 2}"#, "\"o\"", 0, Wrong::Twice),
            (r#"{"l": [{"x": 1}, {"x": 1, "x": 2}]}"#, "\"x\"", 0, Wrong::Twice),
        ] {
            assert_eq!(fields_found(text, UnknownFields::Refuse), [(value.to_owned(), record, wrong)], "{text}");
            let ignored = fields_found(text, UnknownFields::Ignore);
            assert_eq!(ignored.is_empty(), wrong == Wrong::Unknown, "{text}");
        }
        for good in [r#"{"s": "x"} {"s": "x", "l": [{"x": 1}, {"x": 2}]}"#, r#"{"o": {"t": 1, "t": 2, "new": 3}}"#] {
            assert_eq!(fields_found(good, UnknownFields::Refuse), [], "{good}");
        }
    }
}
