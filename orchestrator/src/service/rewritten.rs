//! Sources that a run writes anew itself, as a pipeline does that turns a file into another of the same name. When it has, what
//! identifies the source is another, and the next attempt would read its own work and do it once more. So what they were is noted
//! before anything is written, and stands for them as long as nobody else has touched what the run wrote.

use super::Service;
use super::earlier::still_there;
use crate::pipeline::{Plan, PlannedNode};
use crate::store::{Claim, StoreError};
use flight_common::compute;
use serde_json::{Map, Value, json};

/// The kind of event that notes them: `{sources: {step: source}}`.
const SOURCES: &str = "sources";

/// The extracts whose source the run writes anew.
fn rewritten(plan: &Plan) -> impl Iterator<Item = &PlannedNode> {
    plan.nodes.iter().filter(|node| !node.rewritten_by.is_empty() && !node.left_out)
}

/// The plan with these sources as they were before the run wrote them; whether it has written any.
///
/// # Errors
/// As [`crate::store::Store::ping`].
pub(super) async fn as_before(service: &Service, claim: &Claim, mut plan: Plan) -> Result<(Plan, bool), StoreError> {
    let (store, run) = (&service.0.store, &claim.lease.run);
    if claim.run.attempt == 1 || !claim.reuse || rewritten(&plan).next().is_none() {
        return Ok((plan, false));
    }
    let Some(noted) = store.newest_event(run, SOURCES).await? else { return Ok((plan, false)) };
    let (events, commits) = tokio::try_join!(store.names_of_loads(run), store.commits(run))?;
    let permitted = events.iter().filter(|event| event.seq > noted.seq).filter_map(|event| event.body["step"].as_str());
    let permitted: Vec<&str> = permitted.collect();
    // One that was let commit and has not been heard of since may have written, and one whose work somebody else has changed has
    // given what is there to read now.
    let root = service.0.data_root.clone();
    let touched: Vec<String> = compute::run(move || {
        let touched = commits.into_iter().filter(|commit| !still_there(&root, commit));
        Ok(touched.map(|commit| commit.step).collect())
    })
    .await
    .unwrap_or_default();
    let mut any = false;
    for node in &mut plan.nodes {
        let wrote = |writer: &String| permitted.contains(&writer.as_str()) && !touched.contains(writer);
        if let (true, Some(source)) = (node.rewritten_by.iter().any(wrote), noted.body["sources"][&node.id].as_str()) {
            node.source = Some(source.to_owned());
            any = true;
        }
    }
    Ok((plan, any))
}

/// Notes what these sources are, before the run writes any of them.
///
/// # Errors
/// As [`crate::store::Store::note`].
pub(super) async fn note(service: &Service, claim: &Claim, plan: &Plan) -> Result<(), StoreError> {
    let sources: Map<String, Value> =
        rewritten(plan).map(|node| (node.id.clone(), json!(node.source.clone()))).collect();
    match sources.is_empty() {
        true => Ok(()),
        false => service.0.store.note(&claim.lease, SOURCES, &json!({ "sources": sources })).await,
    }
}
