//! Rows of several queries, sorted after they were joined.
//!
//! DataFusion (55.2) sorts such rows before the join, and each of the queries by itself. A column that is a constant in
//! each, as a name of where the rows are from is, it does not sort by; nor does it see that the whole is sorted by it, and
//! fails. There the sort stays above: `FROM t JOIN (SELECT id, 'a' AS src FROM u UNION ALL SELECT id, 'b' FROM v) …`.

use crate::fenced::{Rule, fenced};
use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::sanity_checker::SanityCheckPlan;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::union::UnionExec;
use std::sync::Arc;

/// The rule of DataFusion that puts sorts into a plan.
const SORTS: &str = "EnsureRequirements";

/// A rule of DataFusion, whose sorts stay above a union where they would get lost.
pub fn sorting(rule: Rule) -> Rule {
    if rule.name() == SORTS { Arc::new(Sorting(rule)) } else { rule }
}

#[derive(Debug)]
struct Sorting(Rule);

impl PhysicalOptimizerRule for Sorting {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let sorted = self.0.optimize(plan.clone(), config)?;
        if SanityCheckPlan::new().optimize(sorted.clone(), config).is_ok() {
            return Ok(sorted);
        }
        fenced(plan, |node| node.is::<UnionExec>(), |plan| self.0.optimize(plan, config))
    }

    fn name(&self) -> &str {
        self.0.name()
    }

    fn schema_check(&self) -> bool {
        self.0.schema_check()
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{MEMORY, number, within};

    #[tokio::test]
    async fn rows_of_several_queries_are_sorted_after_a_join() {
        let union = "(SELECT n, 'b' AS src FROM t WHERE n < 5 UNION ALL SELECT n, 'a' FROM t WHERE n < 3)";
        for (query, expected) in [
            (format!("SELECT u.n FROM t JOIN {union} AS u ON u.n = t.n ORDER BY src DESC, u.n DESC LIMIT 1"), 4),
            (format!("SELECT u.n FROM t JOIN {union} AS u ON u.n = t.n ORDER BY src, u.n DESC LIMIT 1"), 2),
            (format!("SELECT u.n FROM {union} AS u JOIN t ON u.n = t.n ORDER BY src DESC, u.n DESC LIMIT 1"), 4),
            (
                format!(
                    "SELECT max(n) FROM (SELECT u.n, row_number() OVER (PARTITION BY src ORDER BY u.n DESC) AS place
                FROM t JOIN {union} AS u ON u.n = t.n) AS q WHERE place = 2"
                ),
                3,
            ),
        ] {
            assert_eq!(number(&within(MEMORY, &query)).await, expected, "{query}");
        }
    }
}
