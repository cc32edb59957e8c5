//! The files of kept outputs: none is lost that the store names, and none stays that it does not.

use super::*;
use std::fs;
use std::path::{Path, PathBuf};

fn folder(house: &House, run: &str) -> PathBuf {
    house.folder.path().join(".quiver/kept").join(run)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).map(|entries| entries.flatten().map(|entry| entry.path()).collect()).unwrap_or_default()
}

async fn named(replica: &Replica, run: &str) -> Vec<PathBuf> {
    let own = replica.service.own_folder().path().to_owned();
    replica.service.store().kept(run).await.expect("told").into_iter().map(|kept| own.join(kept.path)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_changed_source_makes_stale_goes_when_the_run_is_over() {
    let house = House::new();
    let replica = replica(&house, settings()).await;
    let tail = "  - {id: again, service: numbers, params: {rows: 10, needs: ready.txt}, depends_on: s}\n";
    let run = replica.submit(&format!("{CHAIN}{tail}")).await;
    replica.until(&run, RunState::Failed).await;
    let before = named(&replica, &run).await;
    assert_eq!(files(&folder(&house, &run)), before);

    fs::write(house.folder.path().join("ready.txt"), "").expect("written");
    let changed = format!("{CHAIN}{tail}").replace("rows: 100000", "rows: 50000");
    replica.service.resume(&run, Some(changed), true, "ann").await.expect("it can be resumed");
    replica.until(&run, RunState::Done).await;
    let after = named(&replica, &run).await;
    assert_ne!(after, before);
    until("the older one goes", || files(&folder(&house, &run)) == after).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_that_do_the_same_keep_files_of_their_own() {
    let house = House::new();
    let replica = replica(&house, settings()).await;
    let twin = CHAIN.replace("  - {id: s,", "  - {id: m, service: numbers, checkpoint: true, params: {rows: 100000}}\n  - {id: both, service: second-then-first, depends_on: [n, m]}\n  - {id: s,");
    let run = replica.submit(&twin.replace("depends_on: n}", "depends_on: both}")).await;
    replica.until(&run, RunState::Done).await;
    let mut named = named(&replica, &run).await;
    named.sort();
    named.dedup();
    assert_eq!(named.len(), 2, "{named:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_output_goes_with_its_folder() {
    let house = House::new();
    let first = replica(&house, settings()).await;
    let run = first.submit(CHAIN).await;
    first.until(&run, RunState::Done).await;
    assert_eq!(files(&folder(&house, &run)).len(), 1);
    let second = replica(&house, Settings { keep_bytes: 0, ..settings() }).await;
    until("it goes", || !folder(&house, &run).exists()).await;
    assert!(named(&second, &run).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_crash_left_goes_at_the_next_start_and_nothing_else() {
    let house = House::new();
    let first = replica(&house, settings()).await;
    let body = CHAIN.replace("rows: 100000", "rows: 100000, stall_after: 5000");
    let under_way = first.submit(&body).await;
    first.until(&under_way, RunState::Running).await;
    let empty = first.submit(CHAIN).await;
    first.until(&empty, RunState::Done).await;
    let over = first.submit(CHAIN).await;
    first.until(&over, RunState::Done).await;
    let kept = named(&first, &over).await;

    // Written, and not yet written down; or no longer.
    let stray = |run: &str| {
        fs::create_dir_all(folder(&house, run)).expect("a folder");
        let path = folder(&house, run).join("stray.arrow");
        fs::write(&path, "rows").expect("written");
        path
    };
    let (coming, left, foreign) = (stray(&under_way), stray(&over), stray("0-of-another-store"));
    fs::remove_dir_all(folder(&house, &empty)).expect("removed");
    fs::create_dir(folder(&house, &empty)).expect("made");
    let _second = replica(&house, settings()).await;
    // The runs are looked through from the oldest to the youngest.
    until("what was left goes", || !left.exists()).await;
    assert_eq!(files(&folder(&house, &over)), kept);
    assert!(!folder(&house, &empty).exists() && coming.exists() && foreign.exists());
}
