//! Reading from a real MariaDB: plans, parameters, limits, and what goes wrong.

use crate::support::{
    Read, assert_a_change_is_told, assert_dropping_ends, assert_going_away_is_a_fault, assert_memory_does_not_grow,
    assert_the_servers_time_is_waiting, params, shown,
};
use extract_sql::ExtractSql;
use flight_common::registry::erase;
use flight_common::testing::Bench;
use flight_common::{FaultKind, InputSchemas};
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, Instant};
use test_servers::{Database, MariaDatabase, MariaDb};

#[tokio::test]
async fn a_query_is_planned_without_being_run() {
    let database = MariaDatabase::with(&["CREATE TABLE t (id INT PRIMARY KEY, price DECIMAL(10,2))"]).await;
    let step = erase(ExtractSql::default());
    let query = "SELECT id, price, SLEEP(1000) AS nap FROM t, (SELECT SLEEP(1000) AS again) AS s";
    let planned =
        step.plan(&params(database.url(), query, json!({})), &InputSchemas::default(), &Bench::new().env).await;
    let planned = planned.expect("planned");
    let source = planned.source.expect("a source");
    assert!(
        source.starts_with("mysql://") && source.ends_with("giving id Int32, price Decimal128(10, 2), nap Int32"),
        "{source}"
    );
    let [table] = &planned.datasets[..] else { panic!("{:?}", planned.datasets) };
    assert!(table.namespace.starts_with("mysql://") && table.namespace.ends_with(":3306"), "{table:?}");
    assert_eq!(table.name, format!("{}.t", database.name()));
}

#[tokio::test]
async fn mistakes_in_a_query_are_told_before_the_run() {
    let database = MariaDatabase::with(&["CREATE TABLE staff (id INT, salary INT)"]).await;
    for (query, word, place) in [
        ("SELECT id, salery FROM staff", "Unknown column 'salery'", Some((1, 12))),
        ("SELECT id,\n  s.salery\nFROM staff AS s", "Unknown column 's.salery'", Some((2, 5))),
        ("SELECT salery + salery AS twice FROM staff", "Unknown column 'salery'", None),
        ("SELECT * FROM stuff", "stuff' doesn't exist", Some((1, 15))),
        ("SELECT nothing(id) FROM staff", "nothing", Some((1, 8))),
        ("SELECT id FROM staff WHERE id = :id", "by a name at line 1, column 33", None),
    ] {
        let fault = database.refused(query, json!({})).await;
        assert_eq!(
            (fault.kind(), fault.violations()[0].pointer.as_str()),
            (FaultKind::BadParams, "/query"),
            "{fault:?}"
        );
        assert!(fault.message().contains(word), "{fault}");
        let told = fault.violations()[0].place.map(|place| (place.line, place.column));
        assert_eq!(told, place, "{fault:?}");
    }
}

#[tokio::test]
async fn values_are_bound_and_never_read_as_sql() {
    let database = MariaDatabase::with(&[
        "CREATE TABLE t (id INT, name TEXT, day DATE)",
        "INSERT INTO t VALUES (1, 'a', '2024-01-01'), (2, '''; DROP TABLE t; --', '2024-02-01'), (3, NULL, NULL)",
    ])
    .await;
    let ask = async |query: &str, values: serde_json::Value| {
        database.extract(query, json!({ "params": values })).await.map(|ran| shown(&ran).1)
    };
    assert_eq!(ask("SELECT id FROM t WHERE name = ?", json!(["'; DROP TABLE t; --"])).await.expect("read"), [["2"]]);
    assert_eq!(
        ask("SELECT id FROM t WHERE day >= ? AND id < ?", json!(["2024-01-15", 10])).await.expect("read"),
        [["2"]]
    );
    assert_eq!(
        ask("SELECT id FROM t WHERE name <=> ? OR id = ? LIMIT ?", json!([null, true, 5])).await.expect("read"),
        [["1"], ["3"]]
    );
    assert_eq!(ask("SELECT CAST(? AS SIGNED) AS a, 1 AS b", json!([5])).await.expect("read"), [["5", "1"]]);
    assert_eq!(
        ask("SELECT CAST(? AS UNSIGNED) AS a", json!([u64::MAX])).await.expect("read"),
        [[u64::MAX.to_string()]]
    );
    let cast = "SELECT JSON_VALUE(CAST(? AS CHAR), '$.a') AS a";
    assert_eq!(ask(cast, json!([{"a": "x"}])).await.expect("read"), [["x"]]);
    let fault =
        ask("SELECT JSON_VALUE(?, '$.a') AS a", json!([{"a": "x"}])).await.expect_err("no type before the value");
    assert_eq!(fault.kind(), FaultKind::BadData);
    assert!(fault.help_text().is_some_and(|help| help.contains("CAST(? AS SIGNED)")), "{fault:?}");
    assert_eq!(
        ask("SELECT 'a:b ? :c' AS a, 7 / CAST(? AS SIGNED) AS b", json!([2])).await.expect("read")[0][0],
        "a:b ? :c"
    );
    let fault = ask("SELECT id FROM t WHERE id = ?", json!([])).await.expect_err("one is missing");
    assert_eq!(fault.violations()[0].pointer, "/params");
    assert!(fault.message().ends_with("there is none for ? number 1"), "{fault}");
    let fault = ask("SELECT id FROM t", json!([1])).await.expect_err("one too many");
    assert_eq!(fault.violations()[0].pointer, "/params");
    assert!(fault.message().ends_with("it has no placeholder"), "{fault}");
}

#[tokio::test]
async fn the_transaction_cannot_write_even_where_the_guard_is_blind() {
    let database = MariaDatabase::with(&[
        "CREATE TABLE t (id INT)",
        "CREATE FUNCTION innocent() RETURNS INT BEGIN INSERT INTO t VALUES (1); RETURN 1; END",
        "CREATE SEQUENCE s",
    ])
    .await;
    for query in ["SELECT innocent() AS x", "SELECT NEXT VALUE FOR s AS x", "SELECT LASTVAL(s) AS x, NEXTVAL(s) AS y"] {
        let fault = database.refused(query, json!({})).await;
        assert!(matches!(fault.kind(), FaultKind::Denied | FaultKind::BadParams), "{query}: {fault:?}");
    }
    let fault = database.refused("SELECT innocent() AS x", json!({})).await;
    assert!(fault.kind() == FaultKind::Denied && fault.message().contains("READ ONLY"), "{fault:?}");
    assert_eq!(database.figure("SELECT COUNT(*) FROM t").await, 0);
    assert_eq!(database.figure("SELECT NEXT VALUE FOR s").await, 1);
    let settings = "SELECT @@max_statement_time AS t, @@sql_mode LIKE '%ANSI%' AS a";
    assert_eq!(shown(&database.extract(settings, json!({"timeout": "90s"})).await.expect("read")).1, [["90.0", "0"]]);
}

#[tokio::test]
async fn nothing_is_written_to_files_and_none_is_read() {
    let database = MariaDatabase::with(&["CREATE TABLE t (id INT)"]).await;
    for query in [
        "SELECT * FROM t INTO OUTFILE '/tmp/quiver-was-here'",
        "SELECT 'x' INTO DUMPFILE '/tmp/quiver-was-here'",
        "SELECT LOAD_FILE('/etc/passwd') AS x",
        "SELECT 1 /*!99999 INTO OUTFILE '/tmp/quiver-was-here' */",
        "SELECT * FROM t FOR UPDATE",
        "SELECT * FROM t LOCK IN SHARE MODE",
        "SELECT GET_LOCK('x', 1) AS x",
        "DELETE FROM t",
        "SET STATEMENT max_statement_time = 0 FOR SELECT 1",
        "LOAD DATA LOCAL INFILE '/etc/passwd' INTO TABLE t",
    ] {
        let fault = database.refused(query, json!({})).await;
        assert_eq!(
            (fault.kind(), fault.violations()[0].pointer.as_str()),
            (FaultKind::Denied, "/query"),
            "{query}: {fault:?}"
        );
    }
    assert!(!std::path::Path::new("/tmp/quiver-was-here").exists());
    assert_eq!(
        database.cells("SELECT 'delete' AS action FROM (SELECT 1) AS x WHERE 'INTO OUTFILE' <> ''").await,
        [["delete"]]
    );
}

#[tokio::test]
async fn the_time_of_the_server_is_waiting() {
    let database = MariaDatabase::new().await;
    assert_the_servers_time_is_waiting(&database, "SELECT SLEEP(0.3) AS x").await;
}

#[tokio::test]
async fn a_query_that_sleeps_past_its_time_is_stopped() {
    let database = MariaDatabase::new().await;
    let begun = Instant::now();
    for (query, more) in [
        ("SELECT SLEEP(60) AS x", json!({"timeout": "300ms"})),
        ("SELECT SLEEP(?) AS x", json!({"timeout": "300ms", "params": [60]})),
        ("SELECT BENCHMARK(1000000000000, MD5('x')) AS x", json!({"timeout": "300ms"})),
    ] {
        let fault = database.refused(query, more).await;
        assert_eq!(fault.kind(), FaultKind::TimedOut, "{query}: {fault:?}");
        assert!(fault.help_text().is_some_and(|help| help.contains("timeout")));
    }
    assert!(begun.elapsed() < Duration::from_secs(20));
}

#[tokio::test]
async fn more_rows_than_allowed_are_an_error_and_none_has_its_columns() {
    let database = MariaDatabase::new().await;
    let query = "SELECT seq AS n FROM seq_1_to_1000";
    assert_eq!(database.extract(query, json!({"max_rows": 1000})).await.expect("read").rows().num_rows(), 1000);
    let fault = database.refused(query, json!({"max_rows": 999})).await;
    assert_eq!((fault.kind(), fault.violations()[0].pointer.as_str()), (FaultKind::BadData, "/max_rows"));
    let ran = database.extract("SELECT 1 AS a FROM DUAL WHERE FALSE", json!({})).await.expect("read");
    assert_eq!((ran.rows().num_rows(), ran.schema.field(0).name().as_str()), (0, "a"));
    let fault = database.refused(query, json!({"partition_column": "n", "partitions": 2})).await;
    assert_eq!(fault.violations()[0].pointer, "/partition_column");
}

#[tokio::test]
async fn dropping_the_rows_stops_the_query_at_the_server() {
    let database = MariaDatabase::new().await;
    for query in [
        // A computation that gives nothing for long, and rows without end of which only some are read.
        "SELECT COUNT(*) AS n FROM seq_1_to_1000000 AS a, seq_1_to_1000000 AS b WHERE a.seq * b.seq = 0",
        "SELECT a.seq, REPEAT('x', 1000) AS x FROM seq_1_to_1000000 AS a, seq_1_to_1000000 AS b",
    ] {
        let running = "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE 'SELECT%seq_1_to_1000000 AS b%' AND id <> CONNECTION_ID()";
        assert_dropping_ends(&database, query, query.contains("REPEAT"), running).await;
    }
}

#[tokio::test]
async fn a_server_that_goes_away_is_a_fault_and_no_end() {
    let server = tokio::task::spawn_blocking(|| Arc::new(MariaDb::start())).await.expect("a server");
    let database = MariaDatabase::on(server.clone()).await;
    let endless = "SELECT seq, REPEAT('x', 1000) AS x FROM seq_1_to_100000000";
    assert_going_away_is_a_fault(&database, endless, move || server.down()).await;
}

#[tokio::test]
async fn a_table_that_changed_since_it_was_planned_is_refused() {
    let database =
        MariaDatabase::with(&["CREATE TABLE t (id INT, price DECIMAL(10,2))", "INSERT INTO t VALUES (1, 2)"]).await;
    for (change, word) in [
        ("ALTER TABLE t MODIFY price DECIMAL(12,3)", "Decimal128(12, 3)"),
        ("ALTER TABLE t ADD extra TEXT", "extra Utf8"),
        ("ALTER TABLE t CHANGE id `key` INT", "key Int32"),
        ("DROP TABLE t", "doesn't exist"),
    ] {
        assert_a_change_is_told(&database, change, word).await;
    }
}

#[tokio::test]
async fn rows_stream_in_order_and_memory_does_not_grow_with_them() {
    let database = MariaDatabase::new().await;
    let query = "SELECT seq AS n, REPEAT('text ', 40) AS x FROM seq_1_to_300000";
    assert_memory_does_not_grow(&database, query).await;
}

#[tokio::test]
async fn a_login_is_checked_over_the_network_and_no_password_is_ever_seen() {
    let database = MariaDatabase::with(&[
        "CREATE OR REPLACE USER ann@'127.0.0.1' IDENTIFIED BY 's3@cret'",
        "CREATE TABLE t (id INT)",
    ])
    .await;
    database.run(&format!("GRANT SELECT ON {}.* TO ann@'127.0.0.1'", database.name())).await;
    let (tcp, name) = (database.server.tcp().to_owned(), database.name());
    let bench = Bench::new();
    let ask =
        async |url: String, query: &str| bench.run(ExtractSql::default(), params(&url, query, json!({})), &[]).await;
    // The server has no TLS: `PREFERRED`, the default, does without.
    let good = format!("mariadb://ann:s3%40cret@{tcp}/{name}");
    let ran = ask(good.clone(), "SELECT CURRENT_USER() AS u").await.expect("read");
    assert_eq!(shown(&ran).1, [["ann@127.0.0.1"]]);
    for (url, query, kind, word) in [
        (format!("{good}?ssl-mode=REQUIRED"), "SELECT 1 AS x", FaultKind::Upstream, "SSL"),
        (good.replace("s3%40cret", "wr0ng%40cret"), "SELECT 1 AS x", FaultKind::Denied, "Access denied"),
        (good.replace("/test_", "/none_"), "SELECT 1 AS x", FaultKind::Denied, "Access denied"),
        (good.clone(), "SELECT * FROM mysql.user", FaultKind::Denied, "denied"),
        (format!("mysql://ann:s3%40cret@127.0.0.1:1/{name}"), "SELECT 1 AS x", FaultKind::Upstream, "127.0.0.1:1"),
        (format!("{good}?sslmod=x"), "SELECT 1 AS x", FaultKind::BadParams, "sslmod"),
    ] {
        let fault = ask(url, query).await.expect_err("refused");
        assert_eq!(fault.kind(), kind, "{fault:?}");
        assert!(fault.message().contains(word), "{fault}");
        assert!(!format!("{fault:?}{fault}").contains("cret"), "{fault:?}");
        assert!(!fault.violations().is_empty(), "{fault:?}");
    }
}
