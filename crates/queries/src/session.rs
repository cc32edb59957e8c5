//! What a query draws on, and settings that fit it.

use crate::arithmetic::{CheckArithmetic, RemaindersOfDecimals};
use crate::average::check_averages;
use crate::batched::BatchByBytes;
use crate::by_reference::ByReference;
use crate::casts::CastsThatCut;
use crate::counted::CountBuilt;
use crate::days::HoursOfDays;
use crate::disk::Disk;
use crate::extremes::order_extremes;
use crate::fenced::Rule;
use crate::floats::NumbersAgree;
use crate::functions::{Measure, hold_to_measure, widest};
use crate::grouping::SetsOfColumns;
use crate::join_keys::JoinKeys;
use crate::lengths::LengthsCompare;
use crate::lists::NullsInLists;
use crate::memory::WorkingMemory;
use crate::merge_joins;
use crate::nans::{ComputedNans, NansOfTexts};
use crate::sliding::slide_exactly;
use crate::sorted_joins;
use crate::sum::check_sums;
use crate::texts::WholeTexts;
use crate::timestamps::{DaysOfAnyYear, InMicroseconds, NumbersAreSeconds, ZONE, count_microseconds};
use crate::truncate::truncate_any_year;
use crate::windows::CountWindows;
use crate::zeros::{BothZeros, EqualZeros};
use arrow::datatypes::{FieldRef, Schema};
use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::disk_manager::DiskManagerBuilder;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::logical_expr::expr_rewriter::FunctionRewrite;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::optimizer::AnalyzerRule;
use datafusion::optimizer::analyzer::function_rewrite::ApplyFunctionRewrites;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::prelude::SessionConfig;
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

/// What a query draws on: this memory, and files in this space, which take nothing once the query is over.
///
/// # Errors
/// [`flight_common::FaultKind::Internal`] if DataFusion cannot be set up.
pub fn runtime(memory: &WorkingMemory, space: &SpillSpace) -> std::result::Result<Arc<RuntimeEnv>, Fault> {
    let disk = DiskManagerBuilder::default().with_temp_file_factory(Arc::new(Disk(space.clone())));
    let builder = RuntimeEnvBuilder::new().with_memory_pool(Arc::new(memory.clone())).with_disk_manager_builder(disk);
    builder.build_arc().map_err(Fault::internal)
}

/// A session with all that a query may use, in which numbers that do not fit are errors, and with nothing that no memory
/// bounds.
pub fn session(config: SessionConfig, runtime: Arc<RuntimeEnv>) -> SessionStateBuilder {
    // A file for each batch that waits on disk between two threads: of two that are written at a time (55.2), one can wait
    // for the other for ever, <https://github.com/apache/datafusion/issues/24883>.
    let mut config = config.set_usize("datafusion.execution.max_spill_file_size_bytes", 1);
    // So that errors tell where.
    config.options_mut().sql_parser.collect_spans = true;
    // Of views it is not told how many bytes they stand for.
    config.options_mut().sql_parser.map_string_types_to_utf8view = false;
    // A filter that a join makes while it runs loses rows where columns of two tables have one name (55.2), and no table
    // here could skip rows by it.
    let optimizer = &mut config.options_mut().optimizer;
    optimizer.enable_dynamic_filter_pushdown = false;
    optimizer.enable_join_dynamic_filter_pushdown = false;
    optimizer.enable_topk_dynamic_filter_pushdown = false;
    optimizer.enable_aggregate_dynamic_filter_pushdown = false;
    // It compares floats by what holds of no NaN (55.2): `SELECT DISTINCT f … ORDER BY f LIMIT 2` gives others, or panics.
    optimizer.enable_topk_aggregation = false;
    let execution = &mut config.options_mut().execution;
    execution.enable_recursive_ctes = false;
    // Without it the zone of a literal is lost: TIMESTAMPTZ '2024-02-29T12:00:00Z'.
    execution.time_zone = Some(ZONE.to_owned());
    let mut builder = SessionStateBuilder::new_with_default_features()
        .with_config(config)
        .with_runtime_env(runtime)
        .with_analyzer_rule(Arc::new(Rewrites))
        .with_analyzer_rule(Arc::new(ComputedNans))
        .with_optimizer_rule(Arc::new(JoinKeys))
        .with_optimizer_rule(Arc::new(BothZeros))
        .with_physical_optimizer_rules(physical_rules())
        .with_physical_optimizer_rule(Arc::new(CountWindows))
        .with_physical_optimizer_rule(Arc::new(CountBuilt))
        .with_physical_optimizer_rule(Arc::new(ByReference))
        .with_physical_optimizer_rule(Arc::new(BatchByBytes))
        // What they make is not held to a measure.
        .with_higher_order_functions(Vec::new())
        .with_type_planner(Arc::new(InMicroseconds));
    let first: [Arc<dyn AnalyzerRule + Send + Sync>; 2] = [Arc::new(SetsOfColumns), Arc::new(NumbersAgree)];
    builder.analyzer().get_or_insert_default().rules.splice(0..0, first);
    if let Some(scalar) = builder.scalar_functions() {
        count_microseconds(scalar);
        truncate_any_year(scalar);
    }
    hold_to_measure(&mut builder);
    if let Some(planners) = builder.expr_planners() {
        planners.insert(0, Arc::new(HoursOfDays));
    }
    if let Some(aggregate) = builder.aggregate_functions() {
        check_sums(aggregate);
        order_extremes(aggregate);
        check_averages(aggregate);
        slide_exactly(aggregate);
    }
    builder
}

/// DataFusion's rules, but for those that move filters again, once the logical plan has moved them as far as they go: they
/// take columns of one name for the same (55.2), so that a filter could go to the wrong side of a join.
fn physical_rules() -> Vec<Rule> {
    let rules = PhysicalOptimizer::new().rules.into_iter();
    rules
        .filter(|rule| !rule.name().starts_with("FilterPushdown"))
        .map(merge_joins::keeping)
        .map(sorted_joins::sorting)
        .collect()
}

pub(crate) type Rewrite = Arc<dyn FunctionRewrite + Send + Sync>;

/// What expressions come to mean once their types are known.
pub(crate) fn meanings() -> Vec<Rewrite> {
    vec![
        Arc::new(WholeTexts),
        Arc::new(NumbersAreSeconds),
        Arc::new(DaysOfAnyYear),
        Arc::new(LengthsCompare),
        Arc::new(EqualZeros),
        Arc::new(NullsInLists),
        Arc::new(CastsThatCut),
        Arc::new(NansOfTexts),
        Arc::new(Measure),
        Arc::new(RemaindersOfDecimals),
    ]
}

/// What expressions become once their types are known.
#[derive(Debug)]
struct Rewrites;

impl AnalyzerRule for Rewrites {
    fn analyze(&self, plan: LogicalPlan, config: &ConfigOptions) -> Result<LogicalPlan> {
        let mut rewrites = meanings();
        rewrites.push(Arc::new(CheckArithmetic));
        ApplyFunctionRewrites::new(rewrites).analyze(plan, config)
    }

    fn name(&self) -> &str {
        "rewrites"
    }
}

/// Settings with partitions for all cores, and with batches and sorts that fit into so much memory, where a row has
/// about so many bytes.
pub fn fitted(config: SessionConfig, memory: usize, row_bytes: usize) -> SessionConfig {
    // With a single one all joins would be hash joins.
    let partitions = compute::workers().max(2);
    let memory = memory / partitions;
    let rows = (memory / BATCH_SHARE / row_bytes.max(1)).clamp(FEWEST_ROWS, ROWS);
    let mut config = config.with_target_partitions(partitions).with_batch_size(rows);
    let share = memory / MERGE_SHARE;
    let execution = &mut config.options_mut().execution;
    execution.sort_spill_reservation_bytes = execution.sort_spill_reservation_bytes.min(share);
    execution.sort_in_place_threshold_bytes = execution.sort_in_place_threshold_bytes.min(share);
    execution.sort_pushdown_buffer_capacity = execution.sort_pushdown_buffer_capacity.min(share);
    config
}

/// The bytes of a row of these columns, about.
pub fn row_bytes(schema: &Schema) -> usize {
    let bytes = |field: &FieldRef| match widest(field.data_type()) {
        0 => TEXT_BYTES,
        bytes => bytes,
    };
    schema.fields().iter().map(bytes).fold(0, usize::saturating_add)
}

/// The bytes of the widest row that is made anywhere in a plan, about, with the constants that are written into it.
///
/// # Errors
/// DataFusion's own, none of which is known.
pub fn widest_row(plan: &LogicalPlan) -> std::result::Result<usize, Fault> {
    let mut most = 0;
    let walked = plan.apply_with_subqueries(|node| {
        let mut bytes = row_bytes(node.schema().as_arrow());
        node.apply_expressions(|expression| {
            expression.apply(|part| {
                if let Expr::Literal(value, _) = part {
                    bytes = bytes.saturating_add(value.size());
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })?;
        most = most.max(bytes);
        Ok(TreeNodeRecursion::Continue)
    });
    walked.map_err(Fault::internal)?;
    Ok(most)
}
