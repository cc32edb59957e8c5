//! Runs and attempts as they are shown.

use super::{RunState, Store, StoreError, json, json_or_none};
use flight_common::{Fault, passwords};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use sqlx::any::AnyRow;
use sqlx::{Any, AssertSqlSafe, Executor, Row};
use std::collections::BTreeMap;

/// A run. Times are milliseconds since 1970.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RunRow {
    /// Its id. Greater ids are younger.
    pub id: String,
    /// The name of its pipeline.
    pub pipeline: String,
    /// The version of the pipeline, if it was run by name.
    pub version: Option<i64>,
    /// The SHA-256 of the text that runs.
    pub definition: String,
    /// Changes of parameters. Passwords are not shown.
    #[serde(serialize_with = "without_passwords", deserialize_with = "or_none")]
    pub sets: Vec<String>,
    /// Values of the pipeline's parameters. Passwords are not shown.
    #[serde(default, serialize_with = "without_passwords_in", deserialize_with = "or_none")]
    #[schema(value_type = Object)]
    pub params: BTreeMap<String, Value>,
    /// Where it stands.
    pub state: RunState,
    /// Greater goes first.
    pub priority: i64,
    /// The attempt that runs or was the last, from 1; 0 before the first.
    pub attempt: i64,
    /// When its next attempt may begin.
    pub not_before: i64,
    /// When it was queued.
    pub created_at: i64,
    /// When its first attempt began.
    pub started_at: Option<i64>,
    /// When it ended.
    pub ended_at: Option<i64>,
    /// Milliseconds between its attempts: it waited to be tried again, or for somebody who resumed it.
    #[serde(default)]
    pub paused_ms: i64,
    /// The replica that has it.
    pub owner: Option<String>,
    /// Why it failed, or why its last attempt did.
    #[schema(value_type = Option<Object>)]
    pub fault: Option<Value>,
    /// Its trace.
    pub trace_id: Option<String>,
    /// Who asked for it.
    pub submitted_by: String,
    /// Where it came from.
    pub origin: String,
    /// The time of its schedule for which it runs, if it was queued for one.
    #[serde(default)]
    pub scheduled_at: Option<i64>,
}

fn without_passwords<S: Serializer>(sets: &[String], serializer: S) -> Result<S::Ok, S::Error> {
    passwords::hidden_in_sets(sets).serialize(serializer)
}

fn without_passwords_in<S: Serializer>(params: &BTreeMap<String, Value>, serializer: S) -> Result<S::Ok, S::Error> {
    passwords::hidden_in_params(params).serialize(serializer)
}

/// Empty if it is null, as in [`json_values`].
fn or_none<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// One attempt of a run.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AttemptRow {
    /// From 1.
    pub attempt: i64,
    /// The replica that made it.
    pub owner: String,
    /// `running`, or how it ended: `done`, `failed`, `cancelled`, `lost` with its replica, `released`.
    pub state: String,
    /// When it began: milliseconds since 1970.
    pub started_at: i64,
    /// When it ended.
    pub ended_at: Option<i64>,
    /// What each step did.
    #[schema(value_type = Option<Object>)]
    pub report: Option<Value>,
}

/// Which runs to list.
#[derive(Clone, Debug, Default)]
pub struct RunFilter {
    /// Of this pipeline.
    pub pipeline: Option<String>,
    /// In one of these states; none means any.
    pub states: Vec<RunState>,
    /// With an id that ends so: of digits, letters and dashes.
    pub ending: Option<String>,
}

/// Where a listing goes on: the id of the last run seen.
pub type Cursor = String;

/// A part of a list.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// What to ask for the next part; nothing at the end.
    pub next: Option<Cursor>,
}

/// The columns of a [`RunRow`], in the order of its fields.
pub(super) const SHOWN: &str =
    "id, pipeline, version, definition, sets, params, state, priority, attempt, not_before, created_at,
    started_at, ended_at, paused_ms, owner, fault, traceparent, submitted_by, origin, scheduled_at";

impl RunRow {
    /// Milliseconds that its attempts took, up to its end or to `now`; nothing before the first.
    #[must_use]
    pub fn took_ms(&self, now: i64) -> Option<i64> {
        Some((self.ended_at.unwrap_or(now) - self.started_at? - self.paused_ms).max(0))
    }
}

impl Store {
    /// A run.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no such run.
    pub async fn run(&self, id: &str) -> Result<RunRow, StoreError> {
        let sql = format!("SELECT {SHOWN} FROM runs WHERE id = $1");
        let row = sqlx::query(self.sql(&sql)).bind(id).fetch_optional(&self.reader).await?;
        run_row(&row.ok_or_else(|| StoreError::no_run(id))?)
    }

    /// The run that was made with this idempotency key.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is none.
    pub async fn run_of_key(&self, key: &str) -> Result<RunRow, StoreError> {
        run_of_key(&self.reader, key).await
    }

    /// The text that a run runs.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no such run.
    pub async fn definition_of(&self, id: &str) -> Result<String, StoreError> {
        let row = sqlx::query("SELECT d.body FROM runs r JOIN definitions d ON d.hash = r.definition WHERE r.id = $1");
        let row = row.bind(id).fetch_optional(&self.reader).await?;
        Ok(row.ok_or_else(|| StoreError::no_run(id))?.try_get(0)?)
    }

    /// Runs, the youngest first, after `cursor`.
    ///
    /// # Errors
    /// As [`Store::ping`].
    pub async fn runs(
        &self,
        filter: &RunFilter,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<RunRow>, StoreError> {
        // After all others comes no id that every collation knows: without a cursor nothing is compared.
        let conditions = [
            ("id <", cursor),
            ("pipeline =", filter.pipeline.as_deref()),
            ("id LIKE '%' ||", filter.ending.as_deref()),
        ];
        let given = conditions.into_iter().filter_map(|(condition, text)| Some((condition, text?))).zip(1..);
        let (mut wanted, texts): (Vec<String>, Vec<&str>) =
            given.map(|((condition, text), place)| (format!("{condition} ${place}"), text)).unzip();
        if !filter.states.is_empty() {
            let names: Vec<String> = filter.states.iter().map(|state| format!("'{state}'")).collect();
            wanted.push(format!("state IN ({})", names.join(", ")));
        }
        let only = if wanted.is_empty() { String::new() } else { format!("WHERE {}", wanted.join(" AND ")) };
        // One more row tells whether there is a next part.
        let mut sql = format!("SELECT {SHOWN} FROM runs {only} ORDER BY id DESC LIMIT {}", limit.saturating_add(1));
        let list = self.dialect.json_list(&json_values());
        if let Some(list) = &list {
            sql = format!("SELECT {list} AS items FROM ({sql})");
        }
        let mut query = sqlx::query(self.sql(&sql));
        for text in texts {
            query = query.bind(text);
        }
        let mut items: Vec<RunRow> = match list {
            Some(_) => {
                let mut items: Vec<RunRow> = json(&query.fetch_one(&self.reader).await?, "items")?;
                items.sort_unstable_by(|a, b| b.id.cmp(&a.id));
                items
            }
            None => query.fetch_all(&self.reader).await?.iter().map(run_row).collect::<Result<_, _>>()?,
        };
        let more = items.len() > limit;
        items.truncate(limit);
        Ok(Page { next: items.last().filter(|_| more).map(|last| last.id.clone()), items })
    }

    /// How many runs are in each state that is not final, by state.
    ///
    /// # Errors
    /// As [`Store::ping`].
    pub async fn unfinished(&self) -> Result<Vec<(RunState, i64)>, StoreError> {
        let rows = sqlx::query(
            "SELECT state, COUNT(*) AS n FROM runs WHERE state IN ('queued', 'running', 'cancelling') GROUP BY state",
        );
        let rows = rows.fetch_all(&self.reader).await?;
        rows.iter().map(|row| Ok((state(row)?, row.try_get("n")?))).collect()
    }

    /// The attempts of a run, the first one first.
    ///
    /// # Errors
    /// As [`Store::ping`].
    pub async fn attempts(&self, id: &str) -> Result<Vec<AttemptRow>, StoreError> {
        let rows = sqlx::query("SELECT * FROM attempts WHERE run_id = $1 ORDER BY attempt").bind(id);
        let rows = rows.fetch_all(&self.reader).await?;
        let attempt = |row: &AnyRow| {
            Ok(AttemptRow {
                attempt: row.try_get("attempt")?,
                owner: row.try_get("owner")?,
                state: row.try_get("state")?,
                started_at: row.try_get("started_at")?,
                ended_at: row.try_get("ended_at")?,
                report: json_or_none(row, "report")?,
            })
        };
        rows.iter().map(attempt).collect()
    }
}

/// What a [`RunRow`] is as a JSON list: the columns [`SHOWN`] as its fields are read.
fn json_values() -> Vec<String> {
    let shown = SHOWN.split(',').map(str::trim).map(|column| match column {
        // Most have none, and `json` takes its time for each.
        "sets" => format!("json(NULLIF({column}, '[]'))"),
        "params" => format!("json(NULLIF({column}, '{{}}'))"),
        "fault" => format!("json({column})"),
        // A `traceparent` is a version, the id of the trace, and more: W3C Trace Context, 3.2.
        "traceparent" => "substr(traceparent, 4, 32)".to_owned(),
        _ => column.to_owned(),
    });
    shown.collect()
}

pub(super) fn state(row: &AnyRow) -> Result<RunState, StoreError> {
    let name: String = row.try_get("state")?;
    name.parse().map_err(StoreError::Corrupt)
}

/// As [`Store::run_of_key`], asked there.
pub(super) async fn run_of_key(at: impl Executor<'_, Database = Any>, key: &str) -> Result<RunRow, StoreError> {
    let sql = format!("SELECT {SHOWN} FROM runs WHERE idempotency_key = $1");
    let row = sqlx::query(AssertSqlSafe(sql)).bind(key).fetch_optional(at).await?;
    run_row(&row.ok_or_else(|| StoreError::NotFound(format!("no run has the idempotency key \"{key}\"")))?)
}

pub(super) fn run_row(row: &AnyRow) -> Result<RunRow, StoreError> {
    let traceparent: Option<String> = row.try_get("traceparent")?;
    Ok(RunRow {
        id: row.try_get("id")?,
        pipeline: row.try_get("pipeline")?,
        version: row.try_get("version")?,
        definition: row.try_get("definition")?,
        sets: json(row, "sets")?,
        params: json(row, "params")?,
        state: state(row)?,
        priority: row.try_get("priority")?,
        attempt: row.try_get("attempt")?,
        not_before: row.try_get("not_before")?,
        created_at: row.try_get("created_at")?,
        started_at: row.try_get("started_at")?,
        ended_at: row.try_get("ended_at")?,
        paused_ms: row.try_get("paused_ms")?,
        owner: row.try_get("owner")?,
        fault: json_or_none(row, "fault")?,
        trace_id: traceparent.and_then(|parent| parent.split('-').nth(1).map(str::to_owned)),
        submitted_by: row.try_get("submitted_by")?,
        origin: row.try_get("origin")?,
        scheduled_at: row.try_get("scheduled_at")?,
    })
}

/// A fault as it is stored.
pub(super) fn fault_json(fault: &Fault) -> String {
    serde_json::to_string(fault).unwrap_or_else(|_| "null".to_owned())
}
