//! Step servers as child processes: one for each step, tethered to this process so that none outlives it, not even
//! when it is killed.

use crate::cli::Via;
use flight_common::client::StepClient;
use flight_common::serve::EnvOptions;
use flight_common::telemetry::LogFormat;
use flight_common::{Fault, Registry, variables};
use futures::FutureExt;
use futures::future::{select_all, try_join_all};
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};

/// Time for a server to say where it listens.
const START: Duration = Duration::from_secs(20);

/// Exchanges that a server takes at a time: as many as a pipeline may have steps. What runs at once is bounded by whoever
/// started it, and in one process there is no such limit either.
const EXCHANGES: &str = "1000";

/// Lets the system choose.
const ANY_PORT: &str = "127.0.0.1:0";
/// Pauses before a server that has died is started again: the first, and the longest.
const AGAIN: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));
/// How often a server is asked whether it takes calls.
const ASKED: Duration = Duration::from_secs(5);
/// A server that does not answer so often, one time after the other, hangs: 30 seconds.
const MISSED: u32 = 6;
/// A server that has lived as long as this has not died of its start.
const LIVED: Duration = Duration::from_secs(30);

/// What the allocator of a server reads before its `main` begins: many servers share this machine, so each gives memory
/// back as soon as it is free. It halves what a run over the mesh takes, and costs it no time that can be measured.
const FRUGAL: [(&str, &str); 2] = [("MIMALLOC_PURGE_DELAY", "0"), ("MIMALLOC_ARENA_EAGER_COMMIT", "0")];

/// Running step servers.
pub struct Fleet {
    servers: Vec<StepServer>,
    launch: Launch,
}

/// How a server is started.
struct Launch {
    env: EnvOptions,
    logs: LogFormat,
    // Holds the sockets; removed at the end.
    folder: TempDir,
}

/// One of them.
pub struct StepServer {
    /// The step it serves.
    pub step: String,
    /// Its TCP address.
    pub address: String,
    socket: PathBuf,
    child: Child,
    // Its end is the end of the server. `Child` would close it as soon as it is waited for.
    tether: Option<ChildStdin>,
    begun: Instant,
    pause: Duration,
}

impl StepServer {
    /// Its process.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits for its end, and tells how it came. One that hangs is killed.
    async fn ended(&mut self) -> String {
        tokio::select! {
            ended = self.child.wait() => return ended.map_or_else(|error| error.to_string(), |status| status.to_string()),
            () = silent(&self.socket) => {}
        }
        // It may have ended in the meantime.
        let _ = self.child.kill().await;
        format!("it did not answer for {} s, and was killed", (ASKED * MISSED).as_secs())
    }
}

/// Returns once the server at this socket hangs. Answers are counted, and not the time: this process may have stood still itself.
async fn silent(socket: &Path) {
    let Ok(client) = StepClient::unix(socket) else { return std::future::pending().await };
    let mut missed = 0;
    while missed < MISSED {
        tokio::time::sleep(ASKED).await;
        missed = if client.check().await.is_ok() { 0 } else { missed + 1 };
    }
}

impl Fleet {
    /// Starts a server for each step of the registry, and waits until all can be called.
    ///
    /// # Errors
    /// Why one of them did not start.
    pub async fn start(registry: &Registry, env: &EnvOptions, logs: LogFormat) -> Result<Self, Fault> {
        let folder = tempfile::Builder::new()
            .prefix("quiver-")
            .tempdir()
            .map_err(|error| Fault::io("a folder for sockets", &error))?;
        let launch = Launch { env: env.clone(), logs, folder };
        let names: Vec<String> = registry.iter().map(|step| step.description().name.clone()).collect();
        let servers = try_join_all(names.iter().map(|name| launch.start(name, ANY_PORT))).await?;
        Ok(Self { servers, launch })
    }

    /// Starts each server again that dies or hangs, at its old address. Never ends.
    pub async fn watch(&mut self) -> Infallible {
        let Self { servers, launch } = self;
        // Each by itself: one that dies again and again keeps nobody from seeing that another one hangs.
        select_all(servers.iter_mut().map(|server| launch.keep(server).boxed())).await.0
    }

    /// The servers.
    pub fn servers(&self) -> &[StepServer] {
        &self.servers
    }

    /// A client for each server.
    ///
    /// # Errors
    /// An address that is none.
    pub fn clients(&self, via: Via) -> Result<Vec<StepClient>, Fault> {
        let client = |server: &StepServer| match via {
            Via::Unix => StepClient::unix(&server.socket),
            Via::Tcp => StepClient::tcp(&server.address),
        };
        self.servers.iter().map(client).collect()
    }

    /// Lets every server drain and end, and kills what has not ended after `patience`.
    pub async fn stop(mut self, patience: Duration) {
        for server in &mut self.servers {
            // The end of its standard input is what it waits for.
            drop(server.tether.take());
        }
        let deadline = tokio::time::Instant::now() + patience;
        for server in &mut self.servers {
            if tokio::time::timeout_at(deadline, server.child.wait()).await.is_err() {
                tracing::warn!(step = server.step, "server did not drain in time and is killed");
                // It may have ended in the meantime.
                let _ = server.child.kill().await;
            }
        }
    }
}

impl Launch {
    /// Starts a server again whenever it dies or hangs. Never ends.
    async fn keep(&self, server: &mut StepServer) -> Infallible {
        loop {
            let how = server.ended().await;
            let pause = if server.begun.elapsed() > LIVED { AGAIN.0 } else { server.pause };
            tracing::warn!(step = server.step, how, "a server has died and is started again");
            tokio::time::sleep(pause).await;
            match self.start(&server.step, &server.address).await {
                Ok(again) => *server = again,
                Err(fault) => {
                    tracing::error!(step = server.step, fault = %fault, "it could not be started");
                    // How long the one before had lived says nothing about this one.
                    server.begun = Instant::now();
                }
            }
            server.pause = (pause * 2).min(AGAIN.1);
        }
    }

    async fn start(&self, step: &str, listen: &str) -> Result<StepServer, Fault> {
        let program = std::env::current_exe().map_err(|error| Fault::io("the quiver program", &error))?;
        let socket = self.folder.path().join(format!("{step}.sock"));
        // One that was killed has left it behind.
        let _ = std::fs::remove_file(&socket);
        let env = &self.env;
        let mut command = Command::new(program);
        command.arg("serve").arg(step).args(["--listen", listen, "--tethered"]).arg("--socket").arg(&socket);
        command.arg("--data-root").arg(&env.root.data_root);
        if let Some(folder) = &env.root.state_dir {
            command.arg("--state-dir").arg(folder);
        }
        command.arg("--cache-size").arg(env.root.cache_size.as_u64().to_string());
        command.arg("--memory-limit").arg(env.memory_limit.as_u64().to_string());
        if let Some(dir) = &env.spill_dir {
            command.arg("--spill-dir").arg(dir);
        }
        if let Some(quota) = env.spill_quota {
            command.arg("--spill-quota").arg(quota.as_u64().to_string());
        }
        command.args(["--max-exchanges", EXCHANGES]);
        command.arg("--http-allow").arg(env.http_allow.to_string());
        if self.logs == LogFormat::Json {
            command.args(["--log-format", "json"]);
        }
        for (name, value) in FRUGAL {
            if variables::set(name).is_none() {
                command.env(name, value);
            }
        }
        // Ctrl-C is for this process, which then ends its servers in good order.
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().map_err(|error| Fault::io(format!("the server of {step}"), &error))?;
        let tether = child.stdin.take();
        let failed = |why: &str| Fault::upstream(format!("the server of {step} did not start: {why}"));
        let output = child.stdout.take().ok_or_else(|| failed("it has no output"))?;
        let mut lines = BufReader::new(output).lines();
        let line = tokio::time::timeout(START, lines.next_line()).await;
        let line = line.map_err(|_| failed("it did not say where it listens"))?;
        let line = line.ok().flatten().ok_or_else(|| failed("it ended at once"))?;
        let address = line.rsplit(' ').next().unwrap_or_default().to_owned();
        Ok(StepServer { step: step.to_owned(), address, socket, child, tether, begun: Instant::now(), pause: AGAIN.0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytesize::ByteSize;
    use flight_common::RootOptions;
    use flight_common::outbound::AllowList;

    #[tokio::test]
    async fn pauses_grow_also_for_a_server_that_had_lived_long() {
        let env = EnvOptions {
            root: RootOptions::at("."),
            memory_limit: ByteSize::mib(1),
            spill_dir: None,
            spill_quota: None,
            http_allow: AllowList::default(),
        };
        let folder = tempfile::tempdir().expect("a folder");
        let launch = Launch { env, logs: LogFormat::default(), folder };
        let mut server = StepServer {
            step: "none".to_owned(),
            address: ANY_PORT.to_owned(),
            socket: launch.folder.path().join("none.sock"),
            child: Command::new("true").spawn().expect("it starts"),
            tether: None,
            begun: Instant::now().checked_sub(LIVED * 2).expect("the machine is up for longer"),
            pause: AGAIN.0,
        };
        // What it starts is the program of this test, which is no server.
        assert!(tokio::time::timeout(AGAIN.0 * 20, launch.keep(&mut server)).await.is_err());
        assert!(server.pause > AGAIN.0 * 2, "{:?}", server.pause);
    }
}
