//! What may go wrong while a query runs, and what it may take.

use crate::support::{ask_on, shown};
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use flight_common::testing::{Bench, batch, slices};
use flight_common::{BatchStream, Fault, FaultKind};
use futures::{StreamExt, stream};
use serde_json::json;
use sql::Sql;

fn numbers(rows: i64) -> RecordBatch {
    batch!(
        "n" => Int64Array (0..rows).collect::<Vec<_>>(),
        "k" => Int64Array (0..rows).map(|n| n * 7919 % rows).collect::<Vec<_>>(),
        "s" => StringArray (0..rows).map(|n| format!("text number {n}")).collect::<Vec<_>>(),
    )
}

/// Runs a query over tables of 20 MB within 2 MiB.
async fn tightly(query: &str, tables: &[(&str, RecordBatch)]) -> flight_common::testing::Ran {
    const MEMORY: usize = 2 << 20;
    let bench = Bench::new().memory(MEMORY).batches_of(1000);
    let budget = bench.env.space.budget().clone();
    let ran = ask_on(bench, query, tables).await.unwrap_or_else(|fault| panic!("{query}: {fault:?}"));
    assert!(budget.peak() <= MEMORY + MEMORY / 4, "{query}: {} bytes", budget.peak());
    ran
}

#[tokio::test]
async fn what_does_not_fit_in_memory_goes_to_disk() {
    let rows = 400_000;
    let input = [("input", numbers(rows))];
    let total = rows * (rows - 1) / 2;
    for (query, wanted) in [
        (
            "SELECT count(*) AS n, sum(c) AS c FROM (SELECT s, count(*) AS c FROM input GROUP BY s)",
            format!("{rows}|{rows}"),
        ),
        ("SELECT count(*) AS n, sum(k) AS k FROM (SELECT DISTINCT * FROM input)", format!("{rows}|{total}")),
        (
            "SELECT count(*) AS n, sum(CASE WHEN r = k THEN 1 ELSE 0 END) AS right_places FROM \
             (SELECT k, row_number() OVER (ORDER BY k) - 1 AS r FROM input)",
            format!("{rows}|{rows}"),
        ),
        (
            "SELECT count(*) AS n, sum(c) AS c FROM (SELECT count(s) OVER (PARTITION BY k / 100) AS c FROM input)",
            format!("{rows}|{}", rows * 100),
        ),
        ("SELECT count(*) AS n, sum(a.n) AS total FROM input a JOIN input b ON a.n = b.k", format!("{rows}|{total}")),
    ] {
        let ran = tightly(query, &input).await;
        assert_eq!(shown(&ran.rows()), [wanted], "{query}");
        assert!(ran.report.bytes_spilled > 1 << 20, "{query}: {}", ran.report.bytes_spilled);
    }
    let ran = tightly("SELECT s, k FROM input ORDER BY k", &input).await;
    let rows = ran.rows();
    assert!(rows.column(1).as_primitive::<Int64Type>().values().iter().copied().eq(0..400_000));
}

#[tokio::test]
async fn large_inputs_are_merged_and_small_ones_hashed() {
    let (large, small) = (numbers(200_000), numbers(1_000));
    for (query, how, wanted) in [
        ("SELECT count(*) AS n, sum(l.n) AS s FROM l JOIN r ON l.k = r.n", "hash", "1000|"),
        ("SELECT count(*) AS n FROM r JOIN l ON l.k = r.n", "hash", "1000"),
        ("SELECT count(*) AS n, count(r.n) AS m FROM l LEFT JOIN r ON l.k = r.n", "hash", "200000|1000"),
        ("SELECT count(*) AS n, count(l.n) AS m FROM r FULL JOIN l ON l.k = r.n", "hash", "200000|200000"),
        ("SELECT count(*) AS n FROM l WHERE EXISTS (SELECT 1 FROM r WHERE r.n = l.k)", "hash", "1000"),
        ("SELECT count(*) AS n FROM l WHERE NOT EXISTS (SELECT 1 FROM r WHERE r.n = l.k)", "hash", "199000"),
    ] {
        let ran = tightly(query, &[("l", large.clone()), ("r", small.clone())]).await;
        assert!(shown(&ran.rows())[0].starts_with(wanted), "{query}: {:?}", shown(&ran.rows()));
        assert_eq!(ran.report.details["join"], json!(how), "{query}");
    }
    for join in ["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"] {
        let query = format!("SELECT count(*) AS n, sum(l.n) AS s, sum(r.n) AS t FROM l {join} r ON l.k = r.n");
        let ran = tightly(&query, &[("l", large.clone()), ("r", large.clone())]).await;
        assert_eq!(shown(&ran.rows()), ["200000|19999900000|19999900000"], "{join}");
        assert_eq!(ran.report.details["join"], json!("merge"), "{join}");
    }
}

#[tokio::test]
async fn one_partition_that_does_not_fit_is_told_and_does_not_break_the_memory() {
    let bench = Bench::new().memory(2 << 20).batches_of(1000);
    let budget = bench.env.space.budget().clone();
    let query = "SELECT n, sum(n) OVER () AS all_of_them FROM input";
    let fault = ask_on(bench, query, &[("input", numbers(200_000))]).await.expect_err("it cannot fit");
    assert_eq!(fault.kind(), FaultKind::Busy, "{fault:?}");
    assert!(fault.help_text().is_some_and(|help| help.contains("--memory-limit")));
    assert!(budget.peak() <= (2 << 20) + (2 << 18), "{}", budget.peak());
}

/// Refused memory, a nested loop would begin anew with what is left of its input.
#[tokio::test]
async fn a_join_without_an_equality_that_does_not_fit_is_told_and_loses_no_row() {
    let tables = [("a", numbers(60_000)), ("b", numbers(8_000))];
    for join in ["JOIN", "LEFT JOIN"] {
        let query = format!("SELECT count(a.s) AS n, count(b.k) AS m FROM a {join} b ON a.n <= b.n AND a.k >= b.n");
        let fault = ask_on(Bench::new().memory(2 << 20).batches_of(1000), &query, &tables).await.expect_err(join);
        assert_eq!(fault.kind(), FaultKind::Busy, "{fault:?}");
        assert!(fault.help_text().is_some_and(|help| help.contains("--memory-limit")), "{fault:?}");
    }
}

#[tokio::test]
async fn a_value_that_cannot_be_is_bad_data() {
    let input = batch!("s" => StringArray ["1", "x"], "n" => Int64Array [i64::MAX, 0]);
    for (query, words) in [
        ("SELECT CAST(s AS BIGINT) AS a FROM input", "'x'"),
        ("SELECT 1 / n AS a FROM input", "zero"),
        ("SELECT CAST(n AS SMALLINT) AS a FROM input", "9223372036854775807"),
        ("SELECT repeat(s, n) AS a FROM input", "repeat"),
        ("SELECT lpad(s, 2000000000) AS a FROM input", "lpad"),
        ("SELECT to_timestamp(s) AS a FROM input WHERE s = 'x'", "x"),
    ] {
        let fault = ask_on(Bench::new(), query, &[("input", input.clone())]).await.expect_err(query);
        assert_eq!(fault.kind(), FaultKind::BadData, "{query}: {fault:?}");
        assert!(fault.message().contains(words), "{query}: {fault:?}");
    }
    let ran = ask_on(
        Bench::new(),
        "SELECT TRY_CAST(s AS BIGINT) AS a, repeat(s, 3) AS r, rpad(s, 3, '.') AS p FROM input ORDER BY a",
        &[("input", input)],
    )
    .await;
    assert_eq!(shown(&ran.expect("it runs").rows()), ["1|111|1..", "∅|xxx|x.."]);
}

#[tokio::test]
async fn bombs_of_constants_go_off_nowhere() {
    let input = batch!("s" => StringArray ["1"]);
    for query in [
        "SELECT repeat('x', 1000000000) AS a FROM input",
        "SELECT length(repeat('0123456789', 2000000000)) AS a, s FROM input",
        "SELECT rpad(s, 2147483647, 'x') AS a FROM input",
        "SELECT range(0, 100000000000) AS a, s FROM input",
        "SELECT array_repeat(s, 100000000000) AS a FROM input",
        "SELECT array_resize([s], 100000000000, s) AS a FROM input",
    ] {
        let fault = ask_on(Bench::new(), query, &[("input", input.clone())]).await.expect_err(query);
        assert!(matches!(fault.kind(), FaultKind::BadData | FaultKind::BadParams), "{query}: {fault:?}");
    }
}

fn failing(rows: &RecordBatch) -> BatchStream {
    let fault = stream::once(async { Err(Fault::bad_data("the gate failed").row(7)) });
    BatchStream::new(rows.schema(), slices(rows, 100).chain(fault))
}

#[tokio::test]
async fn what_goes_wrong_in_an_input_fails_the_query_also_when_its_rows_were_not_needed() {
    let rows = numbers(1_000);
    for query in [
        "SELECT * FROM a LIMIT 1",
        "SELECT * FROM a WHERE false",
        "SELECT count(*) AS n FROM a",
        "SELECT a.n FROM a JOIN a b ON a.n = b.n",
        "SELECT sum(n) OVER (PARTITION BY k) AS n FROM a",
        "SELECT 1 AS n FROM a UNION ALL SELECT n FROM a ORDER BY n LIMIT 1",
    ] {
        let bench = Bench::new().called(&["a"]);
        let fault = bench.run_streams(Sql, json!({"query": query}), vec![failing(&rows)]).await.expect_err(query);
        assert_eq!(
            (fault.kind(), fault.message(), fault.row_number()),
            (FaultKind::BadData, "the gate failed", Some(7))
        );
    }
    let bench = Bench::new().called(&["a", "b"]);
    let query = json!({"query": "SELECT a.n FROM a WHERE EXISTS (SELECT 1 FROM b WHERE b.n < 0)"});
    let fault = bench.run_streams(Sql, query, vec![slices(&rows, 100), failing(&rows)]).await.expect_err("the second");
    assert_eq!(fault.message(), "the gate failed");
}

#[tokio::test]
async fn no_spill_file_has_a_name() {
    let folder = std::env::temp_dir().join(format!("sql-spill-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let mut bench = Bench::new().batches_of(1000);
    bench.env.space = flight_common::SpillSpace::new(flight_common::MemoryBudget::new(2 << 20), &folder, u64::MAX);
    let space = bench.env.space.clone();
    let step = flight_common::registry::erase(Sql);
    let input = slices(&numbers(300_000), 1000);
    let params = json!({"query": "SELECT s, k FROM input ORDER BY k"});
    let (_, mut driven) = bench.start(&*step, &params, vec![input]).await.expect("it starts");
    let mut output = driven.outputs.remove(0).expect("the main output");
    let first = flight_common::compute::spawn(async move { (output.next().await, output) }).await.expect("polled");
    assert!(first.0.is_some_and(|batch| batch.is_ok_and(|batch| !batch.column(0).is_empty())));
    assert!(space.disk_used() > 1 << 20, "{}", space.disk_used());
    assert_eq!(std::fs::read_dir(&folder).expect("it is there").count(), 0);
    drop(first.1);
    std::fs::remove_dir(&folder).expect("nothing is in it");
}

#[tokio::test]
async fn what_a_query_computes_is_told_before_it_gives_a_row() {
    let rows = numbers(100_000);
    let bench = Bench::new().called(&["a", "b"]);
    let query = json!({"query": "SELECT a.n FROM a JOIN b ON a.n + b.n < 0"});
    let step = flight_common::registry::erase(Sql);
    let inputs = vec![slices(&rows, 10_000), slices(&rows, 10_000)];
    let (_, mut driven) = bench.start(&*step, &query, inputs).await.expect("it starts");
    let mut output = driven.outputs.remove(0).expect("the main output");
    let reading = flight_common::compute::spawn(async move { output.next().await.is_none() });
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while driven.gauge.report().computing_ms < 200.0 {
        assert!(std::time::Instant::now() < deadline, "{:?}", driven.gauge.report());
        assert!(!reading.is_finished(), "all pairs take minutes");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}
