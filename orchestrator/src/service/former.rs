//! What the loads of a run may have been called when an earlier attempt let them commit. Of a load that has committed and was not
//! noted, or does not do quite the same any more, nothing but its name is known: a step that remembers by itself what it has
//! written is told these names.

use super::Service;
use crate::pipeline::{Plan, PlannedNode};
use crate::store::{AttemptRow, Claim, EventRow, StoreError};
use flight_common::StepKind;
use std::collections::{BTreeMap, HashMap, HashSet};

/// For each load of a plan, what it may have been called, the likelier names first.
pub(super) type FormerNames = HashMap<String, Vec<String>>;

/// Finds them out.
///
/// # Errors
/// As [`crate::store::Store::ping`].
pub(super) async fn former_names(service: &Service, claim: &Claim, plan: &Plan) -> Result<FormerNames, StoreError> {
    let (store, run) = (&service.0.store, &claim.lease.run);
    if claim.run.attempt == 1 {
        return Ok(FormerNames::new());
    }
    let permitted = Permitted::of(&store.names_of_loads(run).await?);
    match permitted.0.is_empty() {
        true => Ok(FormerNames::new()),
        false => Ok(permitted.names(plan, &store.attempts(run).await?)),
    }
}

/// What steps were called when they were let commit, each with what that step is called since, as far as it is known.
struct Permitted(BTreeMap<String, String>);

impl Permitted {
    /// By what has happened, in its order.
    fn of(events: &[EventRow]) -> Self {
        let mut now: BTreeMap<String, String> = BTreeMap::new();
        for EventRow { kind, body, .. } in events {
            match (kind.as_str(), body["step"].as_str()) {
                // What was written under this name first stays with the step that wrote it.
                ("committing", Some(step)) => drop(now.entry(step.to_owned()).or_insert_with(|| step.to_owned())),
                _ => now.values_mut().for_each(|name| {
                    if let Some(new) = body["loads"][&*name].as_str() {
                        *name = new.to_owned();
                    }
                }),
            }
        }
        Self(now)
    }

    /// For each load the names under which it is known to have been let commit, and then those that no load has any more, and
    /// of which it is not known whose they are.
    fn names(&self, plan: &Plan, attempts: &[AttemptRow]) -> FormerNames {
        let there: HashSet<&str> = loads(plan).map(|load| load.id.as_str()).collect();
        let free = self.0.iter().filter(|(name, now)| !there.contains(name.as_str()) && !there.contains(now.as_str()));
        let nobodys: Vec<&String> = free.map(|(name, _)| name).collect();
        let before: Vec<HashMap<&str, &str>> = attempts.iter().map(steps).collect();
        let named = loads(plan).map(|load| {
            let id = &load.id;
            // Also one that another load has by now: the line under it is of this one.
            let own = self.0.iter().filter(|(name, now)| now == &id && name != &id).map(|(name, _)| name);
            // A load that was there beside another one is not that one under another name.
            let beside: Vec<_> =
                before.iter().filter(|steps| steps.get(id.as_str()) == Some(&load.step.as_str())).collect();
            let others = nobodys.iter().filter(|name| !beside.iter().any(|steps| steps.contains_key(name.as_str())));
            (id.clone(), own.chain(others.copied()).cloned().collect::<Vec<String>>())
        });
        named.filter(|(_, names)| !names.is_empty()).collect()
    }
}

fn loads(plan: &Plan) -> impl Iterator<Item = &PlannedNode> {
    plan.nodes.iter().filter(|node| node.kind == StepKind::Load)
}

/// The steps of an attempt, as its report has them, and what does each.
fn steps(attempt: &AttemptRow) -> HashMap<&str, &str> {
    let steps = attempt.report.as_ref().and_then(|report| report["steps"].as_array());
    steps.into_iter().flatten().filter_map(|step| Some((step["id"].as_str()?, step["step"].as_str()?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::testing;
    use serde_json::{Value, json};

    fn permitted(step: &str) -> (&'static str, Value) {
        ("committing", json!({ "step": step }))
    }

    fn renamed(loads: Value) -> (&'static str, Value) {
        ("renamed", json!({ "loads": loads }))
    }

    /// The former names of each load of a plan, after these events and attempts of these steps.
    fn former(loads: &[&str], events: &[(&str, Value)], attempts: &[&[&str]]) -> Vec<String> {
        let events: Vec<EventRow> = (1..)
            .zip(events)
            .map(|(seq, (kind, body))| EventRow { seq, at: seq, kind: (*kind).to_owned(), body: body.clone() })
            .collect();
        let attempt = |steps: &&[&str]| AttemptRow {
            attempt: 1,
            owner: String::new(),
            state: "failed".to_owned(),
            started_at: 0,
            ended_at: None,
            report: Some(
                json!({"steps": steps.iter().map(|id| json!({"id": id, "step": "load-sql"})).collect::<Vec<_>>()}),
            ),
        };
        let attempts: Vec<AttemptRow> = attempts.iter().map(attempt).collect();
        let plan = testing::plan(loads.iter().map(|id| testing::node(id, "load-sql", StepKind::Load)).collect());
        let names = Permitted::of(&events).names(&plan, &attempts);
        let mut told: Vec<String> =
            names.into_iter().map(|(load, names)| format!("{load}: {}", names.join(" "))).collect();
        told.sort();
        told
    }

    #[test]
    fn a_name_that_no_step_has_any_more_may_be_that_of_any() {
        let before = [permitted("a"), permitted("b"), permitted("a")];
        assert_eq!(former(&["a", "b"], &before, &[]), [""; 0]);
        assert_eq!(former(&["b", "c", "d"], &before, &[]), ["b: a", "c: a", "d: a"]);
    }

    #[test]
    fn what_is_known_under_another_name_is_of_that_step_alone() {
        let before = [permitted("a"), renamed(json!({"a": "b"}))];
        assert_eq!(former(&["b", "c"], &before, &[]), ["b: a"]);
        assert_eq!(former(&["c", "d"], &before, &[]), ["c: a", "d: a"], "until that is gone as well");
        let again = [&before[..], &[permitted("x"), renamed(json!({"b": "c"}))]].concat();
        assert_eq!(former(&["c", "d"], &again, &[]), ["c: a x", "d: x"], "its own first");
    }

    #[test]
    fn steps_may_exchange_their_names() {
        let before = [permitted("a"), permitted("b"), renamed(json!({"a": "b", "b": "c"}))];
        assert_eq!(former(&["b", "c"], &before, &[]), ["b: a", "c: b"], "also one that is in use");
        let again = [&before[..], &[permitted("a")]].concat();
        assert_eq!(former(&["c", "d"], &again, &[]), ["c: b a", "d: a"]);
    }

    #[test]
    fn who_was_there_beside_a_step_is_not_that_one() {
        let before = [permitted("a")];
        assert_eq!(former(&["b", "c"], &before, &[&["a", "b"], &["b"]]), ["c: a"]);
        assert_eq!(former(&["b", "c"], &before, &[&["a"], &["b"]]), ["b: a", "c: a"]);
    }
}
