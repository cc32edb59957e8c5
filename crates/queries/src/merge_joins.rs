//! Merge joins with a condition, which keep the columns that it looks at.
//!
//! DataFusion takes columns that are not wanted out of the sides of a join before it joins, and has a condition of a merge
//! join look at the old places (`SortMergeJoinExec::try_swapping_with_projection` in 55.2): at other columns, or at none.

use crate::fenced::{Rule, fenced};
use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
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

/// A rule that moves no projection past such a join.
#[derive(Debug)]
struct Keeping(Rule);

impl PhysicalOptimizerRule for Keeping {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let looks = |node: &dyn ExecutionPlan| {
            node.downcast_ref::<SortMergeJoinExec>().is_some_and(|join| join.filter().is_some())
        };
        fenced(plan, looks, |plan| self.0.optimize(plan, config))
    }

    fn name(&self) -> &str {
        self.0.name()
    }

    fn schema_check(&self) -> bool {
        self.0.schema_check()
    }
}
