//! The REST API, called as scripts call it.

mod support;

use clap::Parser;
use orchestrator::api::openapi;
use orchestrator::mesh::FlightMesh;
use orchestrator::run::Engine;
use orchestrator::serve::{Orchestrator, ServeOptions};
use orchestrator::store::Role;
use reqwest::{Client, Method, Response, StatusCode};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use support::House;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// No test waits longer than this for what must come.
const SOON: Duration = Duration::from_secs(30);

const GOOD: &str = "name: sums\nsteps:\n  - {id: read, service: numbers, params: {rows: 2500}, checkpoint: true}\n  - {id: write, service: sum, depends_on: [read]}\n";
const ENDLESS: &str = "name: endless\nsteps:\n  - {id: read, service: numbers, params: {rows: 9000, stall_after: 2000}}\n  - {id: write, service: sum, depends_on: [read]}\n";
const BAD: &str = "name: bad\nsteps:\n  - id: read\n    service: nubmers\n    params: {rows: 1}\n  - {id: write, service: sum, depends_on: [raed]}\n";

#[derive(Parser)]
struct Words {
    #[command(flatten)]
    serve: ServeOptions,
}

/// An orchestrator with its API.
struct Running {
    orchestrator: Orchestrator,
    http: Client,
    token: Option<String>,
    house: House,
}

fn client() -> Client {
    // Another test may have done so.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().timeout(SOON).build().expect("a client")
}

impl Running {
    async fn start(words: &[&str]) -> Self {
        let house = House::new();
        let words = ["test", "--api", "127.0.0.1:0", "--front", "127.0.0.1:0", "--drain", "100ms"].iter().chain(words);
        let options = Words::parse_from(words).serve;
        let engine = Engine::new(Arc::new(house.in_process()), house.env.space.clone());
        let nobody = Arc::new(FlightMesh::new(Vec::new(), house.env.data_root.clone()));
        let orchestrator = Orchestrator::start(&options, Arc::new(engine), nobody, house.env.clone()).await;
        Self { orchestrator: orchestrator.expect("it starts"), http: client(), token: None, house }
    }

    async fn with_token(mut self, role: Role) -> Self {
        let store = self.orchestrator.service().store();
        self.token = Some(store.make_token(role.name(), role, None).await.expect("made").1);
        self
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.orchestrator.url()));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    async fn get(&self, path: &str) -> Value {
        let response = self.request(Method::GET, path).send().await.expect("an answer");
        assert!(response.status().is_success(), "{path}: {}", response.text().await.expect("text"));
        response.json().await.expect("JSON")
    }

    async fn yaml(&self, method: Method, path: &str, body: &str) -> Response {
        let request = self.request(method, path).header("content-type", "application/yaml").body(body.to_owned());
        request.send().await.expect("an answer")
    }

    async fn submit(&self, body: &str) -> String {
        let response = self.yaml(Method::POST, "/api/v1/runs", body).await;
        assert_eq!(response.status(), StatusCode::ACCEPTED);
        let location = response.headers()["location"].to_str().expect("text").to_owned();
        let run: Value = response.json().await.expect("JSON");
        assert!(location.ends_with(run["id"].as_str().expect("an id")));
        run["id"].as_str().expect("an id").to_owned()
    }

    /// The events of a run to its end.
    async fn events(&self, run: &str, after: Option<i64>) -> String {
        let mut request = self.request(Method::GET, &format!("/api/v1/runs/{run}/events"));
        if let Some(after) = after {
            request = request.header("last-event-id", after);
        }
        request.send().await.expect("an answer").text().await.expect("events")
    }
}

async fn problem(response: Response, status: StatusCode) -> Value {
    assert_eq!(response.status(), status);
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let problem: Value = response.json().await.expect("JSON");
    assert_eq!(problem["status"], status.as_u16());
    assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{problem}");
    problem
}

#[test]
fn the_document_of_the_api_is_the_one_in_the_docs() {
    let made = openapi().to_pretty_json().expect("JSON") + "\n";
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/openapi.json");
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    if kept != made {
        let fresh = concat!(env!("CARGO_TARGET_TMPDIR"), "/openapi.json");
        std::fs::write(fresh, made).expect("written");
        panic!("docs/openapi.json is out of date: copy {fresh} there");
    }
}

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
    let other = submit(json!({"yaml": GOOD, "set": ["read.rows=7"]})).await;
    problem(other, StatusCode::CONFLICT).await;
    running.orchestrator.stop().await;
}

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
    problem(unknown, StatusCode::UNPROCESSABLE_ENTITY).await;
    problem(json(json!({"pipeline": "none"})).await.expect("an answer"), StatusCode::NOT_FOUND).await;

    let get = async |path: &str| running.request(Method::GET, path).send().await.expect("an answer");
    problem(get("/api/v1/runs/none").await, StatusCode::NOT_FOUND).await;
    problem(get("/api/v1/runs?state=dreaming").await, StatusCode::BAD_REQUEST).await;
    problem(get("/api/v1/runs?limit=x").await, StatusCode::BAD_REQUEST).await;
    problem(get("/api/v1/nothing").await, StatusCode::NOT_FOUND).await;
    problem(get("/api/v1/runs/none/cancel").await, StatusCode::METHOD_NOT_ALLOWED).await;
    let typed = running.request(Method::POST, "/api/v1/runs").header("content-type", "image/png").body("x").send();
    problem(typed.await.expect("an answer"), StatusCode::UNSUPPORTED_MEDIA_TYPE).await;
    running.orchestrator.stop().await;
}

#[tokio::test]
async fn pipelines_have_versions_and_nobody_overwrites_unseen() {
    let running = Running::start(&[]).await;
    let first = running.yaml(Method::PUT, "/api/v1/pipelines/sums", GOOD).await;
    assert_eq!(first.status(), StatusCode::CREATED);
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

    let run = running.request(Method::POST, "/api/v1/runs").json(&json!({"pipeline": "sums"})).send().await;
    let run: Value = run.expect("an answer").json().await.expect("JSON");
    assert_eq!((&run["pipeline"], &run["version"]), (&json!("sums"), &json!(2)));

    let verdict = running.yaml(Method::POST, "/api/v1/validate", BAD).await.json::<Value>().await.expect("JSON");
    assert_eq!((&verdict["valid"], verdict["errors"].as_array().map(Vec::len)), (&json!(false), Some(2)));
    problem(running.yaml(Method::PUT, "/api/v1/pipelines/bad", BAD).await, StatusCode::UNPROCESSABLE_ENTITY).await;
    problem(running.yaml(Method::PUT, "/api/v1/pipelines/a%2Fb", GOOD).await, StatusCode::BAD_REQUEST).await;
    let gone = running.request(Method::DELETE, "/api/v1/pipelines/sums").send().await.expect("an answer");
    assert_eq!(gone.status(), StatusCode::NO_CONTENT);
    running.orchestrator.stop().await;
}

#[tokio::test]
async fn a_cancelled_run_is_resumed_from_where_it_stopped() {
    let running = Running::start(&[]).await;
    let run = running.submit(ENDLESS).await;
    let stopped = running.yaml(Method::POST, &format!("/api/v1/runs/{run}/cancel"), "").await;
    assert_eq!(stopped.status(), StatusCode::ACCEPTED);
    assert!(running.events(&run, None).await.contains(r#"{"state":"cancelled"}"#));
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
        let reads = method == Method::GET && path != "/api/v1/tokens";
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

#[tokio::test]
async fn tokens_are_made_shown_once_and_revoked() {
    let running = Running::start(&["--tokens"]).await.with_token(Role::Admin).await;
    let made = running.request(Method::POST, "/api/v1/tokens").json(&json!({"name": "ci", "role": "viewer"}));
    let made = made.send().await.expect("an answer");
    assert_eq!(made.status(), StatusCode::CREATED);
    let made: Value = made.json().await.expect("JSON");
    let secret = made["secret"].as_str().expect("a secret");
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

#[tokio::test]
async fn data_sets_are_uploaded_whole_or_not_at_all() {
    let running = Running::start(&["--max-upload", "1KiB"]).await;
    let put =
        |path: &str, body: String| running.request(Method::PUT, &format!("/api/v1/datasets/{path}")).body(body).send();
    let made = put("in/a.csv", "id,name\n1,Ann\n2,Bo\n".to_owned()).await.expect("an answer");
    assert_eq!(made.status(), StatusCode::CREATED);
    let shown = running.get("/api/v1/datasets/in/a.csv").await;
    assert_eq!(shown["columns"][0], json!({"name": "id", "type": "Int64", "nullable": true}));
    let listed = running.get("/api/v1/datasets?prefix=in/").await;
    assert_eq!((&listed[0]["path"], &listed[0]["format"]), (&json!("in/a.csv"), &json!("csv")));
    let own = running.get("/api/v1/datasets").await;
    assert!(!own.to_string().contains("quiver.db"), "{own}");

    problem(put("in/b.csv", "x".repeat(2000)).await.expect("an answer"), StatusCode::PAYLOAD_TOO_LARGE).await;
    problem(put("in%2F..%2F..%2Fb.csv", "x".to_owned()).await.expect("an answer"), StatusCode::FORBIDDEN).await;
    problem(put(".quiver/b.csv", "x".to_owned()).await.expect("an answer"), StatusCode::FORBIDDEN).await;
    let again = running.request(Method::PUT, "/api/v1/datasets/in/a.csv").header("if-none-match", "*").body("x").send();
    problem(again.await.expect("an answer"), StatusCode::PRECONDITION_FAILED).await;

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
async fn the_parts_of_the_service_are_told_one_by_one() {
    let running = Running::start(&[]).await;
    let until_ready = async {
        loop {
            let ready = running.request(Method::GET, "/ready").send().await.expect("an answer");
            let (status, ready) = (ready.status(), ready.json::<Value>().await.expect("JSON"));
            if status == StatusCode::OK {
                return ready;
            }
        }
    };
    let ready = tokio::time::timeout(SOON, until_ready).await.expect("it is ready soon");
    let names: Vec<&str> =
        ready["parts"].as_array().expect("parts").iter().filter_map(|p| p["name"].as_str()).collect();
    for name in ["store", "scheduler", "data root", "step numbers"] {
        assert!(names.contains(&name), "{names:?}");
    }
    let steps = running.get("/api/v1/steps").await;
    assert!(steps.as_array().expect("steps").iter().any(|step| step["name"] == "numbers"));
    let docs = running.request(Method::GET, "/docs/").send().await.expect("an answer");
    assert!(docs.text().await.expect("a page").contains("swagger"));
    running.orchestrator.service().store().close().await;
    let broken = running.request(Method::GET, "/ready").send().await.expect("an answer");
    assert_eq!(broken.status(), StatusCode::SERVICE_UNAVAILABLE);
    running.orchestrator.stop().await;
}
