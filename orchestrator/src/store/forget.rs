//! Runs that ended long ago are forgotten, with all that was written down of them.

use super::{Store, StoreError};
use sqlx::Row;
use std::time::Duration;

/// What belongs to a run, and the run itself after it.
const ALL_OF_IT: [&str; 6] = [
    "DELETE FROM events WHERE run_id = $1",
    "DELETE FROM attempts WHERE run_id = $1",
    "DELETE FROM commits WHERE run_id = $1",
    "DELETE FROM told WHERE run_id = $1",
    "DELETE FROM audit WHERE run_id = $1",
    "DELETE FROM runs WHERE id = $1",
];

impl Store {
    /// Forgets up to `most` runs that ended longer than `age` ago, the oldest first, and texts that no run and no pipeline
    /// has any more. Runs whose outputs are still kept, or of which somebody is still to be told, stay. Returns how many
    /// were forgotten.
    ///
    /// # Errors
    /// As [`Store::ping`].
    pub async fn forget(&self, age: Duration, most: usize) -> Result<usize, StoreError> {
        self.write(async |tx| {
            let old = format!(
                "SELECT id FROM runs {{along runs_by_end}} WHERE ended_at < {{now}} - $1 AND state IN ('done', 'failed', 'cancelled')
                   AND NOT EXISTS (SELECT 1 FROM kept WHERE kept.run_id = runs.id)
                   AND NOT EXISTS (SELECT 1 FROM outbox WHERE outbox.run_id = runs.id)
                 ORDER BY ended_at LIMIT {most}"
            );
            let old = sqlx::query(self.sql(&old)).bind(super::millis(age)).fetch_all(tx.at().await?).await?;
            let ids: Vec<String> = old.iter().map(|row| row.try_get("id")).collect::<Result<_, _>>()?;
            for id in &ids {
                // Somebody may have resumed it meanwhile.
                if self.locked(tx, id).await?.is_final() {
                    for statement in ALL_OF_IT {
                        sqlx::query(statement).bind(id).execute(tx.at().await?).await?;
                    }
                }
            }
            if !ids.is_empty() {
                sqlx::query(self.sql(
                    "DELETE FROM definitions WHERE created_at < {now} - $1
                       AND NOT EXISTS (SELECT 1 FROM runs WHERE runs.definition = definitions.hash)
                       AND NOT EXISTS (SELECT 1 FROM pipeline_versions v WHERE v.definition = definitions.hash)",
                ))
                .bind(super::millis(age))
                .execute(tx.at().await?)
                .await?;
            }
            Ok(ids.len())
        })
        .await
    }
}
