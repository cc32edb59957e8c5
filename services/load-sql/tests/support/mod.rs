//! The step run against a database.

#![allow(dead_code, reason = "each test file uses its part")]

use arrow::array::RecordBatch;
use flight_common::Fault;
use flight_common::testing::{Bench, Ran};
use load_sql::LoadSql;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use test_servers::{MariaDatabase, PostgresDatabase};

/// A database that is loaded into.
pub trait Loaded {
    fn url(&self) -> &str;

    /// Loads these rows into the table `t`.
    async fn load(&self, more: Value, rows: &RecordBatch) -> Result<Ran, Fault> {
        Bench::new().run(LoadSql::default(), params(self.url(), more), std::slice::from_ref(rows)).await
    }

    /// The fault of rows that cannot be loaded.
    async fn refused(&self, more: Value, rows: &RecordBatch) -> Fault {
        self.load(more, rows).await.expect_err("refused")
    }
}

impl Loaded for PostgresDatabase {
    fn url(&self) -> &str {
        &self.url
    }
}

impl Loaded for MariaDatabase {
    fn url(&self) -> &str {
        &self.url
    }
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
