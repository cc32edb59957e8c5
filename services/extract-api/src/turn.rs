//! Which page comes next. Pure.

use crate::redirect::next_address;
use crate::target::{Ask, Target, set_query};
use flight_common::Fault;
use reqwest::Url;
use serde_json::Value;
use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

/// How there is more than one page, as it is used.
#[derive(Clone, Debug)]
pub enum Paging {
    /// There is one, as far as anybody has said.
    One,
    /// The first is all that is wanted.
    First,
    /// The `Link` header names the next.
    Link,
    /// The answer does.
    Cursor {
        /// Where, as a JSON pointer.
        path: String,
        /// The parameter it becomes; nothing if it is an address.
        param: Option<String>,
    },
    /// A parameter counts pages.
    Page {
        /// The parameter.
        param: String,
        /// The first page.
        start: u64,
    },
    /// A parameter counts records.
    Offset {
        /// The parameter.
        param: String,
        /// The first record.
        start: u64,
    },
}

/// What a page was, as far as the next one depends on it.
pub struct Turned {
    /// Where it came from.
    pub url: Url,
    /// Its `Link` headers.
    pub links: Vec<String>,
    /// How many records it had.
    pub records: u64,
    /// The answer without its records.
    pub frame: Value,
}

/// The pages, one after the other.
pub struct Turns {
    paging: Paging,
    /// Pages, or records, that were read.
    counted: u64,
    /// What has named a next page so far.
    named: Named,
}

/// Names of pages, as hashes with a key of this run: among n names the probability that two get one hash is n²/2⁶⁵.
#[derive(Default)]
struct Named {
    hashes: HashSet<u64>,
    hasher: RandomState,
}

impl Named {
    /// Whether it is a new one.
    fn add(&mut self, name: &str) -> bool {
        self.hashes.insert(self.hasher.hash_one(name))
    }
}

impl Turns {
    /// Begins with the first page.
    pub fn new(paging: Paging) -> Self {
        Self { paging, counted: 0, named: Named::default() }
    }

    /// The request for the first page.
    pub fn first(&self, target: &Target) -> Ask {
        let mut ask = target.first();
        if let Paging::Page { param, start } | Paging::Offset { param, start } = &self.paging {
            set_query(&mut ask.url, param, &start.to_string());
        }
        ask
    }

    /// Where the only page would have named the next one, if it has nothing there: the place may be misspelled.
    pub fn unnamed(&self, only: &Turned) -> Option<&str> {
        match &self.paging {
            Paging::Cursor { path, .. } if self.named.hashes.is_empty() && only.records > 0 => {
                only.frame.pointer(path).is_none().then_some(path)
            }
            _ => None,
        }
    }

    /// The request for the page after this one, if there is one.
    ///
    /// # Errors
    /// What names the next page, and cannot be followed.
    pub fn next(&mut self, turned: &Turned, target: &Target) -> Result<Option<Ask>, Fault> {
        match &self.paging {
            Paging::First => Ok(None),
            Paging::One => match turned.links.iter().find_map(|link| next_link(link)) {
                None => Ok(None),
                Some(_) => Err(Fault::bad_data("the answer has a next page, and `pagination` does not say to read it")
                    .help("set pagination: {type: link} to read all pages, or {type: none} for the first one alone")),
            },
            Paging::Link => match turned.links.iter().find_map(|link| next_link(link)) {
                Some(link) => {
                    let url = next_address(&turned.url, link)?;
                    let is_itself = url == turned.url;
                    if is_itself || !self.named.add(url.as_str()) {
                        let named = if is_itself { "itself" } else { "one that was read before" };
                        return Err(Fault::bad_data(format!(
                            "a page names {named} as the next one, in its Link header"
                        ))
                        .help("read the first page alone, by pagination: {type: none}, or count the pages"));
                    }
                    Ok(Some(target.page(url)))
                }
                None => Ok(None),
            },
            Paging::Cursor { path, param } => {
                let Some(cursor) = cursor(&turned.frame, path)? else { return Ok(None) };
                if !self.named.add(&cursor) {
                    let message = format!("the answer names the same next page twice, at {path}");
                    return Err(
                        Fault::bad_data(message).help("is `param` the parameter that the server reads it from?")
                    );
                }
                let url = match param {
                    None => next_address(&turned.url, &cursor)?,
                    Some(param) => with_query(target, param, &cursor),
                };
                Ok(Some(target.page(url)))
            }
            Paging::Page { .. } | Paging::Offset { .. } if turned.records == 0 => Ok(None),
            Paging::Page { param, start } => {
                self.counted += 1;
                Ok(Some(target.page(with_query(target, param, &(start + self.counted).to_string()))))
            }
            Paging::Offset { param, start } => {
                self.counted += turned.records;
                Ok(Some(target.page(with_query(target, param, &(start + self.counted).to_string()))))
            }
        }
    }
}

fn with_query(target: &Target, param: &str, value: &str) -> Url {
    let mut url = target.url.clone();
    set_query(&mut url, param, value);
    url
}

/// What stands at a pointer; nothing where there is no next page.
fn cursor(frame: &Value, path: &str) -> Result<Option<String>, Fault> {
    match frame.pointer(path) {
        None | Some(Value::Null | Value::Bool(false)) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(Value::Number(number)) => Ok(Some(number.to_string())),
        Some(_) => {
            Err(Fault::bad_data(format!("what stands at {path} names no next page: it is neither text nor number")))
        }
    }
}

/// The address of `<…>; rel="next"` in a `Link` header (RFC 8288).
fn next_link(header: &str) -> Option<&str> {
    let mut rest = header;
    while let Some(open) = rest.find('<') {
        let (address, after) = rest[open + 1..].split_once('>')?;
        let (attributes, next) = cut(after, ',');
        rest = next;
        let mut left = attributes;
        while !left.is_empty() {
            let (attribute, others) = cut(left, ';');
            if says_next(attribute) {
                return Some(address);
            }
            left = others;
        }
    }
    None
}

/// What stands before a mark and what comes after it; a mark within quotes is none.
fn cut(text: &str, mark: char) -> (&str, &str) {
    let (mut quoted, mut escaped) = (false, false);
    let end = text.find(|character: char| {
        let is_literal = escaped;
        escaped = quoted && !is_literal && character == '\\';
        quoted ^= character == '"' && !is_literal;
        character == mark && !quoted
    });
    match end {
        Some(end) => (&text[..end], &text[end + mark.len_utf8()..]),
        None => (text, ""),
    }
}

fn says_next(attribute: &str) -> bool {
    attribute.split_once('=').is_some_and(|(name, value)| {
        name.trim().eq_ignore_ascii_case("rel")
            && value.trim().trim_matches('"').split_ascii_whitespace().any(|word| word.eq_ignore_ascii_case("next"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::Method;
    use serde_json::json;

    fn target() -> Target {
        let url = Url::parse("https://api.example/items?limit=2").expect("a URL");
        Target { url, method: Method::GET, headers: Default::default(), credential: None, body: None }
    }

    fn turned(records: u64, frame: Value, links: &[&str]) -> Turned {
        let url = Url::parse("https://api.example/v1/items?limit=2").expect("a URL");
        Turned { url, links: links.iter().map(|&link| link.to_owned()).collect(), records, frame }
    }

    fn next(turns: &mut Turns, turned: &Turned) -> Option<String> {
        turns.next(turned, &target()).expect("followed").map(|ask| ask.url.to_string())
    }

    #[test]
    fn a_link_is_found_among_others() {
        let mut turns = Turns::new(Paging::Link);
        let links =
            [r#"<https://x.example/1>; rel="prev", </v2?page=2,3>; title="a, \"b\"; rel=\"prev"; rel="last next""#];
        let found = next(&mut turns, &turned(2, Value::Null, &links));
        assert_eq!(found.as_deref(), Some("https://api.example/v2?page=2,3"));
        for none in [
            r#"<https://x.example/1>; rel="prev""#,
            "",
            "<",
            r#"<x>; title="rel=next""#,
            r#"<x>; title="a; rel=next; b""#,
        ] {
            assert_eq!(next(&mut turns, &turned(2, Value::Null, &[none])), None, "{none}");
        }
    }

    #[test]
    fn a_page_is_not_the_one_after_itself() {
        let page = turned(2, Value::Null, &[r#"</v1/items?limit=2>; rel="next""#]);
        let Err(fault) = Turns::new(Paging::Link).next(&page, &target()) else { panic!("followed") };
        assert!(fault.message().contains("itself"), "{fault:?}");
        let mut turns = Turns::new(Paging::Link);
        let links = [r#"</v1/items?page=2>; rel="next""#, r#"</v1/items?page=3>; rel="next""#];
        links.iter().for_each(|link| drop(turns.next(&turned(2, Value::Null, &[link]), &target()).expect("followed")));
        let Err(fault) = turns.next(&turned(2, Value::Null, &links[..1]), &target()) else { panic!("a round") };
        assert!(fault.message().contains("read before"), "{fault:?}");
    }

    #[test]
    fn pages_that_nobody_asked_for_are_not_left_out_unseen() {
        let more = turned(2, Value::Null, &[r#"</v2?page=2>; rel="next""#]);
        let Err(fault) = Turns::new(Paging::One).next(&more, &target()) else { panic!("there is more") };
        assert!(fault.help_text().is_some_and(|help| help.contains("{type: none}")), "{fault:?}");
        assert_eq!(next(&mut Turns::new(Paging::First), &more), None);
        assert_eq!(next(&mut Turns::new(Paging::One), &turned(2, Value::Null, &[r#"</>; rel="prev""#])), None);
    }

    #[test]
    fn a_cursor_becomes_a_parameter_or_an_address() {
        let paging = |param: Option<&str>| Paging::Cursor { path: "/meta/next".into(), param: param.map(Into::into) };
        let mut turns = Turns::new(paging(Some("after")));
        let frame = json!({"meta": {"next": "a b&c"}});
        assert_eq!(
            next(&mut turns, &turned(2, frame, &[])).as_deref(),
            Some("https://api.example/items?limit=2&after=a+b%26c")
        );
        for end in [
            json!({}),
            json!({"meta": {"next": null}}),
            json!({"meta": {"next": ""}}),
            json!({"meta": {"next": false}}),
        ] {
            assert_eq!(next(&mut turns, &turned(2, end, &[])), None);
        }
        assert_eq!(turns.unnamed(&turned(2, json!({}), &[])), None, "earlier pages have named one");
        let turns = Turns::new(paging(None));
        assert_eq!(turns.unnamed(&turned(2, json!({"meta": {}}), &[])), Some("/meta/next"));
        assert_eq!(turns.unnamed(&turned(2, json!({"meta": {"next": null}}), &[])), None);
        let mut turns = Turns::new(paging(None));
        let frame = json!({"meta": {"next": "?page=2"}});
        assert_eq!(next(&mut turns, &turned(2, frame, &[])).as_deref(), Some("https://api.example/v1/items?page=2"));
    }

    #[test]
    fn a_cursor_that_stands_still_is_an_error() {
        let mut turns = Turns::new(Paging::Cursor { path: "/next".into(), param: Some("after".into()) });
        let page = turned(2, json!({"next": 7}), &[]);
        assert!(next(&mut turns, &page).is_some());
        assert!(turns.next(&page, &target()).is_err());
        assert!(turns.next(&turned(2, json!({"next": 8}), &[]), &target()).is_ok());
        assert!(turns.next(&page, &target()).is_err(), "a round of two");
        assert!(turns.next(&turned(2, json!({"next": [1]}), &[]), &target()).is_err());
    }

    #[test]
    fn pages_and_records_are_counted_until_a_page_is_empty() {
        let mut pages = Turns::new(Paging::Page { param: "page".into(), start: 1 });
        assert_eq!(pages.first(&target()).url.query(), Some("limit=2&page=1"));
        assert_eq!(
            next(&mut pages, &turned(2, Value::Null, &[])).as_deref(),
            Some("https://api.example/items?limit=2&page=2")
        );
        assert_eq!(
            next(&mut pages, &turned(1, Value::Null, &[])).as_deref(),
            Some("https://api.example/items?limit=2&page=3")
        );
        assert_eq!(next(&mut pages, &turned(0, Value::Null, &[])), None);

        let mut records = Turns::new(Paging::Offset { param: "limit".into(), start: 10 });
        assert_eq!(records.first(&target()).url.query(), Some("limit=10"));
        next(&mut records, &turned(2, Value::Null, &[]));
        assert_eq!(
            next(&mut records, &turned(1, Value::Null, &[])).as_deref(),
            Some("https://api.example/items?limit=13")
        );
    }
}
