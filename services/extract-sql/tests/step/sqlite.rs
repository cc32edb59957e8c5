//! Reading from SQLite files: declared types and others, what may not be done, and what goes wrong.

use crate::support::{params, shown};
use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use extract_sql::ExtractSql;
use flight_common::drive::drive;
use flight_common::registry::erase;
use flight_common::testing::{Bench, Ran};
use flight_common::{Fault, FaultKind, InputSchemas, TextPlace, compute};
use futures::TryStreamExt;
use rusqlite::Connection;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const URL: &str = "sqlite:shop.db";

/// A data root with a database in it.
fn shop(sql: &str) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let database = Connection::open(folder.path().join("shop.db")).expect("made");
    database.execute_batch(sql).expect("filled");
    folder
}

async fn extract(folder: &TempDir, query: &str, more: Value) -> Result<Ran, Fault> {
    Bench::at(folder.path()).run(ExtractSql::default(), params(URL, query, more), &[]).await
}

async fn refused(folder: &TempDir, query: &str) -> Fault {
    extract(folder, query, json!({})).await.expect_err(query)
}

#[tokio::test]
async fn declared_types_survive_exactly() {
    let folder = shop(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, name VARCHAR(20), price DECIMAL(10,2), weight REAL, paid BOOLEAN, day DATE, at DATETIME, clock TIME, doc JSON, raw BLOB);
         INSERT INTO t VALUES (9007199254740993, 'ü🦀', 12.5, 0.1, 1, '1969-12-31', '2024-02-29 12:30:00.000001', '23:59:59', '{\"a\": 1}', x'00ff');
         INSERT INTO t VALUES (9007199254740994, '', '-0.01', 3, 0, '2024-02-29', '1900-01-01', '00:00', '7', '');
         INSERT INTO t (id) VALUES (9007199254740995);",
    );
    let fault = refused(&folder, "SELECT * FROM t").await;
    assert!(fault.message().contains("row 2, column \"raw\": the text \"\" is not a blob"), "{fault}");
    let ran =
        extract(&folder, "SELECT *, CAST(raw AS BLOB) AS raw2 FROM t WHERE raw IS NULL OR length(raw) <> 0", json!({}))
            .await;
    let (types, cells) = shown(&ran.expect("read"));
    assert_eq!(types[..6], ["Int64", "Utf8", "Decimal128(10, 2)", "Float64", "Boolean", "Date32"]);
    assert_eq!(types[6..], ["Timestamp(µs)", "Time64(µs)", "Utf8", "Binary", "Binary"]);
    assert_eq!(cells[0][..6], ["9007199254740993", "ü🦀", "12.50", "0.1", "true", "1969-12-31"]);
    assert_eq!(cells[0][6..], ["2024-02-29T12:30:00.000001", "23:59:59", "{\"a\": 1}", "00ff", "00ff"]);
    assert_eq!(cells[1], ["9007199254740995", "∅", "∅", "∅", "∅", "∅", "∅", "∅", "∅", "∅", "∅"]);
    let ran = extract(&folder, "SELECT price, weight, doc FROM t WHERE id = 9007199254740994", json!({}))
        .await
        .expect("read");
    assert_eq!(shown(&ran).1, [["-0.01", "3.0", "7"]]);
}

#[tokio::test]
async fn an_expression_is_what_its_first_rows_are() {
    let folder = shop("CREATE TABLE t (a, b INTEGER); INSERT INTO t VALUES (1, 1), (2.5, 2), (NULL, 3)");
    let ran = extract(&folder, "SELECT a, b * 2 AS twice, 'x' || b AS text, NULL AS none FROM t", json!({}))
        .await
        .expect("read");
    let (types, cells) = shown(&ran);
    assert_eq!(types, ["Float64", "Int64", "Utf8", "Utf8"]);
    assert_eq!(cells[0], ["1.0", "2", "x1", "∅"]);
    let ran = extract(&folder, "SELECT count(*) AS n, sum(b) AS s FROM t", json!({})).await.expect("read");
    assert_eq!(shown(&ran), (vec!["Int64".to_owned(); 2], vec![vec!["3".to_owned(), "6".to_owned()]]));
    let folder = shop("CREATE TABLE t (a); INSERT INTO t VALUES (1.5), ('x')");
    let fault = refused(&folder, "SELECT a FROM t").await;
    assert_eq!((fault.kind(), fault.column_name()), (FaultKind::BadSchema, Some("a")));
    assert_eq!(
        extract(&folder, "SELECT CAST(a AS TEXT) AS a FROM t", json!({})).await.expect("read").rows().num_rows(),
        2
    );
}

/// Rows without end, of which none comes out.
const ENDLESS: &str = "(WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c) SELECT i FROM c)";

#[tokio::test]
async fn what_is_cast_needs_no_rows_to_be_planned() {
    let folder = shop("CREATE TABLE t (a, b INTEGER)");
    let query = format!(
        "SELECT CAST(max(i) AS REAL) AS m, count(*) AS n, avg(i) AS a, CAST('x' AS BLOB) AS raw, CAST(NULL AS INTEGER) AS w,
         CAST(min(i) AS VARCHAR(9)) AS v FROM {ENDLESS}"
    );
    let begun = Instant::now();
    let step = erase(ExtractSql::default());
    let asked = params(URL, &query, json!({}));
    let planned = step.plan(&asked, &InputSchemas::default(), &Bench::at(folder.path()).env).await.expect("planned");
    let types: Vec<String> = planned.outputs[0].fields().iter().map(|field| field.data_type().to_string()).collect();
    assert_eq!(types, ["Float64", "Int64", "Float64", "Binary", "Int64", "Utf8"]);
    // Rows that tell types are waited for for half a minute.
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    let empty = "SELECT CAST(sum(a) AS REAL) AS s, avg(b) AS m, count(*) AS n, CAST(max(a) AS TEXT) AS x FROM t";
    let ran = extract(&folder, empty, json!({})).await.expect("read");
    assert_eq!(shown(&ran).0, ["Float64", "Float64", "Int64", "Utf8"]);
    assert_eq!(shown(&ran).1, [["∅", "∅", "0", "∅"]]);
}

#[tokio::test]
async fn rows_that_tell_types_are_not_waited_for_long() {
    let folder = shop("CREATE TABLE t (n INTEGER)");
    let query = format!("SELECT count(*) AS n, max(i) AS most, sum(i) AS total FROM {ENDLESS}");
    let begun = Instant::now();
    let fault = extract(&folder, &query, json!({"timeout": "300ms"})).await.expect_err("endless");
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert_eq!((fault.kind(), fault.column_name()), (FaultKind::BadParams, Some("most")), "{fault:?}");
    assert_eq!(fault.violations()[0].pointer, "/query");
    assert!(fault.message().contains("\"most\", \"total\"") && fault.message().ends_with("300ms"), "{fault}");
    assert!(fault.help_text().is_some_and(|help| help.contains("CAST(sum(x) AS REAL)")), "{fault:?}");
}

#[tokio::test]
async fn a_value_that_does_not_fit_names_row_and_column() {
    let folder = shop(
        "CREATE TABLE t (n INTEGER); WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 50000)
         INSERT INTO t SELECT i FROM c; INSERT INTO t VALUES ('many')",
    );
    let fault = refused(&folder, "SELECT n FROM t").await;
    assert_eq!((fault.kind(), fault.row_number(), fault.column_name()), (FaultKind::BadData, Some(50_001), Some("n")));
    assert!(fault.message().contains("the text \"many\" is not a whole number"), "{fault}");
    assert!(fault.help_text().is_some_and(|help| help.contains("CAST")));
    let fault =
        refused(&folder, "SELECT n + 0.5 AS h, CASE WHEN n = 40000 THEN 'x' ELSE n END AS y FROM t WHERE n <> 'many'")
            .await;
    assert_eq!((fault.row_number(), fault.column_name()), (Some(40_000), Some("y")));
}

#[tokio::test]
async fn rows_keep_their_order_and_an_empty_result_its_columns() {
    let folder = shop("CREATE TABLE t (n INTEGER)");
    let many = "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 100000) SELECT i FROM c";
    let rows = extract(&folder, many, json!({})).await.expect("read");
    assert!(rows.batches.len() > 2);
    assert!(rows.rows().column(0).as_primitive::<Int64Type>().values().iter().copied().eq(1..=100_000));
    let ran = extract(&folder, "SELECT n AS \"a.b\", n AS A, n AS \"ü\" FROM t", json!({})).await.expect("read");
    assert_eq!(ran.rows().num_rows(), 0);
    assert_eq!(ran.schema.field(0).name(), "a.b");
    let fault = extract(&folder, many, json!({"max_rows": 99_999})).await.expect_err("too many");
    assert_eq!(fault.violations()[0].pointer, "/max_rows");
}

#[tokio::test]
async fn values_are_bound_and_never_read_as_sql() {
    let folder = shop("CREATE TABLE t (n INTEGER, s TEXT); INSERT INTO t VALUES (1, 'a'), (2, '''; DROP TABLE t; --')");
    let values = json!({"params": ["'; DROP TABLE t; --", 5, null, true]});
    let ran = extract(&folder, "SELECT n, ?2 AS five, ?3 AS none, ?4 AS yes FROM t WHERE s = ?1", values)
        .await
        .expect("read");
    assert_eq!(shown(&ran).1, [["2", "5", "∅", "1"]]);
    let fault = extract(&folder, "SELECT n FROM t WHERE s = ?", json!({"params": [1, 2]})).await.expect_err("too many");
    assert_eq!(fault.violations()[0].pointer, "/params");
    let named = extract(&folder, "SELECT n FROM t WHERE s = :s AND n = ?2", json!({"params": []})).await;
    let fault = named.expect_err("too few");
    assert!(fault.message().ends_with("asks for 2: there is none for :s, ?2"), "{fault}");
    let fault = extract(&folder, "SELECT ? AS x", json!({"params": [u64::MAX]})).await.expect_err("too large");
    assert_eq!(fault.violations()[0].pointer, "/params/0");
}

#[tokio::test]
async fn nothing_but_reading_passes() {
    let folder = shop("CREATE TABLE t (n INTEGER); CREATE VIEW v AS SELECT load_extension('x.so') AS x");
    for query in [
        "SELECT * FROM v",
        "SELECT * FROM pragma_database_list",
        "SELECT load_extension('x.so')",
        "ATTACH 'other.db' AS other",
        "PRAGMA writable_schema = 1",
        "DELETE FROM t",
    ] {
        let fault = refused(&folder, query).await;
        assert_eq!(fault.kind(), FaultKind::Denied, "{query}: {fault:?}");
        assert_eq!(fault.violations()[0].pointer, "/query", "{query}");
    }
    assert!(!folder.path().join("other.db").exists());
}

#[tokio::test]
async fn mistakes_are_told_before_the_run() {
    let folder = shop("CREATE TABLE t (n INTEGER)");
    for (query, word, place) in [
        ("SELECT n,\n m FROM t", "no such column: m", Some(TextPlace { line: 2, column: 2 })),
        ("SELECT n FROM u", "no such table: u", None),
        ("SELECT n, n FROM t", "two of this name", None),
    ] {
        let fault = refused(&folder, query).await;
        assert!(fault.message().contains(word), "{fault}");
        let [told] = fault.violations() else { panic!("{fault:?}") };
        assert_eq!((told.pointer.as_str(), told.place), ("/query", place), "{query}");
    }
    for (url, kind) in [
        ("sqlite:shpo.db", FaultKind::NotFound),
        ("sqlite:../shop.db", FaultKind::Denied),
        ("sqlite::memory:", FaultKind::NotFound),
    ] {
        let asked = params(url, "SELECT 1 AS a", json!({}));
        let fault = Bench::at(folder.path()).run(ExtractSql::default(), asked, &[]).await.expect_err(url);
        assert_eq!((fault.kind(), fault.violations()[0].pointer.as_str()), (kind, "/db_url"), "{fault:?}");
    }
}

#[tokio::test]
async fn a_file_that_changed_since_it_was_planned_is_refused() {
    for (mode, change) in
        [("DELETE", "INSERT INTO t VALUES (2)"), ("WAL", "INSERT INTO t VALUES (2)"), ("WAL", "DROP TABLE t")]
    {
        let folder =
            shop(&format!("PRAGMA journal_mode = {mode}; CREATE TABLE t (n INTEGER); INSERT INTO t VALUES (1)"));
        let env = Bench::at(folder.path()).env;
        let asked = params(URL, "SELECT n FROM t", json!({}));
        let planned = erase(ExtractSql::default()).plan(&asked, &InputSchemas::default(), &env).await.expect("planned");
        let writer = Connection::open(folder.path().join("shop.db")).expect("opened");
        writer.execute_batch(change).expect("changed");
        let mut driven = drive(planned, Vec::new(), &env, "run", &[]).expect("started");
        let output = driven.outputs.remove(0).expect("an output");
        let fault = output.try_collect::<Vec<_>>().await.expect_err("it changed");
        assert_eq!(fault.kind(), FaultKind::BadData, "{fault:?}");
        assert!(fault.message().contains("changed since it was planned"), "{fault}");
    }
}

#[tokio::test]
async fn an_endless_query_is_stopped_at_its_time_or_when_nobody_reads() {
    let folder = shop("CREATE TABLE t (n INTEGER)");
    let endless = "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c) SELECT CAST(0 AS INTEGER) AS n FROM c WHERE i < 0";
    let begun = Instant::now();
    let fault = extract(&folder, endless, json!({"timeout": "300ms"})).await.expect_err("endless");
    assert_eq!(fault.kind(), FaultKind::TimedOut, "{fault:?}");
    assert!(begun.elapsed() < Duration::from_secs(10));

    let env = Bench::at(folder.path()).env;
    let table = "SELECT a.n FROM t AS a, (WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c) SELECT i FROM c) AS b WHERE b.i < 0";
    Connection::open(folder.path().join("shop.db"))
        .and_then(|db| db.execute_batch("INSERT INTO t VALUES (1)"))
        .expect("filled");
    let asked = params(URL, table, json!({}));
    let planned = erase(ExtractSql::default()).plan(&asked, &InputSchemas::default(), &env).await.expect("planned");
    let mut driven = drive(planned, Vec::new(), &env, "run", &[]).expect("started");
    let mut output = driven.outputs.remove(0).expect("an output");
    let reading = compute::spawn(async move { output.try_next().await });
    let open = || {
        let files = std::fs::read_dir("/proc/self/fd").expect("listed").flatten();
        files
            .filter(|file| {
                std::fs::read_link(file.path()).is_ok_and(|path| path.starts_with(folder.path()) && path.is_file())
            })
            .count()
    };
    let until = |what: &'static str, holds: &dyn Fn() -> bool| {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !holds() {
            assert!(Instant::now() < deadline, "{what}");
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    until("it is read", &|| open() > 0);
    drop(reading);
    until("it is let go", &|| open() == 0);
}

#[tokio::test]
async fn a_query_as_deep_as_it_may_be_long_ends_no_process() {
    let folder = shop("CREATE TABLE t (a INTEGER)");
    let fault = refused(&folder, &format!("SELECT 1{}", "+1".repeat(130_000))).await;
    assert_eq!(fault.kind(), FaultKind::BadParams, "{fault}");
    let fault = refused(&folder, &format!("SELECT 1{}", " UNION SELECT 1".repeat(17_000))).await;
    assert_eq!(fault.kind(), FaultKind::BadParams, "{fault}");
}

#[tokio::test]
async fn a_file_whose_writer_was_killed_is_read_as_it_was_before() {
    let before = shop("CREATE TABLE t (n INTEGER); INSERT INTO t VALUES (1)");
    let writer = Connection::open(before.path().join("shop.db")).expect("opened");
    // What does not fit in the memory it has goes to the file.
    let write = "PRAGMA cache_size = 1; PRAGMA cache_spill = 1; BEGIN; UPDATE t SET n = 2;
        WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 50000)
        INSERT INTO t SELECT n FROM s";
    writer.execute_batch(write).expect("written");
    let folder = tempfile::tempdir().expect("a folder");
    for file in ["shop.db", "shop.db-journal"] {
        std::fs::copy(before.path().join(file), folder.path().join(file)).expect("copied");
    }
    let ran = extract(&folder, "SELECT n FROM t", json!({})).await.expect("read");
    assert_eq!(shown(&ran).1, [["1"]]);
    assert!(!folder.path().join("shop.db-journal").exists());
}
