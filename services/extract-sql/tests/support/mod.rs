//! The step run on a database, and its rows as text.

#![allow(dead_code, reason = "each test file uses its part")]

pub mod maria;

use arrow::util::display::{ArrayFormatter, FormatOptions};
use databases::Connections;
use extract_sql::ExtractSql;
use flight_common::Fault;
use flight_common::testing::{Bench, Ran};
use serde_json::{Value, json};
use std::sync::Arc;
use test_servers::Postgres;
use tokio_postgres::{Client, NoTls};

/// A database of its own on the server that all tests share.
pub struct Database {
    pub server: Arc<Postgres>,
    pub url: String,
    pub client: Client,
    driver: tokio::task::JoinHandle<()>,
}

impl Database {
    pub async fn new() -> Self {
        Self::on(tokio::task::spawn_blocking(Postgres::shared).await.expect("a server")).await
    }

    pub async fn on(server: Arc<Postgres>) -> Self {
        let url = server.database();
        let (client, driver) = tokio_postgres::connect(&url, NoTls).await.expect("connected");
        let driver = tokio::spawn(async move {
            let _ = driver.await;
        });
        Self { server, url, client, driver }
    }

    pub async fn with(sql: &str) -> Self {
        let database = Self::new().await;
        database.run(sql).await;
        database
    }

    pub async fn run(&self, sql: &str) {
        self.client.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
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
        self.client.query_one(sql, &[]).await.expect("asked").get(0)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

pub fn params(url: &str, query: &str, more: Value) -> Value {
    let mut all = json!({"db_url": url, "query": query});
    let (Some(map), Some(more)) = (all.as_object_mut(), more.as_object()) else { panic!("parameters are a map") };
    map.extend(more.clone());
    all
}

/// Connections of these names.
pub fn connections(named: &[(&'static str, String)]) -> Connections {
    let named: Vec<(String, String)> =
        named.iter().map(|(name, url)| (format!("QUIVER_CONNECTION_{name}"), url.clone())).collect();
    Connections::with_variables(move |wanted| named.iter().find(|(name, _)| name == wanted).map(|(_, url)| url.clone()))
}

/// The types of the columns, and the rows as text, `∅` for null.
pub fn shown(ran: &Ran) -> (Vec<String>, Vec<Vec<String>>) {
    let rows = ran.rows();
    let options = FormatOptions::default().with_null("∅");
    let columns: Vec<_> =
        rows.columns().iter().map(|column| ArrayFormatter::try_new(column, &options).expect("shown")).collect();
    let cells =
        (0..rows.num_rows()).map(|row| columns.iter().map(|column| column.value(row).to_string()).collect()).collect();
    let types = ran.schema.fields().iter().map(|field| field.data_type().to_string()).collect();
    (types, cells)
}
