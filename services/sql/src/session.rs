//! DataFusion's settings.

use crate::arithmetic::CheckArithmetic;
use crate::disk::Disk;
use crate::faults;
use crate::functions;
use crate::memory::WorkingMemory;
use crate::sum::check_sums;
use crate::tables::InputTable;
use crate::timestamps::{InMicroseconds, NumbersAreSeconds, ZONE};
use crate::window::ByPartition;
use arrow::datatypes::SchemaRef;
use datafusion::catalog::TableProvider;
use datafusion::common::config::ConfigOptions;
use datafusion::common::{Result, TableReference};
use datafusion::execution::disk_manager::DiskManagerBuilder;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::LogicalPlan;
use datafusion::optimizer::AnalyzerRule;
use datafusion::optimizer::analyzer::function_rewrite::ApplyFunctionRewrites;
use datafusion::prelude::{SessionConfig, SessionContext};
use flight_common::{Fault, SpillSpace, compute};
use std::sync::Arc;

/// Rows of a batch, unless the memory is small.
const ROWS: usize = 8 * 1024;
const FEWEST_ROWS: usize = 16;
/// A batch is at most this part of the memory for each partition: some dozens are under way in each.
const BATCH_SHARE: usize = 128;
/// What a sort sets aside for merging is at most this part of the memory for each partition: a join sorts two times.
const MERGE_SHARE: usize = 32;
/// What is assumed of a value whose size is not in its type.
const TEXT_BYTES: usize = 32;

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
        // With a single one all joins would be hash joins.
        let partitions = compute::workers().max(2);
        let memory = self.memory / partitions;
        let rows = (memory / BATCH_SHARE / self.row_bytes.max(1)).clamp(FEWEST_ROWS, ROWS);
        let mut config = SessionConfig::new()
            .with_information_schema(false)
            .with_target_partitions(partitions)
            .with_batch_size(rows);
        let options = config.options_mut();
        // `MonthlyIncome` is called so, and not `monthlyincome`.
        options.sql_parser.enable_ident_normalization = false;
        options.sql_parser.map_string_types_to_utf8view = false;
        // Without it the zone of a literal is lost: TIMESTAMPTZ '2024-02-29T12:00:00Z'.
        options.execution.time_zone = Some(ZONE.to_owned());
        // Nothing bounds them.
        options.execution.enable_recursive_ctes = false;
        let share = memory / MERGE_SHARE;
        let execution = &mut options.execution;
        execution.sort_spill_reservation_bytes = execution.sort_spill_reservation_bytes.min(share);
        execution.sort_in_place_threshold_bytes = execution.sort_in_place_threshold_bytes.min(share);
        execution.sort_pushdown_buffer_capacity = execution.sort_pushdown_buffer_capacity.min(share);
        let optimizer = &mut options.optimizer;
        optimizer.prefer_hash_join = self.hash_joins;
        optimizer.hash_join_single_partition_threshold = self.small;
        optimizer.hash_join_single_partition_threshold_rows = usize::MAX;
        config
    }
}

/// The bytes of a row of these columns, about.
pub fn row_bytes(schema: &SchemaRef) -> usize {
    schema.fields().iter().map(|field| field.data_type().primitive_width().unwrap_or(TEXT_BYTES)).sum()
}

/// A session with all that a query may use but its tables.
pub fn state(settings: Settings, runtime: Arc<RuntimeEnv>) -> SessionState {
    let mut builder = SessionStateBuilder::new_with_default_features()
        .with_config(settings.config())
        .with_runtime_env(runtime)
        .with_analyzer_rule(Arc::new(Rewrites))
        .with_type_planner(Arc::new(InMicroseconds))
        .with_physical_optimizer_rule(Arc::new(ByPartition));
    if let Some(scalar) = builder.scalar_functions() {
        functions::hold_to_measure(scalar);
    }
    if let Some(aggregate) = builder.aggregate_functions() {
        check_sums(aggregate);
    }
    builder.build()
}

/// What expressions become once their types are known. (DataFusion has a list of such rewrites too, which comes before.)
#[derive(Debug)]
struct Rewrites;

impl AnalyzerRule for Rewrites {
    fn analyze(&self, plan: LogicalPlan, config: &ConfigOptions) -> Result<LogicalPlan> {
        ApplyFunctionRewrites::new(vec![Arc::new(CheckArithmetic), Arc::new(NumbersAreSeconds)]).analyze(plan, config)
    }

    fn name(&self) -> &str {
        "rewrites"
    }
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
        context.register_table(name, provider).map_err(|error| faults::of_plan(&error))?;
    }
    Ok(context)
}

/// What running draws on.
///
/// # Errors
/// [`flight_common::FaultKind::Internal`] if DataFusion cannot be set up.
pub fn runtime(memory: &WorkingMemory, space: &SpillSpace) -> Result<Arc<RuntimeEnv>, Fault> {
    let disk = DiskManagerBuilder::default().with_temp_file_factory(Arc::new(Disk(space.clone())));
    let builder = RuntimeEnvBuilder::new().with_memory_pool(Arc::new(memory.clone())).with_disk_manager_builder(disk);
    builder.build_arc().map_err(|error| faults::of_run(&error))
}
