//! A run enters, once: a repeated request with the same key finds the run that the first one made.

use super::read::run_row;
use super::{Definition, RunRow, Store, StoreError};
use crate::pipeline::HookRules;
use serde_json::{Value, json};
use sqlx::Row;
use std::collections::BTreeMap;

/// A run to queue.
#[derive(Clone, Debug)]
pub struct NewRun {
    /// Its id.
    pub id: String,
    /// The name of its pipeline.
    pub pipeline: String,
    /// The version, if it was run by name.
    pub version: Option<i64>,
    /// What to run.
    pub definition: Definition,
    /// Changes of parameters: `step.param=value`.
    pub sets: Vec<String>,
    /// Values of the pipeline's parameters.
    pub params: BTreeMap<String, Value>,
    /// The services of its steps.
    pub services: Vec<String>,
    /// Whom to tell how it ended.
    pub hooks: HookRules,
    /// Greater goes first.
    pub priority: i64,
    /// Runs of its pipeline at a time.
    pub concurrency: Option<i64>,
    /// Runs of its schedule, or of its backfill, at a time.
    pub of_series: Option<i64>,
    /// Two requests with the same key are one.
    pub idempotency_key: Option<String>,
    /// Who asked.
    pub submitted_by: String,
    /// Where it came from: `api`, `command`, `schedule:…`, `catch-up:…`, `backfill:…`.
    pub origin: String,
    /// The time of its schedule for which it runs: milliseconds since 1970.
    pub scheduled_at: Option<i64>,
    /// The span that asked for it, as W3C has it. All attempts belong to its trace.
    pub traceparent: Option<String>,
}

/// What became of a request to run.
#[derive(Clone, Debug)]
pub struct Submitted {
    /// The run.
    pub run: RunRow,
    /// Whether this request made it.
    pub fresh: bool,
}

impl Store {
    /// Queues a run.
    ///
    /// # Errors
    /// [`StoreError::KeyTaken`] when the key was used for another pipeline, another text of it, or other parameters.
    pub async fn submit(&self, new: &NewRun) -> Result<Submitted, StoreError> {
        let mut statements = self.statements();
        statements.add_definition(&new.definition);
        statements.add_main(
            "INSERT INTO runs (id, pipeline, version, definition, sets, services, state, priority, concurrency, attempt,
               tries, reuse, not_before, created_at, fence, traceparent, idempotency_key, submitted_by, origin, event_seq,
               params, hooks, scheduled_at, of_series)
             VALUES ($1, $2, $3, $4, $5, $6, 'queued', $7, $8, 0, 0, 0, 0, {now}, 0, $9, $10, $11, $12, 1, $13, $14, $15, $16)
             ON CONFLICT (idempotency_key) DO NOTHING RETURNING id, event_seq, {run}",
            [
                (&new.id).into(),
                (&new.pipeline).into(),
                new.version.into(),
                (&new.definition.hash).into(),
                json!(new.sets).to_string().into(),
                json!(new.services).to_string().into(),
                new.priority.into(),
                new.concurrency.into(),
                new.traceparent.as_deref().into(),
                new.idempotency_key.as_deref().into(),
                (&new.submitted_by).into(),
                (&new.origin).into(),
                json!(new.params).to_string().into(),
                json!(new.hooks).to_string().into(),
                new.scheduled_at.into(),
                new.of_series.into(),
            ],
        );
        let body = json!({"pipeline": new.pipeline, "by": new.submitted_by, "origin": new.origin});
        statements.add_event(&new.id, "queued", &body);
        if let Some(row) = self.writer.at_once(statements).await?.first() {
            return Ok(Submitted { run: run_row(row)?, fresh: true });
        }
        let key = new.idempotency_key.as_deref().unwrap_or_default();
        let run = self.run_of_key(key).await?;
        let concurrency = self.concurrency_of(&run.id).await?;
        let same_text = run.definition == new.definition.hash && run.sets == new.sets && run.params == new.params;
        if !same_text || run.pipeline != new.pipeline || run.priority != new.priority || concurrency != new.concurrency
        {
            return Err(StoreError::KeyTaken { key: key.to_owned(), run: run.id });
        }
        Ok(Submitted { run, fresh: false })
    }

    /// How many runs of its pipeline may be under way beside a run, if it has a say in that.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no such run.
    pub async fn concurrency_of(&self, run: &str) -> Result<Option<i64>, StoreError> {
        let row =
            sqlx::query("SELECT concurrency FROM runs WHERE id = $1").bind(run).fetch_optional(&self.reader).await?;
        Ok(row.ok_or_else(|| StoreError::no_run(run))?.try_get(0)?)
    }
}
