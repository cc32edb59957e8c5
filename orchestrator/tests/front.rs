//! The Flight front door, for what stock clients in other languages cannot ask: polling and cancelling runs.

mod support;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::{ProstMessageExt, TicketStatementQuery};
use arrow_flight::{
    Action, CancelFlightInfoRequest, CancelFlightInfoResult, CancelStatus, FlightData, FlightDescriptor, FlightInfo,
    PollInfo, Ticket,
};
use clap::Parser;
use flight_common::client::StepClient;
use flight_common::server::Server;
use flight_common::testing::{batch, slices};
use flight_common::wire::{FrameStream, Gather, encode_stream};
use flight_common::{
    BatchStream, Effects, Fault, FaultKind, InputSchemas, Inputs, Outputs, Planned, SpillSpace, Step, StepCommand,
    StepContext, StepEnv, StepKind, StepSpec,
};
use futures::{StreamExt, TryStreamExt, stream};
use orchestrator::mesh::{Call, FlightMesh, Mesh};
use orchestrator::run::Engine;
use orchestrator::serve::{Orchestrator, ServeOptions};
use prost::Message;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use support::{House, Nothing, until};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
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

/// Gives its rows, and gives them once more by a further output.
struct Twice;

impl Step for Twice {
    type Params = Nothing;
    type Run = ();

    fn spec(&self) -> StepSpec {
        let outputs = &["output", "again"];
        StepSpec { outputs, ..support::spec("twice", StepKind::Transform, flight_common::INPUT, Effects::None) }
    }

    async fn plan(&self, _: Nothing, inputs: &InputSchemas, _: &StepEnv) -> Result<Planned<()>, Fault> {
        Ok(Planned::new(inputs.only().clone(), ()).output(inputs.only().clone()))
    }

    fn process(&self, (): (), inputs: Inputs, context: &StepContext) -> Result<Outputs, Fault> {
        let input = inputs.only()?;
        let (sender, again) = futures::channel::mpsc::unbounded();
        let (schema, claimed) = (input.schema(), context.claims("again"));
        let main = input.map_batches(schema.clone(), move |batch| {
            // Whether anybody reads it is for them to say.
            let _ = sender.unbounded_send(Ok(batch.clone()));
            Ok(batch)
        });
        Ok(Outputs::main(main).and(claimed.then(|| BatchStream::new(schema, again))))
    }
}

/// One address, from which connections go to these servers in turn: what a cluster has before the replicas of a step.
async fn balanced(servers: Vec<SocketAddr>) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let accepting = tokio::spawn(async move {
        for server in servers.into_iter().cycle() {
            let Ok((mut caller, _)) = listener.accept().await else { return };
            tokio::spawn(async move {
                let mut callee = TcpStream::connect(server).await.expect("the server is there");
                // Either may end as it likes.
                let _ = tokio::io::copy_bidirectional(&mut caller, &mut callee).await;
            });
        }
    });
    (address, accepting)
}

fn numbers() -> FrameStream {
    let rows = batch!("n" => Int64Array [1, 2, 3]);
    FrameStream::new(rows.schema(), encode_stream(slices(&rows, 2), false))
}

fn command(step: &str, exchange_id: &str) -> StepCommand {
    StepCommand { step: step.to_owned(), exchange_id: exchange_id.to_owned(), ..StepCommand::default() }
}

#[tokio::test]
async fn all_calls_of_an_exchange_reach_the_replica_that_has_it() {
    let house = House::new();
    let registry = || House::registry().with(Twice);
    let ((at, first), (beside, second)) = (house.listening(registry()).await, house.listening(registry()).await);
    let (address, _balancer) = balanced(vec![at, beside]).await;
    let clients = vec![StepClient::tcp(&address).expect("an address")];
    let mesh = FlightMesh::connect(clients, house.env.data_root.clone()).await.expect("it answers");
    let door = Door::before(house, mesh, vec![first, second]).await;
    let client = StepClient::tcp(&door.orchestrator.front().to_string()).expect("an address");

    for number in 0..4 {
        let id = format!("further-{number}");
        let both = StepCommand { outputs: vec!["again".to_owned()], ..command("twice", &id) };
        let exchange = client.exchange(&both, Some(numbers()), Gather::Aligned, None).await.expect("it begins");
        exchange.frames.try_collect::<Vec<_>>().await.expect("a normal end");
        let further = StepCommand { output: "again".to_owned(), ..command("twice", &id) };
        let fetched = client.output(&further, Gather::Aligned, None).await.expect("it waits there");
        fetched.frames.try_collect::<Vec<_>>().await.expect("a normal end");
        assert_eq!(fetched.report.get().map(|report| report.rows_in), Some(3));

        let id = format!("staged-{number}");
        let staged = StepCommand { input: "second".to_owned(), ..command("second-then-first", &id) };
        client.stage(&staged, numbers()).await.expect("kept");
        let joined = command("second-then-first", &id);
        let exchange = client.exchange(&joined, Some(numbers()), Gather::Aligned, None).await.expect("both are there");
        exchange.frames.try_collect::<Vec<_>>().await.expect("a normal end");
        assert_eq!(exchange.report.get().map(|report| report.rows_out), Some(6));
    }
    let unknown = StepCommand { output: "again".to_owned(), ..command("twice", "unknown") };
    let fault = client.output(&unknown, Gather::Aligned, None).await.err().expect("no such exchange");
    assert_eq!(fault.kind(), FaultKind::NotFound);
    door.orchestrator.stop().await;
}

/// Far more rows than there is memory, and each of them is wanted before the first can come.
const HUGE: &str = "SELECT a.n, b.n AS m FROM sums.read a CROSS JOIN sums.read b ORDER BY a.n * b.n";

/// A door before a table of 100,000 rows that was kept, with little memory and so much disk.
async fn door_with_quota(quota: u64) -> Door {
    let mut house = House::with_memory(16 << 20);
    house.env.space = SpillSpace::new(house.env.space.budget().clone(), house.folder.path(), quota);
    let (mesh, steps) = house.served().await;
    let mut door = Door::before(house, mesh, vec![steps]).await;
    door.keep(&GOOD.replace("rows: 2500", "rows: 100000")).await;
    until("the run is over", || door.is_idle()).await;
    door
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_fills_no_more_disk_than_the_quota_and_gives_it_back() {
    const QUOTA: u64 = 8 << 20;
    let mut door = door_with_quota(QUOTA).await;
    let mut rows = ask(&mut door.client, HUGE).await;
    let failed = tokio::time::timeout(SOON, rows.try_next()).await.expect("it ends").expect_err("too much");
    let FlightError::Tonic(status) = failed else { panic!("{failed}") };
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    assert!(status.message().contains(&format!("the quota of {QUOTA} bytes")), "{status}");
    until("all is given back", || door.is_idle()).await;
    assert!(door.house.env.space.budget().peak() <= 16 << 20, "more memory than there is");
    door.orchestrator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_ends_with_its_client() {
    let mut door = door_with_quota(4 << 30).await;
    let space = door.house.env.space.clone();
    let rows = ask(&mut door.client, HUGE).await;
    until("it goes to disk", || space.disk_used() > 0).await;
    drop(rows);
    until("all is given back", || door.is_idle()).await;

    let url = format!("http://{}", door.orchestrator.front());
    let channel = Channel::from_shared(url).expect("a URL").connect().await.expect("it is open");
    let mut other = FlightServiceClient::new(channel);
    let rows = ask(&mut other, HUGE).await;
    until("it goes to disk", || space.disk_used() > 0).await;
    drop((rows, other));
    until("all is given back", || door.is_idle()).await;
    door.orchestrator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_row_is_given_of_a_kept_file_that_was_changed() {
    let mut door = Door::open().await;
    let run = door.keep(GOOD).await;
    let kept = door.orchestrator.service().store().kept(&run).await.expect("told").remove(0);
    let path = door.orchestrator.service().own_folder().path().join(kept.path);
    let query = "SELECT sum(n) FROM sums.read";
    let ticket = || Ticket { ticket: format!("runs/{run}/read").into() };
    assert!(door.client.do_get(ticket()).await.is_ok());
    assert_eq!(ask(&mut door.client, query).await.try_collect::<Vec<_>>().await.expect("a row").len(), 1);

    let mut bytes = std::fs::read(&path).expect("there");
    let place = bytes.len() - 100;
    bytes[place] ^= 1;
    std::fs::write(&path, bytes).expect("spoilt");
    let refused = door.client.do_get(ticket()).await.expect_err("refused");
    assert!(refused.message().contains("was changed"), "{refused}");
    let refused = ask(&mut door.client, query).await.try_next().await.expect_err("refused");
    assert!(refused.to_string().contains("was changed"), "{refused}");
    door.orchestrator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_that_do_not_fit_are_told() {
    let mut door = Door::open().await;
    door.keep(GOOD).await;
    for query in ["SELECT n + 9223372036854775807 FROM sums.read", "SELECT sum(n * 9223372036854775) FROM sums.read"] {
        let told = ask(&mut door.client, query).await.try_collect::<Vec<_>>().await.expect_err("it does not fit");
        assert!(told.to_string().contains("too large"), "{query}: {told}");
    }
    door.orchestrator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_query_takes_the_orchestrator_along() {
    let mut door = Door::open().await;
    door.keep(GOOD).await;
    let refused = [
        (format!("SELECT {}1", "1+".repeat(200_000)), "is the most"),
        (format!("SELECT {}1", "1+".repeat(1_000)), "levels deep"),
        (format!("SELECT {}1{}", "(".repeat(100_000), ")".repeat(100_000)), "nests too deeply"),
        (vec!["SELECT 1"; 1_000].join(" EXCEPT "), "levels deep"),
        ("SELECT length(repeat('x', 2000000000))".to_owned(), "at once"),
        ("WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n FROM r) SELECT * FROM r".to_owned(), "ecursive"),
    ];
    for (query, why) in refused {
        let ticket = TicketStatementQuery { statement_handle: query.clone().into() };
        let ticket = Ticket { ticket: ticket.as_any().encode_to_vec().into() };
        let failed = match door.client.do_get(ticket).await {
            Err(status) => status,
            Ok(rows) => rows.into_inner().try_collect::<Vec<_>>().await.expect_err("refused"),
        };
        assert!(failed.message().contains(why), "{} …: {failed}", &query[..40]);
    }
    let rows: Vec<_> = ask(&mut door.client, "SELECT n FROM sums.read").await.try_collect().await.expect("rows");
    assert_eq!(rows.iter().map(RecordBatch::num_rows).sum::<usize>(), 2500);
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
    let put = door.client.do_put(stream::iter(messages().await)).await.expect("taken").into_inner();
    assert_eq!(put.try_collect::<Vec<_>>().await.expect("a receipt").len(), 1);
    assert_eq!(std::fs::read_to_string(root.join("people.csv")).expect("there"), "n\n1\n2\n3\n");
    door.orchestrator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_that_differ_in_case_alone_are_told_apart() {
    let mut door = Door::open().await;
    let more = "  - {id: Read, service: numbers, params: {rows: 3}, checkpoint: true}\n";
    door.keep(&format!("{GOOD}{more}")).await;
    for (table, count) in [("\"Read\"", 3), ("read", 2500)] {
        let query = format!("SELECT count(*) AS n FROM sums.{table}");
        let rows: Vec<RecordBatch> = ask(&mut door.client, &query).await.try_collect().await.expect("a row");
        assert_eq!(rows[0]["n"].as_primitive::<Int64Type>().value(0), count, "{table}");
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

#[tokio::test]
async fn an_input_that_cannot_be_staged_is_told_at_once() {
    let house = House::new();
    let (address, _server) = house.listening(House::registry()).await;
    let client = StepClient::tcp(&address.to_string()).expect("an address");
    // As many inputs as may wait for their exchanges.
    for number in 0..256 {
        let staged = StepCommand { input: "second".to_owned(), ..command("second-then-first", &number.to_string()) };
        client.stage(&staged, numbers()).await.expect("kept");
    }
    let mesh = FlightMesh::connect(vec![client], house.env.data_root.clone()).await.expect("it answers");
    let call = Call { command: command("second-then-first", "late"), inputs: vec![numbers(), numbers()], limit: None };
    let started = tokio::time::timeout(Duration::from_secs(10), mesh.start(call)).await.expect("it is told at once");
    assert_eq!(started.err().map(|fault| fault.kind()), Some(FaultKind::Busy));
}
