//! A text cut at its placeholders: `{{ name }}`, `{{ item.part }}`. Pure.
//!
//! Two braces that mean themselves are written `\{{`, or as a quoted text in a placeholder: `{{ "{{" }}`.

/// A part of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// Means itself.
    Text(&'a str),
    /// Stands for the value of a parameter, or of an item.
    Name(&'a str),
}

const OPEN: &str = "{{";
const CLOSE: &str = "}}";

/// The parts of a text, in their order.
///
/// # Errors
/// What is wrong with the first bad placeholder.
pub(super) fn pieces(text: &str) -> Result<Vec<Piece<'_>>, String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(OPEN) {
        let (before, after) = (&rest[..at], &rest[at + OPEN.len()..]);
        if let Some(before) = before.strip_suffix('\\') {
            pieces.extend([Piece::Text(before), Piece::Text(OPEN)]);
            rest = after;
            continue;
        }
        let (piece, after) = placeholder(after)?;
        pieces.extend([Piece::Text(before), piece]);
        rest = after;
    }
    pieces.push(Piece::Text(rest));
    pieces.retain(|piece| *piece != Piece::Text(""));
    Ok(pieces)
}

/// What stands in a placeholder, and the text behind it.
fn placeholder(text: &str) -> Result<(Piece<'_>, &str), String> {
    let inner = text.trim_start();
    let (piece, rest) = match inner.strip_prefix('"') {
        Some(quoted) => {
            let (literal, rest) = quoted.split_once('"').ok_or("a quoted text in a placeholder does not end")?;
            (Piece::Text(literal), rest)
        }
        None => {
            let end = inner.find(|c: char| !is_of_name(c) && c != '.').unwrap_or(inner.len());
            (Piece::Name(&inner[..end]), &inner[end..])
        }
    };
    match (rest.trim_start().strip_prefix(CLOSE), piece) {
        (Some(rest), Piece::Name(name)) if is_path(name) => Ok((Piece::Name(name), rest)),
        (Some(rest), Piece::Text(literal)) => Ok((Piece::Text(literal), rest)),
        _ => Err(match text.split_once(CLOSE) {
            Some((inner, _)) => format!("{{{{{inner}}}}} is no placeholder"),
            None => "a placeholder begins here with {{ and does not end".to_owned(),
        }),
    }
}

/// Whether a text may be a name, or one of its parts: `file.stem`.
fn is_path(text: &str) -> bool {
    let mut parts = text.split('.');
    parts.next().is_some_and(is_name) && parts.all(|part| !part.is_empty())
}

/// Whether a text may be the name of a parameter.
pub(in super::super) fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && text.chars().all(is_of_name)
}

fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '-'
}

#[cfg(test)]
mod tests {
    use super::Piece::{Name, Text};
    use super::*;

    #[test]
    fn placeholders_are_cut_out() {
        for (text, cut) in [
            ("plain {x}", vec![Text("plain {x}")]),
            ("{{ day }}", vec![Name("day")]),
            ("{{day}}", vec![Name("day")]),
            ("a/{{ day }}/{{ n-1 }}.csv", vec![Text("a/"), Name("day"), Text("/"), Name("n-1"), Text(".csv")]),
            (r"\{{ day }}", vec![Text("{{"), Text(" day }}")]),
            (r#"{{ "{{" }} {{ "}}" }}"#, vec![Text("{{"), Text(" "), Text("}}")]),
            ("", vec![]),
        ] {
            assert_eq!(pieces(text), Ok(cut), "{text}");
        }
    }

    #[test]
    fn what_is_no_placeholder_is_told() {
        for text in ["{{ day", "{{ }}", "{{ a b }}", "{{ a + 1 }}", "{{ 7 }}", "{{ \"x }}", "{{{ a }}}", "{{é}}"] {
            assert!(pieces(text).is_err(), "{text}");
        }
        assert_eq!(pieces("{{ a + 1 }}"), Err("{{ a + 1 }} is no placeholder".to_owned()));
    }
}
