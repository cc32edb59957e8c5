//! What is refused, what is not, and what ends.

use crate::testing::{MEMORY, ROWS, number, refused, within};
use flight_common::FaultKind;
use futures::TryStreamExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

#[tokio::test]
async fn what_makes_too_much_at_once_is_refused_before_it_is_made() {
    let doubled = |how: &str| {
        let again = (0..16).map(|level| format!("t{} AS (SELECT {} AS x FROM t{level})", level + 1, how));
        let all: Vec<String> = again.collect();
        format!("WITH t0 AS (SELECT x FROM t), {} SELECT max(length(x)) FROM t16", all.join(", "))
    };
    for query in [
        doubled("x || x"),
        doubled("concat(x, x)"),
        doubled("concat_ws(x, x, x)"),
        doubled("replace(x, 'x', 'xxxxxxxxxxxxxxxx')"),
        doubled("regexp_replace(x, 'x', 'xxxxxxxxxxxxxxxx', 'g')"),
        doubled(r"regexp_replace(x, '^(.*)$', '\1\1')"),
        "SELECT max(length(repeat(x, 10000))) FROM t".to_owned(),
        "SELECT max(length(lpad(x, 100000))) FROM t".to_owned(),
        "SELECT length(array_to_string(array_agg(n), repeat('x', 60000 + 0 * max(n)))) FROM t".to_owned(),
        "SELECT sum(cardinality(array_replace_all(make_array(x, x, x), x, repeat(x, 1000)))) FROM t".to_owned(),
        "SELECT max(length(repeat('x', 60000 + 0 * n))) FROM t".to_owned(),
    ] {
        let fault = refused(&within(MEMORY, &query)).await;
        let (kind, message) = (fault.kind(), fault.message());
        let words = message.contains("at once, and 67108864 is the most") || kind == FaultKind::Busy;
        assert!(words, "{query}: {kind:?} {message}");
    }
}

#[tokio::test]
async fn what_makes_little_is_made() {
    assert_eq!(
        number(&within(MEMORY, "SELECT sum(length(x || '-' || x)) FROM t")).await,
        number(&within(MEMORY, "SELECT sum(2 * length(x) + 1) FROM t")).await
    );
    assert_eq!(number(&within(MEMORY, "SELECT count(*) FROM t WHERE x || NULL IS NULL")).await, ROWS);
    assert_eq!(number(&within(MEMORY, "SELECT max(length(replace(x, 'x', 'yy'))) FROM t")).await, 60_000);
    assert_eq!(number(&within(MEMORY, "SELECT max(length(regexp_replace(x, 'x', 'yy', 'g'))) FROM t")).await, 60_000);
    assert_eq!(number(&within(MEMORY, "SELECT max(length(regexp_replace(x, 'x', 'yy'))) FROM t")).await, 30_001);
    assert_eq!(number(&within(MEMORY, "SELECT length('a' || 'b')")).await, 2);
    assert_eq!(number(&within(MEMORY, "SELECT levenshtein('kitten', 'sitting')")).await, 3);
}

#[tokio::test]
async fn constants_are_computed_as_far_as_memory_bears() {
    let fault = refused(&within(MEMORY, "SELECT n, repeat('x', 60000000) AS y FROM t")).await;
    assert!(fault.message().contains("at once"), "{fault}");
    // Each of these is a constant that memory bears, and all of them are as large as a row of 20 MB would be.
    let many: Vec<String> = (0..200).map(|n| format!("repeat('{n}', 100000) AS y{n}")).collect();
    let all: Vec<String> = (0..200).map(|n| format!("max(length(y{n}))")).collect();
    let query = format!("SELECT {} FROM (SELECT {} FROM t LIMIT 100)", all.join(" + "), many.join(", "));
    assert_eq!(number(&within(MEMORY, &query)).await, 100_000 * (10 + 2 * 90 + 3 * 100));
    assert_eq!(number(&within(MEMORY, "SELECT length(repeat('x', 60000000))")).await, 60_000_000);
}

#[tokio::test]
async fn types_that_grow_without_end_are_refused() {
    for pair in ["struct(s, s)", "named_struct('a', s, 'b', s)", "{a: s, b: s}", "arrays_zip([s], [s])"] {
        let again = (0..40).map(|level| format!("t{} AS (SELECT {pair} AS s FROM t{level})", level + 1));
        let all: Vec<String> = again.collect();
        let query = format!("WITH t0 AS (SELECT n AS s FROM t), {} SELECT s FROM t40", all.join(", "));
        let fault = refused(&within(MEMORY, &query)).await;
        assert!(fault.message().contains("has more than 10000 types within it"), "{fault}");
    }
    for wide in
        ["arrow_cast(NULL, 'FixedSizeBinary(2000000000)')", "arrow_cast(NULL, 'FixedSizeList(100000000, Int64)')"]
    {
        let fault = refused(&within(MEMORY, &format!("SELECT {wide} FROM t"))).await;
        assert!(fault.message().contains("bytes in each value"), "{fault}");
    }
}

#[tokio::test]
async fn what_takes_long_asks_whether_it_is_wanted() {
    let long = "repeat('x', 20000 + 0 * n)";
    let query = format!("SELECT max(levenshtein({long}, {long})) FROM t WHERE n < 1000");
    let held = Arc::new(());
    let rows = within(MEMORY, &query).start(held.clone()).await.expect("a query");
    let begun = Instant::now();
    let took = tokio::time::timeout(Duration::from_secs(1), rows.try_collect::<Vec<_>>()).await;
    assert!(took.is_err(), "it takes minutes");
    while Arc::strong_count(&held) > 1 {
        assert!(begun.elapsed() < Duration::from_secs(30), "it goes on");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn what_is_made_is_booked_until_it_leaves() {
    // Two of them are there when the third is made.
    let three = "repeat('x', 20000 + 0 * n) || repeat('y', 20000 + 0 * n)";
    let fault = refused(&within(4 << 20, &format!("SELECT max(length({three})) FROM t"))).await;
    assert_eq!(fault.kind(), FaultKind::Busy, "{fault}");
    // Of 60 MB in all.
    let asked = within(32 << 20, "SELECT repeat('x', 3000 + 0 * n) AS x FROM t");
    let rows = asked.rows().await.expect("rows that leave are nobody's");
    assert_eq!(rows.iter().map(|batch| batch.num_rows() as i64).sum::<i64>(), ROWS);
}

#[tokio::test]
async fn what_would_be_answered_wrongly_is_refused() {
    for (sql, said) in [
        ("SELECT max(to_timestamp(n + 1e20)) FROM t", "no time between"),
        ("SELECT to_timestamp(CAST('NaN' AS DOUBLE))", "NaN seconds"),
        ("SELECT max(round(n + 0.5, 400)) FROM t", "round to 400 digits"),
        ("SELECT trunc(1.5, -400)", "trunc to -400 digits"),
        ("SELECT trunc(1.5, CAST(-9223372036854775808 AS BIGINT))", "trunc to -9223372036854775808 digits"),
        ("SELECT max(round(n + 1000.5, 306)) FROM t", "round cannot round"),
        ("SELECT max(trunc(CAST(n + 2.5 AS REAL), 39)) FROM t", "trunc cannot round"),
    ] {
        let fault = refused(&within(MEMORY, sql)).await;
        assert!(fault.message().contains(said), "{sql}: {fault}");
    }
    for (sql, expected) in [
        ("SELECT CAST(max(to_timestamp(n + 0.5)) AS BIGINT) / 1000 FROM t", 19_999_500_000),
        ("SELECT CAST(max(round(n + 0.25, 1) * 10) AS BIGINT) FROM t", 199_993),
        ("SELECT CAST(max(round(n + 0.25, -2)) AS BIGINT) FROM t", 20_000),
    ] {
        assert_eq!(number(&within(MEMORY, sql)).await, expected, "{sql}");
    }
}
