//! Whether a query gives the same rows in each of several transactions that see one snapshot, as far as the server knows: what
//! is volatile, or tells the time, may stand in the views and functions that the query names.

use super::describe::said;
use super::values::Bound;
use crate::options::{Options, unsteady_in_ranges};
use databases::postgres::Session;
use flight_common::Fault;
use std::collections::BTreeSet;
use tokio_postgres::types::ToSql;

/// How a plan shows the time at which the transaction has begun, beside `now()`.
const MOMENTS: [&str; 5] = ["CURRENT_DATE", "CURRENT_TIMESTAMP", "CURRENT_TIME", "LOCALTIMESTAMP", "LOCALTIME"];

/// Functions among these that may give another value at each call. Waiting is volatile too, and gives nothing.
const UNSTEADY: &str =
    "SELECT proname::text FROM pg_catalog.pg_proc WHERE proname = ANY($1) AND proname NOT LIKE 'pg\\_sleep%'
   AND (provolatile = 'v' OR proname IN ('now', 'transaction_timestamp', 'statement_timestamp')) ORDER BY 1 LIMIT 1";

/// Refuses a query that may give other rows in each range.
///
/// # Errors
/// [`flight_common::FaultKind::BadParams`] with the word; what the server says.
pub async fn check(session: &Session, options: &Options) -> Result<(), Fault> {
    let values: Vec<Bound<'_>> = options.values.iter().map(Bound).collect();
    let values: Vec<&(dyn ToSql + Sync)> = values.iter().map(|value| value as _).collect();
    // The plan shows what views and inlined functions stand for, down to each expression.
    let explain = format!("EXPLAIN (VERBOSE, COSTS OFF) {}", options.query);
    let plan = session.client().query(&explain, &values).await.map_err(|error| said(session, &error, ""))?;
    let lines: Vec<String> =
        plan.iter().map(|line| line.try_get(0)).collect::<Result<_, _>>().map_err(Fault::internal)?;
    let plan = without_texts(&lines.join("\n"));
    if let Some(moment) = MOMENTS.iter().find(|moment| plan.contains(*moment)) {
        return Err(unsteady_in_ranges(moment));
    }
    let names: Vec<&str> = called(&plan).into_iter().collect();
    let found = session.client().query_opt(UNSTEADY, &[&names]).await.map_err(|error| session.fault(&error))?;
    match found {
        Some(row) => Err(unsteady_in_ranges(row.try_get(0).map_err(Fault::internal)?)),
        None => Ok(()),
    }
}

/// The plan without the texts in quotes.
fn without_texts(plan: &str) -> String {
    // A quote within a text is doubled: it ends one text, and begins another.
    plan.split('\'').step_by(2).collect::<Vec<_>>().join("''")
}

/// Names before a bracket: functions, among other words.
fn called(plan: &str) -> BTreeSet<&str> {
    plan.match_indices('(').map(|(at, _)| last_name(&plan[..at])).filter(|name| !name.is_empty()).collect()
}

/// The name at the end of a text; empty if there is none.
fn last_name(text: &str) -> &str {
    let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
    match text.strip_suffix('"') {
        Some(quoted) => quoted.rsplit('"').next().unwrap_or_default(),
        None => text.rsplit(|c| !is_part(c)).next().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_found_in_a_plan() {
        let plan = "Seq Scan on public.t\n  Output: (random() * '5'::float8), \"My fn\"(t.a), pg_catalog.lower(t.b)\n  \
                    Filter: (t.b <> 'now() it''s CURRENT_DATE('::text)";
        let plan = without_texts(plan);
        assert!(!plan.contains("now()") && !plan.contains("CURRENT_DATE"), "{plan}");
        assert_eq!(called(&plan).into_iter().collect::<Vec<_>>(), ["My fn", "lower", "random"]);
    }
}
