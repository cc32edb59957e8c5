//! The Flight front door, for what stock clients in other languages cannot ask: polling and cancelling runs.

mod support;

use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::{
    Action, CancelFlightInfoRequest, CancelFlightInfoResult, CancelStatus, FlightDescriptor, FlightInfo, PollInfo,
};
use clap::Parser;
use orchestrator::run::Engine;
use orchestrator::serve::{Orchestrator, ServeOptions};
use prost::Message;
use std::sync::Arc;
use std::time::Duration;
use support::House;
use tonic::Code;
use tonic::transport::Channel;

/// No test waits longer than this for what must come.
const SOON: Duration = Duration::from_secs(30);

#[derive(Parser)]
struct Words {
    #[command(flatten)]
    serve: ServeOptions,
}

struct Door {
    orchestrator: Orchestrator,
    client: FlightServiceClient<Channel>,
    house: House,
    _steps: flight_common::server::Server,
}

impl Door {
    async fn open() -> Self {
        let house = House::new();
        let words = ["test", "--api", "127.0.0.1:0", "--front", "127.0.0.1:0", "--drain", "100ms"];
        let options = Words::parse_from(words).serve;
        let (mesh, steps) = house.served().await;
        let mesh = Arc::new(mesh);
        let engine = Engine::new(mesh.clone(), house.env.space.clone());
        let started = Orchestrator::start(&options, Arc::new(engine), mesh, house.env.clone()).await;
        let orchestrator = started.expect("it starts");
        let url = format!("http://{}", orchestrator.front());
        let channel = Channel::from_shared(url).expect("a URL").connect().await.expect("it is open");
        let client = FlightServiceClient::new(channel);
        Self { orchestrator, client, house, _steps: steps }
    }

    async fn poll(&mut self, descriptor: FlightDescriptor) -> Result<PollInfo, tonic::Status> {
        let polled = tokio::time::timeout(SOON, self.client.poll_flight_info(descriptor)).await;
        polled.expect("an answer").map(tonic::Response::into_inner)
    }

    async fn submit(&mut self, yaml: &str) -> Result<PollInfo, tonic::Status> {
        let request = serde_json::json!({"yaml": yaml}).to_string();
        self.poll(FlightDescriptor::new_cmd(request)).await
    }
}

const GOOD: &str = "name: sums\nsteps:\n  - {id: read, service: numbers, params: {rows: 2500}, checkpoint: true}\n  - {id: write, service: sum, depends_on: [read]}\n";
const ENDLESS: &str = "name: endless\nsteps:\n  - {id: read, service: numbers, params: {rows: 9000, stall_after: 2000}}\n  - {id: write, service: sum, depends_on: [read]}\n";

#[tokio::test]
async fn a_pipeline_is_submitted_and_followed_by_polling() {
    let mut door = Door::open().await;
    let mut told = door.submit(GOOD).await.expect("taken");
    while let Some(next) = told.flight_descriptor.clone() {
        assert!(told.progress.is_some_and(|part| (0.0..=1.0).contains(&part)));
        told = door.poll(next).await.expect("told");
    }
    assert_eq!(told.progress, Some(1.0));
    let info: FlightInfo = told.info.expect("its outputs");
    assert_eq!(info.endpoint.len(), 1);
    let ticket = info.endpoint[0].ticket.clone().expect("a ticket");
    assert!(info.endpoint[0].expiration_time.is_some());
    let mut rows = door.client.do_get(ticket).await.expect("rows").into_inner();
    let mut messages = 0;
    while let Some(message) = rows.message().await.expect("whole") {
        messages += usize::from(!message.data_body.is_empty());
    }
    assert!(messages > 0);
    assert_eq!(door.house.sum(), Some(2500 * 2499 / 2));
    door.orchestrator.stop().await;
}

#[tokio::test]
async fn a_run_is_cancelled_by_its_info() {
    let mut door = Door::open().await;
    let told = door.submit(ENDLESS).await.expect("taken");
    let descriptor = told.flight_descriptor.expect("it goes on");
    let info = FlightInfo { flight_descriptor: Some(descriptor.clone()), ..FlightInfo::default() };
    let body = CancelFlightInfoRequest { info: Some(info) }.encode_to_vec().into();
    let action = Action { r#type: "CancelFlightInfo".to_owned(), body };
    let mut results = door.client.do_action(action).await.expect("done").into_inner();
    let result = results.message().await.expect("told").expect("one result");
    let status = CancelFlightInfoResult::decode(result.body).expect("a result").status();
    assert!(matches!(status, CancelStatus::Cancelled | CancelStatus::Cancelling), "{status:?}");
    let ended = door.poll(descriptor).await.expect_err("it is over");
    assert_eq!(ended.code(), Code::Cancelled);
    door.orchestrator.stop().await;
}

#[tokio::test]
async fn what_is_wrong_is_told_when_it_is_submitted_or_when_it_fails() {
    let mut door = Door::open().await;
    let wrong = door.submit(&GOOD.replace("numbers", "nubmers")).await.expect_err("refused");
    assert_eq!(wrong.code(), Code::InvalidArgument);
    assert!(wrong.message().contains("nubmers"), "{}", wrong.message());
    let told = door.submit(&GOOD.replace("rows: 2500", "rows: 2500, fail_after: 1000")).await;
    let failed = match told.expect("taken").flight_descriptor {
        Some(next) => door.poll(next).await.expect_err("it fails"),
        None => panic!("it cannot be done"),
    };
    assert_eq!(failed.code(), Code::InvalidArgument);
    assert!(failed.message().contains("not liked"), "{}", failed.message());
    let nowhere = FlightDescriptor::new_path(vec!["jobs".to_owned(), "1".to_owned()]);
    assert_eq!(door.poll(nowhere).await.expect_err("no such path").code(), Code::InvalidArgument);
    door.orchestrator.stop().await;
}
