//! `ORDER BY` an expression of a name that is a column of a table and another one of the result. PostgreSQL takes it for that of
//! the table there, and DataFusion (55.2) for that of the result.

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, Result as Found};
use datafusion::logical_expr::expr::Alias;
use datafusion::logical_expr::{Distinct, Expr, LogicalPlan, Projection};
use flight_common::Fault;

/// What is wrong with what a node of a plan sorts by.
pub(super) fn wrong(node: &LogicalPlan) -> Found<Option<Fault>> {
    let LogicalPlan::Sort(sort) = node else { return Ok(None) };
    let Some(result) = result_of(&sort.input) else { return Ok(None) };
    let mut offence = None;
    for by in sort.expr.iter().filter(|by| !matches!(by.expr, Expr::Column(_))) {
        by.expr.apply(|part| {
            if let Expr::Column(column) = part
                && is_of_both(column, result)
            {
                offence = Some(told(&column.name));
            }
            Ok(if offence.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        })?;
    }
    Ok(offence)
}

fn told(name: &str) -> Fault {
    Fault::bad_params(format!(
        "ORDER BY computes with \"{name}\", which is a column of a table and another one of the result"
    ))
    .help("order by the name alone for that of the result, or give that one another name (AS)")
}

/// The columns of the result, with what they are computed from.
fn result_of(plan: &LogicalPlan) -> Option<&Projection> {
    match plan {
        LogicalPlan::Projection(result) => Some(result),
        LogicalPlan::Distinct(Distinct::All(input)) => result_of(input),
        _ => None,
    }
}

fn is_of_both(column: &Column, result: &Projection) -> bool {
    let is_itself = |expr: &Expr| matches!(expr, Expr::Column(inner) if inner.name == column.name);
    let is_another = |expr: &Expr| match expr {
        Expr::Alias(Alias { expr, relation: None, name, .. }) => *name == column.name && !is_itself(expr),
        _ => false,
    };
    column.relation.is_none()
        && result.expr.iter().any(is_another)
        && result.input.schema().has_column_with_unqualified_name(&column.name)
}
