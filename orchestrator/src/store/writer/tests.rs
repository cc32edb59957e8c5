//! Callers at the same time, one step after the other: what each is told, and what is there.

use super::super::pool;
use super::*;
use futures::FutureExt;
use sqlx::Row;
use tempfile::TempDir;
use tokio::task::JoinHandle;

async fn writer() -> (Writer, TempDir) {
    sqlx::any::install_default_drivers();
    let folder = tempfile::tempdir().expect("a folder");
    let address = format!("sqlite://{}?mode=rwc", folder.path().join("t.db").display());
    let pool = pool(Dialect::Sqlite, &address, 1).expect("an address");
    let tables = "CREATE TABLE t (name TEXT, of TEXT REFERENCES t2 (name) DEFERRABLE INITIALLY DEFERRED);
                  CREATE TABLE t2 (name TEXT PRIMARY KEY)";
    sqlx::raw_sql(tables).execute(&pool).await.expect("made");
    (Writer::new(pool, Dialect::Sqlite), folder)
}

async fn put(tx: &mut Tx, name: &str) {
    sqlx::query("INSERT INTO t (name) VALUES ($1)")
        .bind(name)
        .execute(tx.at().await.expect("its turn"))
        .await
        .expect("written");
}

async fn names(writer: &Writer) -> Vec<String> {
    let rows = sqlx::query("SELECT name FROM t ORDER BY name").fetch_all(&writer.pool).await.expect("read");
    rows.iter().map(|row| row.get(0)).collect()
}

/// Somebody who has written this name and waits, in a transaction that is still open: the turn goes to the other one.
async fn one_waits(writer: &Writer, name: &str) -> (JoinHandle<Result<(), StoreError>>, Tx) {
    let mut one = writer.begin().await.expect("begun");
    put(&mut one, name).await;
    let other = tokio::spawn({
        let writer = writer.clone();
        async move { writer.begin().await.expect("begun") }
    });
    // One thread: the other one stands in the queue before the first has the turn again.
    tokio::task::yield_now().await;
    let writer = writer.clone();
    let waits = tokio::spawn(async move { writer.end(one, Ok(())).await });
    (waits, other.await.expect("no panic"))
}

#[tokio::test]
async fn nobody_is_answered_before_the_commit() {
    let (writer, _folder) = writer().await;
    let (one, mut other) = one_waits(&writer, "a").await;
    put(&mut other, "b").await;
    assert!(!one.is_finished());
    // Refused, because of what the first has written: it must not be told of that before it is there.
    let refused = writer.end::<()>(other, Err(StoreError::Conflict("a is there".to_owned()))).await;
    assert!(matches!(refused, Err(StoreError::Conflict(_))), "{refused:?}");
    assert_eq!(names(&writer).await, ["a"]);
    one.await.expect("no panic").expect("written");
}

#[tokio::test]
async fn who_goes_away_takes_nobody_along() {
    let (writer, _folder) = writer().await;
    let (one, mut other) = one_waits(&writer, "a").await;
    put(&mut other, "b").await;
    drop(other);
    one.await.expect("no panic").expect("written");
    assert_eq!(names(&writer).await, ["a"]);
    let mut alone = writer.begin().await.expect("begun");
    put(&mut alone, "c").await;
    drop(alone);
    assert_eq!(names(&writer).await, ["a"]);
}

#[tokio::test]
async fn who_goes_away_while_it_begins_takes_nobody_along() {
    let (writer, _folder) = writer().await;
    let mut one = writer.begin().await.expect("begun");
    put(&mut one, "a").await;
    let begin = || {
        let writer = writer.clone();
        tokio::spawn(async move { writer.begin().await.expect("begun") })
    };
    let end = |tx: Tx| {
        let writer = writer.clone();
        tokio::spawn(async move { writer.end(tx, Ok(())).await })
    };
    let (two, three) = (begin(), begin());
    // One thread: both stand in the queue before the first has the turn again.
    tokio::task::yield_now().await;
    let one = end(one);
    let mut two = two.await.expect("no panic");
    put(&mut two, "b").await;
    let two = end(two);
    let mut three = three.await.expect("no panic");
    let mut statements = Statements::of(Dialect::Sqlite);
    statements.add("INSERT INTO t (name) VALUES ($1)", ["c".into()]);
    // It is handed over, and nobody waits for what comes of it.
    assert!(three.change(statements).now_or_never().is_none());
    drop(three);
    one.await.expect("no panic").expect("written");
    two.await.expect("no panic").expect("written");
    assert_eq!(names(&writer).await, ["a", "b"]);
}

#[tokio::test]
async fn a_transaction_that_the_database_undoes_is_told_as_lost_to_all() {
    for refused in [false, true] {
        let (writer, _folder) = writer().await;
        let (one, mut other) = one_waits(&writer, "a").await;
        // What SQLite does by itself on a full disk, and sqlx does not know of.
        sqlx::query("ROLLBACK").execute(other.at().await.expect("its turn")).await.expect("undone");
        match refused {
            true => {
                let told = writer.end::<()>(other, Err(StoreError::Conflict("no".to_owned()))).await;
                assert!(matches!(told, Err(StoreError::Unavailable(_))), "{told:?}");
            }
            false => drop(other),
        }
        let told = one.await.expect("no panic");
        assert!(matches!(told, Err(StoreError::Unavailable(_))), "{told:?}");
        let mut next = writer.begin().await.expect("begun");
        put(&mut next, "c").await;
        writer.end(next, Ok(())).await.expect("written");
        assert_eq!(names(&writer).await, ["c"]);
    }
}

#[tokio::test]
async fn a_commit_that_fails_is_told_to_all() {
    let (writer, _folder) = writer().await;
    let (one, mut other) = one_waits(&writer, "a").await;
    let broken = sqlx::query("INSERT INTO t VALUES ('b', 'nobody')");
    broken.execute(other.at().await.expect("its turn")).await.expect("it is checked by the commit");
    assert!(writer.end(other, Ok(())).await.is_err());
    assert!(one.await.expect("no panic").is_err());
    assert_eq!(names(&writer).await, Vec::<String>::new());
}

#[tokio::test]
async fn who_begins_alone_sees_what_is_on_the_disk() {
    let (writer, _folder) = writer().await;
    let mut one = writer.begin().await.expect("begun");
    put(&mut one, "a").await;
    let alone = tokio::spawn({
        let writer = writer.clone();
        async move { writer.begin_alone().await.expect("begun") }
    });
    tokio::task::yield_now().await;
    let ended = tokio::spawn({
        let writer = writer.clone();
        async move { writer.end(one, Ok(())).await }
    });
    let alone = alone.await.expect("no panic");
    // It has the turn, and still the first one is answered.
    ended.await.expect("no panic").expect("written");
    drop(alone);
    assert_eq!(names(&writer).await, ["a"]);
}

#[tokio::test]
async fn each_is_undone_by_itself_however_many_there_are() {
    let (writer, _folder) = writer().await;
    let mut waiting = Vec::new();
    let (mut one, mut other) = one_waits(&writer, "a").await;
    for (name, good) in [("b", true), ("c", false), ("d", false), ("e", true), ("f", false), ("g", true)] {
        waiting.push(one);
        put(&mut other, name).await;
        let next = tokio::spawn({
            let writer = writer.clone();
            async move { writer.begin().await.expect("begun") }
        });
        tokio::task::yield_now().await;
        let ending = writer.clone();
        one = tokio::spawn(async move {
            let done = if good { Ok(()) } else { Err(StoreError::Conflict("no".to_owned())) };
            match ending.end(other, done).await {
                Err(StoreError::Conflict(_)) if !good => Ok(()),
                told => told,
            }
        });
        other = next.await.expect("no panic");
    }
    waiting.push(one);
    drop(other);
    for one in waiting {
        one.await.expect("no panic").expect("as it was meant");
    }
    assert_eq!(names(&writer).await, ["a", "b", "e", "g"]);
}
