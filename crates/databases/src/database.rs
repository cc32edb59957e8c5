//! What a step's parameters say of its database. Each step that has one takes these two among its own.

use schemars::JsonSchema;
use serde::Deserialize;

/// Which database: by name or by address. [`crate::Connections::resolve`] finds it.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
pub struct Database {
    /// The name of a connection that is configured where the step runs: `hr_db` is the environment variable
    /// `QUIVER_CONNECTION_HR_DB`, or the file `hr_db` in the folder that `QUIVER_CONNECTIONS_DIR` names. Its value is an
    /// address as in `db_url`. Give either this or `db_url`.
    #[serde(default)]
    pub connection: Option<String>,

    /// The address of the database: `postgres://user:password@host:5432/database`, `mysql://user:password@host:3306/database`
    /// (or `mariadb://…`), or `sqlite:path/to/file.db` beneath the data root. Since it holds a password, write `secret://name`;
    /// an address written out here works and is kept, as a part of the pipeline, where pipelines are kept.
    #[serde(default)]
    pub db_url: Option<String>,
}
