//! Many callers write at the same time.

use crate::databases::{Fresh, LEASE, kinds, new_run, on_both, sqlite};
use futures::future::{join_all, maybe_done};
use futures::poll;
use orchestrator::store::{Lease, Limits, RunFilter, Store, StoreError};
use serde_json::json;
use std::path::Path;
use std::pin::pin;
use tokio::task::JoinSet;

on_both!(
    those_who_are_refused_leave_the_others_alone,
    callers_who_go_away_write_all_or_nothing,
    callers_who_go_away_as_they_begin_take_nobody_with_them,
);

async fn queued(store: &Store) -> Vec<String> {
    let page = store.runs(&RunFilter::default(), None, 1000).await.expect("listed");
    let mut ids: Vec<String> = page.items.into_iter().map(|run| run.id).collect();
    ids.sort();
    for id in &ids {
        assert_eq!(kinds(store, id).await, ["queued"]);
    }
    ids
}

async fn those_who_are_refused_leave_the_others_alone(fresh: Fresh) {
    let store = &fresh.store;
    store.submit(&new_run("taken", "hr")).await.expect("queued");
    let lost = Lease { run: "taken".to_owned(), fence: 7 };
    join_all((0..60).map(|number| {
        let lost = &lost;
        async move {
            match number % 3 {
                0 => assert!(store.submit(&new_run(&format!("{number:02}"), "hr")).await.expect("queued").fresh),
                1 => assert!(matches!(store.note(lost, "step", &json!({})).await, Err(StoreError::LeaseLost(_)))),
                // It has written a definition by then.
                _ => assert!(matches!(store.submit(&new_run("taken", "hr")).await, Err(StoreError::Unavailable(_)))),
            }
        }
    }))
    .await;
    fresh.store.close().await;
    let again = Store::open(&fresh.url).await.expect("it opens");
    let good = (0..20).map(|number| format!("{:02}", 3 * number));
    assert_eq!(queued(&again).await, good.chain(["taken".to_owned()]).collect::<Vec<_>>());
}

async fn callers_who_go_away_write_all_or_nothing(fresh: Fresh) {
    let mut told = Vec::new();
    for round in 0..10 {
        let mut callers = JoinSet::new();
        for number in 0..20 {
            let (store, id) = (fresh.store.clone(), format!("{round}-{number:02}"));
            let caller = callers.spawn(async move { store.submit(&new_run(&id, "hr")).await.map(|made| made.run.id) });
            if number % 2 == 1 {
                // At some point of what it does.
                (0..number * round).for_each(|_| std::thread::yield_now());
                caller.abort();
            }
        }
        while let Some(joined) = callers.join_next().await {
            match joined {
                Ok(outcome) => told.push(outcome.expect("queued")),
                Err(error) => assert!(error.is_cancelled(), "{error}"),
            }
        }
    }
    let there = queued(&fresh.store).await;
    assert!(told.iter().all(|id| there.contains(id)), "whoever was told of success has written");
}

async fn callers_who_go_away_as_they_begin_take_nobody_with_them(fresh: Fresh) {
    let (store, limits) = (&fresh.store, Limits::default());
    // So that there are connections.
    join_all((0..8).map(|_| store.ping())).await;
    for polls in 1..40 {
        let mut begins = pin!(maybe_done(store.cancel("nobody's", false, "ann")));
        let mut takes = pin!(maybe_done(store.claim("me", LEASE, 1, &limits)));
        for _ in 0..polls {
            let _ = (poll!(&mut begins), poll!(&mut takes));
            tokio::task::yield_now().await;
        }
    }
    let ids: Vec<String> = (0..40).map(|number| format!("{number:02}")).collect();
    join_all(ids.iter().map(|id| async { store.submit(&new_run(id, "hr")).await.expect("queued") })).await;
    // By connections of its own.
    let other = Store::open(&fresh.url).await.expect("it opens");
    assert_eq!(queued(&other).await, ids);
}

/// The transactions in the write-ahead log of this file: <https://www.sqlite.org/fileformat2.html#the_write_ahead_log>.
fn commits(database: &Path) -> usize {
    // There is none before the first.
    let log = std::fs::read(database.with_extension("db-wal")).unwrap_or_default();
    let Some((header, frames)) = log.split_at_checked(32) else { return 0 };
    let page = u32::from_be_bytes(header[8..12].try_into().expect("four")) as usize;
    let frames = frames.chunks_exact(24 + page).take_while(|frame| frame[8..16] == header[16..24]);
    frames.filter(|frame| frame[4..8] != [0; 4]).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn thirty_who_write_at_once_wait_for_the_disk_together() {
    let fresh = sqlite().await;
    let (store, file) = (&fresh.store, fresh.url.trim_start_matches("sqlite://"));
    let before = commits(Path::new(file));
    store.submit(&new_run("alone", "hr")).await.expect("queued");
    assert_eq!(commits(Path::new(file)), before + 1);
    join_all((0..30).map(|number| async move {
        store.submit(&new_run(&format!("{number:02}"), "hr")).await.expect("queued");
    }))
    .await;
    let together = commits(Path::new(file)) - before - 1;
    assert!((1..=5).contains(&together), "{together} transactions");
    assert_eq!(queued(store).await.len(), 31);
}
