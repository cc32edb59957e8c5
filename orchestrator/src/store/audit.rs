//! What ran: a record for each step of each attempt, written with the end of the attempt.

use super::statements::Statements;
use super::{Lease, Store, StoreError, json};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// What one step of one attempt did. Parameters are as the pipeline has them: a secret is its name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AuditRecord {
    /// When it was written down, as RFC 3339 has it.
    pub at: String,
    /// The run.
    pub run_id: String,
    /// The attempt, from 1.
    pub attempt: i64,
    /// The pipeline's name.
    pub pipeline: String,
    /// The SHA-256 of its text.
    pub definition: String,
    /// Values that the run gave the pipeline's parameters.
    #[schema(value_type = Object)]
    pub arguments: BTreeMap<String, Value>,
    /// Who asked for the run.
    pub submitted_by: String,
    /// Where it came from.
    pub origin: String,
    /// Its trace.
    pub trace_id: Option<String>,
    /// The step's id in the pipeline.
    pub id: String,
    /// The step that was called.
    pub step: String,
    /// Its version.
    pub version: String,
    /// Its parameters.
    #[schema(value_type = Object)]
    pub params: Value,
    /// What identified its source when it was planned.
    pub source: Option<String>,
    /// How it ended; `lost` where nobody knows, as its replica was gone.
    pub status: String,
    /// Rows that reached it.
    pub rows_in: u64,
    /// Rows of its main output.
    pub rows_out: u64,
    /// The columns of its main output, each with its type.
    pub columns: Option<Vec<String>>,
    /// From start to end.
    pub duration_ms: f64,
    /// Its own figures.
    pub counters: BTreeMap<String, u64>,
    /// What a load wrote.
    #[schema(value_type = Option<Object>)]
    pub receipt: Option<Value>,
    /// Why it failed.
    #[schema(value_type = Option<Object>)]
    pub fault: Option<Value>,
}

impl AuditRecord {
    /// The status of a step of which nobody knows how it ended.
    pub const LOST: &str = "lost";
}

/// So many records are one statement, however many there are: a text for each number of them is kept prepared.
const RECORDS: usize = 64;

impl Store {
    /// What ran in a run, attempt by attempt, in the order of the plan.
    ///
    /// # Errors
    /// As [`Store::ping`].
    pub async fn audit(&self, run: &str) -> Result<Vec<AuditRecord>, StoreError> {
        let rows = sqlx::query("SELECT record FROM audit WHERE run_id = $1 ORDER BY attempt, place").bind(run);
        rows.fetch_all(&self.reader).await?.iter().map(|row| json(row, "record")).collect()
    }
}

impl Store {
    /// Writes down what ran in an earlier attempt.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`] if the run belongs to another replica now.
    pub async fn write_down(&self, lease: &Lease, records: &[AuditRecord]) -> Result<(), StoreError> {
        let mut statements = self.if_held(lease);
        statements.add_audit(&lease.run, records)?;
        self.do_if_held(lease, statements).await
    }
}

impl Statements {
    /// Writes down what ran in the run that the main statement finds.
    pub(super) fn add_audit(&mut self, run: &str, records: &[AuditRecord]) -> Result<(), StoreError> {
        for (part, records) in records.chunks(RECORDS).enumerate() {
            let rows: Vec<String> = (0..records.len())
                .map(|row| format!("SELECT id, ${}, ${}, ${} FROM {{changed}}", 3 * row + 2, 3 * row + 3, 3 * row + 4))
                .collect();
            let sql = format!(
                "INSERT INTO audit (run_id, attempt, place, record) {}
                 ON CONFLICT (run_id, attempt, place) DO UPDATE SET record = excluded.record",
                rows.join(" UNION ALL ")
            );
            let mut values = vec![run.into()];
            for (place, record) in records.iter().enumerate() {
                let text = serde_json::to_string(record).map_err(|error| StoreError::Corrupt(error.to_string()))?;
                values.extend([record.attempt.into(), ((part * RECORDS + place) as i64).into(), text.into()]);
            }
            self.add(&sql, values);
        }
        Ok(())
    }
}
