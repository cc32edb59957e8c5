//! What is said of the parts of a query.

use super::Said;

const TWO_COLUMNS: &str = "two columns of the result are called $expr";
const OTHER_NAME: &str = "give one of them another name: AS other";

/// What is said, what it is to be called, and what to try: see [`Said`].
pub(super) const SAID: &[Said] = &[
    (r"^No SQL statements were provided in the query string$", "there is no query", "write one: SELECT * FROM input"),
    (
        r"^The context currently only supports a single SQL statement$",
        "this is more than one query",
        "ask one at a time: leave out what follows the first `;`",
    ),
    (
        r#"^WITH query name "(?<word>.+)" specified more than once$"#,
        "two queries of WITH are called \"$word\"",
        "give one of them another name",
    ),
    (
        r"^Invalid qualifier (?<word>.+)$",
        "no table of FROM is called \"$word\"",
        "before `.*` stands the name of a table, or the one that AS gave it",
    ),
    (r#"^variable \["(.*)"\] has no type information$"#, "nothing gives $1 a value", "write the value itself"),
    (
        r"^Aggregate functions are not allowed in the WHERE clause.*$",
        "an aggregate may not stand in WHERE",
        "compute it in a subquery, or write HAVING for what holds of groups",
    ),
    (
        r#"^Column in ORDER BY must be in GROUP BY or an aggregate function: .*column "(?<expr>.*?)" must appear.*$"#,
        "$expr is neither in GROUP BY nor within an aggregate",
        "add it to GROUP BY, or take one of its values: min($expr); what SELECT computes of groups is ordered by its name, AS",
    ),
    (
        r#"^Column in [A-Z ]+ must be in GROUP BY or an aggregate function: .*column "(?<expr>.*?)" must appear.*$"#,
        "$expr is neither in GROUP BY nor within an aggregate",
        "add it to GROUP BY, or take one of its values: min($expr)",
    ),
    (
        r"^HAVING clause references: (?<expr>.+) must appear in the GROUP BY clause.*$",
        "HAVING asks for what is neither in GROUP BY nor within an aggregate: $expr",
        "write WHERE for what holds of rows",
    ),
    // A cast is called as what is cast.
    (
        r#"^Projections [^"]*"(?:TRY_)?CAST\((?<expr>[^()"]*(?:\([^()]*\)[^()"]*)*) AS [^()"]*(?:\([^()]*\))?\)" at position .*$"#,
        TWO_COLUMNS,
        OTHER_NAME,
    ),
    (r#"^Projections [^"]*"(?:[^"]|\("[^"]*"\))* AS (?<expr>[^()"]+)" at position .*$"#, TWO_COLUMNS, OTHER_NAME),
    (r#"^Projections [^"]*"(?<expr>.+?)" at position .*$"#, TWO_COLUMNS, OTHER_NAME),
    (
        r"^UNION queries have different number of columns$",
        "the queries of UNION have different numbers of columns",
        "name as many after each SELECT, or match them by name: UNION ALL BY NAME",
    ),
    (
        r"^(INTERSECT|EXCEPT) queries have different number of columns$",
        "the queries of $1 have different numbers of columns",
        "name as many after each SELECT",
    ),
    (
        r"^Scalar subquery returned more than one row$",
        "a subquery that stands for one value gave several rows",
        "let it give one: max(x), or LIMIT 1; or write IN (SELECT …)",
    ),
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
        r"^Physical plan does not support logical expression Wildcard.*$",
        "a * stands where it means no column",
        "name the column; of functions only count(*) takes it",
    ),
    (
        r"^Physical plan does not support logical expression .*$",
        "an expression stands where it cannot be computed",
        "use a subquery",
    ),
    (
        r"^Too many columns! The subquery should only return one column: .*$",
        "a subquery that stands for values of one column gives several",
        "let it select one; for more of them write EXISTS (SELECT … WHERE …), or join with it",
    ),
    (
        r"^join condition should not be empty$",
        "the rows of a LEFT, RIGHT or FULL JOIN are matched by nothing",
        "write ON a.id = b.id behind it; CROSS JOIN gives all pairs",
    ),
    (
        r"^Order by column out of bounds, specified: (\d+), max: (\d+)$",
        "ORDER BY asks for column $1 of $2",
        "write a number up to $2, or a name",
    ),
    (
        r"^Order by index starts at 1 for column indexes$",
        "ORDER BY asks for column 0",
        "columns are counted from 1; better write a name",
    ),
    (
        r"^Cannot find column with position (\d+) in SELECT clause\. Valid columns: 1 to (\d+)$",
        "GROUP BY asks for column $1 of $2",
        "write a number up to $2, or a name",
    ),
    (
        r"^For SELECT DISTINCT, ORDER BY expressions (?<expr>.+) must appear in select list$",
        "the query sorts by $expr, which is none of its columns",
        "add it after SELECT: of equal rows one is left, whose $expr is that of any of them",
    ),
    (
        r"^SELECT DISTINCT ON expressions must match initial ORDER BY expressions$",
        "ORDER BY does not begin with the columns of DISTINCT ON",
        "write them first: DISTINCT ON (a) … ORDER BY a, b",
    ),
    (
        r"^Argument (?<expr>.+) to grouping function is not in grouping columns$",
        "grouping asks for $expr, which is not in GROUP BY",
        "add it to GROUP BY",
    ),
    (
        r"^QUALIFY clause requires window functions.*$",
        "QUALIFY stands in a query without a window function",
        "write WHERE for what holds of rows",
    ),
    (
        r"^(LIMIT|OFFSET) must be >= ?0, '(.*)' was provided$",
        "$1 takes a whole number from 0 on, and not $2",
        "leave it out for all rows",
    ),
    (
        r"^Expected (LIMIT|OFFSET) to be an integer or null, but got (.+)$",
        "$1 takes a whole number, and not $2",
        "write a number: $1 10",
    ),
    (
        r"^Inconsistent data length across values list: got (\d+) values in row (\d+) but expected (\d+)$",
        "row $2 of VALUES has $1 values, where the first has $3",
        "write as many in each",
    ),
    (
        r"^Invalid escape character in LIKE expression\. .* got '(.*)'$",
        "ESCAPE takes one character, and not '$1'",
        "write ESCAPE '#'",
    ),
    // Windows
    (
        r"^(Window|Aggregate) function calls cannot be nested: '(?<word>\w+)\b.*' is nested inside '(\w+)\b.*$",
        "$word stands within $3",
        "compute $word in a subquery",
    ),
    (
        r"^The window (?<word>.+) is not defined!$",
        "there is no window \"$word\"",
        "define it behind FROM and WHERE: WINDOW $word AS (ORDER BY id)",
    ),
    (
        r"^Invalid window frame: start bound \((.*)\) cannot be larger than end bound \((.*)\)$",
        "the frame of a window goes from $1 to $2, which is before it",
        "write the earlier end first: ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING",
    ),
    (
        r"^Invalid window frame: (.*)$",
        "the frame of a window is none: $1",
        "write ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING",
    ),
    // What is shown as the parser keeps it
    (
        r"^Unsupported ast node (?:in sqltorel: )?Pivot\b.*$",
        "PIVOT is not understood here",
        "write a column for each value: sum(CASE WHEN name = 'a' THEN amount END) AS a",
    ),
    (
        r"^Unsupported ast node (?:in sqltorel: )?(\w+)\b.*$",
        "$1 is not understood here",
        "leave it out, or write it in another way",
    ),
];

/// What is shown as the parser keeps it, whatever is said of it.
pub(super) const TREES: &[Said] = &[
    (
        r"^[ :\[]*(\w+)(?:\(\w+)* \{.*\bspan: Span\(Location\(.*$",
        "$1 is not understood here",
        "leave it out, or write it in another way",
    ),
    (
        r"^([^{]*?[^{ :\[])[ :\[]*\b\w+(?:\(\w+)* \{.*\bspan: Span\(Location\(.*$",
        "this is not understood here: $1",
        "leave it out, or write it in another way",
    ),
];
