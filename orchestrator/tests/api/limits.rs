//! Callers that ask too much, or never read.

use super::*;

#[tokio::test]
async fn a_huge_body_is_refused_before_it_is_read() {
    let running = Running::start(&[]).await;
    let piece = bytes::Bytes::from(vec![b'#'; 1 << 20]);
    let sent = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = sent.clone();
    // A gigabyte, if somebody takes it.
    let body = futures::stream::iter(0..1024).map(move |_| {
        counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Ok::<_, std::io::Error>(piece.clone())
    });
    use futures::StreamExt;
    let request = running.request(Method::POST, "/api/v1/runs").header("content-type", "application/yaml");
    // The answer may be lost when the connection is closed on what is still being sent.
    if let Ok(answer) = request.body(reqwest::Body::wrap_stream(body)).send().await {
        problem(answer, StatusCode::PAYLOAD_TOO_LARGE).await;
    }
    assert!(sent.load(std::sync::atomic::Ordering::Relaxed) < 64, "it was read on and on");
    assert_eq!(running.get("/api/v1/runs").await["items"], json!([]));
    running.orchestrator.stop().await;
}

#[tokio::test]
async fn a_body_of_a_gigabyte_need_not_come_to_be_refused() {
    let running = Running::start(&[]).await;
    let mut socket = TcpStream::connect(running.orchestrator.url().trim_start_matches("http://")).await.expect("open");
    let head = "POST /api/v1/validate HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1073741824\r\n\r\n#";
    socket.write_all(head.as_bytes()).await.expect("sent");
    let mut answer = [0; 12];
    tokio::time::timeout(SOON, socket.read_exact(&mut answer)).await.expect("at once").expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 413");
    running.orchestrator.stop().await;
}

/// Many a client tells of a broken stream in place of the answer.
#[tokio::test]
async fn a_refused_call_may_end_its_body() {
    let running = Running::start(&[]).await;
    let socket = TcpStream::connect(running.orchestrator.url().trim_start_matches("http://")).await.expect("open");
    let (mut client, mut connection) = h2::client::handshake(socket).await.expect("HTTP/2");
    let mut pings = connection.ping_pong().expect("ours");
    let connection = tokio::spawn(connection);
    let request = http::Request::post("http://example.org/api/v1/runs").body(()).expect("a request");
    let (answer, mut body) = client.send_request(request, false).expect("sent");
    let answer = answer.await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    let mut text = answer.into_body();
    while let Some(piece) = text.data().await {
        drop(piece.expect("the whole answer"));
    }
    // What was sent before the answer to a ping has come before it.
    pings.ping(h2::Ping::opaque()).await.expect("alive");
    let reset = futures::FutureExt::now_or_never(std::future::poll_fn(|cx| body.poll_reset(cx)));
    assert!(reset.is_none(), "{reset:?}");
    body.send_data("steps: []".into(), true).expect("taken");
    drop((client, body, text));
    connection.abort();
    running.orchestrator.stop().await;
}

#[tokio::test]
async fn a_body_that_does_not_come_is_the_callers_fault() {
    let running = Running::start(&["--request-timeout", "200ms"]).await;
    let silent = reqwest::Body::wrap_stream(futures::stream::pending::<Result<bytes::Bytes, std::io::Error>>());
    let request = running.request(Method::POST, "/api/v1/runs").header("content-type", "application/yaml");
    let told = problem(request.body(silent).send().await.expect("an answer"), StatusCode::REQUEST_TIMEOUT).await;
    assert!(told["detail"].as_str().is_some_and(|detail| detail.contains("200ms")), "{told}");
    running.orchestrator.stop().await;
}

/// Each would take one of the files that the service may have open.
#[tokio::test]
async fn connections_that_ask_nothing_are_closed() {
    let running = Running::start(&[]).await;
    let address = running.orchestrator.url().trim_start_matches("http://").to_owned();
    let closed = ["", "GET /api", "PRI * HTTP/2.0\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"].map(async |said: &str| {
        let mut socket = TcpStream::connect(&address).await.expect("open");
        socket.write_all(said.as_bytes()).await.expect("sent");
        let read = tokio::time::timeout(SOON, socket.read_to_end(&mut Vec::new())).await;
        assert!(read.is_ok(), "{said:?} is waited for");
    });
    futures::future::join_all(closed).await;
    running.orchestrator.stop().await;
}

#[tokio::test]
async fn listeners_that_never_read_hold_nothing_up() {
    let running = Running::start(&[]).await;
    let run = running.submit(ENDLESS).await;
    let address = running.orchestrator.url().trim_start_matches("http://").to_owned();
    let mut deaf = Vec::new();
    for _ in 0..200 {
        let mut socket = TcpStream::connect(&address).await.expect("open");
        let head = format!("GET /api/v1/runs/{run}/events HTTP/1.1\r\nhost: localhost\r\n\r\n");
        socket.write_all(head.as_bytes()).await.expect("sent");
        deaf.push(socket);
    }
    let cancelled = running.yaml(Method::POST, &format!("/api/v1/runs/{run}/cancel"), "").await;
    assert_eq!(cancelled.status(), StatusCode::ACCEPTED);
    let other = running.submit(GOOD).await;
    let done = async {
        while running.get(&format!("/api/v1/runs/{other}")).await["state"] != "done" {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(SOON, done).await.expect("it ends");
    let stopping = running.orchestrator.stop();
    tokio::time::timeout(SOON, stopping).await.expect("it stops, whoever listens");
}

#[tokio::test]
async fn a_listener_is_let_go_whole_when_the_replica_goes_down() {
    // What a replica did last is looked for no longer than a tenth of a second, which a busy machine may miss once.
    let mut all = Vec::new();
    while all.len() < 3 {
        let running = Running::start(&[]).await;
        let run = running.submit(ENDLESS).await;
        let events = running.request(Method::GET, &format!("/api/v1/runs/{run}/events")).send().await;
        let (events, stopping) = (events.expect("an answer"), running.orchestrator.stop());
        let ended = tokio::time::timeout(SOON, async { tokio::join!(events.text(), stopping) }).await;
        let told = ended.expect("it stops").0.expect("the stream is not cut off");
        assert!(!told.contains("event: end"), "{told}");
        if told.contains("event: released") {
            return;
        }
        all.push(told);
    }
    panic!("nobody is told that it was let go: {all:?}");
}
