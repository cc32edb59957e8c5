//! Aggregates, window functions and `unnest` where they can be computed. DataFusion finds the others late, and tells them by
//! what they are inside.

use crate::faults;
use datafusion::common::Result as Found;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, LogicalPlan};
use flight_common::Fault;

/// Checks a plan as it came from the query.
///
/// # Errors
/// [`flight_common::FaultKind::BadParams`] for the first that stands elsewhere.
pub fn check(plan: &LogicalPlan) -> Result<(), Fault> {
    let mut offence = None;
    let walked = plan.apply_with_subqueries(|node| {
        offence = misplaced(node)?;
        Ok(if offence.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    walked.map_err(|error| faults::of_plan(&error))?;
    offence.map_or(Ok(()), Err)
}

fn misplaced(node: &LogicalPlan) -> Found<Option<Fault>> {
    let mut offence = None;
    let mut look = |expr: &Expr| {
        expr.apply(|part| {
            offence = told(part, place(node));
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

fn told(expr: &Expr, place: &str) -> Option<Fault> {
    let (what, help) = match expr {
        Expr::AggregateFunction(call) => (
            format!("the aggregate {}", call.func.name()),
            "compute it in a subquery, or write HAVING for what holds of groups",
        ),
        Expr::WindowFunction(call) => (
            format!("the window function {}", call.fun.name()),
            "compute it in a subquery, or write QUALIFY for what holds of it",
        ),
        Expr::Unnest(_) => ("unnest".to_owned(), "write it in a subquery, after SELECT"),
        _ => return None,
    };
    Some(faults::query(format!("{what} may not stand in {place}")).help(help))
}
