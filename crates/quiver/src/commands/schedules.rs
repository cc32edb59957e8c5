//! `quiver schedules` and `quiver backfill`: what an orchestrator runs by itself.

use super::{print, print_json};
use crate::cli::{BackfillArgs, SchedulesArgs, SchedulesCommand};
use crate::exit::Exit;
use crate::show;
use flight_common::Fault;
use orchestrator::api::{Backfilled, Times};
use orchestrator::store::{Page, RunRow, Schedule};
use reqwest::{Method, RequestBuilder};
use serde_json::json;
use std::collections::BTreeMap;

/// Does what was asked with schedules.
pub async fn schedules(args: SchedulesArgs) -> Result<Exit, Fault> {
    let remote = args.remote.open()?;
    let call = |method, path: &[&str]| remote.api(method, &[&["schedules"], path].concat());
    let one = async |request: RequestBuilder| -> Result<(), Fault> {
        let schedule: Schedule = remote.read(request).await?;
        match args.json {
            true => print_json(&schedule),
            false => print(show::schedules(&[schedule]).as_bytes()),
        }
    };
    match args.command {
        SchedulesCommand::List => {
            let all: Vec<Schedule> = remote.read(call(Method::GET, &[])).await?;
            match args.json {
                true => print_json(&all)?,
                false => print(show::schedules(&all).as_bytes())?,
            }
        }
        SchedulesCommand::Put { name, pipeline, version, cron, zone, params, sets, overlap, catch_up, jitter } => {
            let params: BTreeMap<String, String> = params.into_iter().collect();
            let spec = json!({"pipeline": pipeline, "version": version, "cron": cron, "zone": zone, "params": params, "set": sets,
                "overlap": overlap, "catch_up": catch_up, "jitter_seconds": jitter.as_secs()});
            one(call(Method::PUT, &[&name]).json(&spec)).await?;
        }
        SchedulesCommand::Show { name } => {
            let schedule: Schedule = remote.read(call(Method::GET, &[&name])).await?;
            let next: Times = remote.read(call(Method::GET, &[&name, "next"])).await?;
            match args.json {
                true => print_json(&json!({"schedule": schedule, "next": next}))?,
                false => {
                    print(show::schedules(&[schedule]).as_bytes())?;
                    print(format!("\n{}\n  {}\n", next.description, next.times.join("\n  ")).as_bytes())?;
                }
            }
        }
        SchedulesCommand::Pause { name } => one(call(Method::POST, &[&name, "pause"])).await?,
        SchedulesCommand::Resume { name } => one(call(Method::POST, &[&name, "resume"])).await?,
        SchedulesCommand::Delete { name } => {
            remote.send(call(Method::DELETE, &[&name])).await?;
            show::tell(format_args!("{name} is deleted; its runs stay"));
        }
    }
    Ok(Exit::Done)
}

/// Queues the runs of a range of times, or ends those that were queued so.
pub async fn backfill(args: BackfillArgs) -> Result<Exit, Fault> {
    let remote = args.remote.open()?;
    if args.cancel {
        let request = remote.api(Method::POST, &["schedules", &args.name, "backfill", "cancel"]);
        let items: Vec<RunRow> = remote.read(request).await?;
        match args.json {
            true => print_json(&items)?,
            false => print(show::runs(&Page { items, next: None }).as_bytes())?,
        }
        return Ok(Exit::Done);
    }
    let range = json!({"from": args.from, "until": args.until, "concurrency": args.concurrency, "again": args.again});
    let request = remote.api(Method::POST, &["schedules", &args.name, "backfill"]).json(&range);
    let queued: Backfilled = remote.read(request).await?;
    match args.json {
        true => print_json(&queued)?,
        false => print(show::occurrences(&queued.occurrences).as_bytes())?,
    }
    Ok(Exit::Done)
}
