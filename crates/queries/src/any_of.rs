//! `x = ANY (list)` with a null in the list, which is null where nothing else in it is found. To DataFusion (55.2) it is false, while
//! of `ALL` it answers rightly: so `x = ANY (list)` is read as `NOT x <> ALL (list)`, which is the same.

use datafusion::sql::sqlparser::ast::{
    Array, BinaryOperator, Expr, UnaryOperator, Value, VisitMut, visit_expressions_mut,
};
use std::ops::ControlFlow;

/// Says it with `ALL`, but for queries (`ANY (SELECT …)`).
pub(crate) fn by_all(said: &mut impl VisitMut) {
    let walked: ControlFlow<()> = visit_expressions_mut(said, |expr| {
        if let Expr::AnyOp { left, compare_op, right, is_some: _ } = expr
            && !matches!(**right, Expr::Subquery(_))
            && !(*compare_op == BinaryOperator::Eq && is_without_nulls(right))
            && let Some(compare_op) = opposite(compare_op)
        {
            let side = |side: &mut Box<Expr>| std::mem::replace(side, Box::new(Expr::value(Value::Null)));
            let all = Expr::AllOp { left: side(left), compare_op, right: side(right) };
            *expr = Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(Expr::Nested(Box::new(all))) };
        }
        ControlFlow::Continue(())
    });
    debug_assert!(walked.is_continue());
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

/// Whether a list is written out of values that are none: it stays, since files can be passed over by it.
fn is_without_nulls(list: &Expr) -> bool {
    let is_one = |value: &Expr| matches!(value, Expr::Value(value) if value.value != Value::Null);
    matches!(list, Expr::Array(Array { elem, .. }) if !elem.is_empty() && elem.iter().all(is_one))
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
        ] {
            assert_eq!(number(&within(MEMORY, sql)).await, expected, "{sql}");
        }
    }
}
