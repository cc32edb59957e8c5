//! What a run did: the document that `quiver run --json` prints.

use super::progress::Status;
use crate::pipeline::facts;
use flight_common::report::WARNINGS;
use flight_common::telemetry::metrics::{StepFigures, step_ended};
use flight_common::{Fault, StepReport};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// A run, at its end.
#[derive(Clone, Debug, Serialize)]
pub struct RunReport {
    /// Its id.
    pub run_id: String,
    /// The pipeline's name.
    pub pipeline: String,
    /// `done`, `failed` or `cancelled`.
    #[serde(serialize_with = "by_name")]
    pub status: Status,
    /// From start to end.
    pub duration_ms: f64,
    /// The trace that shows it.
    pub trace_id: Option<String>,
    /// Why it failed; its `step` is the id of the step that failed first.
    pub fault: Option<Fault>,
    /// Which step held the run back, in words.
    pub held_back_by: Option<String>,
    /// Every step, in the order of the plan.
    pub steps: Vec<StepOutcome>,
    /// Whether what runs finally has had its turn. It has not where the run goes on later.
    #[serde(skip)]
    pub finished: bool,
}

/// A step of a run, at its end. Durations are wall time in milliseconds.
#[derive(Clone, Debug, Serialize)]
pub struct StepOutcome {
    /// Its id in the pipeline.
    pub id: String,
    /// The step that ran.
    pub step: String,
    /// How it ended.
    #[serde(serialize_with = "by_name")]
    pub status: Status,
    /// Rows that reached it, over all inputs.
    pub rows_in: u64,
    /// Rows of its main output.
    pub rows_out: u64,
    /// Bytes of those.
    pub bytes_out: u64,
    /// Bytes it kept on disk for want of memory.
    pub bytes_spilled: u64,
    /// From start to end.
    pub duration_ms: f64,
    /// Part of it: waiting for input.
    pub waiting_ms: f64,
    /// Part of it: computing.
    pub computing_ms: f64,
    /// Part of it: blocked on the reader of its output.
    pub blocked_ms: f64,
    /// The step's own figures.
    pub counters: BTreeMap<String, u64>,
    /// The step's own findings.
    pub details: Map<String, Value>,
    /// What a load wrote.
    pub receipt: Option<Value>,
    /// Why it failed.
    pub fault: Option<Fault>,
}

fn by_name<S: Serializer>(status: &Status, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(status.name())
}

/// What a step did, as far as it is asked for in a later attempt that does not do it again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figures {
    /// Rows that reached it, over all inputs.
    pub rows_in: u64,
    /// Rows of its main output.
    pub rows_out: u64,
    /// Bytes of those.
    pub bytes_out: u64,
    /// The step's own figures.
    pub counters: BTreeMap<String, u64>,
    /// Its warnings, of all its findings.
    #[serde(default)]
    pub details: Map<String, Value>,
}

impl StepOutcome {
    /// A step about which nothing is known but its state.
    pub(crate) fn bare(id: &str, step: &str, status: Status) -> Self {
        Self {
            id: id.to_owned(),
            step: step.to_owned(),
            status,
            rows_in: 0,
            rows_out: 0,
            bytes_out: 0,
            bytes_spilled: 0,
            duration_ms: 0.0,
            waiting_ms: 0.0,
            computing_ms: 0.0,
            blocked_ms: 0.0,
            counters: BTreeMap::new(),
            details: Map::new(),
            receipt: None,
            fault: None,
        }
    }

    /// Counts it in the metrics.
    pub fn count(&self) {
        let figures = StepFigures {
            rows_in: self.rows_in,
            rows_out: self.rows_out,
            bytes_out: self.bytes_out,
            bytes_spilled: self.bytes_spilled,
            duration_ms: self.duration_ms,
            computing_ms: self.computing_ms,
        };
        step_ended(&self.step, self.status.name(), Some(&figures).filter(|_| self.status != Status::Skipped));
    }

    /// Takes over what the step did in an earlier attempt.
    pub(crate) fn remember(&mut self, Figures { rows_in, rows_out, bytes_out, counters, details }: Figures) {
        (self.rows_in, self.rows_out, self.bytes_out, self.counters) = (rows_in, rows_out, bytes_out, counters);
        self.details = only_warnings(&details);
    }

    /// What a later attempt is to remember.
    pub(super) fn figures(&self) -> Figures {
        let (rows_in, rows_out, bytes_out) = (self.rows_in, self.rows_out, self.bytes_out);
        let (counters, details) = (self.counters.clone(), only_warnings(&self.details));
        Figures { rows_in, rows_out, bytes_out, counters, details }
    }

    /// What conditions may ask of it. To them it is the same in which attempt it was done.
    pub(super) fn facts(&self) -> Value {
        let status = if self.status == Status::Reused { Status::Done } else { self.status };
        let figures = [self.rows_in, self.rows_out, self.bytes_out];
        facts(status.name(), figures, &self.counters, self.receipt.as_ref())
    }

    /// Whether it was broken off and has not told what it did with its time.
    fn is_untimed(&self) -> bool {
        let broken_off = matches!(self.status, Status::Failed | Status::Cancelled);
        broken_off && self.waiting_ms + self.computing_ms + self.blocked_ms <= 0.0
    }

    /// Takes over what the step says of itself.
    pub(super) fn fill(&mut self, report: StepReport) {
        self.rows_in = report.rows_in;
        self.rows_out = report.rows_out;
        self.bytes_out = report.bytes_out;
        self.bytes_spilled = report.bytes_spilled;
        self.duration_ms = report.duration_ms;
        self.waiting_ms = report.waiting_ms;
        self.computing_ms = report.computing_ms;
        self.blocked_ms = report.blocked_ms;
        self.counters = report.counters;
        self.details = report.details;
    }
}

fn only_warnings(details: &Map<String, Value>) -> Map<String, Value> {
    details.iter().filter(|(name, _)| *name == WARNINGS).map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// What held a run back, in words: the step that was longest at work, since streaming steps run at once and the others wait
/// for it or are blocked by it; and the step that waited the largest part of its time, with the one it waited for. A source
/// is at work also while it waits for the place that it reads from.
///
/// `feeds` tells the places of the steps that feed each step.
pub(super) fn held_back_by(steps: &[StepOutcome], feeds: &[Vec<usize>], duration_ms: f64) -> Option<String> {
    // Of a step that was broken off behind Flight it is not known what it did, and so not whether another was slower.
    if steps.iter().any(StepOutcome::is_untimed) {
        return None;
    }
    let outside = |place: usize| if feeds[place].is_empty() { steps[place].waiting_ms } else { 0.0 };
    let at_work = |place: &usize| steps[*place].computing_ms + outside(*place);
    let longest = |a: &usize, b: &usize| at_work(a).total_cmp(&at_work(b));
    let slowest = (0..steps.len()).max_by(longest)?;
    if at_work(&slowest) <= 0.0 || duration_ms <= 0.0 {
        return None;
    }
    let of_the_run = |time: f64| (100.0 * time / duration_ms).min(100.0);
    let (id, waited, computed) = (&steps[slowest].id, outside(slowest), steps[slowest].computing_ms);
    let first = match waited > computed {
        true => format!("{id} waited {:.0} % of the run for what it reads", of_the_run(waited)),
        false => format!("{id} computed for {:.0} % of the run", of_the_run(computed)),
    };
    let waits = steps.iter().zip(feeds).filter_map(|(step, feeds)| {
        let source = &steps[feeds.iter().copied().max_by(longest)?];
        let share = if step.duration_ms > 0.0 { step.waiting_ms / step.duration_ms } else { 0.0 };
        Some((share, step, source))
    });
    match waits.max_by(|a, b| a.0.total_cmp(&b.0)) {
        Some((share, step, source)) if share >= MUCH => {
            let share = (100.0 * share).min(100.0);
            Some(format!("{first}; {} waited {share:.0} % of its time for {}", step.id, source.id))
        }
        _ => Some(first),
    }
}

/// The part of its time that a step waits before that is worth a word.
const MUCH: f64 = 0.5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_step_that_computes_longest_holds_the_run_back() {
        let step = |id: &str, computing_ms| StepOutcome { computing_ms, ..StepOutcome::bare(id, id, Status::Done) };
        let steps = [step("read", 20.0), step("gate", 70.0), step("write", 5.0)];
        let none = [vec![], vec![0], vec![1]];
        assert_eq!(held_back_by(&steps, &none, 100.0).as_deref(), Some("gate computed for 70 % of the run"));
        assert_eq!(held_back_by(&[], &[], 100.0), None);
        let [read, _, write] = steps;
        let steps = [read, StepOutcome::bare("gate", "gate", Status::Cancelled), write];
        assert_eq!(held_back_by(&steps, &none, 100.0), None, "it may be the gate");
    }

    #[test]
    fn a_step_that_waits_most_of_its_time_names_what_it_waits_for() {
        let step = |id: &str, computing_ms, waiting_ms| StepOutcome {
            computing_ms,
            waiting_ms,
            duration_ms: 100.0,
            ..StepOutcome::bare(id, id, Status::Done)
        };
        let steps = [step("read", 90.0, 0.0), step("outliers", 10.0, 83.0)];
        let told = held_back_by(&steps, &[vec![], vec![0]], 100.0);
        let wanted = "read computed for 90 % of the run; outliers waited 83 % of its time for read";
        assert_eq!(told.as_deref(), Some(wanted));
        let steps = [step("read", 5.0, 90.0), step("outliers", 10.0, 83.0)];
        let told = held_back_by(&steps, &[vec![], vec![0]], 100.0);
        let wanted = "read waited 90 % of the run for what it reads; outliers waited 83 % of its time for read";
        assert_eq!(told.as_deref(), Some(wanted));
    }
}
