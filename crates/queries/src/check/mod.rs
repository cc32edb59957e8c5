//! What DataFusion would pass over, answer otherwise than SQL has it, or take all memory for: refused, with what to write
//! instead.
//!
//! | file | what |
//! |---|---|
//! | [`ambiguous`] | names of several tables that would be taken for those of an outer query |
//! | [`by_name`] | columns that `UNION BY NAME` would match, if they could be called as what they cast |
//! | [`clauses`] | clauses of other databases that the parser knows, and those of SQL that are answered wrongly |
//! | [`calls`] | functions called as what they are |
//! | [`expansion`] | queries of `WITH` that name each other again and again |
//! | [`frames`] | frames of windows that reach too far |
//! | [`orders`] | `ORDER BY` expressions of names that are of a table and of the result |
//! | [`places`] | aggregates and the like where they can be computed |
//! | [`size`] | queries that are too wide, or unite too much |
//! | [`subqueries`] | `IN` and `EXISTS` where they are answered as SQL has it |
//! | [`types`] | `CASE`, `min` and `max` of types that they do not take rightly |

mod ambiguous;
mod by_name;
mod calls;
mod clauses;
mod expansion;
mod frames;
mod orders;
mod places;
mod size;
mod subqueries;
mod types;

use crate::faults::{Refusal, fault};
use crate::measure::check_size;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::execution::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::sqlparser::ast::Statement;
use flight_common::Fault;

/// Checks a statement, with all queries within it.
///
/// # Errors
/// The first clause that would be passed over, or function that is called as what it is not.
pub fn check_statement(state: &SessionState, statement: &Statement) -> Result<(), Refusal> {
    size::check(statement).map_err(nowhere)?;
    expansion::check(statement).and_then(|()| clauses::check(statement)).map_err(nowhere)?;
    calls::check(state, statement)
}

/// Checks a plan as it came from the query.
///
/// # Errors
/// The first aggregate, subquery or expression that is not answered as it should be.
pub fn check_plan(plan: &LogicalPlan, query: &str) -> Result<(), Refusal> {
    check_size(plan).map_err(nowhere)?;
    let mut offence = None;
    let walked = plan.apply_with_subqueries(|node| {
        offence = match places::misplaced(node, query)?.or(ambiguous::wrong(node, query)?) {
            Some(refusal) => Some(refusal),
            None => subqueries::wrong(node)?
                .or(types::wrong(node)?)
                .or(frames::wrong(node)?)
                .or(orders::wrong(node)?)
                .or(by_name::wrong(node))
                .map(nowhere),
        };
        Ok(if offence.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    walked.map_err(|error| nowhere(fault(error)))?;
    offence.map_or(Ok(()), Err)
}

fn nowhere(fault: Fault) -> Refusal {
    Refusal { fault, place: None }
}
