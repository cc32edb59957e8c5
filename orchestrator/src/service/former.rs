//! What the loads of a run may have been called when an earlier attempt let them commit. Of a load that has committed and was not
//! noted, or does not do quite the same any more, nothing but its name is known: a step that remembers by itself what it has
//! written is told these names.

use super::Service;
use crate::pipeline::Plan;
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
    let free = permitted.free(plan);
    match free.is_empty() {
        true => Ok(FormerNames::new()),
        false => Ok(names(plan, &free, &store.attempts(run).await?)),
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

    /// The names that no step has any more, each with what its step is called since.
    fn free(self, plan: &Plan) -> Vec<(String, String)> {
        let there = ids(plan);
        self.0.into_iter().filter(|(name, _)| !there.contains(name.as_str())).collect()
    }
}

/// For each load its own names, and then those whose steps are not known by any other.
fn names(plan: &Plan, free: &[(String, String)], attempts: &[AttemptRow]) -> FormerNames {
    let there = ids(plan);
    let before: Vec<HashSet<&str>> = attempts.iter().map(steps).collect();
    let nobodys: Vec<&String> =
        free.iter().filter(|(_, now)| !there.contains(now.as_str())).map(|(name, _)| name).collect();
    let loads = plan.nodes.iter().filter(|node| node.kind == StepKind::Load).map(|node| &node.id);
    let named = loads.map(|load| {
        let own = free.iter().filter(|(_, now)| now == load).map(|(name, _)| name);
        // A step that was there beside another one is not that one under another name.
        let with_it: Vec<_> = before.iter().filter(|steps| steps.contains(load.as_str())).collect();
        let others = nobodys.iter().filter(|name| !with_it.iter().any(|steps| steps.contains(name.as_str())));
        (load.clone(), own.chain(others.copied()).cloned().collect::<Vec<String>>())
    });
    named.filter(|(_, names)| !names.is_empty()).collect()
}

fn ids(plan: &Plan) -> HashSet<&str> {
    plan.nodes.iter().map(|node| node.id.as_str()).collect()
}

/// The steps of an attempt, as its report has them.
fn steps(attempt: &AttemptRow) -> HashSet<&str> {
    let steps = attempt.report.as_ref().and_then(|report| report["steps"].as_array());
    steps.into_iter().flatten().filter_map(|step| step["id"].as_str()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::{PlannedNode, RunRules};
    use flight_common::Effects;
    use serde_json::{Value, json};

    fn plan(loads: &[&str]) -> Plan {
        let node = |id: &&str| PlannedNode {
            id: (*id).to_owned(),
            step: "load-sql".to_owned(),
            version: "1".to_owned(),
            kind: StepKind::Load,
            effects: Effects::Commits,
            params: Value::Null,
            inputs: Vec::new(),
            after: Vec::new(),
            outputs: Vec::new(),
            claimed: Vec::new(),
            source: None,
            datasets: Vec::new(),
            when: None,
            asks: Vec::new(),
            left_out: false,
            finally: false,
            timeout: None,
            checkpoint: false,
        };
        Plan { name: "p".to_owned(), rules: RunRules::default(), nodes: loads.iter().map(node).collect() }
    }

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
            report: Some(json!({"steps": steps.iter().map(|id| json!({"id": id})).collect::<Vec<_>>()})),
        };
        let attempts: Vec<AttemptRow> = attempts.iter().map(attempt).collect();
        let plan = plan(loads);
        let names = names(&plan, &Permitted::of(&events).free(&plan), &attempts);
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
        assert_eq!(former(&["b", "c"], &before, &[]), ["b: a"]);
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
