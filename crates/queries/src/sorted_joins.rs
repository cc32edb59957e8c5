//! What is joined, sorted by columns of which some are constants.
//!
//! DataFusion (55.2) sorts one side of a join in the place of what is joined. By a constant of that side it does not sort:
//! `FROM t JOIN (SELECT id, 'a' AS src FROM u) AS u USING (id) ORDER BY src, id` is by `id`. But it does not know of the
//! constant where it looks whether what is joined is sorted, and fails. There it sorts what is joined.

use crate::fenced::{Rule, fenced};
use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::sanity_checker::SanityCheckPlan;
use datafusion::physical_plan::ExecutionPlan;
use std::sync::Arc;

/// The rule of DataFusion that puts sorts into a plan.
const SORTS: &str = "EnsureRequirements";

/// A rule of DataFusion, whose sorts are where they hold.
pub fn sorting(rule: Rule) -> Rule {
    if rule.name() == SORTS { Arc::new(Sorting(rule)) } else { rule }
}

/// A rule that moves no sort past what has several inputs, if it would get lost there.
#[derive(Debug)]
struct Sorting(Rule);

impl PhysicalOptimizerRule for Sorting {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let sorted = self.0.optimize(plan.clone(), config)?;
        if SanityCheckPlan::new().optimize(sorted.clone(), config).is_ok() {
            return Ok(sorted);
        }
        fenced(plan, |node| node.children().len() > 1, |plan| self.0.optimize(plan, config))
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
    use crate::testing::{Asked, MEMORY, number, within};

    #[tokio::test]
    async fn what_is_joined_is_sorted_by_constants_too() {
        let one = "(SELECT n, 'a' AS src FROM t WHERE n < 5)";
        let two = "(SELECT n, 'b' AS src FROM t WHERE n < 5 UNION ALL SELECT n, 'a' FROM t WHERE n < 3)";
        for (query, expected) in [
            (format!("SELECT u.n FROM t JOIN {one} AS u ON u.n = t.n ORDER BY src, u.n DESC LIMIT 1"), 4),
            (format!("SELECT u.n FROM t JOIN {two} AS u ON u.n = t.n ORDER BY src DESC, u.n DESC LIMIT 1"), 4),
            (format!("SELECT u.n FROM t JOIN {two} AS u ON u.n = t.n ORDER BY src, u.n DESC LIMIT 1"), 2),
            (format!("SELECT u.n FROM {two} AS u JOIN t ON u.n = t.n ORDER BY src DESC, u.n DESC LIMIT 1"), 4),
            (
                format!(
                    "SELECT max(n) FROM (SELECT u.n, row_number() OVER (PARTITION BY src ORDER BY u.n DESC) AS place
                     FROM t JOIN {two} AS u ON u.n = t.n) AS q WHERE place = 2"
                ),
                3,
            ),
        ] {
            for hashes in [true, false] {
                let asked = Asked { hashes, ..within(MEMORY, &query) };
                assert_eq!(number(&asked).await, expected, "{query}");
            }
        }
    }
}
