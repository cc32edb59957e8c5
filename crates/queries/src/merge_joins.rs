//! Merge joins with a condition, which keep the columns that it looks at.
//!
//! DataFusion takes columns that are not wanted out of the sides of a join before it joins, and has a condition of a merge
//! join look at the old places (`SortMergeJoinExec::try_swapping_with_projection` in 55.2): at other columns, or at none.

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::joins::SortMergeJoinExec;
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, ReplaceChildrenOptions,
};
use std::fmt;
use std::sync::Arc;

/// The rule of DataFusion that moves projections.
const MOVES: &str = "ProjectionPushdown";

/// A rule of DataFusion, with such joins kept as they are.
pub fn keeping(rule: Rule) -> Rule {
    if rule.name() == MOVES { Arc::new(Keeping(rule)) } else { rule }
}

pub type Rule = Arc<dyn PhysicalOptimizerRule + Send + Sync>;

/// A rule that sees a node over each such join which no projection passes.
#[derive(Debug)]
struct Keeping(Rule);

impl PhysicalOptimizerRule for Keeping {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let kept = plan.transform_up(|node| {
            let join = node.downcast_ref::<SortMergeJoinExec>();
            Ok(match join.is_some_and(|join| join.filter().is_some()) {
                true => Transformed::yes(Arc::new(Kept(node)) as Arc<dyn ExecutionPlan>),
                false => Transformed::no(node),
            })
        });
        let released = self.0.optimize(kept.data()?, config)?.transform_up(|node| {
            Ok(match node.downcast_ref::<Kept>() {
                Some(Kept(join)) => Transformed::yes(join.clone()),
                None => Transformed::no(node),
            })
        });
        released.data()
    }

    fn name(&self) -> &str {
        self.0.name()
    }

    fn schema_check(&self) -> bool {
        self.0.schema_check()
    }
}

/// A join that is kept as it is.
#[derive(Debug)]
struct Kept(Arc<dyn ExecutionPlan>);

impl DisplayAs for Kept {
    fn fmt_as(&self, form: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt_as(form, f)
    }
}

impl ExecutionPlan for Kept {
    fn name(&self) -> &str {
        "Kept"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.0.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.0]
    }

    fn apply_expressions(
        &self,
        _see: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        // It has none.
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        _options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match (children.pop(), children.is_empty()) {
            (Some(join), true) => Ok(Arc::new(Self(join))),
            _ => internal_err!("it is over one join"),
        }
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, task: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        self.0.execute(partition, task)
    }
}
