//! The knobs of `load-sql`.

use schemars::JsonSchema;
use serde::Deserialize;

/// Writes rows to a table of a database.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The name of a connection that is configured where the step runs: `hr_db` is the environment variable
    /// `QUIVER_CONNECTION_HR_DB`, or the file `hr_db` in the folder that `QUIVER_CONNECTIONS_DIR` names. Its value is an
    /// address as in `db_url`. Give either this or `db_url`.
    #[serde(default)]
    pub connection: Option<String>,

    /// The address of the database: `postgres://user:password@host:5432/database`, `mysql://user:password@host:3306/database`
    /// (or `mariadb://…`), or `sqlite:path/to/file.db` beneath the data root. Since it holds a password, write `secret://name`; an address written out here works and is kept, as a
    /// part of the pipeline, where pipelines are kept.
    #[serde(default)]
    pub db_url: Option<String>,

    /// The table, as it is spelled there: `orders`, or with its schema (MariaDB: its database) `sales.orders`. One that is not there is made, with
    /// the columns of the input.
    pub table: String,

    /// What becomes of the rows that are there: with `append` they stay, with `replace` they go, with `upsert` those go
    /// that have the keys of a new row.
    #[serde(default)]
    pub mode: Mode,

    /// upsert: the columns that tell rows apart, such as `["id"]`. A table that is there must have a primary key or a unique
    /// index on just these.
    #[serde(default)]
    pub keys: Vec<String>,
}

/// What becomes of the rows that are there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// They stay.
    #[default]
    Append,
    /// They go.
    Replace,
    /// Those with the keys of a new row go.
    Upsert,
}

impl Mode {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Append => "append",
            Self::Replace => "replace",
            Self::Upsert => "upsert",
        }
    }
}
