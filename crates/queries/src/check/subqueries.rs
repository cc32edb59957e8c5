//! `IN (SELECT …)` and `EXISTS` where DataFusion answers them as SQL has it.
//!
//! It makes joins of them. An `IN` that is neither true nor false, for a null, is false to a join: that makes no difference
//! where only what is true counts, and a wrong answer beneath `NOT`, `IS NULL` and the like. Of `NOT IN` that stands alone it
//! takes care. Of `EXISTS` it asks whether there are rows to make the answer of, which is another question where the answer
//! has a row in any case, or leaves some out.

use datafusion::common::Result as Found;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::expr::{Exists, InSubquery};
use datafusion::logical_expr::{BinaryExpr, Expr, LogicalPlan, Operator};
use flight_common::Fault;

/// What is wrong with the subqueries in the conditions of a node of a plan.
pub(super) fn wrong(node: &LogicalPlan) -> Found<Option<Fault>> {
    let mut offence = None;
    node.apply_expressions(|expr| {
        expr.apply(|part| {
            if let Expr::Exists(Exists { subquery, .. }) = part {
                offence = offence.take().or(of_exists(&subquery.subquery));
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        offence = match offence.take() {
            Some(offence) => Some(offence),
            None => {
                of_in(expr, if matches!(node, LogicalPlan::Projection(_)) { Where::Elsewhere } else { Where::Alone })?
            }
        };
        Ok(if offence.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(offence)
}

/// Where an expression stands in a condition.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Where {
    /// The whole condition holds only if it does.
    Alone,
    /// Only whether it is true counts.
    ForTruth,
    /// It counts whether it is false or null.
    Elsewhere,
}

fn of_in(expr: &Expr, place: Where) -> Found<Option<Fault>> {
    match expr {
        Expr::InSubquery(InSubquery { subquery, .. })
            if !subquery.outer_ref_columns.is_empty() && gives_a_row(&subquery.subquery) =>
        {
            Ok(Some(
                Fault::bad_params("an aggregate of all rows gives a row in any case, and IN would not say so")
                    .help("compare it: 3 = (SELECT count(*) FROM … WHERE …)"),
            ))
        }
        Expr::SetComparison(_) if place == Where::Elsewhere => Ok(Some(
            Fault::bad_params("ANY or ALL of a query stands where nulls would be taken for false")
                .help("write it in WHERE, or EXISTS (SELECT 1 FROM … WHERE …)"),
        )),
        Expr::InSubquery(InSubquery { expr, negated, .. }) => {
            let good = if *negated { place == Where::Alone } else { place != Where::Elsewhere };
            if !good {
                let name = if *negated { "NOT IN" } else { "IN" };
                let fault = Fault::bad_params(format!("{name} (SELECT …) stands where nulls would be taken for false"));
                return Ok(Some(fault.help("write EXISTS (SELECT 1 FROM … WHERE …), which is never null, or join")));
            }
            of_in(expr, Where::Elsewhere)
        }
        Expr::Not(inner) => match &**inner {
            Expr::InSubquery(it) if !it.negated => {
                of_in(&Expr::InSubquery(InSubquery { negated: true, ..it.clone() }), place)
            }
            other => of_in(other, Where::Elsewhere),
        },
        Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::And | Operator::Or), right }) => {
            let place = if *op == Operator::Or && place == Where::Alone { Where::ForTruth } else { place };
            Ok(of_in(left, place)?.or(of_in(right, place)?))
        }
        other => {
            let mut offence = None;
            other.apply_children(|child| {
                offence = of_in(child, Where::Elsewhere)?;
                Ok(if offence.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
            })?;
            Ok(offence)
        }
    }
}

/// Whether a query has a row whatever rows there are.
fn gives_a_row(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Aggregate(aggregate) => aggregate.group_expr.is_empty(),
        LogicalPlan::Projection(_) | LogicalPlan::Sort(_) | LogicalPlan::SubqueryAlias(_) => {
            plan.inputs().into_iter().any(gives_a_row)
        }
        _ => false,
    }
}

fn of_exists(plan: &LogicalPlan) -> Option<Fault> {
    match plan {
        LogicalPlan::Limit(limit) if limit.skip.is_some() => Some(
            Fault::bad_params("OFFSET would be passed over in EXISTS")
                .help("count the rows: (SELECT count(*) FROM … WHERE …) > 3"),
        ),
        LogicalPlan::Aggregate(aggregate) if aggregate.group_expr.is_empty() => Some(
            Fault::bad_params("an aggregate of all rows gives a row in any case, and EXISTS would not say so")
                .help("compare what it gives: (SELECT count(*) FROM … WHERE …) > 3"),
        ),
        LogicalPlan::Projection(_)
        | LogicalPlan::Sort(_)
        | LogicalPlan::Filter(_)
        | LogicalPlan::Limit(_)
        | LogicalPlan::Distinct(_)
        | LogicalPlan::Window(_)
        | LogicalPlan::SubqueryAlias(_) => plan.inputs().into_iter().find_map(of_exists),
        _ => None,
    }
}
