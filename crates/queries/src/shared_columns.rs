//! Columns that tables are joined by with `USING`, where they are called by their name alone.
//!
//! DataFusion (55.2) knows such a column so where results are computed, and not in `WHERE` and in the `ON` of a further
//! join; and nowhere if more than two tables are joined by it. There the table is named before it: of
//! `FROM a LEFT JOIN b USING (k) WHERE k > 1` it is `a.k`. Where the text does not tell which of several tables to the
//! left of a `LEFT JOIN` has it, it stays.

use crate::using::{Joined, Table, add, add_join, tables};
use datafusion::sql::sqlparser::ast::{
    Expr, Ident, ObjectNamePart, OrderBy, OrderByKind, Query, Select, SelectItem, SetExpr, TableWithJoins, VisitMut,
    VisitorMut,
};
use std::ops::ControlFlow;

/// Names the table before such columns.
pub(crate) fn by_table(said: &mut impl VisitMut) {
    let walked: ControlFlow<()> = said.visit(&mut Queries);
    debug_assert!(walked.is_continue());
}

struct Queries;

impl VisitorMut for Queries {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        if let SetExpr::Select(select) = &*query.body
            && let Some(OrderBy { kind: OrderByKind::Expressions(by), .. }) = &mut query.order_by
        {
            let mut keys = keys(&tables(&select.from).unwrap_or_default());
            keys.retain(|key| key.joins > 1 && !is_column(select, &key.name));
            name(by, &keys);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        let mut keys = keys(&tables(&select.from).unwrap_or_default());
        name(&mut select.selection, &keys);
        select.from.iter_mut().for_each(name_in_joins);
        keys.retain(|key| key.joins > 1);
        name(&mut select.projection, &keys);
        name(&mut select.distinct, &keys);
        name(&mut select.named_window, &keys);
        // In these it may be the name of a column of the result.
        keys.retain(|key| !select.projection.iter().any(|item| is_called(item, &key.name)));
        name(&mut select.group_by, &keys);
        name(&mut select.having, &keys);
        name(&mut select.qualify, &keys);
        ControlFlow::Continue(())
    }
}

/// In an `ON` those are known that tables before it are joined by.
fn name_in_joins(from: &mut TableWithJoins) {
    let mut before = Vec::new();
    if add(&from.relation, Joined::default(), &mut before).is_none() {
        return;
    }
    for join in &mut from.joins {
        name(&mut join.join_operator, &keys(&before));
        if add_join(join, &mut before).is_none() {
            return;
        }
    }
}

/// A column that tables are joined by.
struct Key {
    /// As it is compared.
    name: String,
    /// The table that has it.
    table: Vec<Ident>,
    /// How many joins are by it.
    joins: usize,
}

/// Those of which it is known which table has them.
fn keys(tables: &[Table]) -> Vec<Key> {
    let mut keys: Vec<Key> = Vec::new();
    for table in tables {
        for column in &table.joined.shared {
            let name = meant(column);
            match keys.iter_mut().find(|key| key.name == name) {
                Some(key) => key.joins += 1,
                None => keys.push(Key { name, table: giver(table), joins: 1 }),
            }
        }
    }
    keys.retain(|key| !key.table.is_empty());
    keys
}

/// The name of the column that is meant: in small letters, unless it is quoted.
fn meant(name: &Ident) -> String {
    match name.quote_style {
        Some(_) => name.value.clone(),
        None => name.value.to_ascii_lowercase(),
    }
}

fn giver(table: &Table) -> Vec<Ident> {
    let parts = table.giver().map(|name| name.0.as_slice()).unwrap_or_default();
    parts.iter().filter_map(ObjectNamePart::as_ident).cloned().collect()
}

/// Whether the result has a column of this name, as far as the text tells.
fn is_column(select: &Select, name: &str) -> bool {
    select.projection.iter().any(|item| match item {
        SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..) => true,
        SelectItem::UnnamedExpr(Expr::Identifier(column)) => meant(column) == name,
        SelectItem::UnnamedExpr(Expr::CompoundIdentifier(parts)) => {
            parts.last().is_some_and(|column| meant(column) == name)
        }
        item => is_called(item, name),
    })
}

fn is_called(item: &SelectItem, name: &str) -> bool {
    matches!(item, SelectItem::ExprWithAlias { alias, .. } if meant(alias) == name)
}

fn name(said: &mut impl VisitMut, keys: &[Key]) {
    if keys.is_empty() {
        return;
    }
    let walked: ControlFlow<()> = said.visit(&mut Names { keys, inside: 0 });
    debug_assert!(walked.is_continue());
}

struct Names<'a> {
    keys: &'a [Key],
    /// In how many queries: there the name may be that of another column.
    inside: usize,
}

impl VisitorMut for Names<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.inside += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.inside -= 1;
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if self.inside == 0
            && let Expr::Identifier(column) = expr
            && let name = meant(column)
            && let Some(key) = self.keys.iter().find(|key| key.name == name)
        {
            let placed = |part: &Ident| Ident { span: column.span, ..part.clone() };
            let parts = key.table.iter().map(placed).chain([column.clone()]);
            *expr = Expr::CompoundIdentifier(parts.collect());
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use crate::session;
    use crate::testing::{MEMORY, number, within};
    use datafusion::execution::runtime_env::RuntimeEnv;
    use datafusion::prelude::SessionConfig;
    use std::sync::Arc;

    #[test]
    fn a_shared_column_is_that_of_the_table_that_has_it() {
        let state = session(SessionConfig::new(), Arc::new(RuntimeEnv::default())).build();
        for (query, read) in [
            (
                "SELECT k FROM a JOIN b USING(k) WHERE k > 1 AND x = K",
                "SELECT k FROM a JOIN b USING(k) WHERE a.k > 1 AND x = a.K",
            ),
            (
                "SELECT k FROM s.a AS \"A\" LEFT JOIN b USING(k, \"J\") WHERE k + \"J\" > j",
                "SELECT k FROM s.a AS \"A\" LEFT JOIN b USING(k, \"J\") WHERE \"A\".k + \"A\".\"J\" > j",
            ),
            (
                "SELECT k FROM a JOIN b USING(j) JOIN c USING(k) WHERE k IN (SELECT k FROM d WHERE k > 1)",
                "SELECT k FROM a JOIN b USING(j) JOIN c USING(k) WHERE c.k IN (SELECT k FROM d WHERE k > 1)",
            ),
            (
                "SELECT z FROM a JOIN b ON a.x = k JOIN c USING(k) JOIN d ON d.i = k",
                "SELECT z FROM a JOIN b ON a.x = k JOIN c USING(k) JOIN d ON d.i = c.k",
            ),
            (
                "SELECT k, max(x) OVER (PARTITION BY k) FROM a JOIN b USING(k) JOIN c USING(k) GROUP BY k, x HAVING k > 1 \
                 ORDER BY k",
                "SELECT a.k, max(x) OVER (PARTITION BY a.k) FROM a JOIN b USING(k) JOIN c USING(k) GROUP BY a.k, x \
                 HAVING a.k > 1 ORDER BY k",
            ),
            (
                "SELECT x FROM a JOIN b USING(k) JOIN c USING(k) ORDER BY k, j",
                "SELECT x FROM a JOIN b USING(k) JOIN c USING(k) ORDER BY a.k, j",
            ),
        ] {
            assert_eq!(crate::statement(&state, query).expect("a query").to_string(), read);
        }
        for untouched in [
            "SELECT k, sum(x) FROM a JOIN b USING(k) GROUP BY k HAVING k > 1 ORDER BY k",
            "SELECT x FROM a JOIN b USING(j) LEFT JOIN c USING(k) WHERE k > 1",
            "SELECT x FROM a JOIN b USING(k) WHERE (SELECT max(y) FROM c WHERE c.i = k) > 1",
            "SELECT x AS k FROM a JOIN b USING(k) JOIN c USING(k) GROUP BY k ORDER BY k",
            "SELECT k FROM a NATURAL JOIN b WHERE k > 1",
        ] {
            assert_eq!(crate::statement(&state, untouched).expect("a query").to_string(), untouched);
        }
    }

    /// Of `b` and `a` the keys 1 and 2 are the same; `c` is of all keys.
    const TABLES: &str = "WITH b AS (SELECT n AS k, n * 10 AS y FROM t WHERE n IN (1, 2, 3)),
        a AS (SELECT n AS k, n * 100 AS x FROM t WHERE n IN (1, 2, 5)), c AS (SELECT n AS k, n + 7 AS z FROM t) ";

    #[tokio::test]
    async fn shared_columns_are_known_by_their_name_alone() {
        for (query, expected) in [
            ("SELECT sum(k + x) FROM b JOIN a USING (k) WHERE k > 1", 202),
            ("SELECT sum(k) FROM b LEFT JOIN a USING (k) WHERE k > 1", 5),
            ("SELECT sum(k * 1000 + x + z) FROM b JOIN a USING (k) JOIN c USING (k) WHERE k < 3", 3_317),
            ("SELECT sum(z) FROM b JOIN a USING (k) JOIN c ON c.k = k + 1", 19),
            ("SELECT k FROM b LEFT JOIN a USING (k) LEFT JOIN c USING (k) GROUP BY k HAVING k < 3 ORDER BY k DESC", 2),
            ("SELECT z FROM b LEFT JOIN a USING (k) LEFT JOIN c USING (k) ORDER BY k DESC", 10),
            ("SELECT DISTINCT k FROM b JOIN a USING (k) JOIN c USING (k) ORDER BY k DESC", 2),
            ("SELECT * FROM b JOIN a USING (k) JOIN c USING (k) WHERE k > 1 ORDER BY k", 2),
            ("SELECT max(k) OVER (ORDER BY k) FROM b JOIN a USING (k) JOIN c USING (k) ORDER BY 1 DESC", 2),
        ] {
            let sql = format!("{TABLES} {query}");
            assert_eq!(number(&within(MEMORY, &sql)).await, expected, "{sql}");
        }
    }
}
