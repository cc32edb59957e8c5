//! Flight SQL: its bounds, and what it answers from.

use super::support::{House, until};
use super::{Door, GOOD, SOON, ask};
use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use arrow_flight::Ticket;
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::{ProstMessageExt, TicketStatementQuery};
use flight_common::SpillSpace;
use futures::TryStreamExt;
use prost::Message;
use tonic::Code;
use tonic::transport::Channel;

/// Far more rows than there is memory, and each of them is wanted before the first can come.
const HUGE: &str = "SELECT a.n, b.n AS m FROM sums.read a CROSS JOIN sums.read b ORDER BY a.n * b.n";

/// A door before a table of 100,000 rows that was kept, with little memory and so much disk.
async fn door_with_quota(quota: u64) -> Door {
    let mut house = House::with_memory(16 << 20);
    house.env.space = SpillSpace::new(house.env.space.budget().clone(), house.folder.path(), quota);
    let (mesh, steps) = house.served().await;
    let mut door = Door::before(house, mesh, vec![steps]).await;
    door.keep(&GOOD.replace("rows: 2500", "rows: 100000")).await;
    until("the run is over", || door.is_idle()).await;
    door
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_fills_no_more_disk_than_the_quota_and_gives_it_back() {
    const QUOTA: u64 = 8 << 20;
    let mut door = door_with_quota(QUOTA).await;
    let mut rows = ask(&mut door.client, HUGE).await;
    let failed = tokio::time::timeout(SOON, rows.try_next()).await.expect("it ends").expect_err("too much");
    let FlightError::Tonic(status) = failed else { panic!("{failed}") };
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    assert!(status.message().contains(&format!("the quota of {QUOTA} bytes")), "{status}");
    until("all is given back", || door.is_idle()).await;
    assert!(door.house.env.space.budget().peak() <= 16 << 20, "more memory than there is");
    door.orchestrator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_ends_with_its_client() {
    let mut door = door_with_quota(4 << 30).await;
    let space = door.house.env.space.clone();
    let rows = ask(&mut door.client, HUGE).await;
    until("it goes to disk", || space.disk_used() > 0).await;
    drop(rows);
    until("all is given back", || door.is_idle()).await;

    let url = format!("http://{}", door.orchestrator.front());
    let channel = Channel::from_shared(url).expect("a URL").connect().await.expect("it is open");
    let mut other = FlightServiceClient::new(channel);
    let rows = ask(&mut other, HUGE).await;
    until("it goes to disk", || space.disk_used() > 0).await;
    drop((rows, other));
    until("all is given back", || door.is_idle()).await;
    door.orchestrator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_row_is_given_of_a_kept_file_that_was_changed() {
    let mut door = Door::open().await;
    let run = door.keep(GOOD).await;
    let kept = door.orchestrator.service().store().kept(&run).await.expect("told").remove(0);
    let path = door.orchestrator.service().own_folder().path().join(kept.path);
    let query = "SELECT sum(n) FROM sums.read";
    let ticket = || Ticket { ticket: format!("runs/{run}/read").into() };
    assert!(door.client.do_get(ticket()).await.is_ok());
    assert_eq!(ask(&mut door.client, query).await.try_collect::<Vec<_>>().await.expect("a row").len(), 1);

    let mut bytes = std::fs::read(&path).expect("there");
    let place = bytes.len() - 100;
    bytes[place] ^= 1;
    std::fs::write(&path, bytes).expect("spoilt");
    let refused = door.client.do_get(ticket()).await.expect_err("refused");
    assert!(refused.message().contains("was changed"), "{refused}");
    let refused = ask(&mut door.client, query).await.try_next().await.expect_err("refused");
    assert!(refused.to_string().contains("was changed"), "{refused}");
    door.orchestrator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_that_do_not_fit_are_told() {
    let mut door = Door::open().await;
    door.keep(GOOD).await;
    for query in ["SELECT n + 9223372036854775807 FROM sums.read", "SELECT sum(n * 9223372036854775) FROM sums.read"] {
        let told = ask(&mut door.client, query).await.try_collect::<Vec<_>>().await.expect_err("it does not fit");
        assert!(told.to_string().contains("too large"), "{query}: {told}");
    }
    door.orchestrator.stop().await;
}

/// A query is refused, when it is asked or while it runs.
async fn refused_with(door: &mut Door, query: &str, why: &str) {
    let ticket = TicketStatementQuery { statement_handle: query.to_owned().into() };
    let ticket = Ticket { ticket: ticket.as_any().encode_to_vec().into() };
    let failed = match door.client.do_get(ticket).await {
        Err(status) => status,
        Ok(rows) => rows.into_inner().try_collect::<Vec<_>>().await.expect_err("refused"),
    };
    assert!(failed.message().contains(why), "{:.40} …: {failed}", query);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_be_passed_over_or_does_not_read_is_refused() {
    let mut door = Door::open().await;
    door.keep(GOOD).await;
    for (query, why) in [
        ("SELECT n FROM sums.read FETCH FIRST 5 ROWS ONLY", "FETCH is not understood"),
        ("SELECT n FROM sums.read FOR UPDATE", "FOR UPDATE"),
        ("EXPLAIN SELECT n FROM sums.read FETCH FIRST 5 ROWS ONLY", "FETCH is not understood"),
        ("SELECT n FROM sums.read INTERSECT ALL SELECT n FROM sums.read", "INTERSECT ALL"),
        ("SELECT n FROM sums.read WHERE (n IN (SELECT n FROM sums.read)) IS NULL", "nulls would be taken for false"),
        ("SELECT abs(n) OVER () FROM sums.read", "OVER means nothing with abs"),
        ("SELECT n FROM sums.read WHERE sum(n) > 1", "may not stand in WHERE"),
        ("CREATE TABLE t AS SELECT 1", "this is no query: CREATE TABLE"),
        ("DROP TABLE sums.read", "this is no query: DROP TABLE"),
        ("INSERT INTO sums.read VALUES (1)", "this is no query: INSERT INTO"),
        ("SET x = 1", "this is no query: SET x"),
        ("SELECT * FROM '/etc/passwd'", "files are not read here"),
        ("SELECT * FROM read_csv('in/people.csv')", "files are not read here"),
    ] {
        refused_with(&mut door, query, why).await;
    }
    door.orchestrator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_named_by_its_id_alone() {
    let mut door = Door::open().await;
    let run = door.keep(GOOD).await;
    let query = format!("SELECT n FROM \"{run}\".\"read\"");
    assert!(ask(&mut door.client, &query).await.try_collect::<Vec<_>>().await.is_ok());
    for before in ["run ", "runs/"] {
        let query = format!("SELECT n FROM \"{before}{run}\".\"read\"");
        refused_with(&mut door, &query, &format!("as in \"{run}\".\"read\"")).await;
    }
    refused_with(&mut door, "SELECT n FROM sums.raed", "\"<id of the run>\".\"step\"").await;
    door.orchestrator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_are_called_as_they_are() {
    let mut door = Door::open().await;
    door.keep(GOOD).await;
    refused_with(&mut door, "SELECT N FROM sums.read", "no column \"N\"").await;
    let query = "SELECT Total FROM (SELECT sum(n) AS Total FROM sums.READ)";
    let rows: Vec<RecordBatch> = ask(&mut door.client, query).await.try_collect().await.expect("a row");
    assert_eq!(rows[0]["Total"].as_primitive::<Int64Type>().value(0), 2500 * 2499 / 2);
    let query = "SELECT count(*) AS n FROM (SELECT * EXCLUDE (m) FROM (SELECT n, n AS m FROM sums.read)) CROSS JOIN generate_series(1, 3)";
    let rows: Vec<RecordBatch> = ask(&mut door.client, query).await.try_collect().await.expect("a row");
    assert_eq!(rows[0]["n"].as_primitive::<Int64Type>().value(0), 3 * 2500);
    let query = "SELECT count(*) AS n FROM Information_Schema.TABLES WHERE table_schema = 'sums'";
    let rows: Vec<RecordBatch> = ask(&mut door.client, query).await.try_collect().await.expect("a row");
    assert!(rows[0]["n"].as_primitive::<Int64Type>().value(0) > 0);
    door.orchestrator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_output_is_listed_as_a_table() {
    let mut door = Door::open().await;
    door.keep(GOOD).await;
    let query = "SELECT table_type FROM information_schema.tables WHERE table_schema = 'sums' AND table_name = 'read'";
    let rows: Vec<RecordBatch> = ask(&mut door.client, query).await.try_collect().await.expect("a row");
    let types: Vec<&str> =
        rows.iter().flat_map(|rows| rows["table_type"].as_string::<i32>().iter().flatten()).collect();
    assert_eq!(types, ["BASE TABLE"]);
    door.orchestrator.stop().await;
}

/// What the types come to is known late: a result that was promised before is another one.
#[tokio::test]
async fn results_are_of_the_types_that_they_come_to() {
    let mut door = Door::open().await;
    door.keep(GOOD).await;
    for (query, wanted) in [
        ("SELECT 1 AS x UNION ALL SELECT 2.5 ORDER BY x DESC", "2.5"),
        ("SELECT CASE WHEN n < 0 THEN 1 ELSE 2.5 END AS x FROM sums.read", "2.5"),
        ("SELECT CAST(NULL AS INT) AS x UNION ALL SELECT 9999999999 ORDER BY x", "9999999999"),
        ("SELECT CAST(1.10 AS DECIMAL(10, 2)) * 1.19 AS x", "1.3090"),
        ("SELECT (SELECT count(*) FROM sums.read b WHERE b.n = a.n HAVING count(*) > 3) AS x FROM sums.read a", ""),
    ] {
        let rows: Vec<RecordBatch> = ask(&mut door.client, query).await.try_collect().await.expect(query);
        let shown = arrow::util::display::array_value_to_string(rows[0].column(0), 0).expect("shown");
        assert_eq!(shown, wanted, "{query}");
    }
    door.orchestrator.stop().await;
}

/// Each use of a query of `WITH` is planned anew.
#[tokio::test]
async fn queries_that_name_each_other_twice_are_refused() {
    let mut door = Door::open().await;
    let twice = |n| format!("c{n} AS (SELECT a.x FROM c{} a, c{} b)", n - 1, n - 1);
    let all: Vec<String> = (1..25).map(twice).collect();
    let query = format!("WITH c0 AS (SELECT 1 AS x), {} SELECT count(*) FROM c24", all.join(", "));
    refused_with(&mut door, &query, "when each use is written out").await;
    let once = |n| format!("c{n} AS (SELECT x FROM c{})", n - 1);
    let all: Vec<String> = (1..25).map(once).collect();
    let query = format!("WITH c0 AS (SELECT 1 AS x), {} SELECT count(*) AS n FROM c24", all.join(", "));
    assert_eq!(ask(&mut door.client, &query).await.try_collect::<Vec<_>>().await.expect("a row").len(), 1);
    door.orchestrator.stop().await;
}

/// Neither side fits as a hash table.
#[tokio::test(flavor = "multi_thread")]
async fn large_tables_are_joined_by_merging() {
    let mut door = door_with_quota(4 << 30).await;
    let more = "  - {id: other, service: numbers, params: {rows: 400000}, checkpoint: true}\n";
    door.keep(&format!("{}{more}", GOOD.replace("rows: 2500", "rows: 400000"))).await;
    until("the run is over", || door.is_idle()).await;
    let query = "SELECT count(*) AS n FROM sums.read a JOIN sums.other b ON a.n = b.n";
    let rows: Vec<RecordBatch> = ask(&mut door.client, query).await.try_collect().await.expect("a row");
    assert_eq!(rows[0]["n"].as_primitive::<Int64Type>().value(0), 400_000);
    assert!(door.house.env.space.budget().peak() <= 16 << 20, "more memory than there is");
    until("all is given back", || door.is_idle()).await;
    door.orchestrator.stop().await;
}

/// One side of the outer loop is what the inner one gives, and cannot be had twice.
#[tokio::test(flavor = "multi_thread")]
async fn a_nested_loop_that_does_not_fit_is_told() {
    let mut door = door_with_quota(4 << 30).await;
    let query = "SELECT count(*) FROM sums.read x, sums.read y, sums.read z WHERE x.n <> y.n AND x.n + y.n < z.n";
    refused_with(&mut door, query, "needs more memory").await;
    until("all is given back", || door.is_idle()).await;
    door.orchestrator.stop().await;
}

/// A query whose expression is twice as long with each of so many lines.
fn doubled(last: usize) -> String {
    let lines = (1..=last).map(|line| format!(", a{line} AS (SELECT s + s AS s FROM a{})", line - 1));
    format!(
        "WITH a0 AS (SELECT n AS s FROM sums.read){} SELECT count(*) FROM a{last} WHERE s > 0",
        lines.collect::<String>()
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn no_query_takes_the_orchestrator_along() {
    let mut door = Door::open().await;
    door.keep(GOOD).await;
    let (cases, ends) = ("CASE WHEN n = 1 THEN 1 ELSE ".repeat(60), " END".repeat(60));
    let refused = [
        (format!("SELECT {}1", "1+".repeat(200_000)), "is the most"),
        (format!("SELECT {cases}0{ends} FROM sums.read"), "nests too deeply"),
        (format!("SELECT {}1", "1+".repeat(1_000)), "levels deep"),
        (format!("SELECT {}1{}", "(".repeat(100_000), ")".repeat(100_000)), "nests too deeply"),
        (vec!["SELECT 1"; 1_000].join(" EXCEPT "), "too many queries together"),
        (format!("SELECT {}1", "1,".repeat(5_000)), "more than 4000 columns"),
        (format!("SELECT 1 FROM sums.read GROUP BY CUBE ({})", vec!["n"; 16].join(", ")), "in 65536 ways"),
        (doubled(40), "is written out"),
        ("SELECT length(repeat('x', 2000000000))".to_owned(), "at once"),
        ("WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n FROM r) SELECT * FROM r".to_owned(), "RECURSIVE"),
    ];
    for (query, why) in refused {
        refused_with(&mut door, &query, why).await;
    }
    let rows: Vec<_> = ask(&mut door.client, "SELECT n FROM sums.read").await.try_collect().await.expect("rows");
    assert_eq!(rows.iter().map(RecordBatch::num_rows).sum::<usize>(), 2500);
    door.orchestrator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_that_differ_in_case_alone_are_told_apart() {
    let mut door = Door::open().await;
    let more = "  - {id: Read, service: numbers, params: {rows: 3}, checkpoint: true}\n";
    door.keep(&format!("{GOOD}{more}")).await;
    for (table, count) in [("\"Read\"", 3), ("read", 2500)] {
        let query = format!("SELECT count(*) AS n FROM sums.{table}");
        let rows: Vec<RecordBatch> = ask(&mut door.client, &query).await.try_collect().await.expect("a row");
        assert_eq!(rows[0]["n"].as_primitive::<Int64Type>().value(0), count, "{table}");
    }
    door.orchestrator.stop().await;
}
