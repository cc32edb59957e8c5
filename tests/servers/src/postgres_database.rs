//! A database of a PostgreSQL, and a connection to it.

use crate::{Database, Postgres};
use std::sync::Arc;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

/// A database of its own.
pub struct PostgresDatabase {
    /// The server.
    pub server: Arc<Postgres>,
    url: String,
    client: Client,
    driver: JoinHandle<()>,
}

impl PostgresDatabase {
    /// An empty one, on the server that the tests of this process share.
    pub async fn new() -> Self {
        Self::on(spawn_blocking(Postgres::shared).await.expect("a server")).await
    }

    /// An empty one on this server.
    pub async fn on(server: Arc<Postgres>) -> Self {
        let url = server.database();
        let (client, driver) = tokio_postgres::connect(&url, NoTls).await.expect("connected");
        let driver = tokio::spawn(async move {
            let _ = driver.await;
        });
        Self { server, url, client, driver }
    }

    /// One in which these statements were run.
    pub async fn with(sql: &str) -> Self {
        let database = Self::new().await;
        database.run(sql).await;
        database
    }
}

impl Database for PostgresDatabase {
    fn url(&self) -> &str {
        &self.url
    }

    async fn run(&self, sql: &str) {
        self.client.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }

    async fn rows(&self, sql: &str) -> Vec<Vec<String>> {
        let rows = self.client.simple_query(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        let rows = rows.iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        rows.map(|row| (0..row.len()).map(|place| row.get(place).unwrap_or("∅").to_owned()).collect()).collect()
    }
}

impl Drop for PostgresDatabase {
    fn drop(&mut self) {
        self.driver.abort();
    }
}
