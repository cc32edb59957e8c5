//! DataFusion's settings.

use crate::tables::InputTable;
use datafusion::catalog::TableProvider;
use datafusion::common::TableReference;
use datafusion::execution::SessionState;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::prelude::{SessionConfig, SessionContext};
use flight_common::Fault;
use std::sync::Arc;

/// How the rows are worked on.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// The most memory there may be.
    pub memory: usize,
    /// The bytes of a row, about.
    pub row_bytes: usize,
    /// Whether one side of a join is small enough for a hash table.
    pub hash_joins: bool,
    /// The bytes up to which a side is.
    pub small: usize,
}

impl Settings {
    /// For planning alone.
    pub const PLANNING: Self = Self { memory: usize::MAX, row_bytes: 64, hash_joins: true, small: 0 };

    fn config(self) -> SessionConfig {
        let config = SessionConfig::new().with_information_schema(false);
        let mut config = queries::fitted(config, self.memory, self.row_bytes);
        let options = config.options_mut();
        // `MonthlyIncome` is called so, and not `monthlyincome`.
        options.sql_parser.enable_ident_normalization = false;
        let optimizer = &mut options.optimizer;
        optimizer.prefer_hash_join = self.hash_joins;
        optimizer.hash_join_single_partition_threshold = self.small;
        optimizer.hash_join_single_partition_threshold_rows = usize::MAX;
        config
    }
}

/// A session with all that a query may use but its tables.
pub fn state(settings: Settings, runtime: Arc<RuntimeEnv>) -> SessionState {
    queries::session(settings.config(), runtime).build()
}

/// What planning needs: no memory, and no disk.
///
/// # Errors
/// [`flight_common::FaultKind::Internal`] if DataFusion cannot be set up.
pub fn for_planning(tables: &[Arc<InputTable>]) -> Result<SessionContext, Fault> {
    let context = SessionContext::new_with_state(state(Settings::PLANNING, Arc::default()));
    for table in tables {
        let provider: Arc<dyn TableProvider> = table.clone();
        let name = TableReference::bare(table.name.as_str());
        context.register_table(name, provider).map_err(queries::fault)?;
    }
    Ok(context)
}
