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

/// Both sides call their column `k`: what is asked of one is not asked of the other.
#[tokio::test]
async fn the_condition_of_an_outer_join_is_that_of_its_own_side() {
    let side = |values: &[i64]| batch!("k" => Int64Array values.to_vec());
    let inputs = [("p", side(&[7, 1])), ("q", side(&[0, 1, 3]))];
    for (condition, rows) in [
        ("coalesce(p.k, -1) = 0", vec![]),
        ("coalesce(p.k, -1) = -1", vec!["∅|0", "∅|3"]),
        ("p.k IS NOT DISTINCT FROM 3", vec![]),
        ("CASE WHEN p.k IS NULL THEN -1 ELSE p.k END = 1", vec!["1|1"]),
        ("concat(p.k, '') = '3'", vec![]),
    ] {
        for join in ["p RIGHT JOIN q", "q LEFT JOIN p"] {
            let query = format!("SELECT p.k AS pk, q.k AS qk FROM {join} ON p.k = q.k WHERE {condition} ORDER BY qk");
            assert_eq!(shown(&tightly(&query, &inputs).await.rows()), rows, "{query}");
        }
    }
}

/// What the condition looks at is not what comes out.
#[tokio::test]
async fn the_condition_of_a_merge_join_looks_at_its_own_columns() {
    let rows = 100_000;
    let side = |a: i64, b: i64| {
        batch!(
            "id" => Int64Array (0..rows).collect::<Vec<_>>(),
            "a" => Int64Array (0..rows).map(|n| n * a % rows).collect::<Vec<_>>(),
            "b" => Int64Array (0..rows).map(|n| n * b % rows).collect::<Vec<_>>(),
        )
    };
    let (p, q) = (side(7919, 31), side(104_729, 4_099));
    let holds = |row: i64| row * 31 % rows < row * 104_729 % rows;
    let matching = (0..rows).filter(|row| holds(*row)).count() as i64;
    for (join, count) in [("JOIN", matching), ("LEFT JOIN", rows), ("FULL JOIN", 2 * rows - matching)] {
        let query = format!("SELECT p.id, p.b, q.id AS other, q.b AS d FROM p {join} q ON p.id = q.id AND p.b < q.a");
        let ran = tightly(&query, &[("p", p.clone()), ("q", q.clone())]).await;
        assert_eq!(ran.report.details["join"], json!("merge"));
        let found = ran.rows();
        assert_eq!(found.num_rows() as i64, count, "{join}");
        let both: Vec<i64> = found
            .column(0)
            .as_primitive::<Int64Type>()
            .iter()
            .zip(found.column(2).as_primitive::<Int64Type>())
            .filter_map(|(one, other)| one.filter(|one| Some(*one) == other))
            .collect();
        assert!(both.len() as i64 == matching && both.iter().all(|row| holds(*row)), "{join}");
    }
}

/// -0.0 is sorted before 0.0, and equal to it; NaN is equal to itself.
#[tokio::test]
async fn floats_are_joined_by_what_they_are() {
    let rows = 60_000;
    let floats = [0.0, -0.0, f64::NAN, -f64::NAN, 1.5, f64::NEG_INFINITY];
    let side = |step: usize| {
        batch!(
            "f" => Float64Array (0..rows).map(|n| floats.get(n * step % 7).copied()).collect::<Vec<_>>(),
            "k" => Int64Array (0..rows).map(|n| (n * step % 20_011) as i64).collect::<Vec<_>>(),
            "s" => StringArray (0..rows).map(|n| format!("text number {n}")).collect::<Vec<_>>(),
        )
    };
    let tables = [("p", side(1)), ("q", side(31))];
    let join = "SELECT count(p.s) AS n, count(DISTINCT p.s) AS d FROM p JOIN q ON p.f = q.f AND p.k = q.k";
    let exists = "SELECT count(*) AS n FROM p WHERE EXISTS (SELECT 1 FROM q WHERE q.f = p.f AND q.k = p.k)";
    let both = "SELECT count(*) AS n FROM (SELECT f, k FROM p INTERSECT SELECT f, k FROM q)";
    for query in [join, exists, both] {
        let roomy = ask_on(Bench::new(), query, &tables).await.unwrap_or_else(|fault| panic!("{query}: {fault:?}"));
        let tight = tightly(query, &tables).await;
        assert_eq!(shown(&tight.rows()), shown(&roomy.rows()), "{query}");
        assert_ne!(shown(&tight.rows())[0], "0", "{query}");
    }
    // Of each pair the keys are looked up: the number is the same however it is computed.
    let key = |step: usize, n: usize| {
        floats
            .get(n * step % 7)
            .map(|f| (if *f == f64::NEG_INFINITY { 1 } else { (f + 0.0).abs().to_bits() }, n * step % 20_011))
    };
    let mut counts = std::collections::HashMap::new();
    (0..rows).filter_map(|n| key(31, n)).for_each(|key| *counts.entry(key).or_insert(0) += 1);
    let wanted: i64 = (0..rows).filter_map(|n| key(1, n)).map(|key| counts.get(&key).copied().unwrap_or(0)).sum();
    let ran = tightly(join, &tables).await;
    assert!(shown(&ran.rows())[0].starts_with(&format!("{wanted}|")), "{wanted}: {:?}", shown(&ran.rows()));
}

/// The keys of `USING` are looked up where what is so joined is joined with another.
#[tokio::test]
async fn joins_by_floats_of_one_name_are_joined_further() {
    let a = batch!(
        "f" => Float64Array [Some(0.0), Some(-0.0), Some(f64::NAN), Some(1.5), None],
        "n" => Int64Array [1, 2, 3, 4, 5],
    );
    let b = batch!(
        "f" => Float64Array [Some(-0.0), Some(f64::NAN), Some(2.5), None],
        "m" => Int64Array [1, 2, 3, 4],
    );
    let once = "SELECT * FROM a LEFT JOIN b USING (f) ORDER BY n";
    let twice = "SELECT n, p, c.m AS q FROM (SELECT n, b.m AS p, a.f + 1 AS g FROM a LEFT JOIN b USING (f)) \
                 JOIN b AS c ON g = c.f + 1 ORDER BY n";
    for (query, wanted) in
        [(once, &["0.0|1|1", "-0.0|2|1", "NaN|3|2", "1.5|4|∅", "∅|5|∅"][..]), (twice, &["1|1|1", "2|1|1", "3|2|2"])]
    {
        let ran = ask_on(Bench::new(), query, &[("a", a.clone()), ("b", b.clone())]).await;
        assert_eq!(shown(&ran.unwrap_or_else(|fault| panic!("{query}: {fault:?}")).rows()), wanted, "{query}");
    }
}

/// Rows on their way between threads are not put on disk, where they could wait for each other for ever.
#[tokio::test]
async fn groups_by_many_sets_come_to_an_end_within_little_memory() {
    let query =
        "SELECT count(*) AS n, sum(c) AS c FROM (SELECT s, k, n, count(*) AS c FROM input GROUP BY CUBE (s, k, n))";
    let input = [("input", numbers(40_000))];
    for _ in 0..3 {
        let ran = tokio::time::timeout(std::time::Duration::from_secs(100), tightly(query, &input)).await;
        assert_eq!(shown(&ran.expect("an end").rows()), ["280001|320000"]);
    }
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
