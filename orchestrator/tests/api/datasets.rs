//! Data sets under the data root.

use super::*;

#[tokio::test]
async fn data_sets_are_uploaded_whole_or_not_at_all() {
    let running = Running::start(&["--max-upload", "1KiB"]).await;
    let put =
        |path: &str, body: String| running.request(Method::PUT, &format!("/api/v1/datasets/{path}")).body(body).send();
    let made = put("in/a.csv", "id,name\n1,Ann\n2,Bo\n".to_owned()).await.expect("an answer");
    assert_eq!(made.status(), StatusCode::CREATED);
    let listed = running.get("/api/v1/datasets?prefix=in/").await;
    assert_eq!((&listed["items"][0]["path"], &listed["items"][0]["format"]), (&json!("in/a.csv"), &json!("csv")));
    let own = running.get("/api/v1/datasets").await;
    assert!(!own.to_string().contains("quiver.db"), "{own}");

    problem(put("in/b.csv", "x".repeat(2000)).await.expect("an answer"), StatusCode::PAYLOAD_TOO_LARGE).await;
    problem(put("in%2F..%2F..%2Fb.csv", "x".to_owned()).await.expect("an answer"), StatusCode::FORBIDDEN).await;
    problem(put(".quiver/b.csv", "x".to_owned()).await.expect("an answer"), StatusCode::FORBIDDEN).await;
    problem(put("in/.b.csv", "x".to_owned()).await.expect("an answer"), StatusCode::BAD_REQUEST).await;
    problem(put("in/b%0A.csv", "x".to_owned()).await.expect("an answer"), StatusCode::BAD_REQUEST).await;
    problem(put("lost+found/b.csv", "x".to_owned()).await.expect("an answer"), StatusCode::BAD_REQUEST).await;
    let again = running.request(Method::PUT, "/api/v1/datasets/in/a.csv").header("if-none-match", "*").body("x").send();
    problem(again.await.expect("an answer"), StatusCode::PRECONDITION_FAILED).await;

    // Only in place of what the caller has seen.
    let tag = made.headers()["etag"].to_str().expect("text").to_owned();
    let matching = |tag: &str, body: &'static str| {
        running.request(Method::PUT, "/api/v1/datasets/in/a.csv").header("if-match", tag).body(body).send()
    };
    assert_eq!(matching(&tag, "id,name\n1,Cy\n").await.expect("an answer").status(), StatusCode::OK);
    problem(matching(&tag, "id,name\n1,Di\n").await.expect("an answer"), StatusCode::PRECONDITION_FAILED).await;
    let known = running.request(Method::GET, "/api/v1/datasets/in/a.csv").header("if-none-match", "*").send();
    assert_eq!(known.await.expect("an answer").status(), StatusCode::NOT_MODIFIED);

    // A database is a file like others.
    for (path, body, status) in [
        ("in/a.csv", "SQLite format 3\0 and so on", StatusCode::OK),
        ("in/a.csv", "SQLite format 3\0 and more", StatusCode::OK),
        ("in/a.csv", "id,name\n1,Ann\n", StatusCode::OK),
    ] {
        assert_eq!(put(path, body.to_owned()).await.expect("an answer").status(), status, "{body}");
    }

    // Cut short: less comes than was promised.
    let mut socket = TcpStream::connect(running.orchestrator.url().trim_start_matches("http://")).await.expect("open");
    let head = "PUT /api/v1/datasets/in/c.csv HTTP/1.1\r\nhost: localhost\r\ncontent-length: 900\r\n\r\nid\n1\n";
    socket.write_all(head.as_bytes()).await.expect("sent");
    socket.shutdown().await.expect("cut");
    let mut answer = String::new();
    let _ = socket.read_to_string(&mut answer).await;
    assert!(!answer.contains("201"), "{answer}");
    assert_eq!(std::fs::read_dir(running.house.folder.path().join("in")).expect("a folder").count(), 1);
    running.orchestrator.stop().await;
}
