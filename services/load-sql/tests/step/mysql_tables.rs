//! What becomes of the rows that a table of MariaDB holds: loads that share it, are repeated, replace, fail or are given up.

use crate::support::{
    Loaded, assert_a_changed_table_is_refused, assert_appends_are_safe_to_repeat,
    assert_lines_of_an_earlier_version_count, assert_loads_may_make_a_table_for_each_other,
    assert_replaces_do_not_add_up, assert_steps_of_a_run_add_to_one_table, assert_who_makes_a_table_is_waited_for,
    eventually, load_what_fails, params, people,
};
use flight_common::registry::erase;
use flight_common::testing::{Bench, batch};
use flight_common::{BatchStream, FaultKind};
use futures::{StreamExt, stream};
use load_sql::LoadSql;
use serde_json::json;
use test_servers::{Database, MariaDatabase};

#[tokio::test]
async fn loads_may_make_a_table_for_each_other() {
    assert_loads_may_make_a_table_for_each_other(&MariaDatabase::new().await).await;
}

#[tokio::test]
async fn who_makes_a_table_is_waited_for() {
    let busy = "SELECT COUNT(*) FROM information_schema.processlist WHERE db = DATABASE() AND info LIKE";
    let (writing, waiting) = (format!("{busy} 'LOAD DATA%'"), format!("{busy} 'SELECT GET_LOCK%'"));
    assert_who_makes_a_table_is_waited_for(&MariaDatabase::new().await, &writing, &waiting).await;
}

#[tokio::test]
async fn replaces_do_not_add_up() {
    let waiting = "SELECT COUNT(*) FROM information_schema.processlist WHERE db = DATABASE() \
                   AND (info LIKE 'SELECT GET_LOCK%' OR info LIKE 'DELETE%')";
    let database = MariaDatabase::with(&["CREATE TABLE t (id BIGINT, name TEXT)"]).await;
    assert_replaces_do_not_add_up(&database, waiting).await;
}

#[tokio::test]
async fn lines_of_an_earlier_version_count() {
    assert_lines_of_an_earlier_version_count(&MariaDatabase::new().await).await;
}

#[tokio::test]
async fn steps_of_a_run_add_to_one_table() {
    assert_steps_of_a_run_add_to_one_table(&MariaDatabase::new().await).await;
}

#[tokio::test]
async fn an_append_is_safe_to_repeat() {
    let database = MariaDatabase::new().await;
    assert_appends_are_safe_to_repeat(&database).await;
    assert_eq!(database.rows("SELECT `loaded`, `rows` FROM quiver_loads").await, [["t", "2"], ["t", "2"]]);
}

#[tokio::test]
async fn attempts_of_a_run_at_once_write_its_rows_once() {
    let database = MariaDatabase::new().await;
    for there in [false, true] {
        let bench = Bench::new().of_run(&format!("run {there}"));
        let attempts = (0..4)
            .map(|_| async { bench.run(LoadSql::default(), params(database.url(), json!({})), &[people()]).await });
        let ended = futures::future::join_all(attempts).await;
        assert!(ended.iter().any(Result::is_ok), "one of them has written");
        for fault in ended.iter().filter_map(|ended| ended.as_ref().err()) {
            assert!(fault.kind().retryable(), "{fault:?}");
        }
        let wanted = if there { "4" } else { "2" };
        assert_eq!(database.rows("SELECT COUNT(*) FROM t").await, [[wanted]]);
    }
}

#[tokio::test]
async fn a_replaced_table_keeps_its_indexes_and_says_nothing_of_old_rows() {
    let database = MariaDatabase::with(&[
        "CREATE TABLE t (id INT, name TEXT, INDEX by_id (id))",
        "INSERT INTO t VALUES (9, 'old')",
    ])
    .await;
    for _ in 0..2 {
        database.load(json!({"mode": "replace"}), &people()).await.expect("loaded");
        assert_eq!(database.rows("SELECT * FROM t ORDER BY id").await, [["1", "Ann"], ["2", "∅"]]);
    }
    assert_eq!(database.rows("SHOW INDEX FROM t").await.len(), 1);
}

#[tokio::test]
async fn an_upsert_replaces_rows_of_the_same_keys() {
    let database = MariaDatabase::with(&[
        "CREATE TABLE t (id BIGINT, day DATE, name VARCHAR(9), note TEXT DEFAULT 'new', UNIQUE (day, id), UNIQUE (name))",
        "INSERT INTO t VALUES (1, '2024-10-04', 'old', 'kept'), (9, '2024-10-04', 'other', 'kept')",
    ])
    .await;
    let rows = batch!(
        "id" => Int64Array [1, 2], "name" => StringArray [Some("Ann"), None], "day" => Date32Array [20_000, 20_000]
    );
    let upsert = json!({"mode": "upsert", "keys": ["id", "day"]});
    let shown = "SELECT id, name, note FROM t ORDER BY id";
    for _ in 0..2 {
        database.load(upsert.clone(), &rows).await.expect("loaded");
        assert_eq!(database.rows(shown).await, [["1", "Ann", "kept"], ["2", "∅", "new"], ["9", "other", "kept"]]);
    }
    // It still keeps the keys unique, and no statement may name it.
    database.run("ALTER TABLE t ALTER INDEX day IGNORED").await;
    database.load(upsert.clone(), &rows).await.expect("loaded");
    for (ids, what) in [([Some(1), Some(1)], "more than one row for (1, 2024-10-04)"), ([Some(1), None], "a null")] {
        let rows = batch!("id" => Int64Array ids, "day" => Date32Array [20_000, 20_000]);
        let fault = database.refused(upsert.clone(), &rows).await;
        assert_eq!(fault.kind(), FaultKind::BadData);
        assert!(fault.message().contains(what), "{fault}");
    }
    let taken = batch!("id" => Int64Array [3], "day" => Date32Array [20_000], "name" => StringArray ["other"]);
    let fault = database.refused(upsert.clone(), &taken).await;
    assert!(fault.kind() == FaultKind::BadData && fault.message().contains("Duplicate entry 'other'"), "{fault:?}");
    assert_eq!(database.rows(shown).await.len(), 3, "another row of that name is not the same row");
}

#[tokio::test]
async fn an_upsert_makes_the_keys_of_a_new_table() {
    let database = MariaDatabase::new().await;
    let rows = |names: [&str; 2]| batch!("name" => StringArray names, "code" => BinaryArray [&b"\0"[..], b"\xff"]);
    let upsert = json!({"mode": "upsert", "keys": ["name", "code"]});
    for names in [["ann", "Ann"], ["ann", "ANN"]] {
        database.load(upsert.clone(), &rows(names)).await.expect("loaded");
    }
    assert_eq!(database.rows("SELECT name FROM t ORDER BY name").await, [["ANN"], ["Ann"], ["ann"]]);
    let fault = database
        .refused(upsert, &batch!("name" => StringArray ["a", "a"], "code" => BinaryArray [&b""[..], b""]))
        .await;
    assert!(fault.message().contains("more than one row"), "{fault}");
    assert_eq!(database.tables().await, ["t"]);
}

#[tokio::test]
async fn rows_of_a_run_that_fails_are_never_seen() {
    let database =
        MariaDatabase::with(&["CREATE TABLE t (id BIGINT PRIMARY KEY, name TEXT)", "INSERT INTO t VALUES (0, 'old')"])
            .await;
    for more in [
        json!({}),
        json!({"mode": "replace"}),
        json!({"mode": "upsert", "keys": ["id"]}),
        json!({"table": "made"}),
        json!({"table": "made", "mode": "upsert", "keys": ["id"]}),
    ] {
        load_what_fails(&database, more).await;
        assert_eq!(database.rows("SELECT * FROM t").await, [["0", "old"]]);
        assert_eq!(database.tables().await, ["quiver_loads", "t"]);
    }
}

#[tokio::test]
async fn a_load_that_is_given_up_leaves_nothing() {
    let database = MariaDatabase::new().await;
    let items = stream::iter([Ok(people())]).chain(stream::pending());
    let input = BatchStream::new(people().schema(), items);
    let asked = params(database.url(), json!({"mode": "replace"}));
    let (_, mut driven) = Bench::new().start(&*erase(LoadSql::default()), &asked, vec![input]).await.expect("planned");
    let receipt = tokio::spawn(driven.outputs.remove(0).expect("a receipt").collect_rows());
    let taking = "SELECT COUNT(*) FROM information_schema.processlist WHERE db = DATABASE() AND info LIKE 'LOAD DATA%'";
    eventually("rows are taken", async || database.rows(taking).await == [["1"]]).await;
    assert_eq!(database.tables().await.len(), 1, "a table under a name of its own");
    receipt.abort();
    drop(driven);
    eventually("it is gone", async || database.tables().await.is_empty()).await;
}

#[tokio::test]
async fn a_table_that_changes_between_plan_and_run_is_not_written_to() {
    let database = MariaDatabase::with(&["CREATE TABLE t (id BIGINT, name TEXT)"]).await;
    assert_a_changed_table_is_refused(&database, "t", "ALTER TABLE t ADD COLUMN age INT").await;
}
