//! MariaDB in a folder of its own, reached over a Unix socket and over loopback: no password, no fsync.

use crate::http;
use crate::install::{is_root, program, run};
use crate::shared::Shared;
use crate::tether::Tethered;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tempfile::TempDir;

/// Who runs it when this process is root, as which no server should run.
const NOBODY: &str = "nobody";

/// A running server.
pub struct MariaDb {
    server: Mutex<Option<Tethered>>,
    folder: TempDir,
    tcp: String,
    databases: AtomicU32,
}

impl MariaDb {
    /// The server that the tests of this process share. It stops when the last of them lets go of it.
    pub fn shared() -> Arc<Self> {
        static SHARED: Shared<MariaDb> = Shared::new();
        SHARED.get(Self::start)
    }

    /// A server of one's own.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        // The next one calls it, and its package does not bring it along.
        program("my_print_defaults", "mariadb-client-core", Vec::new);
        let mut install = Command::new(program("mariadb-install-db", "mariadb-server-core", Vec::new));
        install.args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"]);
        install.arg(format!("--datadir={}", folder.path().join("data").display()));
        if is_root() {
            run(Command::new("chown").arg(NOBODY).arg(folder.path()));
            install.arg(format!("--user={NOBODY}"));
        }
        // Two at once in one folder take away each other's temporary tables.
        run(install.env("TMPDIR", folder.path()));
        let [tcp] = http::free_addresses();
        let server = Self { server: Mutex::new(None), folder, tcp, databases: AtomicU32::new(0) };
        server.up();
        server
    }

    /// Starts it again after [`MariaDb::down`].
    pub fn up(&self) {
        let folder = self.folder.path();
        let (host, port) = self.tcp.split_once(':').expect("an address has a port");
        let mut command = Command::new(program("mariadbd", "mariadb-server-core", sbin));
        // The first: no file of the machine has a say.
        command.arg("--no-defaults").arg(format!("--datadir={}", folder.join("data").display()));
        command.arg(format!("--socket={}", self.socket().display()));
        command.arg(format!("--log-error={}", folder.join("log").display()));
        command.args([format!("--bind-address={host}"), format!("--port={port}")]);
        command.args(["--innodb-flush-log-at-trx-commit=0", "--innodb-fast-shutdown=2", "--log-warnings=0"]);
        command.arg("--character-set-server=utf8mb4");
        command.env("TMPDIR", folder);
        if is_root() {
            command.arg(format!("--user={NOBODY}"));
        }
        let mut server = Tethered::start(&command, "TERM");
        let client = client();
        server.wait_until("MariaDB", || self.ask(&client, "SELECT 1"));
        *self.server.lock().unwrap_or_else(PoisonError::into_inner) = Some(server);
    }

    /// Stops it, and cuts off who is connected.
    pub fn down(&self) {
        drop(self.server.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// The address of a new, empty database, over the socket.
    pub fn database(&self) -> String {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        assert!(self.ask(&client(), &format!("CREATE DATABASE {name}")), "no database {name}");
        format!("mysql://root@localhost/{name}?socket={}", self.socket().display())
    }

    /// Where it listens on loopback: `127.0.0.1:3306`.
    pub fn tcp(&self) -> &str {
        &self.tcp
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    fn ask(&self, client: &Path, sql: &str) -> bool {
        let mut command = Command::new(client);
        command.arg("--no-defaults").arg(format!("--socket={}", self.socket().display()));
        command.args(["--user=root", "--execute", sql]);
        command.output().is_ok_and(|output| output.status.success())
    }
}

fn client() -> PathBuf {
    program("mariadb", "mariadb-client-core", Vec::new)
}

/// Where Debian puts it; not everybody's path leads there.
fn sbin() -> Vec<PathBuf> {
    vec![PathBuf::from("/usr/sbin")]
}
