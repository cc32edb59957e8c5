//! Steps behind Flight: the orchestrator relays frames from one server to the next and decodes none of them.

use super::{Call, Matching, Mesh, Planner, Running, StepPlan, files_of};
use arrow::datatypes::SchemaRef;
use flight_common::client::{RemotePlan, StepClient};
use flight_common::wire::{Frame, FrameStream, Gather};
use flight_common::{DataRoot, Fault, FaultKind, StepCommand, StepDescription, params};
use futures::future::{BoxFuture, join_all, try_join_all};
use futures::{FutureExt, StreamExt};
use std::collections::HashSet;
use std::convert::identity;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument;

/// How long what a server said of its steps is taken for true without asking again: a server may come back as a newer
/// version.
const FRESH: Duration = Duration::from_secs(30);
/// How long a server may take to say it.
const PATIENCE: Duration = Duration::from_secs(5);
/// One that has never said it is left alone for so many times as long as it let others wait.
const LEFT_ALONE: u32 = 3;

/// Servers, and which steps each of them has.
pub struct FlightMesh {
    servers: Vec<Server>,
    /// The data root that they share.
    data_root: DataRoot,
}

struct Server {
    client: StepClient,
    said: Mutex<Said>,
}

/// What a server said of its steps, and when it was asked last.
#[derive(Default)]
struct Said {
    steps: Option<Arc<[Arc<StepDescription>]>>,
    asked: Option<Instant>,
    /// Why it did not say it, and until when it is left alone for that.
    silence: Option<(Fault, Instant)>,
}

impl Server {
    fn said(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn steps(&self) -> Option<Arc<[Arc<StepDescription>]>> {
        self.said().steps.clone()
    }

    /// Asks it, unless what it said is fresh. One that does not answer keeps what it said before.
    async fn refresh(&self) -> Result<(), Fault> {
        {
            let mut said = self.said();
            match &said.silence {
                _ if said.steps.is_some() && said.asked.is_some_and(|asked| asked.elapsed() < FRESH) => return Ok(()),
                Some((fault, until)) if Instant::now() < *until => return Err(fault.clone()),
                _ => {}
            }
            said.asked = Some(Instant::now());
        }
        let begun = Instant::now();
        let late = |_| Fault::timed_out(format!("{} does not say what steps it has", self.client.peer()));
        let told = tokio::time::timeout(PATIENCE, self.client.describe()).await.map_err(late).flatten();
        let mut said = self.said();
        match told {
            Ok(steps) => {
                said.steps = Some(steps.into_iter().map(Arc::new).collect());
                said.silence = None;
                Ok(())
            }
            Err(fault) => {
                said.silence = Some((fault.clone(), Instant::now() + LEFT_ALONE * begun.elapsed()));
                Err(fault)
            }
        }
    }
}

impl FlightMesh {
    /// Asks each server what it has. Of two servers with the same step the first is used.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::Upstream`] when a server is not reachable.
    pub async fn connect(clients: Vec<StepClient>, data_root: DataRoot) -> Result<Self, Fault> {
        let mesh = Self::new(clients, data_root);
        try_join_all(mesh.servers.iter().map(Server::refresh)).await?;
        Ok(mesh)
    }

    /// These servers, which need not answer yet: they are asked when somebody wants to know.
    pub fn new(clients: Vec<StepClient>, data_root: DataRoot) -> Self {
        let server = |client| Server { client, said: Mutex::default() };
        Self { servers: clients.into_iter().map(server).collect(), data_root }
    }

    fn find(&self, name: &str) -> Result<(Arc<StepDescription>, &StepClient), Fault> {
        let described = self.servers.iter().filter_map(|server| Some((server.steps()?, &server.client)));
        let steps: Vec<(Arc<[Arc<StepDescription>]>, &StepClient)> = described.collect();
        for (steps, client) in &steps {
            if let Some(found) = steps.iter().find(|step| step.answers_to(name)) {
                return Ok((found.clone(), client));
            }
        }
        let silent = self.silent();
        if !silent.is_empty() {
            let why = format!("no server that answers has the step \"{name}\"");
            return Err(Fault::upstream(why).help(format!("these do not answer: {}", silent.join(", "))));
        }
        let known: Vec<&str> = steps.iter().flat_map(|(steps, _)| steps.iter()).map(|one| one.name.as_str()).collect();
        Err(Fault::not_found(format!("no server has the step \"{name}\"")).help(params::did_you_mean(name, known)))
    }

    /// The server of a step, and the step as it describes itself.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::NotFound`] when no server has it, [`flight_common::FaultKind::Upstream`] while one that
    /// might does not answer.
    pub async fn server_of(&self, step: &str) -> Result<(Arc<StepDescription>, StepClient), Fault> {
        if self.find(step).is_err() {
            // Whoever does not answer is told of below.
            let _ = self.catalog().await;
        }
        self.find(step).map(|(description, client)| (description, client.clone()))
    }

    async fn plan_step(&self, mut command: StepCommand, inputs: Vec<SchemaRef>) -> Result<StepPlan, Fault> {
        let (description, client) = self.server_of(&command.step).await?;
        for (name, schema) in input_names(&description, &mut command).iter().zip(&inputs) {
            command = command.with_input(name, schema)?;
        }
        let RemotePlan { mut outputs, source, datasets, reads, writes, effects } = client.plan(&command).await?;
        let missing = |name: &String| Fault::upstream(format!("{} planned no output \"{name}\"", client.peer()));
        let outputs = description.outputs.iter().map(|name| outputs.remove(name).ok_or_else(|| missing(name)));
        Ok(StepPlan { outputs: outputs.collect::<Result<_, _>>()?, source, datasets, reads, writes, effects })
    }

    async fn start_step(&self, call: Call<Frame>) -> Result<Running<Frame>, Fault> {
        let Call { mut command, inputs, limit, permission } = call;
        let (description, client) = self.find(&command.step)?;
        // Calls that wait for each other do not share a connection with others, whose window they would fill.
        let client = client.on_its_own_connection(command.outputs.len() as u32 + 1);
        let mut inputs = input_names(&description, &mut command).into_iter().zip(inputs);
        let main = inputs.next().map(|(_, stream)| stream);
        // Further inputs travel beside the exchange, tied to it by its id.
        let (tells, mut told) = mpsc::unbounded_channel();
        let staged: Vec<AbortOnDropHandle<()>> = inputs
            .map(|(name, stream)| {
                let staging = StepCommand {
                    step: command.step.clone(),
                    exchange_id: command.exchange_id.clone(),
                    input: name,
                    run_id: command.run_id.clone(),
                    ..StepCommand::default()
                };
                let (client, tells) = (client.clone(), tells.clone());
                let work = async move {
                    if let Err(fault) = client.stage(&staging, stream).await {
                        tracing::debug!(input = staging.input, fault = %fault, "staging ended early");
                        // Once the exchange has begun, it reports it; and why it reads no more, in any case.
                        if fault.kind() != FaultKind::Cancelled {
                            tells.send(fault).ok();
                        }
                    }
                };
                AbortOnDropHandle::new(tokio::spawn(work.in_current_span()))
            })
            .collect();
        let exchange = tokio::select! {
            biased;
            exchange = client.exchange_permitting(&command, main, Gather::Pieces, limit, permission) => exchange?,
            // It would wait for an input that does not come.
            Some(fault) = told.recv() => return Err(fault),
        };
        let further = command.outputs.iter().map(|name| {
            let fetching = StepCommand {
                step: command.step.clone(),
                exchange_id: command.exchange_id.clone(),
                output: name.clone(),
                run_id: command.run_id.clone(),
                ..StepCommand::default()
            };
            let client = &client;
            async move { client.output(&fetching, Gather::Pieces, limit).await.map(|exchange| exchange.frames) }
        });
        let further = match try_join_all(further).await {
            Ok(further) => further,
            Err(fault) => return Err(cause(exchange.frames, fault).await),
        };
        let report = exchange.report;
        let output = exchange.frames.wrap(move |frames| {
            frames.map(move |frame| {
                let _staged = &staged;
                frame
            })
        });
        Ok(Running {
            outputs: std::iter::once(output).chain(further).collect(),
            figures: Box::new(move || report.get().cloned()),
            tellable: Box::new(identity),
        })
    }
}

/// Why an output of an exchange could not be fetched. An exchange that fails at once takes its outputs with it, and why it
/// did is told by its main one.
async fn cause(mut main: FrameStream, fault: Fault) -> Fault {
    if !matches!(fault.kind(), FaultKind::NotFound | FaultKind::Cancelled) {
        return fault;
    }
    let told = async {
        while let Some(frame) = main.next().await {
            if let Err(why) = frame {
                return Some(why);
            }
        }
        None
    };
    let gone = || Fault::upstream(format!("an output did not wait to be fetched: {}", fault.message()));
    tokio::time::timeout(PATIENCE, told).await.ok().flatten().unwrap_or_else(gone)
}

/// What the inputs of a step are called. Only a step that takes any has to be told.
fn input_names(step: &StepDescription, command: &mut StepCommand) -> Vec<String> {
    if step.takes_any_inputs() {
        return command.inputs.clone();
    }
    command.inputs.clear();
    step.inputs.clone()
}

impl Planner for FlightMesh {
    fn catalog(&self) -> BoxFuture<'_, Result<Vec<Arc<StepDescription>>, Fault>> {
        async move {
            let asked = join_all(self.servers.iter().map(Server::refresh)).await;
            let steps: Vec<_> = self.servers.iter().filter_map(Server::steps).collect();
            match asked.into_iter().find_map(Result::err) {
                Some(fault) if steps.is_empty() => Err(fault),
                _ => {
                    let mut catalog: Vec<_> = steps.iter().flat_map(|steps| steps.iter().cloned()).collect();
                    let mut names = HashSet::new();
                    // Of two servers with the same step the first is used.
                    catalog.retain(|step| names.insert(step.name.clone()));
                    Ok(catalog)
                }
            }
        }
        .boxed()
    }

    fn health(&self) -> BoxFuture<'_, Vec<(String, Result<(), Fault>)>> {
        async move {
            let asked = self.servers.iter().map(|server| async move {
                let answer = server.client.check().await;
                match server.steps() {
                    Some(steps) => steps.iter().map(|step| (step.name.clone(), answer.clone())).collect(),
                    None => vec![(server.client.peer().to_owned(), answer)],
                }
            });
            join_all(asked).await.into_iter().flatten().collect()
        }
        .boxed()
    }

    fn files(&self, pattern: &str) -> Result<Matching, Fault> {
        files_of(&self.data_root, pattern)
    }

    fn silent(&self) -> Vec<String> {
        let silent = self.servers.iter().filter(|server| server.steps().is_none());
        silent.map(|server| server.client.peer().to_owned()).collect()
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
