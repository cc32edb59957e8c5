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

    /// The rows that it gives, over those of another node: the very same, where nothing else is said.
    ///
    /// # Errors
    /// Those of the other node, and its own.
    fn execute(
        &self,
        inner: &Arc<dyn ExecutionPlan>,
        partition: usize,
        task: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        inner.execute(partition, task)
    }
}

/// A node that does so.
#[derive(Debug)]
pub(crate) struct Node<D> {
    does: Arc<D>,
    inner: Arc<dyn ExecutionPlan>,
    /// What is known of its rows, if it is not what is known of the other node's.
    known: Option<Arc<PlanProperties>>,
}

impl<D: Does> Node<D> {
    /// A node over another one, whose rows it gives.
    pub fn over(inner: Arc<dyn ExecutionPlan>, does: D) -> Arc<dyn ExecutionPlan> {
        Arc::new(Self { does: Arc::new(does), inner, known: None })
    }

    /// A node over another one that gives rows of which so much is known.
    pub fn giving(known: Arc<PlanProperties>, inner: Arc<dyn ExecutionPlan>, does: D) -> Arc<dyn ExecutionPlan> {
        Arc::new(Self { does: Arc::new(does), inner, known: Some(known) })
    }

    /// The other node.
    pub fn inner(&self) -> &Arc<dyn ExecutionPlan> {
        &self.inner
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
        self.known.as_ref().unwrap_or_else(|| self.inner.properties())
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.inner]
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
        let inner = children.swap_remove(0);
        Ok(Arc::new(Self { does: self.does.clone(), inner, known: self.known.clone() }))
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, task: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        self.does.execute(&self.inner, partition, task)
    }
}
