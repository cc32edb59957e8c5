//! Steps that are repeated, as they were written, and the items that they are repeated for. Pure.

use super::problem::{Problem, Problems};
use super::source::Span;
use super::step::{FOR_EACH, Item, Reference};
use super::values::{refuse_unknown, wrong_type};
use super::yaml::{Entry, Node, Yaml};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::HashSet;
use std::path::Path;

/// Steps that are repeated.
#[derive(Clone, Debug)]
pub struct Group {
    /// Its id, by which others come after it.
    pub(super) id: String,
    pub(super) items: Items,
    /// Whether a placeholder in that has no value yet.
    pub(super) unfilled: bool,
    /// What an item is called in placeholders.
    pub(super) name: String,
    /// Where that stood.
    pub(super) name_span: Span,
    /// Items at a time.
    pub(super) at_once: usize,
    /// Whether it may have no item.
    pub(super) allow_empty: bool,
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

const EACH_KEYS: [&str; 5] = ["items", "files", "as", "at_once", "allow_empty"];
/// Items at a time, unless the file says otherwise: enough to keep a machine busy.
const AT_ONCE: usize = 4;
const MOST_AT_ONCE: u64 = 100;
/// What an item of files has beside its path.
const OF_FILES: [&str; 4] = ["path", "name", "stem", "folder"];
/// Characters of an item that become part of an id.
const LONGEST_LABEL: usize = 64;
/// Characters of the stem of a file beside a hash, and bytes of that.
const LONGEST_STEM: usize = 40;
const HASHED: usize = 5;

impl Group {
    /// Reads what repeats the steps of `id`. What is wrong with it is added to `problems`.
    pub(super) fn read(id: String, entry: &Entry, problems: &mut Problems) -> Option<Self> {
        let value = &entry.value;
        let group = |items| Self {
            id,
            items,
            unfilled: false,
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
    pub(super) fn all(&self, files: Option<&[String]>) -> Vec<(String, Item)> {
        let (labels, items): (Vec<String>, Vec<Item>) = match (&self.items, files) {
            (Items::Files(_), None) => return vec![("?".to_owned(), self.awaited())],
            (Items::Files(pattern), Some(files)) => {
                let by_stem = tells_stems_apart(pattern.text().unwrap_or_default());
                return files.iter().map(|path| (label_of_file(path, by_stem), self.of_file(path))).collect();
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

/// What the items of a list are called in ids: by what they are, if all of that can be part of an id and tells them apart; else
/// they are counted from 1.
fn labelled(labels: Vec<String>) -> Vec<String> {
    let apart = labels.iter().collect::<HashSet<_>>().len() == labels.len();
    if apart && labels.iter().all(|label| is_usable(label)) {
        return labels;
    }
    (1..=labels.len()).map(|place| place.to_string()).collect()
}

/// What a file is called in ids: by its stem, if that can be part of one and the pattern lets no two files have the same; else
/// with the hash of its path. No other file has a say in it: whichever come or go between two attempts of a run, what was done
/// for this one is found again.
fn label_of_file(path: &str, by_stem: bool) -> String {
    let stem = Path::new(path).file_stem().unwrap_or_default().to_string_lossy();
    // One that ends as a hash would could be the name of another file.
    let hashed = stem
        .rsplit_once('-')
        .is_some_and(|(_, end)| end.len() == 2 * HASHED && end.bytes().all(|c| c.is_ascii_hexdigit()));
    if by_stem && is_usable(&stem) && !hashed {
        return stem.into_owned();
    }
    let plain: String = stem.chars().map(|c| if is_plain(c) { c } else { '_' }).take(LONGEST_STEM).collect();
    let hash = Sha256::digest(path).iter().take(HASHED).map(|byte| format!("{byte:02x}")).collect::<String>();
    format!("{plain}-{hash}")
}

/// Whether files that match a pattern have different stems: those of one folder do, if they have the same ending.
fn tells_stems_apart(pattern: &str) -> bool {
    let fixed = |text: &str| !text.contains(['*', '?', '[', ']']);
    let (folder, name) = pattern.rsplit_once('/').unwrap_or(("", pattern));
    fixed(folder) && name.rsplit_once('.').is_some_and(|(_, ending)| fixed(ending))
}

fn is_usable(label: &str) -> bool {
    !label.is_empty() && label.len() <= LONGEST_LABEL && label.chars().all(is_plain)
}

fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_-.".contains(c)
}

/// Refuses a group whose items have the name of a parameter.
pub(super) fn refuse_hidden(group: &Group, params: &[&str], problems: &mut Problems) {
    if params.contains(&group.name.as_str()) {
        let message = format!("the pipeline has a parameter \"{}\", and an item has the same name", group.name);
        let help = format!("call the item something else: {}", "for_each: {items: […], as: one}");
        problems.push(Problem::at(&group.name_span, "bad-name", message).help(help));
    }
}
