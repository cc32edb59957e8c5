//! Names of data that lie outside a pipeline: what an extract reads and what a load writes.
//!
//! They are made as OpenLineage names datasets, so that a file that one pipeline writes and another one reads, or a tool
//! that is not ours, goes by one name.

use crate::data_root::DataRoot;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// A file, a table, or another place of data. It holds no password.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Dataset {
    /// Where it is: `file`, `postgres://host:5432`.
    pub namespace: String,
    /// What it is called there: an absolute path, `database.schema.table`.
    pub name: String,
}

impl Dataset {
    /// This name in this place.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }

    /// The file or folder at this path beneath the data root.
    pub fn file(root: &DataRoot, relative: &Path) -> Self {
        Self::new("file", root.path().join(relative).to_string_lossy())
    }
}
