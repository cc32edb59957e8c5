//! Runs: submitted, watched, read, cancelled and resumed.

use super::*;

#[tokio::test]
async fn a_run_is_submitted_watched_and_read() {
    let running = Running::start(&[]).await;
    let run = running.submit(GOOD).await;
    let events = running.events(&run, None).await;
    for kind in ["event: queued", "event: started", "event: done", "event: end"] {
        assert!(events.contains(kind), "{kind} in {events}");
    }
    let shown = running.get(&format!("/api/v1/runs/{run}")).await;
    assert_eq!(shown["state"], "done");
    assert_eq!(shown["pipeline"], "sums");
    assert_eq!(shown["steps"][0]["rows_out"], 2500);
    assert_eq!(shown["outputs"][0]["step"], "read");
    assert_eq!(running.house.sum(), Some(2500 * 2499 / 2));

    // Whoever was cut off asks for the rest only.
    let rest = running.events(&run, Some(2)).await;
    assert!(!rest.contains("event: queued") && rest.contains("event: done"), "{rest}");

    let listed = running.get("/api/v1/runs?state=done,failed&pipeline=sums").await;
    assert_eq!(listed["items"][0]["id"], run.as_str());
    assert_eq!(running.get("/api/v1/runs?state=queued").await["items"], json!([]));
    let again = running.yaml(Method::POST, &format!("/api/v1/runs/{run}/cancel"), "").await;
    assert_eq!(problem(again, StatusCode::CONFLICT).await["code"], "illegal_move");
    running.orchestrator.stop().await;
}

#[tokio::test]
async fn kept_rows_are_shown_and_downloaded_in_every_format() {
    let running = Running::start(&[]).await;
    let run = running.submit(GOOD).await;
    running.events(&run, None).await;
    let at = |end: &str| format!("/api/v1/runs/{run}/steps/read/{end}");
    let preview = running.get(&at("preview?limit=3")).await;
    assert_eq!(preview["rows"], json!([{"n": 0}, {"n": 1}, {"n": 2}]));
    assert_eq!(preview["columns"], json!([{"name": "n", "type": "Int64", "nullable": false}]));
    assert_eq!(preview["total_rows"], 2500);
    assert_eq!(running.get(&at("preview?limit=1000")).await["rows"].as_array().map(Vec::len), Some(1000));
    let more = running.request(Method::GET, &at("preview?limit=1001")).send().await.expect("an answer");
    problem(more, StatusCode::BAD_REQUEST).await;

    let download = async |format: &str| {
        let response = running.request(Method::GET, &at(&format!("download?format={format}"))).send().await;
        let response = response.expect("an answer");
        assert_eq!(response.status(), StatusCode::OK);
        let name = response.headers()["content-disposition"].to_str().expect("text").to_owned();
        assert!(name.contains(&format!("read.{format}")), "{name}");
        response.bytes().await.expect("bytes")
    };
    let csv = download("csv").await;
    assert_eq!(csv.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count(), 2501);
    let rows: Vec<Value> = serde_json::from_slice(&download("json").await).expect("an array");
    assert_eq!((rows.len(), &rows[2499]["n"]), (2500, &json!(2499)));
    let lines = download("jsonl").await;
    assert_eq!(lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count(), 2500);
    let arrow = download("arrow").await;
    let reader = arrow::ipc::reader::StreamReader::try_new(&arrow[..], None).expect("a stream");
    assert_eq!(reader.map(|batch| batch.expect("whole").num_rows()).sum::<usize>(), 2500);
    let parquet = download("parquet").await;
    let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReader::try_new(parquet, 1000).expect("a file");
    assert_eq!(reader.map(|batch| batch.expect("whole").num_rows()).sum::<usize>(), 2500);

    let missing = running.request(Method::GET, &format!("/api/v1/runs/{run}/steps/write/preview")).send().await;
    let told = problem(missing.expect("an answer"), StatusCode::NOT_FOUND).await;
    assert!(told["help"].as_str().is_some_and(|help| help.contains("read.output")), "{told}");
    running.orchestrator.stop().await;
}

#[tokio::test]
async fn no_row_is_shown_of_a_kept_file_that_was_changed_or_is_gone() {
    let running = Running::start(&[]).await;
    let run = running.submit(GOOD).await;
    running.events(&run, None).await;
    let kept = running.get(&format!("/api/v1/runs/{run}/outputs")).await;
    let path = running.house.folder.path().join(".quiver").join(kept[0]["path"].as_str().expect("a path"));
    let ask = async |end: &str| {
        let request = running.request(Method::GET, &format!("/api/v1/runs/{run}/steps/read/{end}"));
        request.send().await.expect("an answer")
    };
    let ends = ["preview", "download?format=csv", "download?format=arrow"];
    for end in ends {
        assert_eq!(ask(end).await.status(), StatusCode::OK, "{end}");
    }

    let mut bytes = std::fs::read(&path).expect("there");
    let place = bytes.len() - 100;
    bytes[place] ^= 1;
    std::fs::write(&path, bytes).expect("spoilt");
    for end in ends {
        let told = problem(ask(end).await, StatusCode::UNPROCESSABLE_ENTITY).await.to_string();
        assert!(told.contains("was changed") && told.contains("run the step again"), "{told}");
    }
    std::fs::remove_file(&path).expect("removed");
    for end in ends {
        let told = problem(ask(end).await, StatusCode::NOT_FOUND).await.to_string();
        assert!(told.contains("is gone") && told.contains("run the step again"), "{told}");
        assert!(!told.contains("--data-root"), "{told}");
    }
    running.orchestrator.stop().await;
}

#[tokio::test]
async fn two_requests_with_one_key_make_one_run() {
    let running = Running::start(&[]).await;
    let submit = async |body: Value| {
        let request = running.request(Method::POST, "/api/v1/runs").header("idempotency-key", "monday").json(&body);
        request.send().await.expect("an answer")
    };
    let first = submit(json!({"yaml": GOOD})).await;
    assert_eq!(first.status(), StatusCode::ACCEPTED);
    let first: Value = first.json().await.expect("JSON");
    let second = submit(json!({"yaml": GOOD})).await;
    assert_eq!(second.status(), StatusCode::OK);
    assert_eq!(second.json::<Value>().await.expect("JSON")["id"], first["id"]);
    for (name, value) in [("set", json!(["read.rows=7"])), ("priority", json!(5)), ("concurrency", json!(1))] {
        let mut other = json!({"yaml": GOOD});
        other[name] = value;
        let told = problem(submit(other).await, StatusCode::CONFLICT).await;
        assert!(told["help"].as_str().is_some_and(|help| help.contains("key")), "{told}");
    }

    let again = async || {
        let request = running.request(Method::POST, "/api/v1/runs").header("idempotency-key", "tuesday");
        request.json(&json!({"pipeline": "sums"})).send().await.expect("an answer")
    };
    running.yaml(Method::PUT, "/api/v1/pipelines/sums", GOOD).await;
    let first: Value = again().await.json().await.expect("JSON");
    running.yaml(Method::DELETE, "/api/v1/pipelines/sums", "").await;
    let second = again().await;
    assert_eq!(second.status(), StatusCode::OK, "what has become of its pipeline makes no difference");
    assert_eq!(second.json::<Value>().await.expect("JSON")["id"], first["id"]);
    let spoilt = running.yaml(Method::PUT, "/api/v1/pipelines/sums?check=false", "steps: []\0").await;
    problem(spoilt, StatusCode::BAD_REQUEST).await;
    running.orchestrator.stop().await;
}

#[tokio::test]
async fn a_cancelled_run_is_resumed_from_where_it_stopped() {
    let running = Running::start(&[]).await;
    let run = running.submit(ENDLESS).await;
    let stopped = running.yaml(Method::POST, &format!("/api/v1/runs/{run}/cancel"), "").await;
    assert_eq!(stopped.status(), StatusCode::ACCEPTED);
    assert!(running.events(&run, None).await.contains(r#"{"state":"cancelled"}"#));
    let stranger = running.yaml(Method::POST, &format!("/api/v1/runs/{run}/resume"), GOOD).await;
    assert!(problem(stranger, StatusCode::BAD_REQUEST).await["detail"].to_string().contains("endless"));
    let ending = ENDLESS.replace(", stall_after: 2000", "");
    let resumed = running.yaml(Method::POST, &format!("/api/v1/runs/{run}/resume"), &ending).await;
    assert_eq!(resumed.status(), StatusCode::ACCEPTED);
    assert!(running.events(&run, None).await.contains(r#"{"state":"done"}"#));
    assert_eq!(running.house.sum(), Some(9000 * 8999 / 2));

    let other = running.submit(GOOD).await;
    running.events(&other, None).await;
    let compared = running.get(&format!("/api/v1/runs/{run}/compare/{other}")).await;
    assert_eq!(compared["same_definition"], false);
    assert_eq!(compared["steps"][0]["left"]["rows_out"], 9000);
    assert_eq!(compared["steps"][0]["right"]["rows_out"], 2500);
    running.orchestrator.stop().await;
}
