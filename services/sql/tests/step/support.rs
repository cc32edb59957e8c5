//! A query in a line.

use arrow::array::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use flight_common::testing::{Bench, Ran};
use flight_common::{Fault, FaultKind};
use serde_json::json;
use sql::Sql;

/// Asks of these tables.
pub async fn ask_on(bench: Bench, query: &str, tables: &[(&str, RecordBatch)]) -> Result<Ran, Fault> {
    let names: Vec<&str> = tables.iter().map(|(name, _)| *name).collect();
    let rows: Vec<RecordBatch> = tables.iter().map(|(_, rows)| rows.clone()).collect();
    bench.called(&names).run(Sql, json!({"query": query}), &rows).await
}

/// Asks of one table, called `input`.
pub async fn ask(query: &str, input: &RecordBatch) -> RecordBatch {
    match ask_on(Bench::new(), query, &[("input", input.clone())]).await {
        Ok(ran) => ran.rows(),
        Err(fault) => panic!("{query}: {fault:?}"),
    }
}

/// The rows as texts, `∅` for null, in order.
pub fn shown(rows: &RecordBatch) -> Vec<String> {
    let options = FormatOptions::default().with_null("∅");
    let columns: Vec<_> =
        rows.columns().iter().map(|column| ArrayFormatter::try_new(column, &options).expect("shown")).collect();
    let line = |row| columns.iter().map(|column| column.value(row).to_string()).collect::<Vec<_>>().join("|");
    (0..rows.num_rows()).map(line).collect()
}

/// The fault that a query over one table is refused with when it is planned, which points to the query.
pub async fn refused(query: &str, input: &RecordBatch) -> Fault {
    let fault = ask_on(Bench::new(), query, &[("input", input.clone())]).await.expect_err(query);
    assert!(matches!(fault.kind(), FaultKind::BadParams | FaultKind::BadSchema), "{query}: {fault:?}");
    assert_eq!(fault.violations().first().map(|one| one.pointer.as_str()), Some("/query"), "{query}: {fault:?}");
    fault
}
