//! The conditions of a request: `If-Match` and `If-None-Match`, as RFC 9110 has them (sections 8.8.3, 13.1.1 and 13.1.2).
//!
//! The tag of a pipeline is the hash of its text. A tag is also taken without its quotes.

use super::extract::text_lines;
use super::problem::ApiError;
use crate::store::Expected;
use http::{HeaderMap, HeaderValue};

/// The tag of a text with this hash.
pub(super) fn etag(hash: &str) -> HeaderValue {
    HeaderValue::from_str(&format!("\"{hash}\"")).unwrap_or(HeaderValue::from_static("\"\""))
}

/// What a request that changes something expects. `If-None-Match` counts only without `If-Match`.
///
/// # Errors
/// That a header is no text.
pub(super) fn expected(headers: &HeaderMap) -> Result<Expected, ApiError> {
    if let Some(tags) = tags(headers, "if-match")? {
        return Ok(match tags {
            Tags::Any => Expected::There,
            // A weak tag does not say that every byte is the same.
            Tags::These(tags) => {
                Expected::OneOf(tags.into_iter().filter(|tag| !tag.weak).map(|tag| tag.hash).collect())
            }
        });
    }
    Ok(match tags(headers, "if-none-match")? {
        None => Expected::Any,
        Some(Tags::Any) => Expected::NotThere,
        Some(Tags::These(tags)) => Expected::NoneOf(tags.into_iter().map(|tag| tag.hash).collect()),
    })
}

/// Whether the caller has the text of this hash already, as `If-None-Match` says.
///
/// # Errors
/// That the header is no text.
pub(super) fn has(headers: &HeaderMap, hash: &str) -> Result<bool, ApiError> {
    Ok(match tags(headers, "if-none-match")? {
        None => false,
        Some(Tags::Any) => true,
        Some(Tags::These(tags)) => tags.iter().any(|tag| tag.hash == hash),
    })
}

enum Tags {
    Any,
    These(Vec<Tag>),
}

struct Tag {
    hash: String,
    weak: bool,
}

fn tags(headers: &HeaderMap, name: &str) -> Result<Option<Tags>, ApiError> {
    // Several lines are one list: RFC 9110, 5.3.
    let lines = text_lines(headers, name)?;
    if lines.is_empty() {
        return Ok(None);
    }
    if lines.iter().any(|line| line.trim() == "*") {
        return Ok(Some(Tags::Any));
    }
    let tags = lines.iter().flat_map(|line| line.split(',')).map(|tag| {
        let tag = tag.trim();
        let strong = tag.strip_prefix("W/");
        Tag { hash: strong.unwrap_or(tag).trim_matches('"').to_owned(), weak: strong.is_some() }
    });
    Ok(Some(Tags::These(tags.collect())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(name: &'static str, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(http::HeaderName::from_static(name), HeaderValue::from_static(value))])
    }

    #[test]
    fn conditions_hold_as_the_standard_says() {
        let cases = [
            ("if-match", "\"a\"", [true, false, false]),
            ("if-match", "a", [true, false, false]),
            ("if-match", "\"b\", \"a\"", [true, true, false]),
            ("if-match", "W/\"a\"", [false, false, false]),
            ("if-match", "*", [true, true, false]),
            ("if-none-match", "*", [false, false, true]),
            ("if-none-match", "\"a\"", [false, true, true]),
            ("if-none-match", "W/\"a\", \"c\"", [false, true, true]),
            ("etag", "\"a\"", [true, true, true]),
        ];
        for (name, value, holds) in cases {
            let expected = expected(&asked(name, value)).expect("text");
            assert_eq!([Some("a"), Some("b"), None].map(|newest| expected.holds(newest)), holds, "{name}: {value}");
        }
    }

    #[test]
    fn several_lines_are_one_list() {
        let asked = |name: &'static str, lines: [&'static str; 2]| {
            let name = http::HeaderName::from_static(name);
            let mut headers = HeaderMap::new();
            headers.extend(lines.map(|line| (name.clone(), HeaderValue::from_static(line))));
            headers
        };
        let expects = |headers| expected(&headers).expect("text");
        assert!(expects(asked("if-match", ["\"b\"", "\"a\""])).holds(Some("a")));
        assert!(!expects(asked("if-none-match", ["\"b\"", "*"])).holds(Some("a")));
        assert!(has(&asked("if-none-match", ["\"b\"", "\"a\""]), "a").expect("text"));
    }

    #[test]
    fn a_text_that_the_caller_has_is_not_sent_again() {
        let cases = [("\"a\"", true), ("W/\"a\"", true), ("\"b\", \"a\"", true), ("*", true), ("\"b\"", false)];
        for (value, has_it) in cases {
            assert_eq!(has(&asked("if-none-match", value), "a").expect("text"), has_it, "{value}");
        }
    }
}
