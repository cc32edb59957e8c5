//! A step under examination: its case, a data root of its own, and runs with a deadline.

use super::{Breaches, ContractCase};
use crate::fault::Fault;
use crate::registry::AnyStep;
use crate::spool::SpillSpace;
use crate::step::InputSchemas;
use crate::stream::BatchStream;
use crate::testing::{Bench, Ran};
use arrow::array::RecordBatch;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tempfile::TempDir;

/// What a run may take at most; far above what any takes, so that a step that hangs is told and not waited for.
pub(super) const DEADLINE: Duration = Duration::from_secs(180);

pub(super) struct Lab {
    pub(super) step: Arc<dyn AnyStep>,
    pub(super) case: ContractCase,
    root: PathBuf,
    _empty: Option<TempDir>,
}

impl Lab {
    pub(super) fn new(step: Arc<dyn AnyStep>, case: ContractCase) -> Self {
        let empty = case.data_root.is_none().then(|| tempfile::tempdir().expect("there is a temporary folder"));
        let root = case.data_root.clone().or(empty.as_ref().map(|folder| folder.path().to_owned()));
        Self { step, root: root.expect("one of both is there"), case, _empty: empty }
    }

    /// Surroundings in which every output is read.
    pub(super) fn bench(&self) -> Bench {
        let further = self.step.spec().outputs.iter().skip(1);
        let bench = Bench::at(&self.root).called(&self.case.names).http_allow(self.case.http_allow.clone());
        further.fold(bench, |bench, output| bench.claim(output))
    }

    pub(super) fn schemas(&self) -> InputSchemas {
        InputSchemas::new(self.case.inputs.iter().map(RecordBatch::schema).collect()).called(&self.case.names)
    }

    /// The names of the inputs.
    pub(super) fn input_names(&self) -> Result<Vec<String>, Fault> {
        self.step.spec().input_names(&self.case.names)
    }

    /// Runs the step on streams made of each input.
    pub(super) async fn run(
        &self,
        bench: &Bench,
        inputs: &[RecordBatch],
        stream: impl Fn(&RecordBatch) -> BatchStream,
    ) -> Result<Ran, Fault> {
        self.run_streams(bench, inputs.iter().map(stream).collect()).await
    }

    /// Runs the step on these streams.
    pub(super) async fn run_streams(&self, bench: &Bench, inputs: Vec<BatchStream>) -> Result<Ran, Fault> {
        let run = bench.run_erased(&*self.step, &self.case.params, inputs);
        let late = |_| Err(Fault::timed_out(format!("it did not end within {} s", DEADLINE.as_secs())));
        tokio::time::timeout(DEADLINE, run).await.unwrap_or_else(late)
    }

    /// The files beneath the data root, and what shows that one was written anew.
    pub(super) fn files(&self) -> BTreeMap<PathBuf, (u64, Option<SystemTime>)> {
        let mut files = BTreeMap::new();
        collect(&self.root, &mut files);
        files
    }
}

fn collect(folder: &Path, files: &mut BTreeMap<PathBuf, (u64, Option<SystemTime>)>) {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    for (path, about) in entries.filter_map(|entry| Some((entry.path(), entry.metadata().ok()?))) {
        if about.is_dir() {
            collect(&path, files);
        } else {
            files.insert(path, (about.len(), about.modified().ok()));
        }
    }
}

/// Waits until nothing is reserved or spilled any more; tasks that were aborted may still be letting go.
pub(super) async fn check_given_back(space: &SpillSpace, when: &str, found: &mut Breaches) {
    const RULE: &str = "gives-memory-and-disk-back";
    if found.has(RULE) {
        return;
    }
    let empty = async {
        let mut tick = tokio::time::interval(Duration::from_millis(2));
        while space.budget().used() > 0 || space.disk_used() > 0 {
            tick.tick().await;
        }
    };
    if tokio::time::timeout(Duration::from_secs(10), empty).await.is_err() {
        let (memory, disk) = (space.budget().used(), space.disk_used());
        found.add(RULE, format!("{when}, it still holds {memory} bytes of memory and {disk} of disk"));
    }
}
