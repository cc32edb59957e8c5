//! What is said of functions.

use super::{CAST_ARGUMENT, PATTERN, Said};

/// What is said, what it is to be called, and what to try: see [`Said`].
pub(super) const SAID: &[Said] = &[
    (
        r"^Invalid function '(?<word>.*?)'\.; Did you mean '(?<near>.*)'\?$",
        "there is no function \"$word\"",
        "did you mean \"$near\"?",
    ),
    // `ANY` and `ALL` are made of these.
    (
        r"^Failed to .* '(?<word>array_(?:has|positions?))' .* from (?<list>\w*List\(.+?\)), (?<given>.+?)(?:, Int64)? to the signature .*$",
        "ANY, ALL and $word seek a value in a list of its type, and not $given in $list",
        "cast the value to the type of what is in the list: CAST(x AS DOUBLE) = ANY (list)",
    ),
    (
        r"^Failed to coerce .* '(?<word>cardinality)' function: coercion from (?<given>.*?) to the signature .*$",
        "ANY, ALL and $word take a list, and not $given",
        "write one: [1, 2]; a text becomes one by string_to_array(x, ',')",
    ),
    (
        r"^Function '(?<word>\w+)' failed to match any signature, .*?\(DataType: (?<given>.*?)\)\..*$",
        "$word does not take $given",
        CAST_ARGUMENT,
    ),
    (
        r"^Function '(?<word>\w+)' failed to match any signature, .* expects (?<takes>\d+) arguments? but received (?<given>\d+).*$",
        "$word takes $takes values, and not $given",
        "write $takes",
    ),
    (
        r"^Function '(?<word>\w+)' user-defined coercion failed with: .*Fail to find the coerced type.*$",
        "$word is given types that do not go together",
        "cast what it is given to one type: CAST(x AS TEXT)",
    ),
    (r"^Function '(?<word>\w+)' user-defined coercion failed with: (?<why>.*?)\. No function matches .*$", "$why", ""),
    (
        r"^Function '(?<word>\w+)' .*argument types '\w+\((?<given>.*?)\)'\. You might .*$",
        "$word does not take $given",
        CAST_ARGUMENT,
    ),
    (
        r"^Failed to coerce arguments to satisfy a call to '(?<word>\w+)' function: coercion from (?<given>.*?) to the signature .*$",
        "$word does not take $given",
        CAST_ARGUMENT,
    ),
    (
        r"^Function '(?<word>\w+)' does not support named arguments$",
        "$word takes values without names",
        "write $word(x)",
    ),
    (
        r"^'?(?<word>\w+)'? (?:does not support zero arguments|must have at least one argument).*$",
        "$word is given nothing",
        "write what it is to work on: $word(x)",
    ),
    (
        r"^The function '(?<word>\w+)' expected zero argument but received \d+.*$",
        "$word takes no value",
        "write $word()",
    ),
    // Those of texts, times and lists
    (r"^Substring without for/from is not valid .*$", "substr is not told where to begin", "write substr(text, 1, 10)"),
    (
        r"^Date part '(.*)' not supported$",
        "a time has no part called \"$1\"",
        "there are year, quarter, month, week, day, dow, doy, hour, minute, second and epoch",
    ),
    (
        r"^Unsupported date_trunc granularity: '(.*?)'\. Supported values are: (.*)$",
        "date_trunc does not know \"$1\"",
        "it knows $2",
    ),
    (r"^Format error$", "a pattern of times is none", PATTERN),
    (
        r"^Error parsing timestamp from '.*' using format '(.*)': bad or unsupported format string$",
        "'$1' is no pattern of times",
        PATTERN,
    ),
    (
        r"^invalid Unicode scalar value: (.*)$",
        "$1 is the number of no character",
        "chr takes those of Unicode: chr(65) is A",
    ),
    (
        r"^unnest\(\) can only be applied to array, struct and null$",
        "unnest takes a list or a struct",
        "a text becomes a list by string_to_array(x, ',')",
    ),
    (
        r"^array_element does not support type (\w+).*$",
        "x[1] takes an item of a list, and not of $1",
        "substr(x, 1, 1) takes a character of a text",
    ),
    (
        r"^Cannot access field at argument \d+: type (.+) is not Struct, Map, or Null$",
        "a field is taken of $1, which has none",
        "before the point stands a table, or a struct",
    ),
    (
        r"^Field (?<word>.+) not found in struct$",
        "the struct has no field \"$word\"",
        "write it as the data have it: x['field']",
    ),
    (
        r"^Dot access not supported for .*$",
        "a point stands behind what has no name",
        "write the field in brackets: x['field']",
    ),
    (
        r"^Argument #\d+ must be an INTEGER, TIMESTAMP, DATE or NULL, got (.+)$",
        "a series goes from one whole number, day or timestamp to another, and not $1",
        "write generate_series(1, 10)",
    ),
    (r"^Step cannot be zero$", "a series in steps of 0 has no end", "write another step, or none for 1"),
    (r"^(\w+ would make \d+ bytes at once, and .*)$", "$1", "ask for less; the rows of a batch count together"),
    // Those of many rows
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
    (
        r"^Percentile value must be between 0\.0 and 1\.0 inclusive, (.+) is invalid$",
        "$1 is no percentile",
        "write it as a part of 1: 0.5 is the median",
    ),
    (
        r"^Expected an integer value$",
        "a function of windows is given something else than a whole number",
        "write a constant: lag(x, 1), nth_value(x, 2), ntile(4)",
    ),
    (r"^NTILE requires a positive integer$", "ntile takes a whole number above 0", "write ntile(4) for quarters"),
];
