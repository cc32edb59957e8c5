//! The orchestrator of a cluster: the steps run elsewhere.

use clap::{CommandFactory, FromArgMatches, Parser};
use flight_common::client::StepClient;
use flight_common::serve::{EnvOptions, runtime};
use flight_common::signals::StopSignals;
use flight_common::telemetry::{self, LogFormat};
use flight_common::{Fault, serve, variables};
use orchestrator::mesh::{FlightMesh, WithSecrets};
use orchestrator::run::Engine;
use orchestrator::serve::{Orchestrator, ServeOptions};
use std::process::ExitCode;
use std::sync::Arc;

#[global_allocator]
static ALLOCATOR: serve::Allocator = serve::Allocator;

/// Runs pipelines on step servers: queue, store, REST API.
#[derive(Debug, Parser)]
#[command(name = "quiver-orchestrator", version, max_term_width = 110)]
struct Cli {
    /// The step servers: `host:port`, with commas between them. They need not run yet. Of two with the same step the first
    /// is used: name replicas of a step by the address of their balancer.
    #[arg(long, env = "QUIVER_STEPS", value_delimiter = ',', required = true, value_name = "ADDRESS")]
    steps: Vec<String>,
    #[command(flatten)]
    serve: ServeOptions,
    #[command(flatten)]
    env: EnvOptions,
    /// How log lines on standard error look.
    #[arg(long, env = "QUIVER_LOG_FORMAT", value_enum, default_value_t)]
    log_format: LogFormat,
}

fn main() -> ExitCode {
    let called = variables::without_empty(Cli::command()).get_matches();
    let cli = Cli::from_arg_matches(&called).unwrap_or_else(|error| error.exit());
    let ended = runtime().and_then(|runtime| runtime.block_on(run(cli)));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("quiver-orchestrator: {fault}");
            if let Some(help) = fault.help_text() {
                eprintln!("  help: {help}");
            }
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> Result<(), Fault> {
    let telemetry = telemetry::init("quiver-orchestrator", cli.log_format, "info");
    let served = serve(cli).await;
    telemetry.close().await;
    served
}

async fn serve(cli: Cli) -> Result<(), Fault> {
    let mut signals = StopSignals::listen();
    let clients = cli.steps.iter().map(|address| StepClient::tcp(address)).collect::<Result<_, _>>()?;
    let env = cli.env.open()?;
    let mesh = Arc::new(FlightMesh::new(clients, env.data_root.clone()));
    let guarded = WithSecrets::new(mesh.clone(), cli.serve.secrets()?);
    let engine = Engine::new(Arc::new(guarded), env.space.clone());
    let orchestrator = Orchestrator::start(&cli.serve, Arc::new(engine), mesh, env).await?;
    println!("listening on {} and {}", orchestrator.url(), orchestrator.front());
    signals.asked().await;
    tokio::select! {
        () = orchestrator.stop() => {}
        // Whoever asks again is in a hurry: its runs are taken over when their leases end.
        () = signals.asked() => {}
    }
    Ok(())
}
