//! What runs finally, of a run that is over although the engine has not let it run: its last attempt could not begin, or it
//! was cancelled when the attempt had ended.

use super::attendant::{Durable, patiently};
use super::earlier;
use super::ended::{Ended, policy_of, unplanned, written_down};
use super::fingerprint::fingerprints;
use super::former::{FormerNames, former_names};
use super::{Service, UnderWay};
use crate::pipeline::{self, Arguments, Plan, Problems, Source};
use crate::run::{Progress, RunOptions, RunReport, Status};
use crate::store::{Claim, Ending};
use flight_common::Fault;
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long it may take to plan it: it holds a place that others wait for.
const PATIENCE: Duration = Duration::from_secs(30);

/// Lets run what runs finally, unless it has had its turn, or the run is not over. A replica that goes down in the middle of
/// it gives the run back.
pub(super) async fn finish(service: &Service, claim: &Claim, under_way: &UnderWay, ended: Ended) -> Ended {
    let over = match &ended.ending {
        _ if ended.finished => return ended,
        Ending::Failed(fault) => (Status::Failed, Some(fault.clone())),
        Ending::Cancelled => (Status::Cancelled, Some(Fault::cancelled("the run was cancelled"))),
        Ending::Done | Ending::Retry(..) | Ending::Released => return ended,
    };
    let source = Source::new(&claim.run.pipeline, &claim.definition);
    if !pipeline::has_finally(&source) || is_hopeless(service, claim, &source) {
        return Ended { finished: true, ..ended };
    }
    let plan = tokio::select! {
        plan = planned(service, claim, &source) => plan,
        () = under_way.abandon.cancelled() => return Ended { ending: Ending::Released, ..ended },
    };
    let mut plan = match plan {
        Ok(plan) => plan,
        Err(problems) => {
            tracing::warn!(fault = %unplanned(&problems), "what runs finally cannot be planned, and does not run");
            let report = match ended.report {
                Value::Null => json!({"errors": problems}),
                report => report,
            };
            return Ended { report, finished: true, ..ended };
        }
    };
    match patiently(|| earlier::begun(service, claim, plan.nodes.iter().filter(|node| node.finally))).await {
        Ok(begun) => leave_out(&mut plan, &begun),
        Err(error) => {
            tracing::warn!(%error, "what of it was begun before is not known; the run is given back");
            return Ended { ending: Ending::Released, ..ended };
        }
    }
    let former = match patiently(|| former_names(service, claim, &plan)).await {
        Ok(former) => former,
        Err(error) => {
            tracing::warn!(%error, "what its loads were called before is not known; the run is given back");
            return Ended { ending: Ending::Released, ..ended };
        }
    };
    let report = run(service, claim, under_way, &plan, former, over).await;
    let ending = match under_way.released.is_cancelled() {
        true => Ending::Released,
        false => ended.ending,
    };
    let late = written_down(service, claim, &plan, &report, ending, ended.audit).await;
    Ended { report: joined(&plan, ended.report, late.report), touched: ended.touched.and(late.touched), ..late }
}

/// Whether it was begun after the last attempt already, and its replica ended with it: it would again.
fn is_hopeless(service: &Service, claim: &Claim, source: &Source) -> bool {
    let (policy, tries) = policy_of(service, claim, source);
    if tries > policy.attempts {
        tracing::warn!(tries, "what runs finally is not begun again: its replicas end with it");
    }
    tries > policy.attempts
}

/// Plans it, again where what stands in the way may pass.
async fn planned(service: &Service, claim: &Claim, source: &Source) -> Result<Plan, Problems> {
    let arguments = Arguments { sets: claim.run.sets.clone(), params: claim.run.params.clone() };
    let (policy, _) = policy_of(service, claim, source);
    let (begun, mut tries) = (Instant::now(), 0);
    loop {
        tries += 1;
        match pipeline::check_finally(source, &arguments, service.0.runner.planner()).await {
            Ok(plan) => return Ok(plan),
            Err(problems) => match policy.pause(&unplanned(&problems), tries) {
                Some(pause) if begun.elapsed() + pause < PATIENCE => tokio::time::sleep(pause).await,
                _ => return Err(problems),
            },
        }
    }
}

/// Leaves these steps out, and with them all that need them.
fn leave_out(plan: &mut Plan, steps: &[String]) {
    let mut left_out: HashSet<usize> = HashSet::new();
    // Who needs a step comes after it.
    for (place, node) in plan.nodes.iter_mut().enumerate().filter(|(_, node)| node.finally) {
        let mut needs = node.inputs.iter().map(|input| input.node).chain(node.after.iter().copied());
        if steps.contains(&node.id) || needs.any(|needed| left_out.contains(&needed)) {
            tracing::warn!(step = node.id, "what was begun before and cannot be taken back is not done again unasked");
            node.left_out = true;
            left_out.insert(place);
        }
    }
}

async fn run(
    service: &Service,
    claim: &Claim,
    under_way: &UnderWay,
    plan: &Plan,
    former: FormerNames,
    over: (Status, Option<Fault>),
) -> RunReport {
    let attendant = Durable::new(service, &claim.lease, plan, &fingerprints(plan), HashMap::new(), Box::new(|_| true));
    let attendant = attendant.formerly(former);
    let options = RunOptions {
        run_id: claim.lease.run.clone(),
        cancel: under_way.stop.clone(),
        abandon: under_way.abandon.clone(),
        limit: None,
        attendant: Arc::new(attendant),
    };
    let progress = Arc::new(Progress::new(plan.nodes.len()));
    service.0.runner.finish(plan, &options, progress, over).await
}

/// What is reported of a run of which something ran before this, or was found wrong, and of what ran finally.
fn joined(plan: &Plan, before: Value, mut late: Value) -> Value {
    if let (Some(errors), Some(late)) = (before.get("errors"), late.as_object_mut()) {
        late.insert("errors".to_owned(), errors.clone());
    }
    let ran = before["steps"].as_array().into_iter().flatten();
    let ran: HashMap<&str, &Value> = ran.filter_map(|step| Some((step["id"].as_str()?, step))).collect();
    for step in late["steps"].as_array_mut().into_iter().flatten() {
        let id = step["id"].as_str().unwrap_or_default();
        let is_late = plan.nodes.iter().any(|node| node.finally && node.id == id);
        if let Some(ran) = ran.get(id).filter(|_| !is_late) {
            *step = (*ran).clone();
        }
    }
    late
}
