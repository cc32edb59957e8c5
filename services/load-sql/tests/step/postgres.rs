//! Loads into a real PostgreSQL.

use crate::support::{
    Loaded, assert_a_changed_table_is_refused, assert_appends_are_safe_to_repeat,
    assert_lines_of_an_earlier_version_count, assert_loads_may_make_a_table_for_each_other,
    assert_replaces_do_not_add_up, assert_steps_of_a_run_add_to_one_table, assert_who_makes_a_table_is_waited_for,
    load_what_fails, params, people,
};
use arrow::array::{ArrayRef, Decimal128Array, ListArray, RecordBatch, TimestampMicrosecondArray};
use arrow::datatypes::Int64Type;
use flight_common::FaultKind;
use flight_common::testing::{Bench, batch};
use load_sql::LoadSql;
use serde_json::json;
use std::sync::Arc;
use test_servers::{Database, PostgresDatabase};

#[tokio::test]
async fn a_table_that_is_not_there_is_made() {
    let database = PostgresDatabase::new().await;
    let ran = database.load(json!({}), &people()).await.expect("loaded");
    assert_eq!(ran.rows().num_rows(), 1);
    assert_eq!(database.rows("SELECT * FROM t ORDER BY id").await, [["1", "Ann"], ["2", "∅"]]);
}

#[tokio::test]
async fn values_come_through_whatever_they_are() {
    let database = PostgresDatabase::new().await;
    let instants =
        TimestampMicrosecondArray::from(vec![Some(-1), Some(1_709_210_096_123_456), None]).with_timezone("UTC");
    let money = Decimal128Array::from(vec![Some(12_345_678_901_234_567_890_123_456_789_012_345_678), Some(-5), None]);
    let lists = ListArray::from_iter_primitive::<Int64Type, _, _>([Some(vec![Some(1), None]), Some(vec![]), None]);
    let columns: [(&str, ArrayRef); 3] = [
        ("at", Arc::new(instants)),
        ("money", Arc::new(money.with_precision_and_scale(38, 4).expect("a type"))),
        ("list", Arc::new(lists)),
    ];
    let nested = RecordBatch::try_from_iter(columns).expect("a batch");
    let plain = batch!(
        "a.b" => StringArray [Some("tab\there \\N \"quoted\" 'x'\n"), Some(""), Some("🦀")],
        "A" => Float64Array [f64::NAN, f64::NEG_INFINITY, 0.1],
        "a" => BinaryArray [Some(&b"\\x\0"[..]), Some(b""), None],
        "day" => Date32Array [Some(-1), Some(20_000), None],
        "big" => UInt64Array [u64::MAX, 1 << 53 | 1, 0],
    );
    database.load(json!({}), &nested).await.expect("loaded");
    let shown = "SELECT at AT TIME ZONE 'UTC', money, list::text FROM t ORDER BY at NULLS LAST";
    assert_eq!(
        database.rows(shown).await,
        [
            ["1969-12-31 23:59:59.999999", "1234567890123456789012345678901234.5678", "{1,NULL}"],
            ["2024-02-29 12:34:56.123456", "-0.0005", "{}"],
            ["∅", "∅", "∅"]
        ]
    );
    database.load(json!({"table": "u"}), &plain).await.expect("loaded");
    assert_eq!(
        database.rows("SELECT * FROM u").await,
        [
            ["tab\there \\N \"quoted\" 'x'\n", "NaN", "\\x5c7800", "1969-12-31", "18446744073709551615"],
            ["", "-Infinity", "\\x", "2024-10-04", "9007199254740993"],
            ["🦀", "0.1", "∅", "∅", "0"]
        ]
    );
    let years = batch!("day" => Date32Array [-735_160, 2_932_897]);
    database.load(json!({"table": "w"}), &years).await.expect("loaded");
    assert_eq!(database.rows("SELECT day FROM w").await, [["0044-03-15 BC"], ["10000-01-01"]]);
    let spans = batch!("span" => DurationMicrosecondArray [Some(-1_500_000), Some(90_000_000), None]);
    database.load(json!({"table": "v"}), &spans).await.expect("loaded");
    assert_eq!(database.rows("SELECT span FROM v").await, [["-00:00:01.5"], ["00:01:30"], ["∅"]]);
}

#[tokio::test]
async fn types_of_the_database_take_texts_as_they_read_them() {
    let table = "CREATE TYPE mood AS ENUM ('ok'); CREATE DOMAIN age AS int CHECK (value > 0);
        CREATE TABLE t (id int PRIMARY KEY, u uuid, j jsonb, m mood, a age, late timestamptz DEFAULT now())";
    let database = PostgresDatabase::with(table).await;
    let row = |age: i64| {
        batch!(
            "id" => Int64Array [1], "u" => StringArray ["6f1d8d2e-0000-4000-8000-000000000000"],
            "j" => StringArray ["{\"a\": [1]}"], "m" => StringArray ["ok"], "a" => Int64Array [age],
        )
    };
    database.load(json!({}), &row(7)).await.expect("loaded");
    assert_eq!(database.rows("SELECT j->'a'->>0, m, a, late IS NOT NULL FROM t").await, [["1", "ok", "7", "t"]]);
    let fault = database.refused(json!({"mode": "replace"}), &row(-1)).await;
    assert_eq!((fault.kind(), fault.row_number()), (FaultKind::BadData, Some(1)), "{fault:?}");
    assert_eq!(database.rows("SELECT a FROM t").await, [["7"]], "the old row is there");
}

#[tokio::test]
async fn what_does_not_fit_is_told_when_it_is_planned() {
    let table = "CREATE TABLE t (id int NOT NULL, name varchar(3), day date, code int GENERATED ALWAYS AS (1) STORED);
        CREATE VIEW v AS SELECT * FROM t";
    let database = PostgresDatabase::with(table).await;
    let fault = database.refused(json!({}), &batch!("id" => Int64Array [1], "nam" => StringArray ["a"])).await;
    assert_eq!((fault.kind(), fault.column_name()), (FaultKind::BadSchema, Some("nam")));
    assert!(fault.help_text().is_some_and(|help| help.contains("\"name\"")), "{fault:?}");
    let fault = database.refused(json!({}), &batch!("name" => StringArray ["a"])).await;
    assert!(fault.message().contains("wants a value for column \"id\""), "{fault}");
    let fault = database.refused(json!({}), &batch!("id" => Int64Array [1], "day" => StringArray ["2024-01-01"])).await;
    assert!(fault.help_text().is_some_and(|help| help.contains("AS DATE")), "{fault:?}");
    let fault = database.refused(json!({}), &batch!("id" => Int64Array [1], "code" => Int64Array [1])).await;
    assert!(fault.message().contains("computes it"), "{fault}");
    let fault = database.refused(json!({"mode": "upsert", "keys": ["id"]}), &people()).await;
    assert_eq!(fault.violations()[0].pointer, "/keys");
    let fault = database.refused(json!({"table": "v"}), &people()).await;
    assert!(fault.message().contains("no table"), "{fault}");
    assert!(database.rows("SELECT * FROM t").await.is_empty());
}

#[tokio::test]
async fn a_name_that_the_server_would_cut_is_refused() {
    let database = PostgresDatabase::new().await;
    // 63 bytes, of which the last two are one letter.
    let longest = "c".repeat(61) + "ü";
    let rows = |name: &str| RecordBatch::try_from_iter([(name, people().column(0).clone())]).expect("a batch");
    for _ in 0..2 {
        database.load(json!({"table": longest}), &rows(&longest)).await.expect("loaded, and found again");
    }
    let long = "c".repeat(62) + "ü";
    let fault = database.refused(json!({}), &rows(&long)).await;
    assert_eq!((fault.kind(), fault.column_name()), (FaultKind::BadSchema, Some(&*long)), "{fault:?}");
    assert!(fault.message().contains("63"), "{fault}");
    for table in [long.clone(), format!("{long}.t")] {
        let fault = database.refused(json!({"table": table}), &people()).await;
        assert_eq!((fault.kind(), &*fault.violations()[0].pointer), (FaultKind::BadParams, "/table"), "{fault:?}");
        assert!(fault.help_text().is_some_and(|help| help.contains("63 bytes")), "{fault:?}");
    }
}

#[tokio::test]
async fn a_schema_that_is_not_there_is_told_when_it_is_planned() {
    let database = PostgresDatabase::with("CREATE SCHEMA sales").await;
    let fault = database.refused(json!({"table": "nosuch.k"}), &people()).await;
    assert_eq!((fault.kind(), &*fault.violations()[0].pointer), (FaultKind::BadParams, "/table"), "{fault:?}");
    assert!(fault.message().contains("no schema \"nosuch\"") && fault.help_text().is_some(), "{fault:?}");
    database.load(json!({"table": "sales.k"}), &people()).await.expect("loaded");
}

#[tokio::test]
async fn a_value_that_does_not_fit_is_told_with_its_place_and_nothing_is_written() {
    let database =
        PostgresDatabase::with("CREATE TABLE t (id int2, name varchar(3)); INSERT INTO t VALUES (0, 'old')").await;
    let rows = batch!("id" => Int64Array [1, 2, 70_000], "name" => StringArray ["a", "b", "c"]);
    for mode in ["append", "replace"] {
        let fault = database.refused(json!({"mode": mode}), &rows).await;
        let place = (fault.kind(), fault.row_number(), fault.column_name());
        assert_eq!(place, (FaultKind::BadData, Some(3), Some("id")), "{fault:?}");
        assert_eq!(database.rows("SELECT * FROM t").await, [["0", "old"]]);
    }
    database.run("CREATE TABLE u (at timestamp(0), length interval(0), months interval year to month)").await;
    let at = batch!("at" => TimestampMicrosecondArray [1_000_000, 1_500_000]);
    let length = batch!("length" => DurationMicrosecondArray [1_000_000, 1_500_000]);
    for rounded in [at, length] {
        let replace = json!({"table": "u", "mode": "replace"});
        let fault = database.refused(replace.clone(), &rounded).await;
        assert_eq!((fault.kind(), fault.row_number()), (FaultKind::BadData, Some(2)), "{fault:?}");
        database.load(replace, &rounded.slice(0, 1)).await.expect("nothing is rounded");
    }
    let fault = database.refused(json!({"table": "u"}), &batch!("months" => DurationMicrosecondArray [1])).await;
    assert_eq!(fault.kind(), FaultKind::BadSchema, "{fault:?}");
    let long = batch!("id" => Int64Array [1], "name" => StringArray ["abcd"]);
    assert_eq!(database.refused(json!({}), &long).await.column_name(), Some("name"));
}

#[tokio::test]
async fn loads_may_make_a_table_for_each_other() {
    assert_loads_may_make_a_table_for_each_other(&PostgresDatabase::new().await).await;
}

#[tokio::test]
async fn what_another_load_commits_is_seen_whatever_transactions_are_to_see() {
    for level in ["repeatable read", "serializable"] {
        let database = PostgresDatabase::new().await;
        let name = &database.rows("SELECT current_database()").await[0][0];
        database.run(&format!("ALTER DATABASE {name} SET default_transaction_isolation = '{level}'")).await;
        assert_loads_may_make_a_table_for_each_other(&database).await;
    }
}

#[tokio::test]
async fn who_makes_a_table_is_waited_for() {
    let active = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'active'";
    let (writing, waiting) =
        (format!("{active} AND query LIKE 'COPY%'"), format!("{active} AND wait_event = 'advisory'"));
    assert_who_makes_a_table_is_waited_for(&PostgresDatabase::new().await, &writing, &waiting).await;
}

#[tokio::test]
async fn replaces_do_not_add_up() {
    let waiting =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let database = PostgresDatabase::with("CREATE TABLE t (id BIGINT, name TEXT)").await;
    assert_replaces_do_not_add_up(&database, waiting).await;
}

#[tokio::test]
async fn lines_of_an_earlier_version_count() {
    assert_lines_of_an_earlier_version_count(&PostgresDatabase::new().await).await;
}

#[tokio::test]
async fn steps_of_a_run_add_to_one_table() {
    assert_steps_of_a_run_add_to_one_table(&PostgresDatabase::new().await).await;
}

#[tokio::test]
async fn an_append_is_safe_to_repeat() {
    let database = PostgresDatabase::new().await;
    assert_appends_are_safe_to_repeat(&database).await;
}

#[tokio::test]
async fn an_upsert_replaces_rows_of_the_same_keys() {
    let database = PostgresDatabase::with(
        "CREATE TABLE t (id int8, day date, name text, note text DEFAULT 'new', UNIQUE (day, id));
        INSERT INTO t VALUES (1, '2024-10-04', 'old', 'kept'), (9, '2024-10-04', 'other', 'kept')",
    )
    .await;
    let rows = batch!(
        "id" => Int64Array [1, 2], "name" => StringArray [Some("Ann"), None], "day" => Date32Array [20_000, 20_000]
    );
    let upsert = json!({"mode": "upsert", "keys": ["id", "day"]});
    for _ in 0..2 {
        database.load(upsert.clone(), &rows).await.expect("loaded");
        let found = database.rows("SELECT id, name, note FROM t ORDER BY id").await;
        assert_eq!(found, [["1", "Ann", "kept"], ["2", "∅", "new"], ["9", "other", "kept"]]);
    }
    for (ids, what) in [([Some(1), Some(1)], "more than one row"), ([Some(1), None], "a null")] {
        let rows = batch!("id" => Int64Array ids, "day" => Date32Array [20_000, 20_000]);
        let fault = database.refused(upsert.clone(), &rows).await;
        assert_eq!(fault.kind(), FaultKind::BadData);
        assert!(fault.message().contains(what), "{fault}");
    }
    database.load(json!({"table": "made", "mode": "upsert", "keys": ["id"]}), &people()).await.expect("made");
    database.load(json!({"table": "made", "mode": "upsert", "keys": ["id"]}), &people()).await.expect("with a key");
    assert_eq!(database.rows("SELECT count(*) FROM made").await, [["2"]]);
}

#[tokio::test]
async fn rows_of_a_run_that_fails_are_never_seen() {
    let database = PostgresDatabase::with("CREATE TABLE t (id int8, name text); INSERT INTO t VALUES (0, 'old')").await;
    for more in [json!({}), json!({"mode": "replace"}), json!({"table": "made"})] {
        load_what_fails(&database, more).await;
    }
    assert_eq!(database.rows("SELECT * FROM t").await, [["0", "old"]]);
    assert_eq!(database.rows("SELECT to_regclass('made')::text").await, [["∅"]]);
}

#[tokio::test]
async fn a_table_that_changes_between_plan_and_run_is_not_written_to() {
    let database = PostgresDatabase::with("CREATE TABLE t (id int8, name text)").await;
    assert_a_changed_table_is_refused(&database, "t", "ALTER TABLE t ADD COLUMN age int").await;
}

#[tokio::test]
async fn a_password_is_never_shown() {
    let fault = Bench::new()
        .run(LoadSql::default(), params("postgres://ann:s3cret@127.0.0.1:1/x", json!({})), &[people()])
        .await
        .expect_err("nobody is there");
    assert!(!format!("{fault:?}").contains("s3cret"), "{fault:?}");
}
