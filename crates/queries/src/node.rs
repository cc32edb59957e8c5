//! Nodes of our own in a plan of DataFusion: each does something with the rows of one other node, or in its place.

use datafusion::common::Result;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, ReplaceChildrenOptions,
};
use std::fmt;
use std::sync::Arc;

/// What a node does.
pub(crate) trait Does: fmt::Debug + Send + Sync + Sized + 'static {
    /// What it is called.
    const NAME: &'static str;

    /// The node that it stands on.
    fn inner(&self) -> &Arc<dyn ExecutionPlan>;

    /// The same on another one.
    fn on(&self, inner: Arc<dyn ExecutionPlan>) -> Self;

    /// What is known of the rows that it gives: what is known of those that it reads, unless it says otherwise.
    fn properties(&self) -> &Arc<PlanProperties> {
        self.inner().properties()
    }

    /// Its rows.
    ///
    /// # Errors
    /// Those of the other node, and its own.
    fn execute(&self, partition: usize, task: Arc<TaskContext>) -> Result<SendableRecordBatchStream>;
}

/// A node that does so.
#[derive(Debug)]
pub(crate) struct Node<D>(D);

impl<D: Does> Node<D> {
    /// A node of a plan.
    pub fn plan(does: D) -> Arc<dyn ExecutionPlan> {
        Arc::new(Self(does))
    }

    /// What it does.
    pub fn does(&self) -> &D {
        &self.0
    }
}

impl<D: Does> DisplayAs for Node<D> {
    fn fmt_as(&self, _form: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(D::NAME)
    }
}

impl<D: Does> ExecutionPlan for Node<D> {
    fn name(&self) -> &str {
        D::NAME
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.0.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![self.0.inner()]
    }

    fn apply_expressions(
        &self,
        _see: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        _options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Self::plan(self.0.on(children.swap_remove(0))))
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, task: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        self.0.execute(partition, task)
    }
}
