//! What is said of values.

use super::{PATTERN, Said, TRY_CAST};

const FLOAT: &str = "compute it as a float: CAST(x AS DOUBLE)";
const NO_ZONE: &str = "there is no time zone \"$1\"";
const ZONES: &str = "write Europe/Berlin, UTC or +01:00";
const NO_INTERVAL: &str = "\"$1\" is no interval";
const LESS: &str = "ask for less at once: smaller groups, or shorter lengths of time";

/// What is said, what it is to be called, and what to try: see [`Said`].
pub(super) const SAID: &[Said] = &[
    (r"^Cannot cast (?:string|value) '(.*)' to value of Decimal\S* .+ type$", "'$1' is no decimal", TRY_CAST),
    (r"^Cannot cast (?:string|value) '(.*)' to value of (.+) type$", "'$1' is no $2", TRY_CAST),
    (
        r"^Can't cast value (.+) to type (\S+)$",
        "$1 does not fit in $2",
        "cast it to a wider type; TRY_CAST gives a null for what does not fit",
    ),
    (
        r"^Error parsing timestamp from '(.*)' using format '(.*)': .*$",
        "'$1' is no timestamp of the pattern '$2'",
        PATTERN,
    ),
    (r"^Error parsing timestamp from '(.*)': (.*)$", "'$1' is no timestamp: $2", TRY_CAST),
    (r"^Unable to cast to Date32 .*$", "a text is no date", TRY_CAST),
    (
        r#"^Invalid input syntax for type interval: "(.*)"$"#,
        NO_INTERVAL,
        "write INTERVAL '1 day', or '3 days 04:05:06'",
    ),
    (
        r#"^Invalid input syntax for type interval: "(.*)"\. Repeated type '.*'$"#,
        NO_INTERVAL,
        "name each unit once: INTERVAL '1 hour 30 minutes'",
    ),
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
    (r"^(a sum is too large for its type, U?Int.*)$", "$1", "add in a wider type: sum(CAST(x AS DECIMAL(38, 0)))"),
    (r"^(a sum is too large for its type, Decimal256.*)$", "$1", "add as a float: sum(CAST(x AS DOUBLE))"),
    (
        r"^(a sum is too large for its type, Decimal\d+\(\d+, (?<scale>-?\d+)\).*)$",
        "$1",
        "add in a wider type: sum(CAST(x AS DECIMAL(76, $scale))), or as DOUBLE",
    ),
    (
        r"^(.* is too large for its type, U?Int.*)$",
        "$1",
        "cast one of its numbers to a wider type first: CAST(x AS DECIMAL(38, 0))",
    ),
    (r"^(.* is too large for its type, Decimal256.*)$", "$1", FLOAT),
    (
        r"^(.* is too large for its type, Decimal\d+\(\d+, (?<scale>-?\d+)\).*)$",
        "$1",
        "cast one of its numbers to a wider type first: CAST(x AS DECIMAL(76, $scale)), or AS DOUBLE",
    ),
    (r"^(.* is too large for its type, .*)$", "$1", LESS),
    (
        r"^Overflow happened on FACTORIAL\((.*)\)$",
        "factorial($1) is too large for its type",
        "20 is the most that it takes",
    ),
    (r"^Overflow happened on: (?<expr>.* [/%^] .*)$", "$expr is too large for its type", FLOAT),
    // Of times, intervals and lengths of time: numbers are checked before.
    (r"^Overflow happened on: (?<expr>.*)$", "$expr is too large for its type", LESS),
    (
        r"^(.* is too large to store in a Decimal.*)$",
        "$1",
        "give the type more digits before the point: DECIMAL(38, 2)",
    ),
    (r#"^Invalid timezone "(.*)": .*$"#, NO_ZONE, ZONES),
    (r"^failed on timezone (.*?): \w+\(.*$", NO_ZONE, ZONES),
    (
        r"^Cannot cast timezone to different timezone$",
        "a local time is not there in its time zone, or there twice: clocks go forward or back then",
        "say how far it is from UTC instead: x AT TIME ZONE '+01:00'; arrow_try_cast(x, 'Timestamp(us, \"Europe/Berlin\")') \
         gives a null for it",
    ),
    (
        r"^Invalid HexStringLiteral '(.*)'$",
        "x'$1' is not written in hexadecimal digits",
        "write two for each byte: x'00ff'",
    ),
];
