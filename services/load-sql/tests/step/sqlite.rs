//! Loads into SQLite files.

use crate::support::params;
use arrow::array::{ArrayRef, Decimal128Array, Int64Array, RecordBatch, TimestampMicrosecondArray};
use flight_common::registry::erase;
use flight_common::testing::{Bench, batch, refused};
use flight_common::{BatchStream, Fault, FaultKind, Permission};
use futures::future::join_all;
use futures::{StreamExt, stream};
use load_sql::LoadSql;
use rusqlite::Connection;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

async fn load(folder: &Path, more: Value, rows: &RecordBatch) -> Result<(), Fault> {
    let ran = Bench::at(folder).run(LoadSql::default(), params("sqlite:a.db", more), std::slice::from_ref(rows)).await;
    ran.map(drop)
}

fn rows(folder: &Path, sql: &str) -> Vec<String> {
    let connection = Connection::open(folder.join("a.db")).expect("opened");
    let mut statement = connection.prepare(sql).expect(sql);
    let count = statement.column_count();
    let shown = statement.query_map([], |row| {
        let cells =
            (0..count).map(|place| row.get::<_, rusqlite::types::Value>(place).map(|value| format!("{value:?}")));
        cells.collect::<Result<Vec<_>, _>>().map(|cells| cells.join(" "))
    });
    shown.expect(sql).collect::<Result<_, _>>().expect(sql)
}

fn people() -> RecordBatch {
    batch!("id" => Int64Array [1, 2], "name" => StringArray [Some("Ann"), None])
}

#[tokio::test]
async fn a_file_and_a_table_are_made() {
    let folder = tempfile::tempdir().expect("a folder");
    load(folder.path(), json!({}), &people()).await.expect("loaded");
    assert_eq!(rows(folder.path(), "SELECT * FROM t"), ["Integer(1) Text(\"Ann\")", "Integer(2) Null"]);
}

#[tokio::test]
async fn a_repeated_append_is_told_by_the_report() {
    let folder = tempfile::tempdir().expect("a folder");
    for before in [None, Some(2)] {
        let asked = params("sqlite:a.db", json!({}));
        let ran = Bench::at(folder.path()).run(LoadSql::default(), asked, &[people()]).await.expect("loaded");
        assert_eq!(ran.report.counters.get("rows_loaded_before").copied(), before);
    }
    assert_eq!(rows(folder.path(), "SELECT count(*) FROM t"), ["Integer(2)"]);
}

#[tokio::test]
async fn rows_are_not_committed_to_a_file_in_whose_place_is_another() {
    let folder = tempfile::tempdir().expect("a folder");
    load(folder.path(), json!({}), &people()).await.expect("loaded");
    let file = folder.path().join("a.db");
    let other = folder.path().join("other.db");
    let permission = Permission::by_asking(move || {
        std::fs::copy(&file, &other).expect("copied");
        std::fs::rename(&other, &file).expect("put in its place");
        std::future::ready(Ok(None))
    });
    let bench = Bench { permission, ..Bench::at(folder.path()) };
    let asked = params("sqlite:a.db", json!({"mode": "replace"}));
    let fault = bench.run(LoadSql::default(), asked, &[people()]).await.map(drop).expect_err("it was replaced");
    assert_eq!(fault.kind(), FaultKind::Upstream, "{fault}");
    assert!(fault.message().contains("was replaced"), "{fault}");
    assert_eq!(rows(folder.path(), "SELECT count(*) FROM t"), ["Integer(2)"]);
}

#[tokio::test]
async fn a_table_in_other_letters_is_the_same_table() {
    let folder = tempfile::tempdir().expect("a folder");
    let before = async |table: &str, bench: Bench| {
        let asked = params("sqlite:a.db", json!({ "table": table }));
        let ran = bench.run(LoadSql::default(), asked, &[people()]).await.expect("loaded");
        ran.report.counters.get("rows_loaded_before").copied()
    };
    let step = |node: &str| Bench::at(folder.path()).at_node(node);
    assert_eq!(before("orders", step("load")).await, None);
    assert_eq!(before("Orders", step("load")).await, Some(2));
    assert_eq!(before("ORDERS", step("renamed").formerly(&["load"])).await, Some(2));
    assert_eq!(rows(folder.path(), "SELECT count(*) FROM orders"), ["Integer(2)"]);
    assert_eq!(rows(folder.path(), "SELECT run FROM quiver_loads"), ["Text(\"test-run/renamed\")"]);
}

#[tokio::test]
async fn steps_of_a_run_add_to_one_table() {
    let folder = tempfile::tempdir().expect("a folder");
    let load = async |node: &str| {
        let bench = Bench::at(folder.path()).of_run("one run").at_node(node);
        bench.run(LoadSql::default(), params("sqlite:a.db", json!({})), &[people()]).await.expect("loaded")
    };
    for _ in 0..2 {
        load("first").await;
        join_all([load("second"), load("third")]).await;
        assert_eq!(rows(folder.path(), "SELECT count(*) FROM t"), ["Integer(6)"]);
    }
}

#[tokio::test]
async fn lines_of_an_earlier_version_count() {
    let folder = tempfile::tempdir().expect("a folder");
    let line = "SELECT rows, digest FROM quiver_loads WHERE run = 'old'";
    let bench = Bench::at(folder.path()).of_run("old").at_node("load");
    let load = async |rows: RecordBatch| bench.run(LoadSql::default(), params("sqlite:a.db", json!({})), &[rows]).await;
    load(people()).await.expect("loaded");
    let old = Connection::open(folder.path().join("a.db")).expect("opened");
    old.execute("UPDATE quiver_loads SET run = 'old' WHERE run = 'old/load'", []).expect("written");
    let before = rows(folder.path(), line);
    assert_eq!(before.len(), 1);
    let ran = load(people()).await.expect("it is there");
    assert_eq!(ran.report.counters.get("rows_loaded_before").copied(), Some(2));
    let fault = load(people().slice(0, 1)).await.expect_err("other rows");
    assert!(fault.message().contains("has appended other rows"), "{fault}");
    assert_eq!(rows(folder.path(), "SELECT count(*) FROM t"), ["Integer(2)"]);
    assert_eq!(rows(folder.path(), line), before);
}

#[tokio::test]
async fn who_writes_to_the_file_is_waited_for_until_the_load_is_given_up() {
    let folder = tempfile::tempdir().expect("a folder");
    load(folder.path(), json!({}), &people()).await.expect("loaded");
    let other = Connection::open(folder.path().join("a.db")).expect("opened");
    for lock in ["IMMEDIATE", "EXCLUSIVE"] {
        let start = async |run: &str| {
            let input = BatchStream::from_batches(people().schema(), vec![people()]);
            let bench = Bench::at(folder.path()).of_run(&format!("{lock} {run}"));
            let asked = params("sqlite:a.db", json!({"mode": "replace"}));
            let started = bench.start(&*erase(LoadSql::default()), &asked, vec![input]).await;
            started.expect("planned").1.outputs.remove(0).expect("a receipt")
        };
        let (waiting, given_up) = (start("waiting").await, start("given up").await);
        other.execute_batch(&format!("BEGIN {lock}")).expect("locked");
        let (waiting, given_up) = (tokio::spawn(waiting.collect_rows()), tokio::spawn(given_up.collect_rows()));
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(!waiting.is_finished() && !given_up.is_finished());
        given_up.abort();
        // It looks once a second.
        tokio::time::sleep(Duration::from_secs(2)).await;
        other.execute_batch("COMMIT").expect("let go");
        waiting.await.expect("no panic").expect("loaded");
    }
}

#[tokio::test]
async fn loads_may_make_a_table_for_each_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let start = async |run: &str, rows: RecordBatch| {
        let input = BatchStream::from_batches(rows.schema(), vec![rows]);
        let bench = Bench::at(folder.path()).of_run(run);
        let started = bench.start(&*erase(LoadSql::default()), &params("sqlite:a.db", json!({})), vec![input]).await;
        started.expect("planned").1.outputs.remove(0).expect("a receipt")
    };
    let loads = [start("a", people()).await, start("b", people()).await, start("c", people()).await];
    let other = start("d", batch!("idd" => StringArray ["x"])).await;
    for ended in join_all(loads.map(BatchStream::collect_rows)).await {
        ended.expect("loaded");
    }
    assert_eq!(other.collect_rows().await.expect_err("another column").column_name(), Some("idd"));
    assert_eq!(rows(folder.path(), "SELECT count(*) FROM t"), ["Integer(6)"]);
}

#[tokio::test]
async fn no_digit_is_lost() {
    let folder = tempfile::tempdir().expect("a folder");
    let money = Decimal128Array::from(vec![12_345_678_901_234_567_890_123_456_789_012_345_678]);
    let stamps = TimestampMicrosecondArray::from(vec![-1]);
    let columns: [(&str, ArrayRef); 2] =
        [("money", Arc::new(money.with_precision_and_scale(38, 4).expect("a type"))), ("at", Arc::new(stamps))];
    let rows_in = RecordBatch::try_from_iter(columns).expect("a batch");
    load(folder.path(), json!({}), &rows_in).await.expect("loaded");
    let wanted = "Text(\"1234567890123456789012345678901234.5678\") Text(\"1969-12-31 23:59:59.999999\")";
    assert_eq!(rows(folder.path(), "SELECT * FROM t"), [wanted]);
    let small = batch!("n" => UInt64Array [u64::MAX], "ok" => BooleanArray [true]);
    load(folder.path(), json!({"table": "u"}), &small).await.expect("loaded");
    assert_eq!(rows(folder.path(), "SELECT * FROM u"), ["Text(\"18446744073709551615\") Integer(1)"]);
}

#[tokio::test]
async fn modes_keep_replace_and_merge() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let count = "SELECT count(*) FROM t";
    for _ in 0..2 {
        load(folder, json!({}), &people()).await.expect("loaded once");
    }
    assert_eq!(rows(folder, count), ["Integer(2)"]);
    let fault = load(folder, json!({}), &batch!("id" => Int64Array [3])).await.expect_err("other rows");
    assert!(fault.message().contains("has appended other rows"), "{fault}");
    load(folder, json!({"mode": "replace"}), &batch!("id" => Int64Array [3])).await.expect("loaded");
    assert_eq!(rows(folder, "SELECT id FROM t"), ["Integer(3)"]);
    let upsert = json!({"table": "u", "mode": "upsert", "keys": ["id"]});
    load(folder, upsert.clone(), &people()).await.expect("made");
    load(folder, upsert.clone(), &batch!("id" => Int64Array [2], "name" => StringArray ["Bo"])).await.expect("merged");
    assert_eq!(rows(folder, "SELECT name FROM u ORDER BY id"), ["Text(\"Ann\")", "Text(\"Bo\")"]);
    let fault = load(folder, upsert, &batch!("id" => Int64Array [7, 7])).await.expect_err("twice");
    assert!(fault.message().contains("more than one row"), "{fault}");
}

#[tokio::test]
async fn rows_keep_their_order_whatever_their_columns_are_called() {
    let folder = tempfile::tempdir().expect("a folder");
    let hiding = ["RowId", "_rowid_", "oid"];
    for many in 0..=hiding.len() {
        let (numbers, last_first): (ArrayRef, ArrayRef) =
            (Arc::new(Int64Array::from(vec![1, 2, 3])), Arc::new(Int64Array::from(vec![3, 2, 1])));
        let columns = hiding[..many].iter().map(|name| (*name, last_first.clone()));
        let rows_in = RecordBatch::try_from_iter(columns.chain([("n", numbers)])).expect("a batch");
        load(folder.path(), json!({"table": format!("t{many}")}), &rows_in).await.expect("loaded");
        let kept = rows(folder.path(), &format!("SELECT n FROM t{many}"));
        assert_eq!(kept, ["Integer(1)", "Integer(2)", "Integer(3)"], "{many}");
    }
}

#[tokio::test]
async fn a_table_whose_types_would_change_values_is_refused_when_it_is_planned() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let made = Connection::open(folder.join("a.db")).expect("made");
    made.execute_batch(
        "CREATE TABLE t (d decimal(38,10), r REAL, i INTEGER, n NUMERIC, s STRING, x TEXT, b);
        CREATE TABLE texts (x TEXT); CREATE TABLE untyped (b);
        CREATE TABLE strict (x TEXT, a ANY) STRICT",
    )
    .expect("made");
    let long = || {
        let long = Decimal128Array::from(vec![12_345_678_901_234_567_890_123_456_789_i128]);
        Arc::new(long.with_precision_and_scale(38, 10).expect("a type"))
    };
    let money = |name: &str| RecordBatch::try_from_iter([(name, long() as ArrayRef)]).expect("a batch");
    let refused = [
        (money("d"), "d", "type TEXT"),
        (batch!("r" => Int64Array [(1_i64 << 53) + 1]), "r", "type INTEGER"),
        (batch!("i" => StringArray ["007"]), "i", "type TEXT"),
        (batch!("n" => StringArray ["00012"]), "n", "type TEXT"),
        (batch!("s" => StringArray ["007"]), "s", "type TEXT"),
        (batch!("n" => UInt64Array [u64::MAX]), "n", "type TEXT"),
        (batch!("x" => Float64Array [0.1]), "x", "CAST(x AS VARCHAR)"),
    ];
    for (rows, column, help) in refused {
        let fault = load(folder, json!({}), &rows).await.expect_err(column);
        assert_eq!((fault.kind(), fault.column_name()), (FaultKind::BadSchema, Some(column)), "{fault:?}");
        assert!(fault.help_text().is_some_and(|told| told.contains(help)), "{fault:?}");
    }
    let fault = load(folder, json!({"table": "strict"}), &batch!("x" => Int64Array [1])).await.expect_err("a number");
    assert_eq!((fault.kind(), fault.column_name()), (FaultKind::BadSchema, Some("x")), "{fault:?}");
    for (more, rows_in) in [
        (
            json!({}),
            batch!("i" => Int64Array [(1_i64 << 53) + 1], "x" => StringArray ["007"], "b" => StringArray ["1"]),
        ),
        (json!({"table": "texts"}), money("x")),
        (json!({"table": "untyped"}), money("b")),
        (json!({"table": "strict"}), batch!("x" => StringArray ["007"], "a" => StringArray ["1"])),
    ] {
        load(folder, more, &rows_in).await.expect("loaded");
    }
    let kept = "Integer(9007199254740993) Text(\"007\") Text(\"1\")";
    assert_eq!(rows(folder, "SELECT i, x, b FROM t"), [kept]);
    let kept = "Text(\"1234567890123456789.0123456789\")";
    assert_eq!(rows(folder, "SELECT * FROM texts UNION ALL SELECT * FROM untyped"), [kept, kept]);
    assert_eq!(rows(folder, "SELECT * FROM strict"), ["Text(\"007\") Text(\"1\")"]);
}

#[tokio::test]
async fn names_that_sqlite_takes_for_one_are_refused_when_it_is_planned() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let made = Connection::open(folder.join("a.db")).expect("made");
    made.execute_batch("CREATE TABLE there (A, b)").expect("made");
    let twins = batch!("A" => Int64Array [1], "a" => Int64Array [2], "b" => Int64Array [3]);
    for table in ["new", "there"] {
        let fault = load(folder, json!({"table": table}), &twins).await.expect_err("the same name");
        assert_eq!((fault.kind(), fault.column_name()), (FaultKind::BadSchema, Some("a")), "{fault:?}");
        assert!(fault.help_text().is_some_and(|help| help.contains("rename")), "{fault:?}");
    }
}

#[tokio::test]
async fn a_failed_load_leaves_what_was_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let failed = |more: Value| async move {
        let rows = people();
        let items = stream::iter([Ok(rows.clone())]).chain(stream::once(async { Err(Fault::upstream("gone")) }));
        let input = BatchStream::new(rows.schema(), items);
        let ran = Bench::at(folder).run_streams(LoadSql::default(), params("sqlite:a.db", more), vec![input]).await;
        assert_eq!(ran.expect_err("the input's fault").message(), "gone");
    };
    failed(json!({})).await;
    let forbidden = Bench::at(folder).forbidding("another one runs it");
    let ran = forbidden.run(LoadSql::default(), params("sqlite:a.db", json!({})), &[people()]).await;
    refused(ran, FaultKind::Cancelled, &[]);
    assert_eq!(std::fs::read_dir(folder).expect("a folder").count(), 0, "no file");
    load(folder, json!({}), &people()).await.expect("loaded");
    failed(json!({"mode": "replace"})).await;
    let forbidden = Bench::at(folder).forbidding("another one runs it");
    let asked = params("sqlite:a.db", json!({"mode": "replace"}));
    refused(forbidden.run(LoadSql::default(), asked, &[people().slice(0, 1)]).await, FaultKind::Cancelled, &[]);
    assert_eq!(rows(folder, "SELECT count(*) FROM t"), ["Integer(2)"]);
}

#[tokio::test]
async fn a_load_that_the_rows_or_the_name_rule_out_makes_no_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let upsert = json!({"mode": "upsert", "keys": ["id"]});
    for (more, rows_in) in [
        (upsert.clone(), batch!("id" => Int64Array [7, 7])),
        (upsert, batch!("id" => Int64Array [Some(7), None])),
        (json!({"table": "SQLite_t"}), people()),
    ] {
        let ran = Bench::at(folder.path()).run(LoadSql::default(), params("sqlite:new/a.db", more), &[rows_in]).await;
        let fault = ran.expect_err("refused");
        assert!(matches!(fault.kind(), FaultKind::BadData | FaultKind::BadParams), "{fault:?}");
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0, "{fault:?}");
    }
}

#[tokio::test]
async fn what_does_not_fit_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let made = Connection::open(folder.join("a.db")).expect("made");
    made.execute_batch("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT").expect("made");
    let kind = |more: Value, rows: RecordBatch| async move { load(folder, more, &rows).await.expect_err("refused") };
    let fault = kind(json!({}), batch!("id" => Int64Array [1])).await;
    assert!(fault.message().contains("wants a value for column \"name\""), "{fault}");
    let fault = kind(json!({}), batch!("name" => StringArray ["a"], "agee" => Int64Array [1])).await;
    assert_eq!(fault.column_name(), Some("agee"));
    let fault = kind(json!({}), batch!("name" => StringArray ["a", "b", "a"])).await;
    assert_eq!(fault.kind(), FaultKind::BadData);
    assert!(fault.message().contains("UNIQUE constraint failed: t.name"), "{fault}");
    let fault = kind(json!({"table": "x.t"}), people()).await;
    assert_eq!(fault.violations()[0].pointer, "/table");
    std::fs::write(folder.join("b.db"), "no database at all").expect("written");
    let ran = Bench::at(folder).run(LoadSql::default(), params("sqlite:b.db", json!({})), &[people()]).await;
    assert_eq!(ran.expect_err("refused").kind(), FaultKind::BadData);
    let ran = Bench::at(folder).run(LoadSql::default(), params("sqlite:../x.db", json!({})), &[people()]).await;
    assert_eq!(ran.expect_err("refused").kind(), FaultKind::Denied);
}
