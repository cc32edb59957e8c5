//! `ROLLUP`, `CUBE` and `GROUPING SETS` over what is computed: it is computed before, so that the sets are of columns alone.
//! DataFusion's rules give a set another name when they change a part of it, and then no part is found by its own (55.2).

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, Result};
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan, Projection};
use datafusion::optimizer::AnalyzerRule;
use std::sync::Arc;

/// Computes below a grouping what its sets are of. It comes before all that changes expressions.
#[derive(Debug)]
pub struct SetsOfColumns;

impl AnalyzerRule for SetsOfColumns {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(|plan| match plan {
            LogicalPlan::Aggregate(aggregate) => computed_before(aggregate),
            other => Ok(Transformed::no(other)),
        })
        .map(|plan| plan.data)
    }

    fn name(&self) -> &str {
        "sets_of_columns"
    }
}

fn computed_before(aggregate: Aggregate) -> Result<Transformed<LogicalPlan>> {
    let mut computed: Vec<Expr> = Vec::new();
    for group in &aggregate.group_expr {
        let Expr::GroupingSet(sets) = group else { continue };
        for part in sets.distinct_expr() {
            let name = part.schema_name().to_string();
            // A cast is called as what is cast, which may be there under no other name.
            let is_there =
                aggregate.input.schema().iter().any(|(table, field)| table.is_none() && *field.name() == name);
            if !matches!(part, Expr::Column(_) | Expr::Literal(..)) && !is_there && !computed.contains(part) {
                computed.push(part.clone());
            }
        }
    }
    if computed.is_empty() {
        return Ok(Transformed::no(LogicalPlan::Aggregate(aggregate)));
    }
    let given = aggregate.input.schema().columns().into_iter().map(Expr::Column);
    let columns = given.chain(computed.iter().map(|part| part.clone().alias(part.schema_name().to_string())));
    let input = Projection::try_new(columns.collect(), aggregate.input)?;
    // A column without a table is called as the expression was, and so is all that is made of it.
    let replaced = |expr: Expr| {
        expr.transform_down(|part| match computed.contains(&part) {
            true => {
                let column = Expr::Column(Column::new_unqualified(part.schema_name().to_string()));
                Ok(Transformed::new(column, true, TreeNodeRecursion::Jump))
            }
            false => Ok(Transformed::no(part)),
        })
        .map(|expr| expr.data)
    };
    let groups = aggregate.group_expr.into_iter().map(replaced).collect::<Result<_>>()?;
    let aggregates = aggregate.aggr_expr.into_iter().map(replaced).collect::<Result<_>>()?;
    let input = Arc::new(LogicalPlan::Projection(input));
    Ok(Transformed::yes(LogicalPlan::Aggregate(Aggregate::try_new(input, groups, aggregates)?)))
}

#[cfg(test)]
mod tests {
    use crate::testing::{MEMORY, number, within};

    #[tokio::test]
    async fn sets_are_of_expressions_too() {
        for (sql, expected) in [
            ("SELECT count(*) FROM (SELECT n % 4 + 1 AS g, count(*) AS c FROM t GROUP BY ROLLUP (n % 4 + 1))", 5),
            ("SELECT sum(g) FROM (SELECT n % 4 + 1 AS g FROM t GROUP BY ROLLUP (n % 4 + 1))", 10),
            ("SELECT count(*) FROM (SELECT -n AS g FROM t WHERE n < 3 GROUP BY CUBE (-n))", 4),
            ("SELECT count(*) FROM (SELECT n * 1.19 AS g FROM t WHERE n < 3 GROUP BY CUBE (n * 1.19))", 4),
            ("SELECT count(*) FROM (SELECT 1 FROM t WHERE n < 3 GROUP BY GROUPING SETS ((n * 2), ()))", 4),
            (
                "SELECT count(*) FROM (SELECT n % 2 AS a, n % 2 * 10 + n % 3 AS b, sum(n % 2) AS s, grouping(n % 2) AS g FROM t \
                 GROUP BY ROLLUP (n % 2, n % 2 * 10 + n % 3) HAVING grouping(n % 2) = 0)",
                8,
            ),
            (
                "SELECT count(*) FROM (SELECT CAST(m AS VARCHAR) AS v FROM (SELECT n * 2 AS m FROM t WHERE n < 3) \
                 GROUP BY ROLLUP (CAST(m AS VARCHAR)))",
                4,
            ),
            (
                "SELECT count(*) FROM (SELECT nth_value(n, 1 ORDER BY n) FROM t WHERE n < 3 GROUP BY ROLLUP (n + 1, 1))",
                7,
            ),
            ("SELECT count(*) FROM (SELECT n, n % 2 + 1 FROM t WHERE n < 3 GROUP BY n, ROLLUP (n % 2 + 1))", 6),
        ] {
            assert_eq!(number(&within(MEMORY, sql)).await, expected, "{sql}");
        }
    }
}
