//! YAML as a tree that knows where each of its nodes stood.
//!
//! Own and generic, rather than derived types, so that every mistake in a file can be told at once and not only the
//! first. Numbers stay as exact as they were written; dates stay strings, as in JSON.

use super::problem::Problem;
use super::source::{Source, Span};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Number, Value};
use serde_saphyr::{Location, Spanned};
use std::fmt;

/// A node, and where it stood.
#[derive(Clone, Debug)]
pub struct Yaml {
    pub span: Span,
    pub node: Node,
}

/// What a node is.
#[derive(Clone, Debug)]
pub enum Node {
    Scalar(Value),
    List(Vec<Yaml>),
    Map(Vec<Entry>),
}

/// A key and its value.
#[derive(Clone, Debug)]
pub struct Entry {
    pub key: String,
    pub key_span: Span,
    pub value: Yaml,
}

/// Reads a text as one YAML document, within bounds that no pipeline reaches.
pub fn read(source: &Source) -> Result<Yaml, Problem> {
    const LARGEST: usize = 4 << 20;
    let whole = Span { line: 1, column: 1, bytes: 0..source.text().len().min(1) };
    if source.text().len() > LARGEST {
        return Err(Problem::at(&whole, "yaml", "this file is larger than 4 MiB, which no pipeline is")
            .help("give the pipeline's YAML, not its data".to_owned()));
    }
    let options = serde_saphyr::options! {
        // YAML 1.2: `n`, `no` and `off` are texts, as most people expect of an id or a column.
        strict_booleans: true,
        budget: serde_saphyr::budget! {
            max_nodes: 100_000,
            max_aliases: 1_000,
            max_anchors: 1_000,
            max_depth: 48,
        },
    };
    let parsed: Result<Spanned<Tree>, _> = serde_saphyr::from_str_with_options(source.text(), options);
    match parsed {
        Ok(tree) => Ok(placed(tree, source.text())),
        Err(error) => {
            let span = error.location().map_or(whole, |location| span_of(&location, source.text()));
            let message = error.without_snippet().to_string();
            let message = message.split(" at line ").next().unwrap_or(&message).to_owned();
            Err(Problem::at(&span, "yaml", format!("this is not good YAML: {message}"))
                .help("check indentation, colons and quotes around this place".to_owned()))
        }
    }
}

impl Yaml {
    /// Its value as JSON, without places.
    pub fn to_json(&self) -> Value {
        match &self.node {
            Node::Scalar(value) => value.clone(),
            Node::List(items) => items.iter().map(Self::to_json).collect(),
            Node::Map(entries) => entries.iter().map(|entry| (entry.key.clone(), entry.value.to_json())).collect(),
        }
    }

    /// Its entries, if it is a mapping.
    pub fn entries(&self) -> Option<&[Entry]> {
        match &self.node {
            Node::Map(entries) => Some(entries),
            _ => None,
        }
    }

    /// The entry of that key, if it is a mapping and has it.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries()?.iter().find(|entry| entry.key == key)
    }

    /// Its text, if it is a string.
    pub fn text(&self) -> Option<&str> {
        match &self.node {
            Node::Scalar(Value::String(text)) => Some(text),
            _ => None,
        }
    }

    /// What it is, in words.
    pub fn kind(&self) -> &'static str {
        match &self.node {
            Node::Scalar(Value::Null) => "nothing",
            Node::Scalar(Value::Bool(_)) => "a boolean",
            Node::Scalar(Value::Number(_)) => "a number",
            Node::Scalar(_) => "a text",
            Node::List(_) => "a list",
            Node::Map(_) => "a mapping",
        }
    }

    /// The place of the value that a JSON pointer from here leads to, or the nearest place on the way there. A list or
    /// a mapping is shown by its key.
    pub fn locate(&self, pointer: &str) -> Span {
        self.walk(pointer).0
    }

    /// The place of the key of that value.
    pub fn locate_key(&self, pointer: &str) -> Span {
        let (value, key) = self.walk(pointer);
        key.unwrap_or(value)
    }

    fn walk(&self, pointer: &str) -> (Span, Option<Span>) {
        let mut here = self;
        let mut span = self.span.clone();
        let mut key = None;
        for part in pointer.split('/').filter(|part| !part.is_empty()) {
            let part = part.replace("~1", "/").replace("~0", "~");
            match &here.node {
                Node::Map(entries) => match entries.iter().find(|entry| entry.key == part) {
                    Some(entry) => {
                        here = &entry.value;
                        key = Some(entry.key_span.clone());
                        span = if matches!(here.node, Node::Scalar(_)) {
                            here.span.clone()
                        } else {
                            entry.key_span.clone()
                        };
                    }
                    None => return (span, None),
                },
                Node::List(items) => match part.parse::<usize>().ok().and_then(|place| items.get(place)) {
                    Some(item) => {
                        here = item;
                        key = None;
                        span = item.span.clone();
                    }
                    None => return (span, None),
                },
                Node::Scalar(_) => return (span, None),
            }
        }
        (span, key)
    }
}

/// The tree as serde reads it, before places are looked up.
enum Tree {
    Scalar(Value),
    List(Vec<Spanned<Tree>>),
    Map(Vec<(Spanned<String>, Spanned<Tree>)>),
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
        Ok(Tree::Scalar(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Tree, E> {
        Ok(Tree::Scalar(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Tree, E> {
        Ok(Tree::Scalar(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Tree, E> {
        // JSON has no NaN and no infinity: they go on as text, and a step that wants a number refuses them.
        Ok(Tree::Scalar(Number::from_f64(value).map_or_else(|| value.to_string().into(), Value::Number)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Tree, E> {
        Ok(Tree::Scalar(value.into()))
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Scalar(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Tree, E> {
        Ok(Tree::Scalar(Value::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Tree, D::Error> {
        Tree::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Tree, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Tree::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Tree::Map(entries))
    }
}

fn placed(tree: Spanned<Tree>, text: &str) -> Yaml {
    let span = span_of(&tree.referenced, text);
    let node = match tree.value {
        Tree::Scalar(value) => Node::Scalar(value),
        Tree::List(items) => Node::List(items.into_iter().map(|item| placed(item, text)).collect()),
        Tree::Map(entries) => Node::Map(
            entries
                .into_iter()
                .map(|(key, value)| Entry {
                    key_span: span_of(&key.referenced, text),
                    key: key.value,
                    value: placed(value, text),
                })
                .collect(),
        ),
    };
    Yaml { span, node }
}

fn span_of(location: &Location, text: &str) -> Span {
    let line = (location.line() as usize).max(1);
    let column = (location.column() as usize).max(1);
    let start = match location.span().byte_offset() {
        Some(offset) => (offset as usize).min(text.len()),
        None => offset_of(text, line, column),
    };
    let length = location.span().byte_len().unwrap_or(1) as usize;
    // A node of several lines is shown by its first.
    let rest = &text.as_bytes()[start..];
    let to_line_end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
    Span { line, column, bytes: start..start + length.min(to_line_end) }
}

fn offset_of(text: &str, line: usize, column: usize) -> usize {
    let before: usize = text.split_inclusive('\n').take(line - 1).map(str::len).sum();
    let within = text.get(before..).unwrap_or_default();
    before + within.char_indices().nth(column - 1).map_or(0, |(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(text: &str) -> Yaml {
        read(&Source::new("test", text)).expect("good YAML")
    }

    #[test]
    fn every_node_knows_its_place() {
        let tree = tree("a: 1\nb:\n  - x: {é: 2, long: 3}\n");
        let span = tree.locate("/b/0/x/long");
        assert_eq!((span.line, span.column), (3, 21));
        assert_eq!(&"a: 1\nb:\n  - x: {é: 2, long: 3}\n"[span.bytes], "3");
    }

    #[test]
    fn whole_numbers_are_exact_and_dates_are_text() {
        let json = tree("{n: 9007199254740993, d: 2024-01-02, f: 3.0, s: '007', no: null}").to_json();
        assert_eq!(json.to_string(), r#"{"n":9007199254740993,"d":"2024-01-02","f":3.0,"s":"007","no":null}"#);
    }

    #[test]
    fn an_anchor_bomb_is_refused() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for n in 1..12 {
            let before = vec![format!("*a{}", n - 1); 10].join(", ");
            text += &format!("a{n}: &a{n} [{before}]\n");
        }
        let problem = read(&Source::new("bomb", text)).expect_err("refused");
        assert_eq!(problem.code, "yaml");
    }

    #[test]
    fn what_is_not_yaml_is_told_with_its_place() {
        let problem = read(&Source::new("test", "a: 1\nb: [1, 2\nc: }")).expect_err("not YAML");
        assert!(problem.line >= 2, "{problem:?}");
    }
}
