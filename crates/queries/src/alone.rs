//! An expression that stands alone, with the meaning that it has in a query: for who has rows and no plan.

use crate::arithmetic::CheckArithmetic;
use crate::literals::ExactLiterals;
use crate::session::{Rewrite, meanings};
use crate::zeros::in_lists;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result};
use datafusion::execution::SessionState;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use std::sync::Arc;

/// An expression over these columns as a query of a [`session`](crate::session) has it: with arithmetic that fails where it does
/// not fit, and with DataFusion's own. Constants are computed, `now()` among them, so that statistics can be compared with them.
///
/// # Errors
/// As of a query.
pub fn alone(state: &SessionState, expression: Expr, columns: &DFSchema) -> Result<[Expr; 2]> {
    let context = SimplifyContext::builder()
        .with_schema(Arc::new(columns.clone()))
        .with_config_options(state.config_options().clone())
        .with_query_execution_start_time(state.execution_props().query_execution_start_time)
        .build();
    let simplifier = ExprSimplifier::new(context);
    let rewritten = |expression: Expr, rewrites: &[Rewrite]| {
        let rewritten = expression.transform_up(|part| {
            rewrites.iter().try_fold(Transformed::no(part), |part, rewrite| {
                part.transform_data(|part| rewrite.rewrite(part, columns, state.config_options()))
            })
        });
        rewritten.map(|it| it.data)
    };
    let exact = rewritten(expression, &[Arc::new(ExactLiterals)])?;
    let meant = rewritten(simplifier.coerce(exact, columns)?, &meanings())?;
    let checked = rewritten(meant.clone(), &[Arc::new(CheckArithmetic)])?;
    let simple = |expression: Expr| in_lists(simplifier.simplify(expression)?).map(|it| it.data);
    Ok([simple(checked)?, simple(meant)?])
}
