//! Who may call, and how.

use super::*;

#[tokio::test]
async fn every_call_needs_a_token_that_reaches_as_far() {
    let mut running = Running::start(&["--tokens"]).await;
    let document = serde_json::to_value(openapi()).expect("JSON");
    let mut calls = Vec::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            let path = path.replace(['{', '}'], "");
            let open = operation["security"] == json!([{}]);
            calls.push((Method::from_bytes(method.to_uppercase().as_bytes()).expect("a method"), path, open));
        }
    }
    assert!(calls.len() > 25, "{}", calls.len());
    let answers = async |running: &Running| {
        let mut answers = Vec::new();
        for (method, path, open) in &calls {
            let answer = running.request(method.clone(), path).send().await.expect("an answer");
            answers.push((method.clone(), path.clone(), *open, answer.status()));
        }
        answers
    };
    for (method, path, open, status) in answers(&running).await {
        assert_eq!(status == StatusCode::UNAUTHORIZED, !open, "{method} {path}: {status}");
    }
    running.token = Some("qv_wrong_token".to_owned());
    for (method, path, open, status) in answers(&running).await {
        assert_eq!(status == StatusCode::UNAUTHORIZED, !open, "{method} {path}: {status}");
    }
    let running = running.with_token(Role::Viewer).await;
    for (method, path, open, status) in answers(&running).await {
        // To plan is to call the sources, with the secrets of the pipeline.
        let asks = path == "/api/v1/tokens" || path.ends_with("/plan");
        let reads = method == Method::GET && !asks;
        assert_eq!(status == StatusCode::FORBIDDEN, !open && !reads, "{method} {path}: {status}");
    }
    let running = running.with_token(Role::Operator).await;
    for (method, path, open, status) in answers(&running).await {
        let of_admins = path.starts_with("/api/v1/tokens");
        // A path that leads nowhere is a path outside the data root for nobody here.
        assert_eq!(status == StatusCode::FORBIDDEN, !open && of_admins, "{method} {path}: {status}");
    }
    running.orchestrator.stop().await;
}

/// Strangers may ask whether it can work, and need not know why it cannot.
#[tokio::test]
async fn why_a_service_is_not_ready_is_told_to_those_who_may_see_runs() {
    let mut running = Running::start(&["--tokens"]).await.with_token(Role::Viewer).await;
    let folder = running.house.env.data_root.path().to_owned();
    let token = running.token.take();
    // A connection to the store that is opened at this moment makes its file anew.
    while folder.exists() {
        std::fs::remove_dir_all(&folder).ok();
    }
    let reason = async |running: &Running| loop {
        let ready: Value =
            running.request(Method::GET, "/ready").send().await.expect("an answer").json().await.expect("JSON");
        let parts = ready["parts"].as_array().expect("parts").iter();
        if let Some(root) = parts.into_iter().find(|part| part["name"] == "data root" && part["ok"] == false) {
            return root["reason"].clone();
        }
    };
    assert_eq!(reason(&running).await, Value::Null);
    running.token = token;
    let told = reason(&running).await;
    assert!(told.is_string(), "{told}");
    running.orchestrator.stop().await;
}

#[tokio::test]
async fn tokens_are_made_shown_once_and_revoked() {
    let running = Running::start(&["--tokens"]).await.with_token(Role::Admin).await;
    let made = running.request(Method::POST, "/api/v1/tokens").json(&json!({"name": "ci", "role": "viewer"}));
    let made = made.send().await.expect("an answer");
    assert_eq!(made.status(), StatusCode::CREATED);
    let made: Value = made.json().await.expect("JSON");
    let secret = made["secret"].as_str().expect("a secret");
    let array = running.request(Method::POST, "/api/v1/tokens").json(&json!(["ci", "admin"]));
    problem(array.send().await.expect("an answer"), StatusCode::BAD_REQUEST).await;
    let listed = running.get("/api/v1/tokens").await;
    assert!(listed.as_array().expect("a list").iter().any(|one| one["name"] == "ci"));
    assert!(!listed.to_string().contains(secret));
    let runs = format!("{}/api/v1/runs", running.orchestrator.url());
    let call = async || running.http.get(&runs).bearer_auth(secret).send().await.expect("an answer").status();
    assert_eq!(call().await, StatusCode::OK);
    let id = made["id"].as_str().expect("an id");
    let gone = running.request(Method::DELETE, &format!("/api/v1/tokens/{id}")).send().await.expect("an answer");
    assert_eq!(gone.status(), StatusCode::NO_CONTENT);
    assert_eq!(call().await, StatusCode::UNAUTHORIZED);
    running.orchestrator.stop().await;
}

#[tokio::test]
async fn no_web_page_can_make_a_browser_call() {
    let running = Running::start(&[]).await;
    let call = async |name: &str, value: &str| {
        let request = running.request(Method::GET, "/api/v1/runs").header(name, value);
        request.send().await.expect("an answer")
    };
    problem(call("host", "evil.example").await, StatusCode::FORBIDDEN).await;
    problem(call("origin", "http://evil.example").await, StatusCode::FORBIDDEN).await;
    let own = running.orchestrator.url();
    assert_eq!(call("origin", &own).await.status(), StatusCode::OK);
    running.orchestrator.stop().await;
}

#[tokio::test]
async fn with_a_certificate_it_speaks_tls_only() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let folder = tempfile::tempdir().expect("a folder");
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&cert, made.cert.pem()).expect("written");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("written");
    let running =
        Running::start(&["--tls-cert", cert.to_str().expect("text"), "--tls-key", key.to_str().expect("text")]).await;
    let root = reqwest::Certificate::from_der(made.cert.der()).expect("a certificate");
    let trusting = Client::builder().tls_certs_only([root]).build().expect("a client");
    let url = running.orchestrator.url();
    let port = url.rsplit(':').next().expect("a port");
    let answer = trusting.get(format!("https://localhost:{port}/version")).send().await.expect("an answer");
    assert_eq!(answer.json::<Value>().await.expect("JSON")["store"], "sqlite");
    assert!(trusting.get(format!("http://localhost:{port}/version")).send().await.is_err());
    running.orchestrator.stop().await;
}
