//! The knobs of `load-sql`.

use databases::Database;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Writes rows to a table of a database.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Which database.
    #[serde(flatten)]
    pub database: Database,

    /// The table, as it is spelled there: `orders`, or with its schema (MariaDB: its database) `sales.orders`. One that is not there is made, with
    /// the columns of the input.
    pub table: String,

    /// What becomes of the rows that are there: with `append`, the default, they stay, with `replace` they go, with `upsert`
    /// those go that have the keys of a new row.
    #[serde(default)]
    pub mode: Mode,

    /// upsert: the columns that tell rows apart, such as `["id"]`. There is at least one, and none in other modes. A table
    /// that is there must have a primary key or a unique index on just these.
    #[serde(default)]
    pub keys: Vec<String>,
}

/// What becomes of the rows that are there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
