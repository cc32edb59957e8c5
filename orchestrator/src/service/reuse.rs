//! Which steps need not run again, and which outputs to keep. Pure.
//!
//! Seen from the end: a load runs unless it has committed with the same fingerprint, and what it wrote is known to whoever
//! reads it; a step runs if somebody who runs
//! needs an output of it that was not kept, or if a condition asks what it did and nobody knows. What runs finally always
//! runs, and what is left out never.

use crate::pipeline::{Plan, PlannedNode};
use crate::run::Figures;
use crate::store::{Committed, KeptOutput};
use flight_common::{Effects, StepKind};
use serde_json::Value;
use std::collections::{BTreeSet, HashMap, HashSet};

/// What an earlier attempt has done.
#[derive(Default)]
pub(super) struct Past {
    pub kept: Vec<KeptOutput>,
    pub commits: Vec<Committed>,
    /// What steps did, by the ids that they have now.
    pub told: HashMap<String, Figures>,
}

/// What steps are called now, by what they were called and the fingerprint of what they did.
pub(super) type Names = HashMap<(String, String), String>;

impl Past {
    /// What was done under a name that is no longer that of a step which does the same, and what such a step is called now, if
    /// it has done nothing under its own name. An edited text may call a step otherwise, and one more item of a `for_each` all
    /// others.
    pub fn names(&self, plan: &Plan, fingerprints: &[String]) -> Names {
        let commits = self.commits.iter().map(|commit| (&commit.step, &commit.fingerprint));
        let done: BTreeSet<(&String, &String)> =
            self.kept.iter().map(|kept| (&kept.step, &kept.fingerprint)).chain(commits).collect();
        let now = || plan.nodes.iter().zip(fingerprints);
        let own: HashSet<(&String, &String)> = now().map(|(node, print)| (&node.id, print)).collect();
        // One whose condition asks what others did may be left out yet; what runs finally is done anew in any case.
        let is_free = |(node, print): &(&PlannedNode, &String)| {
            node.asks.is_empty() && !node.left_out && !node.finally && !done.contains(&(&node.id, *print))
        };
        let mut free: Vec<(&String, &String)> = now().filter(is_free).map(|(node, print)| (&node.id, print)).collect();
        let mut names = Names::new();
        for (old, print) in done.into_iter().filter(|step| !own.contains(step)) {
            if let Some(place) = free.iter().position(|(_, now)| *now == print) {
                names.insert((old.clone(), print.clone()), free.remove(place).0.clone());
            }
        }
        names
    }

    /// The same, called by the names that its steps have now.
    pub fn renamed(mut self, names: &Names) -> Self {
        let called = |step: &mut String, print: &String| {
            if let Some(name) = names.get(&(step.clone(), print.clone())) {
                step.clone_from(name);
            }
        };
        self.kept.iter_mut().for_each(|kept| called(&mut kept.step, &kept.fingerprint));
        self.commits.iter_mut().for_each(|commit| called(&mut commit.step, &commit.fingerprint));
        self
    }
}

/// What becomes of a step that does not run.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Settlement {
    pub receipt: Option<Value>,
    /// The rows of its main output, if that was kept.
    pub rows: u64,
    /// The kept outputs that are read again.
    pub replayed: Vec<KeptOutput>,
}

/// The steps that need not run, by their ids.
pub(super) fn settle(plan: &Plan, fingerprints: &[String], past: &Past) -> HashMap<String, Settlement> {
    let commit = |place: usize| {
        let id = &plan.nodes[place].id;
        past.commits.iter().find(|commit| commit.step == *id && commit.fingerprint == fingerprints[place])
    };
    let kept = |place: usize, output: &str| {
        let id = &plan.nodes[place].id;
        let same =
            |kept: &&KeptOutput| kept.step == *id && kept.output == output && kept.fingerprint == fingerprints[place];
        past.kept.iter().find(same)
    };
    let mut settled: Vec<Option<Settlement>> = Vec::new();
    settled.resize_with(plan.nodes.len(), || None);
    // Who needs a step comes after it.
    for place in (0..plan.nodes.len()).rev() {
        let node = &plan.nodes[place];
        if node.finally || node.left_out {
            continue;
        }
        let after = || plan.nodes.iter().enumerate().skip(place + 1).filter(|(_, other)| !other.left_out);
        let is_asked = after().any(|(other, asking)| settled[other].is_none() && asking.asks.contains(&place));
        // What cannot be taken back is never done again, nor is a load that has committed.
        let lasts = node.kind == StepKind::Load || node.effects == Effects::External;
        if is_asked && !lasts && !past.told.contains_key(&node.id) {
            continue;
        }
        let readers = after();
        let needed: BTreeSet<&str> = readers
            .filter(|(reader, _)| settled[*reader].is_none())
            .flat_map(|(_, reader)| &reader.inputs)
            .filter(|input| input.node == place)
            .map(|input| input.output.as_str())
            .collect();
        let is_read = plan
            .nodes
            .iter()
            .filter(|reader| !reader.left_out)
            .flat_map(|reader| &reader.inputs)
            .any(|input| input.node == place);
        let receipt = match node.kind == StepKind::Load || !is_read {
            true => match commit(place) {
                Some(commit) => Some(commit.receipt.clone()),
                None => continue,
            },
            false => None,
        };
        let replayed: Option<Vec<KeptOutput>> = needed.into_iter().map(|output| kept(place, output).cloned()).collect();
        let main = node.outputs.first().and_then(|(main, _)| kept(place, main));
        let rows = main.and_then(|main| u64::try_from(main.rows).ok()).unwrap_or(0);
        settled[place] = replayed.map(|replayed| Settlement { receipt, rows, replayed });
    }
    let ids = plan.nodes.iter().map(|node| node.id.clone());
    ids.zip(settled).filter_map(|(id, settled)| Some((id, settled?))).collect()
}

#[cfg(test)]
mod tests {
    use super::super::fingerprint::fingerprints;
    use super::*;
    use crate::pipeline::{Input, testing};
    use arrow::datatypes::Schema;
    use serde_json::json;
    use std::sync::Arc;

    /// `read` → `clean` → two loads.
    fn plan(threshold: i64) -> Plan {
        let node = |id: &str, kind, inputs: &[usize], params| PlannedNode {
            params,
            inputs: inputs
                .iter()
                .map(|node| Input { name: "input".to_owned(), node: *node, output: "output".to_owned() })
                .collect(),
            outputs: vec![("output".to_owned(), Arc::new(Schema::empty()))],
            source: (kind == StepKind::Extract).then(|| "a.csv 10 bytes".to_owned()),
            ..testing::node(id, id, kind)
        };
        let nodes = vec![
            node("read", StepKind::Extract, &[], json!({"a": 1, "b": 2})),
            node("clean", StepKind::Transform, &[0], json!({})),
            node("first", StepKind::Load, &[1], json!({})),
            node("second", StepKind::Load, &[1], json!({ "threshold": threshold })),
        ];
        testing::plan(nodes)
    }

    fn past(plan: &Plan, kept: &[usize], committed: &[usize]) -> Past {
        let prints = fingerprints(plan);
        let output = |place: &usize| KeptOutput {
            run_id: "1".to_owned(),
            step: plan.nodes[*place].id.clone(),
            output: "output".to_owned(),
            fingerprint: prints[*place].clone(),
            path: "x".to_owned(),
            rows: 1,
            bytes: 1,
            checksum: "c".to_owned(),
            created_at: 0,
        };
        let commit = |place: &usize| Committed {
            step: plan.nodes[*place].id.clone(),
            fingerprint: prints[*place].clone(),
            receipt: json!({"rows": 7}),
            tag: None,
        };
        Past {
            kept: kept.iter().map(output).collect(),
            commits: committed.iter().map(commit).collect(),
            told: HashMap::new(),
        }
    }

    fn settled(plan: &Plan, past: &Past) -> Vec<String> {
        let mut ids: Vec<String> = settle(plan, &fingerprints(plan), past).into_keys().collect();
        ids.sort();
        ids
    }

    #[test]
    fn what_was_done_under_another_name_is_not_done_again() {
        let mut plan = plan(1);
        let past = past(&plan, &[1], &[2, 3]);
        for (place, name) in [(1, "tidy"), (2, "eins"), (3, "zwei")] {
            plan.nodes[place].id = name.to_owned();
        }
        let prints = fingerprints(&plan);
        let names = past.names(&plan, &prints);
        let all = settle(&plan, &prints, &past.renamed(&names));
        let mut ids: Vec<&String> = all.keys().collect();
        ids.sort();
        assert_eq!(ids, ["eins", "read", "tidy", "zwei"]);
    }

    #[test]
    fn steps_may_take_each_others_names() {
        let mut plan = plan(1);
        plan.nodes[3].params = json!({"threshold": 2});
        let past = past(&plan, &[], &[2, 3]);
        (plan.nodes[2].id, plan.nodes[3].id) = ("second".to_owned(), "third".to_owned());
        let prints = fingerprints(&plan);
        let names = past.names(&plan, &prints);
        assert_eq!(names.len(), 2, "{names:?}");
        let past = past.renamed(&names);
        let called: Vec<&str> = past.commits.iter().map(|commit| commit.step.as_str()).collect();
        assert_eq!(called, ["second", "third"]);
        assert_eq!(settle(&plan, &prints, &past).len(), 4);
    }

    #[test]
    fn what_was_done_once_stands_for_one_step_alone() {
        let mut plan = plan(1);
        plan.nodes[3] = PlannedNode { id: "again".to_owned(), ..plan.nodes[2].clone() };
        let past = past(&plan, &[], &[2]);
        plan.nodes[2].id = "renamed".to_owned();
        let prints = fingerprints(&plan);
        assert_eq!(prints[2], prints[3]);
        let names = past.names(&plan, &prints);
        let all = settle(&plan, &prints, &past.renamed(&names));
        assert_eq!(all.len(), 1, "{all:?}");
    }

    #[test]
    fn without_a_past_everything_runs() {
        assert!(settled(&plan(1), &Past::default()).is_empty());
    }

    #[test]
    fn what_was_kept_is_read_again_and_what_it_was_made_of_is_not() {
        let plan = plan(1);
        let past = past(&plan, &[1], &[2]);
        assert_eq!(settled(&plan, &past), ["clean", "first", "read"]);
        let all = settle(&plan, &fingerprints(&plan), &past);
        assert_eq!(all["clean"].replayed.len(), 1);
        assert!(all["read"].replayed.is_empty(), "nobody needs it");
        assert_eq!(all["first"].receipt, Some(json!({"rows": 7})));
    }

    #[test]
    fn what_a_condition_asks_for_is_done_again_if_nobody_knows_what_it_did() {
        let (plan, mut asked) = (plan(1), plan(1));
        asked.nodes[3].asks = vec![0, 2];
        let mut past = past(&plan, &[1], &[2]);
        assert_eq!(settled(&asked, &past), ["clean", "first"], "a load that has committed is not");
        past.told.insert("read".to_owned(), Figures::default());
        assert_eq!(settled(&asked, &past), ["clean", "first", "read"]);
        past.told.clear();
        past.commits.extend(self::past(&plan, &[], &[3]).commits);
        assert_eq!(settled(&asked, &past), ["clean", "first", "read", "second"], "who asks is settled");
    }

    #[test]
    fn the_rows_of_a_step_are_those_of_its_main_output() {
        let mut plan = plan(1);
        plan.nodes[3].inputs[0].output = "rejected".to_owned();
        let mut past = past(&plan, &[1], &[2]);
        past.kept.push(KeptOutput { output: "rejected".to_owned(), rows: 9, ..past.kept[0].clone() });
        let clean = settle(&plan, &fingerprints(&plan), &past).remove("clean").expect("it was kept");
        let replayed: Vec<&str> = clean.replayed.iter().map(|kept| kept.output.as_str()).collect();
        assert_eq!((clean.rows, replayed), (1, vec!["rejected"]));
    }

    #[test]
    fn a_changed_tail_runs_again_and_only_it() {
        let (before, after) = (plan(1), plan(2));
        let past = past(&before, &[1], &[2, 3]);
        assert_eq!(settled(&before, &past).len(), 4);
        assert_eq!(settled(&after, &past), ["clean", "first", "read"]);
    }

    #[test]
    fn a_changed_source_changes_all_that_comes_of_it() {
        let before = plan(1);
        let mut after = plan(1);
        after.nodes[0].source = Some("a.csv 11 bytes".to_owned());
        let past = past(&before, &[1], &[2, 3]);
        assert!(settled(&after, &past).is_empty());
    }

    #[test]
    fn the_order_of_keys_does_not_matter() {
        let before = plan(1);
        let mut after = plan(1);
        after.nodes[0].params = json!({"b": 2, "a": 1});
        assert_eq!(fingerprints(&before), fingerprints(&after));
    }
}
