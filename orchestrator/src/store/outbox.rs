//! What is to be told of the ends of runs, and was not yet: written with the end itself, so that none is forgotten, and
//! taken by any replica, with a lease.
//!
//! A message that was delivered or given up leaves the table; an event of its run says which.

use super::read::run_row;
use super::{RunRow, RunState, Store, StoreError, Tx, json, millis};
use crate::pipeline::{Hook, HookRules};
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};
use sqlx::Row;
use sqlx::any::AnyRow;
use std::time::Duration;

/// A message that a replica has taken, to send it.
#[derive(Clone, Debug)]
pub struct Message {
    /// Its id: the same at each try.
    pub id: String,
    /// The run that it tells of.
    pub run: String,
    /// Where it goes, and what signs it.
    pub hook: Hook,
    /// What it says.
    pub body: Value,
    /// Which try this is, from 1.
    pub tries: u32,
    /// Which taking of it this is.
    fence: i64,
}

/// What became of a try to send a message. The particulars go into the event.
#[derive(Clone, Debug)]
pub enum Sent {
    /// It was accepted.
    Delivered(Value),
    /// It was not, and is tried again after this time.
    Again(Value, Duration),
    /// It was not, and never will be.
    GivenUp(Value),
}

impl Store {
    /// Queues what the pipeline of a run wants told that has just ended, if it has, within the transaction that ends it:
    /// `row` is the whole row of the run.
    pub(super) async fn tell_hooks(&self, tx: &mut Tx, row: &AnyRow, report: &Value) -> Result<(), StoreError> {
        let rules: HookRules = json(row, "hooks")?;
        let run = run_row(row)?;
        let hooks = match run.state {
            RunState::Done => rules.on_success,
            RunState::Failed => rules.on_failure,
            RunState::Cancelled => rules.on_cancel,
            _ => return Ok(()),
        };
        let body = message(&run, report).to_string();
        for hook in hooks {
            sqlx::query(self.sql(
                "INSERT INTO outbox (id, run_id, url, secret, body, tries, fence, not_before, created_at)
                 VALUES ($1, $2, $3, $4, $5, 0, 0, 0, {now})",
            ))
            .bind(format!("msg_{}", uuid::Uuid::now_v7().simple()))
            .bind(&run.id)
            .bind(&hook.url)
            .bind(hook.secret.as_deref())
            .bind(&body)
            .execute(tx.at().await?)
            .await?;
        }
        Ok(())
    }

    /// Whether a message is due, other than to addresses that begin so. It takes no lock.
    ///
    /// # Errors
    /// As [`Store::ping`].
    pub async fn messages_due(&self, without: &[&str]) -> Result<bool, StoreError> {
        let sql = format!("SELECT 1 FROM outbox WHERE {} LIMIT 1", due(without, 1));
        let mut query = sqlx::query(self.sql(&sql));
        for url in without {
            query = query.bind(url);
        }
        Ok(query.fetch_optional(&self.reader).await?.is_some())
    }

    /// Takes up to `want` messages that are due, other than to addresses that begin so. For as long as `lease`, no other replica
    /// takes them.
    ///
    /// # Errors
    /// As [`Store::ping`].
    pub async fn take_messages(
        &self,
        lease: Duration,
        want: usize,
        without: &[&str],
    ) -> Result<Vec<Message>, StoreError> {
        let (due, skip) = (due(without, 2), self.dialect.skip_locked());
        let sql = format!(
            "UPDATE outbox SET tries = tries + 1, fence = fence + 1, not_before = {{now}} + $1 WHERE id IN (
               SELECT id FROM outbox WHERE {due} ORDER BY not_before, id LIMIT {want} {skip}
             ) RETURNING *"
        );
        let mut take = sqlx::query(self.sql(&sql)).bind(millis(lease));
        for url in without {
            take = take.bind(url);
        }
        self.write(async |tx| {
            let rows = take.fetch_all(tx.at().await?).await?;
            rows.iter().map(taken).collect()
        })
        .await
    }

    /// Notes what became of a try. Nothing is noted by a replica that has the message no more.
    ///
    /// # Errors
    /// As [`Store::ping`].
    pub async fn settle_message(&self, message: &Message, sent: &Sent) -> Result<(), StoreError> {
        self.write(async |tx| {
            let (kind, body, sql) = match sent {
                Sent::Delivered(body) => ("hook_delivered", body, "DELETE FROM outbox WHERE id = $1 AND fence = $2"),
                Sent::GivenUp(body) => ("hook_given_up", body, "DELETE FROM outbox WHERE id = $1 AND fence = $2"),
                Sent::Again(body, _) => {
                    ("hook_failed", body, "UPDATE outbox SET not_before = {now} + $3 WHERE id = $1 AND fence = $2")
                }
            };
            let mut query = sqlx::query(self.sql(sql)).bind(&message.id).bind(message.fence);
            if let Sent::Again(_, pause) = sent {
                query = query.bind(millis(*pause));
            }
            if query.execute(tx.at().await?).await?.rows_affected() == 1 {
                self.event(tx, &message.run, kind, body).await?;
            }
            Ok(())
        })
        .await
    }
}

/// What is true of messages that are due, other than to addresses that begin so. What a run has to tell to an address is told
/// in order: one waits until those before it are delivered, or given up. The first beginning has this place among the arguments.
fn due(without: &[&str], first: usize) -> String {
    let others =
        (first..first + without.len()).map(|place| format!(" AND substr(url, 1, length(${place})) <> ${place}"));
    format!(
        "not_before <= {{now}}{} AND NOT EXISTS (SELECT 1 FROM outbox before WHERE before.run_id = outbox.run_id
           AND before.url = outbox.url AND (before.created_at, before.id) < (outbox.created_at, outbox.id))",
        others.collect::<String>()
    )
}

fn taken(row: &AnyRow) -> Result<Message, StoreError> {
    Ok(Message {
        id: row.try_get("id")?,
        run: row.try_get("run_id")?,
        hook: Hook { url: row.try_get("url")?, secret: row.try_get("secret")? },
        body: json(row, "body")?,
        tries: u32::try_from(row.try_get::<i64, _>("tries")?).unwrap_or(u32::MAX),
        fence: row.try_get("fence")?,
    })
}

/// How a run ended, for whoever is told: `{type, timestamp, data}`, as Standard Webhooks has it.
fn message(run: &RunRow, report: &Value) -> Value {
    const SHOWN: [&str; 8] = ["id", "step", "status", "rows_in", "rows_out", "bytes_out", "duration_ms", "receipt"];
    let steps = report["steps"].as_array().into_iter().flatten().map(|step| {
        let shown = SHOWN.iter().filter_map(|name| Some(((*name).to_owned(), step.get(*name)?.clone())));
        Value::Object(shown.collect())
    });
    json!({
        "type": format!("run.{}", run.state),
        "timestamp": time(run.ended_at),
        "data": {
            "run_id": run.id,
            "pipeline": run.pipeline,
            "version": run.version,
            "state": run.state,
            "attempt": run.attempt,
            "queued_at": time(Some(run.created_at)),
            "started_at": time(run.started_at),
            "ended_at": time(run.ended_at),
            "duration_ms": run.ended_at.map(|ended| run.took_ms(ended).unwrap_or(0)),
            "fault": run.fault,
            "held_back_by": report["held_back_by"],
            "errors": report["errors"],
            "steps": steps.collect::<Vec<_>>(),
            "submitted_by": run.submitted_by,
            "origin": run.origin,
            "trace_id": run.trace_id,
            "link": format!("/api/v1/runs/{}", run.id),
        },
    })
}

fn time(millis: Option<i64>) -> Option<String> {
    let time: DateTime<Utc> = DateTime::from_timestamp_millis(millis?)?;
    Some(time.to_rfc3339_opts(SecondsFormat::Millis, true))
}
