//! What an operator can set, and what of it is refused.

use crate::mesh::Secrets;
use crate::service::{HookSettings, LineageSettings, RetryPolicy, Settings};
use crate::store::{Limits, file_of};
use crate::tls::Tls;
use bytesize::ByteSize;
use clap::Args;
use flight_common::arguments::{address, age, count, deadline, duration};
use flight_common::{DataRoot, Fault};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What an operator can set.
#[derive(Clone, Debug, Args)]
pub struct ServeOptions {
    /// The address of the REST API. Port 0 takes a free one.
    #[arg(long, env = "QUIVER_API", default_value = "127.0.0.1:8080", value_name = "ADDR", value_parser = address)]
    pub api: SocketAddr,

    /// The address of the Flight front door. Port 0 takes a free one.
    #[arg(long, env = "QUIVER_FRONT", default_value = "127.0.0.1:8814", value_name = "ADDR", value_parser = address)]
    pub front: SocketAddr,

    /// Where runs are kept: `sqlite:///folder/quiver.db`, or `postgres://user@host/database`, which several orchestrators
    /// may share [default: a file under the data root]
    #[arg(long, env = "QUIVER_STORE", value_name = "URL", hide_env_values = true)]
    pub store: Option<String>,

    /// The folder with a file for each secret. A parameter `secret://NAME` is read from the environment variable
    /// `QUIVER_SECRET_NAME`, else from the file `NAME` in it.
    #[arg(long, env = "QUIVER_SECRETS_DIR", value_name = "DIR")]
    pub secrets_dir: Option<PathBuf>,

    /// Ask every caller for a token. `quiver token create` makes the first one.
    #[arg(long, env = "QUIVER_TOKENS")]
    pub tokens: bool,

    /// The certificate of the REST API and of the front door, as a PEM file.
    #[arg(long, env = "QUIVER_TLS_CERT", requires = "tls_key", value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,

    /// The key of that certificate, as a PEM file.
    #[arg(long, env = "QUIVER_TLS_KEY", requires = "tls_cert", value_name = "FILE")]
    pub tls_key: Option<PathBuf>,

    /// Listen without TLS also beyond this machine: a proxy in front does it.
    #[arg(long, env = "QUIVER_PLAINTEXT")]
    pub plaintext: bool,

    /// Runs of this orchestrator at a time.
    #[arg(long, env = "QUIVER_SLOTS", default_value_t = Settings::default().slots, value_parser = count::<usize>, value_name = "N")]
    pub slots: usize,

    /// Runs at a time, over all orchestrators that share the store.
    #[arg(long, env = "QUIVER_MAX_RUNS", default_value_t = Limits::default().runs, value_parser = count::<usize>, value_name = "N")]
    pub max_runs: usize,

    /// Runs of one pipeline at a time, unless it says otherwise.
    #[arg(long, env = "QUIVER_MAX_RUNS_PER_PIPELINE", default_value_t = Limits::default().per_pipeline, value_parser = count::<usize>, value_name = "N")]
    pub max_runs_per_pipeline: usize,

    /// Runs at a time that use a step: `extract-sql=2`. May be given several times.
    #[arg(long, value_parser = step_limit, value_name = "STEP=N")]
    pub max_runs_per_step: Vec<(String, usize)>,

    /// How long a run may take [default: any time]
    #[arg(long, env = "QUIVER_RUN_TIMEOUT", value_parser = deadline, value_name = "TIME")]
    pub run_timeout: Option<Duration>,

    /// How often a run is tried whose failure may pass.
    #[arg(long, env = "QUIVER_ATTEMPTS", default_value_t = RetryPolicy::default().attempts, value_parser = count::<u32>, value_name = "N")]
    pub attempts: u32,

    /// How long a run belongs to an orchestrator that is not heard of.
    #[arg(long, env = "QUIVER_LEASE", value_parser = lease, default_value = "15s", value_name = "TIME")]
    pub lease: Duration,

    /// How long runs under way may go on after SIGTERM; then another orchestrator, or the next start, takes them up.
    #[arg(long, env = "QUIVER_DRAIN", value_parser = duration, default_value = "20s", value_name = "TIME")]
    pub drain: Duration,

    /// How long kept outputs are kept after their run has ended.
    #[arg(long, env = "QUIVER_KEEP_FOR", value_parser = age, default_value = "7days", value_name = "TIME")]
    pub keep_for: Duration,

    /// Disk that kept outputs may take.
    #[arg(long, env = "QUIVER_KEEP_SIZE", default_value_t = ByteSize::gib(10), value_name = "SIZE")]
    pub keep_size: ByteSize,

    /// How long ended runs are remembered, with what happened to them. What they wrote stays.
    #[arg(long, env = "QUIVER_KEEP_RUNS", value_parser = age, default_value = "90days", value_name = "TIME")]
    pub keep_runs: Duration,

    /// Let hooks of pipelines go to addresses that are not public.
    #[arg(long, env = "QUIVER_ALLOW_PRIVATE_HOOKS")]
    pub allow_private_hooks: bool,

    /// Where people reach the REST API: what links in hooks begin with.
    #[arg(long, env = "QUIVER_PUBLIC_URL", value_parser = web_address, value_name = "URL")]
    pub public_url: Option<String>,

    /// How long a request may take until its answer begins: uploads may take longer, but not stand still.
    #[arg(long, env = "QUIVER_REQUEST_TIMEOUT", value_parser = deadline, default_value = "60s", value_name = "TIME")]
    pub request_timeout: Duration,

    /// The largest file that may be uploaded.
    #[arg(long, env = "QUIVER_MAX_UPLOAD", default_value_t = ByteSize::gib(10), value_name = "SIZE")]
    pub max_upload: ByteSize,

    #[command(flatten)]
    lineage: LineageOptions,
}

/// Where lineage is told: the variables are those of all OpenLineage producers.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "OpenLineage")]
struct LineageOptions {
    /// Tell the OpenLineage consumer at this address which pipelines read and wrote which data.
    #[arg(long, env = "OPENLINEAGE_URL", hide_env_values = true, value_name = "URL")]
    openlineage_url: Option<String>,

    /// Its path for events.
    #[arg(long, env = "OPENLINEAGE_ENDPOINT", default_value = "api/v1/lineage", value_name = "PATH")]
    openlineage_endpoint: String,

    /// The namespace of pipelines and their steps.
    #[arg(long, env = "OPENLINEAGE_NAMESPACE", default_value = "quiver", value_name = "NAME")]
    openlineage_namespace: String,

    /// The file with the key for it [default: the variable OPENLINEAGE_API_KEY, if it is set]
    #[arg(long, env = "OPENLINEAGE_API_KEY_FILE", value_name = "FILE")]
    openlineage_api_key_file: Option<PathBuf>,
}

impl LineageOptions {
    fn settings(&self) -> Result<Option<LineageSettings>, Fault> {
        let Some(url) = &self.openlineage_url else { return Ok(None) };
        let key = match &self.openlineage_api_key_file {
            Some(file) => Some(std::fs::read_to_string(file).map_err(|error| Fault::io(file.display(), &error))?),
            None => std::env::var("OPENLINEAGE_API_KEY").ok().filter(|key| !key.is_empty()),
        };
        let key = key.as_deref().map(str::trim);
        LineageSettings::new(url, &self.openlineage_endpoint, &self.openlineage_namespace, key).map(Some)
    }
}

/// Heartbeats come three times as often: a shorter one would be lost to any pause of the machine.
fn lease(text: &str) -> Result<Duration, String> {
    const SHORTEST: Duration = Duration::from_secs(1);
    duration(text)
        .and_then(|lease| if lease < SHORTEST { Err("1s is the shortest; 15s is usual".to_owned()) } else { Ok(lease) })
}

/// Where a browser finds this: what begins a link.
fn web_address(text: &str) -> Result<String, String> {
    match text.parse::<http::Uri>() {
        Ok(uri) if matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some() => Ok(text.to_owned()),
        _ => Err("write it like https://quiver.example".to_owned()),
    }
}

fn step_limit(text: &str) -> Result<(String, usize), String> {
    let wrong = || format!("\"{text}\" is no limit; write extract-sql=2");
    let (step, limit) = text.split_once('=').filter(|(step, _)| !step.is_empty()).ok_or_else(wrong)?;
    Ok((step.to_owned(), count(limit).map_err(|why| format!("{}: {why}", wrong()))?))
}

impl ServeOptions {
    /// The address of the store: the one that was named, or a file in the orchestrator's own folder.
    ///
    /// # Errors
    /// Why that folder cannot be had.
    pub fn store_url(&self, root: &DataRoot) -> Result<String, Fault> {
        match &self.store {
            Some(url) => Ok(url.clone()),
            None => default_store(root),
        }
    }

    /// The secrets that pipelines may refer to.
    ///
    /// # Errors
    /// Why their folder cannot be read.
    pub fn secrets(&self) -> Result<Secrets, Fault> {
        Secrets::open(self.secrets_dir.as_deref())
    }

    /// What the service is to do, with at most so many runs that use a step.
    pub(super) fn settings(&self, per_step: HashMap<String, usize>) -> Result<Settings, Fault> {
        Ok(Settings {
            slots: self.slots,
            limits: Limits { runs: self.max_runs, per_pipeline: self.max_runs_per_pipeline, per_service: per_step },
            lease: self.lease,
            run_limit: self.run_timeout,
            retry: RetryPolicy { attempts: self.attempts, ..RetryPolicy::default() },
            drain: self.drain,
            keep_for: self.keep_for,
            keep_bytes: self.keep_size.as_u64(),
            remember: self.keep_runs,
            hooks: HookSettings {
                allow_private: self.allow_private_hooks,
                secrets: Some(self.secrets()?),
                public_url: self.public_url.clone(),
                ..HookSettings::default()
            },
            lineage: self.lineage.settings()?,
        })
    }

    /// Refuses what lets callers in, and what pipelines may only refer to, beneath the data root: whoever may run a pipeline could
    /// read it, and write it.
    pub(super) fn out_of_reach(&self, root: &DataRoot) -> Result<(), Fault> {
        if root.is_bucket() {
            return Ok(());
        }
        let connections = std::env::var_os(CONNECTIONS_DIR).map(PathBuf::from);
        let named = [
            ("--tls-key", self.tls_key.clone()),
            ("--secrets-dir", self.secrets_dir.clone()),
            ("--openlineage-api-key-file", self.lineage.openlineage_api_key_file.clone()),
            (CONNECTIONS_DIR, connections),
        ];
        // Without tokens there is nobody who may do less than all; but a store that is replaced is lost to everybody.
        let store = ("--store", self.store.as_deref().and_then(file_of));
        let named = [store].into_iter().chain(named.into_iter().filter(|_| self.tokens));
        for (option, path) in named.filter_map(|(option, path)| Some((option, path?))) {
            // A link there could be replaced.
            let beneath = |place: &Path| {
                place.starts_with(resolved(root.path())) && !place.starts_with(resolved(&root.own_path()))
            };
            if beneath(&resolved(&path)) || path.parent().is_some_and(|folder| beneath(&resolved(folder))) {
                let lies = format!("{option}: {} lies beneath the data root, {root}", path.display());
                let help = "there every operator can read and replace it by a pipeline: keep it elsewhere, or give data a folder \
                            of its own with --data-root";
                return Err(Fault::denied(lies).help(help));
            }
        }
        Ok(())
    }

    pub(super) fn tls(&self) -> Result<Option<Tls>, Fault> {
        match (&self.tls_cert, &self.tls_key) {
            (Some(certificate), Some(key)) => Tls::read(certificate, key).map(Some),
            _ => Ok(None),
        }
    }
}

/// The variable with the folder of connections to databases, which steps read.
const CONNECTIONS_DIR: &str = "QUIVER_CONNECTIONS_DIR";

/// How many links in a row are followed.
const LINKS: usize = 40;

/// Where a file is that may not be there yet: links are taken for what they lead to, also those that lead to nothing yet.
fn resolved(path: &Path) -> PathBuf {
    let mut path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    for _ in 0..LINKS {
        let there = path.ancestors().find_map(|near| Some((near.canonicalize().ok()?, path.strip_prefix(near).ok()?)));
        let Some((near, rest)) = there else { return path };
        let mut rest = rest.components();
        let Some(next) = rest.next() else { return near };
        let next = near.join(next);
        path = match next.read_link() {
            Ok(target) => near.join(target).join(rest),
            Err(_) => return next.join(rest),
        };
    }
    path
}

/// The store of a data root for which no other is named.
///
/// # Errors
/// Why the orchestrator's own folder cannot be had.
pub fn default_store(root: &DataRoot) -> Result<String, Fault> {
    // An address ends at `?`, and `%` begins the number of a character.
    let path = root.own_folder()?.path().display().to_string().replace('%', "%25").replace('?', "%3F");
    Ok(format!("sqlite://{path}/{STORE}"))
}

/// Whether [`default_store`] is there already.
pub fn has_default_store(root: &DataRoot) -> bool {
    root.own_path().join(STORE).exists()
}

/// The file of the store of a data root.
const STORE: &str = "quiver.db";

#[cfg(test)]
mod tests {
    use super::*;
    use flight_common::FaultKind;

    #[derive(clap::Parser)]
    struct Command {
        #[command(flatten)]
        options: ServeOptions,
    }

    #[test]
    fn what_lets_callers_in_lies_where_no_pipeline_reads() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = DataRoot::open(folder.path()).expect("a data root");
        let beneath = |path: &str| folder.path().join(path).display().to_string();
        let refused = |words: &[&str]| {
            let words = ["quiver", "--tls-cert", "c.pem", "--tls-key", "/etc/quiver/key.pem"].iter().chain(words);
            let command = <Command as clap::Parser>::try_parse_from(words).expect("good options");
            command.options.out_of_reach(&root).err().map(|fault| fault.kind())
        };
        let denied = Some(FaultKind::Denied);
        assert_eq!(refused(&["--tokens"]), None);
        assert_eq!(refused(&["--tokens", "--secrets-dir", &beneath("secrets")]), denied);
        assert_eq!(refused(&["--tokens", "--secrets-dir", &beneath("../secrets")]), None);
        assert_eq!(refused(&["--tokens", "--store", &format!("sqlite://{}?mode=rwc", beneath("a/b.db"))]), denied);
        assert_eq!(refused(&["--tokens", "--store", &format!("sqlite:{}", beneath(".quiver/b.db"))]), None);
        assert_eq!(refused(&["--tokens", "--store", "postgres://h/db"]), None);
        assert_eq!(refused(&["--tokens", "--store", "sqlite::memory:"]), None);
        let encoded = format!("sqlite://{}", beneath("b.db").replace("b.db", "%62.db").replace("/.tmp", "/%2etmp"));
        assert_eq!(refused(&["--tokens", "--store", &encoded]), denied, "{encoded}");
        std::os::unix::fs::symlink("/etc", folder.path().join("link")).expect("a link");
        assert_eq!(refused(&["--tokens", "--secrets-dir", &beneath("link")]), denied);
        assert_eq!(refused(&["--store", &format!("sqlite:{}", beneath("b.db"))]), denied);
        // By links elsewhere that lead to what is not there yet.
        let elsewhere = tempfile::tempdir().expect("a folder");
        for (name, target) in [("l.db", beneath("in/l.db")), ("l", beneath("l")), ("again.db", "l.db".to_owned())] {
            std::os::unix::fs::symlink(target, elsewhere.path().join(name)).expect("a link");
        }
        std::os::unix::fs::symlink("out.db", elsewhere.path().join("there.db")).expect("a link");
        let by = |name: &str| refused(&["--store", &format!("sqlite:{}", elsewhere.path().join(name).display())]);
        assert_eq!(["l.db", "again.db", "l/s.db"].map(by), [denied; 3]);
        assert_eq!(by("there.db"), None);
        // Without tokens there is nobody who may do less than all.
        assert_eq!(refused(&["--secrets-dir", &beneath("secrets")]), None);
    }

    #[test]
    fn settings_with_which_nothing_would_run_are_refused() {
        assert_eq!(lease("2s"), Ok(Duration::from_secs(2)));
        assert!(lease("0s").is_err() && lease("900ms").is_err());
        assert_eq!(step_limit("extract-sql=2"), Ok(("extract-sql".to_owned(), 2)));
        assert!(web_address("https://quiver.example/etl").is_ok());
        for wrong in ["foo", "quiver.example:80", "ftp://quiver.example", "https://"] {
            assert!(web_address(wrong).is_err(), "{wrong}");
        }
        for wrong in ["extract-sql=0", "extract-sql", "extract-sql=x", "=2"] {
            assert!(step_limit(wrong).is_err(), "{wrong}");
        }
    }
}
