//! `CASE` of types whose nulls are not told by the array itself: Arrow (59.3) gives a value where no branch holds.

use arrow::datatypes::DataType;
use datafusion::common::Result as Found;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::expr::Case;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan};
use flight_common::Fault;

/// What is wrong with a `CASE` in a node of a plan.
pub(super) fn wrong(node: &LogicalPlan) -> Found<Option<Fault>> {
    let [input] = node.inputs()[..] else { return Ok(None) };
    let mut offence = None;
    node.apply_expressions(|expr| {
        expr.apply(|part| {
            if let Expr::Case(Case { when_then_expr, else_expr, .. }) = part {
                let values = when_then_expr.iter().map(|(_, then)| then).chain(else_expr);
                let mut types = values.filter_map(|value| value.get_type(input.schema()).ok());
                offence = types.find(|one| matches!(one, DataType::Union(..) | DataType::RunEndEncoded(..)));
            }
            Ok(if offence.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        })
    })?;
    Ok(offence.map(|one| {
        Fault::bad_schema(format!("CASE cannot give values of type {one}"))
            .help("cast the column to a plain type in a step or query before")
    }))
}
