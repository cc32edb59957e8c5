//! Runs of an orchestrator: lists, one of them, and what happens to it.

use super::numbers::{count, time};
use chrono::{DateTime, Local, TimeZone};
use comfy_table::presets::{NOTHING, UTF8_FULL_CONDENSED};
use comfy_table::{Cell, CellAlignment, Table};
use flight_common::Fault;
use flight_common::report::warnings;
use orchestrator::api::RunDetails;
use orchestrator::service::Occurrence;
use orchestrator::service::log::{LogLine, told};
use orchestrator::store::{AuditRecord, EventRow, Page, RunRow, RunState, Schedule, Token};
use serde_json::Value;
use std::fmt::Write;

/// A line for each run.
pub fn runs(page: &Page<RunRow>) -> String {
    if page.items.is_empty() {
        return "no runs\n".to_owned();
    }
    let mut table = Table::new();
    table.load_preset(NOTHING).set_header(["run", "pipeline", "state", "queued", "took", "why"]);
    for run in &page.items {
        table.add_row([
            run.id.clone(),
            pipeline(run),
            run.state.to_string(),
            when(run.created_at),
            took(run),
            run.fault.as_ref().map(|fault| first_line(&fault_text(fault))).unwrap_or_default(),
        ]);
    }
    let more = page.next.as_ref().map(|next| format!("\nmore: --cursor {next}\n")).unwrap_or_default();
    format!("{table}\n{more}")
}

/// A run with its steps.
pub fn run(details: &RunDetails) -> String {
    let run = &details.run;
    let mut text = format!("run {}\n{} is {}", run.id, pipeline(run), run.state);
    let _ = writeln!(text, ", queued {} by {} ({})", when(run.created_at), run.submitted_by, run.origin);
    if let Some(at) = run.scheduled_at {
        let _ = writeln!(text, "scheduled for {}", when_in(&Local, at));
    }
    if let Some(words) = &details.waits_for {
        let _ = writeln!(text, "waits: {words}");
    }
    for (name, value) in &run.params {
        let _ = writeln!(text, "param {name}={}", word(value));
    }
    for set in &run.sets {
        let _ = writeln!(text, "set {set}");
    }
    if run.attempt > 0 {
        let took = Some(took(run)).filter(|took| !took.is_empty());
        let _ =
            writeln!(text, "attempt {}{}", run.attempt, took.map(|took| format!(", took {took}")).unwrap_or_default());
    }
    if let Some(trace) = &run.trace_id {
        let _ = writeln!(text, "trace {trace}");
    }
    let steps = details.steps.as_array().map(Vec::as_slice).unwrap_or_default();
    if !steps.is_empty() {
        let _ = writeln!(text, "\n{}", table(steps));
    }
    for step in steps {
        if let Some(place) = super::written(&step["receipt"]) {
            let _ = writeln!(text, "{} wrote {place}", word(&step["id"]));
        }
        for sentence in step["details"].as_object().into_iter().flat_map(warnings) {
            let _ = writeln!(text, "warning: {}: {sentence}", word(&step["id"]));
        }
    }
    let has_told = |id: &str| steps.iter().any(|step| step["id"] == id && !step["receipt"].is_null());
    // Those of earlier attempts, and of one that has not ended.
    for commit in details.commits.iter().filter(|commit| !has_told(&commit.step)) {
        let _ = writeln!(text, "{} wrote {}", commit.step, super::written(&commit.receipt).unwrap_or("its rows"));
    }
    if let Some(words) = &details.held_back_by {
        let _ = writeln!(text, "{words}");
    }
    for kept in &details.outputs {
        let (rows, bytes) = (figure(kept.rows), figure(kept.bytes));
        let _ = writeln!(text, "kept {}.{}: {} rows, {} bytes", kept.step, kept.output, count(rows), count(bytes));
    }
    for error in details.errors.as_array().into_iter().flatten() {
        let _ = writeln!(text, "line {}, column {}: {}", error["line"], error["column"], word(&error["message"]));
    }
    if let Some(fault) = &run.fault {
        let _ = writeln!(text, "\n{}", why(run, fault));
    }
    text
}

/// Why a run ended badly, with what to try. Of one that goes on, why an attempt before did.
fn why(run: &RunRow, fault: &Value) -> String {
    let text = fault_text(fault);
    match (run.state, fault["help"].as_str()) {
        // It keeps the number of that attempt until the next one begins.
        (RunState::Queued, _) => format!("attempt {} failed: {text}", run.attempt),
        (RunState::Running | RunState::Cancelling, _) if run.attempt == 2 => format!("attempt 1 failed: {text}"),
        // Which one is not known: others may have been lost with their replicas since.
        (RunState::Running | RunState::Cancelling, _) => format!("an earlier attempt failed: {text}"),
        (_, Some(help)) => format!("{text}\nhelp: {help}"),
        (_, None) => text,
    }
}

fn table(steps: &[Value]) -> Table {
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED);
    table.set_header(["step", "status", "rows in", "rows out", "time", "waiting", "computing", "blocked"]);
    for step in steps {
        let right = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
        let rows = |name: &str| right(step[name].as_u64().map(count).unwrap_or_default());
        let millis = |name: &str| right(step[name].as_f64().map(time).unwrap_or_default());
        table.add_row([
            Cell::new(word(&step["id"])),
            Cell::new(word(&step["status"])),
            rows("rows_in"),
            rows("rows_out"),
            millis("duration_ms"),
            millis("waiting_ms"),
            millis("computing_ms"),
            millis("blocked_ms"),
        ]);
    }
    table
}

/// A line for each step of each attempt.
pub fn audit(records: &[AuditRecord]) -> String {
    let mut table = Table::new();
    table.load_preset(NOTHING).set_header([
        "attempt",
        "id",
        "step",
        "status",
        "rows in",
        "rows out",
        "time",
        "parameters",
    ]);
    for record in records {
        table.add_row([
            record.attempt.to_string(),
            record.id.clone(),
            format!("{} {}", record.step, record.version),
            record.status.clone(),
            count(record.rows_in),
            count(record.rows_out),
            time(record.duration_ms),
            record.params.to_string(),
        ]);
    }
    format!("{table}\n")
}

/// Something that happened to a run, as a line.
pub fn event(event: &EventRow) -> String {
    format!("{}  {:<10} {}", when(event.at), event.kind, told(event)).trim_end().to_owned()
}

/// A line of a run's log.
pub fn log_line(line: &LogLine) -> String {
    let step = line.step.as_deref().unwrap_or("");
    format!("{}  {:<5} {step:<16} {}", when(line.at), line.level, line.message)
}

/// A line for each schedule.
pub fn schedules(schedules: &[Schedule]) -> String {
    let mut table = Table::new();
    table.load_preset(NOTHING).set_header(["schedule", "pipeline", "cron", "zone", "next", "last", ""]);
    for schedule in schedules {
        // In its own time zone; one that it does not know has no next time either.
        let timing = schedule.spec.timing();
        let at = |millis: Option<i64>| match (&timing, millis) {
            (Ok(timing), Some(millis)) => when_in(&timing.local(millis).timezone(), millis),
            _ => String::new(),
        };
        let next = if schedule.paused { "paused".to_owned() } else { at(schedule.next_at) };
        table.add_row([
            schedule.name.clone(),
            schedule.spec.pipeline.clone(),
            schedule.spec.cron.clone(),
            schedule.spec.zone.clone(),
            next,
            at(schedule.last_at),
            schedule.last_error.as_deref().map(first_line).unwrap_or_default(),
        ]);
    }
    format!("{table}\n")
}

/// A line for each time of a backfill.
pub fn occurrences(occurrences: &[Occurrence]) -> String {
    let mut table = Table::new();
    table.load_preset(NOTHING).set_header(["time", "", "run"]);
    for occurrence in occurrences {
        table.add_row([&occurrence.time, occurrence.outcome.words(), &occurrence.run]);
    }
    format!("{table}\n")
}

/// A line for each token.
pub fn tokens(tokens: &[Token]) -> String {
    let mut table = Table::new();
    table.load_preset(NOTHING).set_header(["id", "name", "role", "made", "good until", ""]);
    for token in tokens {
        table.add_row([
            token.id.clone(),
            token.name.clone(),
            token.role.name().to_owned(),
            when(token.created_at),
            token.expires_at.map_or("for ever".to_owned(), when),
            token.revoked_at.map(|at| format!("revoked {}", when(at))).unwrap_or_default(),
        ]);
    }
    format!("{table}\n")
}

pub(super) fn pipeline(run: &RunRow) -> String {
    match run.version {
        Some(version) => format!("{} (version {version})", run.pipeline),
        None => run.pipeline.clone(),
    }
}

/// Milliseconds since 1970, as the clock on the wall shows them.
pub fn when(millis: i64) -> String {
    let local: Option<DateTime<Local>> = Local.timestamp_millis_opt(millis).single();
    local.map_or_else(|| millis.to_string(), |time| time.format("%Y-%m-%d %H:%M:%S").to_string())
}

/// Milliseconds since 1970, as the clocks of a zone show them, and how far these are ahead of UTC.
fn when_in<Z: TimeZone>(zone: &Z, millis: i64) -> String
where
    Z::Offset: std::fmt::Display,
{
    let time = zone.timestamp_millis_opt(millis).single();
    time.map_or_else(|| millis.to_string(), |time| time.format("%Y-%m-%d %H:%M:%S %:z").to_string())
}

pub(super) fn took(run: &RunRow) -> String {
    match (run.took_ms(Local::now().timestamp_millis()), run.ended_at) {
        (Some(took), Some(_)) => time(took as f64),
        // It has an attempt behind it, and waits for the next one.
        (Some(_), None) if run.state == RunState::Queued => String::new(),
        (Some(took), None) => format!("{} so far", time(took as f64)),
        (None, _) => String::new(),
    }
}

pub(super) fn fault_text(fault: &Value) -> String {
    match serde_json::from_value::<Fault>(fault.clone()) {
        Ok(fault) => fault.with_place(),
        Err(_) => word(&fault["message"]),
    }
}

fn first_line(text: &str) -> String {
    const LONGEST: usize = 60;
    let line = text.lines().next().unwrap_or_default();
    match line.chars().count() > LONGEST {
        true => line.chars().take(LONGEST).chain(['…']).collect(),
        false => line.to_owned(),
    }
}

fn figure(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

pub(super) fn word(value: &Value) -> String {
    value.as_str().map_or_else(|| if value.is_null() { String::new() } else { value.to_string() }, str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_an_attempt_before_failed_with_is_told_as_such() {
        let fault = json!({"message": "the disk is full", "help": "make room"});
        let told = |state: &str, attempt: i64| {
            let run: RunRow = serde_json::from_value(json!({
                "id": "1", "pipeline": "sums", "definition": "", "sets": [], "state": state, "priority": 0,
                "attempt": attempt, "not_before": 0, "created_at": 0, "submitted_by": "ann", "origin": "api",
            }))
            .expect("a run");
            why(&run, &fault)
        };
        assert_eq!(told("failed", 2), "the disk is full\nhelp: make room");
        assert_eq!(told("queued", 2), "attempt 2 failed: the disk is full");
        assert_eq!(told("running", 2), "attempt 1 failed: the disk is full");
        assert_eq!(told("running", 3), "an earlier attempt failed: the disk is full");
    }
}
