//! `quiver plan`: the graph, and the schema on each of its edges.

use super::{Doors, file, print, print_json};
use crate::cli::PlanArgs;
use crate::exit::Exit;
use crate::show;
use flight_common::Fault;
use flight_common::telemetry::LogFormat;
use orchestrator::pipeline;
use serde_json::json;

/// Shows the plan of a pipeline.
pub async fn plan(args: PlanArgs, logs: LogFormat) -> Result<Exit, Fault> {
    let source = file::read(&args.check.file).await?;
    let doors = Doors::open_for(&source, &args.check.steps, logs).await?;
    let planned = pipeline::check(&source, &args.check.arguments(), doors.planner()).await;
    doors.close().await;
    let plan = match planned {
        Ok(plan) => plan,
        Err(problems) => {
            match args.check.json {
                true => print_json(&json!({"valid": false, "errors": problems}))?,
                false => show::problems(&source, &problems),
            }
            return Ok(Exit::Wrong);
        }
    };
    match (args.check.json, args.mermaid) {
        (true, _) => print_json(&plan.to_json())?,
        (_, true) => print(plan.mermaid().as_bytes())?,
        _ => print(plan.drawn(show::width()).as_bytes())?,
    }
    Ok(Exit::Done)
}
