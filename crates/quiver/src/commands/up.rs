//! `quiver up`: every step as a server, and the orchestrator in front of them.

use super::print_json;
use crate::cli::UpArgs;
use crate::exit::Exit;
use crate::fleet::Fleet;
use crate::registry;
use flight_common::Fault;
use flight_common::serve::asked_to_stop;
use flight_common::telemetry::LogFormat;
use orchestrator::mesh::{FlightMesh, InProcess};
use orchestrator::run::{Engine, Runner};
use orchestrator::serve::Orchestrator;
use serde_json::json;
use std::sync::Arc;

/// Runs the whole of Quiver on this machine, until Ctrl-C or SIGTERM.
pub async fn up(args: UpArgs, logs: LogFormat) -> Result<Exit, Fault> {
    // Wrong options are told once, here, and not by every server.
    let env = args.env.open()?;
    let mut stop = std::pin::pin!(asked_to_stop(false));
    let (root, space) = (env.data_root.clone(), env.space.clone());
    let mut fleet = match args.embedded {
        true => None,
        false => {
            let steps = registry();
            tokio::select! {
                fleet = Fleet::start(&steps, &args.env, logs) => Some(fleet?),
                () = &mut stop => return Ok(Exit::Done),
            }
        }
    };
    let runner: Arc<dyn Runner> = match &fleet {
        None => Arc::new(Engine::new(Arc::new(InProcess::new(registry(), env)), space)),
        Some(fleet) => {
            let mesh = FlightMesh::connect(fleet.clients(crate::cli::Via::Unix)?).await?;
            Arc::new(Engine::new(Arc::new(mesh), space))
        }
    };
    let orchestrator = Orchestrator::start(&args.serve, runner, root).await?;
    tell(&args, &orchestrator, fleet.as_ref())?;
    match &mut fleet {
        None => stop.await,
        Some(fleet) => tokio::select! {
            () = stop => {}
            never = fleet.watch() => match never {},
        },
    }
    orchestrator.stop().await;
    if let Some(fleet) = fleet {
        fleet.stop().await;
    }
    Ok(Exit::Done)
}

fn tell(args: &UpArgs, orchestrator: &Orchestrator, fleet: Option<&Fleet>) -> Result<(), Fault> {
    let servers = fleet.map_or(&[][..], Fleet::servers);
    let url = orchestrator.url();
    if args.json {
        let shown = servers.iter().map(|one| json!({"step": one.step, "address": one.address, "pid": one.pid()}));
        return print_json(&json!({"api": url, "servers": shown.collect::<Vec<_>>()}));
    }
    for server in servers {
        println!("{:<16} {}", server.step, server.address);
    }
    println!("\nREST API         {url}/api/v1 (documented at {url}/docs)");
    println!("\nquiver runs submit FILE --url {url}\nCtrl-C ends it.");
    Ok(())
}
