//! `quiver steps` and `quiver schema`: what can be written into a pipeline.

use super::{Doors, print, print_json};
use crate::cli::{StepsArgs, WhereArgs};
use crate::exit::Exit;
use crate::show;
use flight_common::telemetry::LogFormat;
use flight_common::{Fault, StepDescription, params};
use orchestrator::pipeline;
use std::sync::Arc;

/// Lists the steps, or explains one.
pub async fn steps(args: StepsArgs, logs: LogFormat) -> Result<Exit, Fault> {
    let catalog = catalog(&args.steps, logs).await?;
    let Some(name) = &args.name else {
        match args.json {
            true => print_json(&catalog)?,
            false => print(show::catalog(&catalog).as_bytes())?,
        }
        return Ok(Exit::Done);
    };
    let found = catalog.iter().find(|step| step.answers_to(name)).ok_or_else(|| {
        let known: Vec<&str> = catalog.iter().map(|step| step.name.as_str()).collect();
        Fault::not_found(format!("no step \"{name}\"")).help(params::did_you_mean(name, known))
    })?;
    match args.json {
        true => print_json(found)?,
        false => print(show::step(found).as_bytes())?,
    }
    Ok(Exit::Done)
}

/// Prints the JSON Schema of pipeline files.
pub async fn schema(args: WhereArgs, logs: LogFormat) -> Result<Exit, Fault> {
    print_json(&pipeline::json_schema(&catalog(&args, logs).await?))?;
    Ok(Exit::Done)
}

async fn catalog(args: &WhereArgs, logs: LogFormat) -> Result<Vec<Arc<StepDescription>>, Fault> {
    let doors = Doors::open(args, logs).await?;
    let catalog = doors.planner().catalog().await;
    doors.close().await;
    catalog
}
