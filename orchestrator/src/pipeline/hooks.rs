//! Whom a pipeline wants told how its runs end: addresses to which a message is posted.
//!
//! A hook names its secret and never holds it; an address that is a secret itself is named in the same way.

use super::problem::{Problem, Problems};
use super::values::{refuse_unknown, wrong_type};
use super::yaml::{Node, Yaml};
use crate::mesh::secret_name;
use serde::{Deserialize, Serialize};

/// Where a message goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hook {
    /// An address, or a reference to a secret that holds one.
    pub url: String,
    /// The reference to the secret that signs it; without one it is not signed.
    #[serde(default)]
    pub secret: Option<String>,
}

/// The hooks of a pipeline, by the end of a run that they wait for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HookRules {
    /// All its steps ended well.
    pub on_success: Vec<Hook>,
    /// It failed, and is not tried again by itself.
    pub on_failure: Vec<Hook>,
    /// It was ended on request.
    pub on_cancel: Vec<Hook>,
}

const KEYS: [&str; 3] = ["on_success", "on_failure", "on_cancel"];
const HOOK_KEYS: [&str; 2] = ["url", "secret"];
/// More hooks for one end than anybody means.
const MOST: usize = 16;
/// Bytes of the longest address.
const LONGEST: usize = 2_000;

impl HookRules {
    /// What a mapping says. What is wrong with it is added to `problems`.
    pub(super) fn read(value: &Yaml, problems: &mut Problems) -> Self {
        if value.entries().is_none() {
            let help = "write hooks: {on_failure: \"https://example.org/hook\"}";
            problems.push(wrong_type(value, "hooks", "a mapping", help));
            return Self::default();
        }
        refuse_unknown(value, &KEYS, problems);
        let mut of = |key: &str| value.entry(key).map(|entry| hooks(key, &entry.value, problems)).unwrap_or_default();
        Self { on_success: of("on_success"), on_failure: of("on_failure"), on_cancel: of("on_cancel") }
    }
}

/// One hook, or a list of them.
fn hooks(key: &str, value: &Yaml, problems: &mut Problems) -> Vec<Hook> {
    let items = match &value.node {
        Node::List(items) => items.as_slice(),
        _ => std::slice::from_ref(value),
    };
    if let Some(beyond) = items.get(MOST) {
        let message = format!("{key} has {} hooks, and {MOST} is the most", items.len());
        problems.push(
            Problem::at(&beyond.span, "bad-value", message).help("tell one place, which tells the others".to_owned()),
        );
    }
    items.iter().take(MOST).filter_map(|item| hook(item, problems)).collect()
}

fn hook(value: &Yaml, problems: &mut Problems) -> Option<Hook> {
    if value.text().is_some() {
        return Some(Hook { url: address(value, problems)?, secret: None });
    }
    let Some(entries) = value.entries() else {
        let help = "write an address, or {url: \"https://example.org/hook\", secret: \"secret://hook-key\"}";
        problems.push(wrong_type(value, "a hook", "an address or a mapping with url", help));
        return None;
    };
    refuse_unknown(value, &HOOK_KEYS, problems);
    let secret = value.entry("secret").and_then(|entry| reference(&entry.value, problems));
    match value.entry("url") {
        Some(entry) => Some(Hook { url: address(&entry.value, problems)?, secret }),
        None => {
            let span = entries.first().map_or(&value.span, |first| &first.key_span);
            let help = "say where the message goes: url: \"https://example.org/hook\"".to_owned();
            problems.push(Problem::at(span, "missing-key", "this hook has no url").help(help));
            None
        }
    }
}

/// An address to post to. One that holds a password would be shown wherever the pipeline is.
fn address(value: &Yaml, problems: &mut Problems) -> Option<String> {
    let Some(text) = value.text() else {
        problems.push(wrong_type(value, "url", "an address", "write url: \"https://example.org/hook\""));
        return None;
    };
    let wrong = match (secret_name(text), reqwest::Url::parse(text)) {
        (Some(Ok(_)), _) => None,
        (Some(Err(fault)), _) => Some((fault.message().to_owned(), "write secret://name")),
        _ if text.len() > LONGEST => Some((format!("an address has at most {LONGEST} characters"), "shorten it")),
        (None, Ok(url)) if !matches!(url.scheme(), "http" | "https") || !url.has_host() => {
            Some((format!("\"{text}\" is no address of HTTP"), "write https://example.org/hook"))
        }
        (None, Ok(url)) if !url.username().is_empty() || url.password().is_some() => Some((
            "an address in a pipeline holds no password".to_owned(),
            "keep the whole address in a secret, and write url: \"secret://name\"",
        )),
        (None, Ok(_)) => None,
        (None, Err(error)) => Some((format!("\"{text}\" is no address: {error}"), "write https://example.org/hook")),
    };
    match wrong {
        None => Some(text.to_owned()),
        Some((message, help)) => {
            problems.push(Problem::at(&value.span, "bad-value", message).help(help.to_owned()));
            None
        }
    }
}

/// The reference to a secret. A secret itself is not taken, nor shown.
fn reference(value: &Yaml, problems: &mut Problems) -> Option<String> {
    let text = value.text().unwrap_or_default();
    let message = match secret_name(text) {
        Some(Ok(_)) => return Some(text.to_owned()),
        Some(Err(fault)) => fault.message().to_owned(),
        None => "the secret of a hook is named, not written down".to_owned(),
    };
    let help = "write secret: \"secret://hook-key\"".to_owned();
    problems.push(Problem::at(&value.span, "bad-value", message).help(help));
    None
}
