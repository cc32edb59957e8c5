//! Outputs kept on the data root, what loads have committed, and what steps did: what a later attempt need not do again.

use super::statements::Statements;
use super::{Lease, Store, StoreError, Tx, json};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sqlx::Row;
use sqlx::any::AnyRow;
use std::collections::HashMap;
use std::time::Duration;

/// An output of a step, kept as an Arrow IPC stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct KeptOutput {
    /// The run.
    pub run_id: String,
    /// The step, by its id in the pipeline.
    pub step: String,
    /// The output.
    pub output: String,
    /// What it depends on: see `docs/runs.md`.
    pub fingerprint: String,
    /// The file, relative to the data root.
    pub path: String,
    /// Its rows.
    pub rows: i64,
    /// The bytes of the file.
    pub bytes: i64,
    /// The SHA-256 of the file.
    pub checksum: String,
    /// When it was kept: milliseconds since 1970.
    pub created_at: i64,
}

impl KeptOutput {
    /// What to say where a run has none.
    pub const NONE: &'static str = "a step with `checkpoint: true` keeps its output, until the service's time or room for \
                                    such is over";
}

/// A load that has committed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Committed {
    /// The step, by its id in the pipeline.
    pub step: String,
    /// What it depends on.
    pub fingerprint: String,
    /// What it wrote.
    #[schema(value_type = Object)]
    pub receipt: Value,
    /// The version of the file that it wrote, as `ETag` has it; nothing if that is not known, or it wrote none.
    #[serde(default)]
    pub tag: Option<String>,
}

/// What a step did that has ended well.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// The step, by its id in the pipeline.
    pub step: String,
    /// The attempt in which it did it; whoever notes it need not say it.
    pub attempt: i64,
    /// What it depends on.
    pub fingerprint: String,
    /// Its rows, bytes and counters.
    pub figures: Value,
}

impl Told {
    fn add_to(&self, statements: &mut Statements, run: &str) {
        statements.add(
            "INSERT INTO told (run_id, step, attempt, fingerprint, figures) SELECT id, $2, attempt, $3, $4 FROM {changed}
             ON CONFLICT (run_id, step) DO UPDATE SET attempt = excluded.attempt, fingerprint = excluded.fingerprint,
               figures = excluded.figures",
            [run.into(), (&self.step).into(), (&self.fingerprint).into(), self.figures.to_string().into()],
        );
    }
}

/// A run that is over, and stays so until this is released: whoever resumes it waits. All of it is on the disk.
pub struct Over {
    /// What it has kept.
    pub kept: Vec<KeptOutput>,
    tx: Tx,
}

impl Over {
    /// Lets others go on.
    pub fn release(self) {
        drop(self.tx);
    }
}

impl Store {
    /// Holds a run that is over. Nothing if it is not, or if there is no such run.
    ///
    /// # Errors
    /// As [`Store::ping`].
    pub async fn over(&self, run: &str) -> Result<Option<Over>, StoreError> {
        let mut tx = self.writer.begin_alone().await?;
        match self.locked(&mut tx, run).await {
            Ok(state) if state.is_final() => {}
            Ok(_) | Err(StoreError::NotFound(_)) => return Ok(None),
            Err(error) => return Err(error),
        }
        let rows = sqlx::query("SELECT * FROM kept WHERE run_id = $1").bind(run).fetch_all(tx.at().await?).await?;
        Ok(Some(Over { kept: rows.iter().map(kept).collect::<Result<_, _>>()?, tx }))
    }

    /// Notes that an output was kept, in place of an earlier one.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`] if the run belongs to another replica now.
    pub async fn keep(&self, lease: &Lease, kept: &KeptOutput) -> Result<(), StoreError> {
        let mut statements = self.if_held(lease);
        statements.add(
            "INSERT INTO kept (run_id, step, output, fingerprint, path, row_count, bytes, checksum, created_at)
             SELECT id, $2, $3, $4, $5, $6, $7, $8, {now} FROM {changed}
             ON CONFLICT (run_id, step, output) DO UPDATE SET fingerprint = excluded.fingerprint, path = excluded.path,
               row_count = excluded.row_count, bytes = excluded.bytes, checksum = excluded.checksum,
               created_at = excluded.created_at",
            [
                (&lease.run).into(),
                (&kept.step).into(),
                (&kept.output).into(),
                (&kept.fingerprint).into(),
                (&kept.path).into(),
                kept.rows.into(),
                kept.bytes.into(),
                (&kept.checksum).into(),
            ],
        );
        self.do_if_held(lease, statements).await
    }

    /// Notes that a load has committed, what it did and what it wrote, and of a file its version.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`] if the run belongs to another replica now.
    pub async fn committed(
        &self,
        lease: &Lease,
        told: &Told,
        receipt: &Value,
        tag: Option<&str>,
    ) -> Result<(), StoreError> {
        let mut statements = self.if_held(lease);
        statements.add(
            "INSERT INTO commits (run_id, step, fingerprint, receipt, tag, created_at)
             SELECT id, $2, $3, $4, $5, {now} FROM {changed}
             ON CONFLICT (run_id, step) DO UPDATE SET fingerprint = excluded.fingerprint, receipt = excluded.receipt,
               tag = excluded.tag, created_at = excluded.created_at",
            [
                (&lease.run).into(),
                (&told.step).into(),
                (&told.fingerprint).into(),
                receipt.to_string().into(),
                tag.into(),
            ],
        );
        told.add_to(&mut statements, &lease.run);
        self.do_if_held(lease, statements).await
    }

    /// Notes what a step did.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`] if the run belongs to another replica now.
    pub async fn tell(&self, lease: &Lease, told: &Told) -> Result<(), StoreError> {
        let mut statements = self.if_held(lease);
        told.add_to(&mut statements, &lease.run);
        self.do_if_held(lease, statements).await
    }

    /// Calls what steps of a run have kept, committed and told otherwise: by what they are called, the fingerprint of what they did,
    /// and their names from now on. What was called so before, and is not renamed, is forgotten. Of what was committed an event
    /// tells it.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`] if the run belongs to another replica now.
    pub async fn rename_steps(
        &self,
        lease: &Lease,
        names: &HashMap<(String, String), String>,
    ) -> Result<(), StoreError> {
        /// What no step is called: by it, names can be exchanged.
        const PASSING: &str = "\u{1}";
        self.write(async |tx| {
            self.held(tx, lease).await?;
            let mut loads = Map::new();
            for table in ["kept", "commits", "told"] {
                let pass = format!("UPDATE {table} SET step = $4 WHERE run_id = $1 AND step = $2 AND fingerprint = $3");
                for ((old, print), name) in names {
                    let pass = sqlx::query(self.sql(&pass)).bind(&lease.run).bind(old).bind(print);
                    let passed = pass.bind(format!("{PASSING}{name}")).execute(tx.at().await?).await?;
                    if table == "commits" && passed.rows_affected() > 0 {
                        loads.insert(old.clone(), name.as_str().into());
                    }
                }
                let make_room = format!("DELETE FROM {table} WHERE run_id = $1 AND step = $2");
                let arrive = format!("UPDATE {table} SET step = $2 WHERE run_id = $1 AND step = $3");
                for name in names.values() {
                    let make_room = sqlx::query(self.sql(&make_room)).bind(&lease.run).bind(name);
                    make_room.execute(tx.at().await?).await?;
                    let arrive = sqlx::query(self.sql(&arrive)).bind(&lease.run).bind(name);
                    arrive.bind(format!("{PASSING}{name}")).execute(tx.at().await?).await?;
                }
            }
            if !loads.is_empty() {
                self.event(tx, &lease.run, "renamed", &json!({ "loads": loads })).await?;
            }
            Ok(())
        })
        .await
    }

    /// Statements for a run that this lease still holds: so far only the main one, which finds its `id` and its `attempt`, and
    /// holds its row.
    pub(super) fn if_held(&self, lease: &Lease) -> Statements {
        let mut statements = self.statements();
        let sql = format!(
            "SELECT id, attempt FROM runs WHERE id = $1 AND fence = $2 AND state IN ('running', 'cancelling') {}",
            self.dialect.hold()
        );
        statements.add_main(&sql, [(&lease.run).into(), lease.fence.into()]);
        statements
    }

    /// Does what begins with [`Store::if_held`].
    pub(super) async fn do_if_held(&self, lease: &Lease, statements: Statements) -> Result<(), StoreError> {
        let held = self.writer.at_once(statements).await?;
        held.first().map(|_| ()).ok_or_else(|| StoreError::LeaseLost(lease.run.clone()))
    }

    /// What a run has kept, in the order in which it was.
    ///
    /// # Errors
    /// As [`Store::ping`].
    pub async fn kept(&self, run: &str) -> Result<Vec<KeptOutput>, StoreError> {
        let rows = sqlx::query("SELECT * FROM kept WHERE run_id = $1 ORDER BY created_at, step, output").bind(run);
        rows.fetch_all(&self.reader).await?.iter().map(kept).collect()
    }

    /// Of each output of each step the newest that was kept, with the name of its pipeline: of all pipelines, or of one.
    ///
    /// # Errors
    /// As [`Store::ping`].
    pub async fn newest_kept(&self, pipeline: Option<&str>) -> Result<Vec<(String, KeptOutput)>, StoreError> {
        let only = if pipeline.is_some() { "WHERE r.pipeline = $1" } else { "" };
        let sql = self.sql(&format!(
            "SELECT k.*, newest.pipeline FROM kept k JOIN (
               SELECT r.pipeline AS pipeline, k.step AS step, k.output AS output, MAX(k.run_id) AS run_id
               FROM kept k JOIN runs r ON r.id = k.run_id {only} GROUP BY r.pipeline, k.step, k.output
             ) newest ON newest.run_id = k.run_id AND newest.step = k.step AND newest.output = k.output
             ORDER BY k.run_id DESC, k.created_at, k.step, k.output"
        ));
        let rows = pipeline.into_iter().fold(sqlx::query(sql), |query, pipeline| query.bind(pipeline));
        let rows = rows.fetch_all(&self.reader).await?;
        rows.iter().map(|row| Ok((row.try_get("pipeline")?, kept(row)?))).collect()
    }

    /// What the loads of a run have committed.
    ///
    /// # Errors
    /// As [`Store::ping`].
    pub async fn commits(&self, run: &str) -> Result<Vec<Committed>, StoreError> {
        let rows = sqlx::query("SELECT step, fingerprint, receipt, tag FROM commits WHERE run_id = $1 ORDER BY step");
        let committed = |row: &AnyRow| {
            Ok(Committed {
                step: row.try_get("step")?,
                fingerprint: row.try_get("fingerprint")?,
                receipt: json(row, "receipt")?,
                tag: row.try_get("tag")?,
            })
        };
        rows.bind(run).fetch_all(&self.reader).await?.iter().map(committed).collect()
    }

    /// What the steps of a run did when they were last done, those of which it was noted.
    ///
    /// # Errors
    /// As [`Store::ping`].
    pub async fn told(&self, run: &str) -> Result<Vec<Told>, StoreError> {
        let rows = sqlx::query("SELECT step, attempt, fingerprint, figures FROM told WHERE run_id = $1 ORDER BY step");
        let told = |row: &AnyRow| {
            Ok(Told {
                step: row.try_get("step")?,
                attempt: row.try_get("attempt")?,
                fingerprint: row.try_get("fingerprint")?,
                figures: json(row, "figures")?,
            })
        };
        rows.bind(run).fetch_all(&self.reader).await?.iter().map(told).collect()
    }

    /// Forgets outputs of runs that have ended: those of runs that ended longer ago than `age`, and the oldest of those beyond `bytes` in all.
    /// Returns them; their files can go then.
    ///
    /// # Errors
    /// As [`Store::ping`].
    pub async fn expire(&self, age: Duration, bytes: u64) -> Result<Vec<KeptOutput>, StoreError> {
        self.write(async |tx| {
            let rows = sqlx::query(self.sql(
                "SELECT k.*, CASE WHEN r.ended_at < {now} - $1 THEN 1 ELSE 0 END AS old FROM kept k
                 JOIN runs r ON r.id = k.run_id WHERE r.state IN ('done', 'failed', 'cancelled')
                 ORDER BY k.created_at DESC, k.run_id DESC, k.step",
            ));
            let rows = rows.bind(super::millis(age)).fetch_all(tx.at().await?).await?;
            let mut room = i64::try_from(bytes).unwrap_or(i64::MAX);
            let mut expired = Vec::new();
            for row in &rows {
                let one = kept(row)?;
                room = room.saturating_sub(one.bytes);
                if row.try_get::<i64, _>("old")? == 1 || room < 0 {
                    sqlx::query("DELETE FROM kept WHERE run_id = $1 AND step = $2 AND output = $3")
                        .bind(&one.run_id)
                        .bind(&one.step)
                        .bind(&one.output)
                        .execute(tx.at().await?)
                        .await?;
                    expired.push(one);
                }
            }
            Ok(expired)
        })
        .await
    }
}

fn kept(row: &AnyRow) -> Result<KeptOutput, StoreError> {
    Ok(KeptOutput {
        run_id: row.try_get("run_id")?,
        step: row.try_get("step")?,
        output: row.try_get("output")?,
        fingerprint: row.try_get("fingerprint")?,
        path: row.try_get("path")?,
        rows: row.try_get("row_count")?,
        bytes: row.try_get("bytes")?,
        checksum: row.try_get("checksum")?,
        created_at: row.try_get("created_at")?,
    })
}
