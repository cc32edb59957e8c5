//! Aggregates, window functions and `unnest` where they can be computed. DataFusion finds the others late, and tells them by
//! what they are inside.

use crate::faults::{Refusal, place_of};
use datafusion::common::Result as Found;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, LogicalPlan};
use flight_common::Fault;

/// The first in a node of a plan that stands elsewhere.
pub(super) fn misplaced(node: &LogicalPlan, query: &str) -> Found<Option<Refusal>> {
    let mut offence = None;
    let mut look = |expr: &Expr| {
        expr.apply(|part| {
            offence = told(part, place(node), query);
            Ok(if offence.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        })
    };
    match node {
        LogicalPlan::Aggregate(aggregate) => aggregate.group_expr.iter().try_for_each(|expr| look(expr).map(drop))?,
        // What a window function holds, and an aggregate, DataFusion has looked at.
        LogicalPlan::Window(_) => {}
        other => drop(other.apply_expressions(look)?),
    }
    Ok(offence)
}

fn place(node: &LogicalPlan) -> &'static str {
    match node {
        LogicalPlan::Filter(_) => "WHERE, HAVING or QUALIFY",
        LogicalPlan::Join(_) => "ON",
        LogicalPlan::Aggregate(_) => "GROUP BY",
        LogicalPlan::Sort(_) => "ORDER BY",
        LogicalPlan::Values(_) => "VALUES",
        _ => "this place",
    }
}

fn told(expr: &Expr, place: &str, query: &str) -> Option<Refusal> {
    let (kind, name, help) = match expr {
        Expr::AggregateFunction(call) => {
            ("the aggregate ", call.func.name(), "compute it in a subquery, or write HAVING for what holds of groups")
        }
        Expr::WindowFunction(call) => {
            ("the window function ", call.fun.name(), "compute it in a subquery, or write QUALIFY for what holds of it")
        }
        Expr::Unnest(_) => ("", "unnest", "write it in a subquery, after SELECT"),
        _ => return None,
    };
    let fault = Fault::bad_params(format!("{kind}{name} may not stand in {place}")).help(help);
    Some(Refusal { fault, place: place_of(name, query) })
}
