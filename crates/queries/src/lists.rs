//! `x IN (…)` with a null in the list, which is never false, and `NOT IN`, which is never true. DataFusion (55.2) forgets the null when
//! it puts two lists together.

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::expr_rewriter::FunctionRewrite;
use datafusion::logical_expr::{Cast, Expr, TryCast, lit};

/// Takes the null out: `x IN (1, NULL)` is `x IN (1) OR NULL`.
#[derive(Debug)]
pub struct NullsInLists;

impl FunctionRewrite for NullsInLists {
    fn name(&self) -> &str {
        "nulls_in_lists"
    }

    fn rewrite(&self, expr: Expr, _schema: &DFSchema, _config: &ConfigOptions) -> Result<Transformed<Expr>> {
        let Expr::InList(InList { expr, list, negated }) = expr else { return Ok(Transformed::no(expr)) };
        let (nulls, rest): (Vec<Expr>, Vec<Expr>) = list.into_iter().partition(is_null);
        let unknown = || lit(ScalarValue::Boolean(None));
        if nulls.is_empty() {
            return Ok(Transformed::no(Expr::InList(InList { expr, list: rest, negated })));
        }
        if rest.is_empty() {
            return Ok(Transformed::yes(unknown()));
        }
        let found = Expr::InList(InList { expr, list: rest, negated });
        Ok(Transformed::yes(if negated { found.and(unknown()) } else { found.or(unknown()) }))
    }
}

/// Whether a null is written there, of whatever type it was made.
fn is_null(value: &Expr) -> bool {
    match value {
        Expr::Literal(value, _) => value.is_null(),
        Expr::Cast(Cast { expr, .. }) | Expr::TryCast(TryCast { expr, .. }) => is_null(expr),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{MEMORY, number, within};

    #[tokio::test]
    async fn a_null_in_a_list_is_not_forgotten() {
        for (sql, expected) in [
            ("SELECT count(*) FROM t WHERE n IN (1, 2) AND n NOT IN (2, NULL)", 0),
            ("SELECT count(*) FROM t WHERE n IN (1, 2, NULL)", 2),
            ("SELECT count(*) FROM t WHERE (n IN (1, NULL)) IS NULL", 19_999),
            ("SELECT count(*) FROM t WHERE NOT (n IN (1, NULL))", 0),
            ("SELECT count(*) FROM t WHERE (n IN (NULL)) IS NULL", 20_000),
            ("SELECT count(*) FROM t WHERE n NOT IN (1, 2)", 19_998),
        ] {
            assert_eq!(number(&within(MEMORY, sql)).await, expected, "{sql}");
        }
    }
}
