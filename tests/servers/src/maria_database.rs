//! A database of a MariaDB, and a connection to it.

use crate::{Database, MariaDb};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder, Row, Value};
use std::sync::Arc;
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

/// A database of its own.
pub struct MariaDatabase {
    /// The server.
    pub server: Arc<MariaDb>,
    url: String,
    conn: Mutex<Conn>,
}

impl MariaDatabase {
    /// An empty one, on the server that the tests of this process share.
    pub async fn new() -> Self {
        Self::on(spawn_blocking(MariaDb::shared).await.expect("a server")).await
    }

    /// An empty one on this server.
    pub async fn on(server: Arc<MariaDb>) -> Self {
        let url = server.database();
        Self::at(server, url).await
    }

    /// The same one over a new connection, after its server was down.
    pub async fn again(self) -> Self {
        Self::at(self.server, self.url).await
    }

    async fn at(server: Arc<MariaDb>, url: String) -> Self {
        let socket = url.split_once("socket=").expect("a socket").1;
        let opts = OptsBuilder::default().socket(Some(socket)).user(Some("root")).db_name(Some(name(&url)));
        let conn = Mutex::new(Conn::new(opts).await.expect("connected"));
        Self { server, url, conn }
    }

    /// One in which these statements were run.
    pub async fn with(statements: &[&str]) -> Self {
        let database = Self::new().await;
        for sql in statements {
            database.run(sql).await;
        }
        database
    }

    /// The name of the database.
    pub fn name(&self) -> &str {
        name(&self.url)
    }

    /// Its tables.
    pub async fn tables(&self) -> Vec<String> {
        self.rows("SHOW TABLES").await.concat()
    }
}

impl Database for MariaDatabase {
    fn url(&self) -> &str {
        &self.url
    }

    async fn run(&self, sql: &str) {
        self.conn.lock().await.query_drop(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }

    async fn rows(&self, sql: &str) -> Vec<Vec<String>> {
        let rows: Vec<Row> = self.conn.lock().await.query(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        let shown = |cell: Value| match cell {
            Value::NULL => "∅".to_owned(),
            Value::Bytes(text) => String::from_utf8(text).expect("a text"),
            other => other.as_sql(false),
        };
        rows.into_iter().map(|row| row.unwrap().into_iter().map(shown).collect()).collect()
    }
}

fn name(url: &str) -> &str {
    url.split(['/', '?']).find(|part| part.starts_with("test_")).expect("a database")
}
