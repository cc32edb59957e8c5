//! What each word of the command does.

mod doctor;
mod file;
mod generate;
mod pipelines;
mod plan;
mod run;
mod runs;
mod schedules;
mod serve;
mod steps;
mod store;
mod token;
mod up;
mod validate;

use crate::cli::{Cli, Command, WhereArgs};
use crate::exit::Exit;
use crate::fleet::Fleet;
use crate::registry;
use crate::show;
use flight_common::client::StepClient;
use flight_common::farewell::farewells;
use flight_common::signals::StopSignals;
use flight_common::telemetry::{self, LogFormat};
use flight_common::{Fault, Registry, serve::runtime};
use orchestrator::mesh::{FlightMesh, InProcess, Planner, Secrets, WithSecrets};
use orchestrator::pipeline::{Source, services};
use std::io::Write;
use std::time::Duration;

/// How long servers and threads may take to end that have nothing to do any more.
const IDLE: Duration = Duration::from_secs(2);

/// Does what was asked.
pub fn dispatch(cli: Cli) -> Exit {
    let logs = cli.log_format;
    let json = cli.command.wants_json();
    let result = match cli.command {
        // These need no runtime, and start at once.
        Command::Generate(args) => generate::generate(&args),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::words(), "quiver", &mut script);
            print(&script).map(|()| Exit::Done)
        }
        Command::Man => man(),
        // Why a run failed is in its report.
        Command::Run(args) => to_its_end("quiver", logs, "error", run::run(args, logs)),
        Command::Validate(args) => within(logs, "warn", validate::validate(args, logs)),
        Command::Plan(args) => within(logs, "warn", plan::plan(args, logs)),
        Command::Steps(args) => within(logs, "warn", steps::steps(args, logs)),
        Command::Schema(args) => within(logs, "warn", steps::schema(args, logs)),
        Command::Serve(args) => to_its_end(&serve::name(&args), logs, "info", serve::serve(args)),
        Command::Runs(args) => within(logs, "warn", runs::runs(args)),
        Command::Pipelines(args) => within(logs, "warn", pipelines::pipelines(args)),
        Command::Schedules(args) => within(logs, "warn", schedules::schedules(args)),
        Command::Backfill(args) => within(logs, "warn", schedules::backfill(args)),
        Command::Token(args) => within(logs, "warn", token::token(args)),
        Command::Doctor(args) => within(logs, "warn", doctor::doctor(args)),
        Command::Up(args) => to_its_end("quiver", logs, "info", up::up(*args, logs)),
    };
    result.unwrap_or_else(|fault| {
        show::fault(&fault);
        if json {
            // Whoever reads a document gets one, in a line, as events are. That it cannot be written is told by the exit code.
            let _ = print(format!("{}\n", serde_json::json!({"status": "failed", "fault": fault})).as_bytes());
        }
        Exit::of(&fault)
    })
}

/// Runs the work of a command, which Ctrl-C may end wherever it is.
fn within(logs: LogFormat, level: &str, work: impl Future<Output = Result<Exit, Fault>>) -> Result<Exit, Fault> {
    to_its_end("quiver", logs, level, async {
        let mut signals = StopSignals::listen();
        tokio::select! {
            ended = work => ended,
            () = signals.asked() => Ok(Exit::Interrupted),
        }
    })
}

/// Runs the work of a command with telemetry. The work listens for Ctrl-C itself. At the end what it left running elsewhere
/// is ended, and telemetry is flushed.
fn to_its_end(
    service: &str,
    logs: LogFormat,
    level: &str,
    work: impl Future<Output = Result<Exit, Fault>>,
) -> Result<Exit, Fault> {
    let runtime = runtime()?;
    let ended = runtime.block_on(async {
        let telemetry = telemetry::init(service, logs, level);
        let ended = work.await;
        farewells().await;
        telemetry.close().await;
        ended
    });
    // A thread that still reads or computes does so for nobody.
    match ended {
        Ok(Exit::Interrupted) => runtime.shutdown_background(),
        _ => runtime.shutdown_timeout(IDLE),
    }
    ended
}

fn man() -> Result<Exit, Fault> {
    let mut page = Vec::new();
    let rendered = clap_mangen::Man::new(Cli::words()).render(&mut page);
    rendered.map_err(Fault::internal)?;
    print(&page)?;
    Ok(Exit::Done)
}

/// Writes to standard output. A reader that has gone is no error: `quiver steps | head`.
fn print(bytes: &[u8]) -> Result<(), Fault> {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(Fault::io("standard output", &error)),
        _ => Ok(()),
    }
}

fn print_json(document: &impl serde::Serialize) -> Result<(), Fault> {
    let mut text = serde_json::to_vec_pretty(document).map_err(Fault::internal)?;
    text.push(b'\n');
    print(&text)
}

/// Where the steps of a call are, opened.
enum Doors {
    /// In this process.
    Here(WithSecrets<InProcess>),
    /// Behind servers, which this process may have started.
    There { mesh: WithSecrets<FlightMesh>, fleet: Option<Fleet> },
}

impl Doors {
    /// Opens the doors to all steps.
    async fn open(args: &WhereArgs, logs: LogFormat) -> Result<Self, Fault> {
        Self::open_to(registry(), args, logs).await
    }

    /// Opens the doors to the steps of a pipeline; to all, where it names one that there is not.
    async fn open_for(pipeline: &Source, args: &WhereArgs, logs: LogFormat) -> Result<Self, Fault> {
        let steps = registry();
        let named = steps.only(&services(pipeline)).ok().filter(|named| named.iter().next().is_some());
        Self::open_to(named.unwrap_or(steps), args, logs).await
    }

    async fn open_to(steps: Registry, args: &WhereArgs, logs: LogFormat) -> Result<Self, Fault> {
        let secrets = Secrets::open(args.secrets_dir.as_deref())?;
        if let Some(via) = args.mesh {
            let root = args.env.open()?.data_root;
            let fleet = Fleet::start(&steps, &args.env, logs).await?;
            let mesh = FlightMesh::connect(fleet.clients(via)?, root).await?;
            return Ok(Self::There { mesh: WithSecrets::new(mesh, secrets), fleet: Some(fleet) });
        }
        if !args.connect.is_empty() {
            let clients = args.connect.iter().map(|address| StepClient::tcp(address)).collect::<Result<_, _>>()?;
            let mesh = FlightMesh::connect(clients, args.env.open()?.data_root).await?;
            return Ok(Self::There { mesh: WithSecrets::new(mesh, secrets), fleet: None });
        }
        Ok(Self::Here(WithSecrets::new(InProcess::new(steps, args.env.open()?), secrets)))
    }

    fn planner(&self) -> &dyn Planner {
        match self {
            Self::Here(mesh) => mesh,
            Self::There { mesh, .. } => mesh,
        }
    }

    /// Ends the servers that were started for this command.
    async fn close(self) {
        if let Self::There { fleet: Some(fleet), .. } = self {
            fleet.stop(IDLE).await;
        }
    }
}
