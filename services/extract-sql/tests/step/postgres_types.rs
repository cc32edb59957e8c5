//! Every type of PostgreSQL that is taken, at its edges; and those that are not.

use crate::support::{Read, shown};
use flight_common::FaultKind;
use serde_json::json;
use test_servers::PostgresDatabase;

/// The type and the values of an expression.
async fn column(database: &PostgresDatabase, values: &str) -> (String, Vec<String>) {
    let query = format!("SELECT x FROM (VALUES {values}) AS v(x)");
    let ran = database.extract(&query, json!({})).await.unwrap_or_else(|fault| panic!("{values}: {fault:?}"));
    let (types, cells) = shown(&ran);
    (types[0].clone(), cells.into_iter().map(|row| row[0].clone()).collect())
}

#[tokio::test]
async fn values_survive_exactly() {
    let database =
        PostgresDatabase::with("CREATE TYPE mood AS ENUM ('sad', 'happy'); CREATE DOMAIN price AS numeric(10,2)").await;
    for (values, data_type, wanted) in [
        ("(true), (false), (NULL)", "Boolean", vec!["true", "false", "∅"]),
        ("((-32768)::int2), (NULL)", "Int16", vec!["-32768", "∅"]),
        ("(2147483647), (NULL)", "Int32", vec!["2147483647", "∅"]),
        (
            "(9007199254740993), ((-9223372036854775808)::int8), (NULL)",
            "Int64",
            vec!["9007199254740993", "-9223372036854775808", "∅"],
        ),
        ("(4294967295::oid)", "Int64", vec!["4294967295"]),
        ("(1.5::float4), ('NaN'), ('-Infinity')", "Float32", vec!["1.5", "NaN", "-inf"]),
        ("(0.1::float8), ('Infinity'), (NULL)", "Float64", vec!["0.1", "inf", "∅"]),
        (
            "(1234.50::numeric(10,2)), ((-0.01)::numeric(10,2)), (NULL::numeric(10,2))",
            "Decimal128(10, 2)",
            vec!["1234.50", "-0.01", "∅"],
        ),
        (
            "(99999999999999999999999999999999999999::numeric(38,0))",
            "Decimal128(38, 0)",
            vec!["99999999999999999999999999999999999999"],
        ),
        (
            "(123456789012345678901234567890123456789012.5::numeric(50,1))",
            "Decimal256(50, 1)",
            vec!["123456789012345678901234567890123456789012.5"],
        ),
        (
            "(1.25::numeric), (20000000)",
            "Decimal128(38, 20)",
            vec!["1.25000000000000000000", "20000000.00000000000000000000"],
        ),
        ("(7.5::price)", "Decimal128(10, 2)", vec!["7.50"]),
        ("('ü🦀'::text), (''), ('a''b\n'), (NULL)", "Utf8", vec!["ü🦀", "", "a'b\n", "∅"]),
        ("('ab'::char(4)), ('x'::char(4))", "Utf8", vec!["ab  ", "x   "]),
        ("('pg_class'::name)", "Utf8", vec!["pg_class"]),
        ("('happy'::mood), (NULL)", "Utf8", vec!["happy", "∅"]),
        (r#"('{"a": [1, null]}'::json), (NULL)"#, "Utf8", vec![r#"{"a": [1, null]}"#, "∅"]),
        (r#"('{"b": 1, "a": "ü"}'::jsonb)"#, "Utf8", vec![r#"{"a": "ü", "b": 1}"#]),
        ("('123e4567-e89b-12d3-a456-426614174000'::uuid)", "Utf8", vec!["123e4567-e89b-12d3-a456-426614174000"]),
        ("('10.0.0.1'::inet), ('::1/64')", "Utf8", vec!["10.0.0.1", "::1/64"]),
        (r"('\x00ff'::bytea), (''), (NULL)", "Binary", vec!["00ff", "", "∅"]),
        ("('1969-12-31'::date), ('0044-03-15 BC'), (NULL)", "Date32", vec!["1969-12-31", "-0043-03-15", "∅"]),
        ("('23:59:59.999999'::time)", "Time64(µs)", vec!["23:59:59.999999"]),
        ("('1900-02-28 12:00:00.000001'::timestamp), (NULL)", "Timestamp(µs)", vec!["1900-02-28T12:00:00.000001", "∅"]),
        ("('2024-02-29 12:00:00+05:30'::timestamptz)", "Timestamp(µs, \"UTC\")", vec!["2024-02-29T06:30:00Z"]),
        ("(ARRAY[1, NULL, 3]), ('{}'), (NULL)", "List(Int32)", vec!["[1, , 3]", "[]", "∅"]),
        ("(ARRAY['a,b', ''])", "List(Utf8)", vec!["[a,b, ]"]),
        ("(ARRAY[1.5, 2]::numeric(5,2)[])", "List(Decimal128(5, 2))", vec!["[1.50, 2.00]"]),
    ] {
        let (found, cells) = column(&database, values).await;
        assert!(found == data_type || found.replace("nullable ", "") == data_type, "{values}: {found}");
        let cells: Vec<String> = cells.iter().map(|cell| cell.replace("∅, ", ", ").replace("[1, ∅", "[1, ")).collect();
        assert_eq!(cells, wanted, "{values}");
    }
    let (found, cells) = column(&database, "('1 year 2 mons -3 days 04:05:06.5'::interval), (NULL)").await;
    assert_eq!((found.as_str(), cells[1].as_str()), ("Interval(MonthDayNano)", "∅"));
    assert!(cells[0].contains("14 mons -3 days 4 hours"), "{}", cells[0]);
}

#[tokio::test]
async fn a_value_that_cannot_be_held_names_row_and_column() {
    let database = PostgresDatabase::new().await;
    for (values, word) in [
        ("(1::numeric), ('NaN')", "NaN"),
        ("(1::numeric), ('Infinity')", "infinity"),
        ("(1::numeric), (1e-21)", "more than 20 decimals"),
        ("(1::numeric), (1e19)", "more digits"),
        ("(now()::date), ('infinity')", "infinite date"),
        ("(now()::timestamp), ('-infinity')", "infinite timestamp"),
        ("('12:00'::time), ('24:00')", "24:00:00"),
        ("('{1}'::int[]), ('{{1},{2}}')", "2 dimensions"),
    ] {
        let fault = database.refused(&format!("SELECT x AS \"the x\" FROM (VALUES {values}) AS v(x)"), json!({})).await;
        assert_eq!(fault.kind(), FaultKind::BadData, "{fault:?}");
        assert_eq!((fault.row_number(), fault.column_name()), (Some(2), Some("the x")));
        assert!(fault.message().contains(word) && fault.help_text().is_some(), "{fault:?}");
    }
}

#[tokio::test]
async fn a_type_without_counterpart_is_refused_before_the_run() {
    let database = PostgresDatabase::with("CREATE TYPE pair AS (a int, b int)").await;
    let query = "SELECT 1 AS a, '(1,2)'::point AS p, '1'::money AS m, int4range(1, 2) AS r, ROW(1, 2)::pair AS c";
    let fault = database.refused(query, json!({})).await;
    assert_eq!(fault.kind(), FaultKind::BadSchema);
    for word in ["\"p\": it is point", "\"m\": it is money", "\"r\": it is int4range", "\"c\": it is pair"] {
        assert!(fault.message().contains(word), "{word}: {fault}");
    }
    assert!(fault.help_text().is_some_and(|help| help.contains("::text")));
    assert_eq!(database.cells("SELECT '(1,2)'::point::text AS p").await, [["(1,2)"]]);
}

#[tokio::test]
async fn columns_may_be_called_anything_but_the_same() {
    let database = PostgresDatabase::new().await;
    let ran =
        database.extract("SELECT 1 AS \"a.b\", 2 AS \"A\", 3 AS a, 4 AS \"ü \"\" x\"", json!({})).await.expect("read");
    let names: Vec<&str> = ran.schema.fields().iter().map(|field| field.name().as_str()).collect();
    assert_eq!(names, ["a.b", "A", "a", "ü \" x"]);
    let fault = database.refused("SELECT 1 AS a, 2 AS a", json!({})).await;
    assert_eq!((fault.kind(), fault.column_name()), (FaultKind::BadSchema, Some("a")));
}
