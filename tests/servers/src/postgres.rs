//! PostgreSQL in a folder of its own, reached over a Unix socket: no port, no password, no fsync.

use crate::install::{is_root, program, run, versions};
use crate::shared::Shared;
use crate::tether::Tethered;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tempfile::TempDir;

/// A running server.
pub struct Postgres {
    server: Mutex<Option<Tethered>>,
    folder: TempDir,
    databases: AtomicU32,
}

impl Postgres {
    /// The server that the tests of this process share. It stops when the last of them lets go of it.
    pub fn shared() -> Arc<Self> {
        static SHARED: Shared<Postgres> = Shared::new();
        SHARED.get(Self::start)
    }

    /// A server of one's own.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        if is_root() {
            // It refuses to run as root, so the folder is given to its own user.
            run(Command::new("chown").arg("postgres").arg(folder.path()));
        }
        let data = folder.path().join("data");
        run(as_postgres(&tool("initdb")).arg("-D").arg(&data).args(["-A", "trust", "-U", "postgres", "--no-sync"]));
        let server = Self { server: Mutex::new(None), folder, databases: AtomicU32::new(0) };
        server.up();
        server
    }

    /// Starts it again after [`Postgres::down`].
    pub fn up(&self) {
        let folder = self.folder.path();
        let mut command = as_postgres(&tool("postgres"));
        command.arg("-D").arg(folder.join("data")).arg("-k").arg(folder);
        command.args(["-c", "listen_addresses=", "-c", "fsync=off", "-c", "log_min_messages=fatal"]);
        let mut server = Tethered::start(&command, "INT");
        let psql = tool("psql");
        server.wait_until("PostgreSQL", || self.ask(&psql, "SELECT 1"));
        *self.server.lock().unwrap_or_else(PoisonError::into_inner) = Some(server);
    }

    /// Stops it, and cuts off who is connected.
    pub fn down(&self) {
        drop(self.server.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// The address of a new, empty database.
    pub fn database(&self) -> String {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        // Texts are ordered as in a language, as in most databases, and not by their bytes.
        let made =
            format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER icu ICU_LOCALE 'en-US'");
        assert!(self.ask(&tool("psql"), &made), "no database {name}");
        format!("postgres://postgres@localhost/{name}?host={}", self.folder.path().display())
    }

    fn ask(&self, psql: &Path, sql: &str) -> bool {
        let mut command = Command::new(psql);
        command.arg("-h").arg(self.folder.path()).args(["-U", "postgres", "-X", "-q", "-c", sql]);
        command.output().is_ok_and(|output| output.status.success())
    }
}

fn tool(name: &str) -> PathBuf {
    program(name, "postgresql", || versions("/usr/lib/postgresql"))
}

/// The program, run by the user that the package made for it if need be.
fn as_postgres(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "postgres", "--regid", "postgres", "--init-groups"]).arg(program);
    command
}
