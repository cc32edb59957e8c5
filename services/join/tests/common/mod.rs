//! What the tests share: a join run on two literals, and its rows as sorted text.

use arrow::array::{Array, RecordBatch};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use flight_common::Fault;
use flight_common::testing::{Bench, Ran};
use join::Join;
use serde_json::Value;

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
