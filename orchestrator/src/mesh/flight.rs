//! Steps behind Flight: the orchestrator relays frames from one server to the next and decodes none of them.

use super::{Call, Mesh, Planner, Running, StepPlan};
use arrow::datatypes::SchemaRef;
use flight_common::client::StepClient;
use flight_common::wire::{Frame, Gather};
use flight_common::{Fault, StepCommand, StepDescription, params};
use futures::FutureExt;
use futures::future::{BoxFuture, try_join_all};
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument;

/// Servers, and which steps each of them has.
pub struct FlightMesh {
    steps: Vec<(StepDescription, StepClient)>,
}

impl FlightMesh {
    /// Asks each server what it has. Of two servers with the same step the first is used.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::Upstream`] when a server is not reachable.
    pub async fn connect(clients: Vec<StepClient>) -> Result<Self, Fault> {
        let described = clients.into_iter().map(|client| async move {
            let descriptions = client.describe().await?;
            Ok::<_, Fault>(descriptions.into_iter().map(move |one| (one, client.clone())).collect::<Vec<_>>())
        });
        let steps = try_join_all(described).await?.into_iter().flatten().collect();
        Ok(Self { steps })
    }

    fn find(&self, name: &str) -> Result<&(StepDescription, StepClient), Fault> {
        self.steps.iter().find(|(description, _)| description.answers_to(name)).ok_or_else(|| {
            let known: Vec<&str> = self.steps.iter().map(|(description, _)| description.name.as_str()).collect();
            Fault::not_found(format!("no server has the step \"{name}\"")).help(params::did_you_mean(name, known))
        })
    }

    async fn plan_step(&self, mut command: StepCommand, inputs: Vec<SchemaRef>) -> Result<StepPlan, Fault> {
        let (description, client) = self.find(&command.step)?;
        for (name, schema) in description.inputs.iter().zip(&inputs) {
            command = command.with_input(name, schema)?;
        }
        let (mut outputs, source) = client.plan(&command).await?;
        let missing = |name: &String| Fault::upstream(format!("{} planned no output \"{name}\"", client.peer()));
        let outputs = description.outputs.iter().map(|name| outputs.remove(name).ok_or_else(|| missing(name)));
        Ok(StepPlan { outputs: outputs.collect::<Result<_, _>>()?, source })
    }

    async fn start_step(&self, call: Call<Frame>) -> Result<Running<Frame>, Fault> {
        let Call { command, inputs, limit } = call;
        let (description, client) = self.find(&command.step)?;
        // Streams that wait for each other must not share a connection, whose window they would fill.
        let client = client.on_its_own_connection();
        let mut inputs = description.inputs.iter().cloned().zip(inputs);
        let main = inputs.next().map(|(_, stream)| stream);
        // Further inputs travel beside the exchange, tied to it by its id.
        let staged: Vec<AbortOnDropHandle<()>> = inputs
            .map(|(name, stream)| {
                let staging = StepCommand {
                    step: command.step.clone(),
                    exchange_id: command.exchange_id.clone(),
                    input: name,
                    run_id: command.run_id.clone(),
                    ..StepCommand::default()
                };
                let client = client.clone();
                let work = async move {
                    // A fault here reaches the exchange too, which reports it.
                    if let Err(fault) = client.stage(&staging, stream).await {
                        tracing::debug!(input = staging.input, fault = %fault, "staging ended early");
                    }
                };
                AbortOnDropHandle::new(tokio::spawn(work.in_current_span()))
            })
            .collect();
        let exchange = client.exchange(&command, main, Gather::Pieces, limit).await?;
        let report = exchange.report;
        let output = exchange.frames.wrap(move |frames| {
            futures::StreamExt::map(frames, move |frame| {
                let _staged = &staged;
                frame
            })
        });
        Ok(Running { outputs: vec![output], figures: Box::new(move || report.get().cloned()) })
    }
}

impl Planner for FlightMesh {
    fn catalog(&self) -> BoxFuture<'_, Result<Vec<StepDescription>, Fault>> {
        let descriptions = self.steps.iter().map(|(description, _)| description.clone()).collect();
        std::future::ready(Ok(descriptions)).boxed()
    }

    fn plan(&self, command: StepCommand, inputs: Vec<SchemaRef>) -> BoxFuture<'_, Result<StepPlan, Fault>> {
        self.plan_step(command, inputs).boxed()
    }
}

impl Mesh for FlightMesh {
    type Item = Frame;

    fn start(&self, call: Call<Frame>) -> BoxFuture<'_, Result<Running<Frame>, Fault>> {
        self.start_step(call).boxed()
    }
}
