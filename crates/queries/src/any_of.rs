//! `x = ANY (list)` with a null in the list, which is null where nothing else in it is found. To DataFusion (55.2) it is false, while
//! of `ALL` it answers rightly: so `x = ANY (list)` is read as `NOT x <> ALL (list)`, which is the same.
//!
//! A list that is written out (`x = ANY ([1.1, 2.5])`) is that of `x IN (1.1, 2.5)`, and `x <> ALL (…)` that of `NOT IN`: these
//! compare values of different types, and files can be passed over by them.

use datafusion::sql::sqlparser::ast::{
    Array, BinaryOperator, Expr, UnaryOperator, Value, VisitMut, visit_expressions_mut,
};
use std::mem;
use std::ops::ControlFlow;

/// Says it with `IN` or `ALL`, but for queries (`ANY (SELECT …)`).
pub(crate) fn by_all(said: &mut impl VisitMut) {
    let walked: ControlFlow<()> = visit_expressions_mut(said, |expr| {
        let read = match expr {
            Expr::AnyOp { left, compare_op: BinaryOperator::Eq, right, is_some: _ } if is_written_out(right) => {
                in_list(left, right, false)
            }
            Expr::AllOp { left, compare_op: BinaryOperator::NotEq, right } if is_written_out(right) => {
                in_list(left, right, true)
            }
            Expr::AnyOp { left, compare_op, right, is_some: _ } if !matches!(**right, Expr::Subquery(_)) => {
                opposite(compare_op).map(|compare_op| not_of_all(left, compare_op, right))
            }
            _ => None,
        };
        if let Some(read) = read {
            *expr = read;
        }
        ControlFlow::Continue(())
    });
    debug_assert!(walked.is_continue());
}

/// `x IN (…)`, or `x NOT IN (…)`.
fn in_list(value: &mut Box<Expr>, list: &mut Expr, negated: bool) -> Option<Expr> {
    let Expr::Array(Array { elem, .. }) = list else { return None };
    Some(Expr::InList { expr: taken(value), list: mem::take(elem), negated })
}

fn not_of_all(left: &mut Box<Expr>, compare_op: BinaryOperator, right: &mut Box<Expr>) -> Expr {
    let all = Expr::AllOp { left: taken(left), compare_op, right: taken(right) };
    Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(Expr::Nested(Box::new(all))) }
}

fn taken(side: &mut Box<Expr>) -> Box<Expr> {
    mem::replace(side, Box::new(Expr::value(Value::Null)))
}

/// Which comparison holds where this one is false. DataFusion refuses others.
fn opposite(op: &BinaryOperator) -> Option<BinaryOperator> {
    Some(match op {
        BinaryOperator::Eq => BinaryOperator::NotEq,
        BinaryOperator::NotEq => BinaryOperator::Eq,
        BinaryOperator::Lt => BinaryOperator::GtEq,
        BinaryOperator::LtEq => BinaryOperator::Gt,
        BinaryOperator::Gt => BinaryOperator::LtEq,
        BinaryOperator::GtEq => BinaryOperator::Lt,
        _ => return None,
    })
}

/// Whether a list is written out, of constants. Lists are compared as they are.
fn is_written_out(list: &Expr) -> bool {
    matches!(list, Expr::Array(Array { elem, .. }) if !elem.is_empty() && elem.iter().all(is_constant))
}

fn is_constant(value: &Expr) -> bool {
    match value {
        Expr::Value(_) | Expr::TypedString(_) | Expr::Interval(_) => true,
        Expr::Cast { expr, .. } | Expr::Nested(expr) => is_constant(expr),
        Expr::UnaryOp { op: UnaryOperator::Minus | UnaryOperator::Plus, expr } => is_constant(expr),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{MEMORY, number, within};

    #[tokio::test]
    async fn a_null_in_a_list_may_be_what_is_sought() {
        for (sql, expected) in [
            ("SELECT count(*) FROM t WHERE n = ANY([1, 2, NULL])", 2),
            ("SELECT count(*) FROM t WHERE (n = ANY([1, 2, NULL])) IS NULL", 19_998),
            ("SELECT count(*) FROM t WHERE (n = ANY([nullif(n, 5), n + 1])) IS NULL", 1),
            ("SELECT count(*) FROM t WHERE NOT (n = SOME([nullif(n, 5), n + 1]))", 0),
            ("SELECT count(*) FROM t WHERE (n > ANY([19000, NULL])) IS NULL", 19_001),
            ("SELECT count(*) FROM t WHERE n <= ANY([9, NULL])", 10),
            ("SELECT count(*) FROM t WHERE (n <> ANY([n, NULL])) IS NULL", 20_000),
            ("SELECT count(*) FROM t WHERE n <> ANY([n, 5])", 19_999),
            ("SELECT count(*) FROM t WHERE (nullif(n, 5) = ANY([1])) IS NULL", 1),
            ("SELECT count(*) FROM t WHERE n = ANY([]) OR n < ANY([])", 0),
            ("SELECT count(*) FROM t WHERE n = ANY([3, 4]) AND n = ANY(SELECT n FROM t WHERE n > 3)", 1),
            ("SELECT count(*) FROM t WHERE (n <> ALL([1, NULL])) IS NULL", 19_999),
            ("SELECT count(*) FROM t WHERE n <> ALL([1, 2])", 19_998),
        ] {
            assert_eq!(number(&within(MEMORY, sql)).await, expected, "{sql}");
        }
    }

    #[tokio::test]
    async fn values_of_other_types_are_sought_in_a_list_that_is_written_out() {
        for (condition, expected) in [
            ("CAST(n AS DECIMAL(8, 2)) = ANY([1.0, 2.5])", 1),
            ("CAST(n AS DECIMAL(8, 2)) / 10 = ANY(ARRAY[0.1, 0.3])", 2),
            ("CAST(n AS DECIMAL(8, 2)) = ANY([1, -2])", 1),
            ("CAST(n AS DECIMAL(8, 2)) <> ALL([1.0, 2.5])", 19_999),
            ("(CAST(n AS DECIMAL(8, 2)) = ANY([1.0, NULL])) IS NULL", 19_999),
            ("CAST(n AS DOUBLE) = ANY([CAST(1 AS DECIMAL(8, 2)), 2.5])", 1),
            ("n = ANY([1.5, 2.0])", 1),
            ("n::text = ANY([1])", 1),
            ("DATE '2024-01-01' + n::int = ANY(['2024-01-03'])", 1),
            ("INTERVAL '1 day' = ANY([INTERVAL '1 day'])", 20_000),
            ("[n] = ANY([[1], [2]])", 2),
        ] {
            let sql = format!("SELECT count(*) FROM t WHERE {condition}");
            assert_eq!(number(&within(MEMORY, &sql)).await, expected, "{sql}");
        }
    }
}
