//! Decimals beside floats, which become floats, as in PostgreSQL. DataFusion (55.2) makes decimals of the floats, of 15 digits
//! before and behind the point: most floats do not fit into one.
//!
//! Expressions are looked at one by one (by [`ExactLiterals`]), and from below: what reads a column knows of its new type. What
//! is united, and what two tables are joined by, stands in no expression, and is looked at here.

use crate::compared::QueriesOfOwnName;
use crate::literals::ExactLiterals;
use crate::peers::PeersWithoutDistance;
use crate::scalars::NoRowIsNull;
use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::binary::type_union_coercion;
use datafusion::logical_expr::expr_rewriter::{FunctionRewrite, NamePreserver, coerce_plan_expr_for_schema};
use datafusion::logical_expr::expr_schema::cast_subquery;
use datafusion::logical_expr::type_coercion::other::get_coerce_type_for_case_expression;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, ExprSchemable, Join, LogicalPlan, Subquery, Union, cast};
use datafusion::optimizer::AnalyzerRule;
use std::mem;
use std::sync::Arc;

/// Makes numbers agree before types are made to agree.
#[derive(Debug)]
pub(crate) struct NumbersAgree;

impl AnalyzerRule for NumbersAgree {
    fn analyze(&self, plan: LogicalPlan, config: &ConfigOptions) -> Result<LogicalPlan> {
        rewritten(plan, config).map(|plan| plan.data)
    }

    fn name(&self) -> &str {
        "numbers_agree"
    }
}

/// The inputs come first, then the queries within expressions, which may name columns of the inputs.
fn rewritten(plan: LogicalPlan, config: &ConfigOptions) -> Result<Transformed<LogicalPlan>> {
    plan.map_children(|input| rewritten(input, config))?.transform_data(|plan| {
        let schema = merge_schema(&plan.inputs());
        plan.map_subqueries(|query| rewritten(of_new_types(query, &schema)?, config))?
            .transform_data(|plan| expressions(plan, &schema, config))?
            .map_data(|plan| match plan {
                LogicalPlan::Union(union) => united(union),
                LogicalPlan::Join(join) => joined(join)?.recompute_schema(),
                other => other.recompute_schema(),
            })
    })
}

fn expressions(plan: LogicalPlan, schema: &DFSchema, config: &ConfigOptions) -> Result<Transformed<LogicalPlan>> {
    let names = NamePreserver::new(&plan);
    plan.map_expressions(|expr| {
        let name = names.save(&expr);
        let rewritten = expr.transform_up(|part| {
            ExactLiterals
                .rewrite(part, schema, config)?
                .transform_data(|part| NoRowIsNull.rewrite(part, schema, config))?
                .transform_data(|part| QueriesOfOwnName.rewrite(part, schema, config))?
                .transform_data(|part| PeersWithoutDistance.rewrite(part, schema, config))
        })?;
        Ok(rewritten.update_data(|expr| name.restore(expr)))
    })
}

/// A query within an expression, with the types that the columns of the query around it have come to have.
fn of_new_types(query: LogicalPlan, around: &DFSchema) -> Result<LogicalPlan> {
    let of_new_type = |expr: Expr| {
        expr.transform(|part| match part {
            Expr::OuterReferenceColumn(field, column) => match around.qualified_field_from_column(&column) {
                Ok((_, now)) if now.data_type() != field.data_type() => {
                    Ok(Transformed::yes(Expr::OuterReferenceColumn(now.clone(), column)))
                }
                _ => Ok(Transformed::no(Expr::OuterReferenceColumn(field, column))),
            },
            other => Ok(Transformed::no(other)),
        })
    };
    let renewed = query.transform_down_with_subqueries(|node| match node {
        LogicalPlan::Subquery(Subquery { subquery, outer_ref_columns, spans }) => {
            let outer_ref_columns = outer_ref_columns
                .into_iter()
                .map(|column| of_new_type(column).map(|column| column.data))
                .collect::<Result<_>>()?;
            Ok(Transformed::yes(LogicalPlan::Subquery(Subquery { subquery, outer_ref_columns, spans })))
        }
        other => other.map_expressions(of_new_type),
    });
    renewed.map(|query| query.data)
}

/// Whether all of these numbers become floats, since one of them is one: beside a decimal, or a whole number of a type without
/// a sign, for which and those with one DataFusion takes a decimal.
pub(crate) fn floats_prevail(types: &[DataType]) -> bool {
    let is_exact = |it: &DataType| it.is_decimal() || *it == DataType::UInt64;
    are_numbers(types) && types.iter().any(DataType::is_floating) && types.iter().any(is_exact)
}

fn are_numbers(types: &[DataType]) -> bool {
    types.iter().all(|it| it.is_numeric() || it.is_null())
}

/// The same number as a float.
pub(crate) fn as_float(number: Expr) -> Expr {
    cast(number, DataType::Float64)
}

/// Gives what a `CASE` may give the type of all of it, the `ELSE` first. DataFusion takes it for the type of the first until types
/// are made to agree, which is too early for whoever compares it.
///
/// # Errors
/// DataFusion's own, for what cannot be cast.
pub(crate) fn agreed(values: Vec<&mut Expr>, schema: &DFSchema) -> Result<bool> {
    let types = values.iter().map(|value| value.get_type(schema)).collect::<Result<Vec<_>>>()?;
    let Some(common) = get_coerce_type_for_case_expression(&types, None) else { return Ok(false) };
    let mut changed = false;
    for (value, it) in values.into_iter().zip(types) {
        if it != common {
            *value = mem::take(value).cast_to(&common, schema)?;
            changed = true;
        }
    }
    Ok(changed)
}

/// Makes a float of what is looked up in a query, or of what the query gives, if the other is one.
///
/// # Errors
/// DataFusion's own, none of which is known.
pub(crate) fn looked_up(value: &mut Expr, query: &mut Subquery, schema: &DFSchema) -> Result<bool> {
    let Some(given) = query.subquery.schema().fields().first().map(|field| field.data_type().clone()) else {
        return Ok(false);
    };
    let sought = value.get_type(schema)?;
    if sought.is_floating() && given.is_decimal() {
        *query = cast_subquery(query.clone(), &DataType::Float64)?;
        return Ok(true);
    }
    if sought.is_decimal() && given.is_floating() {
        *value = as_float(mem::take(value));
        return Ok(true);
    }
    Ok(false)
}

/// Queries put together, with the types that their columns are going to have.
fn united(union: Union) -> Result<LogicalPlan> {
    let Union { inputs, schema } = union;
    let width = schema.fields().len();
    if inputs.iter().any(|input| input.schema().fields().len() != width) {
        return Ok(LogicalPlan::Union(Union { inputs, schema }));
    }
    let types = |place: usize| -> Vec<DataType> {
        inputs.iter().map(|input| input.schema().field(place).data_type().clone()).collect()
    };
    let columns: Vec<Vec<DataType>> = (0..width).map(types).collect();
    let floats: Vec<bool> = columns.iter().map(|types| floats_prevail(types)).collect();
    let schema = of_types(&schema, |place| match floats[place] {
        true => Some(DataType::Float64),
        false => in_common(&columns[place]),
    })?;
    let schema = of_fields(&schema, |place, field| {
        let may_be_null = inputs.iter().any(|input| input.schema().field(place).is_nullable());
        field.clone().with_nullable(may_be_null)
    })?;
    let with_floats = |input: Arc<LogicalPlan>| {
        let given = input.schema().clone();
        let is_exact = |place: usize| floats[place] && !given.field(place).data_type().is_null();
        let wanted = of_types(&given, |place| is_exact(place).then_some(DataType::Float64))?;
        coerce_plan_expr_for_schema(Arc::unwrap_or_clone(input), &wanted).map(Arc::new)
    };
    let inputs = match floats.contains(&true) {
        true => inputs.into_iter().map(with_floats).collect::<Result<_>>()?,
        false => inputs,
    };
    Ok(LogicalPlan::Union(Union { inputs, schema: Arc::new(schema) }))
}

/// The type that these become, if they are numbers; of others that of the first, as DataFusion has it until types are made to
/// agree.
fn in_common(types: &[DataType]) -> Option<DataType> {
    let (first, rest) = types.split_first()?;
    match are_numbers(types) {
        true => rest.iter().try_fold(first.clone(), |common, it| type_union_coercion(&common, it)),
        false => Some(first.clone()),
    }
}

/// The same columns, some of them with another type.
fn of_types(schema: &DFSchema, other: impl Fn(usize) -> Option<DataType>) -> Result<DFSchema> {
    of_fields(schema, |place, field| match other(place) {
        Some(other) => field.clone().with_data_type(other),
        None => field.clone(),
    })
}

/// Other columns of the same names.
fn of_fields(schema: &DFSchema, other: impl Fn(usize, &Field) -> Field) -> Result<DFSchema> {
    let fields =
        schema.iter().enumerate().map(|(place, (table, field))| (table.cloned(), Arc::new(other(place, field))));
    DFSchema::new_with_metadata(fields.collect(), schema.metadata().clone())
}

/// Two tables joined by columns of one name, or looked up in each other, with floats for the decimals beside floats.
fn joined(mut join: Join) -> Result<LogicalPlan> {
    for (left, right) in &mut join.on {
        let (one, other) = (left.get_type(join.left.schema())?, right.get_type(join.right.schema())?);
        if one.is_floating() && other.is_decimal() {
            *right = as_float(mem::take(right));
        } else if one.is_decimal() && other.is_floating() {
            *left = as_float(mem::take(left));
        }
    }
    Ok(LogicalPlan::Join(join))
}

#[cfg(test)]
mod tests {
    use crate::testing::{MEMORY, number, within};

    /// Floats of which no decimal holds all, and decimals beside them.
    const MIXED: &str = "(SELECT n, CASE n WHEN 0 THEN 1e-20 WHEN 1 THEN 1e20 ELSE n + 0.5 END AS f,
        CAST(n AS DECIMAL(12, 2)) AS d FROM t WHERE n < 5)";

    #[tokio::test]
    async fn a_decimal_beside_a_float_is_a_float() {
        for (sql, expected) in [
            ("SELECT count(*) FROM {mixed} WHERE coalesce(f, d) > 0", 5),
            ("SELECT count(*) FROM {mixed} WHERE arrow_typeof(coalesce(f, d, 0.5)) = 'Float64'", 5),
            ("SELECT count(*) FROM {mixed} WHERE nvl(nullif(d, 3), f) = 3.5", 1),
            ("SELECT count(*) FROM {mixed} WHERE nvl2(n, f, d) = 1e20", 1),
            ("SELECT count(*) FROM {mixed} WHERE nvl2(d, f, d) = 1e20", 1),
            ("SELECT count(*) FROM {mixed} WHERE arrow_typeof(nvl2(f, d, d)) = arrow_typeof(d)", 5),
            ("SELECT count(*) FROM {mixed} WHERE nvl2(nullif(d, 3), d, f) = 3.5", 1),
            ("SELECT count(*) FROM {mixed} WHERE arrow_typeof(nvl2('x', n, 2)) = 'Int64'", 5),
            ("SELECT count(*) FROM {mixed} WHERE nullif(f, d) IS NULL", 0),
            ("SELECT count(*) FROM {mixed} WHERE greatest(d, f) = f AND least(f, d) = d", 5),
            ("SELECT count(*) FROM {mixed} WHERE CASE WHEN n > 0 THEN d ELSE f END > 0", 5),
            ("SELECT count(*) FROM {mixed} WHERE CASE WHEN n > 3 THEN 0 ELSE f END > d", 4),
            ("SELECT count(*) FROM {mixed} WHERE CASE WHEN n > 3 THEN 0 ELSE d END < f", 5),
            ("SELECT count(*) FROM {mixed} WHERE CASE f WHEN d THEN 1 ELSE 2 END = 2", 5),
            ("SELECT count(*) FROM {mixed} WHERE f IN (d, 2.5)", 1),
            ("SELECT count(*) FROM {mixed} WHERE f BETWEEN d AND 1e20", 5),
            ("SELECT count(*) FROM {mixed} WHERE f IN (SELECT d + 0.5 FROM {mixed})", 3),
            ("SELECT count(*) FROM {mixed} WHERE d + 0.5 IN (SELECT f FROM {mixed})", 3),
            ("SELECT count(*) FROM {mixed} WHERE array_length([f, d]) = 2 AND [f, d][1] > 0", 5),
            ("SELECT count(*) FROM (SELECT f FROM {mixed} UNION ALL SELECT d FROM {mixed}) WHERE f > 0", 9),
            ("SELECT count(*) FROM (SELECT d FROM {mixed} UNION SELECT f FROM {mixed})", 10),
            (
                "SELECT count(*) FROM (SELECT 0 AS v UNION ALL SELECT d FROM {mixed} UNION ALL SELECT f FROM {mixed}) AS u \
              WHERE arrow_typeof(v) = 'Float64'",
                11,
            ),
            (
                "SELECT count(*) FROM (SELECT d AS f FROM {mixed} UNION ALL BY NAME SELECT f FROM {mixed}) WHERE f >= 1e20",
                1,
            ),
            ("SELECT count(*) FROM (SELECT CAST(n AS DOUBLE) FROM {mixed} UNION SELECT n + 0.5 FROM {mixed})", 10),
            ("SELECT count(*) FROM (SELECT f FROM {mixed} EXCEPT SELECT d + 0.5 FROM {mixed})", 2),
            (
                "SELECT count(*) FROM (SELECT f FROM {mixed}) AS a JOIN (SELECT d + 0.5 AS f FROM {mixed}) AS b USING (f)",
                3,
            ),
        ] {
            let sql = sql.replace("{mixed}", MIXED);
            assert_eq!(number(&within(MEMORY, &sql)).await, expected, "{sql}");
        }
    }

    #[tokio::test]
    async fn who_reads_a_column_knows_its_type() {
        for (sql, expected) in [
            ("SELECT count(*) FROM (SELECT coalesce(f, d) AS v, d FROM {mixed}) WHERE v > d AND v > 0.1", 4),
            (
                "SELECT count(*) FROM (SELECT d * 0.01 AS v FROM {mixed}) WHERE starts_with(arrow_typeof(v * 1.5), 'Decimal128')",
                5,
            ),
            (
                "SELECT count(*) FROM (SELECT CASE WHEN n > 3 THEN d ELSE f END AS v FROM {mixed}) AS o \
                 WHERE EXISTS (SELECT 1 FROM {mixed} AS i WHERE i.d + 0.5 = o.v)",
                2,
            ),
            ("SELECT count(*) FROM (SELECT d FROM {mixed} UNION ALL SELECT f FROM {mixed}) WHERE d = 2.5", 1),
        ] {
            let sql = sql.replace("{mixed}", MIXED);
            assert_eq!(number(&within(MEMORY, &sql)).await, expected, "{sql}");
        }
    }
}
