//! `quiver validate`: all that is wrong with a pipeline, without running it.

use super::{Doors, file, print_json};
use crate::cli::CheckArgs;
use crate::exit::Exit;
use crate::show;
use flight_common::Fault;
use flight_common::telemetry::LogFormat;
use orchestrator::pipeline;
use serde_json::json;

/// Checks a pipeline.
pub async fn validate(args: CheckArgs, logs: LogFormat) -> Result<Exit, Fault> {
    let source = file::read(&args.file).await?;
    let doors = Doors::open_for(&source, &args.steps, logs).await?;
    let checked = pipeline::check(&source, &args.arguments(), doors.planner()).await;
    doors.close().await;
    match checked {
        Ok(plan) => {
            match args.json {
                true => print_json(&json!({"valid": true, "errors": []}))?,
                false => show::tell(format_args!("{} is good: {} steps", source.name(), plan.nodes.len())),
            }
            Ok(Exit::Done)
        }
        Err(problems) => {
            match args.json {
                true => print_json(&json!({"valid": false, "errors": problems}))?,
                false => show::problems(&source, &problems),
            }
            Ok(Exit::Wrong)
        }
    }
}
