//! What tests do with a database, whatever its server is.

/// A database of its own, and a connection to it.
#[expect(async_fn_in_trait, reason = "tests await where they call")]
pub trait Database {
    /// Its address.
    fn url(&self) -> &str;

    /// Runs a statement.
    async fn run(&self, sql: &str);

    /// The rows that a query gives, as text, `∅` for null.
    async fn rows(&self, sql: &str) -> Vec<Vec<String>>;

    /// A figure that the server tells.
    async fn figure(&self, sql: &str) -> i64 {
        self.rows(sql).await[0][0].parse().expect("a figure")
    }
}
