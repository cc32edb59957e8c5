//! Runs and attempts as they are shown.

use super::packed::{self, BETWEEN_ROWS, Values};
use super::{RunState, Store, StoreError, json_or_none};
use flight_common::{Fault, passwords};
use futures::future::maybe_done;
use futures::poll;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe, Row};
use std::collections::BTreeMap;
use std::pin::pin;

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
    #[serde(serialize_with = "without_passwords")]
    pub sets: Vec<String>,
    /// Values of the pipeline's parameters. Passwords are not shown.
    #[serde(default, serialize_with = "without_passwords_in")]
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

/// The columns of a [`RunRow`] in the order of its fields, packed. A statement has it as `{run}`.
pub(super) const RUN: &str =
    "concat_ws('\u{1f}', id, pipeline, COALESCE(CAST(version AS TEXT), ''), definition, sets, params, state,
    priority, attempt, not_before, created_at, COALESCE(CAST(started_at AS TEXT), ''),
    COALESCE(CAST(ended_at AS TEXT), ''), paused_ms, COALESCE(owner, ''), COALESCE(fault, ''),
    COALESCE(traceparent, ''), submitted_by, origin, COALESCE(CAST(scheduled_at AS TEXT), '')) AS run";

/// Runs of a list that are read together. Were all of them as large as a request may be, their text would still be shorter than
/// the longest that the databases make.
const PART: usize = 200;

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
        let row =
            sqlx::query(self.sql("SELECT {run} FROM runs WHERE id = $1")).bind(id).fetch_optional(&self.reader).await?;
        run_row(&row.ok_or_else(|| StoreError::no_run(id))?)
    }

    /// The run that was made with this idempotency key.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is none.
    pub async fn run_of_key(&self, key: &str) -> Result<RunRow, StoreError> {
        let sql = AssertSqlSafe(format!("SELECT {RUN} FROM runs WHERE idempotency_key = $1"));
        let row = sqlx::query(sql).bind(key).fetch_optional(&self.reader).await?;
        run_row(&row.ok_or_else(|| StoreError::NotFound(format!("no run has the idempotency key \"{key}\"")))?)
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
        let mut items = Vec::new();
        let keep = |run| {
            items.push(run);
            Ok::<_, StoreError>(())
        };
        let next = self.each_run(filter, cursor, limit, keep).await?;
        Ok(Page { items, next })
    }

    /// As [`Store::runs`], and hands them over one by one; meanwhile the database looks for those that come next. Returns
    /// where the list goes on, if it does.
    ///
    /// # Errors
    /// As [`Store::ping`], and what `to` returns.
    pub async fn each_run<E: From<StoreError>>(
        &self,
        filter: &RunFilter,
        cursor: Option<&str>,
        limit: usize,
        mut to: impl FnMut(RunRow) -> Result<(), E>,
    ) -> Result<Option<Cursor>, E> {
        // To ask for another connection each time would take several turns, and what is shown comes between them.
        let mut connection = self.reader.acquire().await.map_err(StoreError::from)?;
        // One more tells whether the list goes on.
        let mut left = limit.saturating_add(1);
        let (mut shown, mut last) = (0, String::new());
        let mut part = self.part_of_runs(&mut connection, filter, cursor, left.min(PART)).await?;
        while let Some(runs) = part {
            left = left.saturating_sub(PART);
            let end = packed::rows(&runs).next_back().map(|mut run| run.text()).transpose()?;
            let next = async {
                match left.min(PART) {
                    0 => Ok(None),
                    count => self.part_of_runs(&mut connection, filter, end, count).await,
                }
            };
            // One look sends the question: the database puts the answer together while this part is shown.
            let mut next = pin!(maybe_done(next));
            let _ = poll!(next.as_mut());
            for run in packed::rows(&runs) {
                if shown == limit {
                    return Ok(Some(last).filter(|last| !last.is_empty()));
                }
                let run = run_of(run)?;
                last.clone_from(&run.id);
                shown += 1;
                to(run)?;
            }
            next.as_mut().await;
            part = next.as_mut().take_output().transpose()?.flatten();
        }
        Ok(None)
    }

    /// The first runs of a list, each as [`RUN`] has it; nothing if there are none.
    async fn part_of_runs(
        &self,
        at: &mut AnyConnection,
        filter: &RunFilter,
        after: Option<&str>,
        count: usize,
    ) -> Result<Option<String>, StoreError> {
        // After all others comes no id that every collation knows: without a cursor nothing is compared.
        let conditions =
            [("id <", after), ("pipeline =", filter.pipeline.as_deref()), ("id LIKE '%' ||", filter.ending.as_deref())];
        let given = conditions.into_iter().filter_map(|(condition, text)| Some((condition, text?))).zip(1..);
        let (wanted, texts): (Vec<String>, Vec<&str>) =
            given.map(|((condition, text), place)| (format!("{condition} ${place}"), text)).unzip();
        // Of each state by itself, along the index; of several together, the databases would sort all that are in them.
        let one = |state: Option<&RunState>| {
            let wanted = wanted.iter().cloned().chain(state.map(|state| format!("state = '{state}'")));
            let wanted = wanted.collect::<Vec<_>>().join(" AND ");
            let only = if wanted.is_empty() { String::new() } else { format!("WHERE {wanted}") };
            format!("SELECT * FROM (SELECT id, {RUN} FROM runs {only} ORDER BY id DESC LIMIT {count}) AS one")
        };
        let states: Vec<String> =
            RunState::ALL.iter().filter(|state| filter.states.contains(state)).map(|state| one(Some(state))).collect();
        let sorted = match &states[..] {
            [] => one(None),
            [one] => one.clone(),
            several => {
                format!("SELECT * FROM ({}) AS several ORDER BY id DESC LIMIT {count}", several.join(" UNION ALL "))
            }
        };
        // Both databases hand what is sorted to the one function over it in that order.
        let sql = format!("SELECT string_agg(run, '{BETWEEN_ROWS}') FROM ({sorted}) AS part");
        let mut query = sqlx::query_scalar(self.sql(&sql));
        for text in texts {
            query = query.bind(text);
        }
        Ok(query.fetch_one(at).await?)
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

pub(super) fn state(row: &AnyRow) -> Result<RunState, StoreError> {
    let name: String = row.try_get("state")?;
    name.parse().map_err(StoreError::Corrupt)
}

/// The [`RUN`] of a row.
pub(super) fn run_row(row: &AnyRow) -> Result<RunRow, StoreError> {
    run_of(Values::of(row.try_get("run")?))
}

fn run_of(mut values: Values<'_>) -> Result<RunRow, StoreError> {
    Ok(RunRow {
        id: values.text()?.to_owned(),
        pipeline: values.text()?.to_owned(),
        version: values.number_or_none()?,
        definition: values.text()?.to_owned(),
        sets: values.json("sets")?,
        params: values.json("params")?,
        state: values.text()?.parse().map_err(StoreError::Corrupt)?,
        priority: values.number()?,
        attempt: values.number()?,
        not_before: values.number()?,
        created_at: values.number()?,
        started_at: values.number_or_none()?,
        ended_at: values.number_or_none()?,
        paused_ms: values.number()?,
        owner: values.text_or_none()?.map(str::to_owned),
        fault: values.json_or_none("fault")?,
        // A `traceparent` is a version, the id of the trace, and more: W3C Trace Context, 3.2.
        trace_id: values.text()?.split('-').nth(1).map(str::to_owned),
        submitted_by: values.text()?.to_owned(),
        origin: values.text()?.to_owned(),
        scheduled_at: values.number_or_none()?,
    })
}

/// A fault as it is stored.
pub(super) fn fault_json(fault: &Fault) -> String {
    serde_json::to_string(fault).unwrap_or_else(|_| "null".to_owned())
}
