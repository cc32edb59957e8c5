//! What the parser says of a text that is no SQL.

use flight_common::{Fault, TextPlace};

const MISSING: &str = "is a comma, a bracket or a word missing before it, or misspelt?";

/// The fault, and where in the query it is: `Expected: …, found: … at Line: 1, Column: 15`.
pub fn of_parser(said: &str) -> (Fault, Option<TextPlace>) {
    if said.eq_ignore_ascii_case("recursion limit exceeded") {
        return (Fault::bad_params("the query nests too deeply").help("use fewer brackets, or a subquery"), None);
    }
    let (said, place) = match placed(said) {
        Some((said, place)) => (said, Some(place)),
        None => (said, None),
    };
    let (message, help) = in_words(said);
    let at = place.map(|TextPlace { line, column }| format!(" (line {line}, column {column} of the query)"));
    let message = format!("this is no SQL: {message}{}", at.unwrap_or_default());
    (Fault::bad_params(message).help(help), place)
}

fn placed(said: &str) -> Option<(&str, TextPlace)> {
    let (said, place) = said.rsplit_once(" at Line: ")?;
    let (line, column) = place.split_once(", Column: ")?;
    Some((said, TextPlace { line: line.parse().ok()?, column: column.parse().ok()? }))
}

/// What is wrong, and what to try.
fn in_words(said: &str) -> (String, &'static str) {
    if let Some((expected, found)) = said.strip_prefix("Expected: ").and_then(|said| said.split_once(", found: ")) {
        return misplaced(expected, found);
    }
    if said.starts_with("Unterminated string literal") {
        return ("a text that begins here has no end".to_owned(), "close it with '; a ' within it is written twice");
    }
    if said.starts_with("Expected close delimiter") {
        return ("a name that begins here has no end".to_owned(), "close it with the quote that it begins with");
    }
    if said.starts_with("Unexpected EOF while in a multi-line comment") {
        return ("a comment has no end".to_owned(), "close it with */");
    }
    (said.to_owned(), MISSING)
}

fn misplaced(expected: &str, found: &str) -> (String, &'static str) {
    match (expected, found) {
        ("an SQL statement", "EOF") => ("there is no query".to_owned(), "write one: SELECT * FROM input"),
        ("an SQL statement", found) => (format!("{found} begins no query"), "begin with SELECT or WITH"),
        ("end of statement", found) => (format!("{found} stands where nothing more is expected"), MISSING),
        (expected, "EOF") => {
            (format!("the query ends where {expected} is expected"), "write what is missing at its end")
        }
        (expected, found) => (format!("{found} stands where {expected} is expected"), MISSING),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_parser_expected_is_told_with_what_to_try() {
        for (said, message, help) in [
            (
                "Expected: end of statement, found: FORM at Line: 1, Column: 10",
                "FORM stands where nothing more",
                "misspelt",
            ),
            ("Expected: an expression, found: EOF", "the query ends where an expression is expected", "at its end"),
            ("Expected: ), found: FROM at Line: 1, Column: 12", "FROM stands where ) is expected", "missing before"),
            ("Expected: an SQL statement, found: SELEC at Line: 1, Column: 1", "SELEC begins no query", "SELECT"),
            ("Unterminated string literal at Line: 1, Column: 8", "a text that begins here has no end", "twice"),
            ("Something else at Line: 2, Column: 3", "Something else (line 2, column 3 of the query)", "missing"),
        ] {
            let (fault, place) = of_parser(said);
            assert!(fault.message().starts_with(&format!("this is no SQL: {message}")), "{fault:?}");
            assert!(fault.help_text().is_some_and(|told| told.contains(help)), "{fault:?}");
            assert_eq!(place.is_some(), said.contains("Line: "));
        }
    }
}
