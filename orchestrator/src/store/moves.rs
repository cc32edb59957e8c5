//! What becomes of a run: it ends, is tried again, is given back, cancelled or resumed.

use super::lease::NOBODYS_LEASE;
use super::read::{fault_json, run_row};
use super::statements::Statements;
use super::{AuditRecord, Definition, Lease, Move, RunRow, RunState, Store, StoreError, Tx, millis};
use crate::pipeline::HookRules;
use flight_common::Fault;
use serde_json::{Value, json};
use sqlx::Row;
use std::time::Duration;

/// How an attempt ended.
#[derive(Clone, Debug)]
pub enum Ending {
    /// All its steps ended well.
    Done,
    /// It failed, for good.
    Failed(Fault),
    /// It failed, and is tried again after this time.
    Retry(Fault, Duration),
    /// It was stopped because somebody had asked for it.
    Cancelled,
    /// Its replica goes down: another one may run it at once.
    Released,
}

impl Ending {
    fn step(&self) -> Move {
        match self {
            Self::Done => Move::Succeed,
            Self::Failed(_) => Move::Fail,
            Self::Retry(..) => Move::Retry,
            Self::Cancelled => Move::ConfirmCancel,
            Self::Released => Move::Release,
        }
    }

    /// How the attempt is called, and the event.
    fn names(&self) -> (&'static str, &'static str) {
        match self {
            Self::Done => ("done", "done"),
            Self::Failed(_) => ("failed", "failed"),
            Self::Retry(..) => ("failed", "retry"),
            Self::Cancelled => ("cancelled", "cancelled"),
            Self::Released => ("released", "released"),
        }
    }
}

/// What a run runs from now on instead.
#[derive(Clone, Debug)]
pub struct Changed {
    /// The text.
    pub definition: Definition,
    /// The services of its steps.
    pub services: Vec<String>,
    /// Whom to tell how it ended.
    pub hooks: HookRules,
    /// Greater goes first.
    pub priority: Ruled,
    /// Runs of its pipeline at a time.
    pub concurrency: Ruled,
}

/// What a text may rule: it holds unless the request for the run, or its schedule, has said something else.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ruled {
    /// As the text before had it.
    pub before: Option<i64>,
    /// As this one has it.
    pub now: Option<i64>,
}

impl Store {
    /// Ends an attempt of which there is nothing to write down. See [`Store::end_attempt`].
    ///
    /// # Errors
    /// As [`Store::end_attempt`].
    pub async fn end(&self, lease: &Lease, ending: &Ending, report: &Value) -> Result<RunState, StoreError> {
        Ok(self.end_attempt(lease, ending, report, &[]).await?.state)
    }

    /// Ends an attempt, and writes down what ran. If the run has ended with it, its hooks are told from here on. Returns
    /// the run as it is now.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`] if the run belongs to another replica now; [`StoreError::Illegal`] for an end that its
    /// state does not allow: one that failed, say, while its cancelling was asked for.
    pub async fn end_attempt(
        &self,
        lease: &Lease,
        ending: &Ending,
        report: &Value,
        audit: &[AuditRecord],
    ) -> Result<RunRow, StoreError> {
        // As it nearly always is: it runs, and nobody wants to be told.
        if let Ok(statements) = self.ended(lease, ending, RunState::Running, Some(&HookRules::default()), report, audit)
            && let Some(row) = self.writer.at_once(statements).await?.first()
        {
            return run_row(row);
        }
        self.write(async |tx| {
            let from = self.held(tx, lease).await?;
            let ended = tx.change(self.ended(lease, ending, from, None, report, audit)?).await?;
            let row = ended.first().ok_or_else(|| StoreError::no_run(&lease.run))?;
            self.tell_hooks(tx, row, report).await?;
            run_row(row)
        })
        .await
    }

    /// The run as the end of this attempt left it, if that is stored: the answer to whoever told it may have been lost.
    ///
    /// # Errors
    /// As [`Store::ping`].
    pub async fn told_end(&self, lease: &Lease, ending: &Ending) -> Result<Option<RunRow>, StoreError> {
        let row = sqlx::query(self.sql(
            "SELECT {run} FROM runs WHERE id = $1 AND fence = $2 AND state NOT IN ('running', 'cancelling') AND EXISTS
               (SELECT 1 FROM attempts WHERE run_id = $1 AND attempts.attempt = runs.attempt AND attempts.state = $3)",
        ));
        let row = row.bind(&lease.run).bind(lease.fence).bind(ending.names().0).fetch_optional(&self.reader).await?;
        row.as_ref().map(run_row).transpose()
    }

    /// What an attempt leaves that has ended so, if its run is in this state, and has these hooks, if they are given.
    fn ended(
        &self,
        lease: &Lease,
        ending: &Ending,
        from: RunState,
        hooks: Option<&HookRules>,
        report: &Value,
        audit: &[AuditRecord],
    ) -> Result<Statements, StoreError> {
        let to = legal(&lease.run, from, ending.step())?;
        let (attempt_state, event) = ending.names();
        let (fault, delay) = match ending {
            Ending::Failed(fault) => (Some(fault), Duration::ZERO),
            Ending::Retry(fault, delay) => (Some(fault), *delay),
            _ => (None, Duration::ZERO),
        };
        let body = match fault {
            Some(fault) => json!({"fault": fault, "retry_in_ms": delay.as_millis() as u64}),
            None => json!({}),
        };
        let nobodys = (to == RunState::Cancelling).then_some(NOBODYS_LEASE);
        let mut statements = self.statements();
        let sql = format!(
            "UPDATE runs SET state = $2, owner = $7, lease_until = $8, fault = $3, not_before = {{now}} + $4,
               tries = tries + $5, reuse = 1, ended_at = CASE WHEN $6 = 1 THEN {{now}} ELSE NULL END,
               event_seq = event_seq + 1
             WHERE id = $1 AND fence = $9 AND state = '{from}' AND hooks = COALESCE($10, hooks)
             RETURNING id, attempt, event_seq, hooks, {{run}}"
        );
        let values = [
            (&lease.run).into(),
            to.name().into(),
            fault.map(fault_json).into(),
            millis(delay).into(),
            i64::from(matches!(ending, Ending::Retry(..))).into(),
            i64::from(to.is_final()).into(),
            nobodys.map(|(owner, _)| owner).into(),
            nobodys.map(|(_, until)| until).into(),
            lease.fence.into(),
            hooks.map(|hooks| json!(hooks).to_string()).into(),
        ];
        statements.add_main(&sql, values);
        statements.add(
            "UPDATE attempts SET state = $2, ended_at = {now}, report = $3
             WHERE run_id = $1 AND attempt = (SELECT attempt FROM {changed})",
            [(&lease.run).into(), attempt_state.into(), report.to_string().into()],
        );
        statements.add_event(&lease.run, event, &body);
        statements.add_audit(&lease.run, audit)?;
        Ok(statements)
    }

    /// Notes something that happened in a run.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`] if the run belongs to another replica now.
    pub async fn note(&self, lease: &Lease, kind: &str, body: &Value) -> Result<(), StoreError> {
        self.event_if_held(lease, &[RunState::Running, RunState::Cancelling], kind, body, None).await
    }

    /// Asks whether the holder of this lease may let a load commit. From here on the load is known to have begun, and the
    /// lease lasts as long again: one that is over and that nobody has taken, as after a jump of the clock, still holds.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`] if it may not.
    pub async fn permit(&self, lease: &Lease, step: &str, length: Duration) -> Result<(), StoreError> {
        self.permit_in(&[RunState::Running], lease, step, length).await
    }

    /// As [`Store::permit`], for a load that runs finally: also of a run that is being cancelled.
    ///
    /// # Errors
    /// As [`Store::permit`].
    pub async fn permit_finally(&self, lease: &Lease, step: &str, length: Duration) -> Result<(), StoreError> {
        self.permit_in(&[RunState::Running, RunState::Cancelling], lease, step, length).await
    }

    async fn permit_in(
        &self,
        states: &[RunState],
        lease: &Lease,
        step: &str,
        length: Duration,
    ) -> Result<(), StoreError> {
        // From here on nobody can take it: that would change its fence, and so waits for the end of this.
        self.event_if_held(lease, states, "committing", &json!({"step": step}), Some(length)).await
    }

    /// Asks for the end of a run. One that waits ends at once, one that runs when its replica has stopped it. One that
    /// waits for another attempt, and of which something runs `finally`, ends when a replica has let that run.
    ///
    /// # Errors
    /// [`StoreError::Illegal`] for a run that has ended already.
    pub async fn cancel(&self, run: &str, finally: bool, by: &str) -> Result<RunRow, StoreError> {
        self.write(async |tx| {
            let from = self.locked(tx, run).await?;
            if from != RunState::Cancelling {
                let attempts =
                    sqlx::query("SELECT attempt FROM runs WHERE id = $1").bind(run).fetch_one(tx.at().await?);
                let has_begun = attempts.await?.try_get::<i64, _>(0)? > 0;
                let step = match from {
                    RunState::Queued if finally && has_begun => Move::CancelBegun,
                    _ => Move::Cancel,
                };
                let to = legal(run, from, step)?;
                if step == Move::CancelBegun {
                    let (owner, until) = NOBODYS_LEASE;
                    let sql = "UPDATE runs SET owner = $2, lease_until = $3 WHERE id = $1";
                    sqlx::query(sql).bind(run).bind(owner).bind(until).execute(tx.at().await?).await?;
                }
                let row = sqlx::query(self.sql(
                    "UPDATE runs SET state = $2, ended_at = CASE WHEN $3 = 1 THEN {now} ELSE NULL END,
                       paused_ms = paused_ms + CASE WHEN $3 = 1 THEN
                         COALESCE({now} - (SELECT MAX(ended_at) FROM attempts WHERE run_id = $1), 0) ELSE 0 END
                     WHERE id = $1 RETURNING *, {run}",
                ))
                .bind(run)
                .bind(to.name())
                .bind(i64::from(to.is_final()))
                .fetch_one(tx.at().await?)
                .await?;
                self.event(tx, run, to.name(), &json!({"by": by})).await?;
                self.tell_hooks(tx, &row, &Value::Null).await?;
                return run_row(&row);
            }
            let sql = self.sql("SELECT {run} FROM runs WHERE id = $1");
            run_row(&sqlx::query(sql).bind(run).fetch_one(tx.at().await?).await?)
        })
        .await
    }

    /// Queues a run again that failed or was cancelled, perhaps with a changed text. With `reuse`, what its earlier
    /// attempts kept and committed is taken over where nothing changed.
    ///
    /// # Errors
    /// [`StoreError::Illegal`] for a run that is under way or done.
    pub async fn resume(
        &self,
        run: &str,
        changed: Option<&Changed>,
        reuse: bool,
        by: &str,
    ) -> Result<RunRow, StoreError> {
        self.write(async |tx| {
            let from = self.locked(tx, run).await?;
            let to = legal(run, from, Move::Resume)?;
            if let Some(Changed { definition, services, hooks, priority, concurrency }) = changed {
                let mut statements = self.statements();
                statements.add_definition(definition);
                statements.add_main(
                    "UPDATE runs SET definition = $2, services = $3, hooks = $4, version = NULL,
                       priority = CASE WHEN priority = COALESCE($5, 0) THEN COALESCE($6, priority) ELSE priority END,
                       concurrency = CASE WHEN concurrency IS NOT DISTINCT FROM $7 THEN COALESCE($8, concurrency)
                         ELSE concurrency END
                     WHERE id = $1 RETURNING id",
                    [
                        run.into(),
                        (&definition.hash).into(),
                        json!(services).to_string().into(),
                        json!(hooks).to_string().into(),
                        priority.before.into(),
                        priority.now.into(),
                        concurrency.before.into(),
                        concurrency.now.into(),
                    ],
                );
                tx.change(statements).await?;
            }
            sqlx::query(
                // If it waited for this attempt before, and was cancelled, that pause goes on.
                "UPDATE runs SET state = $2, tries = 0, reuse = $3, not_before = 0, fault = NULL,
                   paused_ms = paused_ms - CASE WHEN ended_at > (SELECT MAX(ended_at) FROM attempts WHERE run_id = $1)
                     THEN ended_at - (SELECT MAX(ended_at) FROM attempts WHERE run_id = $1) ELSE 0 END,
                   ended_at = NULL
                 WHERE id = $1",
            )
            .bind(run)
            .bind(to.name())
            .bind(i64::from(reuse))
            .execute(tx.at().await?)
            .await?;
            if !reuse {
                // What was kept for the earlier attempts is not what this one makes.
                for statement in [
                    "DELETE FROM kept WHERE run_id = $1",
                    "DELETE FROM commits WHERE run_id = $1",
                    "DELETE FROM told WHERE run_id = $1",
                ] {
                    sqlx::query(statement).bind(run).execute(tx.at().await?).await?;
                }
            }
            self.event(tx, run, "resumed", &json!({"by": by, "reuse": reuse, "changed": changed.is_some()})).await?;
            Ok(())
        })
        .await?;
        self.run(run).await
    }

    /// The state of a run that this lease still holds. Its row is held until the end of the transaction.
    pub(super) async fn held(&self, tx: &mut Tx, lease: &Lease) -> Result<RunState, StoreError> {
        let state = self.state_of(tx, &lease.run, Some(lease.fence)).await?;
        lease.under_way(state.ok_or_else(|| StoreError::LeaseLost(lease.run.clone()))?)
    }

    /// The state of a run, whose row is held until the end of the transaction.
    pub(super) async fn locked(&self, tx: &mut Tx, run: &str) -> Result<RunState, StoreError> {
        self.state_of(tx, run, None).await?.ok_or_else(|| StoreError::no_run(run))
    }

    async fn state_of(&self, tx: &mut Tx, run: &str, fence: Option<i64>) -> Result<Option<RunState>, StoreError> {
        let hold = self.dialect.hold();
        let mut statements = self.statements();
        let sql = format!("SELECT state FROM runs WHERE id = $1 AND fence = COALESCE($2, fence) {hold}");
        statements.add(&sql, [run.into(), fence.into()]);
        tx.each(statements).await?.iter().flatten().next().map(super::read::state).transpose()
    }
}

fn legal(run: &str, from: RunState, step: Move) -> Result<RunState, StoreError> {
    step.from(from).ok_or_else(|| StoreError::Illegal { run: run.to_owned(), state: from, step })
}
