//! Rules of DataFusion that pass over some nodes of a plan.

use crate::node::{Does, Node};
use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use std::sync::Arc;

pub type Rule = Arc<dyn PhysicalOptimizerRule + Send + Sync>;

/// What becomes of the plan where nothing is moved past such nodes.
///
/// # Errors
/// Those of what is done.
pub fn fenced(
    plan: Arc<dyn ExecutionPlan>,
    is_fenced: impl Fn(&dyn ExecutionPlan) -> bool,
    changed: impl FnOnce(Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let fenced = plan.transform_up(|node| {
        Ok(match is_fenced(node.as_ref()) {
            true => Transformed::yes(Node::over(node, Fence)),
            false => Transformed::no(node),
        })
    });
    let free = changed(fenced.data()?)?.transform_up(|node| {
        Ok(match node.downcast_ref::<Node<Fence>>() {
            Some(fence) => Transformed::yes(fence.inner().clone()),
            None => Transformed::no(node),
        })
    });
    free.data()
}

/// A node over another one that no rule knows.
#[derive(Debug)]
struct Fence;

impl Does for Fence {
    const NAME: &'static str = "Fence";
}
