//! The words of `quiver pipelines`.

use crate::remote::RemoteOptions;
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// `quiver pipelines`.
#[derive(Debug, Args)]
pub struct PipelinesArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: PipelinesCommand,

    #[command(flatten)]
    #[allow(missing_docs, reason = "documented where it is defined")]
    pub remote: RemoteOptions,

    /// Print JSON on standard output, and nothing else there.
    #[arg(long, global = true)]
    pub json: bool,
}

/// What to do with stored pipelines.
#[derive(Debug, Subcommand)]
pub enum PipelinesCommand {
    /// List them.
    List,
    /// Store a file under a name: a new version, unless nothing changed.
    Put {
        /// The name.
        name: String,
        /// The pipeline file; `-` reads standard input.
        file: PathBuf,
        /// Store it also if it cannot run yet.
        #[arg(long)]
        unchecked: bool,
    },
    /// Print one.
    Show {
        /// The name.
        name: String,
        /// The version [default: the newest]
        #[arg(long, value_name = "N")]
        version: Option<i64>,
    },
    /// List the versions of one.
    Versions {
        /// The name.
        name: String,
    },
    /// Show what changed between two versions.
    Diff {
        /// The name.
        name: String,
        /// The older version [default: the last but one]
        #[arg(long, value_name = "N")]
        from: Option<i64>,
        /// The newer version [default: the newest]
        #[arg(long, value_name = "N")]
        to: Option<i64>,
    },
    /// Forget one, with all its versions. Its runs stay.
    Delete {
        /// The name.
        name: String,
    },
}
