//! Names that are of several tables of a query within another one. DataFusion takes them for a column of the outer query,
//! if that has one of this name.

use crate::faults::{Refusal, of_several, place_of};
use datafusion::common::Result as Found;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, LogicalPlan};

/// The first in a node of a plan. Where the query has this name with a table before it as well, it may be that.
pub(super) fn wrong(node: &LogicalPlan, query: &str) -> Found<Option<Refusal>> {
    let mut offence = None;
    // What a whole query draws from the outer one is told again where it stands.
    if matches!(node, LogicalPlan::Subquery(_)) {
        return Ok(offence);
    }
    node.apply_expressions(|expr| {
        expr.apply(|part| {
            if let Expr::OuterReferenceColumn(_, column) = part
                && is_of_several(node, &column.name)
                && !is_told_apart(&column.name, query)
            {
                let place = place_of(&column.name, query);
                offence = Some(Refusal { fault: of_several(&column.name), place });
            }
            Ok(if offence.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        })
    })?;
    Ok(offence)
}

fn is_of_several(node: &LogicalPlan, name: &str) -> bool {
    let inputs = node.inputs();
    inputs.iter().map(|input| input.schema().qualified_fields_with_unqualified_name(name).len()).sum::<usize>() > 1
}

fn is_told_apart(name: &str, query: &str) -> bool {
    let (name, query) = (name.to_lowercase(), query.to_lowercase());
    [format!(".{name}"), format!(".\"{name}\"")].iter().any(|named| query.contains(named))
}

#[cfg(test)]
mod tests {
    use crate::{check_plan, session, statement};
    use datafusion::execution::runtime_env::RuntimeEnv;
    use datafusion::prelude::{SessionConfig, SessionContext};
    use std::sync::Arc;

    #[tokio::test]
    async fn a_name_of_several_tables_is_not_that_of_an_outer_query() {
        const TABLES: &str = "WITH a AS (SELECT 1 AS k), b AS (SELECT 1 AS k), c AS (SELECT 1 AS k)";
        let state = session(SessionConfig::new(), Arc::new(RuntimeEnv::default())).build();
        let context = SessionContext::new_with_state(state);
        for (inner, refused) in [
            ("SELECT 1 FROM a, b WHERE k = 2", true),
            ("SELECT 1 FROM a NATURAL JOIN b WHERE k = 2", true),
            ("SELECT 1 FROM (SELECT * FROM a) JOIN b USING (k) WHERE k = 2", true),
            ("SELECT 1 FROM a JOIN b USING (k) WHERE k = 2", false),
            ("SELECT 1 FROM a WHERE k = 2", false),
            ("SELECT 1 FROM a, b WHERE a.k = c.k AND b.\"k\" = c.k", false),
        ] {
            let sql = format!("{TABLES} SELECT count(*) FROM c WHERE EXISTS ({inner})");
            let asked = statement(&context.state(), &sql).expect("a query");
            let plan = context.state().statement_to_plan(asked).await.expect("a plan");
            assert_eq!(check_plan(&plan, &sql).is_err(), refused, "{sql}");
        }
    }
}
