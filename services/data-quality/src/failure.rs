//! What happens when a rule fails: the run does, rows are turned away, or it is only reported.

use crate::names::{self, ABOUT_ROWS};
use crate::params::{OnFailure, Rules};
use flight_common::columns::ColumnList;
use flight_common::params::{Wrong, bad_param, did_you_mean, pointer};
use std::collections::{BTreeMap, BTreeSet};

/// What happens when rules fail.
pub struct Failures {
    by_rule: BTreeMap<String, OnFailure>,
    otherwise: OnFailure,
}

impl Failures {
    /// What the parameters say. Notes what they say of rules that there are not, that are not on, or that cannot do it.
    pub fn new(rules: &Rules, by_rule: BTreeMap<String, OnFailure>, fail_on_errors: bool, wrong: &mut Wrong) -> Self {
        let all = switches(rules);
        for (rule, action) in &by_rule {
            let pointer = pointer(["on_failure", rule]);
            let switch = all.iter().find(|(name, _)| name == rule);
            if switch.is_none() {
                let message = format!("on_failure: there is no rule \"{rule}\"");
                wrong.push(bad_param(pointer, message, did_you_mean(rule, all.iter().map(|(name, _)| *name))));
            } else if *action == OnFailure::Reject && !ABOUT_ROWS.contains(&rule.as_str()) {
                let message = format!("on_failure: {rule} cannot reject, since it does not look at each row by itself");
                let help = format!("use fail or warn; those that can are {}", ABOUT_ROWS.join(", "));
                wrong.push(bad_param(pointer, message, help));
            } else if switch.is_some_and(|(_, is_on)| !is_on) {
                let message = format!("on_failure: {rule} is not checked, since it is not among the rules");
                wrong.push(bad_param(pointer, message, switch_it_on(rule, &all)));
            }
        }
        Self { by_rule, otherwise: if fail_on_errors { OnFailure::Fail } else { OnFailure::Warn } }
    }

    /// What happens when this rule fails.
    pub fn of(&self, rule: &str) -> OnFailure {
        self.by_rule.get(rule).copied().unwrap_or(self.otherwise)
    }

    /// What is to be changed so that these rules, which fail the run, are only reported.
    pub fn to_be_reported_only<'a>(&self, rules: impl Iterator<Item = &'a str>) -> String {
        let rules: BTreeSet<&str> = rules.collect();
        let named = rules.iter().filter(|rule| self.by_rule.contains_key(**rule));
        let named: Vec<String> = named.map(|rule| format!("{rule}: warn")).collect();
        let warned = format!("with on_failure: {{{}}}", named.join(", "));
        match named.len() {
            0 => "without fail_on_errors".to_owned(),
            count if count == rules.len() => warned,
            _ => format!("without fail_on_errors and {warned}"),
        }
    }

    /// Whether rows that break this rule are turned away.
    pub fn rejects(&self, rule: &str) -> bool {
        self.of(rule) == OnFailure::Reject
    }

    /// Whether any rule turns rows away.
    pub fn reject(&self) -> bool {
        ABOUT_ROWS.iter().any(|rule| self.rejects(rule))
    }
}

fn switch_it_on(rule: &str, all: &[(&str, bool)]) -> String {
    let on: Vec<&str> = all.iter().filter(|(_, is_on)| *is_on).map(|(name, _)| *name).collect();
    let add = format!("add {rule} to `rules`, or take it out here");
    match on.is_empty() {
        true => add,
        false => format!("{add}; of those that are checked, {}", did_you_mean(rule, on)),
    }
}

/// All rules, and whether they are on.
fn switches(rules: &Rules) -> [(&'static str, bool); 14] {
    let some = |list: &Option<ColumnList>| list.as_ref().is_some_and(|list| !list.names().is_empty());
    [
        (names::MIN_ROWS, rules.min_rows.is_some()),
        (names::MAX_ROWS, rules.max_rows.is_some()),
        (names::NULL_RATIO, rules.check_null_ratio.unwrap_or(rules.threshold_null_ratio.is_some())),
        (names::DUPLICATES, rules.check_duplicates),
        (names::COLUMN_TYPES, !rules.check_column_types.is_empty()),
        (names::UNIQUE_COLUMNS, some(&rules.check_unique_columns)),
        (names::VALUE_RANGE, !rules.check_value_range.is_empty()),
        (names::NOT_NULL, some(&rules.check_not_null)),
        (names::PATTERN, !rules.check_pattern.is_empty()),
        (names::ALLOWED_VALUES, !rules.check_allowed_values.is_empty()),
        (names::REFERENCE, !rules.check_reference.is_empty()),
        (names::FRESHNESS, !rules.check_freshness.is_empty()),
        (names::DRIFT, rules.check_drift.is_some()),
        (names::COMPLETENESS, rules.check_completeness),
    ]
}
