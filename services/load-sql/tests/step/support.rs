//! The step run against a database.

use arrow::array::RecordBatch;
use flight_common::registry::erase;
use flight_common::testing::{Bench, Ran, batch};
use flight_common::{BatchStream, Fault};
use futures::{StreamExt, stream};
use load_sql::LoadSql;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use test_servers::Database;

/// A database that is loaded into.
pub trait Loaded: Database {
    /// Loads these rows into the table `t`.
    async fn load(&self, more: Value, rows: &RecordBatch) -> Result<Ran, Fault> {
        Bench::new().run(LoadSql::default(), params(self.url(), more), std::slice::from_ref(rows)).await
    }

    /// The fault of rows that cannot be loaded.
    async fn refused(&self, more: Value, rows: &RecordBatch) -> Fault {
        self.load(more, rows).await.expect_err("refused")
    }
}

impl<D: Database> Loaded for D {}

/// Two rows.
pub fn people() -> RecordBatch {
    batch!("id" => Int64Array [1, 2], "name" => StringArray [Some("Ann"), None])
}

/// Rows that a run has appended are not appended again, and others are a fault; another run appends its own.
pub async fn assert_appends_are_safe_to_repeat(database: &impl Database) {
    let count = "SELECT count(*) FROM t";
    for _ in 0..3 {
        database.load(json!({}), &people()).await.expect("loaded once");
        assert_eq!(database.figure(count).await, 2);
    }
    let fault = database.refused(json!({}), &batch!("id" => Int64Array [3], "name" => StringArray ["Bo"])).await;
    assert!(fault.message().contains("has appended other rows"), "{fault}");
    let another = Bench::new().of_run("another");
    for _ in 0..2 {
        another.run(LoadSql::default(), params(database.url(), json!({})), &[people()]).await.expect("it adds its own");
    }
    assert_eq!(database.figure(count).await, 4);
}

/// An input that ends with a fault after some rows: the fault is told as it is.
pub async fn load_what_fails(database: &impl Database, more: Value) {
    let items = stream::iter([Ok(people()), Ok(people())])
        .chain(stream::once(async { Err(Fault::upstream("the source is gone")) }));
    let input = BatchStream::new(people().schema(), items);
    let ran = Bench::new().run_streams(LoadSql::default(), params(database.url(), more), vec![input]).await;
    assert_eq!(ran.expect_err("the input's fault").message(), "the source is gone");
}

/// A table that is changed between plan and run is not written to.
pub async fn assert_a_changed_table_is_refused(database: &impl Database, table: &str, change: &str) {
    let input = BatchStream::from_batches(people().schema(), vec![people()]);
    let asked = params(database.url(), json!({ "table": table }));
    let planned = Bench::new().start(&*erase(LoadSql::default()), &asked, vec![input]).await;
    let (_, mut driven) = planned.expect("planned");
    database.run(change).await;
    let fault = driven.outputs.remove(0).expect("a receipt").collect_rows().await.expect_err("another table");
    assert!(fault.kind().retryable() && fault.message().contains("has changed"), "{fault:?}");
    assert_eq!(database.figure(&format!("SELECT count(*) FROM {table}")).await, 0);
}

/// Parameters for the table `t`, and further ones.
pub fn params(url: &str, more: Value) -> Value {
    let mut all = json!({"db_url": url, "table": "t"});
    let (Some(map), Some(more)) = (all.as_object_mut(), more.as_object()) else { panic!("parameters are a map") };
    map.extend(more.clone());
    all
}

/// Waits until it holds.
pub async fn eventually(what: &str, holds: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !holds().await {
        assert!(Instant::now() < deadline, "{what} did not come true");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
