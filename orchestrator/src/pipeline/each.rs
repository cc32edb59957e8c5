//! `for_each`: steps that are repeated for each item of a list, or for each file that matches a pattern. Pure.
//!
//! A group is read as it stands; once the pipeline's parameters have values and the files have been looked up, its steps
//! are put in its place once for each item, with ids such as `read[north]`. What comes after a group comes after all of
//! its steps; its rows go to nobody outside.

use super::group::Group;
use super::problem::{Problem, Problems};
use super::spec::{MOST_STEPS, Spec, too_many};
use super::step::{Item, Reference, StepSpec};
use std::collections::HashSet;

impl Spec {
    /// Puts the steps of each group in its place, once for each item. `files` are those that were found for each group;
    /// nothing where that is not known yet. What is wrong is added to `problems`.
    pub(super) fn expand(&mut self, files: &[Option<Vec<String>>], problems: &mut Problems) {
        if self.groups.is_empty() {
            return;
        }
        self.refuse_ambiguous(problems);
        let groups = std::mem::take(&mut self.groups);
        let mut steps = Vec::new();
        let mut made: Vec<Made> =
            groups.iter().map(|group| Made { group: group.id.clone(), ..Made::default() }).collect();
        let mut open = std::mem::take(&mut self.steps).into_iter().peekable();
        while let Some(step) = open.next() {
            let Some(place) = step.group else {
                steps.push(step);
                continue;
            };
            let mut inner = vec![step];
            while let Some(next) = open.next_if(|next| next.group == Some(place)) {
                inner.push(next);
            }
            let items = groups[place].all(files.get(place).and_then(Option::as_deref));
            let count = steps.len() + items.len() * inner.len();
            let repeated = match count > MOST_STEPS {
                // A small text may stand for more copies than there is memory for.
                true => {
                    problems.push(too_many(count, &groups[place].name_span));
                    Vec::new()
                }
                false => repeat(&groups[place], &inner, &items, problems),
            };
            made[place].local.extend(inner.into_iter().map(|step| step.id));
            made[place].copies.extend(repeated.iter().map(|step| step.id.clone()));
            steps.extend(repeated);
        }
        for step in &mut steps {
            step.depends_on = come_after(std::mem::take(&mut step.depends_on), &made);
            refuse_rows(step, &made, problems);
        }
        self.steps = steps;
        self.refuse_too_many(problems);
    }

    /// An id within a group must mean one thing.
    fn refuse_ambiguous(&self, problems: &mut Problems) {
        let mut taken: HashSet<&str> = HashSet::new();
        let inner = self.steps.iter().filter(|step| step.group.is_some_and(|place| self.groups[place].id != step.id));
        let groups = self.groups.iter().map(|group| (group.id.as_str(), &group.name_span));
        let outer = self.steps.iter().filter(|step| step.group.is_none()).map(|step| (step.id.as_str(), &step.id_span));
        for (id, span) in outer.chain(groups).chain(inner.map(|step| (step.id.as_str(), &step.id_span))) {
            let of_group = self.groups.iter().any(|group| group.id == id)
                || self.steps.iter().any(|step| step.group.is_some() && step.id == id);
            if !taken.insert(id) && of_group {
                let message = format!("the id \"{id}\" is taken");
                let help = "give each step an id of its own, also those that are repeated".to_owned();
                problems.push(Problem::at(span, "duplicate-id", message).help(help));
            }
        }
    }
}

/// The steps of a group for each of its items.
fn repeat(group: &Group, inner: &[StepSpec], items: &[(String, Item)], problems: &mut Problems) -> Vec<StepSpec> {
    if items.is_empty() && !group.allow_empty {
        let message = match group.pattern() {
            Some((pattern, _)) => format!("no file matches \"{pattern}\""),
            None => "there is no item to repeat this for".to_owned(),
        };
        let span = group.pattern().map_or(&group.name_span, |(_, span)| span);
        let look = if group.pattern().is_some() {
            "look at the path, which is beneath the data root of who runs it; "
        } else {
            ""
        };
        let help = format!("{look}for_each: {{…, allow_empty: true}} lets it do nothing");
        problems.push(Problem::at(span, "empty-for-each", message).help(help));
    }
    let local: HashSet<&str> = inner.iter().map(|step| step.id.as_str()).collect();
    let mut steps = Vec::with_capacity(items.len() * inner.len());
    for (place, (label, item)) in items.iter().enumerate() {
        // Items beyond those at once wait for one that went before.
        let earlier = place.checked_sub(group.at_once).map(|place| items[place].0.as_str());
        for step in inner {
            steps.push(copy(group, step, &local, label, item, earlier));
        }
    }
    steps
}

fn copy(
    group: &Group,
    step: &StepSpec,
    local: &HashSet<&str>,
    label: &str,
    item: &Item,
    earlier: Option<&str>,
) -> StepSpec {
    let named = |id: &str, label: &str| format!("{id}[{label}]");
    let own = |reference: &mut Reference| {
        if local.contains(reference.id.as_str()) {
            reference.id = named(&reference.id, label);
        }
    };
    let mut copy = StepSpec { id: named(&step.id, label), item: item.clone(), group: None, ..step.clone() };
    copy.depends_on.iter_mut().chain(copy.inputs.iter_mut().map(|(.., reference)| reference)).for_each(own);
    if let Some(when) = &mut copy.when {
        local.iter().for_each(|id| when.meaning(id, &named(id, label)));
    }
    let earlier = local.iter().filter_map(|id| Some(named(id, earlier?)));
    let mut earlier: Vec<String> = earlier.collect();
    earlier.sort_unstable();
    let ordering =
        earlier.into_iter().map(|id| Reference { id, output: None, span: step.id_span.clone(), orders: true });
    copy.depends_on.extend(group.depends_on.iter().cloned().chain(ordering));
    copy
}

/// What a group was made into.
#[derive(Default)]
struct Made {
    group: String,
    /// The ids of its steps as they were written.
    local: HashSet<String>,
    /// The ids of their copies.
    copies: Vec<String>,
}

impl Made {
    /// The copies that an id from outside means; nothing for one that means something else.
    fn meant(&self, id: &str) -> Option<Vec<&String>> {
        if self.group == id {
            return Some(self.copies.iter().collect());
        }
        let begin = format!("{id}[");
        self.local.contains(id).then(|| self.copies.iter().filter(|copy| copy.starts_with(&begin)).collect())
    }
}

/// References to a group, or to one of its steps, as references to all that it was made into.
fn come_after(references: Vec<Reference>, made: &[Made]) -> Vec<Reference> {
    let mut all = Vec::with_capacity(references.len());
    for reference in references {
        match made.iter().find_map(|made| made.meant(&reference.id)) {
            None => all.push(reference),
            Some(copies) => {
                let to = |id: &String| Reference { id: id.clone(), output: None, orders: true, ..reference.clone() };
                all.extend(copies.into_iter().map(to));
            }
        }
    }
    all
}

/// Refuses inputs that would be fed by a repeated step.
fn refuse_rows(step: &StepSpec, made: &[Made], problems: &mut Problems) {
    for (_, _, reference) in &step.inputs {
        if made.iter().any(|made| made.meant(&reference.id).is_some()) {
            let message =
                format!("\"{}\" is repeated, and gives its rows to the steps of its group only", reference.id);
            let help = "write them from within the group, or come after it with depends_on".to_owned();
            problems.push(Problem::at(&reference.span, "wrong-inputs", message).help(help));
        }
    }
}
