//! The `main` of a step's own binary, and the knobs that every server of steps has.

use crate::arguments::{address, memory};
use crate::data_root::RootOptions;
use crate::farewell::farewells;
use crate::fault::Fault;
use crate::memory::MemoryBudget;
use crate::outbound::AllowList;
use crate::registry::Registry;
use crate::server::{Limits, Listener, Server, Settings};
use crate::signals::StopSignals;
use crate::spool::SpillSpace;
use crate::step::{Step, StepEnv};
use crate::telemetry::{self, LogFormat};
use crate::variables;
use bytesize::ByteSize;
use clap::{Args, CommandFactory, FromArgMatches, Parser};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

pub use mimalloc::MiMalloc as Allocator;

/// Where files, memory and disk are.
#[derive(Clone, Debug, Args)]
pub struct EnvOptions {
    #[command(flatten)]
    #[allow(missing_docs, reason = "documented where it is defined")]
    pub root: RootOptions,

    /// Memory for rows that must wait. What does not fit goes to disk.
    #[arg(long, env = "QUIVER_MEMORY_LIMIT", default_value_t = ByteSize::mib(256), value_parser = memory, value_name = "SIZE")]
    pub memory_limit: ByteSize,

    /// The folder for spill files [default: the system's temporary folder]
    #[arg(long, env = "QUIVER_SPILL_DIR", value_name = "DIR")]
    pub spill_dir: Option<PathBuf>,

    /// Disk that spill files may take in all [default: all but the last GiB, or the last twentieth of a small disk]
    #[arg(long, env = "QUIVER_SPILL_QUOTA", value_name = "SIZE")]
    pub spill_quota: Option<ByteSize>,

    /// Hosts and networks that steps may reach over HTTP although they are not public: `api.intern.example,10.1.0.0/16`,
    /// or `*` for all [default: public addresses only]
    #[arg(long, env = "QUIVER_HTTP_ALLOW", default_value_t, hide_default_value = true, value_name = "LIST")]
    pub http_allow: AllowList,
}

impl EnvOptions {
    /// Opens what they name.
    ///
    /// # Errors
    /// Why a folder cannot be used.
    pub fn open(&self) -> Result<StepEnv, Fault> {
        let data_root = self.root.open()?;
        let spill_dir = self.spill_dir.clone().unwrap_or_else(std::env::temp_dir);
        if !spill_dir.is_dir() {
            return Err(Fault::not_found(format!("no folder {} for spill files", spill_dir.display()))
                .help("make it, or set another one with --spill-dir"));
        }
        let limit = usize::try_from(self.memory_limit.as_u64()).unwrap_or(usize::MAX);
        let quota = self.spill_quota.map_or(u64::MAX, |quota| quota.as_u64());
        let space = SpillSpace::new(MemoryBudget::new(limit), spill_dir, quota);
        Ok(StepEnv { data_root, space, http_allow: self.http_allow.clone() })
    }
}

/// Where to listen, and how to end.
#[derive(Clone, Debug, Args)]
pub struct ListenOptions {
    /// The TCP address to listen on. Port 0 takes a free one; the line printed at the start tells it.
    #[arg(long, env = "QUIVER_LISTEN", default_value = "127.0.0.1:8815", value_name = "ADDR", value_parser = address)]
    pub listen: SocketAddr,

    /// A Unix socket to listen on as well.
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,

    /// Exchanges to serve at a time. More are told to come back soon.
    #[arg(long, env = "QUIVER_MAX_EXCHANGES", default_value_t = Limits::default().exchanges, value_name = "N")]
    pub max_exchanges: usize,

    /// Seconds that calls under way may take after SIGTERM.
    #[arg(long, env = "QUIVER_DRAIN_SECONDS", default_value_t = 25, value_name = "S")]
    pub drain_seconds: u64,

    /// End when standard input closes: for a server that must not outlive the process that started it.
    #[arg(long, hide = true)]
    pub tethered: bool,
}

#[derive(Debug, Parser)]
struct Cli {
    #[command(flatten)]
    listen: ListenOptions,
    #[command(flatten)]
    env: EnvOptions,
    /// How log lines on standard error look.
    #[arg(long, env = "QUIVER_LOG_FORMAT", value_enum, default_value_t)]
    log_format: LogFormat,
}

/// Serves steps until SIGTERM or Ctrl-C, and then drains. Prints `listening on ADDR` once it can be called.
///
/// # Errors
/// Why it cannot listen, or that calls had to be cut off at its end.
pub async fn serve(registry: Registry, env: StepEnv, options: &ListenOptions) -> Result<(), Fault> {
    let mut signals = StopSignals::listen();
    let mut listener = Listener::tcp(options.listen).await?;
    if let Some(socket) = &options.socket {
        listener = listener.and_unix(socket)?;
    }
    let address = listener.address();
    let limits = Limits { exchanges: options.max_exchanges, ..Limits::default() };
    let settings = Settings { registry, env, limits, drain: Duration::from_secs(options.drain_seconds) };
    let server = Server::start(settings, listener).await;
    if let Some(address) = address {
        let mut out = std::io::stdout();
        // Whoever started us may have closed our output; the server goes on.
        let _ = writeln!(out, "listening on {address}").and_then(|()| out.flush());
    }
    let alone = tokio::select! {
        () = signals.asked() => false,
        () = untethered(), if options.tethered => true,
    };
    let ended = server.stop().await;
    if let Some(folder) = options.socket.as_deref().and_then(Path::parent).filter(|_| alone) {
        // Whoever made it for the socket may have been killed. It goes with the last socket in it.
        let _ = std::fs::remove_dir(folder);
    }
    ended
}

/// Waits for the end of standard input.
async fn untethered() {
    let (closed, closing) = tokio::sync::oneshot::channel();
    // A thread of its own: the runtime's would keep the process from ending.
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        let _ = closed.send(());
    });
    let _ = closing.await;
}

/// The whole `main` of a binary that serves one step.
pub fn main(step: impl Step) -> ExitCode {
    let registry = Registry::new().with(step);
    let spec = registry.iter().next().map(|step| step.spec());
    let (name, about) = spec.map_or(("step", ""), |spec| (spec.name, spec.summary));
    let command = Cli::command().name(name).about(about).version(env!("CARGO_PKG_VERSION"));
    let cli = match Cli::from_arg_matches(&variables::without_empty(command).get_matches()) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    let result = runtime().and_then(|runtime| {
        runtime.block_on(async {
            let telemetry = telemetry::init(name, cli.log_format, "info");
            let served = serve(registry, cli.env.open()?, &cli.listen).await;
            farewells().await;
            telemetry.close().await;
            served
        })
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("{name}: {fault}");
            if let Some(help) = fault.help_text() {
                eprintln!("  help: {help}");
            }
            ExitCode::FAILURE
        }
    }
}

/// The I/O runtime of a process.
///
/// # Errors
/// [`crate::FaultKind::Busy`] when the operating system gives no threads.
pub fn runtime() -> Result<tokio::runtime::Runtime, Fault> {
    raise_file_limit();
    let built = tokio::runtime::Builder::new_multi_thread().thread_name("io").enable_all().build();
    built.map_err(|error| Fault::busy(format!("cannot start threads: {error}")))
}

/// Takes all the open files that this process may have: each connection is one, and shells allow few for the sake of old
/// programs.
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    // With fewer it works as well.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_host_by_number_or_name_and_a_port() {
        assert_eq!(address("127.0.0.1:0"), Ok(([127, 0, 0, 1], 0).into()));
        assert_eq!(address("[::1]:80").map(|one| one.is_ipv6()), Ok(true));
        assert_eq!(address("localhost:81").map(|one| (one.ip().is_loopback(), one.port())), Ok((true, 81)));
        for wrong in ["", "8815", ":8815", "localhost", "localhost:http", "127.0.0.1:70000"] {
            let told = address(wrong).expect_err(wrong);
            assert!(told.contains("localhost:8815"), "{wrong}: {told}");
        }
    }
}
