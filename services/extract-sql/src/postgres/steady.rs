//! Whether a query gives the same rows in each of several transactions that see one snapshot, as far as the server knows: what
//! is volatile, tells the time or takes some rows alone may stand in the views and functions that the query names, and the
//! time in its values. How the server would read the query shows what they stand for.

use super::describe::said;
use super::values::Bound;
use crate::guard::is_moment;
use crate::options::{Options, unsteady_in_ranges};
use databases::postgres::Session;
use flight_common::Fault;
use serde_json::Value;
use std::collections::BTreeSet;
use tokio_postgres::types::{Kind, ToSql, Type};

/// How a plan shows the time at which the transaction has begun, beside `now()`.
const MOMENTS: [&str; 5] = ["CURRENT_DATE", "CURRENT_TIMESTAMP", "CURRENT_TIME", "LOCALTIMESTAMP", "LOCALTIME"];

/// What a text is cast to that becomes a time only when the query runs.
const AS_TEXT: [&str; 3] = ["::cstring", "::text", "::unknown"];

/// Functions among these that may give another value at each call. Waiting is volatile too, and gives nothing.
const UNSTEADY: &str = "SELECT p.proname::text
    FROM unnest($1::text[], $2::text[]) AS called (folder, name)
    JOIN pg_catalog.pg_proc p ON p.proname = called.name
    JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
   WHERE CASE called.folder WHEN '' THEN pg_catalog.pg_function_is_visible(p.oid) ELSE n.nspname = called.folder END
     AND p.proname NOT LIKE 'pg\\_sleep%'
     AND (p.provolatile = 'v' OR n.nspname = 'pg_catalog' AND p.proname IN ('now', 'transaction_timestamp', 'statement_timestamp'))
   ORDER BY 1 LIMIT 1";

/// Refuses a query that may give other rows in each range.
///
/// # Errors
/// [`flight_common::FaultKind::BadParams`] with the word; what the server says.
pub async fn check(session: &Session, options: &Options) -> Result<(), Fault> {
    let prepared = session.client().prepare(&options.query).await;
    let prepared = prepared.map_err(|error| said(session, &error, &options.query))?;
    let mut values = options.values.iter().zip(prepared.params()).enumerate();
    if let Some((place, _)) = values.find(|(_, (value, expected))| is_time(expected) && holds_moment(value)) {
        let message = format!("params: the value for ${} is another time in each range", place + 1);
        return Err(Fault::bad_params(message.clone())
            .help("write the time out: \"2024-02-29T12:00:00Z\"")
            .violation(format!("/params/{place}"), message));
    }
    let values: Vec<Bound<'_>> = options.values.iter().map(Bound).collect();
    let values: Vec<&(dyn ToSql + Sync)> = values.iter().map(|value| value as _).collect();
    let explain = format!("EXPLAIN (VERBOSE, COSTS OFF) {}", options.query);
    let plan = session.client().query(&explain, &values).await.map_err(|error| said(session, &error, ""))?;
    let lines = plan.iter().map(|line| line.try_get::<_, String>(0)).collect::<Result<Vec<_>, _>>();
    let lines = lines.map_err(Fault::internal)?;
    let seen = Seen::of(&lines);
    if let Some(word) = seen.word {
        return Err(unsteady_in_ranges(&word));
    }
    let (folders, names): (Vec<&str>, Vec<&str>) =
        seen.called.iter().map(|(folder, name)| (&**folder, &**name)).unzip();
    let found = session.client().query_opt(UNSTEADY, &[&folders, &names]).await;
    match found.map_err(|error| session.fault(&error))? {
        Some(row) => Err(unsteady_in_ranges(row.try_get(0).map_err(Fault::internal)?)),
        None => Ok(()),
    }
}

fn is_time(expected: &Type) -> bool {
    match expected.kind() {
        Kind::Array(item) => is_time(item),
        _ => [Type::DATE, Type::TIME, Type::TIMETZ, Type::TIMESTAMP, Type::TIMESTAMPTZ].contains(expected),
    }
}

fn holds_moment(value: &Value) -> bool {
    match value {
        Value::String(text) => is_moment(text),
        Value::Array(items) => items.iter().any(holds_moment),
        _ => false,
    }
}

/// What a plan shows.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    /// What is unsteady by itself.
    word: Option<String>,
    /// What stands before a bracket, with its schema if that is told: functions, among other words.
    called: BTreeSet<(String, String)>,
}

impl Seen {
    fn of(lines: &[String]) -> Self {
        let mut seen = Self::default();
        let mut before = "";
        for line in lines {
            let node = line.trim_start().trim_start_matches("->").trim_start();
            // The query itself has none of these; of a plan's own accord there is one only for a least or greatest value.
            let is_own = before.contains("InitPlan") || before.contains("SubPlan");
            let named = match () {
                () if node.starts_with("WindowAgg") => Some("a window function in a view"),
                () if node.starts_with("Sample Scan") => Some("TABLESAMPLE in a view"),
                () if node.starts_with("Limit") && !is_own => Some("LIMIT in a view"),
                () => None,
            };
            if let Some(named) = named {
                seen.word.get_or_insert_with(|| named.to_owned());
            }
            before = line;
        }
        seen.read(&lines.join("\n"));
        seen
    }

    /// Goes through the words of a plan. What stands in quotes is none, unless it is the name of a function.
    fn read(&mut self, plan: &str) {
        let mut rest = plan;
        let mut folder = String::new();
        while let Some(first) = rest.chars().next() {
            let (name, after) = match first {
                '\'' => {
                    let (text, after) = quoted(rest, '\'');
                    if is_moment(&text) && AS_TEXT.iter().any(|cast| after.starts_with(cast)) {
                        self.word.get_or_insert_with(|| format!("'{text}'"));
                    }
                    (None, after)
                }
                '"' => {
                    let (name, after) = quoted(rest, '"');
                    (Some(name), after)
                }
                _ if is_part(first) => {
                    let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
                    let (word, after) = rest.split_at(end);
                    if MOMENTS.contains(&word) {
                        self.word.get_or_insert_with(|| word.to_owned());
                    }
                    (Some(word.to_owned()), after)
                }
                _ => (None, &rest[first.len_utf8()..]),
            };
            match name {
                Some(name) if after.starts_with('(') => drop(self.called.insert((std::mem::take(&mut folder), name))),
                Some(name) if after.starts_with('.') => folder = name,
                Some(_) => folder.clear(),
                None if first == '.' => {}
                None => folder.clear(),
            }
            rest = after;
        }
    }
}

fn is_part(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$'
}

/// What stands in quotes at the beginning of a text, and what follows. A quote within is doubled.
fn quoted(text: &str, quote: char) -> (String, &str) {
    let mut rest = &text[quote.len_utf8()..];
    let mut inside = String::new();
    while let Some((before, after)) = rest.split_once(quote) {
        inside.push_str(before);
        match after.strip_prefix(quote) {
            Some(more) => {
                inside.push(quote);
                rest = more;
            }
            None => return (inside, after),
        }
    }
    (inside + rest, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(plan: &str) -> Seen {
        Seen::of(&plan.lines().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn functions_are_found_in_a_plan_and_nothing_in_quotes() {
        let found = seen(
            "Seq Scan on public.t\n  Output: (random() * '5'::float8), q.\"it's\", other.\"My fn\"(t.a), lower(t.b), \"now()\", \"CURRENT_DATE\"\n  \
             Filter: (t.b <> 'now() it''s CURRENT_DATE('::text)",
        );
        let called: Vec<_> = found.called.iter().map(|(folder, name)| (&**folder, &**name)).collect();
        assert_eq!(called, [("", "lower"), ("", "random"), ("other", "My fn")]);
        assert_eq!(found.word, None);
    }

    #[test]
    fn moments_and_chosen_rows_are_found_in_a_plan() {
        for (plan, word) in [
            ("Seq Scan on t\n  Filter: (t.at < CURRENT_DATE)", "CURRENT_DATE"),
            ("Seq Scan on t\n  Filter: (t.at < ('now'::cstring)::date)", "'now'"),
            (
                "Subquery Scan on v\n  ->  WindowAgg\n        Output: row_number() OVER (?)",
                "a window function in a view",
            ),
            ("Sample Scan on t\n  Sampling: system ('10'::real)", "TABLESAMPLE in a view"),
            ("Subquery Scan on v\n  ->  Limit", "LIMIT in a view"),
        ] {
            assert_eq!(seen(plan).word.as_deref(), Some(word), "{plan}");
        }
        let least =
            "Seq Scan on t\n  Filter: (t.id > $0)\n  InitPlan 1 (returns $0)\n    ->  Limit\n          Output: t_1.id";
        assert_eq!(seen(least).word, None);
        assert_eq!(seen("Seq Scan on t\n  Filter: (t.state = 'today'::text) AND (a)").word.as_deref(), Some("'today'"));
    }
}
