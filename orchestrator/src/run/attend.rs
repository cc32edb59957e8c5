//! What the engine asks and tells while it runs a plan: which steps need not run again, which outputs to keep, whether a
//! load may commit. A run that nobody attends runs everything and keeps nothing.

use super::progress::Status;
use super::report::Figures;
use flight_common::{Fault, Holds, NewFile};
use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::Value;
use std::collections::HashMap;
use std::fs::File;

/// What an earlier attempt has done in place of a step.
#[derive(Debug, Default)]
pub struct Settled {
    /// What it committed, if it is a load.
    pub receipt: Option<Value>,
    /// The rows of its main output, if that was kept.
    pub rows: u64,
    /// What the step did then, if that is known.
    pub earlier: Option<Figures>,
    /// Its outputs that are read again, each as an Arrow IPC stream.
    pub outputs: HashMap<String, File>,
}

/// An output that was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its rows.
    pub rows: u64,
    /// The bytes of its file.
    pub bytes: u64,
    /// The SHA-256 of its file, in hexadecimal.
    pub checksum: String,
}

/// Who attends a run. Steps are named by their ids.
pub trait Attendant: Send + Sync + 'static {
    /// What was done before in place of this step; nothing if it is to run. Asked once.
    fn settled(&self, _step: &str) -> Option<Settled> {
        None
    }

    /// What this load may have been called when an earlier attempt let it commit.
    fn formerly(&self, _step: &str) -> Vec<String> {
        Vec::new()
    }

    /// Where to keep this output; nothing if it is not to be kept.
    ///
    /// # Errors
    /// Why no file can be had.
    fn keep(&self, _step: &str, _output: &str) -> Result<Option<NewFile>, Fault> {
        Ok(None)
    }

    /// Told once an output is kept whole.
    fn kept<'a>(&'a self, _step: &'a str, _output: &'a str, _kept: Kept) -> BoxFuture<'a, Result<(), Fault>> {
        std::future::ready(Ok(())).boxed()
    }

    /// Whether this load, or another step that commits, may, and for how long from the question on that holds. Asked when what
    /// it commits is ready; one that commits as rows come asks before it begins.
    fn permit<'a>(&'a self, _step: &'a str) -> BoxFuture<'a, Result<Holds, Fault>> {
        std::future::ready(Ok(None)).boxed()
    }

    /// Whether the run is over when its steps have ended so: then what runs finally runs. It is not if it is going to be
    /// tried again.
    fn is_over(&self, _status: Status, _fault: Option<&Fault>) -> bool {
        true
    }

    /// Told once a load has committed.
    fn committed<'a>(
        &'a self,
        _step: &'a str,
        _receipt: &'a Value,
        _figures: &'a Figures,
    ) -> BoxFuture<'a, Result<(), Fault>> {
        std::future::ready(Ok(())).boxed()
    }

    /// Told once a step has ended well that is no load and that a condition asks for, before the condition does.
    fn asked<'a>(&'a self, _step: &'a str, _figures: &'a Figures) -> BoxFuture<'a, Result<(), Fault>> {
        std::future::ready(Ok(())).boxed()
    }
}

/// Nobody.
pub struct Unattended;

impl Attendant for Unattended {}
