//! The step run against a database.

use arrow::array::RecordBatch;
use flight_common::registry::erase;
use flight_common::testing::{Bench, Ran, batch, refused};
use flight_common::{BatchStream, Fault, FaultKind};
use futures::future::{join, join_all};
use futures::{Stream, StreamExt, stream};
use load_sql::LoadSql;
use rusqlite::Connection;
use rusqlite::types::Value as Cell;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use test_servers::Database;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// A database that is loaded into.
pub trait Loaded: Database {
    /// Loads these rows into the table `t`.
    async fn load(&self, more: Value, rows: &RecordBatch) -> Result<Ran, Fault> {
        Bench::new().run(LoadSql::default(), params(self.url(), more), std::slice::from_ref(rows)).await
    }

    /// The fault of rows that cannot be loaded.
    async fn refused(&self, more: Value, rows: &RecordBatch) -> Fault {
        self.load(more, rows).await.expect_err("refused")
    }
}

impl<D: Database> Loaded for D {}

/// A SQLite file beneath the data root of a [`Bench`].
pub struct SqliteFile {
    folder: TempDir,
    url: String,
}

impl SqliteFile {
    /// One that is not there yet.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let name = folder.path().file_name().and_then(|name| name.to_str()).expect("a name");
        Self { url: format!("sqlite:{name}/a.db"), folder }
    }

    fn open(&self) -> Connection {
        Connection::open(self.folder.path().join("a.db")).expect("opened")
    }
}

impl Database for SqliteFile {
    fn url(&self) -> &str {
        &self.url
    }

    async fn run(&self, sql: &str) {
        self.open().execute_batch(sql).expect(sql);
    }

    async fn rows(&self, sql: &str) -> Vec<Vec<String>> {
        let connection = self.open();
        let mut statement = connection.prepare(sql).expect(sql);
        let columns = statement.column_count();
        let shown = |cell: Cell| match cell {
            Cell::Integer(number) => number.to_string(),
            Cell::Text(text) => text,
            other => format!("{other:?}"),
        };
        let rows = statement.query_map([], |row| (0..columns).map(|place| row.get(place).map(shown)).collect());
        rows.expect(sql).collect::<Result<_, _>>().expect(sql)
    }
}

/// Two rows.
pub fn people() -> RecordBatch {
    batch!("id" => Int64Array [1, 2], "name" => StringArray [Some("Ann"), None])
}

/// Rows that a run has appended are not appended again, and others are a fault; another run appends its own.
pub async fn assert_appends_are_safe_to_repeat(database: &impl Database) {
    let count = "SELECT count(*) FROM t";
    for time in 0..3 {
        let ran = database.load(json!({}), &people()).await.expect("loaded once");
        assert_eq!(database.figure(count).await, 2);
        let before = ran.report.counters.get("rows_loaded_before").copied();
        assert_eq!(before, (time > 0).then_some(2), "the report tells what was there");
    }
    let fault = database.refused(json!({}), &batch!("id" => Int64Array [3], "name" => StringArray ["Bo"])).await;
    assert!(fault.message().contains("has appended other rows"), "{fault}");
    let another = Bench::new().of_run("another");
    for _ in 0..2 {
        another.run(LoadSql::default(), params(database.url(), json!({})), &[people()]).await.expect("it adds its own");
    }
    assert_eq!(database.figure(count).await, 4);
}

/// What an earlier version has noted of a run, by its name alone, counts for the step that writes the table.
pub async fn assert_lines_of_an_earlier_version_count(database: &impl Database) {
    let load = async |rows: RecordBatch| {
        let bench = Bench::new().of_run("old").at_node("load");
        bench.run(LoadSql::default(), params(database.url(), json!({})), &[rows]).await
    };
    load(people()).await.expect("loaded");
    database.run("UPDATE quiver_loads SET run = 'old' WHERE run = 'old/load'").await;
    let ran = load(people()).await.expect("it is there");
    assert_eq!(ran.report.counters.get("rows_loaded_before").copied(), Some(2));
    let fault = load(people().slice(0, 1)).await.expect_err("other rows");
    assert!(fault.message().contains("has appended other rows"), "{fault}");
    assert_eq!(database.figure("SELECT count(*) FROM t").await, 2);
    assert_eq!(database.figure("SELECT count(*) FROM quiver_loads WHERE run = 'old'").await, 1);
}

/// Whoever would make a table waits for the load that makes it, until it is done or given up; once the table is there, nobody
/// waits for anybody. `writing` and `waiting` count such loads at the server.
pub async fn assert_who_makes_a_table_is_waited_for(database: &impl Database, writing: &str, waiting: &str) {
    let waits = async |loads| {
        eventually("loads wait", async || database.figure(waiting).await == loads).await;
    };
    let planned = async |run: &str, rest: BoxedRows| planned(database, run, json!({}), rest).await;
    let start = |receipt: BatchStream| tokio::spawn(receipt.collect_rows());
    let (go_on, told) = oneshot::channel();
    let word = stream::once(async { told.await.map_err(Fault::internal).map(|()| people()) });
    let first = start(planned("first", word.boxed()).await);
    eventually("the first writes", async || database.figure(writing).await == 1).await;
    let endless = start(planned("endless", stream::pending().boxed()).await);
    waits(1).await;
    let third = start(planned("third", stream::empty().boxed()).await);
    waits(2).await;
    let given_up = start(planned("given up", stream::empty().boxed()).await);
    waits(3).await;
    let begun = Instant::now();
    given_up.abort();
    waits(2).await;
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    go_on.send(()).expect("it listens");
    for load in [first, third] {
        let ended = timeout(Duration::from_secs(60), load).await.expect("it waits for no other");
        ended.expect("no panic").expect("loaded");
    }
    eventually("the endless one writes", async || database.figure(writing).await == 1).await;
    endless.abort();
    assert_eq!(database.figure("SELECT count(*) FROM t").await, 6);
}

/// Of loads at once that replace the rows of the table `t`, which is there, the later one replaces those of the other.
/// `waiting` counts the loads that wait at the server.
pub async fn assert_replaces_do_not_add_up(database: &impl Database, waiting: &str) {
    for old in ["DELETE FROM t", "INSERT INTO t VALUES (9, 'old')"] {
        database.run(old).await;
        let planned = async |run: &str, rest: BoxedRows| planned(database, run, json!({"mode": "replace"}), rest).await;
        let (go_on, told) = oneshot::channel();
        let (tells, begun) = oneshot::channel();
        let word = stream::once(async {
            // What is asked for further rows holds the table.
            tells.send(()).ok();
            told.await.map_err(Fault::internal).map(|()| people())
        });
        let first = tokio::spawn(planned("first", word.boxed()).await.collect_rows());
        begun.await.expect("it reads on");
        let second = tokio::spawn(planned("second", stream::empty().boxed()).await.collect_rows());
        eventually("the second waits", async || database.figure(waiting).await == 1).await;
        go_on.send(()).expect("it listens");
        for load in [first, second] {
            let ended = timeout(Duration::from_secs(60), load).await.expect("none waits for ever");
            ended.expect("no panic").expect("loaded");
        }
        assert_eq!(database.figure("SELECT count(*) FROM t").await, 2, "after {old}");
    }
}

/// The receipt of a load that is planned, of two rows and these.
async fn planned(database: &impl Database, run: &str, more: Value, rest: BoxedRows) -> BatchStream {
    let input = BatchStream::new(people().schema(), stream::iter([Ok(people())]).chain(rest));
    let asked = params(database.url(), more);
    let started = Bench::new().of_run(run).start(&*erase(LoadSql::default()), &asked, vec![input]).await;
    started.expect("planned").1.outputs.remove(0).expect("a receipt")
}

type BoxedRows = std::pin::Pin<Box<dyn Stream<Item = Result<RecordBatch, Fault>> + Send>>;

/// Steps of one run add the same rows to one table, one after the other and at once: all are there, and each is safe to
/// repeat by itself.
pub async fn assert_steps_of_a_run_add_to_one_table(database: &impl Database) {
    let load = async |node: &str, rows: RecordBatch| {
        let bench = Bench::new().of_run("one run").at_node(node);
        bench.run(LoadSql::default(), params(database.url(), json!({"table": "shared"})), &[rows]).await
    };
    let long = "x".repeat(300);
    for time in 0..2 {
        load("first", people()).await.expect("loaded");
        load("second", people()).await.expect("loaded");
        let (third, fourth) = join(load("third", people()), load(&long, people())).await;
        let before = |ran: Result<Ran, Fault>| ran.expect("loaded").report.counters.get("rows_loaded_before").copied();
        assert_eq!([before(third), before(fourth)], [(time > 0).then_some(2); 2]);
        assert_eq!(database.figure("SELECT count(*) FROM shared").await, 8);
    }
    let fault = load("second", people().slice(0, 1)).await.expect_err("other rows");
    assert!(fault.message().contains("has appended other rows"), "{fault}");
}

/// Loads that were planned when there was no table, of several runs: all add their rows, one after the other or at once.
pub async fn assert_loads_may_make_a_table_for_each_other(database: &impl Database) {
    let start = async |run: &str, asked: &Value, rows: RecordBatch| {
        let input = BatchStream::from_batches(rows.schema(), vec![rows]);
        let started = Bench::new().of_run(run).start(&*erase(LoadSql::default()), asked, vec![input]).await;
        started.expect("planned").1.outputs.remove(0).expect("a receipt")
    };
    let asked = params(database.url(), json!({"table": "made"}));
    let (first, second) = (start("a", &asked, people()).await, start("b", &asked, people()).await);
    let narrow = start("c", &asked, batch!("id" => Int64Array [3])).await;
    let other = start("d", &asked, batch!("id" => StringArray ["x"])).await;
    let replace = params(database.url(), json!({"table": "made", "mode": "replace"}));
    let replaced = start("e", &replace, people()).await;
    for (load, rows) in [(first, 2), (second, 4), (narrow, 5)] {
        load.collect_rows().await.expect("loaded");
        assert_eq!(database.figure("SELECT count(*) FROM made").await, rows);
    }
    let fault = other.collect_rows().await.expect_err("another type");
    assert_eq!((fault.kind(), fault.column_name()), (FaultKind::BadSchema, Some("id")), "{fault:?}");
    let fault = replaced.collect_rows().await.expect_err("other rows are there");
    assert!(fault.message().contains("has changed"), "{fault:?}");
    assert_eq!(database.figure("SELECT count(*) FROM made").await, 5);

    let asked = params(database.url(), json!({"table": "at_once"}));
    let mut loads = Vec::new();
    for run in ["a", "b", "c", "d"] {
        loads.push(start(run, &asked, people()).await);
    }
    for ended in join_all(loads.into_iter().map(BatchStream::collect_rows)).await {
        ended.expect("loaded");
    }
    assert_eq!(database.figure("SELECT count(*) FROM at_once").await, 8);
}

/// An input that ends with a fault after some rows: the fault is told as it is.
pub async fn load_what_fails(database: &impl Database, more: Value) {
    let forbidden = Bench::new().forbidding("another one runs it");
    let ran = forbidden.run(LoadSql::default(), params(database.url(), more.clone()), &[people()]).await;
    refused(ran, FaultKind::Cancelled, &["another one runs it"]);
    let items = stream::iter([Ok(people()), Ok(people())])
        .chain(stream::once(async { Err(Fault::upstream("the source is gone")) }));
    let input = BatchStream::new(people().schema(), items);
    let ran = Bench::new().run_streams(LoadSql::default(), params(database.url(), more), vec![input]).await;
    assert_eq!(ran.expect_err("the input's fault").message(), "the source is gone");
}

/// A table that is changed between plan and run is not written to.
pub async fn assert_a_changed_table_is_refused(database: &impl Database, table: &str, change: &str) {
    let input = BatchStream::from_batches(people().schema(), vec![people()]);
    let asked = params(database.url(), json!({ "table": table }));
    let planned = Bench::new().start(&*erase(LoadSql::default()), &asked, vec![input]).await;
    let (_, mut driven) = planned.expect("planned");
    database.run(change).await;
    let fault = driven.outputs.remove(0).expect("a receipt").collect_rows().await.expect_err("another table");
    assert!(fault.kind().retryable() && fault.message().contains("has changed"), "{fault:?}");
    assert_eq!(database.figure(&format!("SELECT count(*) FROM {table}")).await, 0);
}

/// Parameters for the table `t`, and further ones.
pub fn params(url: &str, more: Value) -> Value {
    let mut all = json!({"db_url": url, "table": "t"});
    let (Some(map), Some(more)) = (all.as_object_mut(), more.as_object()) else { panic!("parameters are a map") };
    map.extend(more.clone());
    all
}

/// Waits until it holds.
pub async fn eventually(what: &str, holds: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !holds().await {
        assert!(Instant::now() < deadline, "{what} did not come true");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
