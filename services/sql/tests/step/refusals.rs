//! What is refused before anything runs, and where it points.

use crate::support::{ask_on, refused};
use arrow::array::RecordBatch;
use flight_common::testing::{Bench, batch};
use flight_common::{FaultKind, TextPlace};

fn people() -> RecordBatch {
    batch!("Age" => Int64Array [1], "name" => StringArray ["a"])
}

#[tokio::test]
async fn unknown_names_are_told_with_the_nearest() {
    for (query, kind, hint) in [
        ("SELECT Agee FROM input", FaultKind::BadSchema, "Age"),
        ("SELECT age FROM input", FaultKind::BadSchema, "Age"),
        ("SELECT input.nam FROM input", FaultKind::BadSchema, "name"),
        ("SELECT * FROM input WHERE nme = 'x'", FaultKind::BadSchema, "name"),
        ("SELECT * FROM inputs", FaultKind::BadSchema, "input"),
        ("SELECT * FROM public.input", FaultKind::BadSchema, "input"),
        ("SELECT * FROM information_schema.tables, input", FaultKind::BadSchema, "input"),
        ("SELECT uper(name) FROM input", FaultKind::BadParams, "upper"),
    ] {
        let fault = refused(query, &people()).await;
        assert_eq!(fault.kind(), kind, "{query}: {fault:?}");
        let said = format!("{} {}", fault.message(), fault.help_text().unwrap_or_default());
        assert!(said.contains(hint), "{query}: {said}");
        assert!(!said.contains('\n') && !said.contains("DataFusion"), "{query}: {said}");
    }
}

#[tokio::test]
async fn all_columns_that_there_are_not_are_told_at_once_each_with_its_nearest() {
    let fault = refused("SELECT Agee, nam FROM input", &people()).await;
    let told: Vec<_> = fault.violations().iter().map(|one| (one.message.as_str(), one.help.as_deref())).collect();
    let nearest =
        [("no column \"Agee\"", Some("did you mean \"Age\"?")), ("no column \"nam\"", Some("did you mean \"name\"?"))];
    assert_eq!(told, nearest);
}

#[tokio::test]
async fn the_word_that_is_to_blame_is_pointed_to() {
    for (query, line, column) in [
        ("SELECT Age,\n  nme\nFROM input", 2, 3),
        ("SELECT Age FROM input\nWHERE input.nme = 'x'", 2, 7),
        ("SELECT a.Age FROM input a JOIN input b\n ON Age = 1", 2, 5),
        ("SELECT Age\nFROM inputs", 2, 6),
        ("SELECT Age,\n uper(name) FROM input", 2, 2),
        ("SELECT Age, sum(name)\nFROM input GROUP BY Age", 1, 13),
        ("SELECT Age FROM input\nWHERE row_number() OVER () > 1", 2, 7),
        ("SELECT\nrow_number() FROM input", 2, 1),
        ("SELECT Age\nFRM input", 2, 5),
        ("SELECT Age FROM input\nWHERE Age ! 3", 2, 11),
        ("SELECT Age, name\nFROM input GROUP BY Age", 1, 13),
        ("SELECT Age\n  + name FROM input", 1, 8),
    ] {
        let fault = refused(query, &people()).await;
        let place = fault.violations().first().and_then(|violation| violation.place);
        assert_eq!(place, Some(TextPlace { line, column }), "{query}: {fault:?}");
    }
}

#[tokio::test]
async fn whatever_is_no_query_is_refused() {
    for query in [
        "",
        ";",
        "SELEC 1",
        "SELECT 1; SELECT 2",
        "SELECT * FROM input; DROP TABLE input",
        "CREATE TABLE t AS SELECT * FROM input",
        "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'",
        "CREATE VIEW v AS SELECT * FROM input",
        "INSERT INTO input SELECT * FROM input",
        "UPDATE input SET Age = 1",
        "DELETE FROM input",
        "COPY input TO 'out.csv'",
        "COPY (SELECT * FROM input) TO '/tmp/x.parquet'",
        "SET datafusion.execution.batch_size = 1",
        "SHOW TABLES",
        "EXPLAIN SELECT * FROM input",
        "EXPLAIN ANALYZE SELECT * FROM input",
        "DESCRIBE input",
        "PREPARE p AS SELECT * FROM input",
        "EXECUTE p",
        "SELECT * INTO t FROM input",
        "WITH t AS (INSERT INTO input VALUES (1, 'x') RETURNING *) SELECT * FROM input",
        "BEGIN",
        "SELECT * FROM input WHERE Age = $1",
        "WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t) SELECT * FROM t, input",
    ] {
        refused(query, &people()).await;
    }
}

#[tokio::test]
async fn queries_that_name_each_other_again_and_again_are_refused() {
    let twice = |n| format!("c{n} AS (SELECT a.Age FROM c{} a CROSS JOIN c{} b)", n - 1, n - 1);
    let all: Vec<String> = (1..25).map(twice).collect();
    let query = format!("WITH c0 AS (SELECT Age FROM input), {} SELECT count(*) AS n FROM c24", all.join(", "));
    let fault = refused(&query, &people()).await;
    assert!(fault.message().contains("when each use is written out"), "{fault:?}");
}

#[tokio::test]
async fn what_stands_in_the_wrong_place_is_told_by_its_name_and_place() {
    for (query, words) in [
        (
            "SELECT Age FROM input WHERE row_number() OVER () = 1",
            "the window function row_number may not stand in WHERE",
        ),
        ("SELECT a.Age FROM input a JOIN input b ON sum(a.Age) = b.Age", "the aggregate sum may not stand in ON"),
        ("SELECT count(*) FROM input GROUP BY sum(Age)", "the aggregate sum may not stand in GROUP BY"),
        ("SELECT Age FROM input, (VALUES (sum(1))) AS v(x)", "the aggregate sum may not stand in VALUES"),
        (
            "SELECT Age FROM input GROUP BY Age HAVING row_number() OVER () = 1",
            "row_number may not stand in WHERE, HAVING",
        ),
        (
            "SELECT Age FROM input WHERE Age IN (SELECT Age FROM input WHERE lag(Age) OVER () = 1)",
            "lag may not stand in",
        ),
        ("SELECT Age FROM input WHERE unnest([1]) = 1", "unnest may not stand in WHERE"),
        ("SELECT row_number() FROM input", "row_number is a function of windows, and stands without OVER"),
        ("SELECT LAG(Age) FROM input", "lag is a function of windows"),
        ("SELECT upper(name) OVER () FROM input", "OVER means nothing with upper"),
        ("SELECT abs(Age) FILTER (WHERE Age > 1) FROM input", "FILTER means nothing with abs"),
        ("SELECT upper(DISTINCT name) FROM input", "DISTINCT or ALL means nothing with upper"),
        ("SELECT to_char(now(), 'YYYY-MM') FROM input", "the pattern 'YYYY-MM' of to_char names no part of a time"),
        ("SELECT CASE WHEN Age IN (SELECT Age FROM input) THEN 1 END AS x FROM input", "IN (SELECT …)"),
        ("SELECT EXISTS (SELECT 1 FROM input b WHERE b.Age > a.Age) AS x FROM input a", "EXISTS"),
        ("SELECT (SELECT b.Age FROM input b WHERE b.Age > a.Age LIMIT 1) AS x FROM input a", "a subquery"),
        ("SELECT uper(name) FROM input", "there is no function \"uper\""),
        ("SELECT sum(name) FROM input", "sum does not take Utf8"),
        ("SELECT Age FROM input WHERE sum(Age) > 1", "an aggregate may not stand in WHERE"),
        ("SELECT round(name, 1) FROM input", "round does not take Utf8"),
        ("SELECT sqrt(name) FROM input", "sqrt does not take Utf8"),
        ("SELECT power(Age, 'x') FROM input", "power does not take Int64, Utf8"),
        ("SELECT approx_percentile_cont(Age) FROM input", "approx_percentile_cont takes 3 values, and not 1"),
        ("SELECT name + 1 FROM input", "Utf8 + Int64 cannot be computed"),
        ("SELECT Age FROM input WHERE (Age > 1) > 3", "Boolean > Int64 cannot be compared"),
        ("SELECT Age FROM input WHERE name", "is Utf8, and a condition is true or false"),
        ("SELECT Age, name FROM input GROUP BY Age", "neither in GROUP BY nor within an aggregate"),
        ("SELECT Age FROM input HAVING Age > 1", "neither in GROUP BY nor within an aggregate"),
        ("SELECT Age, Age FROM input", "two columns of the result are called"),
        ("SELECT Age FROM input UNION SELECT Age, name FROM input", "different numbers of columns"),
        ("SELECT substr(name) FROM input", "substr is not told where to begin"),
        ("SELECT Age FROM input WHERE name ~ '('", "this is no regular expression"),
        ("SELECT DATE '2024-02-30' FROM input", "'2024-02-30' is no Date32"),
        ("SELECT INTERVAL '1 foo' FROM input", "\"1 foo\" is no interval"),
        ("SELECT Age FROM input WHERE Age = ANY([true])", "Int64 cannot be compared with Boolean"),
        (
            "SELECT Age FROM input WHERE CAST(Age AS DECIMAL(8, 2)) = ANY([Age])",
            "ANY, ALL and array_has seek a value in a list of its type",
        ),
        ("SELECT Age FROM input WHERE Age = ANY(name)", "take a list, and not Utf8"),
    ] {
        let fault = refused(query, &people()).await;
        assert!(fault.message().contains(words), "{query}: {fault:?}");
        assert!(!fault.message().contains(['{', '}']) && fault.help_text().is_some(), "{query}: {fault:?}");
    }
}

#[tokio::test]
async fn mistakes_are_told_in_words_of_our_own() {
    for (query, words) in [
        ("SELECT Age FROM input; SELECT 2", "this is more than one query"),
        ("-- a comment alone", "there is no query"),
        ("SELECT 'abc FROM input", "a text that begins here has no end"),
        ("SELECT * FORM input", "FORM stands where nothing more is expected"),
        ("SELECT (Age FROM input", "FROM stands where ) is expected"),
        ("SELECT Age FROM input WHERE", "the query ends where an expression is expected"),
        ("SELEC Age FROM input", "SELEC begins no query"),
        ("SELECT Age AS a, name AS a FROM input", "two columns of the result are called a"),
        ("SELECT CAST(Age AS DOUBLE), Age FROM input", "two columns of the result are called Age"),
        ("SELECT CAST(Age AS INT), CAST(Age AS DOUBLE) FROM input", "two columns of the result are called Age"),
        ("SELECT Age, name AS \"input.Age\" FROM input", "two columns of the result are called Age"),
        ("SELECT * FROM input a, input a", "two columns are called a.Age"),
        ("SELECT x.* FROM input", "no table of FROM is called \"x\""),
        ("SELECT Age, name FROM input GROUP BY Age", "name is neither in GROUP BY"),
        ("SELECT Age FROM input HAVING Age > 1", "within an aggregate: Age > 1"),
        ("SELECT Age, count(*) FROM input GROUP BY Age HAVING name = 'a'", "name is neither in GROUP BY"),
        ("SELECT Age, count(*) FROM input GROUP BY Age ORDER BY name", "name is neither in GROUP BY"),
        ("SELECT DISTINCT ON (name) Age, count(*) FROM input GROUP BY Age", "name is neither in GROUP BY"),
        (
            "SELECT Age, row_number() OVER () AS n FROM input GROUP BY Age QUALIFY name = 'a'",
            "name is neither in GROUP BY",
        ),
        ("SELECT Age FROM input ORDER BY 5", "ORDER BY asks for column 5 of 1"),
        ("SELECT Age FROM input GROUP BY 5", "GROUP BY asks for column 5 of 1"),
        ("SELECT DISTINCT Age FROM input ORDER BY name", "the query sorts by name, which is none of its columns"),
        ("SELECT Age FROM input LIMIT 1.5", "LIMIT takes a whole number, and not Float64"),
        ("SELECT Age FROM input INTERSECT SELECT Age, name FROM input", "the queries of INTERSECT have different"),
        (
            "SELECT true AS x FROM input UNION SELECT CAST('2024-01-01' AS DATE) FROM input",
            "the queries of UNION give Boolean",
        ),
        ("SELECT Age FROM input WHERE Age IN (SELECT Age, name FROM input)", "a subquery that stands for values"),
        ("SELECT Age FROM input LEFT JOIN input b", "JOIN are matched by nothing"),
        ("SELECT sum(Age) OVER w FROM input", "there is no window \"w\""),
        ("SELECT sum(rank() OVER ()) OVER () AS x FROM input", "rank stands within sum"),
        ("SELECT ntile() OVER (ORDER BY Age) AS x FROM input", "ntile is given nothing"),
        ("SELECT row_number(Age) OVER () AS x FROM input", "row_number takes no value"),
        ("SELECT coalesce(Age, DATE '2024-01-01') AS x FROM input", "coalesce is given types that do not go together"),
        ("SELECT name[1] AS x FROM input", "x[1] takes an item of a list, and not of Utf8"),
        ("SELECT CAST(Age AS BLUB) AS x FROM input", "there is no type \"BLUB\""),
        ("SELECT CASE WHEN Age = 1 THEN DATE '2024-01-01' ELSE 1.5 END AS x FROM input", "CASE gives types"),
        ("WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t) SELECT * FROM t, input", "WITH RECURSIVE"),
        ("SELECT * FROM input PIVOT (sum(Age) FOR name IN ('a'))", "PIVOT is not understood here"),
        ("SELECT name COLLATE \"de\" AS x FROM input", "Collate is not understood here"),
        ("SELECT max(*) FROM input", "a * stands where it means no column"),
    ] {
        let fault = refused(query, &people()).await;
        assert!(fault.message().contains(words), "{query}: {fault:?}");
        assert!(!fault.message().contains(['{', '!']) && fault.help_text().is_some(), "{query}: {fault:?}");
    }
}

#[tokio::test]
async fn no_file_is_read() {
    for table in ["'/etc/passwd'", "\"/etc/passwd\"", "read_csv('/etc/passwd')", "parquet_metadata('x')", "'data.csv'"]
    {
        refused(&format!("SELECT * FROM {table}, input"), &people()).await;
    }
}

#[tokio::test]
async fn types_that_do_not_go_together_are_told_before_anything_runs() {
    for query in [
        "SELECT Age + name FROM input WHERE name > DATE '2024-01-01'",
        "SELECT sum(name) FROM input",
        "SELECT Age FROM input UNION ALL SELECT Age, name FROM input",
        "SELECT name FROM input GROUP BY Age",
        "SELECT Age, count(*) FROM input",
        "SELECT upper(name, 1) FROM input",
        "SELECT CAST('x' AS BIGINT) FROM input",
        "SELECT Age FROM input ORDER BY 5",
    ] {
        refused(query, &people()).await;
    }
}

#[tokio::test]
async fn two_columns_of_one_name_are_refused_in_inputs_and_results() {
    let fault = refused("SELECT a.Age, b.Age FROM input a JOIN input b ON a.name = b.name", &people()).await;
    assert_eq!((fault.kind(), fault.column_name()), (FaultKind::BadSchema, Some("Age")));
    let fault = refused("SELECT Age FROM input a JOIN input b ON a.name = b.name", &people()).await;
    assert!(fault.message().contains("more than one table"), "{fault:?}");
    let twice = batch!("x" => Int64Array [1], "x" => Int64Array [2]);
    let fault = ask_on(Bench::new(), "SELECT * FROM input", &[("input", twice)]).await.expect_err("refused");
    assert_eq!((fault.kind(), fault.column_name()), (FaultKind::BadSchema, Some("x")));
}

#[tokio::test]
async fn an_input_that_the_query_does_not_read_is_a_mistake() {
    let fault =
        ask_on(Bench::new(), "SELECT * FROM a", &[("a", people()), ("b", people())]).await.expect_err("refused");
    assert_eq!(fault.kind(), FaultKind::BadParams);
    assert!(fault.message().contains("\"b\"") && fault.help_text().is_some_and(|help| help.contains("depends_on")));
    let fault = ask_on(Bench::new(), "SELECT * FROM a", &[("b", people())]).await.expect_err("refused");
    assert!(fault.message().contains("\"a\""), "{fault:?}");
}

#[tokio::test]
async fn deep_and_long_queries_are_refused_and_do_no_harm() {
    let deep = |count: usize| format!("SELECT {} FROM input", vec!["Age"; count].join(" + "));
    for query in [
        deep(1_000),
        deep(100_000),
        format!("SELECT {}Age{} FROM input", "(".repeat(10_000), ")".repeat(10_000)),
        format!("SELECT {}Age{} FROM input", "abs(".repeat(300), ")".repeat(300)),
        format!("SELECT * FROM input WHERE {}", vec!["Age = 1"; 1_000].join(" OR ")),
        format!("{}SELECT 1 FROM input", "SELECT 1 UNION ALL ".repeat(1_000)),
        format!("SELECT {}Age FROM input", "-".repeat(3_000).replace('-', "- ")),
        format!("SELECT 1 FROM {}input{}", "(SELECT * FROM ".repeat(300), ")".repeat(300)),
        "SELECT Age ".repeat(50_000),
    ] {
        refused(&query, &people()).await;
    }
    let listed: Vec<String> = (0..20_000).map(|n| n.to_string()).collect();
    let query =
        format!("SELECT {} FROM input WHERE Age IN ({})", vec!["Age"; 100].join(" + ") + " AS a", listed.join(", "));
    let rows = ask_on(Bench::new(), &query, &[("input", people())]).await.expect("long lists are no nests").rows();
    assert_eq!(crate::support::shown(&rows), ["100"]);
}
