//! Prometheus on a folder of its own, with the configuration that is shipped.

use crate::install::program;
use crate::tether::Tethered;
use crate::{Collector, http};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A running server.
pub struct Prometheus {
    _server: Tethered,
    address: String,
    _folder: TempDir,
}

impl Prometheus {
    /// Starts it with the `prometheus.yml` and the rules in `configs`, which looks at `collector` every second.
    pub fn start(configs: &Path, collector: &Collector) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let [metrics, own] = collector.scraped();
        let mut config = std::fs::read_to_string(configs.join("prometheus.yml")).expect("a configuration");
        for (shipped, ours) in [
            ("localhost:8889", metrics),
            ("localhost:8888", own),
            ("scrape_interval: 15s", "scrape_interval: 1s"),
            ("evaluation_interval: 15s", "evaluation_interval: 1s"),
        ] {
            assert!(config.contains(shipped), "prometheus.yml holds no {shipped}");
            config = config.replace(shipped, ours);
        }
        std::fs::write(folder.path().join("prometheus.yml"), config).expect("written");
        std::fs::copy(configs.join("alerts.yml"), folder.path().join("alerts.yml")).expect("the rules");
        let [address] = http::free_addresses();
        let mut command = Command::new(tool("prometheus"));
        command.arg("--config.file").arg(folder.path().join("prometheus.yml"));
        command.arg("--storage.tsdb.path").arg(folder.path().join("data"));
        command.arg(format!("--web.listen-address={address}")).arg("--log.level=error");
        let mut server = Tethered::start(&command, "TERM");
        server.wait_until("Prometheus", || http::get(&address, "/-/ready").is_some());
        Self { _server: server, address, _folder: folder }
    }

    /// What its API answers.
    pub fn ask(&self, path: &str) -> Option<String> {
        http::get(&self.address, path)
    }
}

/// `promtool`, which checks configurations and rules.
pub fn promtool() -> PathBuf {
    tool("promtool")
}

fn tool(name: &str) -> PathBuf {
    program(name, "prometheus", Vec::new)
}
