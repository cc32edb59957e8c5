//! Jaeger 2, and the collector: the same program with one configuration or the other.

use crate::tether::Tethered;
use crate::{go, http};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const PACKAGE: &str = "github.com/jaegertracing/jaeger/cmd/jaeger";

fn program(cache: &Path) -> PathBuf {
    go::built("jaeger", PACKAGE, &Path::new(env!("CARGO_MANIFEST_DIR")).join("jaeger"), cache)
}

/// A running Jaeger, with its traces in memory.
pub struct Jaeger {
    _server: Tethered,
    otlp: String,
    query: String,
}

impl Jaeger {
    /// Starts it as `config` says. Its program is built into `cache` if it is not there.
    pub fn start(config: &Path, cache: &Path) -> Self {
        let [otlp, query, grpc, health] = http::free_addresses();
        let mut command = Command::new(program(cache));
        command.arg("--config").arg(config);
        command.env("JAEGER_OTLP", &otlp).env("JAEGER_QUERY", &query).env("JAEGER_QUERY_GRPC", &grpc);
        command.env("JAEGER_HEALTH", &health);
        let mut server = Tethered::start(&command, "TERM");
        server.wait_until("Jaeger", || http::get(&health, "/status").is_some());
        Self { _server: server, otlp, query }
    }

    /// What its API answers.
    pub fn ask(&self, path: &str) -> Option<String> {
        http::get(&self.query, path)
    }
}

/// A running collector.
pub struct Collector {
    server: Option<Tethered>,
    command: Command,
    health: String,
    otlp: String,
    metrics: String,
    own: String,
    output: PathBuf,
}

impl Collector {
    /// Starts it as `config` says, in front of `jaeger`. It writes the logs that it is sent into `folder`.
    pub fn start(config: &Path, jaeger: &Jaeger, cache: &Path, folder: &Path) -> Self {
        let [otlp, metrics, own, health] = http::free_addresses();
        let mut command = Command::new(program(cache));
        command.arg("--config").arg(config);
        command.env("JAEGER_OTLP", &jaeger.otlp).env("COLLECTOR_OTLP", &otlp).env("COLLECTOR_METRICS", &metrics);
        command.env("COLLECTOR_HEALTH", &health).env("SPANMETRICS_INTERVAL", "1s").env("LOGS_VERBOSITY", "detailed");
        let (host, port) = own.split_once(':').expect("a port");
        command.env("COLLECTOR_OWN_HOST", host).env("COLLECTOR_OWN_PORT", port);
        let output = folder.join("collector.out");
        let mut collector = Self { server: None, command, health, otlp, metrics, own, output };
        collector.up();
        collector
    }

    /// Starts it again after [`Collector::kill`], at the same addresses.
    pub fn up(&mut self) {
        let output = File::options().create(true).append(true).open(&self.output).expect("a file for its output");
        let mut server = Tethered::start_into(&self.command, "TERM", Stdio::from(output));
        server.wait_until("the collector", || http::get(&self.health, "/status").is_some());
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

    /// Where it takes OTLP.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.otlp)
    }

    /// Where Prometheus finds the metrics that it was sent, and its own.
    pub fn scraped(&self) -> [&str; 2] {
        [&self.metrics, &self.own]
    }

    /// What it has written: the logs that it was sent.
    pub fn output(&self) -> String {
        std::fs::read_to_string(&self.output).expect("its output")
    }
}
