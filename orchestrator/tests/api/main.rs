//! The REST API, called as scripts call it.

mod access;
mod datasets;
mod limits;
mod pipelines;
mod runs;
mod schedules;
#[path = "../support/mod.rs"]
mod support;

use clap::Parser;
use flight_common::Fault;
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
#[command(args_override_self = true)]
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
        Self::try_start(words).await.expect("it starts")
    }

    async fn try_start(words: &[&str]) -> Result<Self, Fault> {
        let house = House::new();
        let words = ["test", "--api", "127.0.0.1:0", "--front", "127.0.0.1:0", "--drain", "100ms"].iter().chain(words);
        let options = Words::parse_from(words).serve;
        let engine = Engine::new(Arc::new(house.in_process()), house.env.space.clone());
        let nobody = Arc::new(FlightMesh::new(Vec::new(), house.env.data_root.clone()));
        let orchestrator = Orchestrator::start(&options, Arc::new(engine), nobody, house.env.clone()).await;
        Ok(Self { orchestrator: orchestrator?, http: client(), token: None, house })
    }

    async fn with_token(mut self, role: Role) -> Self {
        let store = self.orchestrator.service().store();
        self.token = Some(store.make_token(&role.name().parse().expect("a name"), role, None).await.expect("made").1);
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
    assert!(steps.as_array().expect("steps").iter().any(|step| step["name"] == "numbers" && step["ok"] == true));
    let docs = running.request(Method::GET, "/docs/").send().await.expect("an answer");
    assert!(docs.text().await.expect("a page").contains("swagger"));
    running.orchestrator.service().store().close().await;
    let broken = async {
        while running.request(Method::GET, "/ready").send().await.expect("an answer").status() == StatusCode::OK {}
    };
    tokio::time::timeout(SOON, broken).await.expect("it is told soon");
    running.orchestrator.stop().await;
}

#[tokio::test]
async fn a_service_that_goes_down_is_not_ready() {
    let Running { orchestrator, http, house: _house, .. } = Running::start(&["--drain", "5s"]).await;
    let url = orchestrator.url();
    let ask = async |path: &str| http.get(format!("{url}{path}")).send().await.expect("an answer");
    let submitted = http.post(format!("{url}/api/v1/runs")).header("content-type", "application/yaml").body(ENDLESS);
    let run: Value = submitted.send().await.expect("an answer").json().await.expect("JSON");
    let id = run["id"].as_str().expect("an id");
    let begun = async {
        while ask(&format!("/api/v1/runs/{id}")).await.json::<Value>().await.expect("JSON")["state"] != "running" {}
        while ask("/ready").await.status() != StatusCode::OK {}
    };
    tokio::time::timeout(SOON, begun).await.expect("it runs");
    let stopping = tokio::spawn(orchestrator.stop());
    let told = async {
        loop {
            let ready = ask("/ready").await;
            if ready.status() == StatusCode::SERVICE_UNAVAILABLE {
                return ready.text().await.expect("text");
            }
        }
    };
    let told = tokio::time::timeout(SOON, told).await.expect("it is told while runs end");
    assert!(told.contains("going down"), "{told}");
    stopping.await.expect("it ends");
}

#[tokio::test]
async fn a_limit_of_a_step_that_there_is_not_is_refused() {
    let fault = Running::try_start(&["--max-runs-per-step", "numbres=2"]).await.err().expect("no such step");
    assert!(fault.help_text().is_some_and(|help| help.contains("numbers")), "{fault:?}");
    let twice = ["--max-runs-per-step", "numbers=2", "--max-runs-per-step", "Numbers=1"];
    assert!(Running::try_start(&twice).await.is_err());
}

#[tokio::test]
async fn a_limit_of_a_step_holds_whatever_the_step_is_called() {
    let running = Running::start(&["--max-runs-per-step", "NUMBERS=1"]).await;
    running.submit(ENDLESS).await;
    let second = running.submit(ENDLESS).await;
    let told = async {
        loop {
            let run = running.get(&format!("/api/v1/runs/{second}")).await;
            assert_eq!(run["state"], "queued", "{run}");
            if run["waits_for"].as_str().is_some_and(|words| words.contains("at most 1 that use numbers")) {
                return;
            }
        }
    };
    tokio::time::timeout(SOON, told).await.expect("it is told what it waits for");
    running.orchestrator.stop().await;
}
