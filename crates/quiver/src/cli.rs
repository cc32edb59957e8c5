//! The words of the command. Doc comments here are its `--help` and its manual page.

use crate::generate::Dataset;
use crate::remote::RemoteOptions;
use clap::{Args, Parser, Subcommand, ValueEnum};
use flight_common::RootOptions;
use flight_common::serve::{EnvOptions, ListenOptions};
use flight_common::telemetry::LogFormat;
use orchestrator::pipeline::Arguments;
use orchestrator::serve::ServeOptions;
use orchestrator::store::Role;
use std::path::PathBuf;

/// ETL as a mesh of Arrow Flight services: pipelines in YAML, checked before they run, run as streams.
#[derive(Debug, Parser)]
#[command(name = "quiver", version, max_term_width = 110)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,

    /// How log lines on standard error look.
    #[arg(long, global = true, env = "QUIVER_LOG_FORMAT", value_enum, default_value_t)]
    pub log_format: LogFormat,
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
    /// Whether one JSON document is wanted on standard output about a pipeline file.
    pub fn wants_json(&self) -> bool {
        match self {
            Self::Run(args) => args.check.json,
            Self::Validate(args) => args.json,
            Self::Plan(args) => args.check.json,
            _ => false,
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
    #[arg(long, value_parser = duration, value_name = "TIME")]
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

fn duration(text: &str) -> Result<std::time::Duration, String> {
    humantime::parse_duration(text).map_err(|error| format!("{error}; write 30s or 5m"))
}

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
        /// Greater goes first.
        #[arg(long, default_value_t = 0, allow_negative_numbers = true, value_name = "N")]
        priority: i64,
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
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1000), value_name = "N")]
        limit: u16,
        /// Where the list goes on: the `next` of its part before.
        #[arg(long, value_name = "CURSOR")]
        cursor: Option<String>,
    },
    /// Show a run, and what each of its steps did.
    Show {
        /// Its id.
        id: String,
    },
    /// Show what happened to a run, and what its steps did.
    Logs {
        /// Its id.
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
        /// Its id.
        id: String,
    },
    /// End a run.
    Cancel {
        /// Its id.
        id: String,
    },
    /// Run a failed run again from its beginning.
    Retry {
        /// Its id.
        id: String,
    },
    /// Run a failed run again from where it stopped: what did not change since is not done again.
    Resume {
        /// Its id.
        id: String,
        /// The changed pipeline.
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// Show in what two runs differ.
    Diff {
        /// The one.
        left: String,
        /// The other.
        right: String,
    },
    /// Write the kept output of a step to a file.
    Download {
        /// The run's id.
        id: String,
        /// The step.
        step: String,
        /// `csv`, `json`, `jsonl`, `arrow` or `parquet`.
        #[arg(long, default_value = "csv", value_name = "FORMAT")]
        format: String,
        /// The output, if it is not the main one.
        #[arg(long, value_name = "NAME")]
        output: Option<String>,
        /// The file to write [default: standard output]
        #[arg(short = 'o', long = "to", value_name = "FILE")]
        to: Option<PathBuf>,
    },
}

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

    /// Print JSON on standard output, and nothing else there.
    #[arg(long, global = true)]
    pub json: bool,
}

/// What to do with tokens.
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Make one. It is shown this once.
    Create {
        /// Whose it is, or what for.
        name: String,
        /// What its bearer may do: `viewer`, `operator` or `admin`.
        #[arg(long, default_value = "operator", value_parser = <Role as std::str::FromStr>::from_str, value_name = "ROLE")]
        role: Role,
        /// How long it is good [default: for ever]
        #[arg(long, value_parser = duration, value_name = "TIME")]
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

/// `quiver schedules`.
#[derive(Debug, Args)]
pub struct SchedulesArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: SchedulesCommand,

    #[command(flatten)]
    #[allow(missing_docs, reason = "documented where it is defined")]
    pub remote: RemoteOptions,

    /// Print JSON on standard output, and nothing else there.
    #[arg(long, global = true)]
    pub json: bool,
}

/// What to do with schedules.
#[derive(Debug, Subcommand)]
pub enum SchedulesCommand {
    /// List them.
    List,
    /// Store one: a stored pipeline, and when it runs.
    Put {
        /// The name of the schedule.
        name: String,
        /// The stored pipeline.
        #[arg(long, value_name = "NAME")]
        pipeline: String,
        /// When: minute, hour, day, month, weekday, as in `0 6 * * MON-FRI`.
        #[arg(long, value_name = "CRON")]
        cron: String,
        /// The time zone, as in Europe/Berlin.
        #[arg(long, default_value = "UTC", value_name = "ZONE")]
        zone: String,
        /// Give a parameter of the pipeline its value; `{{ date }}` in it is the day it runs for.
        #[arg(long = "param", value_name = "NAME=VALUE", value_parser = param)]
        params: Vec<(String, String)>,
        /// Change a parameter; `{{ scheduled_at }}` and `{{ date }}` are the time it runs for, and its day.
        #[arg(long = "set", value_name = "STEP.PARAM=VALUE")]
        sets: Vec<String>,
        /// When the run before is still under way: `skip` this time, `queue` another run, or `cancel` the old one.
        #[arg(long, default_value = "skip", value_parser = ["skip", "queue", "cancel"], value_name = "HOW")]
        overlap: String,
        /// Times that passed while nobody was there: run for `none`, the `last`, or `all` of them.
        #[arg(long, default_value = "last", value_parser = ["none", "last", "all"], value_name = "WHICH")]
        catch_up: String,
        /// Begin up to this many seconds late, so that not all begin at once.
        #[arg(long, default_value_t = 0, value_name = "SECONDS")]
        jitter: u32,
    },
    /// Show one, and when it comes next.
    Show {
        /// Its name.
        name: String,
    },
    /// Let nothing run for the time being.
    Pause {
        /// Its name.
        name: String,
    },
    /// Go on, from now.
    Resume {
        /// Its name.
        name: String,
    },
    /// Forget one. Its runs stay.
    Delete {
        /// Its name.
        name: String,
    },
}

/// `quiver backfill`.
#[derive(Debug, Args)]
pub struct BackfillArgs {
    /// The schedule.
    pub name: String,

    /// After this time, as in 2026-03-01T00:00:00Z.
    #[arg(long, value_name = "TIME")]
    pub from: String,

    /// Up to this time.
    #[arg(long, value_name = "TIME")]
    pub until: String,

    /// At most this many run at a time.
    #[arg(long, value_name = "N")]
    pub concurrency: Option<i64>,

    #[command(flatten)]
    #[allow(missing_docs, reason = "documented where it is defined")]
    pub remote: RemoteOptions,

    /// Print JSON on standard output, and nothing else there.
    #[arg(long)]
    pub json: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn no_words_are_in_each_others_way() {
        Cli::command().debug_assert();
    }
}
