//! What a step did: rows, bytes, where its time went, and its own counters.
//!
//! The kit counts; a step adds only what it alone knows, by [`Meter::count`] and [`Meter::detail`]. Time is split three
//! ways. *Waiting*: an input, or the place that a source reads from, has nothing yet, and no work is under way. *Blocked*: the reader of the output is slower.
//! *Computing*: the rest.

use crate::command::{Form, json_to_struct};
use crate::fault::Fault;
use crate::idle::IdleClock;
use crate::proto;
use arrow::array::RecordBatch;
use bytes::Bytes;
use prost::Message;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The finding that holds what a step warned of: a list of sentences.
pub const WARNINGS: &str = "warnings";

/// How many warnings of a step are kept.
const MOST_WARNINGS: usize = 20;

/// How many characters of each.
const LONGEST_WARNING: usize = 1000;

/// The sentences of a step's findings that warn.
pub fn warnings(details: &Map<String, Value>) -> impl Iterator<Item = &str> {
    details.get(WARNINGS).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

/// The closing figures of one run of a step. Durations are wall time in milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StepReport {
    /// The step.
    pub step: String,
    /// Its version.
    pub version: String,
    /// Rows read, over all inputs.
    pub rows_in: u64,
    /// Rows of the main output.
    pub rows_out: u64,
    /// Batches read.
    pub batches_in: u64,
    /// Batches written.
    pub batches_out: u64,
    /// Bytes the rows read take.
    pub bytes_in: u64,
    /// Bytes the rows written take.
    pub bytes_out: u64,
    /// Bytes that went to spill files.
    pub bytes_spilled: u64,
    /// From start to end.
    pub duration_ms: f64,
    /// Part of it: waiting for input, or for the place that a source reads from.
    pub waiting_ms: f64,
    /// Part of it: computing.
    pub computing_ms: f64,
    /// Part of it: blocked on the reader of the output.
    pub blocked_ms: f64,
    /// The step's own figures.
    pub counters: BTreeMap<String, u64>,
    /// The step's own findings.
    pub details: Map<String, Value>,
}

impl StepReport {
    /// The report in the form in which the caller spoke.
    pub fn to_bytes(&self, form: Form) -> Bytes {
        match form {
            Form::Json => serde_json::to_vec(self).expect("figures and names are always JSON").into(),
            Form::Protobuf => self.to_proto().encode_to_vec().into(),
        }
    }

    /// Reads a report in JSON.
    pub fn from_json(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }

    fn to_proto(&self) -> proto::StepReport {
        proto::StepReport {
            step: self.step.clone(),
            version: self.version.clone(),
            rows_in: self.rows_in,
            rows_out: self.rows_out,
            batches_in: self.batches_in,
            batches_out: self.batches_out,
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
            bytes_spilled: self.bytes_spilled,
            duration_ms: self.duration_ms,
            waiting_ms: self.waiting_ms,
            computing_ms: self.computing_ms,
            blocked_ms: self.blocked_ms,
            counters: self.counters.clone().into_iter().collect(),
            details: Some(json_to_struct(&self.details)),
        }
    }
}

/// The first row of a batch as JSON: a receipt for people and reports.
///
/// # Errors
/// [`crate::FaultKind::Internal`] for a type that has no JSON form.
pub fn first_row(batch: &RecordBatch) -> Result<Value, Fault> {
    let mut line = Vec::new();
    let mut writer = arrow::json::LineDelimitedWriter::new(&mut line);
    writer.write(&batch.slice(0, batch.num_rows().min(1)))?;
    writer.finish()?;
    drop(writer);
    serde_json::from_slice(&line).map_err(Fault::internal)
}

/// Since when an output has nothing to give, and how long the step had been idle until then.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pending {
    since: Instant,
    idle: Duration,
}

/// Counts while a step runs. Shared by the kit's wrappers around its streams and by the step itself.
#[derive(Debug)]
pub struct Meter {
    started: Instant,
    pub(crate) input: Flow,
    pub(crate) output: Flow,
    waiting: AtomicU64,
    computing: AtomicU64,
    blocked: AtomicU64,
    /// Since when the main output has nothing to give, if that is so.
    pending: Mutex<Option<Pending>>,
    idle: IdleClock,
    own: Mutex<Own>,
}

#[derive(Debug, Default)]
struct Own {
    counters: BTreeMap<String, u64>,
    details: Map<String, Value>,
}

/// Rows, batches and bytes that passed one way.
#[derive(Debug, Default)]
pub(crate) struct Flow {
    pub(crate) rows: AtomicU64,
    pub(crate) batches: AtomicU64,
    pub(crate) bytes: AtomicU64,
}

impl Flow {
    pub(crate) fn add(&self, rows: u64, bytes: usize) {
        self.rows.fetch_add(rows, Ordering::Relaxed);
        self.batches.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

impl Default for Meter {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            input: Flow::default(),
            output: Flow::default(),
            waiting: AtomicU64::new(0),
            computing: AtomicU64::new(0),
            blocked: AtomicU64::new(0),
            pending: Mutex::default(),
            idle: IdleClock::default(),
            own: Mutex::default(),
        }
    }
}

impl Meter {
    /// Adds to a counter of the step's own.
    pub fn count(&self, name: &str, more: u64) {
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        *own.counters.entry(name.to_owned()).or_default() += more;
    }

    /// Records a finding of the step's own.
    pub fn detail(&self, name: &str, value: impl Into<Value>) {
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        own.details.insert(name.to_owned(), value.into());
    }

    /// Tells something that does not stop the run, and that whoever runs it should know: a sentence under the finding
    /// [`WARNINGS`], on one line. Of very many, the first are kept, and the first characters of a very long one.
    pub fn warn(&self, sentence: impl AsRef<str>) {
        let plain = |c: char| if c.is_control() { ' ' } else { c };
        let sentence: String = sentence.as_ref().chars().take(LONGEST_WARNING).map(plain).collect();
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        let told = own.details.entry(WARNINGS).or_insert_with(|| Value::Array(Vec::new()));
        if let Value::Array(told) = told
            && told.len() < MOST_WARNINGS
        {
            told.push(Value::String(sentence));
        }
    }

    /// Says that work is under way on other threads until the guard is dropped, so that this is not taken for waiting.
    pub fn job(&self) -> impl Drop + '_ {
        self.idle.job()
    }

    pub(crate) fn starved(&self, starved: bool) {
        self.idle.starved(starved);
    }

    /// An output that has nothing to give from now on.
    pub(crate) fn pending_from(&self, since: Instant) -> Pending {
        Pending { since, idle: self.idle.counted() }
    }

    /// Says since when the main output has nothing to give, if that is so: reports count that time too.
    pub(crate) fn pending(&self, pending: Option<Pending>) {
        *self.pending.lock().unwrap_or_else(PoisonError::into_inner) = pending;
    }

    /// Adds the time for which an output had nothing to give: it waited for as long as the step was idle, and computed else.
    pub(crate) fn add_pending(&self, pending: Pending) {
        let (waited, computed) = self.split(pending);
        add(&self.waiting, waited);
        add(&self.computing, computed);
    }

    fn split(&self, pending: Pending) -> (Duration, Duration) {
        let passed = pending.since.elapsed();
        let waited = self.idle.counted().saturating_sub(pending.idle).min(passed);
        (waited, passed - waited)
    }

    pub(crate) fn add_computing(&self, time: Duration) {
        add(&self.computing, time);
    }

    /// Adds time during which the reader of the output held the step up.
    pub fn blocked_for(&self, time: Duration) {
        add(&self.blocked, time);
    }

    /// Rows that left by the main output so far.
    pub fn rows_out(&self) -> u64 {
        self.output.rows.load(Ordering::Relaxed)
    }

    /// Rows that came in so far.
    pub fn rows_in(&self) -> u64 {
        self.input.rows.load(Ordering::Relaxed)
    }

    /// The figures up to now.
    pub fn report(&self, step: &str, version: &str, bytes_spilled: u64) -> StepReport {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let millis = |nanos: u64| nanos as f64 / 1e6;
        let now = nanos(self.started.elapsed());
        let pending = *self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        let (waits, computes) = pending.map(|pending| self.split(pending)).unwrap_or_default();
        let own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        StepReport {
            step: step.to_owned(),
            version: version.to_owned(),
            rows_in: load(&self.input.rows),
            rows_out: load(&self.output.rows),
            batches_in: load(&self.input.batches),
            batches_out: load(&self.output.batches),
            bytes_in: load(&self.input.bytes),
            bytes_out: load(&self.output.bytes),
            bytes_spilled,
            duration_ms: millis(now),
            waiting_ms: millis(load(&self.waiting) + nanos(waits)),
            computing_ms: millis(load(&self.computing) + nanos(computes)),
            blocked_ms: millis(load(&self.blocked)),
            counters: own.counters.clone(),
            details: own.details.clone(),
        }
    }
}

fn add(counter: &AtomicU64, time: Duration) {
    counter.fetch_add(nanos(time), Ordering::Relaxed);
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
