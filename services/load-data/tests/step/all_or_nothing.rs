//! A file is seen whole or not at all, whatever happens.

use crate::support::{Root, receipt};
use arrow::array::RecordBatch;
use flight_common::drive::{Driven, drive};
use flight_common::testing::{Ran, batch, refused, slices};
use flight_common::{BatchStream, Fault, FaultKind, InputSchemas, compute, registry};
use futures::{StreamExt, TryStreamExt, stream};
use load_data::LoadData;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::symlink;
use std::sync::Arc;

const FORMATS: [&str; 6] = ["csv", "json", "jsonl", "xlsx", "parquet", "arrow"];

fn some() -> RecordBatch {
    batch!("n" => Int64Array [1, 2, 3], "s" => StringArray ["a", "b", "c"])
}

/// Rows, and then the fault of a step upstream.
fn cut_short() -> BatchStream {
    let items = [Ok(some()), Ok(some()), Err(Fault::upstream("the peer is gone")), Ok(some())];
    BatchStream::new(some().schema(), stream::iter(items))
}

#[tokio::test]
async fn an_input_that_fails_leaves_no_file() {
    for format in FORMATS {
        let root = Root::new();
        let fault = root.load_stream(json!({"format": format}), cut_short()).await.expect_err("it failed upstream");
        assert_eq!((fault.kind(), fault.message()), (FaultKind::Upstream, "the peer is gone"), "{format}");
        assert!(root.files().is_empty(), "{format}: {:?}", root.files());
    }
}

#[tokio::test]
async fn a_failed_run_leaves_the_file_that_was_there() {
    for format in FORMATS {
        let root = Root::new();
        fs::write(root.0.path().join("kept"), "precious").expect("written");
        let params = json!({"format": format, "path": "kept"});
        root.load_stream(params.clone(), cut_short()).await.expect_err("it failed upstream");
        assert_eq!(fs::read_to_string(root.0.path().join("kept")).expect("there"), "precious", "{format}");
        root.load(params, &some()).await.expect("loads");
        assert_ne!(fs::read(root.0.path().join("kept")).expect("there"), b"precious", "{format}");
        assert_eq!(root.files(), ["kept"], "{format}");
    }
}

#[tokio::test]
async fn who_may_not_commit_leaves_the_file_that_was_there() {
    for format in FORMATS {
        let root = Root::new();
        fs::write(root.0.path().join("kept"), "newer").expect("written");
        let bench = root.bench().forbidding("another one runs it");
        let ran = bench.run(LoadData, json!({"format": format, "path": "kept"}), &[some()]).await;
        refused(ran, FaultKind::Cancelled, &["another one runs it"]);
        assert_eq!(fs::read_to_string(root.0.path().join("kept")).expect("there"), "newer", "{format}");
        assert_eq!(root.files(), ["kept"], "{format}");
    }
}

#[tokio::test]
async fn a_cancelled_run_leaves_no_file() {
    for format in FORMATS {
        let root = Root::new();
        let (asked, has_asked) = tokio::sync::oneshot::channel();
        let forever = stream::once(async move {
            let _ = asked.send(());
            std::future::pending().await
        });
        let input = BatchStream::new(some().schema(), slices(&some(), 1).chain(forever));
        let driven = start(&root, "cancelled", json!({"format": format}), input).await;
        let task = compute::spawn(collected(driven));
        has_asked.await.expect("the step reads its input");
        drop(task);
        assert!(root.files().is_empty(), "{format}: {:?}", root.files());
    }
}

async fn start(root: &Root, run_id: &str, params: Value, input: BatchStream) -> Driven {
    let env = root.bench().env;
    let planned = registry::erase(LoadData);
    let planned = planned.plan(&params, &InputSchemas::new(vec![input.schema()]), &env).await.expect("a good plan");
    drive(planned, vec![input], &env, run_id, &[]).expect("it starts")
}

async fn collected(mut driven: Driven) -> Result<Ran, Fault> {
    let output = driven.outputs.remove(0).expect("the receipt");
    let schema = output.schema();
    Ok(Ran { schema, batches: output.try_collect().await?, further: Vec::new(), report: driven.gauge.report() })
}

#[tokio::test]
async fn two_runs_at_once_both_keep_their_output() {
    let root = Root::new();
    let other = batch!("n" => Int64Array [9], "s" => StringArray ["z"]);
    // Each waits until the other has begun, so that they do overlap.
    let both = Arc::new(tokio::sync::Barrier::new(2));
    let meeting = |batch: RecordBatch| {
        let both = both.clone();
        BatchStream::new(
            batch.schema(),
            stream::once(async move {
                both.wait().await;
                Ok(batch)
            }),
        )
    };
    let first = start(&root, "run-1", json!({"dataset_name": "hr"}), meeting(some())).await;
    let second = start(&root, "run-2", json!({"dataset_name": "hr"}), meeting(other)).await;
    let (first, second) = tokio::join!(compute::spawn(collected(first)), compute::spawn(collected(second)));
    let read = |ran: Ran| fs::read_to_string(root.0.path().join(receipt(&ran).path)).expect("its file");
    assert_eq!(read(first.expect("no panic").expect("loads")), "n,s\n1,a\n2,b\n3,c\n");
    assert_eq!(read(second.expect("no panic").expect("loads")), "n,s\n9,z\n");
    assert_eq!(root.files(), ["hr/processed/hr_run-1.csv", "hr/processed/hr_run-2.csv"]);
}

#[tokio::test]
async fn a_repeated_run_overwrites_its_own_file() {
    let root = Root::new();
    for _attempt in 0..2 {
        let driven = start(&root, "again", json!({}), slices(&some(), 2)).await;
        compute::spawn(collected(driven)).await.expect("no panic").expect("loads");
    }
    assert_eq!(root.files(), ["dataset/processed/dataset_again.csv"]);
}

#[tokio::test]
async fn callers_that_name_no_run_do_not_share_a_file() {
    let root = Root::new();
    for _call in 0..2 {
        let driven = start(&root, "", json!({}), slices(&some(), 2)).await;
        compute::spawn(collected(driven)).await.expect("no panic").expect("loads");
    }
    assert_eq!(root.files().len(), 2);
}

#[tokio::test]
async fn a_run_id_cannot_lead_elsewhere() {
    let root = Root::new();
    for run_id in ["../../x", "a/b", ".."] {
        let driven = start(&root, run_id, json!({}), slices(&some(), 2)).await;
        let fault = compute::spawn(collected(driven)).await.expect("no panic").expect_err("refused");
        assert_eq!(fault.kind(), FaultKind::BadParams, "{run_id}");
    }
    assert!(root.files().is_empty());
}

#[tokio::test]
async fn a_folder_in_the_place_of_the_file_is_told_before_any_row_is_read() {
    let root = Root::new();
    fs::create_dir_all(root.0.path().join("out/a.csv")).expect("a folder");
    let unread = BatchStream::failed(some().schema(), Fault::internal("it was read"));
    let fault = root.load_stream(json!({"path": "out/a.csv"}), unread).await.expect_err("a folder");
    assert_eq!(fault.kind(), FaultKind::BadParams);
    assert!(fault.message().contains("folder") && fault.violations()[0].pointer == "/path", "planned: {fault:?}");
    let long = format!("out/{}.csv", "x".repeat(300));
    let fault = root.load(json!({"path": long}), &some()).await.expect_err("no such name");
    assert!(fault.message().contains("a name of 304 bytes") && fault.violations()[0].pointer == "/path", "{fault:?}");
    let _listening = std::os::unix::net::UnixListener::bind(root.0.path().join("socket.csv")).expect("a socket");
    let fault = root.load(json!({"path": "socket.csv"}), &some()).await.expect_err("no file");
    assert!(fault.message().contains("not a file"), "{fault}");
    fs::write(root.0.path().join("file"), "x").expect("written");
    for path in ["file/a.csv", "file/deeper/a.csv"] {
        let fault = root.load(json!({"path": path}), &some()).await.expect_err("a file");
        assert_eq!((fault.kind(), fault.violations().len()), (FaultKind::BadParams, 1), "{path}");
    }
}

#[tokio::test]
async fn nothing_is_written_outside_the_data_root() {
    let (root, outside) = (Root::new(), tempfile::tempdir().expect("a folder"));
    symlink(outside.path(), root.0.path().join("away")).expect("a link");
    symlink(outside.path().join("target.csv"), root.0.path().join("link.csv")).expect("a link");
    for path in ["../x.csv", "/etc/x.csv", "a/../../x.csv", "away/x.csv", "away/deeper/x.csv"] {
        let fault = root.load(json!({"path": path}), &some()).await.expect_err("refused");
        assert_eq!(fault.kind(), FaultKind::Denied, "{path}: {fault}");
    }
    // A link in the place of the file is replaced, not followed.
    root.load(json!({"path": "link.csv"}), &some()).await.expect("loads");
    assert_eq!(fs::read_dir(outside.path()).expect("a folder").count(), 0);
}
