//! `UNION BY NAME` of what is cast and is called `t.id` all the same, not `id`: a column of a `*` beside it may be
//! called so, or a condition on groups or windows would take the name for that of the result. DataFusion (55.2) matches
//! it with no `id` of the other query, and each of the two columns would be null where the other one is not.

use datafusion::common::Column;
use datafusion::logical_expr::{Cast, Distinct, Expr, LogicalPlan, Projection, TryCast, Union};
use flight_common::Fault;
use std::sync::Arc;

/// What is wrong with how a node of a plan matches columns.
pub(super) fn wrong(node: &LogicalPlan) -> Option<Fault> {
    let LogicalPlan::Union(union) = node else { return None };
    let sides = sides(union)?;
    sides.iter().enumerate().find_map(|(at, side)| {
        let mut others = sides.iter().enumerate().filter(|(other, _)| *other != at);
        others.find_map(|(_, other)| unmatched(&side.input, &other.input))
    })
}

/// The queries, if it is by name: each is given the columns of all of them.
fn sides(union: &Union) -> Option<Vec<&Projection>> {
    let sides = union.inputs.iter().map(|input| match &**input {
        LogicalPlan::Projection(side) if Arc::ptr_eq(&side.schema, &union.schema) => Some(side),
        _ => None,
    });
    sides.collect()
}

/// A column that is cast in the one query, and another one of this name in the other. Where a query has both, they are
/// meant to be two.
fn unmatched(side: &LogicalPlan, other: &LogicalPlan) -> Option<Fault> {
    let has = |plan: &LogicalPlan, name: &str| plan.schema().has_column_with_unqualified_name(name);
    let others = casts(other);
    casts(side).into_iter().find_map(|column| {
        let called = column.flat_name();
        let cast = others.iter().filter(|other| other.name == column.name).map(|other| other.flat_name());
        let mut meant = cast.chain([column.name.clone()]);
        let meant = meant.find(|meant| has(other, meant) && !has(side, meant))?;
        (has(side, &called) && !has(other, &called)).then(|| told(&called, &meant, &column.name))
    })
}

fn told(called: &str, meant: &str, name: &str) -> Fault {
    Fault::bad_params(format!("UNION BY NAME does not match \"{called}\", which is cast, with \"{meant}\""))
        .help(format!("give it its name: AS {name}"))
}

/// The columns of tables that columns of a query are casts of, and are called as.
fn casts(plan: &LogicalPlan) -> Vec<&Column> {
    match plan {
        LogicalPlan::Projection(result) => result.expr.iter().filter_map(cast_column).collect(),
        LogicalPlan::Union(union) => match sides(union) {
            Some(sides) => sides.into_iter().flat_map(|side| casts(&side.input)).collect(),
            None => union.inputs.first().map(|first| casts(first)).unwrap_or_default(),
        },
        LogicalPlan::Distinct(Distinct::All(input)) => casts(input),
        LogicalPlan::Sort(sort) => casts(&sort.input),
        LogicalPlan::Limit(limit) => casts(&limit.input),
        _ => Vec::new(),
    }
}

fn cast_column(expr: &Expr) -> Option<&Column> {
    let (Expr::Cast(Cast { expr, .. }) | Expr::TryCast(TryCast { expr, .. })) = expr else { return None };
    match &**expr {
        Expr::Column(column) => column.relation.is_some().then_some(column),
        inner => cast_column(inner),
    }
}
