//! Values of types that an expression does not take rightly. `CASE` of types whose nulls are not told by the array itself:
//! Arrow (59.3) gives a value where no branch holds. `min` and `max` of types that have no order: DataFusion (55.2) finds that
//! out when rows have come. And types whose values are larger than memory bears.

use crate::functions::check_type;
use arrow::datatypes::DataType;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result as Found};
use datafusion::logical_expr::expr::{AggregateFunction, Case, Cast, TryCast, WindowFunction};
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, LogicalPlan, Operator};
use flight_common::Fault;

/// What is wrong with the types of an expression in a node of a plan.
pub(super) fn wrong(node: &LogicalPlan) -> Found<Option<Fault>> {
    let [input] = node.inputs()[..] else { return Ok(None) };
    let mut offence = None;
    node.apply_expressions(|expr| {
        expr.apply(|part| {
            offence = wrong_here(part, input.schema());
            Ok(if offence.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        })
    })?;
    Ok(offence)
}

fn wrong_here(expr: &Expr, schema: &DFSchema) -> Option<Fault> {
    if let Some(what) = too_large(expr, schema) {
        return Some(
            Fault::bad_schema(format!("the type of {expr} {what}")).help("a type without a length takes any value"),
        );
    }
    let (word, values, takes): (&str, Vec<&Expr>, fn(&DataType) -> bool) = match expr {
        Expr::Case(Case { when_then_expr, else_expr, .. }) => {
            let values = when_then_expr.iter().map(|(_, then)| then).chain(else_expr);
            ("CASE", values.map(AsRef::as_ref).collect(), tells_its_nulls)
        }
        Expr::AggregateFunction(AggregateFunction { func, params }) if matches!(func.name(), "min" | "max") => {
            (func.name(), params.args.iter().collect(), has_an_order)
        }
        Expr::WindowFunction(function) => {
            let WindowFunction { fun, params } = function.as_ref();
            match fun.name() {
                "min" | "max" => (fun.name(), params.args.iter().collect(), has_an_order),
                _ => return None,
            }
        }
        _ => return None,
    };
    let mut types = values.into_iter().filter_map(|value| value.get_type(schema).ok());
    let wrong = types.find(|one| !takes(one))?;
    Some(
        Fault::bad_schema(format!("{word} cannot give values of type {wrong}"))
            .help("cast the column to a plain type in a step or query before"),
    )
}

/// What is too large of the type that an expression names or makes, if anything is.
fn too_large(expr: &Expr, schema: &DFSchema) -> Option<String> {
    match expr {
        Expr::Cast(Cast { field, .. }) | Expr::TryCast(TryCast { field, .. }) => check_type(field.data_type()),
        Expr::BinaryExpr(BinaryExpr { op: Operator::StringConcat, .. }) => check_type(&expr.get_type(schema).ok()?),
        _ => None,
    }
}

fn tells_its_nulls(data_type: &DataType) -> bool {
    !matches!(data_type, DataType::Union(..) | DataType::RunEndEncoded(..))
}

/// Whether `min` and `max` know which of two values is the lesser.
fn has_an_order(data_type: &DataType) -> bool {
    use DataType as T;
    let none = matches!(data_type, T::Map(..) | T::ListView(_) | T::LargeListView(_));
    !none && tells_its_nulls(data_type)
}
