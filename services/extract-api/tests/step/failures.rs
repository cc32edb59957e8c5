//! Servers that fail, for a while or for good.

use crate::support::{Reply, Server, read_reply, read_with};
use flate2::{Compression, write::GzEncoder};
use flight_common::FaultKind;
use flight_common::testing::refused;
use serde_json::{Value, json};
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// The columns are told, so that the first request is the run's.
fn typed(more: Value) -> Value {
    let mut params = json!({"types": {"id": "int64"}, "sample_rows": 0});
    params.as_object_mut().expect("a map").extend(more.as_object().expect("a map").clone());
    params
}

/// A server that gives these answers one after the other, and the last one for ever.
async fn in_turn(replies: Vec<Reply>) -> Server {
    let asked = AtomicUsize::new(0);
    Server::start(move |_| {
        let number = asked.fetch_add(1, Ordering::Relaxed).min(replies.len() - 1);
        replies[number].clone()
    })
    .await
}

fn good() -> Reply {
    Reply::json(r#"[{"id": 1}, {"id": 2}]"#)
}

#[tokio::test]
async fn what_passes_is_tried_again() {
    for failing in [
        Reply::status("503 Service Unavailable"),
        Reply::status("502 Bad Gateway"),
        Reply::status("429 Too Many Requests"),
        good().cut_after(10),
        good().without_length().cut_after(10),
    ] {
        let server = in_turn(vec![failing.clone(), good()]).await;
        let ran = read_with(&server, typed(json!({}))).await.expect("reads at last");
        assert_eq!(ran.cells(), [["1"], ["2"]], "no row twice, after {failing:?}");
        assert_eq!(ran.report.counters["retries"], 1);
    }
}

#[tokio::test]
async fn the_delay_that_the_server_asks_for_is_kept() {
    let server = in_turn(vec![Reply::status("429 Too Many Requests").header("retry-after", 1), good()]).await;
    let begun = Instant::now();
    read_with(&server, typed(json!({}))).await.expect("reads at last");
    assert!(begun.elapsed() >= Duration::from_secs(1), "{:?}", begun.elapsed());

    let server = in_turn(vec![Reply::status("503 Service Unavailable").header("retry-after", 7200)]).await;
    let fault = refused(read_with(&server, typed(json!({}))).await, FaultKind::Upstream, &["503"]);
    assert_eq!(fault.retry_delay(), Some(Duration::from_secs(7200)), "longer than all may take: told at once");

    for for_ever in [u64::MAX, i64::MAX as u64] {
        let reply = Reply::status("503 Service Unavailable").header("retry-after", for_ever);
        refused(read_reply(reply, typed(json!({}))).await, FaultKind::Upstream, &["503"]);
    }
}

#[tokio::test]
async fn a_success_without_all_of_the_data_is_none() {
    for status in ["204 No Content", "206 Partial Content"] {
        let fault = read_reply(Reply::status(status), typed(json!({}))).await;
        refused(fault, FaultKind::BadData, &[&status[..3], "not all that"]);
    }
    let more = || json!({"pagination": {"type": "page"}});
    let server = in_turn(vec![good(), Reply::status("204 No Content")]).await;
    let ran = read_with(&server, typed(more())).await.expect("the page after the last one");
    assert_eq!(ran.cells(), [["1"], ["2"]]);
    let elsewhere = Reply::redirect("304 Not Modified", "/other");
    refused(read_reply(elsewhere, typed(json!({}))).await, FaultKind::Upstream, &["304"]);
}

#[tokio::test]
async fn tries_are_bounded() {
    let server = in_turn(vec![Reply::status("503 Service Unavailable")]).await;
    let words = ["503", "at the last of 2 tries", "`retries`"];
    refused(read_with(&server, typed(json!({"retries": 1}))).await, FaultKind::Upstream, &words);
    assert_eq!(server.seen().len(), 2);
    let server = in_turn(vec![Reply::status("429 Too Many Requests")]).await;
    refused(read_with(&server, typed(json!({"retries": 0}))).await, FaultKind::Busy, &["429"]);
}

#[tokio::test]
async fn what_does_not_pass_is_told_at_once() {
    for (status, kind) in [
        ("400 Bad Request", FaultKind::BadParams),
        ("401 Unauthorized", FaultKind::Denied),
        ("403 Forbidden", FaultKind::Denied),
        ("404 Not Found", FaultKind::NotFound),
        ("500 Internal Server Error", FaultKind::Upstream),
        ("501 Not Implemented", FaultKind::Upstream),
    ] {
        let server = in_turn(vec![Reply::status(status), good()]).await;
        refused(read_with(&server, typed(json!({}))).await, kind, &[status]);
        assert_eq!(server.seen().len(), 1, "{status}");
    }
}

#[tokio::test]
async fn a_large_page_that_is_cut_short_is_an_error_and_not_an_end() {
    // Longer than what is held back, so that its first rows have left.
    let rows: Vec<String> = (0..400_000).map(|id| format!("{{\"id\": {id}, \"x\": \"0123456789\"}}")).collect();
    for (reply, content_type) in
        [(format!("[{}]", rows.join(",")), "application/json"), (rows.join("\n"), "application/x-ndjson")]
    {
        let cut = reply.len() - 7;
        let server = in_turn(vec![Reply::new(content_type, reply).cut_after(cut)]).await;
        refused(read_with(&server, typed(json!({}))).await, FaultKind::Upstream, &["cut"]);
        assert_eq!(server.seen().len(), 1, "not asked again: rows have left");
    }
}

#[tokio::test]
async fn a_page_that_is_always_cut_is_an_error() {
    for reply in [good().cut_after(20), good().without_length().cut_after(20)] {
        refused(read_reply(reply, typed(json!({"retries": 1}))).await, FaultKind::Upstream, &["cut"]);
    }
    let lines = Reply::new("application/x-ndjson", "{\"id\": 1}\n{\"id\": 2}").without_length().cut_after(15);
    refused(read_reply(lines, typed(json!({"retries": 0}))).await, FaultKind::Upstream, &["cut"]);
}

#[tokio::test]
async fn silence_has_an_end() {
    let params = typed(json!({"idle_timeout_seconds": 1, "retries": 0}));
    refused(
        read_reply(good().silent_after(5), params).await,
        FaultKind::Upstream,
        &["sent nothing", "idle_timeout_seconds"],
    );
    let params = typed(json!({"timeout_seconds": 1}));
    refused(read_reply(good().silent_after(5), params).await, FaultKind::TimedOut, &["timeout_seconds"]);
    let without_end = typed(json!({"idle_timeout_seconds": u64::MAX, "timeout_seconds": u64::MAX}));
    assert_eq!(read_reply(good(), without_end).await.expect("reads").cells(), [["1"], ["2"]]);
}

#[tokio::test]
async fn nobody_there_is_told_without_the_address() {
    let server = Server::start(|_| good()).await;
    let url = server.url("/?key=s3cret");
    drop(server);
    let fault =
        refused(crate::support::run(json!({"url": url, "retries": 0})).await, FaultKind::Upstream, &["127.0.0.1"]);
    assert!(!format!("{fault:?}").contains("s3cret"), "{fault:?}");
    assert_eq!(fault.violations()[0].pointer, "/url");
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(text).expect("written");
    packed.finish().expect("packed")
}

#[tokio::test]
async fn compressed_answers_are_unpacked() {
    let packed = gzip(br#"[{"id": 1}, {"id": 2}]"#);
    let reply = Reply::new("application/json", &packed).header("content-encoding", "gzip");
    assert_eq!(read_reply(reply.clone(), json!({})).await.expect("reads").cells(), [["1"], ["2"]]);
    let cut = Reply::new("application/json", &packed[..packed.len() - 4]).header("content-encoding", "gzip");
    refused(read_reply(cut, typed(json!({"retries": 0}))).await, FaultKind::Upstream, &["damaged or cut short"]);
    let other = good().header("content-encoding", "br");
    refused(read_reply(other, typed(json!({}))).await, FaultKind::BadData, &["encoding br"]);
}

#[tokio::test]
async fn the_size_of_all_answers_is_limited() {
    let large = format!("[{}1]", "1,".repeat(100_000));
    let params = json!({"types": {"value": "int64"}, "sample_rows": 0, "max_bytes": 50_000});
    refused(read_reply(Reply::json(&large), params.clone()).await, FaultKind::BadData, &["50000 bytes", "max_bytes"]);
    refused(read_reply(Reply::json(&large).without_length(), params.clone()).await, FaultKind::BadData, &["max_bytes"]);
    // A small archive of much: what counts is what it becomes.
    let bomb = gzip(&vec![b' '; 50 << 20]);
    let bomb = Reply::new("application/json", bomb).header("content-encoding", "gzip");
    refused(read_reply(bomb, params).await, FaultKind::BadData, &["max_bytes"]);
}

#[tokio::test]
async fn a_record_and_a_frame_have_limits() {
    let frame = format!("{{\"x\": \"{}\", \"items\": []}}", "y".repeat(17 << 20));
    let params = typed(json!({"records_path": "/items"}));
    refused(read_reply(Reply::json(frame), params).await, FaultKind::BadData, &["16 MiB", "records_path"]);
    let record = format!("[{{\"id\": \"{}\"}}]", "y".repeat(65 << 20));
    refused(read_reply(Reply::json(record), typed(json!({}))).await, FaultKind::BadData, &["64 MiB"]);
}
