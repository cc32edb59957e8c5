//! Loads into a real MariaDB that are killed, by a signal that nothing can answer: what they leave, and what the next makes of
//! it.

#[allow(dead_code, reason = "it needs a part of it")]
#[path = "step/support.rs"]
mod support;

use crate::support::{Loaded, eventually, params, people};
use flight_common::testing::Bench;
use flight_common::{BatchStream, Fault, FaultKind};
use futures::{StreamExt, stream};
use load_sql::LoadSql;
use serde_json::{Value, json};
use std::io::{BufRead, Write};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use test_servers::{Database, MariaDatabase, MariaDb};

const ASKED: &str = "QUIVER_TEST_ASKED";
const RUN: &str = "the run";
/// Other connections to the database that do anything.
const BUSY: &str =
    "SELECT COUNT(*) FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()";

#[tokio::test]
#[ignore = "run by the tests below, in a process that they kill"]
async fn a_load_that_waits_for_a_word_before_its_input_ends() {
    let asked: Value = serde_json::from_str(&std::env::var(ASKED).expect("parameters")).expect("JSON");
    let word = stream::once(async {
        let read = || std::io::stdin().lock().read_line(&mut String::new());
        tokio::task::spawn_blocking(read).await.expect("a thread").expect("a word");
        Ok::<_, Fault>(people().slice(0, 0))
    });
    let input = BatchStream::new(people().schema(), stream::iter([Ok(people())]).chain(word));
    let ran = Bench::new().of_run(RUN).run_streams(LoadSql::default(), asked, vec![input]).await;
    ran.expect("loaded");
}

/// Such a load, in a process of its own.
struct Loading(Child);

impl Loading {
    /// Starts it, and waits until the server takes its rows.
    async fn start(database: &MariaDatabase, more: Value) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.args(["--exact", "a_load_that_waits_for_a_word_before_its_input_ends", "--ignored", "--nocapture"]);
        command.env(ASKED, params(database.url(), more).to_string());
        let child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("started");
        let taking = format!("{BUSY} AND info LIKE 'LOAD DATA%'");
        eventually("rows are taken", async || database.rows(&taking).await == [["1"]]).await;
        Self(child)
    }

    fn go_on(&mut self) {
        self.0.stdin.as_mut().expect("a pipe").write_all(b"go on\n").expect("told");
    }

    /// Kills it, and waits until the server has found out.
    async fn kill(mut self, database: &MariaDatabase) {
        self.0.kill().expect("killed");
        self.0.wait().expect("it is gone");
        eventually("the server has found out", async || database.rows(BUSY).await == [["0"]]).await;
    }
}

fn staging(tables: &[String]) -> Option<&String> {
    tables.iter().find(|table| table.starts_with("quiver_staging_"))
}

async fn again(database: &MariaDatabase, run: &str) -> Result<(), Fault> {
    let ran = Bench::new().of_run(run).run(LoadSql::default(), params(database.url(), json!({})), &[people()]).await;
    ran.map(drop)
}

#[tokio::test]
async fn a_table_that_is_there_is_as_it_was() {
    let database =
        MariaDatabase::with(&["CREATE TABLE t (id BIGINT PRIMARY KEY, name TEXT)", "INSERT INTO t VALUES (1, 'old')"])
            .await;
    for more in [json!({"mode": "replace"}), json!({"mode": "upsert", "keys": ["id"]})] {
        Loading::start(&database, more.clone()).await.kill(&database).await;
        assert_eq!(database.rows("SELECT * FROM t").await, [["1", "old"]]);
        assert_eq!(database.tables().await, ["t"], "nothing is left");
        database.load(more, &people()).await.expect("loaded");
        assert_eq!(database.rows("SELECT name FROM t ORDER BY id").await, [["Ann"], ["∅"]]);
        database.run("DELETE FROM t WHERE id = 2").await;
        database.run("UPDATE t SET name = 'old'").await;
    }
}

#[tokio::test]
async fn what_is_left_of_a_table_that_was_being_made_is_dropped_by_the_next_load() {
    for more in [json!({}), json!({"mode": "replace"}), json!({"mode": "upsert", "keys": ["id"]})] {
        let database = MariaDatabase::new().await;
        Loading::start(&database, more.clone()).await.kill(&database).await;
        let tables = database.tables().await;
        let left = staging(&tables).expect("a table under a name of its own");
        assert!(!tables.contains(&"t".to_owned()), "{tables:?}");
        assert!(database.rows(&format!("SELECT * FROM {left}")).await.is_empty(), "no row");
        database.load(more, &people()).await.expect("loaded");
        assert_eq!(database.rows("SELECT name FROM t ORDER BY id").await, [["Ann"], ["∅"]]);
        assert_eq!(staging(&database.tables().await), None);
    }
}

#[tokio::test]
async fn a_server_that_goes_away_is_a_fault_and_the_next_load_is_as_if_nothing_had_been() {
    let server = Arc::new(tokio::task::spawn_blocking(MariaDb::start).await.expect("a server"));
    let database = MariaDatabase::on(server.clone()).await;
    let down = server.clone();
    let gone = stream::once(async move {
        tokio::task::spawn_blocking(move || down.down()).await.expect("stopped");
        Ok::<_, Fault>(people())
    });
    let input = BatchStream::new(people().schema(), stream::iter([Ok(people())]).chain(gone));
    let asked = params(database.url(), json!({}));
    let ran = Bench::new().run_streams(LoadSql::default(), asked.clone(), vec![input]).await;
    assert_eq!(ran.expect_err("nobody is there").kind(), FaultKind::Upstream);
    let up = server.clone();
    tokio::task::spawn_blocking(move || up.up()).await.expect("started");
    Bench::new().run(LoadSql::default(), asked, &[people()]).await.expect("loaded");
    let database = database.again().await;
    assert_eq!(database.tables().await, ["quiver_loads", "t"]);
    assert_eq!(database.figure("SELECT COUNT(*) FROM t").await, 2);
}

/// Kills an append that makes its table when its rows are committed, and the table has not got its name.
async fn killed_before_the_name(database: &MariaDatabase) -> String {
    let mut loading = Loading::start(database, json!({})).await;
    let left = staging(&database.tables().await).expect("a table under a name of its own").clone();
    // Who reads a table keeps it from being renamed.
    database.run("START TRANSACTION").await;
    database.run(&format!("SELECT COUNT(*) FROM {left}")).await;
    loading.go_on();
    let renaming = format!("{BUSY} AND info LIKE 'RENAME TABLE%'");
    eventually("it waits for the name", async || database.rows(&renaming).await == [["1"]]).await;
    loading.kill(database).await;
    database.run("ROLLBACK").await;
    assert_eq!(database.rows(&format!("SELECT COUNT(*) FROM {left}")).await, [["2"]]);
    assert_eq!(database.tables().await, ["quiver_loads", &left]);
    left
}

#[tokio::test]
async fn rows_that_were_committed_are_neither_lost_nor_written_twice() {
    let noted = "SELECT `run`, `loaded` FROM quiver_loads ORDER BY `run`";
    let count = "SELECT COUNT(*) FROM t";

    let database = MariaDatabase::new().await;
    killed_before_the_name(&database).await;
    for _ in 0..2 {
        again(&database, RUN).await.expect("the run is taken up again");
        assert_eq!(database.rows(count).await, [["2"]]);
        assert_eq!(database.rows(noted).await, [[RUN, "t"]]);
    }

    let database = MariaDatabase::new().await;
    killed_before_the_name(&database).await;
    again(&database, "another").await.expect("there is a table now, and it adds its own");
    again(&database, RUN).await.expect("and the first is taken up again");
    assert_eq!(database.rows(count).await, [["4"]]);
    assert_eq!(database.rows(noted).await, [["another", "t"], [RUN, "t"]]);

    let database = MariaDatabase::new().await;
    let left = killed_before_the_name(&database).await;
    database.run(&format!("RENAME TABLE {left} TO t")).await;
    again(&database, RUN).await.expect("killed between the name and the ledger");
    assert_eq!(database.rows(count).await, [["2"]]);
    assert_eq!(database.rows(noted).await, [[RUN, "t"]]);

    let database = MariaDatabase::new().await;
    killed_before_the_name(&database).await;
    database.run("CREATE TABLE t (id BIGINT, name TEXT)").await;
    again(&database, RUN).await.expect("somebody else has made the table: the rows go there");
    assert_eq!(database.rows(count).await, [["2"]]);
    assert_eq!(database.tables().await, ["quiver_loads", "t"]);
}
