//! Schedules, and which of them are due.

use super::read::run_row;
use super::{RunRow, Store, StoreError, json};
use crate::schedule::{CatchUp, Overlap, ScheduleSpec};
use flight_common::passwords;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::json;
use sqlx::Row;
use sqlx::any::AnyRow;

/// A schedule. Times are milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Schedule {
    /// Its name.
    pub name: String,
    /// What runs when. Passwords are not shown.
    #[serde(flatten, serialize_with = "without_passwords")]
    pub spec: ScheduleSpec,
    /// Whether nothing runs for the time being.
    pub paused: bool,
    /// When it is due next.
    pub next_at: Option<i64>,
    /// The time that came last.
    pub last_at: Option<i64>,
    /// Its run.
    pub last_run: Option<String>,
    /// Why it has none.
    pub last_error: Option<String>,
    /// When it was changed.
    pub updated_at: i64,
    /// Who changed it.
    pub updated_by: String,
}

fn without_passwords<S: Serializer>(spec: &ScheduleSpec, serializer: S) -> Result<S::Ok, S::Error> {
    let (params, set) = (passwords::hidden_in_params(&spec.params), passwords::hidden_in_sets(&spec.set));
    ScheduleSpec { params, set, ..spec.clone() }.serialize(serializer)
}

impl Store {
    /// The database's clock: milliseconds since 1970.
    ///
    /// # Errors
    /// As [`Store::ping`].
    pub async fn now(&self) -> Result<i64, StoreError> {
        Ok(sqlx::query(self.sql("SELECT {now} AS now")).fetch_one(&self.reader).await?.try_get("now")?)
    }

    /// Stores a schedule that is due at `next_at`, in place of one of this name. If that is paused, this is too.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when its pipeline is not stored.
    pub async fn put_schedule(
        &self,
        name: &str,
        spec: &ScheduleSpec,
        next_at: Option<i64>,
        by: &str,
    ) -> Result<Schedule, StoreError> {
        self.write(async |tx| {
            // Held, so that nobody deletes it in the meantime.
            let held = sqlx::query("UPDATE pipelines SET updated_at = updated_at WHERE name = $1").bind(&spec.pipeline);
            if held.execute(tx.at().await?).await?.rows_affected() == 0 {
                return Err(StoreError::NotFound(format!("there is no pipeline {}", spec.pipeline)));
            }
            sqlx::query(self.sql(
                "INSERT INTO schedules (name, pipeline, version, sets, cron, zone, overlap, catch_up, jitter_ms, paused, next_at,
                   updated_at, updated_by, params)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, $10, {now}, $11, $12)
                 ON CONFLICT (name) DO UPDATE SET pipeline = excluded.pipeline, version = excluded.version,
                   sets = excluded.sets, cron = excluded.cron, zone = excluded.zone, overlap = excluded.overlap,
                   catch_up = excluded.catch_up, jitter_ms = excluded.jitter_ms,
                   next_at = CASE WHEN schedules.paused = 1 THEN NULL ELSE excluded.next_at END,
                   last_error = NULL, params = excluded.params, updated_at = excluded.updated_at, updated_by = excluded.updated_by",
            ))
            .bind(name)
            .bind(&spec.pipeline)
            .bind(spec.version)
            .bind(json!(spec.set).to_string())
            .bind(&spec.cron)
            .bind(&spec.zone)
            .bind(json!(spec.overlap).to_string())
            .bind(json!(spec.catch_up).to_string())
            .bind(i64::from(spec.jitter_seconds) * 1000)
            .bind(next_at)
            .bind(by)
            .bind(json!(spec.params).to_string())
            .execute(tx.at().await?)
            .await?;
            Ok(())
        })
        .await?;
        self.schedule(name).await
    }

    /// A schedule.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is none of this name.
    pub async fn schedule(&self, name: &str) -> Result<Schedule, StoreError> {
        let row =
            sqlx::query("SELECT * FROM schedules WHERE name = $1").bind(name).fetch_optional(&self.reader).await?;
        schedule(&row.ok_or_else(|| missing(name))?)
    }

    /// All schedules, by name.
    ///
    /// # Errors
    /// As [`Store::ping`].
    pub async fn schedules(&self) -> Result<Vec<Schedule>, StoreError> {
        let rows = sqlx::query("SELECT * FROM schedules ORDER BY name").fetch_all(&self.reader).await?;
        rows.iter().map(schedule).collect()
    }

    /// The schedules whose time has come.
    ///
    /// # Errors
    /// As [`Store::ping`].
    pub async fn due_schedules(&self, now: i64) -> Result<Vec<Schedule>, StoreError> {
        let rows = sqlx::query("SELECT * FROM schedules WHERE paused = 0 AND next_at <= $1 ORDER BY next_at").bind(now);
        rows.fetch_all(&self.reader).await?.iter().map(schedule).collect()
    }

    /// Whether one that was seen to be due has neither gone on nor been changed since.
    ///
    /// # Errors
    /// As [`Store::ping`].
    pub async fn is_still_due(&self, seen: &Schedule) -> Result<bool, StoreError> {
        let row =
            sqlx::query("SELECT 1 FROM schedules WHERE name = $1 AND next_at = $2 AND updated_at = $3 AND paused = 0");
        let row = row.bind(&seen.name).bind(seen.next_at).bind(seen.updated_at);
        Ok(row.fetch_optional(&self.reader).await?.is_some())
    }

    /// Notes when a schedule is due next, if it was due at `from` until now: of several replicas one does so.
    ///
    /// # Errors
    /// As [`Store::ping`].
    pub async fn advance_schedule(&self, name: &str, from: i64, to: Option<i64>) -> Result<bool, StoreError> {
        self.write(async |tx| {
            let moved =
                sqlx::query("UPDATE schedules SET next_at = $3 WHERE name = $1 AND next_at = $2 AND paused = 0");
            let moved = moved.bind(name).bind(from).bind(to).execute(tx.at().await?).await?.rows_affected() == 1;
            Ok(moved)
        })
        .await
    }

    /// Notes what became of a time of a schedule.
    ///
    /// # Errors
    /// As [`Store::ping`].
    pub async fn note_schedule(&self, name: &str, at: i64, outcome: Result<&str, &str>) -> Result<(), StoreError> {
        self.write(async |tx| {
            sqlx::query("UPDATE schedules SET last_at = $2, last_run = $3, last_error = $4 WHERE name = $1")
                .bind(name)
                .bind(at)
                .bind(outcome.ok())
                .bind(outcome.err())
                .execute(tx.at().await?)
                .await?;
            Ok(())
        })
        .await
    }

    /// Pauses a schedule, or lets it go on: then it is due at `next_at`.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is none of this name.
    pub async fn pause_schedule(&self, name: &str, paused: bool, next_at: Option<i64>) -> Result<Schedule, StoreError> {
        self.write(async |tx| {
            let changed = sqlx::query("UPDATE schedules SET paused = $2, next_at = $3 WHERE name = $1");
            let changed = changed.bind(name).bind(i64::from(paused)).bind(next_at).execute(tx.at().await?).await?;
            if changed.rows_affected() == 0 {
                return Err(missing(name));
            }
            Ok(())
        })
        .await?;
        self.schedule(name).await
    }

    /// Forgets a schedule. Its runs stay.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is none of this name.
    pub async fn delete_schedule(&self, name: &str) -> Result<(), StoreError> {
        self.write(async |tx| {
            let deleted =
                sqlx::query("DELETE FROM schedules WHERE name = $1").bind(name).execute(tx.at().await?).await?;
            if deleted.rows_affected() == 0 {
                return Err(missing(name));
            }
            Ok(())
        })
        .await
    }

    /// The runs from these origins for the times from the one to the other, the youngest first.
    ///
    /// # Errors
    /// As [`Store::ping`].
    pub async fn scheduled_runs(&self, origins: [&str; 3], from: i64, until: i64) -> Result<Vec<RunRow>, StoreError> {
        let rows = sqlx::query(self.sql(
            "SELECT {run} FROM runs WHERE origin IN ($1, $2, $3) AND scheduled_at >= $4 AND scheduled_at <= $5
             ORDER BY id DESC",
        ));
        let rows = rows.bind(origins[0]).bind(origins[1]).bind(origins[2]);
        rows.bind(from).bind(until).fetch_all(&self.reader).await?.iter().map(run_row).collect()
    }

    /// The runs of a schedule, from this origin, that have not ended.
    ///
    /// # Errors
    /// As [`Store::ping`].
    pub async fn unfinished_from(&self, origin: &str) -> Result<Vec<String>, StoreError> {
        // The index holds those of which this is true, and is found by it.
        let rows = sqlx::query(self.sql(
            "SELECT id FROM runs {along runs_of_schedule} WHERE origin = $1 AND scheduled_at IS NOT NULL
               AND state IN ('queued', 'running', 'cancelling') ORDER BY id",
        ));
        let rows = rows.bind(origin).fetch_all(&self.reader).await?;
        rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
    }
}

fn missing(name: &str) -> StoreError {
    StoreError::NotFound(format!("there is no schedule {name}"))
}

fn schedule(row: &AnyRow) -> Result<Schedule, StoreError> {
    let overlap: Overlap = json(row, "overlap")?;
    let catch_up: CatchUp = json(row, "catch_up")?;
    let jitter: i64 = row.try_get("jitter_ms")?;
    Ok(Schedule {
        name: row.try_get("name")?,
        spec: ScheduleSpec {
            pipeline: row.try_get("pipeline")?,
            version: row.try_get("version")?,
            params: json(row, "params")?,
            set: json(row, "sets")?,
            cron: row.try_get("cron")?,
            zone: row.try_get("zone")?,
            overlap,
            catch_up,
            jitter_seconds: u32::try_from(jitter / 1000).unwrap_or(0),
        },
        paused: row.try_get::<i64, _>("paused")? == 1,
        next_at: row.try_get("next_at")?,
        last_at: row.try_get("last_at")?,
        last_run: row.try_get("last_run")?,
        last_error: row.try_get("last_error")?,
        updated_at: row.try_get("updated_at")?,
        updated_by: row.try_get("updated_by")?,
    })
}
