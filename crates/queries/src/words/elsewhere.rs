//! Functions of other databases.

/// What other databases call a function, and what to write instead.
pub(super) const ELSEWHERE: &[(&str, &str)] = &[
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
