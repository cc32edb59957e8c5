//! What columns are called, and what `ORDER BY` names, as PostgreSQL has it. What is cast is called as what is cast, and a name alone is
//! a column of the result: `SELECT id::text FROM t ORDER BY id`. An expression that stands in the result as well is that column.
//!
//! DataFusion (55.2) calls the first `t.id`, looks for `id` in the table, and puts it beside. In the second it takes names for
//! those of the result, so that `SELECT -n AS n FROM t ORDER BY -n` would be by `n`; other expressions of such names are refused.

use datafusion::sql::sqlparser::ast::{
    Expr, Ident, OrderBy, OrderByExpr, OrderByKind, Query, Select, SelectItem, SetExpr, Visit, VisitMut, VisitorMut,
    visit_expressions,
};
use std::ops::ControlFlow;

/// Puts the names of the result in the place of what means them.
pub(crate) fn by_result(said: &mut impl VisitMut) {
    let walked: ControlFlow<()> = said.visit(&mut Orders);
    debug_assert!(walked.is_continue());
}

struct Orders;

impl VisitorMut for Orders {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        let by = match &mut query.order_by {
            Some(OrderBy { kind: OrderByKind::Expressions(by), .. }) => by.as_mut_slice(),
            _ => &mut [],
        };
        if let SetExpr::Select(select) = &*query.body {
            by.iter_mut().for_each(|by| name(by, select));
        }
        if let Some(select) = first_of(&mut query.body) {
            name_casts(select, by);
        }
        ControlFlow::Continue(())
    }
}

/// The query that gives the columns of all their names.
fn first_of(body: &mut SetExpr) -> Option<&mut Select> {
    match body {
        SetExpr::Select(select) => Some(select.as_mut()),
        SetExpr::SetOperation { left, .. } => first_of(left),
        _ => None,
    }
}

/// Orders by the name of a column that has one, instead of by the expression of it. A number is the place of a column.
fn name(by: &mut OrderByExpr, select: &Select) {
    let mut names = select.projection.iter().filter_map(|item| match item {
        SelectItem::ExprWithAlias { expr, alias } if *expr == by.expr => Some(alias),
        _ => None,
    });
    let is_one = |name: &&Ident| select.projection.iter().filter(|item| may_be_called(item, name)).count() == 1;
    let Some(name) = names.find(is_one).cloned() else { return };
    if !matches!(by.expr, Expr::Identifier(_) | Expr::Value(_)) {
        by.expr = Expr::Identifier(name);
    }
}

/// Calls what is cast by its name, where nothing else has it.
fn name_casts(select: &mut Select, by: &[OrderByExpr]) {
    // In an expression it is the column of the table, also where the result has one of this name.
    let within = |by: &OrderByExpr, name: &Ident| !matches!(by.expr, Expr::Identifier(_)) && mentions(&by.expr, name);
    for place in 0..select.projection.len() {
        let SelectItem::UnnamedExpr(expr) = &select.projection[place] else { continue };
        let Some(name) = cast_column(expr) else { continue };
        let mut others = select.projection.iter().enumerate().filter(|(other, _)| *other != place);
        if others.any(|(_, item)| may_be_called(item, name))
            || mentions(&select.having, name)
            || mentions(&select.qualify, name)
            || by.iter().any(|by| within(by, name))
        {
            continue;
        }
        let named = SelectItem::ExprWithAlias { expr: expr.clone(), alias: name.clone() };
        select.projection[place] = named;
    }
}

/// The column that an expression casts, if that is all it does.
fn cast_column(expr: &Expr) -> Option<&Ident> {
    match expr {
        Expr::Cast { expr, .. } => column(expr),
        Expr::Nested(expr) => cast_column(expr),
        _ => None,
    }
}

fn column(expr: &Expr) -> Option<&Ident> {
    match expr {
        Expr::Identifier(name) => Some(name),
        Expr::CompoundIdentifier(names) => names.last(),
        Expr::Cast { expr, .. } | Expr::Nested(expr) => column(expr),
        _ => None,
    }
}

/// Whether a column of the result may have this name, which of `*` nobody knows here.
fn may_be_called(item: &SelectItem, name: &Ident) -> bool {
    match item {
        SelectItem::UnnamedExpr(expr) => column(expr).is_some_and(|other| is_same(other, name)),
        SelectItem::ExprWithAlias { expr: _, alias } => is_same(alias, name),
        _ => true,
    }
}

/// A condition on groups would take the name for that of the result too.
fn mentions(expr: &impl Visit, name: &Ident) -> bool {
    let walked = visit_expressions(expr, |part| {
        let other = match part {
            Expr::Identifier(other) => Some(other),
            Expr::CompoundIdentifier(names) => names.last(),
            _ => None,
        };
        match other.is_some_and(|other| is_same(other, name)) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    });
    walked.is_break()
}

/// Whether they are the same, or may be.
fn is_same(one: &Ident, other: &Ident) -> bool {
    one.value.eq_ignore_ascii_case(&other.value)
}

#[cfg(test)]
mod tests {
    use crate::testing::{MEMORY, number, within};

    #[tokio::test]
    async fn a_name_alone_is_a_column_of_the_result() {
        for (sql, expected) in [
            // As texts, 10 comes before 9.
            ("SELECT n::text FROM t WHERE n IN (9, 10) ORDER BY n", 10),
            ("SELECT CAST(t.n AS TEXT), count(*) FROM t WHERE n IN (9, 10) GROUP BY n ORDER BY n", 10),
            ("SELECT (n)::bigint::text FROM t WHERE n = 9 UNION ALL SELECT '10' ORDER BY n", 10),
            ("SELECT DISTINCT n::text FROM t WHERE n IN (9, 10) ORDER BY n DESC", 9),
            ("SELECT n::text AS n FROM t WHERE n IN (9, 10) ORDER BY n", 10),
            ("SELECT n::text AS s FROM t WHERE n IN (9, 10) ORDER BY n", 9),
            ("SELECT max(q.n) FROM (SELECT n::text FROM t WHERE n IN (9, 10)) AS q", 9),
        ] {
            assert_eq!(number(&within(MEMORY, sql)).await, expected, "{sql}");
        }
    }

    #[tokio::test]
    async fn an_expression_of_the_result_is_its_column() {
        for (sql, expected) in [
            ("SELECT -n AS n FROM t ORDER BY -n", -19_999),
            ("SELECT -n AS n FROM t ORDER BY -n DESC", 0),
            ("SELECT 5 - n AS n FROM t WHERE n < 9 ORDER BY 1 DESC", 5),
            ("SELECT n, 1 AS x FROM t WHERE n IN (3, 2) ORDER BY 1", 2),
            ("SELECT sum(-n) AS n FROM t GROUP BY n % 3 ORDER BY sum(-n) DESC LIMIT 1", -66_656_667),
        ] {
            assert_eq!(number(&within(MEMORY, sql)).await, expected, "{sql}");
        }
    }
}
