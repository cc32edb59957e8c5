//! Loads into a real MariaDB.

use crate::support::{Loaded, params, people};
use arrow::array::{
    ArrayRef, Decimal128Array, ListArray, RecordBatch, Time64MicrosecondArray, TimestampMicrosecondArray,
};
use arrow::datatypes::Int64Type;
use flight_common::FaultKind;
use flight_common::testing::{Bench, batch};
use load_sql::LoadSql;
use serde_json::json;
use std::sync::Arc;
use test_servers::{Database, MariaDatabase};

fn columns(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter(columns).expect("a batch")
}

#[tokio::test]
async fn a_table_that_is_not_there_is_made() {
    let database = MariaDatabase::new().await;
    let ran = database.load(json!({}), &people()).await.expect("loaded");
    assert_eq!(ran.rows().num_rows(), 1);
    assert_eq!(database.rows("SELECT * FROM t ORDER BY id").await, [["1", "Ann"], ["2", "∅"]]);
    let empty = people().slice(0, 0);
    database.load(json!({"table": "nobody"}), &empty).await.expect("loaded");
    assert!(database.rows("SELECT id, name FROM nobody").await.is_empty());
    assert_eq!(database.tables().await, ["nobody", "quiver_loads", "t"], "nothing else is left");
}

#[tokio::test]
async fn a_name_that_no_table_there_can_have_is_refused() {
    let database = MariaDatabase::new().await;
    for (more, rows, pointer) in [
        (json!({"table": "😀"}), people(), Some("/table")),
        (json!({"table": "t\n"}), people(), Some("/table")),
        (json!({}), batch!("a\n" => Int64Array [1]), Some("/db_url")),
    ] {
        let fault = database.load(more, &rows).await.expect_err("refused");
        assert!(matches!(fault.kind(), FaultKind::BadParams | FaultKind::BadSchema), "{fault:?}");
        assert_eq!(fault.violations().first().map(|wrong| &*wrong.pointer), pointer, "{fault:?}");
    }
}

#[tokio::test]
async fn a_connection_that_was_ended_is_missed() {
    let database = MariaDatabase::new().await;
    let address = databases::Address::parse(database.url(), "/db_url").expect("an address");
    let mut session = databases::mysql::Session::open(&address).await.expect("open");
    let mut watch = session.watch().await;
    let id = session.conn().id();
    database.run(&format!("KILL {id}")).await;
    let lost = tokio::time::timeout(std::time::Duration::from_secs(60), watch.lost()).await.expect("missed");
    assert!(lost.kind() == FaultKind::Upstream && lost.message().contains("ended"), "{lost:?}");
    drop(session);
}

#[tokio::test]
async fn values_come_through_whatever_they_are() {
    let database = MariaDatabase::new().await;
    let instants = TimestampMicrosecondArray::from(vec![Some(1), Some(1_709_210_096_123_456), None]);
    let moments = TimestampMicrosecondArray::from(vec![Some(-1), Some(253_402_300_799_999_999), None]);
    let times = Time64MicrosecondArray::from(vec![Some(0), Some(86_399_999_999), None]);
    let money = Decimal128Array::from(vec![Some(12_345_678_901_234_567_890_123_456_789_012_345_678), Some(-5), None]);
    let exact = columns(vec![
        ("at", Arc::new(instants.with_timezone("UTC"))),
        ("local", Arc::new(moments)),
        ("time", Arc::new(times)),
        ("money", Arc::new(money.with_precision_and_scale(38, 4).expect("a type"))),
    ]);
    database.load(json!({}), &exact).await.expect("loaded");
    database.run("SET time_zone = '+02:00'").await;
    assert_eq!(
        database.rows("SELECT * FROM t").await,
        [
            [
                "1970-01-01 02:00:00.000001",
                "1969-12-31 23:59:59.999999",
                "00:00:00.000000",
                "1234567890123456789012345678901234.5678"
            ],
            ["2024-02-29 14:34:56.123456", "9999-12-31 23:59:59.999999", "23:59:59.999999", "-0.0005"],
            ["∅", "∅", "∅", "∅"]
        ]
    );
    let plain = batch!(
        "a.b" => StringArray [Some("tab\there \\N \"quoted\" 'x'\n\r\0\u{1a}"), Some(""), Some("🦀")],
        "A" => Float64Array [f64::NAN, -1.797_693_134_862_315_7e308, 5e-324],
        "ü \" x" => BinaryArray [Some(&b"\\x\0\xff\n"[..]), Some(b""), None],
        "day" => Date32Array [Some(-1), Some(20_000), None],
        "big" => UInt64Array [u64::MAX, 1 << 53 | 1, 0],
        "float" => Float32Array [Some(f32::MAX), Some(0.1), None],
        "group" => BooleanArray [Some(true), Some(false), None],
        "small" => Int8Array [-128, 127, 0],
    );
    let loaded = database.load(json!({"table": "select"}), &plain).await.expect("loaded");
    assert_eq!(loaded.report.counters["nan_written_as_null"], 1);
    let shown = "SELECT `a.b`, A, HEX(`ü \" x`), day, big, `float` = CAST(3.4028234663852886e38 AS FLOAT), `group`, small FROM `select`";
    assert_eq!(
        database.rows(shown).await,
        [
            [
                "tab\there \\N \"quoted\" 'x'\n\r\0\u{1a}",
                "∅",
                "5C7800FF0A",
                "1969-12-31",
                "18446744073709551615",
                "1",
                "1",
                "-128"
            ],
            ["", "-1.7976931348623157e308", "", "2024-10-04", "9007199254740993", "0", "0", "127"],
            ["🦀", "5e-324", "∅", "∅", "0", "∅", "∅", "0"]
        ]
    );
    let one = batch!("x" => StringArray [Some(""), None, Some("\\")]);
    database.load(json!({"table": "one"}), &one).await.expect("loaded");
    assert_eq!(database.rows("SELECT x FROM one").await, [[""], ["∅"], ["\\"]]);
}

#[tokio::test]
async fn long_values_and_many_rows_arrive_in_pieces() {
    let database = MariaDatabase::new().await;
    let long = batch!("x" => StringArray ["ü".repeat(9 << 20), "b".to_owned()]);
    database.load(json!({"table": "long"}), &long).await.expect("loaded");
    assert_eq!(database.rows("SELECT CHAR_LENGTH(x) FROM `long`").await, [["9437184"], ["1"]]);
    let words: Vec<String> = (0..250_000).map(|number| format!("a rather long text of number {number:>100}")).collect();
    let rows = columns(vec![("x", Arc::new(arrow::array::StringArray::from(words)))]);
    database.load(json!({"table": "many"}), &rows).await.expect("loaded");
    let shown = "SELECT COUNT(*), COUNT(DISTINCT x), MAX(RIGHT(x, 6)) FROM many";
    assert_eq!(database.rows(shown).await, [["250000", "250000", "249999"]]);
}

#[tokio::test]
async fn types_of_the_database_take_texts_as_they_read_them() {
    let table = "CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, u UUID, j JSON, m ENUM('ok', '7'), s SET('a', 'b'), ip INET6,
        b BIT(1), l VARCHAR(9) CHARACTER SET latin1, late TIMESTAMP DEFAULT CURRENT_TIMESTAMP)";
    let database = MariaDatabase::with(&[table]).await;
    let row = |mood: &str, json: &str| {
        batch!(
            "ID" => Int64Array [0], "u" => StringArray ["6f1d8d2e-0000-4000-8000-000000000000"],
            "j" => StringArray [json], "m" => StringArray [mood], "s" => StringArray ["b,a"],
            "ip" => StringArray ["::1"], "b" => BooleanArray [true], "l" => StringArray ["grün"],
        )
    };
    database.load(json!({}), &row("7", "{\"a\": [1]}")).await.expect("loaded");
    let shown = "SELECT id, u, JSON_VALUE(j, '$.a[0]'), m, s, ip, b + 0, l, late IS NOT NULL FROM t";
    let uuid = "6f1d8d2e-0000-4000-8000-000000000000";
    assert_eq!(database.rows(shown).await, [["0", uuid, "1", "7", "a,b", "::1", "1", "grün", "1"]]);
    let fault = database.refused(json!({"mode": "replace"}), &row("1", "{}")).await;
    assert_eq!((fault.kind(), fault.row_number(), fault.column_name()), (FaultKind::BadData, Some(1), Some("m")));
    let fault = database.refused(json!({"mode": "replace"}), &row("ok", "none")).await;
    assert_eq!(fault.kind(), FaultKind::BadData);
    assert!(fault.message().contains("CONSTRAINT `t.j` failed"), "{fault}");
    assert_eq!(database.rows("SELECT m FROM t").await, [["7"]], "the old row is there");
}

#[tokio::test]
async fn a_zero_is_no_row_to_be_numbered() {
    let database = MariaDatabase::with(&["CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, x BLOB, y TEXT)"]).await;
    for rows in [
        batch!("id" => Int64Array [Some(0), None], "y" => StringArray ["a", "b"]),
        batch!("id" => Int64Array [Some(0), None], "x" => BinaryArray [&b"a"[..], b"b"]),
    ] {
        database.load(json!({"mode": "replace"}), &rows).await.expect("loaded");
        assert_eq!(database.rows("SELECT id = 0, id > 0 FROM t ORDER BY id").await, [["1", "0"], ["0", "1"]]);
    }
}

#[tokio::test]
async fn what_does_not_fit_is_told_when_it_is_planned() {
    let database = MariaDatabase::with(&[
        "CREATE TABLE t (id INT NOT NULL, name VARCHAR(3), day DATE, price DECIMAL(6,2), code INT GENERATED ALWAYS AS (1) STORED)",
        "CREATE VIEW v AS SELECT * FROM t",
        "CREATE TABLE old (id INT) ENGINE = MyISAM",
    ])
    .await;
    let fault = database.refused(json!({}), &batch!("id" => Int64Array [1], "nam" => StringArray ["a"])).await;
    assert_eq!((fault.kind(), fault.column_name()), (FaultKind::BadSchema, Some("nam")));
    assert!(fault.help_text().is_some_and(|help| help.contains("\"name\"")), "{fault:?}");
    let fault = database.refused(json!({}), &batch!("name" => StringArray ["a"])).await;
    assert!(fault.message().contains("wants a value for column \"id\""), "{fault}");
    let fault = database.refused(json!({}), &batch!("id" => Int64Array [1], "day" => StringArray ["2024-01-01"])).await;
    assert!(fault.help_text().is_some_and(|help| help.contains("AS DATE")), "{fault:?}");
    assert!(fault.message().contains("it is date"), "{fault}");
    let fault = database.refused(json!({}), &batch!("id" => Int64Array [1], "code" => Int64Array [1])).await;
    assert!(fault.message().contains("computes it"), "{fault}");
    let fault = database.refused(json!({"mode": "upsert", "keys": ["id"]}), &people()).await;
    assert_eq!(fault.violations()[0].pointer, "/keys");
    for (table, word) in [("v", "no table"), ("old", "MyISAM"), ("nowhere.t", "no database \"nowhere\"")] {
        let fault = database.refused(json!({ "table": table }), &people()).await;
        assert_eq!(fault.violations()[0].pointer, "/table");
        assert!(fault.message().contains(word), "{fault}");
    }
    let list = ListArray::from_iter_primitive::<Int64Type, _, _>([Some(vec![Some(1)])]);
    for (rows, column) in [
        (batch!("a" => Int64Array [1], "A" => Int64Array [1]), "A"),
        (batch!("a " => Int64Array [1]), "a "),
        (batch!("🦀" => Int64Array [1]), "🦀"),
        (columns(vec![("list", Arc::new(list))]), "list"),
    ] {
        let fault = database.refused(json!({"table": "new"}), &rows).await;
        assert_eq!((fault.kind(), fault.column_name()), (FaultKind::BadSchema, Some(column)), "{fault:?}");
    }
    assert!(database.rows("SELECT * FROM t").await.is_empty());
    assert_eq!(database.tables().await, ["old", "t", "v"]);
}

#[tokio::test]
async fn a_value_that_does_not_fit_is_told_with_its_place_and_nothing_is_written() {
    let table = "CREATE TABLE t (id SMALLINT NOT NULL, name VARCHAR(3), at DATETIME(3), UNIQUE (name))";
    let database = MariaDatabase::with(&[table, "INSERT INTO t VALUES (0, 'old', NULL)"]).await;
    let bad = |id: Option<i64>, name: &str, micros: i64| {
        let at = TimestampMicrosecondArray::from(vec![0, 0, micros]);
        let rows = batch!("id" => Int64Array [Some(1), Some(2), id], "name" => StringArray ["a", "b", name]);
        columns(vec![("id", rows.column(0).clone()), ("name", rows.column(1).clone()), ("at", Arc::new(at))])
    };
    for mode in ["append", "replace"] {
        for (rows, column) in [
            (bad(Some(70_000), "c", 0), "id"),
            (bad(None, "c", 0), "id"),
            (bad(Some(3), "long", 0), "name"),
            (bad(Some(3), "c", 1), "at"),
        ] {
            let fault = database.refused(json!({ "mode": mode }), &rows).await;
            let place = (fault.kind(), fault.row_number(), fault.column_name());
            assert_eq!(place, (FaultKind::BadData, Some(3), Some(column)), "{fault:?}");
        }
        let fault = database.refused(json!({ "mode": mode }), &bad(Some(3), "a", 0)).await;
        assert_eq!(fault.kind(), FaultKind::BadData);
        assert!(fault.message().contains("Duplicate entry 'a' for key 'name'"), "{fault}");
        assert_eq!(database.rows("SELECT * FROM t").await, [["0", "old", "∅"]]);
    }
    let early = columns(vec![("at", Arc::new(TimestampMicrosecondArray::from(vec![1, -1]).with_timezone("UTC")))]);
    let fault = database.refused(json!({"table": "new"}), &early).await;
    assert_eq!((fault.kind(), fault.row_number(), fault.column_name()), (FaultKind::BadData, Some(2), Some("at")));
    assert!(fault.message().contains("1969-12-31 23:59:59.999999"), "{fault}");
    assert!(fault.help_text().is_some_and(|help| help.contains("CAST(x AS TIMESTAMP)")), "{fault:?}");
    assert_eq!(database.tables().await, ["quiver_loads", "t"], "no table, and nothing that would have become one");
    database.run("CREATE TABLE u (at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6), price DOUBLE(5,2))").await;
    let gap = columns(vec![(
        "at",
        Arc::new(TimestampMicrosecondArray::from(vec![Some(1), None]).with_timezone("UTC")) as ArrayRef,
    )]);
    let fault = database.refused(json!({"table": "u"}), &gap).await;
    assert_eq!((fault.kind(), fault.row_number(), fault.column_name()), (FaultKind::BadData, Some(2), Some("at")));
    let fault = database.refused(json!({"table": "u"}), &batch!("price" => Float64Array [1.234])).await;
    assert_eq!((fault.kind(), fault.column_name()), (FaultKind::BadSchema, Some("price")), "{fault:?}");
    assert!(database.rows("SELECT * FROM u").await.is_empty());
}

#[tokio::test]
async fn a_server_that_takes_no_rows_from_clients_is_told_of_before_the_run() {
    let server = tokio::task::spawn_blocking(test_servers::MariaDb::start).await.expect("a server");
    let database = MariaDatabase::on(Arc::new(server)).await;
    database.run("SET GLOBAL local_infile = OFF").await;
    let fault = database.refused(json!({}), &people()).await;
    assert!(fault.help_text().is_some_and(|help| help.contains("SET GLOBAL local_infile = ON")), "{fault:?}");
    assert!(!fault.violations().is_empty(), "{fault:?}");
}

#[tokio::test]
async fn a_right_that_is_missing_is_named() {
    let database = MariaDatabase::with(&["CREATE TABLE t (id BIGINT PRIMARY KEY, name TEXT)"]).await;
    let name = database.name();
    database.run(&format!("CREATE USER {name}@localhost")).await;
    database.run(&format!("GRANT SELECT, INSERT, UPDATE, DELETE ON {name}.* TO {name}@localhost")).await;
    let url = database.url().replace("root@", &format!("{name}@"));
    for (more, right) in [
        (json!({"mode": "upsert", "keys": ["id"]}), "CREATE TEMPORARY TABLES"),
        (json!({"table": "new", "mode": "replace"}), "needs the rights CREATE"),
        (json!({}), "let the user make it"),
    ] {
        let ran = Bench::new().run(LoadSql::default(), params(&url, more), &[people()]).await;
        let fault = ran.expect_err("denied");
        assert_eq!(fault.kind(), FaultKind::Denied, "{fault:?}");
        assert!(fault.help_text().is_some_and(|help| help.contains(right)), "{fault:?}");
    }
    database.run(&format!("DROP USER {name}@localhost")).await;
}

#[tokio::test]
async fn a_password_is_never_shown() {
    let asked = params("mysql://ann:s3cret@127.0.0.1:1/x", json!({}));
    let fault = Bench::new().run(LoadSql::default(), asked, &[people()]).await.expect_err("nobody is there");
    assert!(!format!("{fault:?}").contains("s3cret"), "{fault:?}");
}
