//! The server's bounds: how many, how long, and what a caller is told.

mod broken_off;
mod steps;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::{Action, FlightDescriptor};
use flight_common::client::{RemotePlan, StepClient};
use flight_common::proto;
use flight_common::server::{Limits, Listener, Server, Settings};
use flight_common::testing::{batch, slices};
use flight_common::wire::{Decoder, FrameStream, Gather, decode_stream, encode_stream};
use flight_common::{DataRoot, Fault, FaultKind, Registry, SpillSpace, StepCommand, StepEnv};
use futures::{StreamExt, TryStreamExt, stream};
use prost::Message;
use std::time::Duration;
use steps::{Any, Both, Parted, Stalled, numbers};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::transport::{Channel, Endpoint};

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

#[tokio::test]
async fn connections_that_say_nothing_are_closed_and_others_are_not() {
    let (_server, address) = served(Limits::default()).await;
    let client = StepClient::tcp(&address).expect("an address");
    client.check().await.expect("it answers");
    let closed = ["", "PRI * HTTP/2.0"].map(async |said: &str| {
        let mut socket = TcpStream::connect(&address).await.expect("open");
        socket.write_all(said.as_bytes()).await.expect("sent");
        let read = tokio::time::timeout(Duration::from_secs(60), socket.read_to_end(&mut Vec::new())).await;
        assert!(read.is_ok(), "{said:?} is waited for");
    });
    futures::future::join_all(closed).await;
    client.check().await.expect("it is still connected");
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
    let (_server, address) = served(Limits { opening: Duration::from_secs(1), ..Limits::default() }).await;
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
