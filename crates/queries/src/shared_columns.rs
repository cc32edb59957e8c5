//! Columns that tables are joined by with `USING`, where they are called by their name alone.
//!
//! DataFusion (55.2) knows such a column in most places where results are computed, and not in `WHERE`, in the `ON` of a
//! further join, and behind a sign; in a query within another one it takes it for one of the outer; and of more than two
//! tables it knows it nowhere. So the table is named before it: of `FROM a LEFT JOIN b USING (k) WHERE k > 1` it is `a.k`.
//!
//! Where the text does not tell which of several tables to the left has it, it is that of the right one of an inner join
//! in comparisons, where it makes no difference; in all other places it stays.

use crate::using::{Joined, Table, add, add_join, constraint, tables};
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Ident, JoinConstraint, ObjectNamePart, OrderBy, OrderByKind, Query, Select, SelectItem,
    SetExpr, TableWithJoins, VisitMut, VisitorMut,
};
use std::ops::ControlFlow;
use std::slice;

/// Names the table before such columns. Unless names are told apart by their case, they are in small letters.
pub(crate) fn by_table(said: &mut impl VisitMut, in_small: bool) {
    let walked: ControlFlow<()> = said.visit(&mut Queries { in_small });
    debug_assert!(walked.is_continue());
}

/// Writes `ON` for the `USING` of what more than two tables before it are joined by.
pub(crate) fn on_one_table(said: &mut impl VisitMut, in_small: bool) {
    let walked: ControlFlow<()> = said.visit(&mut Joins { in_small });
    debug_assert!(walked.is_continue());
}

struct Queries {
    in_small: bool,
}

impl VisitorMut for Queries {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        if let SetExpr::Select(select) = &*query.body
            && let Some(OrderBy { kind: OrderByKind::Expressions(by), .. }) = &mut query.order_by
        {
            let mut keys = Keys::of(&select.from, self.in_small);
            keys.all.retain(|key| key.is_certain);
            keys.leave_out(|keys, key| select.projection.iter().any(|item| keys.gives(item, key)));
            keys.name(by);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        let mut keys = Keys::of(&select.from, self.in_small);
        keys.name(&mut select.selection);
        select.from.iter_mut().for_each(|from| name_in_joins(from, self.in_small));
        keys.all.retain(|key| key.is_certain);
        keys.name(&mut select.projection);
        keys.name(&mut select.distinct);
        keys.name(&mut select.named_window);
        // In these it may be the name of a column of the result.
        keys.leave_out(|keys, key| select.projection.iter().any(|item| keys.calls(item, key)));
        keys.name(&mut select.group_by);
        keys.name(&mut select.having);
        keys.name(&mut select.qualify);
        ControlFlow::Continue(())
    }
}

/// In an `ON` those are known that tables before it are joined by.
fn name_in_joins(from: &mut TableWithJoins, in_small: bool) {
    let mut before = Vec::new();
    if add(&from.relation, Joined::default(), &mut before).is_none() {
        return;
    }
    for join in &mut from.joins {
        Keys::of_tables(&before, in_small).name(&mut join.join_operator);
        if add_join(join, &mut before).is_none() {
            return;
        }
    }
}

struct Joins {
    in_small: bool,
}

impl VisitorMut for Joins {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        for from in &mut select.from {
            let mut before = Vec::new();
            if add(&from.relation, Joined::default(), &mut before).is_none() {
                continue;
            }
            for join in &mut from.joins {
                let keys = Keys::of_tables(&before, self.in_small);
                if add_join(join, &mut before).is_none() {
                    break;
                }
                if let Some(table) = before.last()
                    && let Some(condition) = keys.condition(table)
                    && let Some(by @ JoinConstraint::Using(_)) = constraint(&mut join.join_operator)
                {
                    *by = JoinConstraint::On(condition);
                }
            }
        }
        ControlFlow::Continue(())
    }
}

/// A column that tables are joined by.
struct Key {
    /// As it is compared.
    name: String,
    /// The table that has it.
    table: Vec<Ident>,
    /// Whether it is the very value that the joined rows have, and not only equal to it.
    is_certain: bool,
    /// How many joins are by it.
    joins: usize,
}

/// The columns of which it is known which table has them.
struct Keys {
    all: Vec<Key>,
    in_small: bool,
}

impl Keys {
    fn of(from: &[TableWithJoins], in_small: bool) -> Self {
        let mut keys = Self { all: Vec::new(), in_small };
        if tables(from).is_none() {
            return keys;
        }
        let mut twice = Vec::new();
        for item in from {
            for key in Self::of_tables(&tables(slice::from_ref(item)).unwrap_or_default(), in_small).all {
                // Two joins that stand apart may have one each.
                match keys.all.iter().any(|other| other.name == key.name) {
                    true => twice.push(key.name),
                    false => keys.all.push(key),
                }
            }
        }
        keys.all.retain(|key| !twice.contains(&key.name));
        keys
    }

    fn of_tables(tables: &[Table], in_small: bool) -> Self {
        let mut keys = Self { all: Vec::new(), in_small };
        for table in tables {
            for column in &table.joined.shared {
                let name = keys.meant(column);
                match keys.all.iter_mut().find(|key| key.name == name) {
                    Some(key) => key.joins += 1,
                    None => keys.all.push(Key { name, table: giver(table), is_certain: table.is_given(), joins: 1 }),
                }
            }
        }
        keys.all.retain(|key| !key.table.is_empty());
        keys
    }

    /// The name of a column as it is compared.
    fn meant(&self, name: &Ident) -> String {
        match name.quote_style {
            None if self.in_small => name.value.to_ascii_lowercase(),
            _ => name.value.clone(),
        }
    }

    fn find(&self, column: &Ident) -> Option<&Key> {
        let name = self.meant(column);
        self.all.iter().find(|key| key.name == name)
    }

    fn leave_out(&mut self, is_other: impl Fn(&Self, &Key) -> bool) {
        let others: Vec<String> =
            self.all.iter().filter(|key| is_other(self, key)).map(|key| key.name.clone()).collect();
        self.all.retain(|key| !others.contains(&key.name));
    }

    /// Whether this may be a column of the result with the name of the key.
    fn gives(&self, item: &SelectItem, key: &Key) -> bool {
        match item {
            SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..) => true,
            SelectItem::UnnamedExpr(expr) => column(expr).is_some_and(|column| self.meant(column) == key.name),
            item => self.calls(item, key),
        }
    }

    /// Whether this is called by the name of the key.
    fn calls(&self, item: &SelectItem, key: &Key) -> bool {
        matches!(item, SelectItem::ExprWithAlias { alias, .. } if self.meant(alias) == key.name)
    }

    fn name(&self, said: &mut impl VisitMut) {
        if self.all.is_empty() {
            return;
        }
        let walked: ControlFlow<()> = said.visit(&mut Names { keys: self, inside: 0 });
        debug_assert!(walked.is_continue());
    }

    /// The table before the column, if it is one of these; of those that are equal alone in comparisons.
    fn name_one(&self, expr: &mut Expr, is_compared: bool) {
        if let Expr::Identifier(column) = expr
            && let Some(key) = self.find(column).filter(|key| key.is_certain || is_compared)
        {
            *expr = of_table(&key.table, column);
        }
    }

    /// What a table is joined by, if its `USING` would not be understood.
    fn condition(&self, table: &Table) -> Option<Expr> {
        let shared = &table.joined.shared;
        let keys: Vec<&Key> = shared.iter().map(|column| self.find(column)).collect::<Option<_>>()?;
        if !keys.iter().all(|key| key.is_certain) || !keys.iter().any(|key| key.joins > 1) {
            return None;
        }
        let own: Vec<Ident> = table.name.0.iter().filter_map(ObjectNamePart::as_ident).cloned().collect();
        let equal = |(column, key): (&Ident, &Key)| {
            both(of_table(&key.table, column), BinaryOperator::Eq, of_table(&own, column))
        };
        shared.iter().zip(keys).map(equal).reduce(|left, right| both(left, BinaryOperator::And, right))
    }
}

fn giver(table: &Table) -> Vec<Ident> {
    let parts = table.giver().map(|name| name.0.as_slice()).unwrap_or_default();
    parts.iter().filter_map(ObjectNamePart::as_ident).cloned().collect()
}

fn of_table(table: &[Ident], column: &Ident) -> Expr {
    let placed = |part: &Ident| Ident { span: column.span, ..part.clone() };
    Expr::CompoundIdentifier(table.iter().map(placed).chain([column.clone()]).collect())
}

fn both(left: Expr, op: BinaryOperator, right: Expr) -> Expr {
    Expr::BinaryOp { left: Box::new(left), op, right: Box::new(right) }
}

/// The column that a column of the result is called by.
fn column(expr: &Expr) -> Option<&Ident> {
    match expr {
        Expr::Identifier(column) => Some(column),
        Expr::CompoundIdentifier(parts) => parts.last(),
        Expr::Cast { expr, .. } => column(expr),
        _ => None,
    }
}

struct Names<'a> {
    keys: &'a Keys,
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

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if self.inside == 0 {
            compared(expr).into_iter().for_each(|side| self.keys.name_one(side, true));
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if self.inside == 0 {
            self.keys.name_one(expr, false);
        }
        ControlFlow::Continue(())
    }
}

/// What is compared here, in which all that is equal is the same.
fn compared(expr: &mut Expr) -> Vec<&mut Expr> {
    use BinaryOperator::{Eq, Gt, GtEq, Lt, LtEq, NotEq};
    match expr {
        Expr::BinaryOp { left, op: Eq | NotEq | Lt | LtEq | Gt | GtEq, right } => vec![left, right],
        Expr::Between { expr, low, high, .. } => vec![expr, low, high],
        Expr::InList { expr, .. } | Expr::InSubquery { expr, .. } | Expr::IsNull(expr) | Expr::IsNotNull(expr) => {
            vec![expr]
        }
        _ => Vec::new(),
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
                "SELECT k, -k FROM a JOIN b USING(k) WHERE k > 1 AND x = K ORDER BY k, k + 1",
                "SELECT a.k, -a.k FROM a JOIN b USING(k) WHERE a.k > 1 AND x = a.K ORDER BY k, k + 1",
            ),
            (
                "SELECT 1 FROM s.a AS \"A\" LEFT JOIN b USING(k, \"J\") WHERE k + \"J\" > j",
                "SELECT 1 FROM s.a AS \"A\" LEFT JOIN b USING(k, \"J\") WHERE \"A\".k + \"A\".\"J\" > j",
            ),
            (
                "SELECT k FROM a JOIN b USING(j) JOIN c USING(k) WHERE k IN (SELECT k FROM d WHERE k > 1) AND k + 1 > 2",
                "SELECT k FROM a JOIN b USING(j) JOIN c USING(k) WHERE c.k IN (SELECT k FROM d WHERE k > 1) AND k + 1 > 2",
            ),
            (
                "SELECT z FROM a JOIN b ON a.x = k JOIN c USING(k) JOIN d ON d.i = k",
                "SELECT z FROM a JOIN b ON a.x = k JOIN c USING(k) JOIN d ON d.i = c.k",
            ),
            (
                "SELECT k, max(x) OVER (PARTITION BY k) FROM a JOIN b USING(k) GROUP BY k, x HAVING k > 1 ORDER BY k",
                "SELECT a.k, max(x) OVER (PARTITION BY a.k) FROM a JOIN b USING(k) GROUP BY a.k, x HAVING a.k > 1 \
                 ORDER BY k",
            ),
            ("SELECT x FROM a JOIN b USING(k) ORDER BY k, j", "SELECT x FROM a JOIN b USING(k) ORDER BY a.k, j"),
            (
                "SELECT 1 FROM e WHERE k IN (SELECT k FROM a JOIN b USING(k))",
                "SELECT 1 FROM e WHERE k IN (SELECT a.k FROM a JOIN b USING(k))",
            ),
            (
                "SELECT x FROM a JOIN b USING(k) LEFT JOIN c USING(k) LEFT JOIN d USING(k) JOIN e USING(k, i)",
                "SELECT x FROM a JOIN b USING(k) LEFT JOIN c USING(k) LEFT JOIN d ON a.k = d.k JOIN e USING(k, i)",
            ),
        ] {
            assert_eq!(crate::statement(&state, query).expect("a query").to_string(), read);
        }
        for untouched in [
            "SELECT x FROM a JOIN b USING(j) LEFT JOIN c USING(k) WHERE k > 1",
            "SELECT x FROM a JOIN b USING(k) WHERE (SELECT max(y) FROM c WHERE c.i = k) > 1",
            "SELECT x AS k FROM a JOIN b USING(k) JOIN c USING(k) GROUP BY k ORDER BY k",
            "SELECT k FROM a NATURAL JOIN b WHERE k > 1",
            "SELECT x FROM a JOIN b USING(k) JOIN c USING(k) JOIN (d JOIN e USING(k)) ON a.i = d.i",
            "SELECT x FROM a JOIN b USING(k), c JOIN d USING(k) WHERE k > 1",
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
            (
                "SELECT v FROM (VALUES (INTERVAL '1 day', 1), (INTERVAL '2 days', 3)) AS m(k, v)
                 LEFT JOIN (VALUES (INTERVAL '1 day', 2), (NULL, 3)) AS z(k, w) USING (k) WHERE k = INTERVAL '2 days'",
                3,
            ),
            ("SELECT sum(-k) FROM b JOIN a USING (k)", -3),
            ("SELECT count(*) FROM t WHERE n IN (SELECT k FROM b JOIN a USING (k))", 2),
            ("SELECT sum(z) FROM c WHERE EXISTS (SELECT 1 FROM b JOIN a USING (k) WHERE k = 2 AND c.z < 12)", 45),
            (
                "SELECT sum(z) FROM b JOIN c USING (k) JOIN a USING (k) LEFT JOIN (SELECT 2 AS k, 1 AS one) AS d USING (k)",
                17,
            ),
            ("SELECT * FROM b JOIN c USING (k) JOIN a USING (k) JOIN b AS d USING (k) WHERE k = 2", 2),
        ] {
            let sql = format!("{TABLES} {query}");
            assert_eq!(number(&within(MEMORY, &sql)).await, expected, "{sql}");
        }
    }
}
