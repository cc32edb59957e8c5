//! What happened to a run, line by line, of the run as a whole and of each of its steps. Pure.
//!
//! Made of what the store has anyway: the events of the run, and the reports of its attempts. What processes write to
//! their own logs goes by OTLP, under the run's trace.

use crate::store::{AttemptRow, EventRow};
use flight_common::report::warnings;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A line of a run's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct LogLine {
    /// When: milliseconds since 1970.
    pub at: i64,
    /// In which attempt; 0 before the first.
    pub attempt: i64,
    /// `info`, `warn` or `error`.
    pub level: String,
    /// The step that it is about; nothing for the run as a whole.
    pub step: Option<String>,
    /// What happened.
    pub message: String,
}

/// The events with which an attempt ends.
const ENDS: [&str; 5] = ["done", "failed", "cancelled", "retry", "released"];

/// The log of a run, in order, of what [`crate::store::Store::logged`] gives; of one step alone if it is named. How far steps are
/// is told by the reports of ended attempts; of one under way, by what was last seen.
pub fn lines(events: &[EventRow], attempts: &[AttemptRow], step: Option<&str>) -> Vec<LogLine> {
    let (mut attempt, mut ended) = (0, 0);
    let mut lines = Vec::new();
    for event in events {
        attempt = event.body["attempt"].as_i64().unwrap_or(attempt);
        if ENDS.contains(&event.kind.as_str()) {
            lines.extend(of_attempts(attempts.iter().filter(|one| one.attempt == attempt)));
            ended = attempt;
        }
        let message = format!("{} {}", event.kind, told(event)).trim_end().to_owned();
        let of = event.body["step"].as_str().map(str::to_owned);
        lines.push(LogLine { at: event.at, attempt, level: level(&event.kind).to_owned(), step: of, message });
    }
    lines.extend(of_attempts(attempts.iter().filter(|one| one.attempt > ended)));
    lines.retain(|line| step.is_none() || line.step.as_deref() == step);
    lines
}

fn of_attempts<'a>(attempts: impl Iterator<Item = &'a AttemptRow>) -> Vec<LogLine> {
    let steps = |attempt: &'a AttemptRow| {
        let steps = attempt.report.as_ref().and_then(|report| report["steps"].as_array()).into_iter().flatten();
        steps.flat_map(move |step| of_step(attempt, step))
    };
    attempts.flat_map(steps).collect()
}

fn level(kind: &str) -> &'static str {
    match kind {
        "failed" | "lost" | "hook_given_up" => "error",
        "retry" | "hook_failed" | "taken_over" | "cancelling" | "cancelled" => "warn",
        _ => "info",
    }
}

/// How a step ended, and what it warned of.
fn of_step(attempt: &AttemptRow, step: &Value) -> Vec<LogLine> {
    let status = word(&step["status"]);
    let figure = |name: &str| step[name].as_f64().unwrap_or(0.0);
    let mut message = format!(
        "{status} in {:.0} ms (waited {:.0}, computed {:.0}, blocked {:.0}): {} rows in, {} rows out",
        figure("duration_ms"),
        figure("waiting_ms"),
        figure("computing_ms"),
        figure("blocked_ms"),
        figure("rows_in"),
        figure("rows_out"),
    );
    for (name, count) in step["counters"].as_object().into_iter().flatten() {
        message += &format!(", {name} {count}");
    }
    if !step["fault"].is_null() {
        message += &format!("; {}", fault_text(&step["fault"]));
    }
    let level = match status.as_str() {
        "failed" => "error",
        "cancelled" => "warn",
        _ => "info",
    };
    let line = |level: &str, message: String| LogLine {
        at: attempt.ended_at.unwrap_or(attempt.started_at),
        attempt: attempt.attempt,
        level: level.to_owned(),
        step: Some(word(&step["id"])),
        message,
    };
    let warned = step["details"].as_object().into_iter().flat_map(warnings);
    let warned = warned.map(|sentence| line("warn", sentence.to_owned()));
    std::iter::once(line(level, message)).chain(warned).collect()
}

/// What an event tells beside its kind.
pub fn told(event: &EventRow) -> String {
    let body = &event.body;
    match event.kind.as_str() {
        "queued" => format!("by {} ({})", word(&body["by"]), word(&body["origin"])),
        "started" => format!("attempt {}", body["attempt"]),
        "taken_over" => format!("attempt {}: the orchestrator that had it is gone", body["attempt"]),
        "resumed" => {
            let from = if body["reuse"] == true { "from where it stopped" } else { "from its beginning" };
            let text = if body["changed"] == true { ", with a changed text" } else { "" };
            format!("by {}, {from}{text}", word(&body["by"]))
        }
        "cancelling" | "cancelled" if body["by"].is_string() => format!("by {}", word(&body["by"])),
        "progress" => {
            let steps = body["steps"].as_array().into_iter().flatten();
            let shown = steps.filter(|step| step["status"] != "waiting").map(|step| {
                format!("{} {} ({} rows)", word(&step["id"]), word(&step["status"]), word(&step["rows_out"]))
            });
            shown.collect::<Vec<_>>().join(", ")
        }
        "committing" => word(&body["step"]),
        "renamed" => {
            let loads = body["loads"].as_object().into_iter().flatten();
            loads.map(|(old, new)| format!("{old} is called {} now", word(new))).collect::<Vec<_>>().join(", ")
        }
        "retry" => again(body),
        "failed" => fault_text(&body["fault"]),
        "hook_delivered" => sent(body),
        "hook_failed" => format!("{}, again {}", sent(body), again(body)),
        "hook_given_up" => format!("{}, because {}", sent(body), fault_text(&body["fault"])),
        _ => match body.as_object().is_none_or(serde_json::Map::is_empty) {
            true => String::new(),
            false => body.to_string(),
        },
    }
}

/// When something is tried again, and why.
fn again(body: &Value) -> String {
    let pause = body["retry_in_ms"].as_f64().unwrap_or(0.0) / 1e3;
    format!("in {pause:.1} s, because {}", fault_text(&body["fault"]))
}

/// Where a message was sent, and which try that was.
fn sent(body: &Value) -> String {
    format!("to {} at try {}", word(&body["url"]), body["try"])
}

/// A fault in words: the step, what is wrong, and what to try.
fn fault_text(fault: &Value) -> String {
    let parts = [&fault["step"], &fault["message"]].map(word);
    let told: Vec<&str> = parts.iter().map(String::as_str).filter(|part| !part.is_empty()).collect();
    match fault["help"].as_str() {
        Some(help) => format!("{} (help: {help})", told.join(": ")),
        None => told.join(": "),
    }
}

fn word(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_lines_of_steps_stand_within_their_attempt() {
        let event = |seq, kind: &str, body| EventRow { seq, at: 10 * seq, kind: kind.to_owned(), body };
        let fault = json!({"step": "clean", "message": "no column x", "help": "look"});
        let events = [
            event(1, "queued", json!({"by": "ann", "origin": "api"})),
            event(2, "started", json!({"attempt": 1})),
            event(3, "failed", json!({ "fault": fault })),
        ];
        let report = json!({"steps": [
            {"id": "read", "status": "done", "rows_out": 5, "counters": {"bytes_read": 7}, "details": {"warnings": ["late"]}},
            {"id": "clean", "status": "failed", "rows_in": 5, "fault": fault},
        ]});
        let attempt = AttemptRow {
            attempt: 1,
            owner: "o".to_owned(),
            state: "failed".to_owned(),
            started_at: 20,
            ended_at: Some(40),
            report: Some(report),
        };
        let attempts = [attempt];
        let all = lines(&events, &attempts, None);
        let told: Vec<(&str, &str)> =
            all.iter().map(|line| (line.level.as_str(), line.step.as_deref().unwrap_or("-"))).collect();
        assert_eq!(
            told,
            [("info", "-"), ("info", "-"), ("info", "read"), ("warn", "read"), ("error", "clean"), ("error", "-"),]
        );
        assert!(all[3].message == "late" && all[2].message.ends_with("bytes_read 7"));
        assert_eq!(all[5].message, "failed clean: no column x (help: look)");
        let one = lines(&events, &attempts, Some("clean"));
        assert!(one.len() == 1 && one[0].message.ends_with("5 rows in, 0 rows out; clean: no column x (help: look)"));
    }

    #[test]
    fn what_became_of_hooks_is_told_in_words() {
        let fault = json!({"kind": "upstream", "message": "it answered 500", "help": "look"});
        let because = "because it answered 500 (help: look)";
        for (kind, pause, words) in [
            ("hook_failed", json!(1500), format!("to https://x/y at try 2, again in 1.5 s, {because}")),
            ("hook_given_up", Value::Null, format!("to https://x/y at try 2, {because}")),
            ("hook_delivered", Value::Null, "to https://x/y at try 2".to_owned()),
        ] {
            let body = json!({"url": "https://x/y", "try": 2, "fault": fault, "retry_in_ms": pause});
            assert_eq!(told(&EventRow { seq: 1, at: 1, kind: kind.to_owned(), body }), words);
        }
    }
}
