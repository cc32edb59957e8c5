//! `for_each`: steps that are repeated for each item of a list, or for each file that matches a pattern. Pure.
//!
//! A group is read as it stands; once the pipeline's parameters have values and the files have been looked up, its steps
//! are put in its place once for each item, with ids such as `read[north]`. What comes after a group comes after all of
//! its steps; its rows go to nobody outside.

use super::problem::{Problem, Problems};
use super::source::Span;
use super::spec::Spec;
use super::step::{Reference, StepSpec};
use super::values::{refuse_unknown, wrong_type};
use super::yaml::{Entry, Node, Yaml};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashSet};
use std::path::Path;

/// Steps that are repeated.
#[derive(Clone, Debug)]
pub struct Group {
    /// Its id, by which others come after it.
    pub(super) id: String,
    pub(super) items: Items,
    /// What an item is called in placeholders.
    pub(super) name: String,
    /// Where that stood.
    pub(super) name_span: Span,
    /// Items at a time.
    at_once: usize,
    allow_empty: bool,
    /// What all of its steps come after.
    pub(super) depends_on: Vec<Reference>,
}

/// What a group is repeated for.
#[derive(Clone, Debug)]
pub(super) enum Items {
    /// These values.
    List(Yaml),
    /// The files that match this pattern.
    Files(Yaml),
}

/// The values that belong to one item, by the names of their placeholders; nothing for one that may come later.
pub type Item = BTreeMap<String, Option<Value>>;

pub(super) const FOR_EACH: &str = "for_each";
const EACH_KEYS: [&str; 5] = ["items", "files", "as", "at_once", "allow_empty"];
/// Items at a time, unless the file says otherwise: enough to keep a machine busy.
const AT_ONCE: usize = 4;
const MOST_AT_ONCE: u64 = 100;
/// What an item of files has beside its path.
const OF_FILES: [&str; 4] = ["path", "name", "stem", "folder"];
/// Characters of an item that become part of an id.
const LONGEST_LABEL: usize = 64;

impl Group {
    /// Reads what repeats the steps of `id`. What is wrong with it is added to `problems`.
    pub(super) fn read(id: String, entry: &Entry, problems: &mut Problems) -> Option<Self> {
        let value = &entry.value;
        let group = |items| Self {
            id,
            items,
            name: "item".to_owned(),
            name_span: entry.key_span.clone(),
            at_once: AT_ONCE,
            allow_empty: false,
            depends_on: Vec::new(),
        };
        let help = "write for_each: [north, south], or for_each: {files: \"sales/*.csv\"}";
        match &value.node {
            Node::List(_) => Some(group(Items::List(value.clone()))),
            Node::Scalar(Value::String(_)) => Some(group(Items::Files(value.clone()))),
            Node::Map(_) => {
                refuse_unknown(value, &EACH_KEYS, problems);
                let items = match (value.entry("items"), value.entry("files")) {
                    (Some(list), None) if list.value.items().is_some() => Items::List(list.value.clone()),
                    (None, Some(files)) if files.value.text().is_some() => Items::Files(files.value.clone()),
                    _ => {
                        let message = "for_each has either `items`, which is a list, or `files`, which is a pattern";
                        problems.push(Problem::at(&entry.key_span, "wrong-type", message).help(help.to_owned()));
                        return None;
                    }
                };
                let mut group = group(items);
                group.take_options(value, problems);
                Some(group)
            }
            Node::Scalar(_) => {
                problems.push(wrong_type(value, FOR_EACH, "a list of items, or a pattern of files", help));
                None
            }
        }
    }

    fn take_options(&mut self, value: &Yaml, problems: &mut Problems) {
        if let Some(entry) = value.entry("as") {
            match entry.value.text().filter(|name| super::params::is_name(name) && !name.contains('-')) {
                Some(name) => (self.name, self.name_span) = (name.to_owned(), entry.value.span.clone()),
                None => {
                    let help = "begin with a letter, and go on with letters, digits and _: as: region".to_owned();
                    let message = "this cannot be what an item is called";
                    problems.push(Problem::at(&entry.value.span, "bad-name", message).help(help));
                }
            }
        }
        if let Some(entry) = value.entry("at_once") {
            match entry.value.to_json().as_u64().filter(|count| (1..=MOST_AT_ONCE).contains(count)) {
                Some(count) => self.at_once = usize::try_from(count).unwrap_or(AT_ONCE),
                None => {
                    let message = format!("at_once is a whole number from 1 to {MOST_AT_ONCE}");
                    let help = format!("write at_once: {AT_ONCE}, or leave it out");
                    problems.push(Problem::at(&entry.value.span, "bad-value", message).help(help));
                }
            }
        }
        if let Some(entry) = value.entry("allow_empty") {
            match entry.value.to_json() {
                Value::Bool(allow) => self.allow_empty = allow,
                _ => problems.push(wrong_type(&entry.value, "allow_empty", "true or false", "write true or false")),
            }
        }
    }

    /// The pattern that files are looked up by, once its placeholders have values.
    pub(super) fn pattern(&self) -> Option<(&str, &Span)> {
        match &self.items {
            Items::Files(pattern) => Some((pattern.text()?, &pattern.span)),
            Items::List(_) => None,
        }
    }

    /// The placeholders that its items have, each without a value.
    fn awaited(&self) -> Item {
        let parts = match &self.items {
            Items::Files(_) => OF_FILES.map(|part| format!("{}.{part}", self.name)).to_vec(),
            Items::List(_) => Vec::new(),
        };
        parts.into_iter().chain([self.name.clone()]).map(|name| (name, None)).collect()
    }

    fn of_file(&self, path: &str) -> Item {
        let part = |part: Option<&std::ffi::OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
        let file = Path::new(path);
        let folder = file.parent().map(|folder| folder.to_string_lossy().into_owned()).unwrap_or_default();
        let parts = [path.to_owned(), part(file.file_name()), part(file.file_stem()), folder];
        let named = OF_FILES.iter().zip(parts).map(|(name, part)| (format!("{}.{name}", self.name), part));
        let whole = (self.name.clone(), path.to_owned());
        named.chain([whole]).map(|(name, value)| (name, Some(json!(value)))).collect()
    }

    fn of_value(&self, value: &Yaml) -> Item {
        let parts = value.entries().unwrap_or_default().iter();
        let parts = parts.map(|entry| (format!("{}.{}", self.name, entry.key), Some(entry.value.to_json())));
        parts.chain([(self.name.clone(), Some(value.to_json()))]).collect()
    }

    /// Its items, and what each is called in ids.
    fn all(&self, files: Option<&[String]>) -> Vec<(String, Item)> {
        let (labels, items): (Vec<String>, Vec<Item>) = match (&self.items, files) {
            (Items::Files(_), None) => return vec![("?".to_owned(), self.awaited())],
            (Items::Files(_), Some(files)) => {
                let stem = |path: &String| Path::new(path).file_stem().unwrap_or_default().to_string_lossy().into();
                files.iter().map(|path| (stem(path), self.of_file(path))).unzip()
            }
            (Items::List(list), _) => {
                let label = |item: &Yaml| match item.to_json() {
                    Value::String(text) => text,
                    other => other.to_string(),
                };
                list.items().unwrap_or_default().iter().map(|item| (label(item), self.of_value(item))).unzip()
            }
        };
        labelled(labels).into_iter().zip(items).collect()
    }
}

/// What items are called in ids: by what they are, if all of that can be part of an id and tells them apart; else they are
/// counted from 1.
fn labelled(labels: Vec<String>) -> Vec<String> {
    let usable = |label: &String| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
        !label.is_empty() && label.len() <= LONGEST_LABEL && label.chars().all(plain)
    };
    let apart = labels.iter().collect::<HashSet<_>>().len() == labels.len();
    if apart && labels.iter().all(usable) {
        return labels;
    }
    (1..=labels.len()).map(|place| place.to_string()).collect()
}

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
            let repeated = repeat(&groups[place], &inner, files.get(place).and_then(Option::as_deref), problems);
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
fn repeat(group: &Group, inner: &[StepSpec], files: Option<&[String]>, problems: &mut Problems) -> Vec<StepSpec> {
    let items = group.all(files);
    if items.is_empty() && !group.allow_empty {
        let message = match group.pattern() {
            Some((pattern, _)) => format!("no file matches \"{pattern}\""),
            None => "there is no item to repeat this for".to_owned(),
        };
        let span = group.pattern().map_or(&group.name_span, |(_, span)| span);
        let look = if group.pattern().is_some() { "look at the path, which is beneath the data root; " } else { "" };
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

/// Refuses a group whose items have the name of a parameter.
pub(super) fn refuse_hidden(group: &Group, params: &[&str], problems: &mut Problems) {
    if params.contains(&group.name.as_str()) {
        let message = format!("the pipeline has a parameter \"{}\", and an item has the same name", group.name);
        let help = format!("call the item something else: {}", "for_each: {items: […], as: one}");
        problems.push(Problem::at(&group.name_span, "bad-name", message).help(help));
    }
}
