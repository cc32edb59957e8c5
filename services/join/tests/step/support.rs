//! What the tests share: a join run on two literals, its rows as sorted text, and waiting for what it lets go of.

use arrow::array::{Array, RecordBatch};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use flight_common::testing::{Bench, Ran};
use flight_common::{Fault, MemoryBudget};
use join::Join;
use serde_json::Value;
use std::time::Duration;

/// Runs a join.
pub async fn run(bench: &Bench, params: Value, left: &RecordBatch, right: &RecordBatch) -> Result<Ran, Fault> {
    bench.run(Join, params, &[left.clone(), right.clone()]).await
}

/// The rows as text, sorted: `1|a|null`.
pub fn sorted_rows(batch: &RecordBatch) -> Vec<String> {
    let options = FormatOptions::default().with_null("null");
    let format = |column| ArrayFormatter::try_new(column, &options).expect("a printable type");
    let columns: Vec<ArrayFormatter> =
        batch.columns().iter().map(|column| format(column.as_ref() as &dyn Array)).collect();
    let row = |row| columns.iter().map(|column| column.value(row).to_string()).collect::<Vec<_>>().join("|");
    let mut rows: Vec<String> = (0..batch.num_rows()).map(row).collect();
    rows.sort();
    rows
}

/// Waits until something holds: tasks that are cancelled let go of what they hold at their next await.
pub async fn until(what: &str, holds: impl Fn() -> bool) {
    let wait = async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait).await.expect(what);
}

/// Waits until all memory has been given back.
pub async fn given_back(budget: &MemoryBudget) {
    until("all memory is given back", || budget.used() == 0).await;
}
