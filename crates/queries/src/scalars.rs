//! `(SELECT …)` as a value, which is null where the query has no row. DataFusion (55.2) takes it for a value that is never null if the
//! column of the query is, and answers `IS NULL` and `coalesce` by that.

use crate::of_one::perhaps;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::expr_rewriter::FunctionRewrite;

/// Puts a function around such queries that gives what they give, which may be null.
#[derive(Debug)]
pub struct NoRowIsNull;

impl FunctionRewrite for NoRowIsNull {
    fn name(&self) -> &str {
        "no_row_is_null"
    }

    fn rewrite(&self, expr: Expr, _schema: &DFSchema, _config: &ConfigOptions) -> Result<Transformed<Expr>> {
        let never_null = match &expr {
            Expr::ScalarSubquery(query) => query.subquery.schema().fields().iter().any(|field| !field.is_nullable()),
            _ => false,
        };
        Ok(match never_null {
            true => Transformed::yes(perhaps(expr)),
            false => Transformed::no(expr),
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{MEMORY, number, within};

    #[tokio::test]
    async fn a_query_without_a_row_is_null() {
        for (sql, expected) in [
            ("SELECT count(*) FROM t WHERE n < 5 AND (SELECT 1 FROM t WHERE n = -1) IS NULL", 5),
            ("SELECT count(*) FROM t WHERE (SELECT 1 FROM t WHERE n = -1) IS NOT NULL", 0),
            ("SELECT count(*) FROM t WHERE n < 5 AND coalesce((SELECT 1 FROM t WHERE n = -1), 7) = 7", 5),
            ("SELECT coalesce((SELECT 1 WHERE false), 3)", 3),
            ("SELECT sum(CASE WHEN (SELECT 2 FROM t WHERE n = -1) IS NULL THEN 1 ELSE 0 END) FROM t WHERE n < 5", 5),
            (
                "SELECT count(*) FROM t WHERE n < 9 AND (SELECT count(*) FROM t AS i WHERE i.n = t.n + 19995 \
                 HAVING count(*) > 0) IS NULL",
                4,
            ),
            ("SELECT count(*) FROM t WHERE n < 9 AND (SELECT count(*) FROM t AS i WHERE i.n = t.n + 19995) = 0", 4),
            ("SELECT max((SELECT max(n) FROM t)) FROM t", 19_999),
        ] {
            assert_eq!(number(&within(MEMORY, sql)).await, expected, "{sql}");
        }
    }
}
