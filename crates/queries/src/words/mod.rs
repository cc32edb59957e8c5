//! What DataFusion and Arrow say of a query or a value, in words that say what to try.
//!
//! | where | what |
//! |---|---|
//! | `functions`, `types`, `clauses`, `values` | what they say, by what it is about |
//! | `elsewhere` | what other databases call a function |

mod clauses;
mod elsewhere;
mod functions;
mod types;
mod values;

use elsewhere::ELSEWHERE;
use regex::{Captures, Regex};
use std::borrow::Cow;
use std::sync::LazyLock;

/// A message, and what to try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    /// What is wrong, in one line.
    pub message: String,
    /// What to try, where that is known.
    pub help: Option<String>,
    /// The word of the query that is to blame, if one is.
    pub word: Option<String>,
    /// Whether these are words of our own.
    pub known: bool,
}

const CAST: &str = "cast one of the two: CAST(x AS BIGINT), or AS TEXT";
const CAST_ARGUMENT: &str =
    "cast what it is given: CAST(x AS DOUBLE), or AS TEXT; or is it a value too many, or too few?";
const TRY_CAST: &str = "TRY_CAST gives a null for what cannot be cast";
const PATTERN: &str = "patterns are written as of strftime: '%Y-%m-%d %H:%M'";

/// What is said, what it is to be called, and what to try. Groups of the first are filled into the others. The word of the
/// query that is to blame is called `word`; an expression as DataFusion shows it `expr`; what is said in turn `why`.
type Said = (&'static str, &'static str, &'static str);

static PATTERNS: LazyLock<Vec<(Regex, &str, &str)>> = LazyLock::new(|| {
    let said = [functions::SAID, types::SAID, clauses::SAID, values::SAID, clauses::TREES];
    said.into_iter().flatten().map(|(said, message, help)| (compiled(said), *message, *help)).collect()
});

fn compiled(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a constant, which a test compiles")
}

/// What is said of a value that is none of its type, in whatever words.
static OF_A_CAST: LazyLock<Regex> = LazyLock::new(|| compiled(r"\b(?:[cC]ast|[pP]arse|[cC]onvert)\b"));

/// How DataFusion shows a constant, and a column of the table `input`, which needs no name.
static NOTATION: LazyLock<Regex> = LazyLock::new(|| {
    compiled(r#"\b(?:U?Int(?:8|16|32|64)|Float(?:32|64)|Boolean)\(([\w.+-]+)\)|\bUtf8\("([^"]*)"\)|\binput\."#)
});

/// What DataFusion or Arrow says, in words of our own where there are some.
pub fn in_words(said: &str) -> Words {
    let said = one_line(said);
    let known = PATTERNS.iter().find_map(|(pattern, message, help)| Some((pattern.captures(&said)?, message, help)));
    let Some((groups, message, help)) = known else {
        let help = OF_A_CAST.is_match(&said).then(|| TRY_CAST.to_owned());
        return Words { message: said, help, word: None, known: false };
    };
    let word = groups.name("word").map(|word| word.as_str().to_owned());
    if let Some(why) = groups.name("why") {
        let inner = in_words(why.as_str());
        return Words { word: word.or(inner.word.clone()), ..inner };
    }
    let elsewhere = word.as_deref().filter(|_| groups.name("near").is_some()).and_then(instead);
    let help = elsewhere.unwrap_or_else(|| filled(help, &groups));
    let help = Some(help).filter(|help| !help.is_empty());
    Words { message: filled(message, &groups), help, word, known: true }
}

fn filled(template: &str, groups: &Captures<'_>) -> String {
    let template = match groups.name("expr") {
        // What it is filled with is no template.
        Some(expr) => Cow::from(template.replace("$expr", &as_written(expr.as_str()).replace('$', "$$"))),
        None => Cow::from(template),
    };
    let mut filled = String::new();
    groups.expand(&template, &mut filled);
    filled
}

/// An expression as a user would write it: `input.n > Int64(1)` is `n > 1`.
fn as_written(expr: &str) -> Cow<'_, str> {
    NOTATION.replace_all(expr, |groups: &Captures<'_>| match (groups.get(1), groups.get(2)) {
        (Some(number), _) => number.as_str().to_owned(),
        (_, Some(text)) => format!("'{}'", text.as_str()),
        _ => String::new(),
    })
}

/// What to write instead of a function of other databases.
fn instead(name: &str) -> Option<String> {
    let found = ELSEWHERE.iter().find(|(other, _)| name.eq_ignore_ascii_case(other));
    found.map(|(_, instead)| format!("write {instead}"))
}

/// A message in one line, without what is put before it.
pub fn one_line(text: &str) -> String {
    const PREFIXES: [&str; 14] = [
        "Arithmetic overflow: ",
        "Arrow error: ",
        "Cast error: ",
        "Compute error: ",
        "Divide by zero error: ",
        "Error during planning: ",
        "Execution error: ",
        "External error: ",
        "Internal error: ",
        "Invalid argument error: ",
        "Optimizer rule ",
        "Parser error: ",
        "This feature is not implemented: ",
        "sql parser error: ",
    ];
    let line = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ");
    let mut rest = line.as_str();
    while let Some(shorter) = PREFIXES.iter().find_map(|prefix| rest.strip_prefix(prefix)) {
        rest = shorter;
    }
    rest.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(said: &str) -> (String, String) {
        let Words { message, help, .. } = in_words(said);
        (message, help.unwrap_or_default())
    }

    #[test]
    fn what_is_known_is_told_with_what_to_try() {
        for (said, message, help) in [
            (
                "Internal error: Function 'sum' failed to match any signature, errors: Error during planning: Function \
                 'sum' requires Decimal, but received String (DataType: Utf8).,Error during planning: Function 'sum' …",
                "sum does not take Utf8",
                "cast what it is given",
            ),
            ("Invalid function 'uper'.\nDid you mean 'upper'?", "there is no function \"uper\"", "\"upper\""),
            ("Invalid function 'Len'.\nDid you mean 'ln'?", "there is no function \"Len\"", "write length(x)"),
            ("Arrow error: Divide by zero error", "a division by zero", "NULLIF"),
            (
                "Failed to coerce arguments to satisfy a call to 'array_position' function: coercion from \
                 List(Decimal128(8, 2)), Float64, Int64 to the signature OneOf([…]) failed. No function matches the given \
                 name and argument types 'array_position(List(Decimal128(8, 2)), Float64, Int64)'. You might need to add \
                 explicit type casts.",
                "ANY, ALL and array_position seek a value in a list of its type, and not Float64 in List(Decimal128(8, 2))",
                "CAST(x AS DOUBLE)",
            ),
            (
                "Arrow error: Compute error: Regular expression did not compile: Syntax(\n~\nregex parse error:\n a(\n  \
                 ^\nerror: unclosed group\n~\n)",
                "this is no regular expression: unclosed group",
                "backslash",
            ),
            ("Arrow error: Cast error: Cannot cast string 'a' to value of Int64 type", "'a' is no Int64", "TRY_CAST"),
            (
                r#"Execution error: failed on timezone Mars/X: ParseError("Invalid timezone \"Mars/X\": failed to parse timezone")"#,
                "there is no time zone \"Mars/X\"",
                "write Europe/Berlin",
            ),
            (
                "Arrow error: Parser error: Invalid timezone \"Mars/X\": failed to parse timezone",
                "there is no time zone \"Mars/X\"",
                "write Europe/Berlin",
            ),
            (
                "Arrow error: Cast error: Cannot cast timezone to different timezone",
                "a local time is not there in its time zone, or there twice: clocks go forward or back then",
                "AT TIME ZONE '+01:00'",
            ),
        ] {
            let (told, tried) = told(said);
            assert_eq!(told, message);
            assert!(tried.contains(help), "{tried}");
        }
    }

    #[test]
    fn expressions_are_told_as_they_are_written() {
        let said =
            r#"HAVING clause references: input.n > Int64(1) AND t = Utf8("a $1") must appear in the GROUP BY clause …"#;
        assert!(told(said).0.ends_with(": n > 1 AND t = 'a $1'"), "{}", told(said).0);
    }

    #[test]
    fn what_is_said_within_is_told_in_the_same_words() {
        let said = "Function 'lower' user-defined coercion failed with: Error during planning: Execution error: lower must \
                    have at least one argument. No function matches the given name";
        let Words { message, word, known, .. } = in_words(said);
        assert_eq!((message.as_str(), word.as_deref(), known), ("lower is given nothing", Some("lower"), true));
    }

    #[test]
    fn no_tree_of_the_parser_is_shown() {
        let tree = r#"Identifier(Ident { value: "a", quote_style: None, span: Span(Location(1,8)..Location(1,12)) })"#;
        for (said, wanted) in [
            ("Unsupported ast node in sqltorel: Collate { expr: ", "Collate is not understood here"),
            ("Odd expression: ", "this is not understood here: Odd expression"),
            ("Odd names [", "this is not understood here: Odd names"),
            ("", "Identifier is not understood here"),
        ] {
            let (message, help) = told(&format!("{said}{tree} }}"));
            assert!(message == wanted && !help.is_empty(), "{message}");
        }
        let said = "Cast error: Cannot cast string 'div {span: 1}' to value of Int64 type";
        assert_eq!(told(said).0, "'div {span: 1}' is no Int64");
        let said = format!("Cannot cast string '{tree}' to value of Int64 type");
        assert_eq!(told(&said).0, format!("'{tree}' is no Int64"));
    }

    #[test]
    fn two_columns_of_one_name_are_told_by_that_name() {
        for (first, second, name) in [
            ("input.a", "input.a", "a"),
            ("CAST(input.a AS Float64)", "input.a", "a"),
            ("input.a", "TRY_CAST(input.a AS Float64)", "a"),
            ("CAST(abs(input.a) + Int64(1) AS Decimal128(10, 2))", "input.a", "abs(a) + 1"),
            ("CAST(input.a AS Timestamp(ns, \"UTC\"))", "input.a", "a"),
            ("CAST(input.a AS Float64) + CAST(input.b AS Float64)", "…", "CAST(a AS Float64) + CAST(b AS Float64)"),
            ("CAST(input.a AS Float64) AS b", "input.c AS b", "b"),
            ("concat(Utf8(\"x\"), Utf8(\" AS y\")) AS b", "input.c AS b", "b"),
            ("Utf8(\"x\")", "input.c AS Utf8(\"x\")", "'x'"),
            ("CAST(input.a AS Float64)", "input.b AS input.a", "a"),
            ("input.a", "input.b AS input.a", "a"),
        ] {
            let said = format!(
                "Projections require unique expression names but the expression \"{first}\" at position 0 and \
                 \"{second}\" at position 1 have the same name. Consider aliasing (\"AS\") one of them."
            );
            assert_eq!(told(&said).0, format!("two columns of the result are called {name}"), "{said}");
        }
    }

    #[test]
    fn what_is_too_large_is_told_with_what_can_hold_it() {
        for (said, help) in [
            ("a sum is too large for its type, Decimal128(38, 4)", "sum(CAST(x AS DECIMAL(76, 4))), or as DOUBLE"),
            ("a sum is too large for its type, Decimal256(76, 4)", "add as a float: sum(CAST(x AS DOUBLE))"),
            ("a number is too large for its type, Decimal128(38, 4)", "CAST(x AS DECIMAL(76, 4)), or AS DOUBLE"),
            ("a number is too large for its type, Decimal256(76, 4)", "compute it as a float: CAST(x AS DOUBLE)"),
            ("Overflow happened on: -9 / -1", "compute it as a float"),
            ("Overflow happened on: -9 % -1", "compute it as a float"),
            ("Overflow happened on: 10 ^ 39", "compute it as a float"),
            ("Overflow happened on: 9 + 1", "shorter lengths of time"),
            ("Overflow happened on: - -9", "shorter lengths of time"),
            ("Overflow happened on FACTORIAL(21)", "20 is the most"),
        ] {
            let (message, tried) = told(said);
            assert!(message.contains("too large for its type") && tried.contains(help), "{message}: {tried}");
        }
    }

    #[test]
    fn what_is_not_known_stays_as_it_is_but_for_its_line_breaks() {
        assert_eq!(told("Execution error: Arrow error: a\n  b\n"), ("a; b".to_owned(), String::new()));
        assert!(!in_words("Optimizer rule 'x' failed").known);
        let cast = in_words("Cast error: Cannot cast the forecast");
        assert_eq!((cast.known, cast.help.as_deref()), (false, Some(TRY_CAST)));
        assert_eq!(in_words("no forecast of the parser").help, None);
    }
}
