//! Pipelines: what is wrong with them, and their versions.

use super::*;
use reqwest::header::HeaderValue;

#[tokio::test]
async fn what_is_wrong_is_told_with_its_place() {
    let running = Running::start(&[]).await;
    let told = problem(running.yaml(Method::POST, "/api/v1/runs", BAD).await, StatusCode::UNPROCESSABLE_ENTITY).await;
    assert_eq!(told["code"], "bad_pipeline");
    assert_eq!(told["errors"][0]["line"], 4);
    assert_eq!(told["errors"][0]["column"], 14);
    assert_eq!(told["errors"][0]["code"], "unknown-service");
    assert_eq!(told["errors"].as_array().map(Vec::len), Some(2));

    let json = |body: Value| running.request(Method::POST, "/api/v1/runs").json(&body).send();
    for body in [json!({}), json!({"yaml": GOOD, "pipeline": "x"}), json!({"yaml": GOOD, "version": 1})] {
        problem(json(body).await.expect("an answer"), StatusCode::BAD_REQUEST).await;
    }
    let unknown = json(json!({"yaml": GOOD, "prioriti": 1})).await.expect("an answer");
    problem(unknown, StatusCode::BAD_REQUEST).await;
    problem(json(json!({"pipeline": "none"})).await.expect("an answer"), StatusCode::NOT_FOUND).await;

    let get = async |path: &str| running.request(Method::GET, path).send().await.expect("an answer");
    problem(get("/api/v1/runs/none").await, StatusCode::NOT_FOUND).await;
    problem(get("/api/v1/runs?state=dreaming").await, StatusCode::BAD_REQUEST).await;
    let states = problem(get("/api/v1/runs?state=").await, StatusCode::BAD_REQUEST).await;
    assert!(states["detail"].as_str().is_some_and(|detail| detail.contains("queued, running")), "{states}");
    for empty in ["pipeline=", "ending="] {
        problem(get(&format!("/api/v1/runs?{empty}")).await, StatusCode::BAD_REQUEST).await;
    }
    problem(get("/api/v1/runs?limit=x").await, StatusCode::BAD_REQUEST).await;
    problem(get("/api/v1/runs?limit=0").await, StatusCode::BAD_REQUEST).await;
    problem(get("/api/v1/runs?cursor=x").await, StatusCode::BAD_REQUEST).await;
    let packed = running.request(Method::POST, "/api/v1/runs").header("content-encoding", "gzip").body("x");
    problem(packed.send().await.expect("an answer"), StatusCode::UNSUPPORTED_MEDIA_TYPE).await;
    for wrong in [json!({"yaml": GOOD, "priority": 1001}), json!({"yaml": GOOD, "concurrency": 0})] {
        problem(json(wrong).await.expect("an answer"), StatusCode::BAD_REQUEST).await;
    }
    problem(get("/api/v1/nothing").await, StatusCode::NOT_FOUND).await;
    problem(get("/api/v1/runs/none/cancel").await, StatusCode::METHOD_NOT_ALLOWED).await;
    let nameless = GOOD.lines().filter(|line| !line.starts_with("name:")).collect::<Vec<_>>().join("\n");
    for (name, called) in [(json!("in/daily.orders.yaml"), "daily.orders"), (Value::Null, "unnamed")] {
        let run: Value =
            json(json!({"yaml": nameless, "name": name})).await.expect("an answer").json().await.expect("JSON");
        assert_eq!(run["pipeline"], called, "{run}");
        // However its id is written.
        let id = run["id"].as_str().expect("an id");
        let older = async |cursor: &str| {
            let listed = running.get(&format!("/api/v1/runs?cursor={cursor}")).await["items"].clone();
            listed.as_array().expect("a list").iter().map(|run| run["id"].clone()).collect::<Vec<_>>()
        };
        let wanted = older(id).await;
        for cursor in [id.to_uppercase(), id.replace('-', "")] {
            assert_eq!(older(&cursor).await, wanted, "{cursor}");
        }
    }
    for wrong in [json!({"pipeline": "sums", "name": "x"}), json!({"yaml": GOOD, "name": "x".repeat(129)})] {
        problem(json(wrong).await.expect("an answer"), StatusCode::BAD_REQUEST).await;
    }
    let long = GOOD.replacen("name: ", &format!("name: {}", "x".repeat(129)), 1);
    let long = problem(json(json!({"yaml": long})).await.expect("an answer"), StatusCode::UNPROCESSABLE_ENTITY).await;
    assert_eq!(long["errors"][0]["code"], "bad-name", "{long}");
    let typed = running.request(Method::POST, "/api/v1/runs").header("content-type", "image/png").body("x").send();
    problem(typed.await.expect("an answer"), StatusCode::UNSUPPORTED_MEDIA_TYPE).await;
    running.orchestrator.stop().await;
}

#[tokio::test]
async fn a_password_in_a_text_is_not_shown() {
    let running = Running::start(&[]).await;
    let text = |password: &str| format!("# postgres://ann:{password}@h/db\n{GOOD}");
    let run: Value = running.yaml(Method::POST, "/api/v1/runs", &text("pa55word")).await.json().await.expect("JSON");
    for password in ["pa55word", "pa55word2"] {
        assert!(running.yaml(Method::PUT, "/api/v1/pipelines/sums", &text(password)).await.status().is_success());
    }
    let id = run["id"].as_str().expect("an id");
    for path in ["pipelines/sums", "pipelines/sums/diff", &format!("runs/{id}/definition")] {
        let shown = running.request(Method::GET, &format!("/api/v1/{path}")).send().await.expect("an answer");
        let shown = shown.text().await.expect("text");
        assert!(shown.contains("postgres://ann:*******") && !shown.contains("pa55"), "{path}: {shown}");
    }
    running.orchestrator.stop().await;
}

#[tokio::test]
async fn pipelines_have_versions_and_nobody_overwrites_unseen() {
    let running = Running::start(&[]).await;
    let first = running.yaml(Method::PUT, "/api/v1/pipelines/sums", GOOD).await;
    assert_eq!(first.status(), StatusCode::CREATED);
    assert_eq!(running.yaml(Method::PUT, "/api/v1/pipelines/sums", GOOD).await.status(), StatusCode::OK);
    let tag = first.headers()["etag"].clone();
    let changed = GOOD.replace("2500", "100");
    let put = |tag: &str, body: &str| {
        let request = running.request(Method::PUT, "/api/v1/pipelines/sums").header("if-match", tag);
        request.header("content-type", "application/yaml").body(body.to_owned()).send()
    };
    let second = put(tag.to_str().expect("text"), &changed).await.expect("an answer");
    assert_eq!(second.status(), StatusCode::OK);
    let late = put(tag.to_str().expect("text"), &GOOD.replace("2500", "7")).await.expect("an answer");
    problem(late, StatusCode::PRECONDITION_FAILED).await;

    assert_eq!(running.get("/api/v1/pipelines/sums/versions").await.as_array().map(Vec::len), Some(2));
    assert_eq!(running.get("/api/v1/pipelines/sums?version=1").await["body"], GOOD);
    let diff = running.request(Method::GET, "/api/v1/pipelines/sums/diff").send().await.expect("an answer");
    let diff = diff.text().await.expect("text");
    assert!(diff.contains("-  - {id: read, service: numbers, params: {rows: 2500}"), "{diff}");
    assert!(diff.contains("+  - {id: read, service: numbers, params: {rows: 100}"), "{diff}");
    assert_eq!(running.get("/api/v1/pipelines/sums/plan").await["nodes"][0]["id"], "read");

    let planned = json!({"pipeline": "sums", "version": 1, "set": ["read.rows=7"]});
    let plan = running.request(Method::POST, "/api/v1/plan").json(&planned).send().await.expect("an answer");
    assert_eq!(plan.json::<Value>().await.expect("JSON")["nodes"][0]["params"], json!({"rows": 7}));
    let wrong = json!({"pipeline": "sums", "params": {"day": "2024-01-01"}});
    let plan = running.request(Method::POST, "/api/v1/plan").json(&wrong).send().await.expect("an answer");
    problem(plan, StatusCode::UNPROCESSABLE_ENTITY).await;
    let verdict = running.request(Method::POST, "/api/v1/validate").json(&wrong).send().await.expect("an answer");
    let verdict: Value = verdict.json().await.expect("JSON");
    assert_eq!((&verdict["valid"], &verdict["errors"][0]["code"]), (&json!(false), &json!("unknown-param")));

    let run = running.request(Method::POST, "/api/v1/runs").json(&json!({"pipeline": "sums"})).send().await;
    let run: Value = run.expect("an answer").json().await.expect("JSON");
    assert_eq!((&run["pipeline"], &run["version"]), (&json!("sums"), &json!(2)));

    let verdict = running.yaml(Method::POST, "/api/v1/validate", BAD).await.json::<Value>().await.expect("JSON");
    assert_eq!((&verdict["valid"], verdict["errors"].as_array().map(Vec::len)), (&json!(false), Some(2)));
    problem(running.yaml(Method::PUT, "/api/v1/pipelines/bad", BAD).await, StatusCode::UNPROCESSABLE_ENTITY).await;
    let awaits = "steps:\n  - {id: read, for_each: {files: 'nope/*.csv'}, service: numbers, params: {rows: 1}}\n";
    let verdict = running.yaml(Method::POST, "/api/v1/validate", awaits).await.json::<Value>().await.expect("JSON");
    assert_eq!(verdict["errors"][0]["code"], "empty-for-each", "{verdict}");
    assert!(running.yaml(Method::PUT, "/api/v1/pipelines/awaits", awaits).await.status().is_success());
    problem(running.yaml(Method::PUT, "/api/v1/pipelines/a%2Fb", GOOD).await, StatusCode::BAD_REQUEST).await;
    let accented = running.yaml(Method::PUT, "/api/v1/pipelines/s%C3%BCm_1.a-b", GOOD).await;
    let location = accented.headers()["location"].to_str().expect("ASCII").to_owned();
    assert_eq!(location, "/api/v1/pipelines/s%C3%BCm_1.a-b");
    assert_eq!(running.get(&location).await["body"], GOOD);
    let delete =
        |tag: HeaderValue| running.request(Method::DELETE, "/api/v1/pipelines/sums").header("if-match", tag).send();
    let told = problem(delete(tag).await.expect("an answer"), StatusCode::PRECONDITION_FAILED).await;
    assert!(told["help"].as_str().is_some_and(|help| help.contains("ETag")), "{told}");
    let gone = delete(second.headers()["etag"].clone()).await.expect("an answer");
    assert_eq!(gone.status(), StatusCode::NO_CONTENT);
    let unconditional = running.request(Method::DELETE, "/api/v1/pipelines/sums").send().await.expect("an answer");
    problem(unconditional, StatusCode::NOT_FOUND).await;
    running.orchestrator.stop().await;
}
