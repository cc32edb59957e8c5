//! What columns are called, and what `ORDER BY` names, as PostgreSQL has it. What is cast is called as what is cast,
//! also where `UNION BY NAME` matches it, and a name alone is a column of the result:
//! `SELECT id::text FROM t ORDER BY id`. An expression that stands in the result as well is that column.
//!
//! DataFusion (55.2) calls the first `t.id`, looks for `id` in the table, and puts it beside. In the last it takes
//! names for those of the result, so that `SELECT -n AS n FROM t ORDER BY -n` would be by `n`; other expressions of
//! such names are refused.

use datafusion::sql::sqlparser::ast::{
    CastFormat, CastKind, DataType, Expr, Ident, OrderBy, OrderByExpr, OrderByKind, Query, Select, SelectItem, SetExpr,
    SetQuantifier, TableFactor, TableWithJoins, Visit, VisitMut, VisitorMut, visit_expressions,
};
use std::ops::ControlFlow;

/// Puts the names of the result in the place of what means them.
pub(crate) fn by_result(said: &mut impl VisitMut) {
    let walked: ControlFlow<()> = said.visit(&mut Orders::default());
    debug_assert!(walked.is_continue());
}

#[derive(Default)]
struct Orders {
    /// How many expressions and lateral tables there are around a query: in them it may name columns of an outer one.
    around: usize,
}

impl VisitorMut for Orders {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        let mut none = Vec::new();
        let by = match &mut query.order_by {
            Some(OrderBy { kind: OrderByKind::Expressions(by), .. }) => by,
            _ => &mut none,
        };
        let may_be_outer = self.around > 0;
        if let SetExpr::Select(select) = &mut *query.body {
            by.iter_mut().for_each(|by| name(by, select));
            name_casts(select, by, may_be_outer);
            return ControlFlow::Continue(());
        }
        // What orders queries that are put together knows the columns of their result alone. Where one of them keeps
        // another name, those after it may have that as well.
        let _ = naming(&mut query.body).into_iter().all(|select| name_casts(select, &mut none, may_be_outer));
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, _: &mut Expr) -> ControlFlow<()> {
        self.around += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, _: &mut Expr) -> ControlFlow<()> {
        self.around -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, table: &mut TableFactor) -> ControlFlow<()> {
        self.around += usize::from(is_lateral(table));
        ControlFlow::Continue(())
    }

    fn post_visit_table_factor(&mut self, table: &mut TableFactor) -> ControlFlow<()> {
        self.around -= usize::from(is_lateral(table));
        ControlFlow::Continue(())
    }
}

fn is_lateral(table: &TableFactor) -> bool {
    matches!(table, TableFactor::Derived { lateral: true, .. })
}

/// The queries whose names the columns of all of them have, in order: the first one, and all where columns are matched
/// by name. Those in brackets are visited by themselves.
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
fn name_casts(select: &mut Select, by: &mut Vec<OrderByExpr>, may_be_outer: bool) -> bool {
    let table = only_table(select).cloned();
    let is_of_table = table.is_some() && !may_be_outer;
    let mut all = true;
    for place in 0..select.projection.len() {
        let SelectItem::UnnamedExpr(expr) = &select.projection[place] else { continue };
        let Some(name) = cast_column(expr) else { continue };
        let mut others = select.projection.iter().enumerate().filter(|(other, _)| *other != place);
        if others.any(|(_, item)| may_be_called(item, name))
            || !is_of_table && (is_captured(&select.having, name) || is_captured(&select.qualify, name))
            || by.iter().any(|by| is_within(by, name) && !is_same_cast(&by.expr, expr, table.as_ref()))
        {
            all = false;
            continue;
        }
        let (expr, name) = (expr.clone(), name.clone());
        order_by_cast(by, &expr, &name, table.as_ref());
        select.projection[place] = SelectItem::ExprWithAlias { expr, alias: name };
    }
    all
}

/// Orders by the name of what is cast, and once: beside `DISTINCT ON` nothing may stand twice.
fn order_by_cast(by: &mut Vec<OrderByExpr>, cast: &Expr, name: &Ident, table: Option<&Ident>) {
    let named = Expr::Identifier(name.clone());
    by.iter_mut().filter(|by| is_same_cast(&by.expr, cast, table)).for_each(|by| by.expr = named.clone());
    let mut is_first = true;
    by.retain(|by| by.expr != named || by.with_fill.is_some() || std::mem::take(&mut is_first));
}

/// In an expression a name is the column of the table, also where the result has one of this name.
fn is_within(by: &OrderByExpr, name: &Ident) -> bool {
    !matches!(by.expr, Expr::Identifier(_)) && mentions(&by.expr, name)
}

/// The name of the table, if a query reads a single one that has a name: its columns are found there, whatever those of
/// the result are called.
fn only_table(select: &Select) -> Option<&Ident> {
    let [TableWithJoins { relation, joins }] = select.from.as_slice() else { return None };
    match relation {
        _ if !joins.is_empty() => None,
        TableFactor::Table { alias: Some(alias), args: None, .. } | TableFactor::Derived { alias: Some(alias), .. } => {
            Some(&alias.name)
        }
        TableFactor::Table { name, alias: None, args: None, .. } => name.0.last()?.as_ident(),
        _ => None,
    }
}

/// Whether both cast the same in the same way, in whichever words.
fn is_same_cast(one: &Expr, other: &Expr, table: Option<&Ident>) -> bool {
    match (operand(one), operand(other)) {
        (Some((one, how)), Some((other, other_how))) => how == other_how && is_same_operand(one, other, table),
        _ => false,
    }
}

/// To what is cast, whether it is a fault, or null, where it cannot be, and what else is said of it.
type How<'a> = (&'a DataType, bool, bool, Option<&'a CastFormat>);

/// What is cast, and how.
fn operand(cast: &Expr) -> Option<(&Expr, How<'_>)> {
    match cast {
        Expr::Nested(cast) => operand(cast),
        Expr::Cast { kind, expr, data_type, array, format } => {
            let fails = matches!(kind, CastKind::Cast | CastKind::DoubleColon);
            Some((&**expr, (data_type, fails, *array, format.as_ref())))
        }
        _ => None,
    }
}

/// What is cast is the same, or the same cast itself. `id` of a single table `t` is `t.id`.
fn is_same_operand(one: &Expr, other: &Expr, table: Option<&Ident>) -> bool {
    match (one, other) {
        (Expr::Nested(one), other) | (other, Expr::Nested(one)) => is_same_operand(one, other, table),
        (Expr::CompoundIdentifier(names), Expr::Identifier(name))
        | (Expr::Identifier(name), Expr::CompoundIdentifier(names)) => {
            matches!(names.as_slice(), [of, column] if column == name && table.is_some_and(|it| it.value == of.value))
        }
        _ => one == other || is_same_cast(one, other, table),
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

/// Whether an expression has a column of this name.
fn mentions(expr: &impl Visit, name: &Ident) -> bool {
    has_name(expr, |names| names.last().is_some_and(|last| is_same(last, name)))
}

/// Whether a condition on groups or windows may take a name for that of the result, as it does where it is not that of
/// a column of one table. What stands with the name of its table is found there.
fn is_captured(condition: &impl Visit, name: &Ident) -> bool {
    has_name(condition, |names| names.first().is_some_and(|first| is_same(first, name)))
}

fn has_name(expr: &impl Visit, is_it: impl Fn(&[Ident]) -> bool) -> bool {
    let walked = visit_expressions(expr, |part| {
        let names = match part {
            Expr::Identifier(name) => std::slice::from_ref(name),
            Expr::CompoundIdentifier(names) => names.as_slice(),
            _ => &[],
        };
        match is_it(names) {
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
    async fn what_is_cast_is_called_by_its_name_beside_the_same_in_an_order_and_beside_conditions() {
        for (sql, expected) in [
            ("SELECT n::text FROM t WHERE n IN (9, 10) ORDER BY n::text", 10),
            ("SELECT DISTINCT n::text FROM t WHERE n IN (9, 10) ORDER BY n::text DESC", 9),
            ("SELECT DISTINCT t.n::text FROM t WHERE n IN (9, 10) ORDER BY CAST(n AS TEXT)", 10),
            ("SELECT n::text FROM t AS a WHERE n IN (9, 10) ORDER BY a.n::text, n", 10),
            ("SELECT (n::bigint)::text FROM t WHERE n IN (9, 10) ORDER BY (n)::bigint::text", 10),
            ("SELECT DISTINCT ON (n::text) n::text, x FROM t WHERE n IN (9, 10) ORDER BY n::text, n", 10),
            ("SELECT n::text, count(*) FROM t WHERE n IN (9, 10) GROUP BY n::text ORDER BY n::text", 10),
            ("SELECT n::text FROM t WHERE n IN (9, 10) UNION ALL SELECT '8' ORDER BY n::text DESC", 9),
            ("SELECT n::text FROM t WHERE n IN (9, 10) GROUP BY n HAVING n > 9", 10),
            ("SELECT n::text FROM t WHERE n IN (9, 10) QUALIFY row_number() OVER (ORDER BY n) = 1", 9),
            ("SELECT a.n::text FROM t a JOIN t b ON a.n = b.n WHERE a.n < 9 GROUP BY a.n HAVING a.n > 7", 8),
        ] {
            assert_eq!(names(sql).await.split(',').next(), Some("n"), "{sql}");
            assert_eq!(number(&within(MEMORY, sql)).await, expected, "{sql}");
        }
    }

    #[tokio::test]
    async fn a_condition_and_another_order_are_by_the_column_of_the_table() {
        for (sql, expected) in [
            ("SELECT n::text FROM (SELECT n + 9 AS n FROM t WHERE n < 2) QUALIFY rank() OVER (ORDER BY n) = 1", 9),
            ("SELECT n::text FROM t WHERE n IN (9, 10) GROUP BY n ORDER BY max(n)", 9),
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
