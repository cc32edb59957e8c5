//! YAML to tree, by serde-saphyr, within bounds that no pipeline reaches.
//!
//! The rules of YAML 1.2, and where even those would change a value behind its writer's back, the value stays a text
//! (`007`, `1_000`, a date) or is refused (a whole number beyond 64 bits, which would be rounded).

use super::problem::{Problem, Problems};
use super::source::{Source, Span};
use super::tree::Tree;
use super::yaml::{Entry, Node, Yaml};
use flight_common::digits::float_keeps;
use serde_json::Value;
use serde_saphyr::budget::BudgetBreach;
use serde_saphyr::options::{DuplicateKeyPolicy, NonFiniteFloatPolicy};
use serde_saphyr::{Error, Location, Options, Spanned};
use std::collections::HashMap;

/// Bytes of the largest file.
pub const LARGEST: usize = 4 << 20;
/// Mappings and lists within each other.
const DEEPEST: usize = 48;

/// Reads a text as one YAML document. A key that stands twice is added to `problems`, and its first value is kept.
/// Nothing comes of what is not YAML, which is told too.
pub fn read(source: &Source, problems: &mut Problems) -> Option<Yaml> {
    let text = source.text();
    let whole = Span { line: 1, column: 1, bytes: 0..text.len().min(1) };
    if let Some((span, byte)) = source.no_text() {
        let message = format!("this byte (0x{byte:02X}) is no text: a pipeline is YAML in UTF-8");
        problems.push(Problem::at(span, "yaml", message).help("save the file as UTF-8".to_owned()));
        return None;
    }
    if text.len() > LARGEST {
        problems.push(
            Problem::at(&whole, "yaml", "this file is larger than 4 MiB, which no pipeline is")
                .help("give the pipeline's YAML, not its data".to_owned()),
        );
        return None;
    }
    let parsed: Result<Spanned<Tree>, Error> = serde_saphyr::from_str_with_options(text, options());
    match parsed {
        Ok(tree) => Some(Placing { text, problems }.place(tree)),
        Err(error) => {
            let span = error.location().map_or(whole, |location| span_of(&location, text));
            let (message, mut help) = explain(error.without_snippet());
            if line_of(text, &span).contains("{{") {
                help = "put a placeholder in quotes: \"{{ name }}\"".to_owned();
            }
            problems.push(Problem::at(&span, "yaml", message).help(help));
            None
        }
    }
}

fn options() -> Options {
    serde_saphyr::options! {
        // `n`, `no` and `off` are texts, as most people expect of an id or a column.
        strict_booleans: true,
        underscored_numbers_as_strings: true,
        leading_zero_numbers_as_strings: true,
        // Told by us, so that they hide no other mistake.
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        // Refused by us too: JSON, which parameters travel as, has no such numbers.
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
        budget: serde_saphyr::budget! {
            max_nodes: 100_000,
            max_aliases: 1_000,
            max_anchors: 1_000,
            max_depth: DEEPEST,
            max_total_scalar_bytes: 4 * LARGEST,
        },
    }
}

/// What an error of the parser means to the writer of a pipeline: what is wrong, and what to try.
fn explain(error: &Error) -> (String, String) {
    let told = |message: &str, help: &str| (message.to_owned(), help.to_owned());
    match error {
        Error::MultipleDocuments { .. } => told(
            "a second document begins here, and a file holds one pipeline",
            "take the line `---` away, or make two files of it",
        ),
        Error::UnknownAnchor { .. } => told(
            "this alias names no anchor that stands before it",
            "put it in quotes if it is a text that begins with *",
        ),
        Error::Budget { breach: BudgetBreach::Depth { .. }, .. } => (
            format!("this is nested deeper than {DEEPEST} levels, which no pipeline is"),
            "flatten it, or keep data in a file that a step reads".to_owned(),
        ),
        Error::Budget { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. }
        | Error::AliasReplayCounterOverflow { .. } => told(
            "this file unfolds to more than any pipeline holds",
            "use fewer aliases (*name), or keep data in a file that a step reads",
        ),
        Error::AliasError { error, .. } => explain(error),
        // Only a key is asked to be a text.
        Error::NullIntoString { .. }
        | Error::Unexpected { expected: "string scalar", .. }
        | Error::TaggedScalarCannotDeserializeIntoString { .. } => {
            told("a key must be a text", "put the key in quotes, or take away what is before it")
        }
        other => {
            let message = other.to_string();
            let message = message.split(" at line ").next().unwrap_or(&message);
            let help = match message.contains("tabs") {
                true => "indent with spaces",
                false => {
                    "check indentation, colons and quotes around this place; a text that begins with one of * & ! % @ ` \
                     { [ needs quotes"
                }
            };
            (format!("this is not good YAML: {message}"), help.to_owned())
        }
    }
}

/// Looks up where everything stood.
struct Placing<'a> {
    text: &'a str,
    problems: &'a mut Problems,
}

impl Placing<'_> {
    fn place(&mut self, tree: Spanned<Tree>) -> Yaml {
        let span = span_of(&tree.referenced, self.text);
        let node = match tree.value {
            Tree::Scalar(value) => {
                self.refuse_rounded(&value, &tree.defined);
                Node::Scalar(value)
            }
            Tree::Endless => {
                self.refuse_endless(&tree.defined);
                Node::Scalar(Value::Null)
            }
            Tree::List(items) => Node::List(items.into_iter().map(|item| self.place(item)).collect()),
            Tree::Map(entries) => Node::Map(self.entries(entries)),
        };
        Yaml { span, node }
    }

    fn entries(&mut self, entries: Vec<(Spanned<String>, Spanned<Tree>)>) -> Vec<Entry> {
        let mut lines: HashMap<String, usize> = HashMap::new();
        let mut kept = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            let key_span = span_of(&key.referenced, self.text);
            let key = key.value;
            match lines.get(&key) {
                Some(line) => self.problems.push(
                    Problem::at(&key_span, "duplicate-key", format!("the key \"{key}\" stands in line {line} already"))
                        .help("keep one of the two".to_owned()),
                ),
                None => {
                    lines.insert(key.clone(), key_span.line);
                    kept.push(Entry { key, key_span, value: self.place(value) });
                }
            }
        }
        kept
    }

    fn refuse_endless(&mut self, defined: &Location) {
        let span = span_of(defined, self.text);
        let written = self.text.get(span.bytes.clone()).unwrap_or_default();
        self.problems.push(
            Problem::at(&span, "bad-number", format!("{written} is no finite number"))
                .help("write a number; put it in quotes if it is a text".to_owned()),
        );
    }

    /// A whole number that does not fit in 64 bits comes as a float, which rounds it; and a float keeps some 16 digits.
    fn refuse_rounded(&mut self, value: &Value, defined: &Location) {
        let Some(kept) = value.as_f64().filter(|_| value.is_f64()) else { return };
        let span = span_of(defined, self.text);
        let written = self.text.get(span.bytes.clone()).unwrap_or_default();
        let digits = written.strip_prefix(['+', '-']).unwrap_or(written);
        if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
            self.problems.push(
                Problem::at(&span, "bad-number", "this whole number does not fit in 64 bits")
                    .help("put it in quotes if it is a text, or write it as a float: 1e20".to_owned()),
            );
        } else if !float_keeps(written) {
            self.problems.push(
                Problem::at(&span, "bad-number", "this number has more digits than are kept")
                    .help(format!("write {kept}; or put it in quotes, where a text is taken for an exact number")),
            );
        }
    }
}

fn span_of(location: &Location, text: &str) -> Span {
    let line = (location.line() as usize).max(1);
    let column = (location.column() as usize).max(1);
    let start = match location.span().byte_offset() {
        Some(offset) => (offset as usize).min(text.len()),
        None => offset_of(text, line, column),
    };
    let length = location.span().byte_len().unwrap_or(1) as usize;
    let rest = &text.as_bytes()[start..];
    let node = &rest[..length.min(rest.len())];
    // A node of several lines is shown by its first. The line of a short one may be the whole file, and is not looked through.
    let shown = node.iter().position(|byte| *byte == b'\n').unwrap_or(node.len());
    Span { line, column, bytes: start..start + shown }
}

/// The line that a place is in.
fn line_of<'a>(text: &'a str, span: &Span) -> &'a str {
    text.lines().nth(span.line - 1).unwrap_or_default()
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
        let mut problems = Problems::none();
        let tree = read(&Source::new("test", text), &mut problems).expect("good YAML");
        assert!(problems.is_empty(), "{problems}");
        tree
    }

    fn refused(text: impl Into<String>) -> Problem {
        let mut problems = Problems::none();
        let source = Source::new("test", text);
        assert!(read(&source, &mut problems).is_none());
        let mut all = problems.iter().cloned();
        let problem = all.next().expect("a problem");
        assert_eq!((all.next(), problem.code, problem.help.is_some()), (None, "yaml", true));
        assert!(source.text().get(problem.span.clone()).is_some(), "{problem:?}");
        problem
    }

    #[test]
    fn every_node_knows_its_place() {
        let text = "a: 1\nb:\n  - x: {é: 2, long: 3}\n";
        let span = tree(text).locate("/b/0/x/long");
        assert_eq!((span.line, span.column), (3, 21));
        assert_eq!(&text[span.bytes], "3");
    }

    #[test]
    fn places_hold_behind_a_byte_order_mark_and_windows_line_ends() {
        let text = "\u{feff}a: 1\r\nb: [x, {c: yes}]\r\n";
        let span = tree(text).locate("/b/1/c");
        assert_eq!((span.line, span.column), (2, 12));
        assert_eq!(&text[span.bytes], "yes");
    }

    #[test]
    fn an_alias_stands_where_it_is_used() {
        let text = "base: &base {x: 1}\na: *base\nb: {<<: *base, y: 2}\n";
        let tree = tree(text);
        assert_eq!(tree.to_json()["b"].to_string(), r#"{"y":2,"x":1}"#);
        assert_eq!((tree.locate("/a/x").line, tree.locate("/b/x").line), (2, 3));
    }

    #[test]
    fn values_stay_as_they_were_written() {
        let text = "{n: 9007199254740993, u: 18446744073709551615, f: 3.0, \
                    e: 1e3, d: 2024-01-02, t: 12:30:45, z: 007, m: 1_000, s: '7', no: null, y: yes, b: true}";
        let json = tree(text).to_json();
        assert_eq!(
            json.to_string(),
            r#"{"n":9007199254740993,"u":18446744073709551615,"f":3.0,"e":1000.0,"d":"2024-01-02","t":"12:30:45","z":"007","m":"1_000","s":"7","no":null,"y":"yes","b":true}"#
        );
    }

    #[test]
    fn a_whole_number_that_would_be_rounded_is_refused() {
        let mut problems = Problems::none();
        let text = "a: 18446744073709551616\nb: [-99999999999999999999, 1e20, 99999999999999999999.0, '99999999999999999999']\n";
        assert!(read(&Source::new("test", text), &mut problems).is_some());
        let told: Vec<_> = problems.iter().map(|problem| (problem.code, &text[problem.span.clone()])).collect();
        let rounded = ["18446744073709551616", "-99999999999999999999", "99999999999999999999.0"];
        assert_eq!(told, rounded.map(|number| ("bad-number", number)));
    }

    #[test]
    fn a_number_of_more_digits_than_are_kept_is_refused() {
        let refused = |number: &str| {
            let mut problems = Problems::none();
            let tree = read(&Source::new("test", format!("a: {number}\n")), &mut problems);
            assert!(tree.is_some(), "{number}");
            problems.iter().map(|problem| problem.help.clone().unwrap_or_default()).next()
        };
        for kept in
            ["0.1", "1234567.890123456789e-3", "0.30000000000000004", "1e300", "100000000000000000000.0", "-2.50"]
        {
            let is_kept = kept != "1234567.890123456789e-3";
            assert_eq!(refused(kept).is_none(), is_kept, "{kept}");
        }
        let help = refused("3.14159265358979323846").expect("rounded");
        assert!(help.contains("write 3.141592653589793;"), "{help}");
        assert!(refused("12345678901234567.25").is_some());
        assert!(refused("'12345678901234567.25'").is_none());
    }

    #[test]
    fn a_number_without_end_is_told_at_its_place_and_hides_nothing() {
        let mut problems = Problems::none();
        let text = "a: .nan\nb: [1, -.inf, 1e400]\nc: '.inf'\n";
        let tree = read(&Source::new("test", text), &mut problems).expect("a tree");
        assert_eq!(tree.to_json().to_string(), r#"{"a":null,"b":[1,null,null],"c":".inf"}"#);
        let told: Vec<_> = problems.iter().map(|problem| (problem.code, problem.message.as_str())).collect();
        let expected = [".nan", "-.inf", "1e400"].map(|number| ("bad-number", format!("{number} is no finite number")));
        assert_eq!(told, expected.each_ref().map(|(code, message)| (*code, message.as_str())));
    }

    #[test]
    fn a_key_that_stands_twice_is_told_and_hides_nothing() {
        let mut problems = Problems::none();
        let tree = read(&Source::new("test", "a: 1\nb: {c: 1, c: 2}\na: 3\n"), &mut problems).expect("a tree");
        assert_eq!(tree.to_json().to_string(), r#"{"a":1,"b":{"c":1}}"#);
        let told: Vec<_> = problems.iter().map(|problem| (problem.line, problem.column, problem.code)).collect();
        assert_eq!(told, [(2, 11, "duplicate-key"), (3, 1, "duplicate-key")]);
    }

    #[test]
    fn bombs_are_refused() {
        let mut wide = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for n in 1..12 {
            let before = vec![format!("*a{}", n - 1); 10].join(", ");
            wide += &format!("a{n}: &a{n} [{before}]\n");
        }
        let long = format!("a: &a \"{}\"\nb: [{}]\n", "x".repeat(1 << 20), vec!["*a"; 900].join(", "));
        let merged = format!("a: &a {{x: 1}}\nb: [{}]\n", vec!["{<<: *a}"; 2_000].join(", "));
        for bomb in [wide, long, merged, "- a\n".repeat(200_000)] {
            assert!(refused(bomb).message.contains("unfolds"));
        }
        for deep in ["[".repeat(60) + &"]".repeat(60), "- ".repeat(60) + "x"] {
            assert!(refused(deep).message.contains("nested deeper"));
        }
        assert!(refused("x: ".repeat(2 << 20)).message.contains("4 MiB"));
    }

    #[test]
    fn what_is_not_yaml_is_told_with_its_place_and_what_to_try() {
        for (text, line, part) in [
            ("a: 1\nb: [1, 2\nc: }", 3, "not good YAML"),
            ("a:\n\tb: 1\n", 2, "tabs"),
            ("a: 'x\n", 1, "quote"),
            ("a: 1\nb: *x\n", 2, "no anchor"),
            ("a: 1\nb: {{ x }}\n", 2, "a key must be a text"),
            ("a: 1\n---\na: 2\n", 3, "second document"),
            ("a: 1\n? [x]\n: 1\n", 2, "a key must be a text"),
            ("a: 1\n~: 1\n", 2, "a key must be a text"),
            ("a: \u{1}\n", 1, "unexpected character"),
        ] {
            let problem = refused(text);
            assert_eq!(problem.line, line, "{text:?}: {problem:?}");
            assert!(problem.message.contains(part), "{text:?}: {problem:?}");
        }
    }

    #[test]
    fn odd_texts_do_not_panic() {
        for text in
            ["", "\u{feff}", "&a *a", "&a [*a]", "!!binary x", "!foo {a: !bar b}", "%YAML 1.1\n---\n", "\0", "🦀: *🦀"]
        {
            let mut problems = Problems::none();
            let tree = read(&Source::new("test", text), &mut problems);
            assert!(tree.is_some() || !problems.is_empty(), "{text:?}");
        }
    }
}
