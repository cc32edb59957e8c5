//! What columns are called, and what `ORDER BY` names, as PostgreSQL has it. What is cast is called as what is cast, also
//! where `UNION BY NAME` matches it, and a name alone is a column of the result: `SELECT id::text FROM t ORDER BY id`. An
//! expression that stands in the result as well is that column.
//!
//! DataFusion (55.2) calls the first `t.id`, looks for `id` in the table, and puts it beside. In the last it takes names
//! for those of the result, so that `SELECT -n AS n FROM t ORDER BY -n` would be by `n`; other expressions of such names
//! are refused.

use datafusion::sql::sqlparser::ast::{
    Expr, Ident, OrderBy, OrderByExpr, OrderByKind, Query, Select, SelectItem, SetExpr, SetQuantifier, Visit, VisitMut,
    VisitorMut, visit_expressions,
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
        if let SetExpr::Select(select) = &mut *query.body {
            by.iter_mut().for_each(|by| name(by, select));
            name_casts(select, by);
            return ControlFlow::Continue(());
        }
        // What orders queries that are put together knows the columns of their result alone. Where one of them keeps
        // another name, those after it may have that as well.
        let _ = naming(&mut query.body).into_iter().all(|select| name_casts(select, &[]));
        ControlFlow::Continue(())
    }
}

/// The queries whose names the columns of all of them have, in order: the first one, and all where columns are matched by
/// name. Those in brackets are visited by themselves.
fn naming(body: &mut SetExpr) -> Vec<&mut Select> {
    let mut found = Vec::new();
    let mut bodies = vec![body];
    while let Some(body) = bodies.pop() {
        match body {
            SetExpr::Select(select) => found.push(select.as_mut()),
            SetExpr::SetOperation { left, right, set_quantifier, .. } => {
                if is_by_name(*set_quantifier) {
                    bodies.push(right.as_mut());
                }
                bodies.push(left.as_mut());
            }
            _ => {}
        }
    }
    found
}

fn is_by_name(quantifier: SetQuantifier) -> bool {
    matches!(quantifier, SetQuantifier::ByName | SetQuantifier::AllByName | SetQuantifier::DistinctByName)
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

/// Calls what is cast by its name, where nothing else has it. Whether all of it is.
fn name_casts(select: &mut Select, by: &[OrderByExpr]) -> bool {
    // In an expression it is the column of the table, also where the result has one of this name.
    let within = |by: &OrderByExpr, name: &Ident| !matches!(by.expr, Expr::Identifier(_)) && mentions(&by.expr, name);
    let mut all = true;
    for place in 0..select.projection.len() {
        let SelectItem::UnnamedExpr(expr) = &select.projection[place] else { continue };
        let Some(name) = cast_column(expr) else { continue };
        let mut others = select.projection.iter().enumerate().filter(|(other, _)| *other != place);
        if others.any(|(_, item)| may_be_called(item, name))
            || mentions(&select.having, name)
            || mentions(&select.qualify, name)
            || by.iter().any(|by| within(by, name))
        {
            all = false;
            continue;
        }
        let named = SelectItem::ExprWithAlias { expr: expr.clone(), alias: name.clone() };
        select.projection[place] = named;
    }
    all
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

    /// What the columns of a result are called.
    async fn names(sql: &str) -> String {
        let rows = within(MEMORY, sql).rows().await.unwrap_or_else(|fault| panic!("{sql}: {fault}"));
        let schema = rows.first().expect("rows").schema();
        schema.fields().iter().map(|field| field.name().as_str()).collect::<Vec<_>>().join(",")
    }

    #[tokio::test]
    async fn what_is_cast_is_matched_by_its_name() {
        let one = "SELECT a.n::text, 'a' AS s FROM t AS a WHERE n = 9";
        let other = "SELECT b.n::text, 'b' AS s FROM t AS b WHERE n = 10";
        let bare = "SELECT n, 'b' AS s FROM t WHERE n = 10";
        for union in ["UNION ALL BY NAME", "UNION BY NAME", "UNION DISTINCT BY NAME"] {
            for sql in [
                format!("{one} {union} {other}"),
                format!("{one} {union} {bare}"),
                format!("{bare} {union} {one}"),
                format!("{one} {union} ({other})"),
                format!("({one}) {union} ({other} {union} {bare})"),
                format!("{one} {union} {bare} {union} {other}"),
                format!("{one} {union} {other} UNION ALL SELECT '8', 'c'"),
                format!("{one} UNION ALL SELECT '8', 'c' {union} {other}"),
                format!("{one} {union} {other} ORDER BY n::text || s"),
            ] {
                assert_eq!(names(&sql).await, "n,s", "{sql}");
                let filled = format!("SELECT count(*) - count(n) FROM ({sql}) AS q");
                assert_eq!(number(&within(MEMORY, &filled)).await, 0, "{sql}");
            }
        }
        let ordered = format!("{one} UNION ALL BY NAME {other} ORDER BY n DESC");
        assert_eq!(number(&within(MEMORY, &ordered)).await, 9, "{ordered}");
    }

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
