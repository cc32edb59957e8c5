//! What happens to runs: events, numbered within each run from 1 and without gaps.

use super::{Lease, RunState, Store, StoreError, Tx, json, millis, read};
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
        let rows =
            sqlx::query("SELECT seq, at, kind, body FROM events WHERE run_id = $1 AND seq > $2 ORDER BY seq LIMIT $3");
        let rows = rows.bind(id).bind(after).bind(limit as i64).fetch_all(&self.reader).await?;
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

    /// Adds an event to a run. The run's row is locked by it until the end of the transaction.
    pub(super) async fn event(&self, tx: &mut Tx, run: &str, kind: &str, body: &Value) -> Result<(), StoreError> {
        let row = sqlx::query("UPDATE runs SET event_seq = event_seq + 1 WHERE id = $1 RETURNING event_seq").bind(run);
        let row = row.fetch_optional(&mut **tx).await?.ok_or_else(|| StoreError::no_run(run))?;
        self.write_event(tx, run, row.try_get("event_seq")?, kind, body).await
    }

    /// As [`Store::event`], in a run that this lease still holds, whose state it tells. The lease then lasts so long again, if
    /// that is said.
    pub(super) async fn event_if_held(
        &self,
        tx: &mut Tx,
        lease: &Lease,
        kind: &str,
        body: &Value,
        prolonged: Option<Duration>,
    ) -> Result<RunState, StoreError> {
        let row = sqlx::query(self.sql(
            "UPDATE runs SET event_seq = event_seq + 1, lease_until = COALESCE({now} + $3, lease_until)
             WHERE id = $1 AND fence = $2 RETURNING state, event_seq",
        ));
        let row = row.bind(&lease.run).bind(lease.fence).bind(prolonged.map(millis)).fetch_optional(&mut **tx).await?;
        let row = row.ok_or_else(|| StoreError::LeaseLost(lease.run.clone()))?;
        let state = lease.under_way(read::state(&row)?)?;
        self.write_event(tx, &lease.run, row.try_get("event_seq")?, kind, body).await?;
        Ok(state)
    }

    /// Writes an event whose number the caller has taken with a change of the run's row.
    pub(super) async fn write_event(
        &self,
        tx: &mut Tx,
        run: &str,
        seq: i64,
        kind: &str,
        body: &Value,
    ) -> Result<(), StoreError> {
        tx.touch(run);
        sqlx::query(self.sql("INSERT INTO events (run_id, seq, at, kind, body) VALUES ($1, $2, {now}, $3, $4)"))
            .bind(run)
            .bind(seq)
            .bind(kind)
            .bind(body.to_string())
            .execute(&mut **tx)
            .await?;
        Ok(())
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
