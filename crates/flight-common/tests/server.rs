//! The server's bounds: how many, how long, and what a caller is told.

use arrow::array::{AsArray, Int64Array, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::{Action, FlightDescriptor};
use bytes::Bytes;
use flight_common::client::{RemotePlan, StepClient};
use flight_common::proto;
use flight_common::server::{Limits, Listener, Server, Settings};
use flight_common::testing::{batch, slices};
use flight_common::wire::{Decoder, Ending, Frame, FrameBody, FrameStream, Gather, decode_stream, encode_stream};
use flight_common::{
    ANY_INPUTS, BatchStream, DataRoot, Effects, Fault, FaultKind, InputSchemas, Inputs, OUTPUT, Outputs, Planned,
    Registry, SpillSpace, Step, StepCommand, StepContext, StepEnv, StepKind, StepSpec,
};
use futures::channel::mpsc::UnboundedSender;
use futures::{StreamExt, TryStreamExt, stream};
use h2::{Reason, SendStream};
use http_body_util::BodyExt;
use prost::Message;
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::net::TcpStream;
use tonic::transport::{Channel, Endpoint};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Nothing {}

fn spec(name: &'static str, kind: StepKind, inputs: &'static [&'static str]) -> StepSpec {
    StepSpec {
        name,
        version: "1",
        kind,
        summary: "For tests.",
        manual: "",
        inputs,
        outputs: OUTPUT,
        effects: Effects::None,
        keeps_order: true,
        aliases: &[],
        examples: &[],
    }
}

fn numbers() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, true)]))
}

/// Gives one row, and then stands still.
struct Stalled;

impl Step for Stalled {
    type Params = Nothing;
    type Run = ();

    fn spec(&self) -> StepSpec {
        spec("stalled", StepKind::Extract, &[])
    }

    async fn plan(&self, _: Nothing, _: &InputSchemas, _: &StepEnv) -> Result<Planned<()>, Fault> {
        Ok(Planned::new(numbers(), ()))
    }

    fn process(&self, (): (), _: Inputs, _: &StepContext) -> Result<Outputs, Fault> {
        let row = RecordBatch::try_new(numbers(), vec![Arc::new(Int64Array::from(vec![1]))])?;
        let items = stream::once(async { Ok(row) }).chain(stream::pending());
        Ok(Outputs::main(BatchStream::new(numbers(), items)))
    }
}

/// Gives both of its inputs, one after the other.
struct Both;

impl Step for Both {
    type Params = Nothing;
    type Run = ();

    fn spec(&self) -> StepSpec {
        spec("both", StepKind::Transform, &["first", "second"])
    }

    async fn plan(&self, _: Nothing, inputs: &InputSchemas, _: &StepEnv) -> Result<Planned<()>, Fault> {
        Ok(Planned::new(inputs.at(0).clone(), ()))
    }

    fn process(&self, (): (), mut inputs: Inputs, _: &StepContext) -> Result<Outputs, Fault> {
        let (first, second) = (inputs.take(0)?, inputs.take(1)?);
        Ok(Outputs::main(BatchStream::new(first.schema(), first.chain(second))))
    }
}

/// Gives all rows of all its inputs, whatever there are, and says in the schema what they were called.
struct Any;

impl Step for Any {
    type Params = Nothing;
    type Run = SchemaRef;

    fn spec(&self) -> StepSpec {
        spec("any", StepKind::Transform, ANY_INPUTS)
    }

    async fn plan(&self, _: Nothing, inputs: &InputSchemas, _: &StepEnv) -> Result<Planned<SchemaRef>, Fault> {
        let names = inputs.iter().map(|(name, _)| name).collect::<Vec<_>>().join(" ");
        let schema: SchemaRef = Arc::new(Schema::new(vec![Field::new(names, DataType::Int64, true)]));
        Ok(Planned::new(schema.clone(), schema))
    }

    fn process(&self, schema: SchemaRef, mut inputs: Inputs, _: &StepContext) -> Result<Outputs, Fault> {
        let streams: Vec<BatchStream> = (0..).map_while(|place| inputs.take(place).ok()).collect();
        let renamed = schema.clone();
        let rows = stream::iter(streams).flatten();
        let rows = rows.map(move |batch| Ok(RecordBatch::try_new(renamed.clone(), batch?.columns().to_vec())?));
        Ok(Outputs::main(BatchStream::new(schema, rows)))
    }
}

/// Gives the even numbers, and the odd ones by an output of their own.
struct Parted;

impl Step for Parted {
    type Params = Nothing;
    type Run = ();

    fn spec(&self) -> StepSpec {
        StepSpec { outputs: &["output", "odd"], ..spec("parted", StepKind::Transform, &["input"]) }
    }

    async fn plan(&self, _: Nothing, _: &InputSchemas, _: &StepEnv) -> Result<Planned<()>, Fault> {
        Ok(Planned::new(numbers(), ()).output(numbers()))
    }

    fn process(&self, (): (), inputs: Inputs, context: &StepContext) -> Result<Outputs, Fault> {
        let (sender, odd) = futures::channel::mpsc::unbounded();
        let claimed = context.claims("odd");
        let even = inputs.only()?.map_batches(numbers(), move |batch| {
            let part = |rest: i64| {
                let keep = batch["n"].as_primitive::<Int64Type>().unary(|n: i64| n % 2);
                let keep: Int64Array = keep;
                Ok::<_, Fault>(filter_record_batch(&batch, &keep.iter().map(|n| Some(n == Some(rest))).collect())?)
            };
            if claimed {
                // A reader that is gone misses nothing.
                let _ = sender.unbounded_send(part(1));
            }
            part(0)
        });
        Ok(Outputs::main(even).and(claimed.then(|| BatchStream::new(numbers(), odd))))
    }
}

/// Tells what it sees of its input: rows, a fault, the end, or that nobody asks for more.
struct Witness(UnboundedSender<&'static str>);

/// Tells that it is gone.
struct Gone(UnboundedSender<&'static str>);

impl Drop for Gone {
    fn drop(&mut self) {
        drop(self.0.unbounded_send("gone"));
    }
}

impl Step for Witness {
    type Params = Nothing;
    type Run = ();

    fn spec(&self) -> StepSpec {
        spec("witness", StepKind::Load, &["input"])
    }

    async fn plan(&self, _: Nothing, inputs: &InputSchemas, _: &StepEnv) -> Result<Planned<()>, Fault> {
        Ok(Planned::new(inputs.at(0).clone(), ()))
    }

    fn process(&self, (): (), inputs: Inputs, _: &StepContext) -> Result<Outputs, Fault> {
        let (input, rows, end) = (inputs.only()?, self.0.clone(), Gone(self.0.clone()));
        let schema = input.schema();
        let seen = input.inspect(move |item| drop(rows.unbounded_send(if item.is_ok() { "rows" } else { "fault" })));
        let ended = stream::poll_fn(move |_| {
            drop(end.0.unbounded_send("end"));
            Poll::Ready(None)
        });
        Ok(Outputs::main(BatchStream::new(schema, seen.chain(ended))))
    }
}

async fn served(limits: Limits) -> (Server, String) {
    serve(Registry::new().with(Stalled).with(Both).with(Any).with(Parted), limits).await
}

async fn serve(registry: Registry, limits: Limits) -> (Server, String) {
    let listener = Listener::tcp("127.0.0.1:0".parse().expect("an address")).await.expect("a port");
    let address = listener.address().expect("TCP").to_string();
    let data_root = DataRoot::open(std::env::temp_dir()).expect("a folder");
    let settings = Settings {
        registry,
        env: StepEnv { data_root, space: SpillSpace::default(), http_allow: Default::default() },
        limits,
        drain: Duration::from_secs(5),
    };
    (Server::start(settings, listener).await, address)
}

/// A stock client's connection.
fn channel(address: &str) -> Channel {
    Endpoint::from_shared(format!("http://{address}")).expect("an address").connect_lazy()
}

fn command(step: &str, exchange_id: &str) -> StepCommand {
    StepCommand { step: step.to_owned(), exchange_id: exchange_id.to_owned(), ..StepCommand::default() }
}

async fn read_all(client: &StepClient, command: &StepCommand, limit: Option<Duration>) -> Result<usize, Fault> {
    let exchange = client.exchange(command, None, Gather::Aligned, limit).await?;
    Ok(exchange.frames.try_collect::<Vec<_>>().await?.len())
}

fn frames(rows: &RecordBatch) -> FrameStream {
    FrameStream::new(rows.schema(), encode_stream(slices(rows, 2), false))
}

/// Begins a call with a client that says only what it is told to, and has said these rows.
async fn begun(address: &str, method: &str, command: &StepCommand) -> (h2::client::ResponseFuture, SendStream<Bytes>) {
    let socket = TcpStream::connect(address).await.expect("it listens");
    let (calls, connection) = h2::client::handshake(socket).await.expect("HTTP/2");
    tokio::spawn(connection);
    let mut calls = calls.ready().await.expect("ready");
    let call = http::Request::post(format!("http://{address}/arrow.flight.protocol.FlightService/{method}"));
    let call = call.header("content-type", "application/grpc").header("te", "trailers").body(()).expect("a call");
    let (answer, mut said) = calls.send_request(call, false).expect("sent");
    let first = stream::once(std::future::ready(Ok(Frame::describing(command.to_json()))));
    let rows = first.chain(frames(&batch!("n" => Int64Array [1, 2, 3])));
    let bytes = FrameBody::new(rows, Ending::Reset).collect().await.expect("all of it").to_bytes();
    said.send_data(bytes, false).expect("sent");
    (answer, said)
}

#[tokio::test]
async fn an_input_that_is_broken_off_has_no_end() {
    let (sees, mut seen) = futures::channel::mpsc::unbounded();
    let (_server, address) = serve(Registry::new().with(Witness(sees)), Limits::default()).await;
    let mut last = async || {
        let mut all = seen.by_ref().take_while(|seen| std::future::ready(*seen != "gone")).collect::<Vec<_>>().await;
        all.pop()
    };
    // The first is how a proxy passes on that its client has gone away, the second how most clients say so.
    for reason in [Reason::NO_ERROR, Reason::CANCEL, Reason::INTERNAL_ERROR] {
        for method in ["DoExchange", "DoPut"].repeat(10) {
            let (answer, mut said) = begun(&address, method, &command("witness", "")).await;
            // An exchange has answered when it has begun, a load once it is over.
            if method == "DoExchange" {
                answer.await.expect("an answer");
            }
            said.send_reset(reason);
            assert_ne!(last().await, Some("end"), "{method} {reason}");
        }
    }
    let (_answer, mut said) = begun(&address, "DoExchange", &command("witness", "")).await;
    said.send_data(Bytes::new(), true).expect("sent");
    assert_eq!(last().await, Some("end"));
}

#[tokio::test]
async fn a_staged_input_that_is_broken_off_is_forgotten() {
    let limits = Limits { staging: Duration::from_millis(10), ..Limits::default() };
    let (_server, address) = served(limits).await;
    let staging = StepCommand { input: "second".to_owned(), ..command("both", "x-9") };
    let (answer, said) = begun(&address, "DoPut", &staging).await;
    // It is known by then.
    let answer = answer.await.expect("an answer");
    let client = StepClient::tcp(&address).expect("an address");
    let again = async || client.stage(&staging, frames(&batch!("n" => Int64Array [4]))).await;
    assert_eq!(again().await.expect_err("it is there already").kind(), FaultKind::BadParams);
    drop((answer, said));
    let staged = async {
        while again().await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), staged).await.expect("there is room for another one");
}

#[tokio::test]
async fn an_exchange_is_known_by_its_step_and_its_id() {
    let (_server, address) = served(Limits::default()).await;
    let client = StepClient::tcp(&address).expect("an address");
    let claiming = StepCommand { outputs: vec!["odd".to_owned()], ..command("parted", "x-10") };
    let fetching = StepCommand { output: "odd".to_owned(), ..command("parted", "x-10") };
    let input = FrameStream::new(numbers(), frames(&batch!("n" => Int64Array [1, 2])).chain(stream::pending()));
    let exchange = client.exchange(&claiming, Some(input), Gather::Aligned, None).await.expect("it begins");
    // As somebody else might, who happens to have chosen the same id.
    let other = client.exchange(&command("stalled", "x-10"), None, Gather::Aligned, None).await.expect("it begins");
    let stealing = StepCommand { step: "stalled".to_owned(), ..fetching.clone() };
    let stolen = client.output(&stealing, Gather::Aligned, None).await;
    assert_eq!(stolen.err().map(|fault| fault.kind()), Some(FaultKind::NotFound));
    client.cancel(&command("stalled", "x-10")).await.expect("heard");
    let cancelled = other.frames.try_collect::<Vec<_>>().await.expect_err("cancelled");
    assert_eq!(cancelled.kind(), FaultKind::Cancelled);
    client.output(&fetching, Gather::Aligned, None).await.expect("its own output is there yet");
    drop(exchange);
}

#[tokio::test]
async fn more_exchanges_than_allowed_are_told_to_come_back() {
    let (_server, address) = served(Limits { exchanges: 1, ..Limits::default() }).await;
    let client = StepClient::tcp(&address).expect("an address");
    let _first = client.exchange(&command("stalled", ""), None, Gather::Aligned, None).await.expect("taken");
    let fault = read_all(&client, &command("stalled", ""), None).await.expect_err("one too many");
    assert_eq!(fault.kind(), FaultKind::Busy);
    assert!(fault.retry_delay().is_some());
}

#[tokio::test]
async fn a_callers_deadline_ends_its_exchange() {
    let (server, address) = served(Limits::default()).await;
    let client = StepClient::tcp(&address).expect("an address");
    let fault = read_all(&client, &command("stalled", ""), Some(Duration::from_millis(100))).await;
    assert_eq!(fault.expect_err("too late").kind(), FaultKind::TimedOut);
    server.stop().await.expect("nothing is left running");
}

#[tokio::test]
async fn an_exchange_can_be_cancelled_by_its_id() {
    let (_server, address) = served(Limits::default()).await;
    let client = StepClient::tcp(&address).expect("an address");
    let stalled = command("stalled", "x-1");
    let exchange = client.exchange(&stalled, None, Gather::Aligned, None).await.expect("taken");
    client.cancel(&stalled).await.expect("heard");
    let fault = exchange.frames.try_collect::<Vec<_>>().await.expect_err("cancelled");
    assert_eq!(fault.kind(), FaultKind::Cancelled);
}

#[tokio::test]
async fn a_second_input_is_staged_beside_its_exchange() {
    let (_server, address) = served(Limits::default()).await;
    let client = StepClient::tcp(&address).expect("an address");
    let (first, second) = (batch!("n" => Int64Array [1, 2, 3]), batch!("n" => Int64Array [4, 5]));
    let exchange_command = command("both", "x-2");
    let staged = StepCommand { input: "second".to_owned(), ..exchange_command.clone() };
    client.stage(&staged, frames(&second)).await.expect("kept");
    let exchange = client.exchange(&exchange_command, Some(frames(&first)), Gather::Aligned, None).await;
    let exchange = exchange.expect("both are there");
    let report = exchange.report.clone();
    exchange.frames.try_collect::<Vec<_>>().await.expect("a normal end");
    assert_eq!(report.get().map(|report| (report.rows_in, report.rows_out)), Some((5, 5)));
}

#[tokio::test]
async fn the_inputs_of_a_step_that_takes_any_are_called_as_the_caller_says() {
    let (_server, address) = served(Limits::default()).await;
    let client = StepClient::tcp(&address).expect("an address");
    let (first, second) = (batch!("n" => Int64Array [1, 2, 3]), batch!("n" => Int64Array [4, 5]));
    let named = StepCommand { inputs: vec!["b".to_owned(), "a".to_owned()], ..command("any", "x-5") };
    let staged = StepCommand { input: "a".to_owned(), ..command("any", "x-5") };
    client.stage(&staged, frames(&second)).await.expect("kept");
    let exchange = client.exchange(&named, Some(frames(&first)), Gather::Aligned, None).await.expect("both are there");
    assert_eq!(exchange.frames.schema().field(0).name(), "b a");
    let report = exchange.report.clone();
    exchange.frames.try_collect::<Vec<_>>().await.expect("a normal end");
    assert_eq!(report.get().map(|report| (report.rows_in, report.rows_out)), Some((5, 5)));

    let unnamed = client.exchange(&command("any", ""), Some(frames(&first)), Gather::Aligned, None).await;
    assert_eq!(unnamed.expect("one input").frames.schema().field(0).name(), "input");
}

/// The numbers in these frames.
async fn read_numbers(frames: FrameStream) -> Result<Vec<i64>, Fault> {
    let rows = decode_stream(Decoder::new(frames.schema()), frames.skip(1)).collect_rows().await?;
    Ok(rows["n"].as_primitive::<Int64Type>().values().to_vec())
}

#[tokio::test]
async fn a_further_output_is_fetched_once_beside_its_exchange() {
    let (_server, address) = served(Limits::default()).await;
    let client = StepClient::tcp(&address).expect("an address");
    let claiming = StepCommand { outputs: vec!["odd".to_owned()], ..command("parted", "x-7") };
    let fetching = StepCommand { output: "odd".to_owned(), ..command("parted", "x-7") };
    let input = batch!("n" => Int64Array [1, 2, 3, 4, 5]);
    let exchange = client.exchange(&claiming, Some(frames(&input)), Gather::Aligned, None).await.expect("it begins");
    let odd = client.output(&fetching, Gather::Aligned, None).await.expect("it waits");
    let (even, odd) = tokio::join!(read_numbers(exchange.frames), read_numbers(odd.frames));
    assert_eq!((even, odd), (Ok(vec![2, 4]), Ok(vec![1, 3, 5])));
    let fault = client.output(&fetching, Gather::Aligned, None).await.map(drop).expect_err("it is gone");
    assert_eq!(fault.kind(), FaultKind::NotFound);
}

#[tokio::test]
async fn a_further_output_waits_after_the_end_and_goes_with_an_exchange_that_is_given_up() {
    let (_server, address) = served(Limits::default()).await;
    let client = StepClient::tcp(&address).expect("an address");
    let claiming = |id: &str| StepCommand { outputs: vec!["odd".to_owned()], ..command("parted", id) };
    let fetching = |id: &str| StepCommand { output: "odd".to_owned(), ..command("parted", id) };
    let input = batch!("n" => Int64Array [1, 2, 3]);
    let exchange =
        client.exchange(&claiming("x-8"), Some(frames(&input)), Gather::Aligned, None).await.expect("it begins");
    assert_eq!(read_numbers(exchange.frames).await, Ok(vec![2]));
    let odd = client.output(&fetching("x-8"), Gather::Aligned, None).await.expect("it still waits");
    assert_eq!(read_numbers(odd.frames).await, Ok(vec![1, 3]));

    let endless = FrameStream::new(numbers(), frames(&input).chain(stream::pending()));
    let exchange = client.exchange(&claiming("x-9"), Some(endless), Gather::Aligned, None).await.expect("it begins");
    let odd = client.output(&fetching("x-9"), Gather::Aligned, None).await.expect("it waits");
    drop(exchange);
    let fault = tokio::time::timeout(Duration::from_secs(10), read_numbers(odd.frames)).await.expect("it ends too");
    assert_eq!(fault.expect_err("not as if all had come").kind(), FaultKind::Cancelled);
}

#[tokio::test]
async fn claims_that_nobody_could_meet_are_refused() {
    let (_server, address) = served(Limits::default()).await;
    let client = StepClient::tcp(&address).expect("an address");
    let input = batch!("n" => Int64Array [1]);
    let claiming = |claimed: &str, id| StepCommand { outputs: vec![claimed.to_owned()], ..command("parted", id) };
    for refused in [
        claiming("od", "x-10"),
        claiming("output", "x-10"),
        claiming("odd", ""),
        StepCommand { output: "odd".to_owned(), ..command("parted", "x-10") },
        StepCommand { input: "input".to_owned(), ..command("parted", "x-10") },
    ] {
        let answer = client.exchange(&refused, Some(frames(&input)), Gather::Aligned, None).await.map(drop);
        assert_eq!(answer.expect_err("refused").kind(), FaultKind::BadParams, "{refused:?}");
    }
}

#[tokio::test]
async fn a_step_that_takes_any_inputs_is_planned_with_the_names_of_the_schemas() {
    let (_server, address) = served(Limits::default()).await;
    let client = StepClient::tcp(&address).expect("an address");
    let with = |command: StepCommand, name: &str| command.with_input(name, &numbers()).expect("a schema");
    let two = with(with(command("any", ""), "orders"), "customers");
    let RemotePlan { outputs, .. } = client.plan(&two).await.expect("it plans");
    assert_eq!(outputs["output"].field(0).name(), "customers orders");
    let RemotePlan { outputs, .. } =
        client.plan(&StepCommand { inputs: vec!["orders".to_owned()], ..two }).await.expect("it plans");
    assert_eq!(outputs["output"].field(0).name(), "orders");
    let wrong = StepCommand { inputs: vec!["a.b".to_owned()], ..with(command("any", ""), "a.b") };
    assert_eq!(client.plan(&wrong).await.expect_err("no name").kind(), FaultKind::BadParams);
    let staged = StepCommand { input: "a.b".to_owned(), ..command("any", "x-6") };
    let fault = client.stage(&staged, frames(&batch!("n" => Int64Array [1]))).await.expect_err("no name");
    assert_eq!(fault.kind(), FaultKind::BadParams);
}

#[tokio::test]
async fn an_input_that_is_never_staged_is_not_waited_for_without_end() {
    let (_server, address) = served(Limits { opening: Duration::from_millis(100), ..Limits::default() }).await;
    let client = StepClient::tcp(&address).expect("an address");
    let rows = batch!("n" => Int64Array [1]);
    let outcome = client.exchange(&command("both", "x-3"), Some(frames(&rows)), Gather::Aligned, None).await;
    let Err(fault) = outcome else { panic!("it cannot have begun") };
    assert_eq!(fault.kind(), FaultKind::TimedOut);
    assert!(fault.help_text().is_some_and(|help| help.contains("DoPut")), "{fault}");
}

#[tokio::test]
async fn an_input_that_the_step_does_not_have_is_refused_with_its_names() {
    let (_server, address) = served(Limits::default()).await;
    let client = StepClient::tcp(&address).expect("an address");
    let rows = batch!("n" => Int64Array [1]);
    let staged = StepCommand { input: "secnd".to_owned(), ..command("both", "x-4") };
    let fault = client.stage(&staged, frames(&rows)).await.expect_err("no such input");
    assert!(fault.help_text().is_some_and(|help| help.contains("second")), "{fault:?}");
}

#[tokio::test]
async fn rows_are_put_into_loads_alone() {
    let (_server, address) = served(Limits::default()).await;
    let client = StepClient::tcp(&address).expect("an address");
    let fault = client.stage(&command("both", ""), frames(&batch!("n" => Int64Array [1]))).await.expect_err("no load");
    assert_eq!(fault.kind(), FaultKind::BadParams);
    assert!(fault.help_text().is_some_and(|help| help.contains("DoExchange")), "{fault:?}");
}

#[tokio::test]
async fn who_asks_in_protobuf_is_answered_in_protobuf() {
    let (_server, address) = served(Limits::default()).await;
    let mut client = FlightServiceClient::new(channel(&address));
    let asked = proto::StepCommand { step: "both".to_owned(), ..proto::StepCommand::default() };
    let action = Action { r#type: "describe".to_owned(), body: asked.encode_to_vec().into() };
    let answers: Vec<_> =
        client.do_action(action).await.expect("answered").into_inner().try_collect().await.expect("all");
    let described = proto::StepDescription::decode(&answers[0].body[..]).expect("protobuf");
    assert_eq!((described.name.as_str(), described.inputs.len()), ("both", 2));
}

#[tokio::test]
async fn planning_without_the_schema_of_an_input_says_what_is_missing() {
    let (_server, address) = served(Limits::default()).await;
    let mut client = FlightServiceClient::new(channel(&address));
    let status =
        client.get_schema(FlightDescriptor::new_cmd(command("both", "").to_json())).await.expect_err("no schema");
    let fault = Fault::from_status(&status);
    assert_eq!(fault.kind(), FaultKind::BadParams);
    assert!(fault.message().contains("\"first\""), "{fault}");
}

#[tokio::test]
async fn health_is_told_for_every_step() {
    let (_server, address) = served(Limits::default()).await;
    let mut health = tonic_health::pb::health_client::HealthClient::new(channel(&address));
    for service in ["", "stalled", "both"] {
        let asked = tonic_health::pb::HealthCheckRequest { service: service.to_owned() };
        let status = health.check(asked).await.expect("answered").into_inner().status();
        assert_eq!(status, tonic_health::pb::health_check_response::ServingStatus::Serving, "{service}");
    }
}
