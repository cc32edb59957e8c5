//! Which checks run, on which columns. Everything that is wrong with the rules is told at once.

use crate::bound::{Limits, Refused, limits};
use crate::drift::{DriftCheck, drift};
use crate::failure::Failures;
use crate::file::ReferenceFile;
use crate::fresh::{FreshnessCheck, freshness};
use crate::hash::can_hash;
use crate::names::{COLUMN_TYPES, VALUE_RANGE};
use crate::params::{ColumnType, Params, Rules, ValueRange};
use crate::reference::{ReferenceCheck, references};
use crate::reject::REASON;
use crate::row_rule::{RowRule, row_rules};
use crate::types::holds;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use flight_common::params::{Wrong, bad_param, pointer};
use flight_common::{DataRoot, Effects, Fault, FileIdentity, columns};
use std::sync::Arc;

const DEFAULT_NULL_RATIO: f64 = 0.5;

/// The checks of a run.
pub struct Plan {
    /// The schema of the rows.
    pub schema: SchemaRef,
    /// The fewest rows there may be.
    pub min_rows: Option<u64>,
    /// The largest part of the cells that may be null.
    pub null_ratio: Option<f64>,
    /// Whether rows are compared with each other.
    pub duplicates: bool,
    /// Types that columns must have.
    pub types: Vec<TypeCheck>,
    /// Columns in which no value may occur twice.
    pub unique: Vec<usize>,
    /// Columns whose values have limits.
    pub ranges: Vec<RangeCheck>,
    /// Whether the completeness of columns is reported.
    pub completeness: bool,
    /// The most rows there may be.
    pub max_rows: Option<u64>,
    /// Rules about single rows, but for ranges.
    pub row_rules: Vec<RowRule>,
    /// Columns whose values must occur in a file.
    pub references: Vec<ReferenceCheck>,
    /// Columns that must be distributed as in a file.
    pub drift: Option<DriftCheck>,
    /// Columns whose newest value must be fresh.
    pub freshness: Vec<FreshnessCheck>,
    /// The columns of rejected rows.
    pub rejected: SchemaRef,
    /// Where the report goes.
    pub report: Option<String>,
    /// What happens when rules fail.
    pub failures: Failures,
}

/// The type that a column must have.
pub struct TypeCheck {
    /// The column.
    pub column: String,
    /// Its type.
    pub found: DataType,
    /// What was asked for.
    pub wanted: ColumnType,
    /// Whether it is that.
    pub passed: bool,
}

/// The limits of a column's values.
pub struct RangeCheck {
    /// The column's place.
    pub place: usize,
    /// The limits as the user wrote them.
    pub asked: ValueRange,
    /// The limits in the column's terms.
    pub limits: Limits,
}

impl RangeCheck {
    /// Why a row is turned away for its value in this column.
    pub fn reason(&self, column: &str) -> String {
        let asked = serde_json::to_string(&self.asked).unwrap_or_default();
        format!("{VALUE_RANGE} of \"{column}\": outside of {asked}")
    }
}

impl Plan {
    /// Looks columns up and checks each rule.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::BadSchema`] for columns that are missing or of a type that a rule cannot look at,
    /// [`flight_common::FaultKind::BadParams`] for rules that cannot be.
    pub fn new(params: Params, schema: &SchemaRef, root: &DataRoot) -> Result<Self, Fault> {
        let rules = params.rules;
        let mut wrong = Wrong::default();
        let failures = Failures::new(&rules, params.on_failure, params.fail_on_errors, &mut wrong);
        let null_ratio = null_ratio(&rules, &mut wrong);
        let plan = Self {
            min_rows: rules.min_rows,
            null_ratio,
            duplicates: rules.check_duplicates,
            types: types(&rules, schema, &mut wrong),
            unique: unique(&rules, schema, &mut wrong),
            ranges: ranges(&rules, schema, &mut wrong),
            completeness: rules.check_completeness,
            max_rows: rules.max_rows,
            row_rules: row_rules(&rules, schema, &mut wrong),
            references: references(&rules, schema, root, &mut wrong),
            drift: drift(&rules, schema, root, &mut wrong),
            freshness: freshness(&rules, schema, &mut wrong),
            rejected: with_reason(schema),
            report: params.report,
            failures,
            schema: schema.clone(),
        };
        if plan.failures.reject() && schema.column_with_name(REASON).is_some() {
            wrong.push(taken(REASON));
        }
        if let (Some(least), Some(most)) = (plan.min_rows, plan.max_rows)
            && least > most
        {
            let message = format!("max_rows: {most} is less than min_rows, which is {least}");
            wrong.push(bad_param("/rules/max_rows", message, "change one of them"));
        }
        if plan.duplicates {
            for field in schema.fields() {
                refuse_unhashed(field.data_type(), field.name(), "/rules/check_duplicates", &mut wrong);
            }
        }
        wrong.into_result().map(|()| plan)
    }

    /// What identifies the files that the data are compared with; nothing without any.
    pub fn identity(&self) -> Option<String> {
        let identities: Vec<_> = self.files().map(|file| file.identity.clone()).collect();
        (!identities.is_empty()).then(|| FileIdentity::of_all(&identities))
    }

    /// The files that the data are compared with.
    pub fn files(&self) -> impl Iterator<Item = &ReferenceFile> {
        let drift = self.drift.iter().map(|check| &check.file);
        self.references.iter().map(|check| &check.file).chain(drift)
    }

    /// What is done to the world: nothing, unless a report is written.
    pub fn effects(&self) -> Effects {
        if self.report.is_some() { Effects::Commits } else { Effects::None }
    }

    /// Whether the nulls of each column are counted.
    pub fn counts_nulls(&self) -> bool {
        self.null_ratio.is_some() || self.completeness
    }

    /// The name of the column at this place.
    pub fn name(&self, place: usize) -> &str {
        self.schema.field(place).name()
    }
}

fn null_ratio(rules: &Rules, wrong: &mut Wrong) -> Option<f64> {
    let threshold = rules.threshold_null_ratio;
    // The parameters' schema says so too; a caller in this process may not have asked it.
    if let Some(ratio) = threshold.filter(|ratio| !(0.0..=1.0).contains(ratio)) {
        let message = format!("threshold_null_ratio: {ratio} is not between 0 and 1");
        wrong.push(bad_param("/rules/threshold_null_ratio", message, "0.05 allows one null in twenty cells"));
    }
    let on = rules.check_null_ratio.unwrap_or(threshold.is_some());
    on.then_some(threshold.unwrap_or(DEFAULT_NULL_RATIO))
}

fn types(rules: &Rules, schema: &SchemaRef, wrong: &mut Wrong) -> Vec<TypeCheck> {
    let check = |(name, wanted): (&String, &ColumnType)| {
        let place = wrong.note(columns::find(schema, name, &pointer(["rules", COLUMN_TYPES, name])))?;
        let found = schema.field(place).data_type().clone();
        let passed = holds(&found, *wanted);
        Some(TypeCheck { column: name.clone(), found, wanted: *wanted, passed })
    };
    rules.check_column_types.iter().filter_map(check).collect()
}

fn unique(rules: &Rules, schema: &SchemaRef, wrong: &mut Wrong) -> Vec<usize> {
    let named = rules.check_unique_columns.iter().flat_map(|list| list.placed("/rules/check_unique_columns"));
    let mut places = Vec::new();
    for (name, pointer) in named {
        let Some(place) = wrong.note(columns::find(schema, name, &pointer)) else { continue };
        refuse_unhashed(schema.field(place).data_type(), name, &pointer, wrong);
        if !places.contains(&place) {
            places.push(place);
        }
    }
    places
}

fn ranges(rules: &Rules, schema: &SchemaRef, wrong: &mut Wrong) -> Vec<RangeCheck> {
    let check = |(name, asked): (&String, &ValueRange)| {
        let pointer = pointer(["rules", VALUE_RANGE, name]);
        let place = wrong.note(columns::find(schema, name, &pointer))?;
        let found = schema.field(place).data_type();
        let limits = limits(asked, found).map_err(|refused| match refused {
            Refused::Type => columns::wrong_type(name, found, "a number, a date or a timestamp", &pointer),
            Refused::Bound("", message) => bad_range(name, pointer, message),
            Refused::Bound(bound, message) => bad_range(name, format!("{pointer}/{bound}"), message),
        });
        Some(RangeCheck { place, asked: asked.clone(), limits: wrong.note(limits)? })
    };
    rules.check_value_range.iter().filter_map(check).collect()
}

/// The columns with one more for the reason. Without a rule that rejects there are no such rows, whatever it is called.
fn with_reason(schema: &SchemaRef) -> SchemaRef {
    let reason = Arc::new(Field::new(REASON, DataType::Utf8, false));
    let fields: Vec<_> = schema.fields().iter().cloned().chain([reason]).collect();
    Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
}

fn taken(name: &str) -> Fault {
    let message = format!("a column \"{name}\" is already there");
    let fault = Fault::bad_schema(message.clone()).column(name).violation("/on_failure", message);
    fault.help("delete that column before, or rename it")
}

fn bad_range(column: &str, pointer: String, message: String) -> Fault {
    let message = format!("{VALUE_RANGE} of \"{column}\": {message}");
    bad_param(pointer, message, "a range is {min: 0, max: 100}, or only one of both").column(column)
}

fn refuse_unhashed(data_type: &DataType, name: &str, pointer: &str, wrong: &mut Wrong) {
    if !can_hash(data_type) {
        wrong.push(columns::wrong_type(name, data_type, "of a type whose values can be compared", pointer));
    }
}
