//! `DoExchange` and `DoGet`: a step runs, and its outputs stream back.
//!
//! The step runs on the compute pool. Between it and the network lies a queue: a bounded one for callers of the mesh,
//! who read while they write; one that goes on to disk for all others, since most people's first client writes
//! everything before it reads, and would hang. The stream ends with a message of metadata alone, the
//! [`StepReport`](crate::StepReport); its absence means that the run did not end well.

use super::call::{Caller, body, failed, streaming};
use super::parking::Parked;
use super::{Limits, Service};
use crate::command::{Form, StepCommand};
use crate::compute;
use crate::drive::{Driven, Gauge, drive};
use crate::fault::Fault;
use crate::params::did_you_mean;
use crate::queue::{QueueSender, byte_queue};
use crate::registry::PlannedStep;
use crate::spool::{SpillSender, SpillSpace, spill_queue};
use crate::step::InputSchemas;
use crate::stream::{BatchStream, EdgeStream};
use crate::wire::{Decoder, Frame, FrameReader, FrameStream, Gather, decode_stream, encode_stream};
use arrow::datatypes::Schema;
use arrow_flight::Ticket;
use futures::{Stream, StreamExt};
use http::Response;
use prost::Message;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tracing::Instrument;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// A call whose command has been read.
pub(super) struct Opening {
    pub command: StepCommand,
    pub form: Form,
    /// The message that held the command, if it also held a schema.
    first: Option<Frame>,
    reader: FrameReader,
}

impl Opening {
    /// Reads the first message of a stream. Python and C++ send the descriptor alone, Rust sends it with the schema.
    pub async fn read(request: Body, patience: Duration) -> Result<Self, Fault> {
        let mut reader = FrameReader::request(request, Gather::Aligned);
        let frame = next_in_time(&mut reader, patience).await?;
        let Some(mut frame) = frame else {
            return Err(Fault::bad_params("the stream ended before it named a step"));
        };
        let Some(descriptor) = frame.descriptor.take() else {
            return Err(Fault::bad_params("the first message has no descriptor")
                .help("begin with FlightDescriptor.for_command(…) that holds the step command"));
        };
        let (command, form) = StepCommand::read(&descriptor.cmd)?;
        let first = Some(frame).filter(|frame| !frame.header.is_empty());
        Ok(Self { command, form, first, reader })
    }

    /// The rows that the call brings.
    pub async fn input(mut self, patience: Duration) -> Result<BatchStream, Fault> {
        let schema = match self.first.take() {
            Some(frame) => Some(frame),
            None => next_in_time(&mut self.reader, patience).await?,
        };
        let schema = schema.ok_or_else(|| {
            Fault::bad_params("the stream ended before its schema")
                .help("send the schema even if there are no rows: `writer.begin(schema)`")
        })?;
        Ok(decode_stream(Decoder::from_schema_frame(&schema)?, self.reader))
    }
}

async fn next_in_time(reader: &mut FrameReader, patience: Duration) -> Result<Option<Frame>, Fault> {
    let frame = timeout(patience, reader.next()).await.map_err(|_| {
        Fault::timed_out(format!("nothing came for {} s after the call began", patience.as_secs()))
            .help("send the descriptor and the schema first; the output schema comes back as soon as it is planned")
    })?;
    frame.transpose()
}

/// A step that runs, and the messages that come out of it.
pub(super) struct Opened {
    pub frames: FrameStream,
}

impl Service {
    /// Serves `DoExchange`.
    pub(super) async fn exchange(self: Arc<Self>, caller: Caller, request: Body) -> Response<Body> {
        let opened = async {
            let opening = Opening::read(request, self.limits.opening).await?;
            self.open(caller, opening).await
        };
        match opened.await {
            Ok(opened) => streaming(body(opened.frames)),
            Err(fault) => failed(fault),
        }
    }

    /// Serves `DoGet`: an extract, whose ticket is the command, or a further output of an exchange.
    pub(super) async fn get(self: Arc<Self>, caller: Caller, request: Body) -> Response<Body> {
        let opened = async {
            let (command, form) = read_ticket(request, self.limits.opening).await?;
            if !command.exchange_id.is_empty() && !command.output.is_empty() {
                return self.further(&caller, &command, form);
            }
            let inputs = self.registry.find(&command.step)?.spec().inputs.len();
            if inputs > 0 {
                return Err(Fault::bad_params(format!(
                    "{} takes rows, so that a ticket alone cannot run it",
                    command.step
                ))
                .help("call it by DoExchange; name exchange_id and output to fetch a further output of one"));
            }
            self.run(caller, command, form, Vec::new()).await
        };
        match opened.await {
            Ok(opened) => streaming(body(opened.frames)),
            Err(fault) => failed(fault),
        }
    }

    /// Gathers the inputs of a call and runs its step.
    pub(super) async fn open(self: &Arc<Self>, caller: Caller, opening: Opening) -> Result<Opened, Fault> {
        let (command, form) = (opening.command.clone(), opening.form);
        let names = self.registry.find(&command.step)?.spec().input_names(&command.inputs)?;
        let mut inputs = Vec::with_capacity(names.len());
        if let Some((_, further)) = names.split_first() {
            inputs.push(opening.input(self.limits.opening).await?);
            for name in further {
                if command.exchange_id.is_empty() {
                    return Err(Fault::bad_params(format!("{} has a further input \"{name}\"", command.step)).help(
                        "stage it by DoPut with {\"input\": …, \"exchange_id\": …}, and give the same exchange_id here",
                    ));
                }
                inputs.push(self.staging.claim(&command.exchange_id, name, self.limits.opening).await?);
            }
        }
        self.run(caller, command, form, inputs).await
    }

    async fn run(
        self: &Arc<Self>,
        caller: Caller,
        command: StepCommand,
        form: Form,
        inputs: Vec<BatchStream>,
    ) -> Result<Opened, Fault> {
        let slot = self.slots.clone().try_acquire_owned().map_err(|_| {
            Fault::busy(format!("{} exchanges are under way, and no more are taken", self.limits.exchanges))
                .retry_after(Fault::RETRY_SOON)
        })?;
        let span = tracing::info_span!(
            "step",
            otel.name = %command.step,
            otel.kind = "server",
            run_id = %command.run_id,
            otel.status_code = tracing::field::Empty,
            rows_in = tracing::field::Empty,
            rows_out = tracing::field::Empty,
            bytes_spilled = tracing::field::Empty,
        );
        // Where nothing is exported there is no trace to join.
        let _ = span.set_parent(caller.parent.clone());
        let schemas = InputSchemas::new(inputs.iter().map(BatchStream::schema).collect()).called(&command.inputs);
        let env = self.env.clone();
        let planned: PlannedStep =
            self.registry.plan(&command, &schemas, &env).instrument(tracing::info_span!(parent: &span, "plan")).await?;
        let names = planned.spec.outputs;
        check_claims(&command, names)?;
        let Driven { outputs, gauge } = drive(planned, inputs, &env, &command.run_id, &command.outputs)?;
        let mut outputs = outputs.into_iter().zip(names);
        let main = outputs.next().and_then(|(main, _)| main);
        let main = main.ok_or_else(|| Fault::internal(format!("{} has no main output", command.step)))?;
        let registered = self.register(&command.exchange_id);
        for (stream, name) in outputs {
            if let Some(stream) = stream {
                let (cancel, main) = (registered.token.clone(), registered.end.subscribe());
                let parked = Parked { stream, gauge: gauge.clone(), cancel, main };
                self.parking.park(&command.exchange_id, name, parked)?;
            }
        }
        let pump = Pump {
            gauge,
            form,
            cancel: registered.token.clone(),
            cut_off: self.cut_off.clone(),
            deadline: caller.deadline,
            part: Part::Main { registered, _slot: slot },
        };
        Ok(self.opened(pump, main, &caller, span))
    }

    /// Opens a further output of an exchange.
    fn further(self: &Arc<Self>, caller: &Caller, command: &StepCommand, form: Form) -> Result<Opened, Fault> {
        let (exchange_id, name) = (&command.exchange_id, &command.output);
        let parked = self.parking.take(exchange_id, name).ok_or_else(|| {
            let seconds = self.limits.opening.as_secs();
            Fault::not_found(format!("no output \"{name}\" of exchange \"{exchange_id}\" waits to be fetched")).help(format!(
                "name it in `outputs` of the exchange, and fetch it once, within {seconds} s of the end of the exchange"
            ))
        })?;
        let span = tracing::info_span!(
            "output",
            otel.name = %format_args!("{} {name}", command.step),
            otel.kind = "server",
            run_id = %command.run_id,
            otel.status_code = tracing::field::Empty,
        );
        let _ = span.set_parent(caller.parent.clone());
        let pump = Pump {
            gauge: parked.gauge,
            form,
            cancel: parked.cancel,
            cut_off: self.cut_off.clone(),
            deadline: caller.deadline,
            part: Part::Further(parked.main),
        };
        Ok(self.opened(pump, parked.stream, caller, span))
    }

    /// Pumps an output into the answer of a call.
    fn opened(&self, pump: Pump, output: BatchStream, caller: &Caller, span: tracing::Span) -> Opened {
        let encoded = encode_stream(output, !caller.mesh);
        let (outlet, frames) = Outlet::new(caller, &self.limits, &self.env.space);
        let task = compute::spawn(pump.run(encoded, outlet, span));
        Opened { frames: attached(frames, task) }
    }

    fn register(self: &Arc<Self>, exchange_id: &str) -> Registered {
        let token = CancellationToken::new();
        if !exchange_id.is_empty() {
            self.running().insert(exchange_id.to_owned(), token.clone());
        }
        Registered { service: self.clone(), exchange_id: exchange_id.to_owned(), token, end: watch::Sender::new(None) }
    }
}

/// Refuses outputs that a step does not have, and those that nobody could fetch.
fn check_claims(command: &StepCommand, names: &[&str]) -> Result<(), Fault> {
    let further = names.get(1..).unwrap_or_default();
    if let Some(wrong) = command.outputs.iter().find(|claimed| !further.contains(&claimed.as_str())) {
        return Err(Fault::bad_params(format!("{} has no further output \"{wrong}\"", command.step))
            .help(did_you_mean(wrong, further.iter().copied())));
    }
    match command.outputs.is_empty() || !command.exchange_id.is_empty() {
        true => Ok(()),
        false => Err(Fault::bad_params("further outputs are fetched by the id of the exchange, and it has none")
            .help("give it an exchange_id, and fetch each output by DoGet with {\"exchange_id\": …, \"output\": …}")),
    }
}

/// An exchange that can be cancelled by its id, for as long as it runs.
struct Registered {
    service: Arc<Service>,
    exchange_id: String,
    token: CancellationToken,
    /// Whether its main output has ended, and well. Nothing while it goes on, and for ever if it is dropped before.
    end: watch::Sender<Option<bool>>,
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.service.running().remove(&self.exchange_id);
        if self.end.borrow().is_none() {
            self.token.cancel();
            self.service.parking.forget(&self.exchange_id);
        } else if self.service.parking.has(&self.exchange_id) {
            let (service, exchange_id) = (self.service.clone(), self.exchange_id.clone());
            let late = async move {
                tokio::time::sleep(service.limits.opening).await;
                service.parking.forget(&exchange_id);
            };
            drop(compute::spawn(late).detach());
        }
    }
}

/// Polls a step on the compute pool and hands its messages to the network.
struct Pump {
    gauge: Gauge,
    form: Form,
    cancel: CancellationToken,
    cut_off: CancellationToken,
    deadline: Option<Duration>,
    part: Part,
}

/// Which output of an exchange it is.
enum Part {
    /// The main one, with what it holds until its end.
    Main { registered: Registered, _slot: OwnedSemaphorePermit },
    /// A further one, with the end of the main one: it does not end well before that, nor if that does not.
    Further(watch::Receiver<Option<bool>>),
}

impl Part {
    /// Takes the end of the output for what it is.
    async fn judge(&mut self, end: Result<(), Fault>) -> Result<(), Fault> {
        match self {
            Self::Main { .. } => end,
            Self::Further(main) => {
                end?;
                match main.wait_for(Option::is_some).await.map(|end| *end) {
                    Ok(Some(true)) => Ok(()),
                    _ => Err(Fault::cancelled("the exchange of this output did not end well")),
                }
            }
        }
    }
}

/// The queue between a step and the network.
enum Outlet {
    /// Makes the step wait for its reader.
    Bounded(QueueSender<Frame>),
    /// Never makes the step wait: what is not read yet goes to disk.
    Spilling(SpillSender<Frame>),
}

impl Outlet {
    fn new(caller: &Caller, limits: &Limits, space: &SpillSpace) -> (Self, FrameStream) {
        let untyped = Arc::new(Schema::empty());
        if caller.mesh {
            let (sender, stream) = byte_queue(limits.output_bytes, space.budget(), untyped);
            (Self::Bounded(sender), stream)
        } else {
            let (sender, receiver) = spill_queue(space, untyped);
            (Self::Spilling(sender), receiver.into_stream())
        }
    }

    /// Whether anybody is going to read it.
    async fn push(&self, frame: Frame) -> Result<bool, Fault> {
        match self {
            Self::Bounded(sender) => Ok(sender.push(frame).await),
            Self::Spilling(sender) => sender.push(frame),
        }
    }

    async fn finish(self, end: Result<(), Fault>) {
        match self {
            Self::Bounded(sender) => sender.finish(end).await,
            Self::Spilling(sender) => sender.finish(end),
        }
    }
}

impl Pump {
    /// Pushes every message, then the report or the fault.
    async fn run(
        mut self,
        encoded: impl Stream<Item = Result<Frame, Fault>> + Send,
        outlet: Outlet,
        span: tracing::Span,
    ) {
        let end = tokio::select! {
            end = self.push_in_time(encoded, &outlet).instrument(span.clone()) => end,
            () = self.cancel.cancelled() => Err(Fault::cancelled("somebody cancelled this exchange")),
            () = self.cut_off.cancelled() => Err(Fault::upstream("the server is going down")),
        };
        let end = self.part.judge(end).await;
        let report = self.gauge.report();
        span.record("rows_in", report.rows_in);
        span.record("rows_out", report.rows_out);
        span.record("bytes_spilled", report.bytes_spilled);
        let end = match end {
            Ok(()) => outlet.push(Frame::metadata(report.to_bytes(self.form))).await.map(drop),
            Err(fault) => Err(fault),
        };
        let end = end.map_err(|fault| fault.step(report.step.clone()));
        if let Err(fault) = &end {
            span.record("otel.status_code", "ERROR");
            tracing::warn!(parent: &span, step = report.step, kind = fault.kind().name(), fault = %fault, "step failed");
        }
        if let Part::Main { registered, .. } = &self.part {
            registered.end.send_replace(Some(end.is_ok()));
        }
        outlet.finish(end).await;
    }

    async fn push_in_time(
        &self,
        encoded: impl Stream<Item = Result<Frame, Fault>> + Send,
        outlet: &Outlet,
    ) -> Result<(), Fault> {
        let Some(limit) = self.deadline else { return self.push_all(encoded, outlet).await };
        timeout(limit, self.push_all(encoded, outlet)).await.unwrap_or_else(|_| {
            Err(Fault::timed_out(format!("the caller's deadline of {} s passed", limit.as_secs_f32())))
        })
    }

    async fn push_all(
        &self,
        encoded: impl Stream<Item = Result<Frame, Fault>> + Send,
        outlet: &Outlet,
    ) -> Result<(), Fault> {
        let mut encoded = pin!(encoded);
        while let Some(frame) = encoded.next().await {
            let frame = frame?;
            let begun = Instant::now();
            let read = outlet.push(frame).await?;
            self.gauge.meter().blocked_for(begun.elapsed());
            if !read {
                return Err(Fault::cancelled("the caller reads no more"));
            }
        }
        Ok(())
    }
}

/// The stream, and with it the task that feeds it: dropping one stops the other.
fn attached(stream: EdgeStream<Frame>, task: tokio_util::task::AbortOnDropHandle<()>) -> FrameStream {
    stream.wrap(move |items| {
        items.map(move |item| {
            let _owned = &task;
            item
        })
    })
}

/// Reads the one message of `DoGet`.
async fn read_ticket(request: Body, patience: Duration) -> Result<(StepCommand, Form), Fault> {
    const LARGEST: usize = 16 << 20;
    let limited = http_body_util::Limited::new(request, LARGEST);
    let collected = timeout(patience, http_body_util::BodyExt::collect(limited)).await;
    let bytes = match collected {
        Err(_) => return Err(Fault::timed_out("no ticket came")),
        Ok(Err(error)) => return Err(Fault::bad_params(format!("no readable ticket: {error}"))),
        Ok(Ok(body)) => body.to_bytes(),
    };
    let message = bytes.get(5..).unwrap_or_default();
    let ticket = Ticket::decode(message).map_err(|error| Fault::bad_params(format!("no readable ticket: {error}")))?;
    StepCommand::read(&ticket.ticket)
}
