//! What a pipeline says of its runs: how many at a time, which goes first, how often one is tried, how long it may take,
//! and whom to tell how they end.
//!
//! Only what the file says; what it leaves open is the operator's to set.

use super::hooks::HookRules;
use super::problem::{Problem, Problems};
use super::values::{duration, refuse_unknown, timeout, wrong_type};
use super::yaml::{Entry, Node, Yaml};
use serde_json::{Value, json};
use std::time::Duration;

/// What a pipeline says of its runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunRules {
    /// Runs of it at a time, over all replicas.
    pub concurrency: Option<i64>,
    /// Greater goes first; 0 is that of a pipeline that says nothing.
    pub priority: Option<i64>,
    /// When a failed run of it is tried again.
    pub retry: RetryRules,
    /// How long a whole run may take.
    pub timeout: Option<Duration>,
    /// Whom to tell how a run ended.
    pub hooks: HookRules,
}

/// When a failed run is tried again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RetryRules {
    /// Attempts in all.
    pub attempts: Option<u32>,
    /// The pause after the first one. Each further pause is twice as long.
    pub first: Option<Duration>,
    /// The longest pause.
    pub longest: Option<Duration>,
}

pub(super) const RULE_KEYS: [&str; 5] = ["concurrency", "priority", "retry", "timeout", "hooks"];
const RETRY_KEYS: [&str; 3] = ["attempts", "first", "longest"];
/// The greatest priority; more runs at a time, or more attempts, than anybody means.
pub const MOST_RULED: i64 = 1_000;

impl RunRules {
    /// Takes what a mapping says. What is wrong with it is added to `problems`.
    pub(super) fn take(&mut self, map: &Yaml, problems: &mut Problems) {
        let value = |key: &str| map.entry(key).cloned();
        if let Some(entry) = value("concurrency") {
            self.concurrency = whole(&entry, 1..=MOST_RULED, problems);
        }
        if let Some(entry) = value("priority") {
            self.priority = whole(&entry, -MOST_RULED..=MOST_RULED, problems);
        }
        if let Some(entry) = value("timeout") {
            self.timeout = timeout(&entry.value, "a run", problems);
        }
        if let Some(entry) = value("retry") {
            self.retry = retry(&entry.value, problems);
        }
        if let Some(entry) = value("hooks") {
            self.hooks = HookRules::read(&entry.value, problems);
        }
    }

    /// Them for programs: `{concurrency, priority, retry: {attempts, first_ms, longest_ms}, timeout_ms, hooks}`.
    pub(super) fn to_json(&self) -> Value {
        let millis = |time: Option<Duration>| time.map(|time| time.as_millis() as u64);
        json!({
            "concurrency": self.concurrency,
            "priority": self.priority,
            "retry": {
                "attempts": self.retry.attempts,
                "first_ms": millis(self.retry.first),
                "longest_ms": millis(self.retry.longest),
            },
            "timeout_ms": millis(self.timeout),
            "hooks": self.hooks,
        })
    }
}

fn retry(value: &Yaml, problems: &mut Problems) -> RetryRules {
    if value.entries().is_none() {
        let help = "write retry: {attempts: 5, first: 1s, longest: 5m}";
        problems.push(wrong_type(value, "retry", "a mapping", help));
        return RetryRules::default();
    }
    refuse_unknown(value, &RETRY_KEYS, problems);
    let attempts = value.entry("attempts").and_then(|entry| whole(entry, 1..=MOST_RULED, problems));
    RetryRules {
        attempts: attempts.and_then(|attempts| u32::try_from(attempts).ok()),
        first: value.entry("first").and_then(|entry| pause(entry, problems)),
        longest: value.entry("longest").and_then(|entry| pause(entry, problems)),
    }
}

fn whole(entry: &Entry, range: std::ops::RangeInclusive<i64>, problems: &mut Problems) -> Option<i64> {
    let found = match &entry.value.node {
        Node::Scalar(Value::Number(number)) => number.as_i64().filter(|number| range.contains(number)),
        _ => None,
    };
    if found.is_none() {
        let (from, to) = (range.start(), range.end());
        let message = format!("{} is a whole number from {from} to {to}", entry.key);
        let help = format!("write {}: {}, or leave it out", entry.key, from.max(&2));
        problems.push(Problem::at(&entry.value.span, "bad-value", message).help(help));
    }
    found
}

fn pause(entry: &Entry, problems: &mut Problems) -> Option<Duration> {
    let found = duration(&entry.value);
    if found.is_none() {
        let help = "write 500ms, 30s or 5m; a number is seconds".to_owned();
        let message = format!("{} is no time to wait", entry.key);
        problems.push(Problem::at(&entry.value.span, "bad-value", message).help(help));
    }
    found
}
