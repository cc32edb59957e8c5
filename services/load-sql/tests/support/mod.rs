//! The step run against a database.

#![allow(dead_code, reason = "each test file uses its part")]

pub mod maria;

use arrow::array::RecordBatch;
use flight_common::Fault;
use flight_common::testing::{Bench, Ran};
use load_sql::LoadSql;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};
use test_servers::Postgres;
use tokio_postgres::{Client, NoTls};

/// A database of its own on the server that all tests share.
pub struct Database {
    pub url: String,
    pub client: Client,
    _server: Arc<Postgres>,
    driver: tokio::task::JoinHandle<()>,
}

impl Database {
    pub async fn new() -> Self {
        let server = tokio::task::spawn_blocking(Postgres::shared).await.expect("a server");
        let url = server.database();
        let (client, driver) = tokio_postgres::connect(&url, NoTls).await.expect("connected");
        let driver = tokio::spawn(async move {
            let _ = driver.await;
        });
        Self { url, client, _server: server, driver }
    }

    pub async fn with(sql: &str) -> Self {
        let database = Self::new().await;
        database.run(sql).await;
        database
    }

    pub async fn run(&self, sql: &str) {
        self.client.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }

    /// Loads these rows into the table `t`.
    pub async fn load(&self, more: Value, rows: &RecordBatch) -> Result<Ran, Fault> {
        Bench::new().run(LoadSql::default(), params(&self.url, more), std::slice::from_ref(rows)).await
    }

    /// The rows that a query gives, as text.
    pub async fn rows(&self, sql: &str) -> Vec<Vec<String>> {
        let rows = self.client.simple_query(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        let rows = rows.iter().filter_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        rows.map(|row| (0..row.len()).map(|place| row.get(place).unwrap_or("∅").to_owned()).collect()).collect()
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        self.driver.abort();
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
