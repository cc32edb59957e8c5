//! Merge joins with a condition, which keep the columns that it looks at.
//!
//! DataFusion takes columns that are not wanted out of the sides of a join before it joins, and has a condition of a merge
//! join look at the old places (`SortMergeJoinExec::try_swapping_with_projection` in 55.2): at other columns, or at none.

use crate::node::{Does, Node};
use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::joins::SortMergeJoinExec;
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
                true => Transformed::yes(Node::over(node, Kept)),
                false => Transformed::no(node),
            })
        });
        let released = self.0.optimize(kept.data()?, config)?.transform_up(|node| {
            Ok(match node.downcast_ref::<Node<Kept>>() {
                Some(kept) => Transformed::yes(kept.inner().clone()),
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
struct Kept;

impl Does for Kept {
    const NAME: &'static str = "Kept";

    fn execute(
        &self,
        inner: &Arc<dyn ExecutionPlan>,
        partition: usize,
        task: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        inner.execute(partition, task)
    }
}
