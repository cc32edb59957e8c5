//! `DoExchange` and `DoGet`: a step runs, and its outputs stream back.
//!
//! The step runs on the compute pool. Between it and the network lies a queue: a bounded one for callers of the mesh,
//! who read while they write; one that goes on to disk for all others, since most people's first client writes
//! everything before it reads, and would hang. The stream ends with a message of metadata alone, the
//! [`StepReport`](crate::StepReport); its absence means that the run did not end well.

use super::Service;
use super::asking::{Questions, asking};
use super::call::{Caller, body, failed, streaming};
use super::opening::{Opening, read_ticket};
use super::parking::Parked;
use super::pump::{Outlet, Output, Pump, attached};
use crate::command::{Form, StepCommand};
use crate::compute;
use crate::drive::{Driven, Part, drive};
use crate::fault::Fault;
use crate::params::did_you_mean;
use crate::registry::PlannedStep;
use crate::step::InputSchemas;
use crate::stream::BatchStream;
use crate::wire::{FrameStream, encode_stream};
use futures::StreamExt;
use http::Response;
use std::sync::Arc;
use tonic::body::Body;
use tracing::Instrument;
use tracing_opentelemetry::OpenTelemetrySpanExt;

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
                inputs.push(self.staging.claim(&self.exchange_key(&command)?, name, self.limits.opening).await?);
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
        let (permission, answers, questions) = match command.ask_before_commit {
            true => {
                let (permission, answers, questions) = asking();
                (permission, Some(answers), Some(questions))
            }
            false => Default::default(),
        };
        let part = Part { permission, ..Part::from(&command) };
        let Driven { outputs, gauge } = drive(planned, inputs, &env, part, &command.outputs)?;
        let mut outputs = outputs.into_iter().zip(names);
        let main = outputs.next().and_then(|(main, _)| main);
        let main = main.ok_or_else(|| Fault::internal(format!("{} has no main output", command.step)))?;
        let exchange = self.exchange_key(&command)?;
        let registered = self.register(exchange.clone(), answers);
        for (stream, name) in outputs {
            if let Some(stream) = stream {
                let (cancel, main) = (registered.token.clone(), registered.end.subscribe());
                let parked = Parked { stream, gauge: gauge.clone(), cancel, main };
                self.parking.park(&exchange, name, parked)?;
            }
        }
        let pump = Pump {
            gauge,
            form,
            cancel: registered.token.clone(),
            cut_off: self.cut_off.clone(),
            deadline: caller.deadline,
            output: Output::Main { registered, _slot: slot },
        };
        Ok(self.opened(pump, main, questions, &caller, span))
    }

    /// Opens a further output of an exchange.
    fn further(self: &Arc<Self>, caller: &Caller, command: &StepCommand, form: Form) -> Result<Opened, Fault> {
        let (exchange_id, name) = (&command.exchange_id, &command.output);
        let parked = self.parking.take(&self.exchange_key(command)?, name).ok_or_else(|| {
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
            output: Output::Further(parked.main),
        };
        Ok(self.opened(pump, parked.stream, None, caller, span))
    }

    /// Pumps an output into the answer of a call.
    fn opened(
        &self,
        pump: Pump,
        output: BatchStream,
        questions: Option<Questions>,
        caller: &Caller,
        span: tracing::Span,
    ) -> Opened {
        let encoded = encode_stream(output, !caller.mesh);
        let encoded = match questions {
            Some(questions) => questions.among(encoded).left_stream(),
            None => encoded.right_stream(),
        };
        let (outlet, frames) = Outlet::new(caller, &self.limits, pump.gauge.space());
        let task = compute::spawn(pump.run(encoded, outlet, span));
        Opened { frames: attached(frames, task) }
    }
}

/// Refuses outputs that a step does not have, and those that nobody could fetch; and a word that would say nothing here.
fn check_claims(command: &StepCommand, names: &[&str]) -> Result<(), Fault> {
    let (main, further) = (names.first().copied().unwrap_or_default(), names.get(1..).unwrap_or_default());
    if !command.output.is_empty() && command.output != main {
        return Err(Fault::bad_params(format!("an exchange gives \"{main}\", and not \"{}\"", command.output)).help(
            "claim a further output in `outputs`, and fetch it by DoGet with {\"exchange_id\": …, \"output\": …}",
        ));
    }
    if !command.input.is_empty() {
        return Err(Fault::bad_params(format!("the input \"{}\" is not staged by an exchange", command.input))
            .help("leave `input` out: an exchange brings the first input, and DoPut stages the others"));
    }
    if let Some(wrong) = command.outputs.iter().find(|claimed| !further.contains(&claimed.as_str())) {
        return Err(Fault::bad_params(format!("{} has no further output \"{wrong}\"", command.step))
            .help(did_you_mean(wrong, further.iter().copied())));
    }
    if command.ask_before_commit && command.exchange_id.is_empty() {
        return Err(Fault::bad_params("a permission is given by the id of the exchange, and it has none")
            .help("give it an exchange_id, or leave ask_before_commit out"));
    }
    match command.outputs.is_empty() || !command.exchange_id.is_empty() {
        true => Ok(()),
        false => Err(Fault::bad_params("further outputs are fetched by the id of the exchange, and it has none")
            .help("give it an exchange_id, and fetch each output by DoGet with {\"exchange_id\": …, \"output\": …}")),
    }
}
