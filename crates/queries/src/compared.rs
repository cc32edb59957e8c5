//! `x = ANY (SELECT …)`, and `ALL`, over the very table that `x` is of: the query gets a name of its own. DataFusion (55.2) compares
//! columns by their names there, and `id = ANY (SELECT id FROM t WHERE …)` with itself, which holds always.

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, TableReference, plan_err};
use datafusion::logical_expr::expr::SetComparison;
use datafusion::logical_expr::expr_rewriter::FunctionRewrite;
use datafusion::logical_expr::{Expr, LogicalPlan, Subquery, SubqueryAlias};
use std::sync::Arc;

/// What no table is called.
const NAME: &str = "__of_any_or_all";

/// What is said of a query that cannot be told from the table around it.
const SAME_TABLE: &str = "ANY or ALL of a query that reads columns from around it: \
    its table needs another name there, as in (SELECT i.id FROM orders AS i …)";

/// Names queries that are compared with.
#[derive(Debug)]
pub struct QueriesOfOwnName;

impl FunctionRewrite for QueriesOfOwnName {
    fn name(&self) -> &str {
        "queries_of_own_name"
    }

    fn rewrite(&self, expr: Expr, schema: &DFSchema, _config: &ConfigOptions) -> Result<Transformed<Expr>> {
        match expr {
            Expr::SetComparison(SetComparison { ref subquery, .. }) if !subquery.outer_ref_columns.is_empty() => {
                // Where it reads columns from around it, a name of its own is lost again.
                let (table, _) = subquery.subquery.schema().qualified_field(0);
                match table.is_some_and(|table| schema.iter().any(|(other, _)| other == Some(table))) {
                    true => plan_err!("{SAME_TABLE}"),
                    false => Ok(Transformed::no(expr)),
                }
            }
            Expr::SetComparison(SetComparison { expr, subquery, op, quantifier }) => {
                let Subquery { subquery, outer_ref_columns, spans } = subquery;
                let named = SubqueryAlias::try_new(subquery, TableReference::bare(NAME))?;
                let subquery = Arc::new(LogicalPlan::SubqueryAlias(named));
                let subquery = Subquery { subquery, outer_ref_columns, spans };
                Ok(Transformed::yes(Expr::SetComparison(SetComparison::new(expr, subquery, op, quantifier))))
            }
            other => Ok(Transformed::no(other)),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{MEMORY, number, refused, within};

    #[tokio::test]
    async fn a_table_is_compared_with_itself() {
        for (sql, expected) in [
            ("SELECT count(*) FROM t WHERE n = ANY (SELECT n FROM t WHERE n > 19989)", 10),
            ("SELECT count(*) FROM t WHERE n > ALL (SELECT n FROM t WHERE n < 19990)", 10),
            ("SELECT count(*) FROM t WHERE n < ANY (SELECT n + 0.5 FROM t WHERE n < 10)", 10),
            ("SELECT count(*) FROM t WHERE n <> ALL (SELECT n FROM t WHERE n > 9)", 10),
            (
                "SELECT count(*) FROM t AS o WHERE n < 5 AND n >= ALL (SELECT i.n FROM t AS i WHERE i.n < o.n + 2 AND i.n < 3)",
                3,
            ),
        ] {
            assert_eq!(number(&within(MEMORY, sql)).await, expected, "{sql}");
        }
        let sql = "SELECT count(*) FROM (SELECT n AS m FROM t WHERE n = 2) AS o, t \
                   WHERE t.n = ANY (SELECT t.n FROM t WHERE t.n < o.m)";
        let fault = refused(&within(MEMORY, sql)).await;
        assert!(fault.message().contains("another name"), "{fault}");
    }
}
