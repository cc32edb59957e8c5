//! `SELECT *` over tables that are joined by `USING`: the columns of each table in their order, and what is joined by
//! once, as the left one has it. DataFusion (55.2) keeps it of the table whose name sorts first: at another place, and of
//! a `LEFT JOIN` null where the right table has no row. So `*` is written out: `SELECT * FROM b JOIN a USING (k)` is
//! `SELECT b.*, a.* EXCEPT (k) FROM …`. A query in `FROM` without a name gets one for it, where nothing names what is in it.
//!
//! What cannot be written out, since nobody knows here which column is of which table, is refused where it would be wrong
//! ([`crate::check_statement`]).

use crate::using::{Table, called, joined_by, tables};
use datafusion::sql::sqlparser::ast::{
    ExceptSelectItem, Expr, Ident, Join, ObjectName, ObjectNamePart, OrderBy, Query, Select, SelectItem,
    SelectItemQualifiedWildcardKind, SetExpr, TableAlias, TableFactor, TableWithJoins, Visit, VisitMut, VisitorMut,
    WildcardAdditionalOptions, visit_expressions,
};
use std::ops::ControlFlow;
use std::{iter, mem};

/// Writes out what each `*` over such tables stands for.
pub(crate) fn by_table(said: &mut impl VisitMut) {
    let walked: ControlFlow<()> = said.visit(&mut Stars);
    debug_assert!(walked.is_continue());
}

struct Stars;

impl VisitorMut for Stars {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        if let SetExpr::Select(select) = &mut *query.body
            && select.projection.iter().any(|item| star(item).is_some())
            && !names_others(select, query.order_by.as_ref())
        {
            give_names(&mut select.from);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        if select.projection.iter().any(|item| star(item).is_some())
            && let Some(tables) = tables(&select.from)
            && tables.iter().any(|table| !table.joined.shared.is_empty())
        {
            write_out(&mut select.projection, &tables);
        }
        ControlFlow::Continue(())
    }
}

/// Names the queries in `FROM` that have no name, if tables are joined by `USING`.
fn give_names(from: &mut [TableWithJoins]) {
    let shares = |join: &Join| joined_by(&join.join_operator).is_some_and(|shared| !shared.is_empty());
    if !from.iter().flat_map(|joined| &joined.joins).any(shares) {
        return;
    }
    let factors = from.iter_mut().flat_map(|joined| {
        let TableWithJoins { relation, joins } = joined;
        iter::once(relation).chain(joins.iter_mut().map(|join| &mut join.relation))
    });
    for (place, factor) in factors.enumerate() {
        if let TableFactor::Derived { alias: alias @ None, .. } = factor {
            // No table is called so.
            let name = Ident::with_quote('"', format!("({})", place + 1));
            *alias = Some(TableAlias { explicit: true, name, columns: Vec::new(), at: None });
        }
    }
}

/// Whether columns are named with none of the names in `FROM`: it may be that of a table in a query without a name.
fn names_others(select: &Select, by: Option<&OrderBy>) -> bool {
    let Select { distinct, projection, from, selection, group_by, having, qualify, named_window, .. } = select;
    let known = parts_of_names(from);
    let mut joins = from.iter().flat_map(|from| &from.joins);
    projection.iter().any(|item| matches!(item, SelectItem::QualifiedWildcard(..)))
        || joins.any(|join| names_other(&join.join_operator, &known))
        || names_other(distinct, &known)
        || names_other(projection, &known)
        || names_other(selection, &known)
        || names_other(group_by, &known)
        || names_other(having, &known)
        || names_other(qualify, &known)
        || names_other(named_window, &known)
        || by.is_some_and(|by| names_other(by, &known))
}

fn parts_of_names(from: &[TableWithJoins]) -> Vec<Ident> {
    let right = |join: &Join| called(&join.relation);
    let names = from.iter().flat_map(|from| iter::once(called(&from.relation)).chain(from.joins.iter().map(right)));
    names.flatten().flat_map(|name| name.0).filter_map(|part| part.as_ident().cloned()).collect()
}

fn names_other(said: &impl Visit, known: &[Ident]) -> bool {
    let is_known = |name: &Ident| known.iter().any(|known| known.value == name.value);
    let walked = visit_expressions(said, |part| match part {
        Expr::CompoundIdentifier(names) if !names.first().is_some_and(is_known) => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    });
    walked.is_break()
}

/// What is said of a `*` that stands for all columns, without exception.
fn star(item: &SelectItem) -> Option<&WildcardAdditionalOptions> {
    match item {
        SelectItem::Wildcard(options) if *options == WildcardAdditionalOptions::default() => Some(options),
        _ => None,
    }
}

fn write_out(columns: &mut Vec<SelectItem>, tables: &[Table]) {
    for item in mem::take(columns) {
        match star(&item) {
            Some(star) => columns.extend(tables.iter().map(|table| all_of(table, star))),
            None => columns.push(item),
        }
    }
}

/// The columns of one table, at the place of the `*`.
fn all_of(table: &Table, star: &WildcardAdditionalOptions) -> SelectItem {
    let place = star.wildcard_token.0.span;
    let placed = |name: &Ident| Ident { span: place, ..name.clone() };
    let parts = table.name.0.iter().map(|part| match part {
        ObjectNamePart::Identifier(name) => ObjectNamePart::Identifier(placed(name)),
        other => other.clone(),
    });
    let name = SelectItemQualifiedWildcardKind::ObjectName(ObjectName(parts.collect()));
    let opt_except = table.joined.shared.split_first().map(|(first, others)| ExceptSelectItem {
        first_element: placed(first),
        additional_elements: others.iter().map(placed).collect(),
    });
    SelectItem::QualifiedWildcard(name, WildcardAdditionalOptions { opt_except, ..star.clone() })
}

#[cfg(test)]
mod tests {
    use crate::session;
    use crate::testing::{MEMORY, number, within};
    use datafusion::execution::runtime_env::RuntimeEnv;
    use datafusion::prelude::SessionConfig;
    use std::sync::Arc;

    #[test]
    fn all_columns_are_written_out_where_tables_share_some() {
        let state = session(SessionConfig::new(), Arc::new(RuntimeEnv::default())).build();
        for (query, read) in [
            ("SELECT * FROM b JOIN a USING (k)", "SELECT b.*, a.* EXCEPT (k) FROM b JOIN a USING (k)"),
            (
                "SELECT 1 AS one, * FROM s.b AS \"B\" LEFT JOIN a USING (k, \"J\") CROSS JOIN (SELECT 2) c, s.d",
                "SELECT 1 AS one, \"B\".*, a.* EXCEPT (\"J\", k), c.*, s.d.* FROM s.b AS \"B\" \
                 LEFT JOIN a USING(k, \"J\") CROSS JOIN (SELECT 2) c, s.d",
            ),
            (
                "SELECT * FROM (c JOIN b USING (k)) LEFT SEMI JOIN d USING (k) JOIN (a) USING (k, k)",
                "SELECT c.*, b.* EXCEPT (k), a.* EXCEPT (k) FROM (c JOIN b USING(k)) LEFT SEMI JOIN d USING(k) JOIN a \
                 USING(k, k)",
            ),
            (
                "SELECT * FROM b JOIN (SELECT * FROM a WHERE a.x > 1) USING (k) WHERE b.k > 1",
                "SELECT b.*, \"(2)\".* EXCEPT (k) FROM b JOIN (SELECT * FROM a WHERE a.x > 1) AS \"(2)\" USING(k) \
                 WHERE b.k > 1",
            ),
        ] {
            let read = read.replace("USING (", "USING(");
            assert_eq!(crate::statement(&state, query).expect("a query").to_string(), read);
        }
        for untouched in [
            "SELECT * FROM b JOIN a ON b.k = a.k",
            "SELECT * FROM b NATURAL JOIN a",
            "SELECT * EXCEPT (y) FROM b JOIN a USING(k)",
            "SELECT * FROM b JOIN (c JOIN a USING(j)) USING(k)",
            "SELECT * FROM b JOIN (SELECT * FROM a) USING(k) WHERE a.k > 1",
            "SELECT * FROM b JOIN (SELECT * FROM a) USING(k) ORDER BY a.k",
            "SELECT * FROM b CROSS JOIN (SELECT 1 AS one)",
            "SELECT a.* FROM b JOIN a USING(k)",
        ] {
            assert_eq!(crate::statement(&state, untouched).expect("a query").to_string(), untouched);
        }
    }

    /// Of `b` and `a` the keys 1 and 2 are the same; `c` is of all keys.
    const TABLES: &str = "WITH b AS (SELECT n AS k, n * 10 AS y FROM t WHERE n IN (1, 2, 3)),
        a AS (SELECT n AS k, n * 100 AS x FROM t WHERE n IN (1, 2, 5)), c AS (SELECT n AS k, n + 7 AS z FROM t) ";

    #[tokio::test]
    async fn columns_come_in_the_order_of_the_tables() {
        for (columns, from, what, expected) in [
            ("one, two, three", "b JOIN a USING (k)", "sum(one + 2 * two + 4 * three)", 3 + 60 + 1_200),
            ("one, two, three", "b LEFT JOIN a USING (k)", "sum(one + 2 * two)", 6 + 120),
            ("one, two, three", "b LEFT JOIN a USING (k)", "sum(three)", 300),
            ("one, two, three, four", "c JOIN b USING (k) JOIN a USING (k)", "sum(one + 10 * two)", 3 + 170),
            ("one, two, three, four", "c JOIN b USING (k) LEFT JOIN a USING (k)", "sum(three + four)", 30 + 300),
            ("one, two, three", "b AS z JOIN (SELECT * FROM a) AS \"A\" USING (k)", "sum(one + 2 * two)", 3 + 60),
            ("one, two", "b JOIN (SELECT k FROM a) AS a USING (k)", "sum(one + 2 * two)", 3 + 60),
            ("one, two, three", "b LEFT JOIN (SELECT * FROM a) USING (k)", "sum(one + 2 * two)", 6 + 120),
            ("one, two, three", "(SELECT k + 0 AS k, y FROM b) JOIN a USING (k)", "sum(one + 2 * two)", 3 + 60),
            ("one, two, three, four", "b JOIN a USING (k) CROSS JOIN unnest([5]) AS u(v)", "sum(one + four)", 3 + 10),
        ] {
            let sql = format!("{TABLES}, q({columns}) AS (SELECT * FROM {from}) SELECT {what} FROM q");
            assert_eq!(number(&within(MEMORY, &sql)).await, expected, "{sql}");
        }
        let sql = format!("{TABLES} SELECT * FROM b JOIN a USING (k) UNION ALL SELECT 100, 0, 0 ORDER BY y LIMIT 1");
        assert_eq!(number(&within(MEMORY, &sql)).await, 100, "{sql}");
    }
}
