//! Joins that copy no texts.
//!
//! A join gives so many rows at a time, however long what is in them is: a text of a megabyte, joined with a thousand rows,
//! would be there a thousand times. So texts that are no keys go through a join as views of what came in, and are
//! written out afterwards, as many rows at a time as memory bears. So it is with what `unnest` repeats.
//!
//! | file | what |
//! |---|---|
//! | here | which nodes of a plan, and which of their columns |
//! | [`condition`] | conditions of joins, which see texts and no views |
//! | [`written`] | rows written out |

mod condition;
mod written;

use crate::node::Node;
use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use condition::over;
use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{CastExpr, Column};
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::joins::{
    CrossJoinExec, HashJoinExec, NestedLoopJoinExec, NestedLoopJoinExecBuilder, SortMergeJoinExec,
};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::unnest::UnnestExec;
use std::collections::HashSet;
use std::sync::Arc;
use written::Written;

/// Puts views into joins, and takes them out again.
#[derive(Debug)]
pub struct ByReference;

impl PhysicalOptimizerRule for ByReference {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| {
            Ok(match by_reference(&node)? {
                Some(viewing) => {
                    Transformed::yes(Node::giving(node.properties().clone(), viewing, Written(node.schema())))
                }
                None => Transformed::no(node),
            })
        })
        .data()
    }

    fn name(&self) -> &str {
        "by_reference"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The same over views; nothing where there are no texts.
fn by_reference(node: &Arc<dyn ExecutionPlan>) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    if let Some(join) = node.downcast_ref::<CrossJoinExec>() {
        let Some([left, right]) = sides(join.left(), join.right(), &[])? else { return Ok(None) };
        return Ok(Some(Arc::new(CrossJoinExec::new(left, right))));
    }
    if let Some(join) = node.downcast_ref::<NestedLoopJoinExec>() {
        let Some([left, right]) = sides(join.left(), join.right(), &[])? else { return Ok(None) };
        let filter = join.filter().map(|filter| over(filter, &left, &right));
        let join = NestedLoopJoinExecBuilder::new(left, right, *join.join_type())
            .with_projection_ref(join.projection().clone())
            .with_filter(filter)
            .build()?;
        return Ok(Some(Arc::new(join)));
    }
    if let Some(join) = node.downcast_ref::<HashJoinExec>() {
        let Some([left, right]) = sides(join.left(), join.right(), join.on())? else { return Ok(None) };
        let filter = join.filter().map(|filter| over(filter, &left, &right));
        let join = join.builder().recompute_properties().with_new_children(vec![left, right])?.with_filter(filter);
        return join.build_exec().map(Some);
    }
    if let Some(join) = node.downcast_ref::<SortMergeJoinExec>() {
        let Some([left, right]) = sides(&join.left, &join.right, &join.on)? else { return Ok(None) };
        let filter = join.filter().as_ref().map(|filter| over(filter, &left, &right));
        let (on, kind, sorts) = (join.on.clone(), join.join_type, join.sort_options.clone());
        let join = SortMergeJoinExec::try_new(left, right, on, filter, kind, sorts, join.null_equality)?;
        return Ok(Some(Arc::new(join)));
    }
    if let Some(unnest) = node.downcast_ref::<UnnestExec>() {
        let lists = unnest.list_column_indices().iter().map(|list| list.index_in_input_schema);
        let kept: HashSet<usize> = lists.chain(unnest.struct_column_indices().iter().copied()).collect();
        let Some(input) = viewing(unnest.input(), &kept)? else { return Ok(None) };
        return unnested(unnest, input);
    }
    Ok(None)
}

/// An `unnest` over views: columns that are repeated come out as they come in. Nothing if it gives others than are known.
fn unnested(unnest: &UnnestExec, input: Arc<dyn ExecutionPlan>) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let (before, now, out) = (unnest.input().schema(), input.schema(), unnest.schema());
    let (lists, structs) = (unnest.list_column_indices().to_vec(), unnest.struct_column_indices().to_vec());
    let mut given = out.fields().iter();
    let mut fields: Vec<FieldRef> = Vec::new();
    for (place, field) in before.fields().iter().enumerate() {
        // Each column gives others in its place, or itself.
        let others = match field.data_type() {
            DataType::Struct(fields) if structs.contains(&place) => Some(fields.len()),
            _ => {
                Some(lists.iter().filter(|list| list.index_in_input_schema == place).count()).filter(|lists| *lists > 0)
            }
        };
        match others {
            Some(others) => fields.extend(given.by_ref().take(others).cloned()),
            None => {
                let Some(field) = given.next() else { return Ok(None) };
                fields.push(Arc::new(Field::clone(field).with_data_type(now.field(place).data_type().clone())));
            }
        }
    }
    if fields.len() != out.fields().len() {
        return Ok(None);
    }
    let schema = Arc::new(Schema::new_with_metadata(fields, out.metadata().clone()));
    Ok(Some(Arc::new(UnnestExec::new(input, lists, structs, schema, unnest.options().clone())?)))
}

/// What is equal on both sides.
type Pair = (Arc<dyn PhysicalExpr>, Arc<dyn PhysicalExpr>);

/// Both sides of a join, with views of all that is no key.
fn sides(
    left: &Arc<dyn ExecutionPlan>,
    right: &Arc<dyn ExecutionPlan>,
    on: &[Pair],
) -> Result<Option<[Arc<dyn ExecutionPlan>; 2]>> {
    let keys = |of: fn(&Pair) -> &Arc<dyn PhysicalExpr>| {
        let columns = on.iter().flat_map(|pair| collect_columns(of(pair)));
        columns.map(|column| column.index()).collect::<HashSet<usize>>()
    };
    let (viewing_left, viewing_right) = (viewing(left, &keys(|on| &on.0))?, viewing(right, &keys(|on| &on.1))?);
    Ok(match (viewing_left, viewing_right) {
        (None, None) => None,
        (viewing_left, viewing_right) => {
            Some([viewing_left.unwrap_or_else(|| left.clone()), viewing_right.unwrap_or_else(|| right.clone())])
        }
    })
}

/// The rows with views of all texts but those of some columns; nothing if there are none.
fn viewing(input: &Arc<dyn ExecutionPlan>, but: &HashSet<usize>) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let schema = input.schema();
    let mut any = false;
    let columns = schema.fields().iter().enumerate().map(|(place, field)| {
        let column: Arc<dyn PhysicalExpr> = Arc::new(Column::new(field.name(), place));
        let column = match view(field.data_type()).filter(|_| !but.contains(&place)) {
            Some(view) => {
                any = true;
                Arc::new(CastExpr::new(column, view, None))
            }
            None => column,
        };
        (column, field.name().clone())
    });
    let columns: Vec<_> = columns.collect();
    any.then(|| Ok(Arc::new(ProjectionExec::try_new(columns, input.clone())?) as _)).transpose()
}

/// The type of a view of values of this type, if there is one.
fn view(data_type: &DataType) -> Option<DataType> {
    Some(match data_type {
        DataType::Utf8 | DataType::LargeUtf8 => DataType::Utf8View,
        DataType::Binary | DataType::LargeBinary => DataType::BinaryView,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Asked, MEMORY, ROWS, number, within};
    use futures::TryStreamExt;

    /// Both sides in all that a join may carry, and what is joined by; of `a` a row with a text of 30,000 letters.
    const SIDES: &str = "WITH a AS (SELECT n, x, n % 10 AS k, x::bytea AS b, [x, 'y'] AS l FROM t WHERE n < 100),
        b AS (SELECT n AS m, n % 10 AS j, 'b' || n AS y FROM t WHERE n < 2000) ";

    fn asked(rest: &str, hashes: bool) -> Asked {
        Asked { hashes, ..within(MEMORY, &format!("{SIDES} {rest}")) }
    }

    #[tokio::test]
    async fn every_join_gives_the_values_that_came_in() {
        let all = "sum(length(x) + length(y) + length(b::text) + length(l[1]) + cardinality(l))";
        let pairs = async |on: &str| {
            // The same without a text in the join.
            let lengths = "WITH a AS (SELECT n, n % 10 AS k, length(x) AS lx FROM t WHERE n < 100),
                b AS (SELECT n AS m, n % 10 AS j, length('b' || n) AS ly FROM t WHERE n < 2000)";
            number(&within(MEMORY, &format!("{lengths} SELECT sum(3 * lx + ly + 2) FROM a {on}"))).await
        };
        for hashes in [true, false] {
            for (on, plain) in [
                ("CROSS JOIN b", "CROSS JOIN b"),
                ("JOIN b ON k = j", "JOIN b ON k = j"),
                ("JOIN b ON k = j AND length(x) + length(y) > 9", "JOIN b ON k = j AND lx + ly > 9"),
                ("JOIN b ON length(x) + length(y) > 9", "JOIN b ON lx + ly > 9"),
            ] {
                let query = asked(&format!("SELECT {all} FROM a {on}"), hashes);
                assert_eq!(number(&query).await, pairs(plain).await, "{on} {hashes}");
            }
            for (on, rows) in [
                ("a LEFT JOIN b ON k = j AND x > 'w' AND y <> x", 99 + 200),
                ("b LEFT JOIN a ON k = j AND x LIKE 'x%'", 2000),
                ("a FULL JOIN b ON k = j AND length(x) > 20000", 99 + 2000),
                ("a WHERE EXISTS (SELECT 1 FROM b WHERE k = j AND y < x)", 100),
            ] {
                assert_eq!(number(&asked(&format!("SELECT count(*) FROM {on}"), hashes)).await, rows, "{on} {hashes}");
            }
        }
        let namesakes = "SELECT sum(length(q) + p + length(u)) FROM
            (SELECT n.x, a.x, unnest(a.l) FROM a JOIN (SELECT n AS x FROM t) n ON n.x = a.n) s(p, q, u)";
        let plain = "SELECT sum(2 * (length(x) + n) + length(x) + 1) FROM a";
        assert_eq!(number(&asked(namesakes, true)).await, number(&asked(plain, true)).await);
        let unnested = "SELECT sum(length(x) + length(u)) FROM (SELECT x, unnest(l) AS u FROM a)";
        assert_eq!(
            number(&asked(unnested, true)).await,
            number(&asked("SELECT sum(3 * length(x) + 1) FROM a", true)).await
        );
    }

    #[tokio::test]
    async fn what_is_copied_many_times_comes_in_small_pieces() {
        for on in ["CROSS JOIN t b", "JOIN t b ON a.n = 0 * b.n", "LEFT JOIN t b ON length(a.x) + b.n > 0"] {
            let query = format!("SELECT a.x, b.n FROM (SELECT x, n FROM t WHERE n = 0) a {on}");
            let mut rows = within(MEMORY, &query).start(Arc::default()).await.expect("a query");
            let mut count = 0;
            while let Some(batch) = rows.try_next().await.expect("rows") {
                assert!(batch.get_array_memory_size() < 16 << 20, "{on}: {}", batch.get_array_memory_size());
                count += batch.num_rows() as i64;
            }
            assert_eq!(count, ROWS, "{on}");
        }
    }
}
