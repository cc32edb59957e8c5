//! A database of a MariaDB, and the step run on it.

use super::{params, shown};
use extract_sql::ExtractSql;
use flight_common::Fault;
use flight_common::testing::{Bench, Ran};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder};
use serde_json::{Value, json};
use std::sync::Arc;
use test_servers::MariaDb;
use tokio::sync::Mutex;

/// A database of its own on the server that all tests share.
pub struct Maria {
    pub server: Arc<MariaDb>,
    pub url: String,
    conn: Mutex<Conn>,
}

impl Maria {
    pub async fn new() -> Self {
        Self::on(tokio::task::spawn_blocking(MariaDb::shared).await.expect("a server")).await
    }

    pub async fn on(server: Arc<MariaDb>) -> Self {
        let url = server.database();
        let (socket, database) = (url.split_once("socket=").expect("a socket").1, name(&url));
        let opts = OptsBuilder::default().socket(Some(socket)).user(Some("root")).db_name(Some(database));
        Self { conn: Mutex::new(Conn::new(opts).await.expect("connected")), server, url }
    }

    pub async fn with(statements: &[&str]) -> Self {
        let database = Self::new().await;
        for sql in statements {
            database.run(sql).await;
        }
        database
    }

    pub async fn run(&self, sql: &str) {
        self.conn.lock().await.query_drop(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }

    /// The name of the database.
    pub fn name(&self) -> &str {
        name(&self.url)
    }

    /// Extracts with further parameters.
    pub async fn extract(&self, query: &str, more: Value) -> Result<Ran, Fault> {
        Bench::new().run(ExtractSql::default(), params(&self.url, query, more), &[]).await
    }

    /// The rows as text.
    pub async fn cells(&self, query: &str) -> Vec<Vec<String>> {
        shown(&self.extract(query, json!({})).await.unwrap_or_else(|fault| panic!("{query}: {fault:?}"))).1
    }

    /// The fault of a query.
    pub async fn refused(&self, query: &str, more: Value) -> Fault {
        self.extract(query, more).await.expect_err(query)
    }

    /// A figure that the server tells.
    pub async fn figure(&self, sql: &str) -> i64 {
        self.conn.lock().await.query_first(sql).await.expect("asked").expect("a row")
    }
}

fn name(url: &str) -> &str {
    url.split(['/', '?']).find(|part| part.starts_with("test_")).expect("a database")
}
