//! The run: parts of files are decoded side by side, and leave in their order.

use crate::condition::Condition;
use crate::files;
use crate::format::{Opened, Wanted};
use crate::given::Given;
use crate::params::{Format, UnknownFields};
use crate::view::{FolderValue, seen};
use arrow::array::RecordBatch;
use arrow::compute::filter_record_batch;
use arrow::datatypes::{FieldRef, SchemaRef};
use flight_common::queue::{QueueSender, byte_queue};
use flight_common::{BatchStream, Fault, FileIdentity, StepContext, compute};
use futures::{FutureExt, StreamExt, stream};
use std::sync::Arc;

/// Bytes that a part may be ahead of its reader.
const AHEAD: usize = 8 << 20;
/// More parts than are decoded side by side: each has a batch in its hands.
const MOST_AT_ONCE: usize = 16;

fn at_once() -> usize {
    compute::workers().min(MOST_AT_ONCE)
}

/// What was planned.
pub struct Run {
    /// The columns that come out.
    pub schema: SchemaRef,
    /// The rows that come out.
    pub condition: Option<Condition>,
    /// The columns that files hold, in the types of the result.
    pub from_files: Vec<FieldRef>,
    /// All columns, those that folders make too.
    pub known: Vec<FieldRef>,
    /// The types that the user gave to columns of JSON.
    pub given: Given,
    /// What to do about fields of JSON that are none of them.
    pub unknown: UnknownFields,
    /// The files.
    pub files: Vec<Seen>,
    /// What is read of them, in order.
    pub jobs: Vec<Job>,
    /// The parts that there are, read or not.
    pub parts: usize,
}

/// A file, as it was when it was looked into.
pub struct Seen {
    /// What tells it from others.
    pub identity: FileIdentity,
    /// What it is.
    pub format: Format,
    /// What its folders say.
    pub folders: Vec<FolderValue>,
    /// The row groups of a Parquet file.
    pub row_groups: Option<usize>,
}

/// A part of a file.
#[derive(Clone, Copy, Debug)]
pub struct Job {
    /// The place of the file.
    pub file: usize,
    /// The row group, or the whole file.
    pub row_group: Option<usize>,
}

impl Run {
    /// The rows.
    pub fn batches(self, context: &StepContext) -> BatchStream {
        let schema = self.schema.clone();
        context.meter.count("files", self.files.len() as u64);
        context.meter.count("parts_skipped", (self.parts - self.jobs.len()) as u64);
        let (run, context) = (Arc::new(self), context.clone());
        let jobs = run.jobs.clone();
        // The next parts begin while one is read.
        let parts = stream::iter(jobs).map(move |job| std::future::ready(part(&run, job, &context)));
        BatchStream::new(schema, parts.buffered(at_once()).flatten())
    }

    fn reads(&self, field: &FieldRef) -> bool {
        let looked_at = self.condition.as_ref().map(|condition| &condition.schema);
        [Some(&self.schema), looked_at].into_iter().flatten().any(|schema| schema.field_with_name(field.name()).is_ok())
    }
}

/// A part, decoded by a task of its own.
fn part(run: &Arc<Run>, job: Job, context: &StepContext) -> BatchStream {
    let limit = AHEAD.min(context.budget().limit() / 4 / (at_once() + 1));
    let (sender, queue) = byte_queue(limit, context.budget(), run.schema.clone());
    let (run, context) = (run.clone(), context.clone());
    let task = compute::spawn(async move {
        let end = decode(&run, job, &context, &sender).await;
        sender.finish(end).await;
    });
    queue.wrap(move |items| {
        items.map(move |item| {
            // The task ends with its reader.
            let _owned = &task;
            item
        })
    })
}

async fn decode(run: &Run, job: Job, context: &StepContext, sender: &QueueSender<RecordBatch>) -> Result<(), Fault> {
    let file = &run.files[job.file];
    let path = file.identity.path();
    let opened = files::open(&context.env.data_root, path)?;
    file.identity.check(&opened, "since it was planned")?;
    let watched = opened.again().map_err(|error| Fault::io(path, &error))?;
    let wanted = Wanted {
        columns: run.from_files.iter().filter(|field| run.reads(field)).cloned().collect(),
        known: run.known.clone(),
        given: run.given.clone(),
        unknown: run.unknown,
        row_group: job.row_group,
        selected: run.schema.clone(),
        condition: run.condition.clone(),
        folders: file.folders.clone(),
    };
    let batches = Opened { path: path.to_owned(), file: opened.into_std(), format: file.format }.batches(wanted);
    // A file that is written while it is read may look damaged.
    let changed = |fault: Fault| file.identity.check(&watched, "while it was read").err().unwrap_or(fault);
    for batch in batches.map_err(changed)? {
        let batch = batch.map_err(changed)?;
        let rows = match &run.condition {
            Some(condition) if file.format != Format::Parquet => {
                let holds = condition.holds(&seen(&batch, &file.folders, &condition.schema)?, path)?;
                filter_record_batch(&seen(&batch, &file.folders, &run.schema)?, &holds)?
            }
            _ => seen(&batch, &file.folders, &run.schema)?,
        };
        // Where no row is wanted for long, nothing else would tell that nobody reads any more.
        let is_read = match rows.num_rows() {
            0 => sender.abandoned().now_or_never().is_none(),
            _ => sender.push(rows).await,
        };
        if !is_read {
            return Ok(());
        }
    }
    file.identity.check(&watched, "while it was read")
}
