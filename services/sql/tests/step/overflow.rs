//! Numbers that do not fit in their type are errors, and never other numbers.

use crate::support::{ask, ask_on, shown};
use arrow::array::{
    ArrayRef, Decimal128Array, DurationSecondArray, Int64Array, IntervalDayTimeArray, IntervalMonthDayNanoArray,
    IntervalYearMonthArray, RecordBatch,
};
use arrow::datatypes::{IntervalDayTime, IntervalMonthDayNano};
use flight_common::FaultKind;
use flight_common::testing::{Bench, batch, make_batch};
use std::sync::Arc;

/// A decimal of 38 digits, and the largest whole numbers.
fn extremes() -> RecordBatch {
    let nines = 10i128.pow(38) - 1;
    let wide = Decimal128Array::from(vec![nines, nines, -1]).with_precision_and_scale(38, 0).expect("it fits");
    let whole = batch!(
        "id" => Int64Array [1, 2, 3],
        "i" => Int32Array [i32::MAX, i32::MAX, 1],
        "m" => Int64Array [i64::MAX, i64::MAX, -1],
        "u" => UInt64Array [u64::MAX, 1, 0],
        "least" => Int64Array [i64::MIN, 0, 0],
    );
    let columns = whole.schema().fields().iter().map(|field| field.name().clone()).collect::<Vec<_>>();
    let mut columns: Vec<(&str, ArrayRef)> =
        columns.iter().map(String::as_str).zip(whole.columns().iter().cloned()).collect();
    columns.push(("d", Arc::new(wide)));
    make_batch(columns)
}

#[tokio::test]
async fn what_does_not_fit_is_bad_data() {
    for query in [
        "SELECT i * i AS a FROM input",
        "SELECT i + i AS a FROM input",
        "SELECT m + 1 AS a FROM input",
        "SELECT 1 - least AS a FROM input",
        "SELECT m * 2 AS a FROM input",
        "SELECT -least AS a FROM input",
        "SELECT abs(least) AS a FROM input",
        "SELECT u + u AS a FROM input",
        "SELECT b.u - a.u AS x FROM input a JOIN input b ON a.id + 1 = b.id",
        "SELECT d + 1 AS a FROM input",
        "SELECT d - 1 - d - d AS a FROM input",
        "SELECT d * 10 AS a FROM input",
        "SELECT d / CAST(0.1 AS DECIMAL(2, 1)) AS a FROM input",
        "SELECT id FROM input WHERE m + 1 > 0",
        "SELECT id FROM input ORDER BY m + id",
        "SELECT m + 1 AS a, count(*) AS n FROM input GROUP BY m + 1",
        "SELECT a.id FROM input a JOIN input b ON a.m + 1 = b.m",
        "SELECT id FROM input WHERE id IN (SELECT m + 1 FROM input)",
        "SELECT sum(m) AS a FROM input WHERE m > 0",
        "SELECT sum(m) AS a FROM input WHERE m > 0 GROUP BY id > 0",
        "SELECT sum(m + 1) AS a FROM input",
        "SELECT sum(u) AS a FROM input",
        "SELECT sum(DISTINCT u) AS a, sum(DISTINCT id) AS b FROM input",
        "SELECT sum(m) OVER () AS a FROM input",
        "SELECT sum(m) OVER (ORDER BY id) AS a FROM input",
        "SELECT sum(m) OVER (ORDER BY id ROWS 1 PRECEDING) AS a FROM input",
        "SELECT sum(d) AS a FROM input WHERE d > 0",
        "SELECT sum(d) AS a FROM input WHERE d > 0 GROUP BY id > 0",
        "SELECT sum(d) OVER (ORDER BY id ROWS 1 PRECEDING) AS a FROM input",
        "SELECT 9223372036854775807 + 1 AS a, id FROM input",
    ] {
        let fault = match ask_on(Bench::new(), query, &[("input", extremes())]).await {
            Ok(ran) => panic!("{query}: {:?}", shown(&ran.rows())),
            Err(fault) => fault,
        };
        assert!(matches!(fault.kind(), FaultKind::BadData | FaultKind::BadParams), "{query}: {fault:?}");
        let text = fault.message().to_lowercase();
        assert!(["overflow", "too large", "precision"].iter().any(|word| text.contains(word)), "{query}: {fault:?}");
    }
}

#[tokio::test]
async fn what_to_write_instead_fits_what_was_written() {
    for (query, help) in [
        ("SELECT m + 1 AS a FROM input", "cast one of its numbers to a wider type first: CAST(x AS DECIMAL(38, 0))"),
        ("SELECT d * 10 AS a FROM input", "or AS DOUBLE"),
        ("SELECT sum(m) AS a FROM input WHERE m > 0", "sum(CAST(x AS DECIMAL(38, 0)))"),
        ("SELECT sum(d) AS a FROM input WHERE d > 0", "sum(CAST(x AS DECIMAL(76, 0))), or as DOUBLE"),
        (
            "SELECT sum(CAST(m AS DECIMAL(38, 4)) * 1000000000000000) AS a FROM input WHERE m > 0",
            "sum(CAST(x AS DECIMAL(76, 4))), or as DOUBLE",
        ),
        ("SELECT CAST(d AS DECIMAL(76, 4)) * d AS a FROM input", "compute it as a float: CAST(x AS DOUBLE)"),
        ("SELECT least / -1 AS a FROM input", "compute it as a float: CAST(x AS DOUBLE)"),
        ("SELECT factorial(id + 20) AS a FROM input", "20 is the most"),
    ] {
        let fault = ask_on(Bench::new(), query, &[("input", extremes())]).await.expect_err(query);
        assert!(fault.help_text().is_some_and(|told| told.contains(help)), "{query}: {fault:?}");
    }
    let query = "SELECT sum(CAST(d AS DECIMAL(76, 0))) AS a FROM input WHERE d > 0";
    assert_eq!(shown(&ask(query, &extremes()).await), ["199999999999999999999999999999999999998"]);
    let fault = ask_on(Bench::new(), "SELECT length + length AS a FROM input", &[("input", times())]).await;
    let fault = fault.expect_err("too long");
    assert!(fault.help_text().is_some_and(|told| told.contains("shorter lengths of time")), "{fault:?}");
}

#[tokio::test]
async fn what_fits_is_computed() {
    let input = extremes();
    for (query, wanted) in [
        ("SELECT m - 1 AS a FROM input WHERE id < 3 ORDER BY id", &["9223372036854775806", "9223372036854775806"][..]),
        ("SELECT CAST(i AS BIGINT) * i AS a FROM input WHERE id = 1", &["4611686014132420609"]),
        ("SELECT sum(i) AS a FROM input", &["4294967295"]),
        ("SELECT sum(m) AS a FROM input WHERE id > 1", &["9223372036854775806"]),
        ("SELECT sum(m) AS a FROM input WHERE id > 1 GROUP BY id > 0", &["9223372036854775806"]),
        ("SELECT sum(CAST(m AS DECIMAL(20, 0))) AS a FROM input", &["18446744073709551613"]),
        ("SELECT sum(d) AS a FROM input WHERE id <> 2", &["99999999999999999999999999999999999998"]),
        ("SELECT avg(d) AS a FROM input WHERE d < 0", &["-1.0000"]),
        ("SELECT sum(m) AS a FROM input WHERE false", &["∅"]),
        ("SELECT sum(DISTINCT m) AS a, sum(DISTINCT i) AS b FROM input", &["9223372036854775806|2147483648"]),
        // A frame of one row: the row that comes and the one that leaves never count together.
        (
            "SELECT sum(m) OVER (ORDER BY id ROWS CURRENT ROW) AS a FROM input WHERE id < 3",
            &["9223372036854775807", "9223372036854775807"],
        ),
        (
            "SELECT sum(DISTINCT i) OVER (ORDER BY id ROWS 1 PRECEDING) AS a FROM input ORDER BY id",
            &["2147483647", "2147483647", "2147483648"],
        ),
        (
            "SELECT -9223372036854775808 AS a, -m AS b FROM input WHERE id = 1",
            &["-9223372036854775808|-9223372036854775807"],
        ),
    ] {
        assert_eq!(shown(&ask(query, &input).await), wanted, "{query}");
    }
    let rows = ask("SELECT m - 1, i FROM input", &input).await;
    assert_eq!(rows.schema().field(0).name(), "input.m - Int64(1)", "names stay those of DataFusion");
}

/// Lengths of time and intervals: two that are together too much, and one more.
fn times() -> RecordBatch {
    let months = IntervalYearMonthArray::from(vec![i32::MAX, i32::MAX, -1]);
    let days = IntervalDayTimeArray::from(vec![
        IntervalDayTime::new(i32::MAX, 0),
        IntervalDayTime::new(1, 5),
        IntervalDayTime::new(-1, -7),
    ]);
    let nanos = IntervalMonthDayNanoArray::from(vec![
        IntervalMonthDayNano::new(1, 2, i64::MAX),
        IntervalMonthDayNano::new(0, 0, 1),
        IntervalMonthDayNano::new(-2, 0, -3),
    ]);
    let lengths = DurationSecondArray::from(vec![i64::MAX, i64::MAX, i64::MAX - 3]);
    make_batch(vec![
        ("id", Arc::new(Int64Array::from(vec![1, 2, 3])) as ArrayRef),
        ("months", Arc::new(months)),
        ("days", Arc::new(days)),
        ("nanos", Arc::new(nanos)),
        ("length", Arc::new(lengths)),
    ])
}

#[tokio::test]
async fn sums_of_intervals_and_lengths_of_time_that_do_not_fit_are_bad_data() {
    for column in ["months", "days", "nanos", "length"] {
        for query in [
            format!("SELECT sum({column}) AS a FROM input WHERE id < 3"),
            format!("SELECT sum({column}) AS a FROM input WHERE id < 3 GROUP BY id > 0"),
            format!("SELECT sum({column}) OVER (ORDER BY id ROWS 1 PRECEDING) AS a FROM input"),
        ] {
            let fault = match ask_on(Bench::new(), &query, &[("input", times())]).await {
                Ok(ran) => panic!("{query}: {:?}", shown(&ran.rows())),
                Err(fault) => fault,
            };
            assert_eq!(fault.kind(), FaultKind::BadData, "{query}: {fault:?}");
            assert!(fault.message().contains("too large for its type"), "{query}: {fault:?}");
        }
    }
}

#[tokio::test]
async fn sums_and_means_of_intervals_and_lengths_of_time_that_fit_are_computed() {
    for query in [
        "SELECT sum(months) = INTERVAL '2147483646 months' AS a FROM input WHERE id > 1",
        "SELECT sum(days) = INTERVAL '-2 milliseconds' AS a FROM input WHERE id > 1",
        "SELECT sum(nanos) = INTERVAL '-2 months -2 nanoseconds' AS a FROM input WHERE id > 1",
        "SELECT sum(nanos) = INTERVAL '-2 months -2 nanoseconds' AS a FROM input WHERE id > 1 GROUP BY id > 0",
        "SELECT CAST(avg(length) AS BIGINT) = 9223372036854775806 AS a FROM input",
        "SELECT CAST(avg(length) AS BIGINT) = 9223372036854775806 AS a FROM input GROUP BY id > 0",
        "SELECT CAST(mean(length) OVER (ORDER BY id ROWS 2 PRECEDING) AS BIGINT) >= 9223372036854775806 AS a FROM input WHERE id = 1",
    ] {
        assert_eq!(shown(&ask(query, &times()).await), ["true"], "{query}");
    }
}
