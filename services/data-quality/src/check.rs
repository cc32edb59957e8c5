//! The result of one check, as JSON for reports and as a sentence for faults.

use crate::drift::Figures;
use crate::extent::{Edge, Extent};
use crate::failure::Failures;
use crate::fresh::FreshnessCheck;
use crate::names::{self, DRIFT, REFERENCE};
use crate::params::{Drift, OnFailure};
use crate::plan::{RangeCheck, TypeCheck};
use crate::reference::ReferenceCheck;
use crate::row_rule::{Offences, RowRule};
use arrow::datatypes::{Field, Schema};
use flight_common::{Fault, StepContext};
use serde::Serialize;
use serde_json::{Value, json};
use std::time::SystemTime;

/// Failing checks that a fault tells one by one; its text rides in trailers of a bounded size.
const TOLD: usize = 10;
/// Characters of a value or a name that are shown.
const SHOWN: usize = 80;

/// The result of one check.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Check {
    /// The rule, by the name of its parameter.
    pub rule: &'static str,
    /// The column, for rules that look at one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// Whether the rule is kept.
    pub passed: bool,
    /// What was found.
    pub actual: Value,
    /// What the rule asks for.
    pub expected: Value,
    /// What happens if it is not kept.
    pub on_failure: OnFailure,
    /// The same in words.
    #[serde(skip)]
    sentence: String,
    /// The row of the first offence, counted from 1.
    #[serde(skip)]
    row: Option<u64>,
}

impl Check {
    fn new(rule: &'static str, passed: bool, actual: impl Into<Value>, expected: impl Into<Value>) -> Self {
        let (actual, expected) = (actual.into(), expected.into());
        let (sentence, on_failure) = (String::new(), OnFailure::Warn);
        Self { rule, column: None, passed, actual, expected, on_failure, sentence, row: None }
    }

    fn told(mut self, sentence: String) -> Self {
        self.sentence = sentence;
        self
    }

    fn of(mut self, column: &str) -> Self {
        self.column = Some(column.to_owned());
        self
    }

    /// `rows` of at least `least`.
    pub fn min_rows(rows: u64, least: u64) -> Self {
        let sentence = format!("{rows} rows, expected at least {least}");
        Self::new(names::MIN_ROWS, rows >= least, rows, least).told(sentence)
    }

    /// `rows` of at most `most`.
    pub fn max_rows(rows: u64, most: u64) -> Self {
        let sentence = format!("{rows} rows, expected at most {most}");
        Self::new(names::MAX_ROWS, rows <= most, rows, most).told(sentence)
    }

    /// How many rows a rule about single rows found, and which is the first.
    pub fn row_rule(rule: &RowRule, offences: &Offences, column: &str) -> Self {
        Self::rows(rule.name(), &rule.offence(), rule.expected(), offences).of(column)
    }

    /// As [`Check::row_rule`], for values that must occur in a file.
    pub fn reference(check: &ReferenceCheck, offences: &Offences, column: &str) -> Self {
        Self::rows(REFERENCE, &check.offence(), json!(check.asked), offences).of(column)
    }

    fn rows(rule: &'static str, offence: &str, expected: Value, offences: &Offences) -> Self {
        let (count, row) = (offences.count, offences.first.map(|row| row as u64 + 1));
        let actual = json!({"failing": count, "first_row": row});
        let check = Self::new(rule, count == 0, actual, expected).told(format!("{count} rows are {offence}"));
        Self { row, ..check }
    }

    /// Whether a column is distributed as in a file. Of no rows nothing can be said.
    pub fn drift(asked: &Drift, figures: &Figures) -> Self {
        let (psi, ks, most) = (figures.psi, figures.ks, asked.max_psi);
        let percent = |part: f64| format!("{:.1} %", part * 100.0);
        let change = figures.most_changed().map_or_else(String::new, |share| {
            format!(": \"{}\" went from {} to {}", clipped(&share.bin), percent(share.reference), percent(share.data))
        });
        let file = clipped(&asked.file_path);
        let sentence = match psi {
            Some(psi) => format!("a stability index of {psi:.4} against {file}{change}, expected at most {most}"),
            None => "there are no rows".to_owned(),
        };
        let (actual, expected) =
            (json!({"psi": psi, "ks": ks}), json!({"max_psi": most, "file_path": asked.file_path}));
        Self::new(DRIFT, psi.is_none_or(|psi| psi <= most), actual, expected).of(&figures.column).told(sentence)
    }

    /// How old the newest value of a column is.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::Internal`] for a value that cannot be shown.
    pub fn freshness(check: &FreshnessCheck, extent: &Extent, field: &Field, now: SystemTime) -> Result<Self, Fault> {
        let newest = extent.highest.map(|edge| edge.to_json(field.data_type())).transpose()?;
        let fresh = extent.highest.is_some_and(|edge| check.is_fresh(edge, now));
        let found = newest
            .as_ref()
            .map_or_else(|| "there is no value".to_owned(), |value| format!("the newest value is {}", bare(value)));
        let sentence = format!("{found}, expected none older than {}", check.asked);
        Ok(Self::new(names::FRESHNESS, fresh, json!({"newest": newest}), check.asked.clone())
            .of(field.name())
            .told(sentence))
    }

    /// `nulls` among `cells`. No cells have a ratio of 0.
    pub fn null_ratio(nulls: u64, cells: u64, threshold: f64) -> Self {
        let ratio = part(nulls, cells);
        let sentence =
            format!("{nulls} of {cells} cells are null, a ratio of {ratio:.4}, expected at most {threshold}");
        Self::new(names::NULL_RATIO, ratio <= threshold, ratio, threshold).told(sentence)
    }

    /// Rows that occurred before.
    pub fn duplicates(duplicates: u64) -> Self {
        let sentence = format!("{duplicates} rows occurred before, expected 0");
        Self::new(names::DUPLICATES, duplicates == 0, duplicates, 0).told(sentence)
    }

    /// The type of a column.
    pub fn column_type(check: &TypeCheck) -> Self {
        let (found, wanted) = (check.found.to_string(), json!(check.wanted));
        let sentence = format!("{}, expected {}", clipped(&found), bare(&wanted));
        Self::new(names::COLUMN_TYPES, check.passed, found, wanted).of(&check.column).told(sentence)
    }

    /// `distinct` among the values of a column.
    pub fn unique(column: &str, distinct: u64, values: u64) -> Self {
        let sentence = format!("{distinct} distinct among {values} values, expected {values}");
        Self::new(names::UNIQUE_COLUMNS, distinct == values, distinct, values).of(column).told(sentence)
    }

    /// How far the values of a column reach.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::Internal`] for a value that cannot be shown.
    pub fn range(check: &RangeCheck, extent: &Extent, field: &Field) -> Result<Self, Fault> {
        let show = |edge: Option<Edge>| edge.map(|edge| edge.to_json(field.data_type())).transpose();
        let (lowest, highest) = (show(extent.lowest)?, show(extent.highest)?);
        let row = extent.first.map(|row| row + 1);
        let asked = json!(check.asked);
        let found = |value: &Option<Value>| value.as_ref().map_or_else(|| "nothing".to_owned(), bare);
        let wanted = match (asked.get("min"), asked.get("max")) {
            (Some(min), Some(max)) => format!("{} to {}", bare(min), bare(max)),
            (Some(min), None) => format!("at least {}", bare(min)),
            (None, max) => format!("at most {}", max.map_or_else(String::new, bare)),
        };
        let outside = extent.outside;
        let sentence = format!(
            "values from {} to {}, {outside} of them outside, expected {wanted}",
            found(&lowest),
            found(&highest)
        );
        let actual = json!({"min": lowest, "max": highest, "outside": outside, "first_row": row});
        let check = Self::new(names::VALUE_RANGE, outside == 0, actual, asked).of(field.name()).told(sentence);
        Ok(Self { row, ..check })
    }

    /// The least complete of the columns in [`completeness`]: a report, which nothing can fail.
    pub fn completeness(report: &Value) -> Self {
        let parts = report.as_array().into_iter().flatten().filter_map(|column| column["completeness"].as_f64());
        Self::new(names::COMPLETENESS, true, parts.fold(1.0, f64::min), Value::Null)
    }
}

/// For each column, how many of its cells hold no value and which part does. No cells are complete.
pub fn completeness(schema: &Schema, missing: &[u64], rows: u64) -> Value {
    let column = |(field, nulls): (&std::sync::Arc<Field>, &u64)| json!({"column": field.name(), "nulls": nulls, "completeness": 1.0 - part(*nulls, rows)});
    schema.fields().iter().zip(missing).map(column).collect()
}

/// Writes the result into the step's report.
pub fn record(checks: &[Check], context: &StepContext) {
    let failed = checks.iter().filter(|check| !check.passed).count() as u64;
    context.meter.count("checks_passed", checks.len() as u64 - failed);
    context.meter.count("checks_failed", failed);
    if checks.iter().any(|check| check.rule == DRIFT) {
        let drifted = checks.iter().filter(|check| check.rule == DRIFT && !check.passed).count();
        context.meter.count("columns_drifted", drifted as u64);
    }
    context.meter.detail("checks", json!(checks));
    for check in checks.iter().filter(|check| !check.passed && check.on_failure != OnFailure::Fail) {
        let rejected = if check.on_failure == OnFailure::Reject { "; those rows are rejected" } else { "" };
        context.meter.warn(format!("{}{rejected}", check.to_sentence()));
    }
}

/// The fault that stops the run, if a check failed that is to: it names those alone.
pub fn gate(checks: &[Check], failures: &Failures) -> Option<Fault> {
    let stops = |check: &&Check| !check.passed && check.on_failure == OnFailure::Fail;
    let failed: Vec<&Check> = checks.iter().filter(stops).collect();
    let [first, ..] = failed[..] else { return None };
    let mut told: Vec<String> = failed.iter().take(TOLD).map(|check| check.to_sentence()).collect();
    if failed.len() > TOLD {
        told.push(format!("and {} more", failed.len() - TOLD));
    }
    let change = failures.to_be_reported_only(failed.iter().map(|check| check.rule));
    let mut fault = Fault::bad_data(format!("{} of {} checks failed: {}", failed.len(), checks.len(), told.join("; ")))
        .help(format!("mend the data at its source or change the rule; {change} the run only reports it"));
    if let ([_], Some(column)) = (&failed[..], &first.column) {
        fault = fault.column(column);
        if let Some(row) = first.row {
            fault = fault.row(row);
        }
    }
    Some(fault)
}

impl Check {
    /// What was found, and what was expected, in words.
    pub fn sentence(&self) -> &str {
        &self.sentence
    }

    /// The rule, the column and what was found, in words.
    pub fn to_sentence(&self) -> String {
        match &self.column {
            Some(column) => format!("{} of \"{}\": {}", self.rule, clipped(column), self.sentence),
            None => format!("{}: {}", self.rule, self.sentence),
        }
    }
}

fn part(some: u64, all: u64) -> f64 {
    if all == 0 { 0.0 } else { some as f64 / all as f64 }
}

fn bare(value: &Value) -> String {
    clipped(&value.as_str().map_or_else(|| value.to_string(), str::to_owned))
}

fn clipped(text: &str) -> String {
    let mut clipped: String = text.chars().take(SHOWN).collect();
    if clipped.len() < text.len() {
        clipped.push('…');
    }
    clipped
}
