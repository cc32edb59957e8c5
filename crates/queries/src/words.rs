//! What DataFusion and Arrow say of a query or a value, in words that say what to try.

use regex::Regex;
use std::sync::LazyLock;

/// A message, and what to try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    /// What is wrong, in one line.
    pub message: String,
    /// What to try, where that is known.
    pub help: Option<String>,
    /// The function that is to blame, if one is.
    pub function: Option<String>,
    /// Whether these are words of our own.
    pub known: bool,
}

const CAST: &str = "cast one of the two: CAST(x AS BIGINT), or AS TEXT";
const CAST_ARGUMENT: &str = "cast what it is given: CAST(x AS DOUBLE), or AS TEXT";
const TRY_CAST: &str = "TRY_CAST gives a null for what cannot be cast";

/// What is said, what it is to be called, and what to try. Groups of the first are filled into the others; the function that
/// is to blame is called so.
const SAID: &[(&str, &str, &str)] = &[
    // Functions
    (
        r"^Invalid function '(?<function>.*?)'\.; Did you mean '(?<near>.*)'\?$",
        "there is no function \"$function\"",
        "did you mean \"$near\"?",
    ),
    (
        r"^Function '(?<function>\w+)' failed to match any signature, .*?\(DataType: (?<given>.*?)\)\..*$",
        "$function does not take $given",
        CAST_ARGUMENT,
    ),
    (
        r"^Function '(?<function>\w+)' failed to match any signature, .* expects (?<takes>\d+) arguments? but received (?<given>\d+).*$",
        "$function takes $takes values, and not $given",
        "write $takes",
    ),
    (
        r"^Function '(?<function>\w+)' user-defined coercion failed with: (?:Error during planning: )?(?<why>.*?)\. No function matches .*$",
        "$why",
        "",
    ),
    (
        r"^Function '(?<function>\w+)' .*argument types '\w+\((?<given>.*?)\)'\. You might .*$",
        "$function does not take $given",
        CAST_ARGUMENT,
    ),
    (
        r"^Failed to coerce arguments to satisfy a call to '(?<function>\w+)' function: coercion from (?<given>.*?) to the signature .*$",
        "$function does not take $given",
        CAST_ARGUMENT,
    ),
    // Types
    (r"^Cannot coerce arithmetic expression (.+) to valid types$", "$1 cannot be computed", CAST),
    (r"^Cannot get result type for temporal operation (.+?): .*$", "$1 cannot be computed", CAST),
    (r"^Cannot infer common argument type for comparison operation (.+)$", "$1 cannot be compared", CAST),
    (
        r"^There isn't a common type to coerce (\S+) and (\S+) in (\S+) expression$",
        "$3 takes two texts, and not $1 and $2",
        "cast the other: CAST(x AS TEXT)",
    ),
    (
        r"^Cannot create filter with non-boolean predicate '(.+)' returning (\S+)$",
        "$1 is $2, and a condition is true or false",
        "compare it with something",
    ),
    (r"^Unsupported type '(.*?)'\..*$", "there is no type \"$1\"", "write it as Arrow does: Int32, Timestamp(ns)"),
    (
        r"^Unary operator '-' only supports signed numeric.*$",
        "-x takes a number, or a length of time",
        "cast it: -CAST(x AS DOUBLE)",
    ),
    // Clauses
    (
        r"^Aggregate functions are not allowed in the WHERE clause.*$",
        "an aggregate may not stand in WHERE",
        "compute it in a subquery, or write HAVING for what holds of groups",
    ),
    (
        r#"^Column in \w+ must be in GROUP BY or an aggregate function: .*column "(.*?)" must appear.*$"#,
        "$1 is neither in GROUP BY nor within an aggregate",
        "add it to GROUP BY, or take one of its values: min($1)",
    ),
    (
        r"^HAVING clause references: (.+) must appear in the GROUP BY clause.*$",
        "HAVING asks for what is neither in GROUP BY nor within an aggregate: $1",
        "write WHERE for what holds of rows",
    ),
    (
        r#"^Projections require unique expression names but the expression "(.+?)" at position .*$"#,
        "two columns of the result are called $1",
        "give one another name: $1 AS other",
    ),
    (
        r"^UNION queries have different number of columns$",
        "the queries of UNION have different numbers of columns",
        "name as many after each SELECT, or match them by name: UNION ALL BY NAME",
    ),
    (
        r"^Scalar subquery returned more than one row$",
        "a subquery that stands for one value gave several rows",
        "let it give one: max(x), or LIMIT 1; or write IN (SELECT …)",
    ),
    (
        r"^COUNT DISTINCT with multiple arguments$",
        "count(DISTINCT …) takes one column",
        "count the rows of a subquery: SELECT count(*) FROM (SELECT DISTINCT a, b FROM input)",
    ),
    (
        r"^nth_value not supported for n: .*$",
        "which one of a list is asked for must be a constant here",
        "compute the list in a subquery, and ask for its items outside of it",
    ),
    (r"^Substring without for/from is not valid .*$", "substr is not told where to begin", "write substr(text, 1, 10)"),
    (
        r"^Physical plan does not support logical expression ScalarSubquery.*$",
        "a subquery that looks at the row around it stands where it cannot be computed for each row",
        "let it give an aggregate without LIMIT, or join with it instead",
    ),
    (
        r"^Physical plan does not support logical expression (?:InSubquery|Exists|SetComparison).*$",
        "IN (SELECT …) or EXISTS stands where it cannot be computed",
        "it may stand in WHERE, but not within a column or CASE: join with the table instead",
    ),
    (
        r"^Physical plan does not support logical expression .*$",
        "an expression stands where it cannot be computed",
        "use a subquery",
    ),
    // Values
    (r"^Cannot cast (?:string|value) '(.*)' to value of (\S+) type$", "'$1' is no $2", TRY_CAST),
    (r"^Error parsing timestamp from '(.*)': (.*)$", "'$1' is no timestamp: $2", TRY_CAST),
    (r"^Unable to cast to Date32 .*$", "a text is no date", TRY_CAST),
    (r#"^Invalid input syntax for type interval: "(.*)"$"#, "\"$1\" is no interval", "write INTERVAL '1 day'"),
    (
        r"^Cannot cast (\S+) value \S+ to (Timestamp\(ns.*?\)): converted value exceeds .*$",
        "a $1 is beyond the years 1677 to 2262 of $2",
        "cast it first: CAST(x AS TIMESTAMP) takes any year",
    ),
    (r"^Divide by zero error$", "a division by zero", "NULLIF(x, 0) gives a null for 0: a / NULLIF(x, 0)"),
    (
        r"^(?:Regular expression did not compile.*)?regex parse error:.*?error: ([^;]+).*$",
        "this is no regular expression: $1",
        "write a backslash before a character that stands for itself: \\(",
    ),
    // Of our own, and as they are but for the help
    (r"^(.* is too large for its type, .*)$", "$1", "compute it in a wider type: CAST(a AS DECIMAL(38, 0)) * b"),
    (
        r"^(.* is too large to store in a Decimal.*)$",
        "$1",
        "give the type more digits before the point: DECIMAL(38, 2)",
    ),
];

/// What other databases call a function, and what to write instead.
const ELSEWHERE: &[(&str, &str)] = &[
    ("charindex", "strpos(text, part)"),
    ("date_add", "day + INTERVAL '1 day'"),
    ("date_sub", "day - INTERVAL '1 day'"),
    ("dateadd", "day + INTERVAL '1 day'"),
    ("datediff", "b - a, which of two days is a number of days"),
    ("day", "date_part('day', x)"),
    ("getdate", "now()"),
    ("group_concat", "string_agg(x, ',')"),
    ("if", "CASE WHEN a THEN b ELSE c END"),
    ("iff", "CASE WHEN a THEN b ELSE c END"),
    ("iif", "CASE WHEN a THEN b ELSE c END"),
    ("isnull", "x IS NULL, or coalesce(x, y)"),
    ("len", "length(x)"),
    ("listagg", "string_agg(x, ',')"),
    ("month", "date_part('month', x)"),
    ("safe_cast", "TRY_CAST(x AS BIGINT)"),
    ("str_to_date", "to_timestamp(x, '%d.%m.%Y')"),
    ("strftime", "to_char(x, '%Y-%m')"),
    ("sysdate", "now()"),
    ("to_number", "CAST(x AS DOUBLE)"),
    ("year", "date_part('year', x)"),
];

static PATTERNS: LazyLock<Vec<(Regex, &str, &str)>> = LazyLock::new(|| {
    let compiled = |said: &str| Regex::new(said).expect("a constant, which a test compiles");
    SAID.iter().map(|(said, message, help)| (compiled(said), *message, *help)).collect()
});

/// What is said of a value that is none of its type, in whatever words.
static OF_A_CAST: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\b(?:[cC]ast|[pP]arse|[cC]onvert)\b").expect("a constant, which a test compiles"));

/// What DataFusion or Arrow says, in words of our own where there are some.
pub fn in_words(said: &str) -> Words {
    let said = one_line(said);
    let known = PATTERNS.iter().find_map(|(pattern, message, help)| Some((pattern.captures(&said)?, message, help)));
    let Some((groups, message, help)) = known else {
        let help = OF_A_CAST.is_match(&said).then(|| TRY_CAST.to_owned());
        return Words { message: said, help, function: None, known: false };
    };
    let filled = |template: &str| {
        let mut filled = String::new();
        groups.expand(template, &mut filled);
        filled
    };
    let function = groups.name("function").map(|name| name.as_str().to_owned());
    let elsewhere = function.as_deref().filter(|_| groups.name("near").is_some()).and_then(instead);
    let help = elsewhere.unwrap_or_else(|| filled(help));
    Words { message: filled(message), help: Some(help).filter(|help| !help.is_empty()), function, known: true }
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
                "Arrow error: Compute error: Regular expression did not compile: Syntax(\n~\nregex parse error:\n a(\n  \
                 ^\nerror: unclosed group\n~\n)",
                "this is no regular expression: unclosed group",
                "backslash",
            ),
            ("Arrow error: Cast error: Cannot cast string 'a' to value of Int64 type", "'a' is no Int64", "TRY_CAST"),
        ] {
            let (told, tried) = told(said);
            assert_eq!(told, message);
            assert!(tried.contains(help), "{tried}");
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
