//! The knobs of `extract-sql`.

use databases::Database;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

/// Reads the rows of a query from a database.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Which database.
    #[serde(flatten)]
    pub database: Database,

    /// One query that only reads, in the SQL of the database: `SELECT * FROM orders WHERE day >= $1`.
    pub query: String,

    /// The values for `$1`, `$2`, … in the query (SQLite: `?1`, `?2`, …; MySQL: `?`), in this order:
    /// `["2024-01-01", 100, true, null]`. They are sent apart from the text, so that no value is ever read as SQL. PostgreSQL
    /// reads each as the type that it has in the query; a list is an array there, and JSON elsewhere.
    #[serde(default)]
    pub params: Vec<Value>,

    /// How long the query may run at the database, until its last row: `90s`, `10m`, `2h`; 24 days at most. The time in which
    /// later steps hold up the rows counts too.
    #[serde(default = "timeout")]
    pub timeout: String,

    /// More rows than this are an error, and the query is stopped: `1000000`. Without it there is no limit. (To read only
    /// some rows, write `LIMIT` in the query.)
    #[serde(default)]
    pub max_rows: Option<u64>,

    /// PostgreSQL: a column of the query whose values cut the rows into `partitions` ranges, which are read at once over as
    /// many connections, from one snapshot: `id`. It holds whole numbers, dates or timestamps. The rows come in the order
    /// of the ranges; nulls come last. Without it the query is asked once, over one connection.
    #[serde(default)]
    pub partition_column: Option<String>,

    /// PostgreSQL: how many ranges there are, from 2 to 64: `4`. Given together with `partition_column`.
    #[serde(default)]
    pub partitions: Option<u32>,
}

fn timeout() -> String {
    "5m".to_owned()
}
