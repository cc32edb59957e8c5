//! Queries that are too wide, or unite too much: what is planned is looked at again and again, and what groups in many ways
//! multiplies its rows, a batch of them before any memory is asked for.

use datafusion::sql::sqlparser::ast::{
    Expr, GroupByExpr, Query, Select, SetExpr, SetOperator, SetQuantifier, Statement, Visit, Visitor,
};
use flight_common::Fault;
use std::ops::ControlFlow;

/// Columns that a query may write out, in all its lists together.
const MOST_COLUMNS: usize = 4_000;
/// Levels by which queries that are put together may nest the plan: each takes one, and one more where rows are compared.
const MOST_LEVELS: usize = 180;
/// Ways in which a query may group its rows.
const MOST_GROUPINGS: usize = 64;

/// Checks a statement.
///
/// # Errors
/// [`flight_common::FaultKind::BadParams`] for one that is larger.
pub(super) fn check(statement: &Statement) -> Result<(), Fault> {
    match statement.visit(&mut Size::default()) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(fault) => Err(fault),
    }
}

/// What was seen of a statement.
#[derive(Default)]
struct Size {
    columns: usize,
}

impl Visitor for Size {
    type Break = Fault;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Fault> {
        let mut bodies = vec![(&*query.body, 0)];
        while let Some((body, depth)) = bodies.pop() {
            match body {
                SetExpr::SetOperation { .. } if depth >= MOST_LEVELS => {
                    let half = MOST_LEVELS / 2;
                    let much = format!(
                        "the query puts too many queries together: {MOST_LEVELS} by UNION ALL are the most, and {half} by UNION \
                         and the like"
                    );
                    return ControlFlow::Break(
                        Fault::bad_params(much).help("put them together in several steps, or join with an input"),
                    );
                }
                SetExpr::SetOperation { op, set_quantifier, left, right } => {
                    let all = matches!((op, set_quantifier), (SetOperator::Union, SetQuantifier::All));
                    let depth = depth + if all { 1 } else { 2 };
                    bodies.extend([(&**left, depth), (&**right, depth)]);
                }
                SetExpr::Select(select) => self.see(select)?,
                _ => {}
            }
        }
        ControlFlow::Continue(())
    }
}

impl Size {
    fn see(&mut self, select: &Select) -> ControlFlow<Fault> {
        self.columns += select.projection.len();
        if self.columns > MOST_COLUMNS {
            let wide = format!("the query writes out more than {MOST_COLUMNS} columns");
            return ControlFlow::Break(Fault::bad_params(wide).help("write SELECT *, or do it in several steps"));
        }
        let GroupByExpr::Expressions(groups, _) = &select.group_by else { return ControlFlow::Continue(()) };
        let groupings = groups.iter().map(groupings).fold(1, usize::saturating_mul);
        if groupings > MOST_GROUPINGS {
            let many = format!("the query groups its rows in {groupings} ways, and {MOST_GROUPINGS} are the most");
            return ControlFlow::Break(Fault::bad_params(many).help("name those that are wanted by GROUPING SETS"));
        }
        ControlFlow::Continue(())
    }
}

/// In how many ways this part of a GROUP BY groups.
fn groupings(group: &Expr) -> usize {
    match group {
        Expr::Cube(sets) => 1_usize.checked_shl(u32::try_from(sets.len()).unwrap_or(u32::MAX)).unwrap_or(usize::MAX),
        Expr::Rollup(sets) => sets.len().saturating_add(1),
        Expr::GroupingSets(sets) => sets.len(),
        _ => 1,
    }
}
