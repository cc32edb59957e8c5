//! YAML as a tree that knows where each of its nodes stood.
//!
//! Own and generic, rather than derived types, so that every mistake in a file can be told at once and not only the
//! first.

use super::source::Span;
use serde_json::Value;

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

    /// Its items, if it is a list.
    pub fn items(&self) -> Option<&[Self]> {
        match &self.node {
            Node::List(items) => Some(items),
            _ => None,
        }
    }

    /// Whether it is nothing: `params:` with nothing behind it.
    pub fn is_null(&self) -> bool {
        matches!(self.node, Node::Scalar(Value::Null))
    }

    /// The entry of that key, if it is a mapping and has it. A key with nothing behind it is as one that is not there.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.written(key).filter(|entry| !entry.value.is_null())
    }

    /// The entry of that key, also with nothing behind it.
    pub fn written(&self, key: &str) -> Option<&Entry> {
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
        self.walk(pointer).span
    }

    /// The place of the key of that value.
    pub fn locate_key(&self, pointer: &str) -> Span {
        let Walk { key, span, .. } = self.walk(pointer);
        key.unwrap_or(span)
    }

    /// The value itself, if the pointer leads to one.
    pub fn at(&self, pointer: &str) -> Option<&Self> {
        self.walk(pointer).value
    }

    fn walk(&self, pointer: &str) -> Walk<'_> {
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
                    None => return Walk::not_to_the_end(span),
                },
                Node::List(items) => match part.parse::<usize>().ok().and_then(|place| items.get(place)) {
                    Some(item) => {
                        here = item;
                        key = None;
                        span = item.span.clone();
                    }
                    None => return Walk::not_to_the_end(span),
                },
                Node::Scalar(_) => return Walk::not_to_the_end(span),
            }
        }
        Walk { value: Some(here), span, key }
    }
}

/// How far a pointer led: the place it came to, and what it means if it came to its end.
struct Walk<'a> {
    value: Option<&'a Yaml>,
    span: Span,
    key: Option<Span>,
}

impl Walk<'_> {
    fn not_to_the_end(span: Span) -> Self {
        Self { value: None, span, key: None }
    }
}
