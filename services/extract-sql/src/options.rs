//! The parameters, checked against each other.

use crate::guard::{self, Checked};
use crate::params::Params;
use databases::Kind;
use flight_common::Fault;
use serde_json::Value;
use sqlparser::ast::Ident;
use std::time::Duration;

/// The longest time-out: what PostgreSQL counts in 32 bits of milliseconds, some 24 days.
const LONGEST: Duration = Duration::from_millis(i32::MAX.unsigned_abs() as u64);
/// The most ranges: each takes a connection of the server.
const MOST_PARTITIONS: u32 = 64;

/// What was asked for.
#[derive(Debug)]
pub struct Options {
    /// The query: one statement that only reads.
    pub query: String,
    /// The tables that it names, each by the parts of its name.
    pub tables: Vec<Vec<Ident>>,
    /// For each column of its rows the type that its text tells: `CAST(x AS TEXT)`. Empty where that cannot be told.
    pub told: Vec<Option<String>>,
    /// Values for its placeholders.
    pub values: Vec<Value>,
    /// How long it may run.
    pub timeout: Duration,
    /// How many rows it may give.
    pub max_rows: Option<u64>,
    /// How it is cut.
    pub partition: Option<PartitionBy>,
}

/// How a query is cut into ranges.
#[derive(Debug)]
pub struct PartitionBy {
    /// The column.
    pub column: String,
    /// How many.
    pub count: u32,
}

impl Options {
    /// Checks the parameters for a database of this kind.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::BadParams`], and what the guard says of the query.
    pub fn new(params: Params, kind: Kind) -> Result<Self, Fault> {
        let Checked { text: query, tables, unsteady, told } = guard::checked(kind, &params.query)?;
        let timeout = timeout(&params.timeout)?;
        let partition = partition(params.partition_column, params.partitions, kind)?;
        if let Some(word) = unsteady.filter(|_| partition.is_some()) {
            return Err(unsteady_in_ranges(&word));
        }
        if params.max_rows == Some(0) {
            return Err(refuse("/max_rows", "max_rows is 0, so that every query with a row would fail"));
        }
        let max_rows = params.max_rows;
        Ok(Self { query, tables, told, values: params.params, timeout, max_rows, partition })
    }

    /// Refuses more rows than there may be.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::BadData`].
    pub fn check_rows(&self, rows: u64) -> Result<(), Fault> {
        match self.max_rows.filter(|most| rows > *most) {
            None => Ok(()),
            Some(most) => {
                let what = format!("the query gives more than max_rows = {most} rows");
                Err(Fault::bad_data(what.clone()).help("raise max_rows, or ask for less").violation("/max_rows", what))
            }
        }
    }
}

/// The fault for a query that is read in ranges and in which this may be another thing in each of them.
pub fn unsteady_in_ranges(word: &str) -> Fault {
    let what = format!("the query is asked once for each range, and {word} may give each of them other rows");
    refuse("/query", what).help("choose rows by WHERE, write a time out, or leave partition_column and partitions out")
}

fn refuse(pointer: &str, what: impl Into<String>) -> Fault {
    let what = what.into();
    Fault::bad_params(what.clone()).violation(pointer, what)
}

fn timeout(text: &str) -> Result<Duration, Fault> {
    let parsed = humantime::parse_duration(text).map_err(|error| refuse("/timeout", format!("timeout: {error}")));
    let parsed = parsed.map_err(|fault| fault.help("write 90s, 10m or 2h"))?;
    match parsed.as_millis() {
        0 => Err(refuse("/timeout", "timeout: no query ends in no time").help("write 90s, 10m or 2h")),
        _ if parsed > LONGEST => {
            let message = format!("timeout: {text} is longer than 24 days, which is the most");
            Err(refuse("/timeout", message).help("read what takes so long in parts"))
        }
        _ => Ok(parsed),
    }
}

fn partition(column: Option<String>, count: Option<u32>, kind: Kind) -> Result<Option<PartitionBy>, Fault> {
    let (column, count) = match (column, count) {
        (None, None) => return Ok(None),
        (Some(column), Some(count)) => (column, count),
        (Some(_), None) => return Err(refuse("/partition_column", "partition_column is given, but not partitions")),
        (None, Some(_)) => return Err(refuse("/partitions", "partitions is given, but not partition_column")),
    };
    if kind != Kind::Postgres {
        return Err(refuse("/partition_column", "only PostgreSQL is read in ranges")
            .help("leave partition_column and partitions out"));
    }
    if !(2..=MOST_PARTITIONS).contains(&count) {
        return Err(refuse("/partitions", format!("partitions is {count}, and may be 2 to {MOST_PARTITIONS}")));
    }
    Ok(Some(PartitionBy { column, count }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn options(more: Value, kind: Kind) -> Result<Options, Fault> {
        let mut params = json!({"connection": "c", "query": "SELECT 1"});
        if let (Some(params), Some(more)) = (params.as_object_mut(), more.as_object()) {
            params.extend(more.clone());
        }
        Options::new(serde_json::from_value(params).expect("parameters"), kind)
    }

    #[test]
    fn times_are_written_with_units() {
        assert_eq!(options(json!({}), Kind::Sqlite).expect("good").timeout, Duration::from_secs(300));
        assert_eq!(
            options(json!({"timeout": "1h 30m"}), Kind::Sqlite).expect("good").timeout,
            Duration::from_secs(5400)
        );
        for bad in ["", "5", "0s", "soon"] {
            let fault = options(json!({"timeout": bad}), Kind::Sqlite).expect_err("refused");
            assert_eq!(fault.violations()[0].pointer, "/timeout");
        }
    }

    #[test]
    fn ranges_need_a_column_and_a_number() {
        let pointer = |more: Value, kind| options(more, kind).expect_err("refused").violations()[0].pointer.clone();
        assert_eq!(pointer(json!({"partitions": 2}), Kind::Postgres), "/partitions");
        assert_eq!(pointer(json!({"partition_column": "id"}), Kind::Postgres), "/partition_column");
        assert_eq!(pointer(json!({"partition_column": "id", "partitions": 1}), Kind::Postgres), "/partitions");
        assert_eq!(pointer(json!({"partition_column": "id", "partitions": 2}), Kind::Sqlite), "/partition_column");
        assert!(options(json!({"partition_column": "id", "partitions": 8}), Kind::Postgres).is_ok());
    }

    #[test]
    fn what_may_give_other_rows_each_time_is_not_read_in_ranges() {
        let asked = |query: &str, ranges: Value| {
            let mut more = ranges;
            more["query"] = query.into();
            options(more, Kind::Postgres)
        };
        let ranges = || json!({"partition_column": "id", "partitions": 2});
        for (query, word) in [
            ("SELECT * FROM t LIMIT 10", "LIMIT"),
            ("SELECT * FROM (SELECT * FROM t ORDER BY x OFFSET 2) AS a", "OFFSET"),
            ("SELECT * FROM t FETCH FIRST 2 ROWS ONLY", "FETCH"),
            ("WITH a AS (SELECT DISTINCT ON (k) * FROM t) SELECT * FROM a", "DISTINCT ON"),
            ("SELECT * FROM t TABLESAMPLE SYSTEM (10)", "TABLESAMPLE"),
            ("SELECT row_number() OVER () AS id FROM t", "OVER"),
            ("SELECT (pg_catalog.random() * 10)::int AS id FROM t", "random"),
            ("SELECT id FROM t WHERE x IN (SELECT Gen_Random_UUID())", "gen_random_uuid"),
            ("SELECT extract(epoch FROM now() - at)::int8 AS id FROM t", "now"),
            ("SELECT id FROM t WHERE day < CURRENT_DATE", "current_date"),
            ("SELECT id FROM t WHERE at < 'Now'::timestamptz", "'Now'"),
            ("SELECT id FROM t WHERE day < date 'today'", "'today'"),
            ("SELECT id FROM t WHERE at < 'today 06:00'::timestamp", "'today 06:00'"),
        ] {
            let fault = asked(query, ranges()).expect_err(query);
            assert_eq!(fault.violations()[0].pointer, "/query", "{query}");
            assert!(fault.message().contains(word), "{query}: {fault:?}");
            assert!(asked(query, json!({})).is_ok(), "{query}");
        }
        assert!(asked("SELECT id, lower(x) AS x, sum(y) FROM t GROUP BY id ORDER BY id", ranges()).is_ok());
    }
}
