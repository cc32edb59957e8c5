//! Callers who go away in the middle of what they send.

use super::steps::{Nothing, spec};
use super::{command, frames, serve, served};
use bytes::Bytes;
use flight_common::client::StepClient;
use flight_common::server::Limits;
use flight_common::testing::batch;
use flight_common::wire::{Ending, Frame, FrameBody};
use flight_common::{
    BatchStream, Fault, FaultKind, InputSchemas, Inputs, Outputs, Planned, Registry, Step, StepCommand, StepContext,
    StepEnv, StepKind, StepSpec,
};
use futures::channel::mpsc::UnboundedSender;
use futures::{StreamExt, stream};
use h2::{Reason, SendStream};
use http_body_util::BodyExt;
use std::task::Poll;
use std::time::Duration;
use tokio::net::TcpStream;

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
