//! A database of a MariaDB, and the step run on it.

use super::params;
use arrow::array::RecordBatch;
use flight_common::Fault;
use flight_common::testing::{Bench, Ran};
use load_sql::LoadSql;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder, Row, Value as Cell};
use serde_json::Value;
use std::sync::Arc;
use test_servers::MariaDb;
use tokio::sync::Mutex;

/// A database of its own on the server that all tests share.
pub struct Maria {
    pub url: String,
    conn: Mutex<Conn>,
    _server: Arc<MariaDb>,
}

impl Maria {
    pub async fn new() -> Self {
        Self::on(tokio::task::spawn_blocking(MariaDb::shared).await.expect("a server")).await
    }

    pub async fn on(server: Arc<MariaDb>) -> Self {
        let url = server.database();
        let socket = url.split_once("socket=").expect("a socket").1;
        let opts = OptsBuilder::default().socket(Some(socket)).user(Some("root")).db_name(Some(name(&url)));
        let conn = Mutex::new(Conn::new(opts).await.expect("connected"));
        Self { url, conn, _server: server }
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

    /// Loads these rows into the table `t`.
    pub async fn load(&self, more: Value, rows: &RecordBatch) -> Result<Ran, Fault> {
        Bench::new().run(LoadSql::default(), params(&self.url, more), std::slice::from_ref(rows)).await
    }

    /// The fault of rows that cannot be loaded.
    pub async fn refused(&self, more: Value, rows: &RecordBatch) -> Fault {
        self.load(more, rows).await.expect_err("refused")
    }

    /// The rows that a query gives, as text.
    pub async fn rows(&self, sql: &str) -> Vec<Vec<String>> {
        let rows: Vec<Row> = self.conn.lock().await.query(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        let shown = |cell: Cell| match cell {
            Cell::NULL => "∅".to_owned(),
            Cell::Bytes(text) => String::from_utf8(text).expect("a text"),
            other => other.as_sql(false),
        };
        rows.into_iter().map(|row| row.unwrap().into_iter().map(shown).collect()).collect()
    }

    /// The tables of the database.
    pub async fn tables(&self) -> Vec<String> {
        self.rows("SHOW TABLES").await.concat()
    }
}

fn name(url: &str) -> &str {
    url.split(['/', '?']).find(|part| part.starts_with("test_")).expect("a database")
}
