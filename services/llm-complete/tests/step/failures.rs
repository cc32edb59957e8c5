//! What `llm-complete` does when the model server does not do as it should.

use crate::support::{Reply, Server};
use arrow::array::{AsArray, RecordBatch};
use flight_common::testing::{Bench, batch};
use flight_common::{Fault, FaultKind};
use futures::FutureExt;
use llm_complete::{LlmComplete, Operator};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

fn one_row() -> RecordBatch {
    batch!("t" => StringArray ["[MISSING]"])
}

fn params(more: Value) -> Value {
    let mut params = json!({"text_column": "t"});
    params.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    params
}

async fn fails(server: &Server, more: Value) -> Fault {
    server.run(params(more), &one_row()).await.expect_err("it fails")
}

#[tokio::test]
async fn what_passes_is_asked_again() {
    let cut = Reply::words("never seen").cut_after(20);
    let short = Reply::words("never seen").without_length().cut_after(30);
    let page = Reply::text(500, "<p>oops</p>".repeat(20_000));
    for passing in [Reply::text(500, "oops"), page, Reply::text(503, ""), Reply::text(408, ""), cut, short] {
        let server = Server::in_turn(vec![passing.clone(), Reply::words("well")]).await;
        let ran =
            server.run(params(json!({})), &one_row()).await.unwrap_or_else(|fault| panic!("{passing:?}: {fault}"));
        assert_eq!(ran.rows(), batch!("t" => StringArray ["well"]));
        assert_eq!((server.requests().len(), ran.report.counters["requests_sent"]), (2, 2));
    }
}

#[tokio::test]
async fn the_pause_that_a_server_asks_for_holds_for_all_requests() {
    let busy = Reply::complaint(429, "slow down", "rate_limit_exceeded").header("retry-after-ms", "400");
    let server = Server::in_turn(vec![busy, Reply::words("a")]).await;
    let texts: Vec<String> = (0..20).map(|row| format!("[MISSING] {row}")).collect();
    let rows = batch!("t" => StringArray texts);
    let begun = Instant::now();
    let ran = server.run(params(json!({"concurrency": 1})), &rows).await.expect("runs");
    assert!(begun.elapsed() >= Duration::from_millis(400));
    assert_eq!(ran.report.counters["requests_sent"], 21);
}

#[tokio::test]
async fn what_does_not_pass_is_a_fault_with_its_row_after_the_retries() {
    let server = Server::start(|_| Reply::text(500, "oops").header("retry-after-ms", "1")).await;
    let rows = batch!("t" => StringArray [Some("fine"), None, Some("[MISSING]")]);
    let fault = server.run(params(json!({"retries": 2})), &rows).await.expect_err("it fails");
    assert_eq!((fault.kind(), fault.row_number(), fault.column_name()), (FaultKind::Upstream, Some(3), Some("t")));
    assert!(fault.help_text().expect("help").contains("on_error"));
    assert_eq!(server.requests().len(), 3);

    let server = Server::start(|_| Reply::text(429, "").header("retry-after", "86400")).await;
    let fault = fails(&server, json!({})).await;
    assert_eq!((fault.kind(), server.requests().len()), (FaultKind::Busy, 1), "nobody waits for a day");
    assert_eq!(fault.retry_delay(), Some(Duration::from_secs(86400)));
}

#[tokio::test]
async fn a_prompt_that_will_not_do_is_not_asked_again() {
    for (reply, told) in [
        (Reply::complaint(400, "This model's maximum context length is 8 tokens", "x"), "maximum context"),
        (Reply::text(413, "<html>"), "413"),
        (Reply::text(200, "<html>hello</html>"), "is none"),
        (Reply::text(200, "{\"choices\": ["), "cut short"),
        (Reply::json(json!({"choices": []})), "no choice"),
        (Reply::json(json!({"choices": [{"message": {"content": null, "refusal": "I will not"}}]})), "I will not"),
        (Reply::json(json!({"choices": "none"})), "is none"),
        (Reply::words(&"x".repeat(105 << 10)), "far longer than max_tokens"),
    ] {
        let server = Server::in_turn(vec![reply]).await;
        let fault = fails(&server, json!({"retries": 0})).await;
        assert!(fault.message().contains(told), "{fault}");
        assert_eq!((server.requests().len(), fault.row_number()), (1, Some(1)), "{fault}");
    }
}

#[tokio::test]
async fn a_refused_key_ends_the_run_and_is_not_quoted() {
    let reply = |request: &crate::support::Request| {
        Reply::complaint(401, &format!("Incorrect key: {}", request.headers["authorization"]), "invalid_api_key")
    };
    let server = Server::start(reply).await;
    let rows = batch!("t" => StringArray (0..500).map(|row| format!("[MISSING]{row}")).collect::<Vec<_>>());
    let params = params(json!({"on_error": "keep"}));
    let fault = Bench::new().run(server.step_with_key("sk-hush"), params, &[rows]).await.expect_err("it fails");
    assert_eq!((fault.kind(), fault.row_number()), (FaultKind::Denied, None));
    assert!(fault.message().contains("Incorrect key: Bearer ***") && !format!("{fault:?}").contains("sk-hush"));
    assert!(fault.help_text().expect("help").contains("api_key"));
    assert!(server.requests().len() <= 4, "no more than were under way: {}", server.requests().len());
}

#[tokio::test]
async fn what_no_row_is_to_blame_for_ends_the_run_in_any_case() {
    for (reply, kind) in [
        (Reply::complaint(404, "The model `tiny` does not exist", "model_not_found"), FaultKind::NotFound),
        (Reply::complaint(429, "You exceeded your current quota", "insufficient_quota"), FaultKind::Busy),
        (Reply::text(302, "").header("location", "http://127.0.0.1:1/"), FaultKind::Upstream),
        (Reply::text(403, ""), FaultKind::Denied),
    ] {
        let server = Server::in_turn(vec![reply]).await;
        let fault = fails(&server, json!({"on_error": "null"})).await;
        assert_eq!((fault.kind(), server.requests().len()), (kind, 1), "{fault}");
    }
    let (silent, _waiting) = takes_no_connection().await;
    for (port, more) in [(1, json!({"retries": 1})), (silent, json!({"retries": 0, "timeout_seconds": 1}))] {
        let base_url = Some(format!("http://127.0.0.1:{port}/v1"));
        let nobody = Operator { base_url, model: Some("m".to_owned()), api_key: None };
        let mut params = params(more);
        params["on_error"] = json!("null");
        let ran = Bench::new().run(LlmComplete::new(nobody), params, &[one_row()]).await;
        let fault = ran.expect_err("nobody is there");
        assert_eq!(fault.kind(), FaultKind::Upstream);
        assert!(fault.message().contains("cannot be reached"), "{fault}");
    }
}

/// A port whose queue of callers is full: further ones get no answer at all, as of a host that is not there.
async fn takes_no_connection() -> (u16, impl Sized) {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a port");
    let listener = socket.listen(1).expect("listening");
    let address = listener.local_addr().expect("an address");
    let mut waiting = Vec::new();
    while let Ok(connected) = timeout(Duration::from_millis(300), TcpStream::connect(address)).await {
        waiting.push(connected.expect("connected"));
    }
    (address.port(), (listener, waiting))
}

#[tokio::test]
async fn rows_that_fail_become_null_or_stay_as_told() {
    let server = Server::start(|request| match request.prompt().contains("bad") {
        true => Reply::complaint(400, "no such words", "x"),
        false => Reply::words("ok"),
    })
    .await;
    let rows = batch!("t" => StringArray ["a [MISSING]", "bad [MISSING]", "bad [MISSING]", "c"]);
    let kept = server.run(params(json!({"on_error": "keep"})), &rows).await.expect("runs");
    assert_eq!(kept.rows(), batch!("t" => StringArray ["a ok", "bad [MISSING]", "bad [MISSING]", "c"]));
    let nulled = server.run(params(json!({"on_error": "null"})), &rows).await.expect("runs");
    let as_yaml_has_it = server.run(params(json!({"on_error": null})), &rows).await.expect("runs");
    assert_eq!(as_yaml_has_it.rows(), nulled.rows());
    assert_eq!(nulled.rows(), batch!("t" => StringArray [Some("a ok"), None, None, Some("c")]));
    let report = nulled.report;
    assert_eq!((report.counters["rows_failed"], report.counters["rows_completed"]), (2, 1));
    assert_eq!(report.counters["requests_sent"], 2, "the same prompt fails once");
    assert!(report.details["failure_1"].as_str().expect("a text").starts_with("row 2: "), "{:?}", report.details);

    let answers = json!({"prompt": "{t}", "output_column": "o", "on_error": "null"});
    let ran = server.run(answers, &rows).await.expect("runs");
    let answers = ran.rows().column(1).as_string::<i32>().clone();
    assert_eq!(answers.iter().collect::<Vec<_>>(), [Some("ok"), None, None, Some("ok")]);
}

#[tokio::test]
async fn an_answer_that_does_not_come_is_waited_for_no_longer_than_told() {
    let server = Server::start_async(|_| futures::future::pending().boxed()).await;
    let fault = fails(&server, json!({"timeout_seconds": 1, "retries": 0})).await;
    assert_eq!(fault.kind(), FaultKind::TimedOut);
    assert!(fault.help_text().expect("help").contains("timeout_seconds"));
}

#[tokio::test]
async fn as_many_requests_as_told_are_under_way_also_when_rows_come_one_by_one() {
    // Each answer waits until three are asked for: with fewer at a time nobody would ever get one.
    const AT_ONCE: usize = 3;
    let gate = Arc::new(Semaphore::new(0));
    let count = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let server = Server::start_async(move |_| {
        let (gate, count) = (gate.clone(), count.clone());
        async move {
            if (count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) + 1).is_multiple_of(AT_ONCE) {
                gate.add_permits(AT_ONCE);
            }
            gate.acquire().await.expect("open").forget();
            Reply::words("w")
        }
        .boxed()
    })
    .await;
    let texts: Vec<String> = (0..30).map(|row| format!("[MISSING]{row}")).collect();
    let rows = batch!("t" => StringArray texts);
    for cut in [1, 30] {
        let params = params(json!({"concurrency": AT_ONCE, "timeout_seconds": 20, "retries": 0}));
        let ran = Bench::new().batches_of(cut).run(server.step(), params, std::slice::from_ref(&rows)).await;
        assert_eq!(ran.expect("runs").report.counters["answers"], 30);
    }
    assert_eq!(server.most_at_once(), AT_ONCE);
}

#[tokio::test]
async fn requests_keep_to_the_rate() {
    let server = Server::start(|_| Reply::words("w")).await;
    let texts: Vec<String> = (0..7).map(|row| format!("[MISSING]{row}")).collect();
    let begun = Instant::now();
    let rows = batch!("t" => StringArray texts);
    server.run(params(json!({"requests_per_minute": 600, "concurrency": 64})), &rows).await.expect("runs");
    assert!(begun.elapsed() >= Duration::from_millis(600), "the seventh begins after six tenths of a second");
}

#[tokio::test]
async fn what_has_been_paid_for_is_told_of_a_run_that_fails() {
    let server = Server::start(|request| match request.prompt().contains("bad") {
        true => Reply::complaint(400, "no", "x"),
        false => Reply::words("ok"),
    })
    .await;
    let rows = batch!("t" => StringArray ["[MISSING]", "bad [MISSING]"]);
    let bench = Bench::new();
    let step = flight_common::registry::erase(server.step());
    let input = flight_common::testing::slices(&rows, 1);
    let (_, mut driven) = bench.start(&*step, &params(json!({"concurrency": 1})), vec![input]).await.expect("starts");
    let output = driven.outputs.remove(0).expect("a main output");
    let task = flight_common::compute::spawn(async move { output.collect_rows().await });
    task.await.expect("no panic").expect_err("the second row fails");
    assert_eq!(driven.gauge.report().counters["prompt_tokens"], 10);
}
