//! `quiver run`: a pipeline checked, run, and reported.

use super::{Doors, IDLE, file, print_json};
use crate::cli::RunArgs;
use crate::exit::Exit;
use crate::show;
use flight_common::signals::StopSignals;
use flight_common::telemetry::LogFormat;
use flight_common::{Fault, SpillSpace};
use orchestrator::mesh::Mesh;
use orchestrator::pipeline::{self, Plan, Problems, Source};
use orchestrator::run::{Engine, Progress, RunOptions, RunReport, Status};
use serde_json::json;
use std::sync::Arc;

/// Runs a pipeline.
pub async fn run(args: RunArgs, logs: LogFormat) -> Result<Exit, Fault> {
    let mut signals = StopSignals::listen();
    let space = args.check.steps.env.open()?.space;
    let checked = tokio::select! {
        checked = check(&args, logs) => Some(checked?),
        () = signals.asked() => None,
    };
    let (doors, plan) = match checked {
        Some((_, doors, Ok(plan))) => (doors, plan),
        Some((source, doors, Err(problems))) => {
            doors.close().await;
            match args.check.json {
                true => print_json(&json!({"pipeline": source.name(), "status": "invalid", "errors": problems}))?,
                false => show::problems(&source, &problems),
            }
            return Ok(Exit::Wrong);
        }
        None => {
            match args.check.json {
                true => print_json(&json!({"pipeline": args.check.file, "status": "cancelled"}))?,
                false => show::tell("cancelled: nothing ran"),
            }
            return Ok(Exit::Interrupted);
        }
    };
    let ((report, interrupted), fleet) = match doors {
        Doors::Here(mesh) => (attended(Arc::new(mesh), &plan, &args, space, &mut signals).await, None),
        Doors::There { mesh, fleet } => (attended(Arc::new(mesh), &plan, &args, space, &mut signals).await, fleet),
    };
    match args.check.json {
        true => print_json(&report)?,
        false => show::report(&report, args.quiet),
    }
    if let Some(fleet) = fleet {
        fleet.stop(IDLE).await;
    }
    Ok(match report.status {
        // It was asked to end when it had ended.
        Status::Done => Exit::Done,
        _ if interrupted => Exit::Interrupted,
        _ => Exit::RunFailed,
    })
}

/// Reads the pipeline, opens the doors to its steps, and asks each what it would do.
async fn check(args: &RunArgs, logs: LogFormat) -> Result<(Source, Doors, Result<Plan, Problems>), Fault> {
    let source = file::read(&args.check.file).await?;
    let doors = Doors::open_for(&source, &args.check.steps, logs).await?;
    let plan = pipeline::check(&source, &args.check.arguments(), doors.planner()).await;
    Ok((source, doors, plan))
}

/// Runs a plan, shows how it goes on, and cancels it when somebody asks. Says whether they did.
async fn attended<M: Mesh>(
    mesh: Arc<M>,
    plan: &Plan,
    args: &RunArgs,
    space: SpillSpace,
    signals: &mut StopSignals,
) -> (RunReport, bool) {
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
        let mut watching = std::pin::pin!(show::progress(plan, progress, &options.cancel, shown));
        loop {
            tokio::select! {
                report = &mut running => break report,
                () = &mut watching => {}
                () = signals.asked() => {
                    // Asked once, it lets what runs finally run; asked again, it ends.
                    if std::mem::replace(&mut interrupted, true) {
                        options.abandon.cancel();
                    }
                    options.cancel.cancel();
                }
            }
        }
    };
    (report, interrupted)
}
