//! The words of `quiver token` and `quiver doctor`.

use crate::remote::RemoteOptions;
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, Subcommand};
use flight_common::RootOptions;
use flight_common::arguments::deadline;
use flight_common::serve::EnvOptions;
use orchestrator::store::{Role, TokenName};

/// `quiver token`.
#[derive(Debug, Args)]
pub struct TokenArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: TokenCommand,

    #[command(flatten)]
    #[allow(missing_docs, reason = "documented where it is defined")]
    pub remote: RemoteOptions,

    /// The store itself, instead of an orchestrator: how the first token is made [default, where no orchestrator is
    /// named: the one under the data root]
    #[arg(long, env = "QUIVER_STORE", hide_env_values = true, value_name = "URL")]
    pub store: Option<String>,

    #[command(flatten)]
    #[allow(missing_docs, reason = "documented where it is defined")]
    pub root: RootOptions,

    /// Whether the store here is meant, whatever the environment or the configuration names.
    #[arg(skip)]
    pub here: bool,

    /// Print JSON on standard output, and nothing else there.
    #[arg(long, global = true)]
    pub json: bool,
}

impl TokenArgs {
    /// Whoever names an orchestrator on the command line means it, and not a store that the environment names; whoever
    /// names a store or a data root there means these.
    pub fn heed(&mut self, called: &ArgMatches) {
        let is_told = |name: &&str| called.value_source(name) == Some(ValueSource::CommandLine);
        if ["url", "context"].iter().any(is_told) {
            self.store = self.store.take().filter(|_| is_told(&"store"));
        } else {
            self.here = ["store", "data_root"].iter().any(is_told);
        }
    }
}

/// What to do with tokens.
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Make one. It is shown this once.
    Create {
        /// Whose it is, or what for.
        name: TokenName,
        /// What its bearer may do: `viewer`, `operator` or `admin`.
        #[arg(long, default_value = "operator", value_parser = <Role as std::str::FromStr>::from_str, value_name = "ROLE")]
        role: Role,
        /// How long it is good [default: for ever]
        #[arg(long, value_parser = deadline, value_name = "TIME")]
        good_for: Option<std::time::Duration>,
    },
    /// List them.
    List,
    /// Make one useless.
    Revoke {
        /// Its id.
        id: String,
    },
}

/// `quiver doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    #[command(flatten)]
    #[allow(missing_docs, reason = "documented where it is defined")]
    pub remote: RemoteOptions,

    #[command(flatten)]
    #[allow(missing_docs, reason = "documented where it is defined")]
    pub env: EnvOptions,

    /// Where runs are kept [default: a file under the data root]
    #[arg(long, env = "QUIVER_STORE", hide_env_values = true, value_name = "URL")]
    pub store: Option<String>,

    /// Print JSON on standard output, and nothing else there.
    #[arg(long)]
    pub json: bool,
}
