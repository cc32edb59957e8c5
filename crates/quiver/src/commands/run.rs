//! `quiver run`: a pipeline checked, run, and reported.

use super::{Doors, IDLE, file, print_json};
use crate::cli::RunArgs;
use crate::exit::Exit;
use crate::show;
use flight_common::serve::asked_to_stop;
use flight_common::telemetry::LogFormat;
use flight_common::{Fault, SpillSpace};
use orchestrator::mesh::Mesh;
use orchestrator::pipeline::{self, Plan};
use orchestrator::run::{Engine, Progress, RunOptions, RunReport, Status};
use serde_json::json;
use std::sync::Arc;

/// Runs a pipeline.
pub async fn run(args: RunArgs, logs: LogFormat) -> Result<Exit, Fault> {
    let source = file::read(&args.check.file)?;
    let space = args.check.steps.env.open()?.space;
    let doors = Doors::open(&args.check.steps, logs).await?;
    let plan = match pipeline::check(&source, &args.check.arguments(), doors.planner()).await {
        Ok(plan) => plan,
        Err(problems) => {
            doors.close().await;
            match args.check.json {
                true => print_json(&json!({"pipeline": source.name(), "status": "invalid", "errors": problems}))?,
                false => show::problems(&source, &problems),
            }
            return Ok(Exit::Wrong);
        }
    };
    let ((report, interrupted), fleet) = match doors {
        Doors::Here(mesh) => (attended(Arc::new(mesh), &plan, &args, space).await, None),
        Doors::There { mesh, fleet } => (attended(Arc::new(mesh), &plan, &args, space).await, fleet),
    };
    match args.check.json {
        true => print_json(&report)?,
        false => show::report(&report, args.quiet),
    }
    if let Some(fleet) = fleet {
        fleet.stop(IDLE).await;
    }
    Ok(match report.status {
        _ if interrupted => Exit::Interrupted,
        Status::Done => Exit::Done,
        _ => Exit::RunFailed,
    })
}

/// Runs a plan, shows how it goes on, and cancels it when somebody asks. Says whether they did.
async fn attended<M: Mesh>(mesh: Arc<M>, plan: &Plan, args: &RunArgs, space: SpillSpace) -> (RunReport, bool) {
    let options = RunOptions {
        run_id: args.run_id.clone().unwrap_or_else(|| uuid::Uuid::now_v7().to_string()),
        limit: args.timeout,
        ..RunOptions::default()
    };
    let progress = Arc::new(Progress::new(plan.nodes.len()));
    let engine = Engine::new(mesh, space);
    let mut interrupted = false;
    let report = {
        let mut running = std::pin::pin!(engine.run(plan, &options, progress.clone()));
        let shown = !args.quiet && !args.check.json;
        let mut watching = std::pin::pin!(show::progress(plan, progress, shown));
        let mut stopped = std::pin::pin!(asked_to_stop());
        loop {
            tokio::select! {
                report = &mut running => break report,
                () = &mut watching => {}
                () = &mut stopped => {
                    // Asked once, it lets what runs finally run; asked again, it ends.
                    if std::mem::replace(&mut interrupted, true) {
                        options.abandon.cancel();
                    }
                    options.cancel.cancel();
                    stopped.set(asked_to_stop());
                }
            }
        }
    };
    (report, interrupted)
}
