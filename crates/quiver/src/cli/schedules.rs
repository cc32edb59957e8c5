//! The words of `quiver schedules` and `quiver backfill`.

use super::param;
use crate::remote::RemoteOptions;
use clap::{Args, Subcommand};
use flight_common::arguments::{count, duration};
use std::time::Duration;

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
        /// Its version [default: the newest at the time]
        #[arg(long, value_name = "N")]
        version: Option<i64>,
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
        /// When the run before is still under way: `skip` this time, `queue` another run behind it, or `cancel` the old one.
        #[arg(long, default_value = "skip", value_parser = ["skip", "queue", "cancel"], value_name = "HOW")]
        overlap: String,
        /// Times that passed while nobody was there: run for `none`, the `last`, or `all` of them, one after another.
        #[arg(long, default_value = "last", value_parser = ["none", "last", "all"], value_name = "WHICH")]
        catch_up: String,
        /// Begin up to so much late, so that not all begin at once: less than lies between two times.
        #[arg(long, default_value = "0s", value_parser = duration, value_name = "TIME")]
        jitter: Duration,
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

    /// From this very moment on, as in 2026-03-01T06:00:00Z. Without an offset it is in the schedule's time zone:
    /// 2026-03-01T06:00, or 2026-03-01 for midnight.
    #[arg(long, value_name = "TIME", required_unless_present = "cancel")]
    pub from: Option<String>,

    /// Up to this very moment, written in the same way. What is yet to come is left out.
    #[arg(long, value_name = "TIME", required_unless_present = "cancel")]
    pub until: Option<String>,

    /// At most this many run at a time.
    #[arg(long, value_parser = count::<i64>, value_name = "N")]
    pub concurrency: Option<i64>,

    /// Run again for what has run well with the same pipeline and parameters.
    #[arg(long)]
    pub again: bool,

    /// Instead: end all runs of the schedule's backfills that wait or run.
    #[arg(long, conflicts_with_all = ["from", "until", "concurrency", "again"])]
    pub cancel: bool,

    #[command(flatten)]
    #[allow(missing_docs, reason = "documented where it is defined")]
    pub remote: RemoteOptions,

    /// Print JSON on standard output, and nothing else there.
    #[arg(long)]
    pub json: bool,
}
