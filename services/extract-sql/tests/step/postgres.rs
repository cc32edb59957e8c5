//! Reading from a real PostgreSQL: plans, parameters, limits, and what goes wrong.

use crate::support::{
    Between, Read, assert_a_change_is_told, assert_dropping_ends, assert_going_away_is_a_fault,
    assert_memory_does_not_grow, assert_the_servers_time_is_waiting, connections, eventually, params, shown, started,
};
use extract_sql::ExtractSql;
use flight_common::registry::erase;
use flight_common::testing::Bench;
use flight_common::{FaultKind, InputSchemas, TextPlace, compute};
use futures::TryStreamExt;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use test_servers::{Database, Postgres, PostgresDatabase};

#[tokio::test]
async fn a_query_is_planned_without_being_run() {
    let database = PostgresDatabase::with("CREATE TABLE t (id int PRIMARY KEY, price numeric(10,2))").await;
    let step = erase(ExtractSql::default());
    let query = "SELECT id, price, 1 / (id - id) AS boom, pg_sleep(id) FROM t, generate_series(1, 1000000)";
    let planned =
        step.plan(&params(database.url(), query, json!({})), &InputSchemas::default(), &Bench::new().env).await;
    let planned = planned.expect("planned");
    let types: Vec<String> = planned.outputs[0].fields().iter().map(|field| field.data_type().to_string()).collect();
    assert_eq!(types, ["Int32", "Decimal128(10, 2)", "Int32", "Utf8"]);
    let source = planned.source.expect("a source");
    assert!(source.ends_with("giving id Int32, price Decimal128(10, 2), boom Int32, pg_sleep Utf8"), "{source}");
    let [table] = &planned.datasets[..] else { panic!("{:?}", planned.datasets) };
    assert!(table.namespace.starts_with("postgres://") && table.namespace.ends_with(":5432"), "{table:?}");
    let database = database.url().split(['/', '?']).find(|part| part.starts_with("test_")).expect("a database");
    assert_eq!(table.name, format!("{database}.public.t"));
}

#[tokio::test]
async fn mistakes_in_a_query_are_told_with_their_place() {
    let database = PostgresDatabase::with("CREATE TABLE staff (id int, salary int)").await;
    let fault = database.refused("SELECT id,\n  salery FROM staff", json!({})).await;
    assert_eq!(fault.kind(), FaultKind::BadParams);
    assert!(fault.message().contains("\"salery\" does not exist (line 2, column 3)"), "{fault}");
    assert!(fault.help_text().is_some_and(|help| help.contains("staff.salary")), "{fault:?}");
    assert_eq!(fault.violations()[0].pointer, "/query");
    assert_eq!(fault.violations()[0].place, Some(TextPlace { line: 2, column: 3 }));
    let fault = database.refused("SELECT id\nFROM staff; SELECT 1", json!({})).await;
    assert_eq!(fault.violations()[0].place, Some(TextPlace { line: 2, column: 11 }), "{fault:?}");
    let fault = database.refused("SELECT id,\n pg_read_file('x') FROM staff", json!({})).await;
    assert_eq!(fault.violations()[0].place, Some(TextPlace { line: 2, column: 2 }), "{fault:?}");
    let fault = database.refused("SELECT * FROM stuff", json!({})).await;
    assert!(fault.message().contains("\"stuff\" does not exist"), "{fault}");
    let fault =
        database.refused("SELECT 1 / (id - 1) FROM staff, (SELECT 1) AS x UNION ALL SELECT 1 / 0", json!({})).await;
    assert_eq!(fault.kind(), FaultKind::BadData);
    assert!(fault.message().contains("division by zero"));
}

#[tokio::test]
async fn values_are_bound_and_never_read_as_sql() {
    let database = PostgresDatabase::with("CREATE TABLE t (id int, name text, day date); INSERT INTO t VALUES (1, 'a', '2024-01-01'), (2, '''; DROP TABLE t; --', '2024-02-01'), (3, NULL, NULL)").await;
    let ask = async |query: &str, values: Value| {
        database.extract(query, json!({ "params": values })).await.map(|ran| shown(&ran).1)
    };
    assert_eq!(ask("SELECT id FROM t WHERE name = $1", json!(["'; DROP TABLE t; --"])).await.expect("read"), [["2"]]);
    assert_eq!(
        ask("SELECT id FROM t WHERE day >= $1 AND id < $2", json!(["2024-01-15", 10])).await.expect("read"),
        [["2"]]
    );
    assert_eq!(
        ask("SELECT id FROM t WHERE id = ANY($1) AND $2", json!([[1, 3], true])).await.expect("read"),
        [["1"], ["3"]]
    );
    assert_eq!(
        ask("SELECT $1::jsonb ->> 'a' AS a, $2::int AS b", json!([{"a": "x"}, null])).await.expect("read"),
        [["x", "∅"]]
    );
}

#[tokio::test]
async fn a_value_that_does_not_fit_its_placeholder_is_told_when_it_is_planned() {
    let database =
        PostgresDatabase::with("CREATE TYPE mood AS ENUM ('ok', 'sad'); CREATE TABLE t (id int, name text, mood mood)")
            .await;
    let step = erase(ExtractSql::default());
    let refused = async |query: &str, values: Value| {
        let asked = params(database.url(), query, json!({ "params": values }));
        let fault = step.plan(&asked, &InputSchemas::default(), &Bench::new().env).await.map(drop).expect_err(query);
        assert_eq!(fault.kind(), FaultKind::BadParams, "{query}: {fault:?}");
        (
            fault.violations()[0].pointer.clone(),
            fault.message().to_owned(),
            fault.help_text().unwrap_or_default().to_owned(),
        )
    };
    let two = "SELECT id FROM t WHERE id = $1 AND name = ANY($2)";
    for (values, told) in [
        (json!([]), "there is none for $1 (int4), $2 (text[])"),
        (json!([1]), "there is none for $2 (text[])"),
        (json!([1, ["a"], 3]), "it has only $1 (int4), $2 (text[])"),
    ] {
        let (pointer, message, _) = refused(two, values).await;
        assert!(pointer == "/params" && message.ends_with(told), "{message}");
    }
    for (query, values, place, expected) in [
        ("SELECT id FROM t WHERE id = $1", json!(["seven"]), 0, "int4"),
        ("SELECT id FROM t WHERE id = $1", json!([true]), 0, "int4"),
        ("SELECT id FROM t WHERE id = $1", json!([1.5]), 0, "int4"),
        ("SELECT id FROM t WHERE id = $1", json!([1_u64 << 40]), 0, "int4"),
        ("SELECT id FROM t WHERE id = $1", json!([[1]]), 0, "int4"),
        ("SELECT id FROM t WHERE id = $1::int8 AND name = $2", json!([{"a": 1}, "x"]), 0, "int8"),
        ("SELECT id FROM t WHERE name = $1 AND id = ANY($2)", json!(["x", ["y"]]), 1, "int4[]"),
        ("SELECT id FROM t WHERE name = $1 AND id = ANY($2)", json!(["x", 3]), 1, "int4[]"),
        ("SELECT id FROM t WHERE $1 AND $2 > now() AND mood = $3", json!([null, "soon", "mad"]), 1, "timestamptz"),
        ("SELECT id FROM t WHERE $1 AND $2 > now() AND mood = $3", json!([false, "today", "mad"]), 2, "mood"),
        ("SELECT id FROM t WHERE name = $1", json!(["a\u{0}b"]), 0, "text"),
        ("SELECT id FROM t LIMIT $1", json!(["few"]), 0, "int8"),
        ("SELECT $1::jsonb AS j", json!(["{"]), 0, "jsonb"),
        ("SELECT $1::bytea AS b", json!(["\\xzz"]), 0, "bytea"),
        ("SELECT $1::uuid AS u, $2::numeric AS n", json!(["6f1d8d2e", 1]), 0, "uuid"),
        ("SELECT $1::numeric AS n, $2::float8 AS f", json!(["1", "x"]), 1, "float8"),
    ] {
        let (pointer, message, help) = refused(query, values).await;
        assert_eq!(pointer, format!("/params/{place}"), "{message}");
        let begin = format!("params: the value for ${} is no {expected}: PostgreSQL: ", place + 1);
        assert!(message.starts_with(&begin), "{message}");
        assert!(help.contains(&format!("reads as {expected}")), "{help}");
        for raw in ["stream", "binary data", "bind"] {
            assert!(!message.contains(raw), "{message}");
        }
    }
    let (_, message, help) = refused("SELECT id FROM t WHERE id = $2", json!([1, 2])).await;
    assert!(message.contains("$1") && help.contains("$1::int"), "{message}: {help}");
}

#[tokio::test]
async fn a_socket_is_named_behind_the_question_mark_alone() {
    let database = PostgresDatabase::new().await;
    let url = database.url().replace("postgres@localhost/", "postgres:s3cret@/");
    assert_ne!(url, database.url());
    let asked = params(&url, "SELECT 1 AS a", json!({}));
    let ran = Bench::new().run(ExtractSql::default(), asked, &[]).await.expect("read");
    assert_eq!(shown(&ran).1, [["1"]]);
}

#[tokio::test]
async fn the_transaction_cannot_write_even_where_the_guard_is_blind() {
    let database = PostgresDatabase::with(
        "CREATE TABLE t (id int); CREATE FUNCTION innocent() RETURNS int LANGUAGE sql AS 'INSERT INTO t VALUES (1) RETURNING id'",
    )
    .await;
    let fault = database.refused("SELECT innocent()", json!({})).await;
    assert_eq!(fault.kind(), FaultKind::Denied);
    assert!(fault.message().contains("read-only transaction"), "{fault}");
    assert_eq!(database.figure("SELECT count(*) FROM t").await, 0);
    let settings = "SELECT current_setting('transaction_read_only') AS r, current_setting('statement_timeout') AS t";
    assert_eq!(shown(&database.extract(settings, json!({"timeout": "90s"})).await.expect("read")).1, [["on", "90s"]]);
}

#[tokio::test]
async fn what_postgres_takes_for_a_call_is_a_call_to_the_guard() {
    let database = PostgresDatabase::with("CREATE TABLE t (a text[]); INSERT INTO t VALUES ('{/}')").await;
    for query in [
        "SELECT ('/'::text).pg_ls_dir",
        "SELECT ('/'::text).\"pg_ls_dir\"",
        "SELECT (x) . U&\"pg\\005fls_dir\" FROM lower('/') AS x",
        "SELECT x.pg_ls_dir FROM lower('/') AS x",
        "SELECT (SELECT '/'::text).pg_ls_dir",
        "SELECT (ARRAY['/'])[1].pg_ls_dir",
        "SELECT t.a[1].pg_ls_dir FROM t",
        "SELECT a[1].pg_ls_dir FROM t",
        "SELECT TREAT('/' AS pg_ls_dir)",
        "SELECT ('/etc/passwd'::text).lo_import",
        "SELECT (l.oid).lo_unlink FROM pg_largeobject_metadata AS l",
        "SELECT (1::bigint).pg_advisory_lock",
        "SELECT ('bgwriter'::text).pg_stat_reset_shared",
        "SELECT * FROM t ORDER BY (t.a[1]).pg_ls_dir",
    ] {
        // It is a call: the server makes it, if nobody stops it.
        database.run(query).await;
        let fault = database.refused(query, json!({})).await;
        assert_eq!(fault.kind(), FaultKind::Denied, "{query}: {fault:?}");
    }
    let fault = database.refused("SELECT $1.pg_ls_dir", json!({"params": ["/"]})).await;
    assert_eq!(fault.kind(), FaultKind::Denied, "{fault:?}");
}

#[tokio::test]
async fn a_table_is_read_by_its_name_alone() {
    let database = PostgresDatabase::with("CREATE TABLE t AS SELECT n FROM generate_series(1, 3) AS n").await;
    assert_eq!(database.cells("TABLE t ORDER BY n DESC LIMIT 2").await, [["3"], ["2"]]);
    let ran = database.extract("TABLE t", json!({"partition_column": "n", "partitions": 2})).await.expect("read");
    assert_eq!(ran.rows().num_rows(), 3);
}

#[tokio::test]
async fn the_time_of_the_server_is_waiting() {
    let database = PostgresDatabase::new().await;
    assert_the_servers_time_is_waiting(&database, "SELECT pg_sleep(0.3)").await;
}

#[tokio::test]
async fn a_query_that_sleeps_past_its_time_is_stopped() {
    let database = PostgresDatabase::new().await;
    let begun = Instant::now();
    for more in [json!({"timeout": "300ms"}), json!({"timeout": "300ms", "params": [60]})] {
        let query = if more["params"].is_null() { "SELECT pg_sleep(60)" } else { "SELECT pg_sleep($1)" };
        let fault = database.refused(query, more).await;
        assert_eq!(fault.kind(), FaultKind::TimedOut, "{fault:?}");
        assert!(fault.help_text().is_some_and(|help| help.contains("timeout")));
    }
    assert!(begun.elapsed() < Duration::from_secs(20));
}

#[tokio::test]
async fn more_rows_than_allowed_are_an_error() {
    let database = PostgresDatabase::new().await;
    let query = "SELECT n FROM generate_series(1, 1000) AS n";
    assert_eq!(database.extract(query, json!({"max_rows": 1000})).await.expect("read").rows().num_rows(), 1000);
    let fault = database.refused(query, json!({"max_rows": 999})).await;
    assert_eq!(fault.kind(), FaultKind::BadData);
    assert_eq!(fault.violations()[0].pointer, "/max_rows");
}

#[tokio::test]
async fn an_empty_result_has_its_columns() {
    let database = PostgresDatabase::new().await;
    for more in [json!({}), json!({"params": [1]})] {
        let query = if more["params"].is_null() { "SELECT 1 AS a WHERE false" } else { "SELECT 1 AS a WHERE $1 = 2" };
        let ran = database.extract(query, more).await.expect("read");
        assert_eq!((ran.rows().num_rows(), ran.schema.field(0).name().as_str()), (0, "a"));
    }
}

#[tokio::test]
async fn dropping_the_rows_stops_the_query_at_the_server() {
    let database = PostgresDatabase::new().await;
    // A computation that never looks at its connection.
    let query =
        "SELECT count(*) FROM generate_series(1, 100000) AS a, generate_series(1, 1000000) AS b WHERE a * b = -1";
    let active = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%a * b = -1%' AND pid <> pg_backend_pid()";
    assert_dropping_ends(&database, query, false, active).await;
}

/// The socket of the server.
fn socket(database: &PostgresDatabase) -> PathBuf {
    let (_, folder) = database.url().split_once("?host=").expect("a socket");
    Path::new(folder).join(".s.PGSQL.5432")
}

/// The address of the database by way of what lies before it.
fn over(database: &PostgresDatabase, between: &Between) -> String {
    let (place, _) = database.url().split_once("?host=").expect("a socket");
    format!("{}?sslmode=disable", place.replace("localhost", &between.address().to_string()))
}

#[tokio::test]
async fn a_query_whose_connection_is_cut_is_ended_at_the_server() {
    let database = PostgresDatabase::new().await;
    let between = Between::start(socket(&database)).await;
    let url = over(&database, &between);
    let query =
        "SELECT count(*) FROM generate_series(1, 100000) AS a, generate_series(1, 1000000) AS b WHERE a * b = -2";
    let active = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%a * b = -2%' AND pid <> pg_backend_pid()";
    let mut driven = started(&url, query).await;
    let output = driven.outputs.remove(0).expect("an output");
    let reading = compute::spawn(output.try_collect::<Vec<_>>());
    eventually("the query runs", async || database.figure(active).await == 1).await;
    between.cut();
    let fault = reading.await.expect("no panic").expect_err("it is cut off");
    assert_eq!(fault.kind(), FaultKind::Upstream, "{fault:?}");
    eventually("the query is gone", async || database.figure(active).await == 0).await;
}

#[tokio::test]
async fn a_server_that_says_goodbye_is_not_asked_to_cancel_anything() {
    let database = PostgresDatabase::new().await;
    let between = Between::start(socket(&database)).await;
    let mut driven = started(&over(&database, &between), "SELECT pg_sleep(600)::text AS x").await;
    let output = driven.outputs.remove(0).expect("an output");
    let reading = compute::spawn(output.try_collect::<Vec<_>>());
    let asleep = "FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()";
    eventually("the query runs", async || database.figure(&format!("SELECT count(*) {asleep}")).await == 1).await;
    let came = between.came();
    database.run(&format!("SELECT pg_terminate_backend(pid) {asleep}")).await;
    let fault = reading.await.expect("no panic").expect_err("it is ended");
    assert_eq!(fault.kind(), FaultKind::Upstream, "{fault:?}");
    drop(driven);
    flight_common::farewell::farewells().await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(between.came(), came);
}

#[tokio::test]
async fn a_server_that_goes_away_is_a_fault_and_no_end() {
    let server = tokio::task::spawn_blocking(|| Arc::new(Postgres::start())).await.expect("a server");
    let database = PostgresDatabase::on(server.clone()).await;
    let endless = "SELECT n, repeat('x', 1000) AS x FROM generate_series(1, 100000000) AS n";
    assert_going_away_is_a_fault(&database, endless, move || server.down()).await;
}

#[tokio::test]
async fn a_table_that_changed_since_it_was_planned_is_refused() {
    let database =
        PostgresDatabase::with("CREATE TABLE t (id int, price numeric(10,2)); INSERT INTO t VALUES (1, 2)").await;
    for (change, word) in [
        ("ALTER TABLE t ALTER price TYPE numeric(12,3)", "Decimal128(12, 3)"),
        ("ALTER TABLE t ADD extra text", "extra Utf8"),
        ("ALTER TABLE t RENAME id TO key", "key Int32"),
        ("DROP TABLE t", "does not exist"),
    ] {
        assert_a_change_is_told(&database, change, word).await;
    }
}

#[tokio::test]
async fn memory_does_not_grow_with_the_rows() {
    let database = PostgresDatabase::new().await;
    let query = "SELECT n, repeat('text ', 40) AS x FROM generate_series(1, 300000) AS n";
    assert_memory_does_not_grow(&database, query).await;
}

#[tokio::test]
async fn a_connection_is_named_and_no_password_is_ever_seen() {
    let database = PostgresDatabase::new().await;
    let with_password = database.url().replace("postgres@", "postgres:s3%40cret@");
    let named = connections(&[("HR_DB", with_password.clone())]);
    let step = erase(ExtractSql::with_connections(named.clone()));
    let bench = Bench::new();
    let asked = json!({"connection": "hr_db", "query": "SELECT 1 AS a"});
    assert_eq!(bench.run_erased(&*step, &asked, Vec::new()).await.expect("read").rows().num_rows(), 1);
    let planned = step.plan(&asked, &InputSchemas::default(), &bench.env).await.expect("planned");
    assert!(planned.source.is_some_and(|source| !source.contains("cret") && source.starts_with("postgres://")));
    for params in [
        json!({"connection": "hr_db", "query": "SELECT nothing"}),
        json!({"db_url": with_password.replace("/test", "/none"), "query": "SELECT 1"}),
        json!({"db_url": "postgres://ann:s3%40cret@127.0.0.1:1/x", "query": "SELECT 1"}),
        json!({"db_url": "postgres://ann:s3%40cret@host:x/x", "query": "SELECT 1"}),
        json!({"db_url": format!("{with_password}&sslmod=x"), "query": "SELECT 1"}),
    ] {
        let fault = bench.run_erased(&*step, &params, Vec::new()).await.expect_err("refused");
        assert!(!format!("{fault:?}{fault}").contains("cret"), "{fault:?}");
        assert!(!fault.violations().is_empty(), "{fault:?}");
    }
}
