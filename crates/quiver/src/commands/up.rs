//! `quiver up`: every step as a server, and the orchestrator in front of them.

use super::{print, print_json};
use crate::cli::{UpArgs, Via};
use crate::exit::Exit;
use crate::fleet::Fleet;
use crate::{registry, show};
use flight_common::client::StepClient;
use flight_common::server::{Limits, Listener, Server, Settings};
use flight_common::signals::StopSignals;
use flight_common::telemetry::LogFormat;
use flight_common::{Fault, StepEnv};
use orchestrator::mesh::{FlightMesh, InProcess, WithSecrets};
use orchestrator::run::{Engine, Runner};
use orchestrator::serve::Orchestrator;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// How long calls of single steps may take at the end.
const DRAIN: Duration = Duration::from_secs(5);

/// How long step servers may take to end what they do.
const DRAIN_SERVERS: Duration = Duration::from_secs(30);

/// An end that takes longer is explained.
const QUICK: Duration = Duration::from_millis(500);

/// Runs the whole of Quiver on this machine, until Ctrl-C or SIGTERM.
pub async fn up(args: UpArgs, logs: LogFormat) -> Result<Exit, Fault> {
    // Wrong options are told once, here, and not by every server.
    let env = args.env.open()?;
    let mut signals = StopSignals::listen();
    let space = env.space.clone();
    let mut fleet = match args.embedded {
        true => None,
        false => {
            let steps = registry();
            tokio::select! {
                fleet = Fleet::start(&steps, &args.env, logs) => Some(fleet?),
                () = signals.asked() => return Ok(Exit::Done),
            }
        }
    };
    let own = match &fleet {
        Some(_) => None,
        None => Some(OwnServer::start(env.clone()).await),
    };
    let clients = match (&fleet, &own) {
        (Some(fleet), _) => fleet.clients(Via::Unix)?,
        (None, Some(own)) => vec![own.client.clone()],
        (None, None) => Vec::new(),
    };
    let mesh = Arc::new(FlightMesh::connect(clients, env.data_root.clone()).await?);
    let secrets = args.serve.secrets()?;
    let runner: Arc<dyn Runner> = match &fleet {
        None => {
            let steps = InProcess::new(registry(), env.clone());
            Arc::new(Engine::new(Arc::new(WithSecrets::new(steps, secrets)), space))
        }
        Some(_) => Arc::new(Engine::new(Arc::new(WithSecrets::new(mesh.clone(), secrets)), space)),
    };
    let orchestrator = Orchestrator::start(&args.serve, runner, mesh, env).await?;
    tell(&args, &orchestrator, fleet.as_ref())?;
    match &mut fleet {
        None => signals.asked().await,
        Some(fleet) => tokio::select! {
            () = signals.asked() => {}
            never = fleet.watch() => match never {},
        },
    }
    if !stopped(orchestrator, args.serve.drain, &mut signals).await {
        return Ok(Exit::Interrupted);
    }
    if let Some(fleet) = fleet {
        fleet.stop(DRAIN_SERVERS).await;
    }
    if let Some(own) = own {
        own.server.stop().await?;
    }
    Ok(Exit::Done)
}

/// Lets the orchestrator end what it is at, unless somebody asks again. Whether it did.
async fn stopped(orchestrator: Orchestrator, drain: Duration, signals: &mut StopSignals) -> bool {
    let mut stopping = std::pin::pin!(orchestrator.stop());
    if tokio::time::timeout(QUICK, &mut stopping).await.is_ok() {
        return true;
    }
    show::tell(format_args!(
        "stopping: runs under way have {}, and are then given back to the queue. Ctrl-C again ends it at once",
        humantime::format_duration(drain)
    ));
    tokio::select! {
        () = stopping => true,
        () = signals.asked() => false,
    }
}

/// The steps of this process behind Flight, for those who call them one by one.
struct OwnServer {
    server: Server,
    client: StepClient,
}

impl OwnServer {
    async fn start(env: StepEnv) -> Self {
        let (listener, connector) = Listener::local();
        let settings = Settings { registry: registry(), env, limits: Limits::default(), drain: DRAIN };
        Self { server: Server::start(settings, listener).await, client: StepClient::local(connector) }
    }
}

fn tell(args: &UpArgs, orchestrator: &Orchestrator, fleet: Option<&Fleet>) -> Result<(), Fault> {
    let servers = fleet.map_or(&[][..], Fleet::servers);
    let url = orchestrator.url();
    if args.json {
        let shown = servers.iter().map(|one| json!({"step": one.step, "address": one.address, "pid": one.pid()}));
        let front = orchestrator.front().to_string();
        return print_json(&json!({"api": url, "front": front, "servers": shown.collect::<Vec<_>>()}));
    }
    let servers: String = servers.iter().map(|one| format!("{:<16} {}\n", one.step, one.address)).collect();
    let front = orchestrator.front();
    let text = format!(
        "{servers}\nREST API         {url}/api/v1 (documented at {url}/docs)\nFlight           {front}\n\n\
         quiver runs submit FILE --url {url}\nCtrl-C ends it.\n"
    );
    print(text.as_bytes())
}
