//! Whether a query gives the same rows whenever it is asked on the same data: what is read in ranges is asked once for each,
//! and a row that one answer has and another has not would be lost, or come twice. This is what the query says itself; what
//! stands in views and functions, the database is asked for.

use sqlparser::ast::{Distinct, Expr, Query, Select, Statement, TableFactor, ValueWithSpan, Visit, Visitor};
use std::ops::ControlFlow;

/// Functions of PostgreSQL that give another value at each call.
const VOLATILE: [&str; 9] = [
    "clock_timestamp",
    "gen_random_uuid",
    "random",
    "random_normal",
    "timeofday",
    "txid_current",
    "uuid_generate_v1",
    "uuid_generate_v1mc",
    "uuid_generate_v4",
];

/// Functions that tell the time at which a transaction or a statement has begun: that of each range is another.
const MOMENTS: [&str; 8] = [
    "current_date",
    "current_time",
    "current_timestamp",
    "localtime",
    "localtimestamp",
    "now",
    "statement_timestamp",
    "transaction_timestamp",
];

/// Whether a text is such a time where one is wanted: `now`, `today 06:00`, `tomorrow zulu`.
pub fn is_moment(text: &str) -> bool {
    let text = text.to_lowercase();
    let is_day = |word: &str| matches!(word, "now" | "today" | "tomorrow" | "yesterday");
    let may_follow = |word: &str| word.starts_with(|c: char| c.is_ascii_digit() || "+-".contains(c)) || word.len() <= 4;
    let mut words = text.split_whitespace();
    text.split_whitespace().any(is_day) && words.all(|word| is_day(word) || may_follow(word))
}

/// The first word by which the rows may be others at the next time. Orders are not looked into: of rows that are equal in
/// them, any may come first.
pub fn unsteady(statements: &[Statement]) -> Option<String> {
    statements.iter().find_map(|statement| statement.visit(&mut Steady).break_value())
}

struct Steady;

fn broken(word: Option<&str>) -> ControlFlow<String> {
    word.map_or(ControlFlow::Continue(()), |word| ControlFlow::Break(word.to_owned()))
}

impl Visitor for Steady {
    type Break = String;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<String> {
        let cut = query.limit_clause.is_some().then_some("LIMIT or OFFSET");
        broken(cut.or(query.fetch.is_some().then_some("FETCH")))
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<String> {
        broken(matches!(select.distinct, Some(Distinct::On(_))).then_some("DISTINCT ON"))
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<String> {
        broken(matches!(factor, TableFactor::Table { sample: Some(_), .. }).then_some("TABLESAMPLE"))
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<String> {
        let Expr::Function(function) = expr else { return ControlFlow::Continue(()) };
        if function.over.is_some() {
            return broken(Some("a window function (OVER)"));
        }
        let name = function.name.0.last().and_then(|part| part.as_ident()).map(|name| name.value.to_lowercase());
        broken(name.as_deref().filter(|name| VOLATILE.contains(name) || MOMENTS.contains(name)))
    }

    fn pre_visit_value(&mut self, value: &ValueWithSpan) -> ControlFlow<String> {
        let Some(text) = value.value.clone().into_string() else { return ControlFlow::Continue(()) };
        broken(is_moment(&text).then(|| format!("'{text}' (where a time is wanted)")).as_deref())
    }
}
