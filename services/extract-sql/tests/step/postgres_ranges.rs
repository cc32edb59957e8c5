//! Queries of a real PostgreSQL that are read in ranges.

use crate::support::{Read, eventually};
use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use flight_common::FaultKind;
use serde_json::{Value, json};
use test_servers::{Database, PostgresDatabase};

#[tokio::test]
async fn ranges_give_all_rows_once_in_order_from_one_moment() {
    let database = PostgresDatabase::with(
        "CREATE TABLE t AS SELECT n AS id, date '2024-01-01' + n AS day, timestamptz '2024-01-01 00:00Z' + n * interval '1 hour' AS at, repeat('x', 100) AS x \
         FROM generate_series(-5000, 40000) AS n; INSERT INTO t VALUES (NULL, NULL, NULL, 'null')",
    )
    .await;
    for column in ["id", "day", "at"] {
        let query = format!("SELECT id::int8 AS key, id, day, at, x FROM t ORDER BY {column}");
        for values in [json!([]), json!(["none"])] {
            let query =
                if values == json!([]) { query.clone() } else { query.replace("FROM t", "FROM t WHERE x <> $1") };
            let more = json!({"partition_column": column, "partitions": 5, "params": values});
            let ran = database.extract(&query, more).await.unwrap_or_else(|fault| panic!("{column}: {fault:?}"));
            let rows = ran.rows();
            let keys = rows["key"].as_primitive::<Int64Type>();
            assert!(keys.iter().take(45_001).eq((-5000..=40_000).map(Some)), "{column}");
            assert_eq!((keys.len(), keys.iter().last().flatten()), (45_002, None));
        }
    }
    let more = json!({"partition_column": "id", "partitions": 3});
    assert_eq!(
        database.extract("SELECT id FROM t WHERE false", more.clone()).await.expect("read").rows().num_rows(),
        0
    );
    let fault = database.refused("SELECT x FROM t", json!({"partition_column": "y", "partitions": 2})).await;
    assert_eq!((fault.kind(), fault.violations()[0].pointer.as_str()), (FaultKind::BadSchema, "/partition_column"));
    let fault = database.refused("SELECT x FROM t", json!({"partition_column": "x", "partitions": 2})).await;
    assert!(fault.message().contains("whole numbers, dates or timestamps"), "{fault}");
    let mut limited = more.clone();
    limited["max_rows"] = json!(100);
    assert_eq!(database.refused("SELECT id FROM t", limited).await.kind(), FaultKind::BadData);
    let fault = database.refused("SELECT id, 1 / (id - 30000) AS y FROM t", more).await;
    assert_eq!(fault.kind(), FaultKind::BadData);
    eventually("all connections are gone", async || {
        database.figure("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()").await == 1
    })
    .await;
}

#[tokio::test]
async fn what_differs_between_ranges_is_found_behind_views_and_functions() {
    let database = PostgresDatabase::with(
        "CREATE TABLE t AS SELECT n AS id, now() AS at FROM generate_series(1, 9) AS n; \
         CREATE VIEW aged AS SELECT extract(epoch FROM now() - at)::int8 AS id FROM t; \
         CREATE VIEW old AS SELECT id FROM t WHERE at < current_date; \
         CREATE VIEW sampled AS SELECT id FROM t TABLESAMPLE SYSTEM (50); \
         CREATE VIEW three AS SELECT id FROM t LIMIT 3; \
         CREATE VIEW numbered AS SELECT row_number() OVER () AS id FROM t; \
         CREATE FUNCTION inlined() RETURNS int8 LANGUAGE sql VOLATILE AS 'SELECT (random() * 9)::int8'; \
         CREATE FUNCTION drawn() RETURNS int8 LANGUAGE plpgsql VOLATILE AS 'BEGIN RETURN random() * 9; END'; \
         CREATE SCHEMA other; \
         CREATE FUNCTION other.lower(x int8) RETURNS int8 LANGUAGE plpgsql VOLATILE AS 'BEGIN RETURN x; END'; \
         CREATE FUNCTION twice(x int8) RETURNS int8 LANGUAGE sql IMMUTABLE AS 'SELECT 2 * x'",
    )
    .await;
    let ranges = |values: Value| json!({"partition_column": "id", "partitions": 2, "params": values});
    for (query, values, word) in [
        ("SELECT id FROM aged", json!([]), "now"),
        ("SELECT id FROM old", json!([]), "CURRENT_DATE"),
        ("SELECT drawn() AS id FROM t WHERE id < $1", json!([5]), "drawn"),
        ("SELECT id FROM t WHERE id > drawn()", json!([]), "drawn"),
        ("SELECT inlined() AS id FROM t", json!([]), "random"),
        ("SELECT other.lower(id) AS id FROM t", json!([]), "lower"),
        ("SELECT id FROM sampled", json!([]), "TABLESAMPLE"),
        ("SELECT id FROM three", json!([]), "LIMIT"),
        ("SELECT id FROM numbered", json!([]), "window"),
        ("SELECT extract(epoch FROM $1::timestamptz - at)::int8 AS id FROM t", json!(["now"]), "$1"),
    ] {
        let fault = database.refused(query, ranges(values)).await;
        assert!(fault.message().contains(word), "{query}: {fault:?}");
        assert!(matches!(&*fault.violations()[0].pointer, "/query" | "/params/0"), "{query}: {fault:?}");
    }
    let good = "SELECT twice(id) AS id, lower('now()') AS x FROM t WHERE id < $1 AND id >= (SELECT min(id) FROM t)";
    assert_eq!(database.extract(good, ranges(json!([5]))).await.expect("read").rows().num_rows(), 4);
}

#[tokio::test]
async fn the_snapshot_outlasts_the_ranges_whatever_the_server_thinks_of_idle_transactions() {
    let database = PostgresDatabase::with(
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET idle_in_transaction_session_timeout = 50', current_database()); END $$",
    )
    .await;
    let query = "SELECT n, pg_sleep(0.2)::text AS x FROM generate_series(1, 2) AS n";
    let ran = database.extract(query, json!({"partition_column": "n", "partitions": 2})).await.expect("read");
    assert_eq!(ran.rows().num_rows(), 2);
}
