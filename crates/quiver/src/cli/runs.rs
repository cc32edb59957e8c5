//! The words of `quiver runs`.

use super::param;
use crate::remote::RemoteOptions;
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// `quiver runs`.
#[derive(Debug, Args)]
pub struct RunsArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: RunsCommand,

    #[command(flatten)]
    #[allow(missing_docs, reason = "documented where it is defined")]
    pub remote: RemoteOptions,

    /// Print JSON on standard output, and nothing else there.
    #[arg(long, global = true)]
    pub json: bool,
}

/// What to do with runs.
#[derive(Debug, Subcommand)]
pub enum RunsCommand {
    /// Queue a run of a pipeline file, or of a stored pipeline.
    Submit {
        /// The pipeline file; `-` reads standard input.
        #[arg(required_unless_present = "pipeline")]
        file: Option<PathBuf>,
        /// The name of a stored pipeline, instead of a file.
        #[arg(long, conflicts_with = "file", value_name = "NAME")]
        pipeline: Option<String>,
        /// Change a parameter: `clean.strategy=fill_mean`. May be given several times.
        #[arg(long = "set", value_name = "STEP.PARAM=VALUE")]
        sets: Vec<String>,
        /// Give a parameter of the pipeline its value: `day=2024-02-29`. May be given several times.
        #[arg(long = "param", value_name = "NAME=VALUE", value_parser = param)]
        params: Vec<(String, String)>,
        /// Greater goes first [default: as the pipeline says, else 0]
        #[arg(long, allow_negative_numbers = true, value_name = "N")]
        priority: Option<i64>,
        /// Two requests with the same key make one run.
        #[arg(long, value_name = "KEY")]
        idempotency_key: Option<String>,
        /// Watch it to its end, and exit as it does.
        #[arg(short, long)]
        follow: bool,
    },
    /// List runs, the youngest first.
    List {
        /// Of this pipeline.
        #[arg(long, value_name = "NAME")]
        pipeline: Option<String>,
        /// In one of these states, with commas between them.
        #[arg(long, value_name = "STATES")]
        state: Option<String>,
        /// At most this many.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=10_000), value_name = "N")]
        limit: u16,
        /// Where the list goes on: the `next` of its part before.
        #[arg(long, value_name = "CURSOR")]
        cursor: Option<String>,
    },
    /// Show a run, and what each of its steps did.
    Show {
        /// Its id, the end of it, or `last`.
        id: String,
    },
    /// Show what happened to a run, and what its steps did.
    Logs {
        /// Its id, the end of it, or `last`.
        id: String,
        /// Only what one of its steps did.
        #[arg(long, conflicts_with = "follow", value_name = "STEP")]
        step: Option<String>,
        /// Show what happens to the run as it happens until it ends, and exit as it does.
        #[arg(short, long)]
        follow: bool,
    },
    /// Show what ran: each step of each attempt, with its parameters and what came of it.
    Audit {
        /// Its id, the end of it, or `last`.
        id: String,
    },
    /// End a run.
    Cancel {
        /// Its id, the end of it, or `last`.
        id: String,
    },
    /// Run a failed run again from its beginning.
    Retry {
        /// Its id, the end of it, or `last`.
        id: String,
        /// Watch it to its end, and exit as it does.
        #[arg(short, long)]
        follow: bool,
    },
    /// Run a failed run again from where it stopped: what did not change since is not done again.
    Resume {
        /// Its id, the end of it, or `last`.
        id: String,
        /// The changed pipeline.
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
        /// Watch it to its end, and exit as it does.
        #[arg(short, long)]
        follow: bool,
    },
    /// Show in what two runs differ.
    Diff {
        /// The one: its id, the end of it, or `last`.
        left: String,
        /// The other.
        right: String,
    },
    /// Write the kept output of a step to a file.
    Download {
        /// The run's id, the end of it, or `last`.
        id: String,
        /// The step.
        step: String,
        /// `csv`, `json`, `jsonl`, `arrow` or `parquet` [default: as the file ends, else csv, or with --json json]
        #[arg(long, value_name = "FORMAT")]
        format: Option<String>,
        /// The output, if it is not the main one.
        #[arg(long, value_name = "NAME")]
        output: Option<String>,
        /// The file to write [default: standard output]
        #[arg(short = 'o', long = "to", value_name = "FILE")]
        to: Option<PathBuf>,
    },
}

impl RunsCommand {
    /// The ids of runs in it.
    pub fn ids(&mut self) -> Vec<&mut String> {
        match self {
            Self::Submit { .. } | Self::List { .. } => Vec::new(),
            Self::Show { id }
            | Self::Logs { id, .. }
            | Self::Audit { id }
            | Self::Cancel { id }
            | Self::Retry { id, .. }
            | Self::Resume { id, .. }
            | Self::Download { id, .. } => vec![id],
            Self::Diff { left, right } => vec![left, right],
        }
    }
}
