//! Every metric there is. `docs/metrics.md` is made from [`METRICS`].
//!
//! What runs and steps did is counted where runs end, from their own reports: the figures of a run and those of the
//! metrics are the same, however often a step's server was started again meanwhile.

use opentelemetry::metrics::{Counter, Gauge, Histogram, Meter};
use opentelemetry::{KeyValue, global};
use std::sync::OnceLock;
use std::time::Duration;

/// A metric, as it is documented.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Its name, in OpenTelemetry's style.
    pub name: &'static str,
    /// `counter`, `histogram` or `gauge`.
    pub kind: &'static str,
    /// Its unit, by UCUM.
    pub unit: &'static str,
    /// What tells its series apart.
    pub attributes: &'static [&'static str],
    /// What it tells.
    pub meaning: &'static str,
}

const fn metric(
    name: &'static str,
    kind: &'static str,
    unit: &'static str,
    attributes: &'static [&'static str],
    meaning: &'static str,
) -> Metric {
    Metric { name, kind, unit, attributes, meaning }
}

const RUNS: Metric = metric("quiver.runs", "counter", "{run}", &["pipeline", "state"], "Runs that have ended.");
const RUN_DURATION: Metric =
    metric("quiver.run.duration", "histogram", "s", &["pipeline", "state"], "From queued to ended.");
const RETRIES: Metric = metric(
    "quiver.run.retries",
    "counter",
    "{attempt}",
    &["pipeline"],
    "Attempts that failed and were followed by another.",
);
const QUEUE: Metric = metric("quiver.queue.depth", "gauge", "{run}", &["state"], "Runs that have not ended.");
const STEPS: Metric = metric("quiver.steps", "counter", "{step}", &["step", "status"], "Steps that have ended.");
const STEP_DURATION: Metric =
    metric("quiver.step.duration", "histogram", "s", &["step"], "From a step's start to its end.");
const STEP_COMPUTING: Metric =
    metric("quiver.step.computing", "histogram", "s", &["step"], "The part of it in which the step computed.");
const ROWS_IN: Metric = metric("quiver.step.rows.in", "counter", "{row}", &["step"], "Rows that reached a step.");
const ROWS_OUT: Metric = metric("quiver.step.rows.out", "counter", "{row}", &["step"], "Rows of its main output.");
const BYTES_OUT: Metric = metric("quiver.step.bytes.out", "counter", "By", &["step"], "Bytes of those.");
const SPILLED: Metric =
    metric("quiver.step.bytes.spilled", "counter", "By", &["step"], "Bytes kept on disk for want of memory.");
const LINEAGE: Metric = metric(
    "quiver.lineage.events",
    "counter",
    "{event}",
    &["outcome"],
    "Lineage events that were accepted, refused or dropped.",
);
const EXCHANGES: Metric =
    metric("quiver.exchanges.active", "gauge", "{exchange}", &[], "Exchanges that a server runs.");
const MEMORY_USED: Metric = metric("quiver.memory.used", "gauge", "By", &[], "Memory that kept rows take.");
const MEMORY_LIMIT: Metric = metric("quiver.memory.limit", "gauge", "By", &[], "Memory that they may take.");

impl Metric {
    /// What the collector calls it towards Prometheus: of a histogram, the name before `_bucket`, `_sum` and `_count`.
    pub fn in_prometheus(&self) -> String {
        let mut name = self.name.replace('.', "_");
        name += match self.unit {
            "s" => "_seconds",
            "By" if !self.name.contains("bytes") => "_bytes",
            _ => "",
        };
        if self.kind == "counter" {
            name += "_total";
        }
        name
    }
}

/// All of them.
pub const METRICS: [Metric; 15] = [
    RUNS,
    RUN_DURATION,
    RETRIES,
    QUEUE,
    STEPS,
    STEP_DURATION,
    STEP_COMPUTING,
    ROWS_IN,
    ROWS_OUT,
    BYTES_OUT,
    SPILLED,
    LINEAGE,
    EXCHANGES,
    MEMORY_USED,
    MEMORY_LIMIT,
];

/// The table of `docs/metrics.md`.
pub fn table() -> String {
    let mut text = String::from("| metric | in Prometheus | kind | unit | by | meaning |\n|---|---|---|---|---|---|\n");
    for metric in METRICS {
        let Metric { name, kind, unit, meaning, .. } = metric;
        let (known, by) = (metric.in_prometheus(), metric.attributes.join(", "));
        text += &format!("| `{name}` | `{known}` | {kind} | {unit} | {by} | {meaning} |\n");
    }
    text
}

/// Seconds: from a run of a few rows to one of a night.
const SECONDS: [f64; 16] =
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0];

struct Instruments {
    runs: Counter<u64>,
    run_duration: Histogram<f64>,
    retries: Counter<u64>,
    queue: Gauge<u64>,
    steps: Counter<u64>,
    step_duration: Histogram<f64>,
    step_computing: Histogram<f64>,
    rows_in: Counter<u64>,
    rows_out: Counter<u64>,
    bytes_out: Counter<u64>,
    spilled: Counter<u64>,
    lineage: Counter<u64>,
}

fn meter() -> Meter {
    global::meter("quiver")
}

/// Made at their first use, once the process has set its telemetry up.
fn instruments() -> &'static Instruments {
    static INSTRUMENTS: OnceLock<Instruments> = OnceLock::new();
    INSTRUMENTS.get_or_init(|| {
        let meter = meter();
        let counter = |metric: Metric| {
            meter.u64_counter(metric.name).with_unit(metric.unit).with_description(metric.meaning).build()
        };
        let seconds = |metric: Metric| {
            let named = meter.f64_histogram(metric.name).with_unit(metric.unit).with_description(metric.meaning);
            named.with_boundaries(SECONDS.to_vec()).build()
        };
        Instruments {
            runs: counter(RUNS),
            run_duration: seconds(RUN_DURATION),
            retries: counter(RETRIES),
            queue: meter.u64_gauge(QUEUE.name).with_unit(QUEUE.unit).with_description(QUEUE.meaning).build(),
            steps: counter(STEPS),
            step_duration: seconds(STEP_DURATION),
            step_computing: seconds(STEP_COMPUTING),
            rows_in: counter(ROWS_IN),
            rows_out: counter(ROWS_OUT),
            bytes_out: counter(BYTES_OUT),
            spilled: counter(SPILLED),
            lineage: counter(LINEAGE),
        }
    })
}

/// Counts a run that has ended.
pub fn run_ended(pipeline: &str, state: &'static str, duration: Duration) {
    let attributes = [KeyValue::new("pipeline", pipeline.to_owned()), KeyValue::new("state", state)];
    instruments().runs.add(1, &attributes);
    instruments().run_duration.record(duration.as_secs_f64(), &attributes);
}

/// Counts an attempt that failed and is followed by another.
pub fn run_retried(pipeline: &str) {
    instruments().retries.add(1, &[KeyValue::new("pipeline", pipeline.to_owned())]);
}

/// Counts what became of a lineage event: `accepted`, `refused` or `dropped`.
pub fn lineage_told(outcome: &'static str) {
    instruments().lineage.add(1, &[KeyValue::new("outcome", outcome)]);
}

/// Tells how many runs are in a state that is not final.
pub fn queue_depth(state: &'static str, runs: u64) {
    instruments().queue.record(runs, &[KeyValue::new("state", state)]);
}

/// What a step did. Durations are milliseconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct StepFigures {
    /// Rows that reached it.
    pub rows_in: u64,
    /// Rows of its main output.
    pub rows_out: u64,
    /// Bytes of those.
    pub bytes_out: u64,
    /// Bytes kept on disk.
    pub bytes_spilled: u64,
    /// From start to end.
    pub duration_ms: f64,
    /// The part of it in which it computed.
    pub computing_ms: f64,
}

/// Counts a step that has ended; one that never began has no figures.
pub fn step_ended(step: &str, status: &'static str, figures: Option<&StepFigures>) {
    let all = instruments();
    let step = KeyValue::new("step", step.to_owned());
    all.steps.add(1, &[step.clone(), KeyValue::new("status", status)]);
    let Some(figures) = figures else { return };
    let by = [step];
    all.step_duration.record(figures.duration_ms / 1e3, &by);
    all.step_computing.record(figures.computing_ms / 1e3, &by);
    all.rows_in.add(figures.rows_in, &by);
    all.rows_out.add(figures.rows_out, &by);
    all.bytes_out.add(figures.bytes_out, &by);
    all.spilled.add(figures.bytes_spilled, &by);
}

/// Tells, whenever it is asked, how many exchanges run.
pub fn watch_exchanges(active: impl Fn() -> usize + Send + Sync + 'static) {
    gauge(EXCHANGES, active);
}

/// Tells, whenever it is asked, how much memory kept rows take, and may take.
pub fn watch_memory(budget: &crate::memory::MemoryBudget) {
    let (used, limit) = (budget.clone(), budget.limit());
    gauge(MEMORY_USED, move || used.used());
    gauge(MEMORY_LIMIT, move || limit);
}

fn gauge(metric: Metric, value: impl Fn() -> usize + Send + Sync + 'static) {
    let meter = meter();
    let named = meter.u64_observable_gauge(metric.name).with_unit(metric.unit).with_description(metric.meaning);
    named.with_callback(move |observer| observer.observe(value() as u64, &[])).build();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_in_the_docs_is_this_one() {
        let docs = include_str!("../../../../docs/metrics.md");
        assert!(docs.contains(&table()), "docs/metrics.md must hold this table:\n{}", table());
    }
}
