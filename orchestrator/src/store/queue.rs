//! Replicas take runs, and prolong their leases.

use super::choose::{Queue, TOGETHER, Turns, choose, looked_into};
use super::lease::{Lease, NOBODYS_LEASE};
use super::limits::{Limits, Waiting, waits_for};
use super::packed::{self, BETWEEN_ROWS, BETWEEN_VALUES, Values};
use super::read::run_row;
use super::{RunRow, RunState, Store, StoreError, Tx, millis};
use sqlx::Row;
use sqlx::any::AnyRow;
use std::sync::{MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A run that was taken.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The right to run it.
    pub lease: Lease,
    /// When it was taken, or a moment before.
    pub taken: Instant,
    /// The run, with the attempt that begins.
    pub run: RunRow,
    /// The text to run.
    pub definition: String,
    /// Attempts that failed, or were lost with their replica, since somebody asked for the run or its resumption.
    pub tries: i64,
    /// Whether what earlier attempts kept may be used.
    pub reuse: bool,
    /// The span that asked for it.
    pub traceparent: Option<String>,
    /// Whether it is being cancelled: of its steps, only those that run finally are still to run.
    pub cancelling: bool,
}

/// What a run is taken from.
#[derive(Clone, Copy)]
struct From {
    /// Where it stands.
    state: RunState,
    /// Whether a replica had it and is gone, which counts as a try.
    lost: bool,
}

impl From {
    const QUEUE: Self = Self { state: RunState::Queued, lost: false };
}

/// Runs that were taken.
#[derive(Debug, Default)]
pub struct Taken {
    /// Each with its lease.
    pub claims: Vec<Claim>,
    /// Whether others wait that may be taken when something ends. Without them nobody need look before there is news.
    pub left: bool,
}

/// Whether the run `r` is of a schedule, and comes after one of it that waits to be tried again: that is not under way
/// meanwhile, and is not over either. (The index is found by the words that it was made with.)
const OVERTAKES: &str =
    "(COALESCE(r.of_series, 0) = 1 AND (r.origin LIKE 'schedule:%' OR r.origin LIKE 'catch-up:%') AND EXISTS (
    SELECT 1 FROM runs b {along runs_of_schedule}
    WHERE b.origin IN ('schedule:' || substr(r.origin, 10), 'catch-up:' || substr(r.origin, 10))
      AND b.scheduled_at IS NOT NULL AND b.state IN ('queued', 'running', 'cancelling')
      AND b.state = 'queued' AND b.attempt > 0 AND b.not_before > {now} AND b.id < r.id))";

/// What is seen before any run is taken.
#[derive(Debug, Default)]
struct Look {
    under_way: Vec<Waiting>,
    /// The ids of those whose lease is over and which are not this replica's own, the oldest first.
    abandoned: Vec<String>,
    /// All that runs wait in, also where none may go yet.
    queues: Vec<Queue>,
}

/// What tells queues apart, as the index has it: see [`Queue`]. Where the one ends and the other begins is clear: JSON ends by
/// itself, and what is cut has its 200 characters.
const QUEUE_OF: &str = "substr(services, 1, 200) || pipeline";

/// The columns of a [`Waiting`], packed.
const WAITING: &str = "concat_ws('\u{1f}', id, pipeline, priority, COALESCE(CAST(concurrency AS TEXT), ''), origin,
    COALESCE(CAST(of_series AS TEXT), ''), services)";

/// Of each queue, this many are looked at where limits hold some of them up: others could go. Nobody else takes any meanwhile.
const HEAD: usize = 16;

impl Store {
    /// Takes up to `want` runs for the replica `owner`: first those whose replica is gone, then queued ones.
    /// Its own runs it does not take from itself, even if their leases are over: the clock may have jumped.
    ///
    /// # Errors
    /// As [`Store::ping`].
    pub async fn claim(&self, owner: &str, lease: Duration, want: usize, limits: &Limits) -> Result<Taken, StoreError> {
        let mut tx = self.writer.begin().await?;
        let taken = self.take_next(&mut tx, owner, lease, want, limits).await;
        if taken.as_ref().is_ok_and(|taken| taken.claims.is_empty()) {
            // Nothing is written, and nobody is told of news.
            return taken;
        }
        let taken = self.writer.end(tx, taken).await?;
        taken.claims.iter().for_each(|claim| self.turns().took(&claim.run.pipeline));
        Ok(taken)
    }

    async fn take_next(
        &self,
        tx: &mut Tx,
        owner: &str,
        lease: Duration,
        want: usize,
        limits: &Limits,
    ) -> Result<Taken, StoreError> {
        if let Some(lock) = self.dialect.lock_queue() {
            sqlx::query(lock).execute(tx.at().await?).await?;
        }
        let Look { under_way, abandoned, mut queues } = self.look(tx, owner).await?;
        let mut claims = Vec::new();
        for id in abandoned.iter().take(want) {
            let Some(from) = self.still_abandoned(tx, owner, id).await? else { continue };
            let sql = "UPDATE attempts SET state = 'lost', ended_at = {now} WHERE run_id = $1 AND state = 'running'";
            sqlx::query(self.sql(sql)).bind(id).execute(tx.at().await?).await?;
            claims.extend(self.take(tx, owner, lease, id, from).await?);
        }
        let want = want.saturating_sub(claims.len());
        let room = limits.runs.saturating_sub(under_way.len());
        if want == 0 || room == 0 {
            return Ok(Taken { claims, left: true });
        }
        let want = want.min(room);
        // One more tells whether others wait. There are few lengths, so that the statements stay prepared.
        let mut head = (want + 1).next_power_of_two();
        let (mut waiting, mut seen) = (Vec::new(), Vec::new());
        let choice = loop {
            let choice = choose(&waiting, &queues, &under_way, limits, &self.turns(), want);
            let more = looked_into(&mut queues, &choice);
            if !more.is_empty() {
                waiting.extend(self.waiting(tx, &more, head).await?);
                seen.extend(more);
            } else if choice.held_back && head < HEAD && waiting.len() >= head {
                head = HEAD;
                waiting = self.waiting(tx, &seen, head).await?;
            } else {
                break choice;
            }
        };
        // Those that runs of their schedule hold back are not even looked at.
        let all_go = choice.runs.len() == waiting.len() && queues.is_empty();
        let left = !all_go || under_way.iter().any(|run| run.series.is_some());
        for id in choice.runs {
            claims.extend(self.take(tx, owner, lease, &id, From::QUEUE).await?);
        }
        Ok(Taken { claims, left })
    }

    /// Why no replica may take a queued run yet, in words: the time of its next attempt, or what must end before. Nothing for
    /// one that is not queued, or may be taken.
    ///
    /// # Errors
    /// As [`Store::ping`].
    pub async fn waits_for(&self, id: &str, limits: &Limits) -> Result<Option<String>, StoreError> {
        let sql = format!(
            "SELECT {WAITING} AS run, not_before - {{now}} AS pause, CASE WHEN {OVERTAKES} THEN 1 ELSE 0 END AS overtakes
             FROM runs r WHERE state = 'queued' AND id = $1"
        );
        let Some(row) = sqlx::query(self.sql(&sql)).bind(id).fetch_optional(&self.reader).await? else {
            return Ok(None);
        };
        let (run, pause) = (waiting_row(&row)?, row.try_get::<i64, _>("pause")?);
        if pause > 0 {
            return Ok(Some(format!("its next attempt is due in {} s", pause.unsigned_abs().div_ceil(1000))));
        }
        if row.try_get::<i64, _>("overtakes")? != 0 {
            let schedule = run.series.unwrap_or_default();
            return Ok(Some(format!("an earlier run of the schedule {schedule} waits for its next attempt")));
        }
        let sql = format!(
            "SELECT {WAITING} AS run FROM runs {{along runs_under_way}} WHERE state IN ('running', 'cancelling') AND id <> $1"
        );
        let under_way = sqlx::query(self.sql(&sql)).bind(id).fetch_all(&self.reader).await?;
        let under_way = under_way.iter().map(waiting_row).collect::<Result<Vec<_>, _>>()?;
        Ok(waits_for(&run, &under_way, limits))
    }

    fn turns(&self) -> MutexGuard<'_, Turns> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn look(&self, tx: &mut Tx, owner: &str) -> Result<Look, StoreError> {
        // Steps from the head of a queue to that of the next along the index, however long they are. (PostgreSQL may keep a plan
        // from when they were empty: as a join, or for `MIN`, it would read all of them.)
        let sql = format!(
            "WITH RECURSIVE heads (id) AS (
               SELECT (SELECT id FROM runs {{along runs_queued}} WHERE state = 'queued'
                       ORDER BY {QUEUE_OF}, priority DESC, id LIMIT 1)
               UNION ALL
               SELECT (SELECT id FROM runs {{along runs_queued}} WHERE state = 'queued'
                         AND {QUEUE_OF} > (SELECT {QUEUE_OF} FROM runs WHERE id = heads.id)
                       ORDER BY {QUEUE_OF}, priority DESC, id LIMIT 1)
               FROM heads WHERE heads.id IS NOT NULL
             ) SELECT
               (SELECT string_agg(
                  concat_ws('{BETWEEN_VALUES}', CASE WHEN lease_until < {{now}} AND owner <> $1 THEN 1 ELSE 0 END, {WAITING}),
                  '{BETWEEN_ROWS}')
                FROM runs {{along runs_under_way}} WHERE state IN ('running', 'cancelling')) AS under_way,
               (SELECT string_agg(
                  (SELECT concat_ws('{BETWEEN_VALUES}', pipeline, priority, id, services, {QUEUE_OF}) FROM runs WHERE id = heads.id),
                  '{BETWEEN_ROWS}')
                FROM heads WHERE heads.id IS NOT NULL) AS queues"
        );
        let mut statements = self.statements();
        statements.add(&sql, [owner.into()]);
        let mut look = Look::default();
        for row in tx.each(statements).await?.iter().flatten() {
            let (under_way, queues): (Option<String>, Option<String>) =
                (row.try_get("under_way")?, row.try_get("queues")?);
            for mut values in under_way.iter().flat_map(|runs| packed::rows(runs)) {
                let (abandoned, run) = (values.number()?, waiting(values)?);
                if abandoned != 0 {
                    look.abandoned.push(run.id.clone());
                }
                look.under_way.push(run);
            }
            look.queues = queues.iter().flat_map(|queues| packed::rows(queues)).map(queue).collect::<Result<_, _>>()?;
        }
        look.abandoned.sort_unstable();
        Ok(look)
    }

    /// What such a run is taken from, once its row is held; nothing if it has ended, or its replica has come back, since it
    /// was looked for. Only those who take runs wait for each other: those who end, cancel or prolong them do not.
    async fn still_abandoned(&self, tx: &mut Tx, owner: &str, id: &str) -> Result<Option<From>, StoreError> {
        let sql = format!(
            "SELECT state, owner FROM runs WHERE id = $1 AND state IN ('running', 'cancelling') AND lease_until < {{now}}
               AND owner <> $2 {}",
            self.dialect.hold()
        );
        let row = sqlx::query(self.sql(&sql)).bind(id).bind(owner).fetch_optional(tx.at().await?).await?;
        let from = |row: AnyRow| {
            let lost = row.try_get::<String, _>("owner")? != NOBODYS_LEASE.0;
            Ok(From { state: super::read::state(&row)?, lost })
        };
        row.map(from).transpose()
    }

    /// The heads of these queues, without those whose schedule or backfill lets no more run: they could be the whole head, and
    /// hold up all others.
    async fn waiting(&self, tx: &mut Tx, queues: &[Queue], head: usize) -> Result<Vec<Waiting>, StoreError> {
        // As an argument, the limit would make SQLite plan anew each time; so it is with the others in this folder.
        let sql = format!(
            "SELECT {WAITING} AS run FROM runs r {{along runs_queued}}
             WHERE state = 'queued' AND {QUEUE_OF} = $1 AND not_before <= {{now}}
               AND (of_series IS NULL OR of_series > (
                 SELECT COUNT(*) FROM runs u {{along runs_under_way}}
                 WHERE u.state IN ('running', 'cancelling') AND (u.origin = r.origin
                   OR r.origin NOT LIKE 'backfill:%'
                     AND u.origin IN ('schedule:' || substr(r.origin, 10), 'catch-up:' || substr(r.origin, 10)))))
               AND NOT {OVERTAKES} ORDER BY priority DESC, id LIMIT {head}"
        );
        let mut all = Vec::new();
        for some in queues.chunks(TOGETHER) {
            let mut statements = self.statements();
            some.iter().for_each(|queue| statements.add(&sql, [(&queue.name).into()]));
            for row in tx.each(statements).await?.iter().flatten() {
                all.push(waiting_row(row)?);
            }
        }
        Ok(all)
    }

    /// Takes a run, unless it has become something else since it was looked for.
    async fn take(
        &self,
        tx: &mut Tx,
        owner: &str,
        lease: Duration,
        id: &str,
        From { state, lost }: From,
    ) -> Result<Option<Claim>, StoreError> {
        let taken = Instant::now();
        let (cancelling, lost) = (state == RunState::Cancelling, i64::from(lost));
        // The state it is taken from is no argument: for a new argument SQLite would look again which indexes it may use.
        let sql = format!(
            "UPDATE runs SET state = $2, owner = $3, lease_until = {{now}} + $4, fence = fence + 1, attempt = attempt + 1,
               tries = tries + $5, reuse = CASE WHEN $5 = 1 THEN 1 ELSE reuse END,
               started_at = COALESCE(started_at, {{now}}), event_seq = event_seq + 1,
               paused_ms = paused_ms + COALESCE({{now}} - (SELECT MAX(ended_at) FROM attempts WHERE run_id = $1), 0)
             WHERE id = $1 AND state = '{state}'
             RETURNING id, attempt, event_seq, fence, tries, reuse, traceparent, {{run}},
               (SELECT body FROM definitions WHERE hash = definition) AS body"
        );
        let now_in = if cancelling { "cancelling" } else { "running" };
        let mut statements = self.statements();
        statements.add_main(&sql, [id.into(), now_in.into(), owner.into(), millis(lease).into(), lost.into()]);
        statements.add(
            "INSERT INTO attempts (run_id, attempt, owner, state, started_at)
             SELECT id, attempt, $2, 'running', {now} FROM {changed}",
            [id.into(), owner.into()],
        );
        let kind = if lost == 1 { "taken_over" } else { "started" };
        statements.add_beginning(id, kind, owner);
        let Some(row) = tx.change(statements).await?.pop() else { return Ok(None) };
        let run = run_row(&row)?;
        Ok(Some(Claim {
            lease: Lease { run: id.to_owned(), fence: row.try_get("fence")? },
            taken,
            run,
            definition: row.try_get("body")?,
            tries: row.try_get("tries")?,
            reuse: row.try_get::<i64, _>("reuse")? != 0,
            traceparent: row.try_get("traceparent")?,
            cancelling,
        }))
    }

    /// Prolongs the leases of a replica's runs, all at once. Says which runs are still its own, and whether their end
    /// was asked for.
    ///
    /// # Errors
    /// As [`Store::ping`].
    pub async fn heartbeat(&self, owner: &str, lease: Duration) -> Result<Vec<(Lease, RunState)>, StoreError> {
        self.write(async |tx| {
            let rows = sqlx::query(self.sql(
                "UPDATE runs SET lease_until = {now} + $2 WHERE owner = $1 AND state IN ('running', 'cancelling')
                 RETURNING id, fence, state",
            ));
            let rows = rows.bind(owner).bind(millis(lease)).fetch_all(tx.at().await?).await?;
            rows.iter().map(held).collect()
        })
        .await
    }

    /// As [`Store::heartbeat`], and prolongs nothing.
    ///
    /// # Errors
    /// As [`Store::ping`].
    pub async fn held_by(&self, owner: &str) -> Result<Vec<(Lease, RunState)>, StoreError> {
        let rows =
            sqlx::query("SELECT id, fence, state FROM runs WHERE state IN ('running', 'cancelling') AND owner = $1");
        rows.bind(owner).fetch_all(&self.reader).await?.iter().map(held).collect()
    }
}

fn held(row: &AnyRow) -> Result<(Lease, RunState), StoreError> {
    let lease = Lease { run: row.try_get("id")?, fence: row.try_get("fence")? };
    Ok((lease, super::read::state(row)?))
}

fn queue(mut values: Values<'_>) -> Result<Queue, StoreError> {
    let pipeline = values.text()?.to_owned();
    let (priority, id) = (values.number()?, values.text()?.to_owned());
    Ok(Queue { pipeline, priority, id, services: values.json("services")?, name: values.text()?.to_owned() })
}

fn waiting_row(row: &AnyRow) -> Result<Waiting, StoreError> {
    waiting(Values::of(row.try_get("run")?))
}

fn waiting(mut values: Values<'_>) -> Result<Waiting, StoreError> {
    let most = |most: Option<i64>| most.and_then(|most| usize::try_from(most).ok());
    Ok(Waiting {
        id: values.text()?.to_owned(),
        pipeline: values.text()?.to_owned(),
        priority: values.number()?,
        concurrency: most(values.number_or_none()?),
        series: Waiting::series_of(values.text()?),
        of_series: most(values.number_or_none()?),
        services: values.json("services")?,
    })
}
