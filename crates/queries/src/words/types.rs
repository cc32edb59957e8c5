//! What is said of types.

use super::{CAST, Said};

/// What is said, what it is to be called, and what to try: see [`Said`].
pub(super) const SAID: &[Said] = &[
    (r"^Cannot coerce arithmetic expression (.+) to valid types$", "$1 cannot be computed", CAST),
    (r"^Cannot get result type for temporal operation (.+?): .*$", "$1 cannot be computed", CAST),
    (r"^Cannot infer common argument type for comparison operation (.+)$", "$1 cannot be compared", CAST),
    (r"^Can not find compatible types to compare (.+?) with \[(.*)\]$", "$1 cannot be compared with $2", CAST),
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
    (
        r"^Unsupported SQL type (?<word>.+)$",
        "there is no type \"$word\"",
        "there are BIGINT, INT, DOUBLE, DECIMAL(10, 2), TEXT, BOOLEAN, DATE, TIME and TIMESTAMP",
    ),
    (
        r"^Decimal\(precision = (\d+), scale = (-?\d+)\) should satisfy .*$",
        "there is no DECIMAL($1, $2)",
        "it has 1 to 76 digits, of which no more than all stand behind the point: DECIMAL(38, 2)",
    ),
    (
        r"^Unsupported CAST from (.+) to (.+)$",
        "$1 cannot be cast to $2",
        "compare it instead, or cast it to TEXT first",
    ),
    (
        r"^Incompatible inputs for Union: Previous inputs were of type (.+), but got incompatible type (.+) on column '(.*)'$",
        "the queries of UNION give $1 and $2 for the column \"$3\"",
        CAST,
    ),
    (
        r"^Failed to coerce (.*) to common types in CASE WHEN expression$",
        "CASE gives types that do not go together: $1",
        CAST,
    ),
    (
        r"^Unary operator 'NOT' requires a boolean expression, got (.+)$",
        "NOT takes what is true or false, and not $1",
        "compare it with something: NOT (x = 1)",
    ),
    (
        r"^Cannot infer common argument type for logical boolean operation (.+)$",
        "$1: both sides are to be true or false",
        "compare each with something: a = 1 AND b = 2",
    ),
    (
        r"^Operator (\S+) is not yet supported$",
        "the operator $1 is not known here",
        "write a function or a cast instead",
    ),
];
