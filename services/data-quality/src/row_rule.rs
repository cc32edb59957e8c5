//! Rules that look at each row by itself.

use crate::names::{ALLOWED_VALUES, NOT_NULL, PATTERN};
use crate::params::{ColumnType, Rules};
use crate::types::holds;
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{DataType, SchemaRef};
use flight_common::cells::{plain, present};
use flight_common::params::{Wrong, bad_param, pointer};
use flight_common::{Fault, columns};
use regex::Regex;
use serde_json::{Value, json};
use std::collections::HashSet;

/// A rule about the values of a column.
pub struct RowRule {
    /// The column's place.
    pub place: usize,
    /// What its values must be.
    pub test: Test,
}

/// What values must be.
pub enum Test {
    /// There.
    NotNull,
    /// Texts that match.
    Pattern(Regex),
    /// One of these texts.
    Allowed {
        /// As the user wrote them.
        asked: Vec<String>,
        /// The same, to be looked up.
        values: HashSet<String>,
    },
}

/// The rows that break a rule.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Offences {
    /// How many there are.
    pub count: u64,
    /// The first of them, counted from 0.
    pub first: Option<usize>,
}

impl Offences {
    /// Those of one batch.
    pub fn of(failing: &BooleanBuffer) -> Self {
        Self { count: failing.count_set_bits() as u64, first: failing.set_indices().next() }
    }

    /// Takes in those of the rows that follow the first `rows`.
    pub fn add(&mut self, next: &Self, rows: u64) {
        self.count += next.count;
        self.first = self.first.or(next.first.map(|row| row + rows as usize));
    }
}

impl RowRule {
    /// The name of its parameter.
    pub fn name(&self) -> &'static str {
        match self.test {
            Test::NotNull => NOT_NULL,
            Test::Pattern(_) => PATTERN,
            Test::Allowed { .. } => ALLOWED_VALUES,
        }
    }

    /// What it asks for, as a report shows it.
    pub fn expected(&self) -> Value {
        match &self.test {
            Test::NotNull => Value::Null,
            Test::Pattern(pattern) => pattern.as_str().into(),
            Test::Allowed { asked, .. } => json!(asked),
        }
    }

    /// What is wrong with a row that breaks it, to follow "it is".
    pub fn offence(&self) -> String {
        match &self.test {
            Test::NotNull => "null".to_owned(),
            Test::Pattern(pattern) => format!("no match for {}", shortened(pattern.as_str())),
            Test::Allowed { asked, .. } => format!("none of {}", shortened(&asked.join(", "))),
        }
    }

    /// Why a row is turned away for its value in this column.
    pub fn reason(&self, column: &str) -> String {
        format!("{} of \"{column}\": {}", self.name(), self.offence())
    }

    /// The rows that break it.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::Internal`] if an encoded column cannot be decoded.
    pub fn failing(&self, batch: &RecordBatch) -> Result<BooleanBuffer, Fault> {
        let column = batch.column(self.place);
        match &self.test {
            Test::NotNull => Ok(match present(column)? {
                Some(present) => !present.inner(),
                None => BooleanBuffer::new_unset(column.len()),
            }),
            Test::Pattern(pattern) => texts(column, |text| !pattern.is_match(text)),
            Test::Allowed { values, .. } => texts(column, |text| !values.contains(text)),
        }
    }
}

/// The rows whose text is wrong. Nulls are not.
fn texts(column: &ArrayRef, is_wrong: impl Fn(&str) -> bool) -> Result<BooleanBuffer, Fault> {
    let column = plain(column)?;
    let is_wrong = |text: Option<&str>| text.is_some_and(&is_wrong);
    Ok(match column.data_type() {
        DataType::Utf8 => column.as_string::<i32>().iter().map(is_wrong).collect(),
        DataType::LargeUtf8 => column.as_string::<i64>().iter().map(is_wrong).collect(),
        DataType::Utf8View => column.as_string_view().iter().map(is_wrong).collect(),
        _ => BooleanBuffer::new_unset(column.len()),
    })
}

fn shortened(text: &str) -> String {
    const SHOWN: usize = 80;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// The rules about single rows, but for ranges.
pub fn row_rules(rules: &Rules, schema: &SchemaRef, wrong: &mut Wrong) -> Vec<RowRule> {
    let mut found = Vec::new();
    for (name, pointer) in rules.check_not_null.iter().flat_map(|list| list.placed("/rules/check_not_null")) {
        let place = wrong.note(columns::find(schema, name, &pointer));
        found.extend(place.map(|place| RowRule { place, test: Test::NotNull }));
    }
    for (name, pattern) in &rules.check_pattern {
        let pointer = pointer(["rules", PATTERN, name]);
        let place = text_column(name, schema, &pointer, wrong);
        let compiled = Regex::new(pattern).map_err(|error| {
            let message = format!("{PATTERN} of \"{name}\": {pattern} is no regular expression");
            bad_param(pointer.clone(), message, error.to_string().lines().last().unwrap_or_default().trim())
        });
        if let (Some(place), Some(pattern)) = (place, wrong.note(compiled)) {
            found.push(RowRule { place, test: Test::Pattern(pattern) });
        }
    }
    for (name, values) in &rules.check_allowed_values {
        let pointer = pointer(["rules", ALLOWED_VALUES, name]);
        let place = text_column(name, schema, &pointer, wrong);
        if values.is_empty() {
            let message = format!("{ALLOWED_VALUES} of \"{name}\" allows none");
            wrong.push(bad_param(pointer, message, "list the values that may occur, or leave the rule out"));
        }
        let test = Test::Allowed { asked: values.clone(), values: values.iter().cloned().collect() };
        found.extend(place.map(|place| RowRule { place, test }));
    }
    found
}

fn text_column(name: &str, schema: &SchemaRef, pointer: &str, wrong: &mut Wrong) -> Option<usize> {
    let place = wrong.note(columns::find(schema, name, pointer))?;
    let found = schema.field(place).data_type();
    let fits = holds(found, ColumnType::String);
    wrong.note(fits.then_some(place).ok_or_else(|| columns::wrong_type(name, found, "text", pointer)))
}
