//! The words of the command. Doc comments here are its `--help` and its manual page.

mod operate;
mod pipelines;
mod runs;
mod schedules;

pub use operate::{DoctorArgs, TokenArgs, TokenCommand};
pub use pipelines::{PipelinesArgs, PipelinesCommand};
pub use runs::{RunsArgs, RunsCommand};
pub use schedules::{BackfillArgs, SchedulesArgs, SchedulesCommand};

use crate::generate::Dataset;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use flight_common::arguments::deadline;
use flight_common::serve::{EnvOptions, ListenOptions};
use flight_common::telemetry::LogFormat;
use flight_common::variables;
use orchestrator::pipeline::Arguments;
use orchestrator::serve::ServeOptions;
use std::path::PathBuf;

/// How the command ends.
const EXITS: &str = "Ends with 0: done; 1: the run failed, or a service is out of reach; 2: the pipeline or the call is wrong; 130: interrupted.";

/// ETL as a mesh of Arrow Flight services: pipelines in YAML, checked before they run, run as streams.
#[derive(Debug, Parser)]
#[command(name = "quiver", version, max_term_width = 110, after_help = EXITS)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,

    /// How log lines on standard error look.
    #[arg(long, global = true, env = "QUIVER_LOG_FORMAT", value_enum, default_value_t)]
    pub log_format: LogFormat,
}

impl Cli {
    /// All words of the command.
    pub fn words() -> clap::Command {
        // Where the tokens are kept may be said after what is to be done with them, as of which orchestrator.
        Self::command().mut_subcommand("token", |token| token.mut_args(|option| option.global(true)))
    }

    /// What this process was called with. What is no call ends it, with the reason.
    pub fn read() -> Self {
        let called = variables::without_empty(Self::words()).get_matches();
        let mut cli = Self::from_arg_matches(&called).unwrap_or_else(|error| error.exit());
        if let (Command::Token(args), Some((_, called))) = (&mut cli.command, called.subcommand()) {
            args.heed(called);
        }
        cli
    }
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a pipeline.
    Run(RunArgs),
    /// Check a pipeline, as far as that goes without running it.
    Validate(CheckArgs),
    /// Show what a pipeline is going to do: its graph, and the columns on each edge.
    Plan(PlanArgs),
    /// List the steps there are, or explain one.
    Steps(StepsArgs),
    /// Serve some steps over Flight.
    Serve(ServeArgs),
    /// Run all of it on this machine, until Ctrl-C: every step as a Flight server, and the orchestrator with its queue, its
    /// store and its REST API.
    Up(Box<UpArgs>),
    /// Submit runs to an orchestrator, watch them, and act on them.
    Runs(RunsArgs),
    /// Pipelines that an orchestrator stores by name.
    Pipelines(PipelinesArgs),
    /// What an orchestrator runs by itself, and when.
    Schedules(SchedulesArgs),
    /// Run a schedule's pipeline for times that have passed.
    Backfill(BackfillArgs),
    /// Tokens of those who may call an orchestrator.
    Token(TokenArgs),
    /// Find out what stands in the way, and what to do about it.
    Doctor(DoctorArgs),
    /// Print the JSON Schema of pipeline files, for editors.
    Schema(WhereArgs),
    /// Make example data of any size.
    Generate(GenerateArgs),
    /// Print completions for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page.
    Man,
}

impl Command {
    /// Whether JSON is wanted on standard output, and nothing else there.
    pub fn wants_json(&self) -> bool {
        match self {
            Self::Run(args) => args.check.json,
            Self::Validate(args) => args.json,
            Self::Plan(args) => args.check.json,
            Self::Steps(args) => args.json,
            Self::Up(args) => args.json,
            Self::Runs(args) => args.json,
            Self::Pipelines(args) => args.json,
            Self::Schedules(args) => args.json,
            Self::Backfill(args) => args.json,
            Self::Token(args) => args.json,
            Self::Doctor(args) => args.json,
            Self::Schema(_) | Self::Serve(_) | Self::Generate(_) | Self::Completions { .. } | Self::Man => false,
        }
    }
}

/// Where the steps are.
#[derive(Clone, Debug, Args)]
pub struct WhereArgs {
    /// Start a Flight server for each step on this machine, and run through them. They are reached over Unix sockets,
    /// or over `tcp`.
    #[arg(long, value_enum, num_args = 0..=1, default_missing_value = "unix", require_equals = true, value_name = "VIA")]
    pub mesh: Option<Via>,

    /// Use servers that run already: `host:port`, with commas between them.
    #[arg(long, value_delimiter = ',', conflicts_with = "mesh", value_name = "ADDRESS")]
    pub connect: Vec<String>,

    /// The folder with a file for each secret. A parameter `secret://NAME` is read from the environment variable
    /// `QUIVER_SECRET_NAME`, else from the file `NAME` in it.
    #[arg(long, env = "QUIVER_SECRETS_DIR", value_name = "DIR")]
    pub secrets_dir: Option<PathBuf>,

    #[command(flatten)]
    #[allow(missing_docs, reason = "documented where it is defined")]
    pub env: EnvOptions,
}

/// How the servers of `--mesh` are reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Via {
    /// Unix sockets: the shorter way on one machine.
    Unix,
    /// TCP on the loopback interface.
    Tcp,
}

/// A pipeline file, and where its steps are.
#[derive(Clone, Debug, Args)]
pub struct CheckArgs {
    /// The pipeline; `-` reads standard input.
    pub file: PathBuf,

    /// Change a parameter: `clean.strategy=fill_mean`. May be given several times.
    #[arg(long = "set", value_name = "STEP.PARAM=VALUE")]
    pub sets: Vec<String>,

    /// Give a parameter of the pipeline its value: `day=2024-02-29`. May be given several times.
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = param)]
    pub params: Vec<(String, String)>,

    /// Print one JSON document on standard output, and nothing else there.
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    #[allow(missing_docs, reason = "documented where it is defined")]
    pub steps: WhereArgs,
}

/// `quiver run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    #[command(flatten)]
    #[allow(missing_docs, reason = "documented where it is defined")]
    pub check: CheckArgs,

    /// The run's id, by which outputs are named [default: a new one]
    #[arg(long, value_parser = run_id, value_name = "ID")]
    pub run_id: Option<String>,

    /// Stop the run after this time: `30s`, `5m`.
    #[arg(long, value_parser = deadline, value_name = "TIME")]
    pub timeout: Option<std::time::Duration>,

    /// Show neither progress nor the closing table.
    #[arg(short, long)]
    pub quiet: bool,
}

/// `quiver plan`.
#[derive(Debug, Args)]
pub struct PlanArgs {
    #[command(flatten)]
    #[allow(missing_docs, reason = "documented where it is defined")]
    pub check: CheckArgs,

    /// Print the graph as a Mermaid diagram.
    #[arg(long, conflicts_with = "json")]
    pub mermaid: bool,
}

/// `quiver steps`.
#[derive(Debug, Args)]
pub struct StepsArgs {
    /// The step to explain.
    pub name: Option<String>,

    /// Print one JSON document.
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    #[allow(missing_docs, reason = "documented where it is defined")]
    pub steps: WhereArgs,
}

/// `quiver serve`.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// The steps to serve; none serves all of them behind one address.
    pub names: Vec<String>,

    #[command(flatten)]
    #[allow(missing_docs, reason = "documented where it is defined")]
    pub listen: ListenOptions,

    #[command(flatten)]
    #[allow(missing_docs, reason = "documented where it is defined")]
    pub env: EnvOptions,
}

/// `quiver up`.
#[derive(Debug, Args)]
pub struct UpArgs {
    /// Print one JSON document with the addresses, once all servers can be called.
    #[arg(long)]
    pub json: bool,

    /// Run the steps in this process, without servers of their own.
    #[arg(long)]
    pub embedded: bool,

    #[command(flatten)]
    #[allow(missing_docs, reason = "documented where it is defined")]
    pub serve: ServeOptions,

    #[command(flatten)]
    #[allow(missing_docs, reason = "documented where it is defined")]
    pub env: EnvOptions,
}

/// `quiver generate`.
#[derive(Debug, Args)]
pub struct GenerateArgs {
    /// Which data.
    #[arg(value_enum)]
    pub dataset: Dataset,

    /// How many rows.
    #[arg(long, default_value_t = 500, value_name = "N")]
    pub rows: u64,

    /// Equal seeds make equal data.
    #[arg(long, default_value_t = 42, value_name = "N")]
    pub seed: u64,

    /// The file to write [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

impl CheckArgs {
    /// What the command gives the pipeline. Of a parameter that is given twice, the last value counts.
    pub fn arguments(&self) -> Arguments {
        let params = self.params.iter().map(|(name, value)| (name.clone(), value.as_str().into()));
        Arguments { sets: self.sets.clone(), params: params.collect() }
    }
}

fn param(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').filter(|(name, _)| !name.is_empty());
    let (name, value) = pair.ok_or("this is not NAME=VALUE; write --param day=2024-02-29")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// It becomes part of the names of files.
fn run_id(text: &str) -> Result<String, String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let good = (1..=128).contains(&text.len()) && text.bytes().all(plain) && !matches!(text, "." | "..");
    good.then(|| text.to_owned()).ok_or_else(|| "use up to 128 of A-Z a-z 0-9 . _ - for it".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_words_are_in_each_others_way() {
        Cli::words().debug_assert();
    }
}
