//! Which orchestrator: named by its URL, or by a context of the configuration file.

use super::Remote;
use clap::Args;
use flight_common::{Fault, params};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The orchestrator that `quiver up` starts.
const LOCAL: &str = "http://127.0.0.1:8080";

/// Which orchestrator to ask.
#[derive(Clone, Debug, Default, Args)]
pub struct RemoteOptions {
    /// The URL of the orchestrator [default: that of the context, else http://127.0.0.1:8080]
    #[arg(long, global = true, env = "QUIVER_URL", hide_env_values = true, value_name = "URL")]
    pub url: Option<String>,

    /// A token, where the orchestrator asks for one. Better kept in QUIVER_TOKEN or the configuration: others see what
    /// commands are called with.
    #[arg(long, global = true, env = "QUIVER_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub token: Option<String>,

    /// A file of certificates (PEM) that the orchestrator's may be signed by, beside those that this machine trusts.
    #[arg(long, global = true, env = "QUIVER_CA_CERT", value_name = "FILE")]
    pub ca_cert: Option<PathBuf>,

    /// A context of the configuration file.
    #[arg(long, global = true, env = "QUIVER_CONTEXT", value_name = "NAME")]
    pub context: Option<String>,

    /// The configuration file [default: quiver/config.yaml in the user's configuration folder]
    #[arg(long, global = true, env = "QUIVER_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// The configuration file: `current: prod`, `contexts: {prod: {url: https://…, token_file: …, ca_cert: …}}`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    #[serde(default)]
    current: Option<String>,
    #[serde(default)]
    contexts: BTreeMap<String, Context>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Context {
    url: String,
    #[serde(default)]
    token: Option<String>,
    #[serde(default)]
    token_file: Option<PathBuf>,
    #[serde(default)]
    ca_cert: Option<PathBuf>,
}

impl RemoteOptions {
    /// Whether one was named, be it by the configuration.
    ///
    /// # Errors
    /// As [`RemoteOptions::open`].
    pub fn is_named(&self) -> Result<bool, Fault> {
        Ok(self.meant().url.is_some() || self.context()?.is_some())
    }

    /// What was named. Who names a context on the command line means that, and not a URL that the environment names, nor what
    /// it holds for that.
    fn meant(&self) -> Self {
        let of_environment = |name, value: &str| std::env::var_os(name).is_some_and(|told| told == value);
        let means_context = self.context.as_ref().is_some_and(|context| !of_environment("QUIVER_CONTEXT", context));
        let mut meant = self.clone();
        if means_context && self.url.as_ref().is_some_and(|url| of_environment("QUIVER_URL", url)) {
            meant.url = None;
            meant.token.take_if(|token| of_environment("QUIVER_TOKEN", token));
            meant.ca_cert.take_if(|file| of_environment("QUIVER_CA_CERT", &file.to_string_lossy()));
        }
        meant
    }

    /// The orchestrator to ask.
    ///
    /// # Errors
    /// A context that is not there, a configuration that cannot be read, or what is no URL.
    pub fn open(&self) -> Result<Remote, Fault> {
        let context = self.context()?;
        let Self { url, token, ca_cert, .. } = self.meant();
        let url = url.or_else(|| context.as_ref().map(|context| context.url.clone()));
        // What a context holds is meant for the URL beside it.
        let context = context.filter(|context| url.as_ref() == Some(&context.url)).unwrap_or_default();
        let token = match token {
            Some(token) => Some(token),
            None => context.token()?,
        };
        let ca_cert = ca_cert.as_ref().or(context.ca_cert.as_ref());
        Remote::new(url.as_deref().unwrap_or(LOCAL), token, ca_cert.map(PathBuf::as_path))
    }

    fn context(&self) -> Result<Option<Context>, Fault> {
        let config = self.read()?;
        let Some(name) = self.context.as_ref().or(config.current.as_ref()) else { return Ok(None) };
        match config.contexts.get(name) {
            Some(context) => Ok(Some(context.clone())),
            None => {
                let known = config.contexts.keys().map(String::as_str);
                Err(Fault::not_found(format!("there is no context \"{name}\" in the configuration"))
                    .help(params::did_you_mean(name, known)))
            }
        }
    }

    fn read(&self) -> Result<Config, Fault> {
        let named = self.config.is_some();
        let Some(path) = self.config.clone().or_else(default_path) else { return Ok(Config::default()) };
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !named => return Ok(Config::default()),
            Err(error) => {
                return Err(
                    Fault::io(path.display(), &error).help("--config or QUIVER_CONFIG names the configuration file")
                );
            }
        };
        serde_saphyr::from_str(&text).map_err(|error| {
            Fault::bad_params(format!("{} cannot be read: {error}", path.display()))
                .help("it holds `current: NAME` and `contexts: {NAME: {url: …, token_file: …, ca_cert: …}}`")
        })
    }
}

impl Context {
    fn token(&self) -> Result<Option<String>, Fault> {
        match (&self.token, &self.token_file) {
            (Some(token), _) => Ok(Some(token.clone())),
            (None, Some(file)) => {
                let text = std::fs::read_to_string(file).map_err(|error| Fault::io(file.display(), &error))?;
                Ok(Some(text.trim().to_owned()))
            }
            (None, None) => Ok(None),
        }
    }
}

fn default_path() -> Option<PathBuf> {
    let folder = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let folder = folder.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".config")))?;
    Some(folder.join("quiver/config.yaml"))
}
