//! What happens to runs: events, numbered within each run from 1 and without gaps.

use super::statements::Statements;
use super::{Lease, RunState, Store, StoreError, Tx, json, millis};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::Row;
use sqlx::any::AnyRow;
use std::time::Duration;

/// Something that happened to a run.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct EventRow {
    /// Its number within the run, from 1 and without gaps.
    pub seq: i64,
    /// When: milliseconds since 1970.
    pub at: i64,
    /// What.
    pub kind: String,
    /// The particulars.
    #[schema(value_type = Object)]
    pub body: Value,
}

impl Store {
    /// What happened to a run after the event with this number.
    ///
    /// # Errors
    /// As [`Store::ping`].
    pub async fn events(&self, id: &str, after: i64, limit: usize) -> Result<Vec<EventRow>, StoreError> {
        let sql =
            format!("SELECT seq, at, kind, body FROM events WHERE run_id = $1 AND seq > $2 ORDER BY seq LIMIT {limit}");
        let rows = sqlx::query(self.sql(&sql)).bind(id).bind(after).fetch_all(&self.reader).await?;
        rows.iter().map(event).collect()
    }

    /// What a run's log is made of: all that happened to it, but of how far it was only the last, if nothing came after that.
    ///
    /// # Errors
    /// As [`Store::ping`].
    pub async fn logged(&self, id: &str) -> Result<Vec<EventRow>, StoreError> {
        let rows = sqlx::query(
            "SELECT seq, at, kind, body FROM events WHERE run_id = $1
               AND (kind <> 'progress' OR seq = (SELECT MAX(seq) FROM events WHERE run_id = $1)) ORDER BY seq",
        );
        rows.bind(id).fetch_all(&self.reader).await?.iter().map(event).collect()
    }

    /// The steps of a run that were permitted to commit, or to do what cannot be taken back, after the event with this
    /// number.
    ///
    /// # Errors
    /// As [`Store::ping`].
    pub async fn begun(&self, id: &str, after: i64) -> Result<Vec<String>, StoreError> {
        let rows = sqlx::query("SELECT body FROM events WHERE run_id = $1 AND seq > $2 AND kind = 'committing'");
        let rows = rows.bind(id).bind(after).fetch_all(&self.reader).await?;
        let step = |row: &AnyRow| Ok(json::<Value>(row, "body")?["step"].as_str().unwrap_or_default().to_owned());
        rows.iter().map(step).collect()
    }

    /// What tells how the loads of a run were called: which steps were permitted to commit, and which have got other names.
    ///
    /// # Errors
    /// As [`Store::ping`].
    pub async fn names_of_loads(&self, id: &str) -> Result<Vec<EventRow>, StoreError> {
        let rows = sqlx::query(
            "SELECT seq, at, kind, body FROM events WHERE run_id = $1 AND kind IN ('committing', 'renamed') ORDER BY seq",
        );
        rows.bind(id).fetch_all(&self.reader).await?.iter().map(event).collect()
    }

    /// The newest event of a run of this kind.
    ///
    /// # Errors
    /// As [`Store::ping`].
    pub async fn newest_event(&self, id: &str, kind: &str) -> Result<Option<EventRow>, StoreError> {
        let row = sqlx::query(
            "SELECT seq, at, kind, body FROM events WHERE run_id = $1 AND kind = $2 ORDER BY seq DESC LIMIT 1",
        );
        let row = row.bind(id).bind(kind).fetch_optional(&self.reader).await?;
        row.as_ref().map(event).transpose()
    }

    /// How far the attempt is that was begun last.
    ///
    /// # Errors
    /// As [`Store::ping`].
    pub async fn progress_of(&self, id: &str) -> Result<Option<Value>, StoreError> {
        let row = sqlx::query(
            "SELECT seq, at, kind, body FROM events WHERE run_id = $1 AND kind = 'progress' AND seq > COALESCE(
               (SELECT MAX(seq) FROM events WHERE run_id = $1 AND kind IN ('started', 'taken_over')), 0)
             ORDER BY seq DESC LIMIT 1",
        );
        let row = row.bind(id).fetch_optional(&self.reader).await?;
        Ok(row.as_ref().map(event).transpose()?.map(|event| event.body))
    }

    /// Adds an event to a run. The run's row is locked by it until the end of the transaction.
    pub(super) async fn event(&self, tx: &mut Tx, run: &str, kind: &str, body: &Value) -> Result<(), StoreError> {
        let mut statements = self.statements();
        let sql = "UPDATE runs SET event_seq = event_seq + 1 WHERE id = $1 RETURNING id, event_seq";
        statements.add_main(sql, [run.into()]);
        statements.add_event(run, kind, body);
        let found = tx.change(statements).await?;
        found.first().map(|_| ()).ok_or_else(|| StoreError::no_run(run))
    }

    /// Adds an event to a run that this lease still holds, in one of these states. The lease then lasts so long again, if that is
    /// said.
    pub(super) async fn event_if_held(
        &self,
        lease: &Lease,
        states: &[RunState],
        kind: &str,
        body: &Value,
        prolonged: Option<Duration>,
    ) -> Result<(), StoreError> {
        let mut statements = self.statements();
        let states: Vec<String> = states.iter().map(|state| format!("'{state}'")).collect();
        let sql = format!(
            "UPDATE runs SET event_seq = event_seq + 1, lease_until = COALESCE({{now}} + $3, lease_until)
             WHERE id = $1 AND fence = $2 AND state IN ({}) RETURNING id, event_seq",
            states.join(", ")
        );
        statements.add_main(&sql, [(&lease.run).into(), lease.fence.into(), prolonged.map(millis).into()]);
        statements.add_event(&lease.run, kind, body);
        let held = self.writer.at_once(statements).await?;
        held.first().map(|_| ()).ok_or_else(|| StoreError::LeaseLost(lease.run.clone()))
    }
}

/// An event with the number that the run's row has got by the main statement. Where that has changed nothing, SQLite finds the
/// number of the last event; all of it is undone then.
const NEW_EVENT: &str = "INSERT INTO events (run_id, seq, at, kind, body) SELECT id, event_seq, {now}, $2, {body}
    FROM {changed} ON CONFLICT DO NOTHING";

impl Statements {
    /// Writes an event of a run that the main statement changes.
    pub(super) fn add_event(&mut self, run: &str, kind: &str, body: &Value) {
        self.touched.add(run);
        self.add(&NEW_EVENT.replace("{body}", "$3"), [run.into(), kind.into(), body.to_string().into()]);
    }

    /// Writes an event that tells of the attempt that the main statement begins, and whose it is.
    pub(super) fn add_beginning(&mut self, run: &str, kind: &str, owner: &str) {
        self.touched.add(run);
        let body = r#"'{"attempt":' || attempt || ',"owner":' || $3 || '}'"#;
        let owner = Value::from(owner).to_string();
        self.add(&NEW_EVENT.replace("{body}", body), [run.into(), kind.into(), owner.into()]);
    }
}

fn event(row: &AnyRow) -> Result<EventRow, StoreError> {
    Ok(EventRow {
        seq: row.try_get("seq")?,
        at: row.try_get("at")?,
        kind: row.try_get("kind")?,
        body: json(row, "body")?,
    })
}
