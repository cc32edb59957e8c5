//! The Flight front door, for what stock clients in other languages cannot ask: polling and cancelling runs.

mod exchanges;
mod sql;
#[path = "../support/mod.rs"]
mod support;

use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::{ProstMessageExt, TicketStatementQuery};
use arrow_flight::{
    Action, CancelFlightInfoRequest, CancelFlightInfoResult, CancelStatus, FlightData, FlightDescriptor, FlightInfo,
    PollInfo, Ticket,
};
use clap::Parser;
use flight_common::server::Server;
use flight_common::testing::{batch, slices};
use flight_common::wire::encode_stream;
use futures::{StreamExt, TryStreamExt, stream};
use orchestrator::mesh::FlightMesh;
use orchestrator::run::Engine;
use orchestrator::serve::{Orchestrator, ServeOptions};
use prost::Message;
use std::path::Path;
use std::pin::pin;
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
    _steps: Vec<Server>,
}

impl Door {
    async fn open() -> Self {
        let house = House::new();
        let (mesh, steps) = house.served().await;
        Self::before(house, mesh, vec![steps]).await
    }

    /// One before these servers.
    async fn before(house: House, mesh: FlightMesh, steps: Vec<Server>) -> Self {
        let words = ["test", "--api", "127.0.0.1:0", "--front", "127.0.0.1:0", "--drain", "100ms"];
        let options = Words::parse_from(words).serve;
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

    /// Runs a pipeline to its good end. Returns the run.
    async fn keep(&mut self, yaml: &str) -> String {
        let mut told = self.submit(yaml).await.expect("taken");
        while let Some(next) = told.flight_descriptor.clone() {
            told = self.poll(next).await.expect("told");
        }
        let info = told.info.expect("its outputs");
        info.endpoint[0].ticket.as_ref().map(|ticket| path_of(ticket)[1].clone()).expect("a ticket")
    }

    /// Whether nobody holds memory or disk.
    fn is_idle(&self) -> bool {
        (self.house.env.space.budget().used(), self.house.env.space.disk_used()) == (0, 0)
    }

    async fn submit(&mut self, yaml: &str) -> Result<PollInfo, tonic::Status> {
        let request = serde_json::json!({"yaml": yaml}).to_string();
        self.poll(FlightDescriptor::new_cmd(request)).await
    }
}

fn path_of(ticket: &Ticket) -> Vec<String> {
    String::from_utf8_lossy(&ticket.ticket).split('/').map(str::to_owned).collect()
}

/// Asks a query of Flight SQL. Its rows.
async fn ask(client: &mut FlightServiceClient<Channel>, sql: &str) -> FlightRecordBatchStream {
    let ticket = TicketStatementQuery { statement_handle: sql.to_owned().into() };
    let ticket = Ticket { ticket: ticket.as_any().encode_to_vec().into() };
    let rows = client.do_get(ticket).await.expect("it begins").into_inner();
    FlightRecordBatchStream::new_from_flight_data(rows.map_err(FlightError::from))
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
    let mut client = door.client.clone();
    let mut cancel = async || {
        let mut results = client.do_action(action.clone()).await.expect("done").into_inner();
        let result = results.message().await.expect("told").expect("one result");
        CancelFlightInfoResult::decode(result.body).expect("a result").status()
    };
    let status = cancel().await;
    assert!(matches!(status, CancelStatus::Cancelled | CancelStatus::Cancelling), "{status:?}");
    let ended = door.poll(descriptor).await.expect_err("it is over");
    assert_eq!(ended.code(), Code::Cancelled);
    assert_eq!(cancel().await, CancelStatus::NotCancellable);
    door.orchestrator.stop().await;
}

#[tokio::test]
async fn an_action_that_there_is_not_is_told_with_those_that_there_are() {
    let mut door = Door::open().await;
    let mut refused = async |asked: &str| {
        let action = Action { r#type: asked.to_owned(), ..Action::default() };
        door.client.do_action(action).await.map(drop).expect_err("refused")
    };
    for (asked, told) in [
        ("nosuch", "there are: quiver.submit, quiver.run, "),
        ("quiver.sumbit", "did you mean \"quiver.submit\"?"),
        ("CreatePreparedStatment", "did you mean \"CreatePreparedStatement\"?"),
    ] {
        let fault = refused(asked).await;
        assert_eq!(fault.code(), Code::NotFound, "{fault}");
        assert!(fault.message().contains(&format!("no action \"{asked}\"")), "{fault}");
        assert!(fault.message().contains(told), "{fault}");
    }
    let of_sql = refused("CreatePreparedStatement").await;
    assert_eq!(of_sql.code(), Code::InvalidArgument, "it is known, and says nothing: {of_sql}");
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

#[tokio::test]
async fn no_web_page_makes_a_browser_call() {
    let mut door = Door::open().await;
    let mut request = tonic::Request::new(FlightDescriptor::new_cmd("{}"));
    request.metadata_mut().insert("origin", "https://evil.example".parse().expect("a header"));
    let refused = door.client.poll_flight_info(request).await.expect_err("a page of somebody else");
    assert_eq!(refused.code(), Code::PermissionDenied, "{refused}");
    // By a name that was bound to this address meanwhile.
    let url = format!("http://{}", door.orchestrator.front());
    let named = Channel::from_shared(url).expect("a URL").origin("http://evil.example".parse().expect("an origin"));
    let mut client = FlightServiceClient::new(named.connect().await.expect("it is open"));
    let ticket = Ticket { ticket: "runs/1/read".into() };
    let refused = client.do_get(ticket).await.expect_err("another name");
    assert_eq!(refused.code(), Code::PermissionDenied, "{refused}");
    door.orchestrator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_is_broken_off_leaves_what_was_there() {
    let mut door = Door::open().await;
    let root = door.house.folder.path().to_owned();
    std::fs::write(root.join("people.csv"), "as it was").expect("written");
    let rows = batch!("n" => Int64Array [1, 2, 3]);
    let messages = async || {
        let frames = encode_stream(slices(&rows, 2), true).map_ok(FlightData::from);
        let mut messages: Vec<FlightData> = frames.try_collect().await.expect("messages");
        messages[0].flight_descriptor = Some(FlightDescriptor::new_path(vec!["datasets/people.csv".to_owned()]));
        messages
    };
    for _ in 0..20 {
        let broken_off = stream::iter(messages().await).chain(stream::pending());
        let mut client = door.client.clone();
        let put = tokio::spawn(async move { client.do_put(broken_off).await.map(drop) });
        tokio::time::sleep(Duration::from_millis(5)).await;
        put.abort();
    }
    // Whatever was begun ends soon.
    for _ in 0..50 {
        assert_eq!(std::fs::read_to_string(root.join("people.csv")).expect("there"), "as it was");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    // Who uploads by REST has looked what is there, and is about to replace it.
    let turn = door.orchestrator.service().publishing(Path::new("linked/people.csv")).await;
    let rows = stream::iter(messages().await);
    let mut receipt = pin!(async { door.client.do_put(rows).await?.into_inner().try_collect::<Vec<_>>().await });
    assert!(tokio::time::timeout(Duration::from_millis(100), receipt.as_mut()).await.is_err(), "it waits");
    assert_eq!(std::fs::read_to_string(root.join("people.csv")).expect("there"), "as it was");
    drop(turn);
    assert_eq!(receipt.await.expect("a receipt").len(), 1);
    assert_eq!(std::fs::read_to_string(root.join("people.csv")).expect("there"), "n\n1\n2\n3\n");
    door.orchestrator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_too_large_is_told_with_what_to_try() {
    let mut door = Door::open().await;
    let rows = batch!("n" => Int64Array [1, 2, 3]);
    let frames = encode_stream(slices(&rows, 2), true).map_ok(FlightData::from);
    let mut messages: Vec<FlightData> = frames.try_collect().await.expect("messages");
    messages[0].flight_descriptor = Some(FlightDescriptor::new_path(vec!["datasets/large.csv".to_owned()]));
    messages.push(FlightData { data_body: vec![0; 65 << 20].into(), ..FlightData::default() });
    let put = async { door.client.do_put(stream::iter(messages)).await?.into_inner().try_collect::<Vec<_>>().await };
    let refused = put.await.expect_err("too large");
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
    assert!(refused.message().contains("max_chunksize"), "{refused}");
    assert!(!door.house.folder.path().join("large.csv").exists());
    door.orchestrator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_columns_of_one_name_are_uploaded_in_no_format() {
    let mut door = Door::open().await;
    let rows = batch!("n" => Int64Array [1, 2], "m" => Int64Array [3, 4], "n" => Int64Array [5, 6]);
    for file in ["twice.csv", "twice.json", "twice.jsonl", "twice.arrow", "twice.parquet"] {
        let frames = encode_stream(slices(&rows, 2), true).map_ok(FlightData::from);
        let mut messages: Vec<FlightData> = frames.try_collect().await.expect("messages");
        messages[0].flight_descriptor = Some(FlightDescriptor::new_path(vec![format!("datasets/{file}")]));
        let put =
            async { door.client.do_put(stream::iter(messages)).await?.into_inner().try_collect::<Vec<_>>().await };
        let refused = put.await.expect_err("no step could read it");
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
        for told in ["two columns are called \"n\"", "rename one of them"] {
            assert!(refused.message().contains(told), "{file}: {refused}");
        }
        assert!(!door.house.folder.path().join(file).exists(), "{file}");
    }
    door.orchestrator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_done_also_when_what_it_kept_is_gone() {
    let mut door = Door::open().await;
    let run = door.keep(GOOD).await;
    let kept = door.orchestrator.service().store().kept(&run).await.expect("told").remove(0);
    std::fs::remove_file(door.orchestrator.service().own_folder().path().join(kept.path)).expect("removed");
    let told = door.poll(FlightDescriptor::new_path(vec!["runs".to_owned(), run])).await.expect("it is done");
    assert_eq!(told.progress, Some(1.0));
    assert!(told.info.expect("told").endpoint.is_empty());
    door.orchestrator.stop().await;
}

#[tokio::test]
async fn a_server_that_is_gone_is_named_to_who_plans() {
    let mut door = Door::open().await;
    door._steps.clear();
    let descriptor = FlightDescriptor::new_cmd(r#"{"step": "numbers", "params": {"rows": 1}}"#);
    let told = door.client.get_flight_info(descriptor).await.expect_err("nobody plans it");
    assert_eq!(told.code(), Code::Unavailable, "{told}");
    assert!(told.message().contains("is not reachable"), "{told}");
    door.orchestrator.stop().await;
}
