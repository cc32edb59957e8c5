//! Every type of MariaDB that is taken, at its edges; and those that are not.

use crate::support::{Read, shown};
use arrow::array::AsArray;
use flight_common::FaultKind;
use serde_json::json;
use test_servers::{Database, MariaDatabase};

/// The type and the values of a column of this type into which these were put, one statement each, and a null.
async fn column(database: &MariaDatabase, declared: &str, values: &[&str]) -> (String, Vec<String>) {
    database.run(&format!("CREATE OR REPLACE TABLE c (n INT AUTO_INCREMENT PRIMARY KEY, x {declared} NULL)")).await;
    for value in values.iter().chain(&["NULL"]) {
        database.run(&format!("INSERT INTO c (x) VALUES ({value})")).await;
    }
    let ran = database.extract("SELECT x FROM c ORDER BY n", json!({})).await;
    let (types, cells) = shown(&ran.unwrap_or_else(|fault| panic!("{declared}: {fault:?}")));
    (types[0].clone(), cells.into_iter().map(|row| row[0].clone()).collect())
}

#[tokio::test]
async fn values_survive_exactly() {
    let database = MariaDatabase::new().await;
    let nines = "9".repeat(65);
    for (declared, values, data_type, wanted) in [
        ("TINYINT", &["-128", "127"][..], "Int8", &["-128", "127"][..]),
        ("TINYINT UNSIGNED", &["255"], "UInt8", &["255"]),
        ("BOOLEAN", &["TRUE", "FALSE", "2"], "Int8", &["1", "0", "2"]),
        ("SMALLINT", &["-32768"], "Int16", &["-32768"]),
        ("SMALLINT UNSIGNED", &["65535"], "UInt16", &["65535"]),
        ("MEDIUMINT", &["-8388608", "8388607"], "Int32", &["-8388608", "8388607"]),
        ("MEDIUMINT UNSIGNED", &["16777215"], "UInt32", &["16777215"]),
        ("INT", &["-2147483648"], "Int32", &["-2147483648"]),
        ("INT(8) ZEROFILL", &["7"], "UInt32", &["7"]),
        (
            "BIGINT",
            &["9007199254740993", "-9223372036854775808"],
            "Int64",
            &["9007199254740993", "-9223372036854775808"],
        ),
        ("BIGINT UNSIGNED", &["18446744073709551615"], "UInt64", &["18446744073709551615"]),
        ("YEAR", &["1901", "2155"], "Int16", &["1901", "2155"]),
        ("FLOAT", &["1.5", "-3.4e38"], "Float32", &["1.5", "-3.4e38"]),
        ("DOUBLE", &["0.1", "1e308"], "Float64", &["0.1", "1e308"]),
        ("DECIMAL(10,2)", &["1234.50", "-0.01"], "Decimal128(10, 2)", &["1234.50", "-0.01"]),
        ("DECIMAL(10,2) UNSIGNED", &["99999999.99"], "Decimal128(10, 2)", &["99999999.99"]),
        (
            "DECIMAL(38,0)",
            &["99999999999999999999999999999999999999"],
            "Decimal128(38, 0)",
            &["99999999999999999999999999999999999999"],
        ),
        ("DECIMAL(65,0)", &[&nines], "Decimal256(65, 0)", &[&nines]),
        (
            "DECIMAL(38,38)",
            &["0.00000000000000000000000000000000000001"],
            "Decimal128(38, 38)",
            &["0.00000000000000000000000000000000000001"],
        ),
        ("BIT(1)", &["b'1'", "b'0'"], "Boolean", &["true", "false"]),
        ("BIT(64)", &["b'101'", "0xFFFFFFFFFFFFFFFF"], "UInt64", &["5", "18446744073709551615"]),
        ("VARCHAR(20)", &["'ü🦀'", "''", "'a''b\\n'"], "Utf8", &["ü🦀", "", "a'b\n"]),
        ("VARCHAR(20) CHARACTER SET latin1", &["'café'"], "Utf8", &["café"]),
        ("CHAR(4)", &["'ab'"], "Utf8", &["ab"]),
        ("LONGTEXT", &["'long'"], "Utf8", &["long"]),
        ("ENUM('sad','happy')", &["'happy'"], "Utf8", &["happy"]),
        ("SET('a','b')", &["'b,a'", "''"], "Utf8", &["a,b", ""]),
        ("JSON", &[r#"'{"a": [1, null]}'"#], "Utf8", &[r#"{"a": [1, null]}"#]),
        ("UUID", &["'123e4567-e89b-12d3-a456-426614174000'"], "Utf8", &["123e4567-e89b-12d3-a456-426614174000"]),
        ("INET6", &["'::1'"], "Utf8", &["::1"]),
        ("VARBINARY(8)", &["x'00FF'", "''"], "Binary", &["00ff", ""]),
        ("LONGBLOB", &["x'01'"], "Binary", &["01"]),
        ("DATE", &["'1969-12-31'", "'9999-12-31'"], "Date32", &["1969-12-31", "9999-12-31"]),
        ("TIME(6)", &["'23:59:59.999999'"], "Time64(µs)", &["23:59:59.999999"]),
        ("DATETIME(6)", &["'1900-02-28 12:00:00.000001'"], "Timestamp(µs)", &["1900-02-28T12:00:00.000001"]),
    ] {
        let (found, mut cells) = column(&database, declared, values).await;
        assert_eq!(found, data_type, "{declared}");
        assert_eq!(cells.pop().as_deref(), Some("∅"), "{declared}");
        assert_eq!(cells, wanted, "{declared}");
    }
}

#[tokio::test]
async fn instants_are_told_in_utc_whatever_the_zone_of_the_writer() {
    let database = MariaDatabase::with(&["SET time_zone = '+05:30'"]).await;
    let (found, cells) = column(&database, "TIMESTAMP(3)", &["'2024-02-29 12:00:00.250'"]).await;
    assert_eq!(
        (found.as_str(), &cells[..]),
        ("Timestamp(µs, \"UTC\")", &["2024-02-29T06:30:00.250Z".to_owned(), "∅".to_owned()][..])
    );
}

#[tokio::test]
async fn expressions_have_types_too() {
    let database = MariaDatabase::with(&[
        "CREATE TABLE t (a DECIMAL(10,2), n INT, s VARCHAR(5))",
        "INSERT INTO t VALUES (1.25, 2, 'x'), (2.50, 3, NULL)",
    ])
    .await;
    let query = "SELECT SUM(a) AS s, AVG(a) AS v, COUNT(*) AS c, SUM(n) AS m, NULL AS nothing, 'x' AS t, 1 AS one, \
                 1.5 AS half, 1e0 AS f, NOW() < '2000-01-01' AS b, CONCAT(s, n) AS j, MAX(s) AS w FROM t GROUP BY ()";
    let query = query.replace(" GROUP BY ()", "").replace("CONCAT(s, n)", "GROUP_CONCAT(s)");
    let (types, cells) = shown(&database.extract(&query, json!({})).await.expect("read"));
    assert_eq!(
        types,
        [
            "Decimal128(32, 2)",
            "Decimal128(14, 6)",
            "Int64",
            "Decimal128(32, 0)",
            "Utf8",
            "Utf8",
            "Int32",
            "Decimal128(2, 1)",
            "Float64",
            "Int32",
            "Utf8",
            "Utf8"
        ]
    );
    assert_eq!(cells, [["3.75", "1.875000", "2", "5", "∅", "x", "1", "1.5", "1.0", "0", "x", "x"]]);
}

#[tokio::test]
async fn a_value_that_cannot_be_held_names_row_and_column() {
    let database = MariaDatabase::with(&["SET sql_mode = ''"]).await;
    for (declared, good, bad, word) in [
        ("DATE", "'2024-01-01'", "'0000-00-00'", "0000-00-00, which is no day"),
        ("DATE", "'2024-01-01'", "'2024-02-00'", "2024-02-00, which is no day"),
        ("DATETIME", "'2024-01-01'", "'0000-00-00 00:00:00'", "0000-00-00, which is no day"),
        ("TIME", "'12:00'", "'24:00:00'", "24:00:00, which is no time of a day"),
        ("TIME", "'12:00'", "'-00:00:01'", "-00:00:01, which is no time of a day"),
    ] {
        database.run(&format!("CREATE OR REPLACE TABLE c (`the x` {declared})")).await;
        database.run(&format!("INSERT INTO c VALUES ({good}), ({bad})")).await;
        let fault = database.refused("SELECT `the x` FROM c", json!({})).await;
        assert_eq!(fault.kind(), FaultKind::BadData, "{fault:?}");
        assert_eq!((fault.row_number(), fault.column_name()), (Some(2), Some("the x")), "{fault:?}");
        assert!(fault.message().contains(word) && fault.help_text().is_some(), "{fault:?}");
    }
    assert_eq!(
        database.cells("SELECT TIME_TO_SEC(`the x`) AS s, CAST(`the x` AS CHAR) AS t FROM c").await[1],
        ["-1", "-00:00:01"]
    );
}

#[tokio::test]
async fn a_type_without_counterpart_is_refused_before_the_run() {
    let database =
        MariaDatabase::with(&["CREATE TABLE t (p POINT, a INT)", "INSERT INTO t VALUES (POINT(1, 2), 1)"]).await;
    let fault = database.refused("SELECT p, a, a FROM t", json!({})).await;
    assert_eq!((fault.kind(), fault.column_name()), (FaultKind::BadSchema, Some("p")));
    assert!(fault.message().contains("geometry") && fault.message().contains("\"a\": there are two"), "{fault}");
    assert!(fault.help_text().is_some_and(|help| help.contains("ST_AsText")));
    assert_eq!(database.cells("SELECT ST_AsText(p) AS p FROM t").await, [["POINT(1 2)"]]);
}

#[tokio::test]
async fn a_row_may_be_longer_than_what_the_server_takes_at_once() {
    let half = "REPEAT('ü', @@max_allowed_packet / 3)";
    let database = MariaDatabase::with(&[&format!("CREATE TABLE t AS SELECT {half} AS a, {half} AS b")]).await;
    let ran = database.extract("SELECT a, b FROM t", json!({})).await.expect("read");
    let bytes: usize = ran.batches[0].columns().iter().map(|column| column.as_string::<i32>().value(0).len()).sum();
    assert!(bytes > 20_000_000, "{bytes}");
}

#[tokio::test]
async fn columns_may_be_called_anything_but_the_same() {
    let database = MariaDatabase::new().await;
    let ran = database.extract("SELECT 1 AS `a.b`, 2 AS `A`, 3 AS a, 4 AS `ü \" x`", json!({})).await.expect("read");
    let names: Vec<&str> = ran.schema.fields().iter().map(|field| field.name().as_str()).collect();
    assert_eq!(names, ["a.b", "A", "a", "ü \" x"]);
}
