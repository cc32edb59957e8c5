//! What is read in many places of a file: unknown keys, values of the wrong type, times. Pure.

use super::problem::{Problem, Problems};
use super::yaml::{Node, Yaml};
use flight_common::params::did_you_mean;
use serde_json::Value;
use std::time::Duration;

/// Keys that begin with `x-` are the writer's own: a place for anchors.
pub(super) fn refuse_unknown(map: &Yaml, known: &[&str], problems: &mut Problems) {
    for entry in map.entries().unwrap_or_default() {
        let key = entry.key.as_str();
        if !known.contains(&key) && !key.starts_with("x-") {
            problems.push(
                Problem::at(&entry.key_span, "unknown-key", format!("unknown key \"{key}\""))
                    .help(did_you_mean(key, known.iter().copied())),
            );
        }
    }
}

/// A value that is not what its key wants.
pub(super) fn wrong_type(value: &Yaml, key: &str, wanted: &str, help: &str) -> Problem {
    Problem::at(&value.span, "wrong-type", format!("{key} is {}, not {wanted}", value.kind())).help(help.to_owned())
}

/// How long something may take: not nothing.
pub(super) fn timeout(value: &Yaml, what: &str, problems: &mut Problems) -> Option<Duration> {
    let parsed = duration(value).filter(|time| !time.is_zero());
    if parsed.is_none() {
        let help = "write 30s, 5m or 1h; a number is seconds".to_owned();
        let message = format!("this is no time that {what} may take");
        problems.push(Problem::at(&value.span, "bad-timeout", message).help(help));
    }
    parsed
}

/// A time: `30s`, or a number of seconds.
pub(super) fn duration(value: &Yaml) -> Option<Duration> {
    match &value.node {
        Node::Scalar(Value::Number(seconds)) => seconds.as_f64().and_then(|it| Duration::try_from_secs_f64(it).ok()),
        Node::Scalar(Value::String(text)) => humantime::parse_duration(text).ok(),
        _ => None,
    }
}
