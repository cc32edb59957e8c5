//! Versity's S3 gateway: a server that speaks S3, on a folder of its own, with its bucket in it.

use crate::tether::Tethered;
use crate::{go, http};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

const PACKAGE: &str = "github.com/versity/versitygw/cmd/versitygw";
const KEY: &str = "tester";
const SECRET: &str = "a-secret-of-the-tests";
/// The bucket that is there.
const BUCKET: &str = "data";

/// A running server, with one bucket in it.
pub struct S3 {
    server: Option<Tethered>,
    command: Command,
    scheme: &'static str,
    address: String,
    log: PathBuf,
    _folder: TempDir,
}

impl S3 {
    /// Starts it. Its program is built into `cache` if it is not there.
    pub fn start(cache: &Path) -> Self {
        Self::start_with(cache, None)
    }

    /// As [`S3::start`], with TLS: this certificate and its key, as PEM files.
    pub fn start_with_tls(cache: &Path, certificate: &Path, key: &Path) -> Self {
        Self::start_with(cache, Some((certificate, key)))
    }

    fn start_with(cache: &Path, tls: Option<(&Path, &Path)>) -> Self {
        let program = go::built("versitygw", PACKAGE, &Path::new(env!("CARGO_MANIFEST_DIR")).join("versitygw"), cache);
        let folder = tempfile::tempdir().expect("a temporary folder");
        let [objects, sidecar] = ["objects", "sidecar"].map(|name| folder.path().join(name));
        std::fs::create_dir_all(objects.join(BUCKET)).expect("a bucket");
        std::fs::create_dir(&sidecar).expect("a folder");
        let log = folder.path().join("requests");
        let [address] = http::free_addresses();
        let mut command = Command::new(program);
        command.args(["--port", &address, "--access", KEY, "--secret", SECRET, "--quiet"]);
        // Without it, every request has a connection of its own.
        command.arg("--keep-alive").arg("--access-log").arg(&log);
        if let Some((certificate, key)) = tls {
            command.arg("--cert").arg(certificate).arg("--key").arg(key);
        }
        // What is told of an object lies beside it, so that any file system will do.
        command.arg("posix").arg("--sidecar").arg(&sidecar).arg(&objects);
        let scheme = if tls.is_some() { "https" } else { "http" };
        let mut started = Self { server: None, command, scheme, address, log, _folder: folder };
        started.up();
        started
    }

    /// Starts it again after [`S3::kill`], at the same address.
    pub fn up(&mut self) {
        let mut server = Tethered::start_into(&self.command, "TERM", Stdio::null());
        server.wait_until("versitygw", || std::net::TcpStream::connect(&self.address).is_ok());
        self.server = Some(server);
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.signal("KILL");
        self.server = None;
    }

    /// Sends it a signal: `STOP`, `CONT`.
    pub fn signal(&self, name: &str) {
        self.server.as_ref().expect("it runs").signal(name);
    }

    /// Where it listens: `127.0.0.1:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The name of its bucket.
    pub fn bucket(&self) -> &'static str {
        BUCKET
    }

    /// What a client needs to know to reach it, or what listens before it at `address`.
    pub fn environment(&self, address: &str) -> Vec<(String, String)> {
        let all = [
            ("AWS_ACCESS_KEY_ID", KEY),
            ("AWS_SECRET_ACCESS_KEY", SECRET),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ENDPOINT_URL", &format!("{}://{address}", self.scheme)),
            ("AWS_ALLOW_HTTP", "true"),
        ];
        all.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
    }

    /// The requests that it has answered, each with its operation, key and status, in order: `s3_GetObject a.csv 200`.
    pub fn requests(&self) -> Vec<String> {
        let log = std::fs::read_to_string(&self.log).expect("its log");
        let request = |line: &str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let operation = words.iter().position(|word| word.starts_with("s3_"))?;
            let [operation, key, _path, status] = words.get(operation..operation + 4)? else { return None };
            Some(format!("{operation} {key} {status}"))
        };
        log.lines().filter_map(request).collect()
    }
}
