//! What would be answered otherwise than SQL has it, or than other databases do, is refused.

use crate::support::{ask_on, refused};
use arrow::array::{Int32RunArray, RecordBatch};
use flight_common::testing::{Bench, batch};

fn people() -> RecordBatch {
    batch!("Age" => Int64Array [1], "name" => StringArray ["a"])
}

#[tokio::test]
async fn clauses_that_would_be_passed_over_are_refused() {
    for (query, word) in [
        ("SELECT Age FROM input GROUP BY Age WITH ROLLUP", "WITH ROLLUP"),
        ("SELECT Age FROM input GROUP BY Age WITH CUBE", "WITH CUBE"),
        ("SELECT Age FROM input GROUP BY Age WITH TOTALS", "WITH TOTALS"),
        ("SELECT * FROM input TABLESAMPLE (0 PERCENT)", "TABLESAMPLE"),
        ("SELECT * FROM (SELECT * FROM input) TABLESAMPLE (0 PERCENT)", "TABLESAMPLE"),
        ("SELECT * FROM input SAMPLE 0.1", "SAMPLE"),
        ("SELECT * FROM input PREWHERE Age > 100", "PREWHERE"),
        ("SELECT * FROM input START WITH Age = 1 CONNECT BY Age = PRIOR Age", "CONNECT BY"),
        ("SELECT * FROM input SETTINGS max_threads = 1", "SETTINGS"),
        ("SELECT * FROM input FORMAT JSON", "FORMAT"),
        ("SELECT * FROM input FOR UPDATE", "FOR UPDATE"),
        ("SELECT * FROM (SELECT * FROM input FOR SHARE) AS x", "FOR SHARE"),
        ("SELECT * FROM input WHERE Age IN (SELECT Age FROM input FOR UPDATE)", "FOR UPDATE"),
        ("WITH x AS (SELECT * FROM input FOR UPDATE) SELECT * FROM x", "FOR UPDATE"),
        ("SELECT * FROM input WITH (nolock)", "WITH (…)"),
        ("SELECT * FROM input UNION ALL SELECT * FROM input WITH (nolock)", "WITH (…)"),
        ("SELECT TOP 1 * FROM input", "TOP"),
        ("SELECT * FROM input LATERAL VIEW explode(x) t AS y", "LATERAL VIEW"),
        ("SELECT * FROM input SORT BY Age", "SORT BY"),
        ("SELECT * FROM input CLUSTER BY Age", "CLUSTER BY"),
        ("SELECT * FROM input DISTRIBUTE BY Age", "DISTRIBUTE BY"),
        ("SELECT * FROM input FETCH FIRST 1 ROW ONLY", "FETCH"),
        ("SELECT * FROM input LIMIT 1 BY Age", "LIMIT … BY"),
        ("SELECT * FROM input ORDER BY Age WITH FILL", "WITH FILL"),
        ("SELECT quantile(0.5)(Age) FROM input", "a second list of arguments"),
        ("SELECT a.Age FROM input a GLOBAL JOIN input b USING (Age)", "GLOBAL"),
        // Those of SQL itself that DataFusion answers otherwise.
        ("SELECT Age FROM input INTERSECT ALL SELECT Age FROM input", "INTERSECT ALL"),
        ("SELECT Age FROM input UNION (SELECT Age FROM input EXCEPT ALL SELECT Age FROM input)", "EXCEPT ALL"),
        ("SELECT b.name FROM input a RIGHT JOIN input b USING (Age)", "RIGHT JOIN with USING or NATURAL"),
        ("SELECT b.name FROM input a NATURAL FULL JOIN input b", "FULL JOIN with USING or NATURAL"),
        ("SELECT * FROM input b NATURAL LEFT JOIN input a", "* over NATURAL LEFT JOIN"),
        ("SELECT * EXCEPT (name) FROM input b LEFT JOIN input a USING (Age)", "* over LEFT JOIN with USING"),
        (
            "SELECT * FROM (input b NATURAL LEFT JOIN input a) CROSS JOIN (SELECT 1 AS one) c",
            "* over NATURAL LEFT JOIN",
        ),
        ("SELECT a.Age FROM input a JOIN input b", "JOIN without ON or USING"),
        ("SELECT regr_count(DISTINCT Age, Age) AS n FROM input", "DISTINCT within regr_count"),
        ("SELECT sum(Age) OVER (w) AS s FROM input WINDOW w AS (ORDER BY Age)", "goes on from a named one"),
        (
            "SELECT sum(Age) OVER v AS s FROM input WINDOW w AS (PARTITION BY name), v AS (w ORDER BY Age)",
            "goes on from a named one",
        ),
        ("SELECT Age FROM input WHERE name SIMILAR TO 'a%'", "SIMILAR TO"),
        ("SELECT DISTINCT ON (Age) * FROM input ORDER BY Age, name, Age NULLS FIRST", "a column twice in ORDER BY"),
    ] {
        let fault = refused(query, &people()).await;
        assert!(
            fault.message().contains(word) && fault.message().ends_with("is not understood here"),
            "{query}: {fault:?}"
        );
    }
}

/// A join knows no null.
#[tokio::test]
async fn subqueries_stand_where_they_are_answered_as_sql_has_it() {
    let other = "(SELECT b.Age FROM input b WHERE b.name > 'c')";
    for (condition, word) in [
        (format!("(Age IN {other}) IS NULL"), "nulls"),
        (format!("Age NOT IN {other} OR Age > 3"), "nulls"),
        (format!("coalesce(Age IN {other}, true)"), "nulls"),
        (format!("NOT (Age IN {other} OR Age > 3)"), "nulls"),
        (format!("CASE WHEN Age IN {other} THEN false ELSE true END"), "nulls"),
        ("EXISTS (SELECT count(*) FROM input b WHERE b.Age = a.Age)".to_owned(), "a row in any case"),
        ("NOT EXISTS (SELECT 1 FROM input b WHERE b.Age = a.Age OFFSET 1)".to_owned(), "OFFSET"),
    ] {
        let fault = refused(&format!("SELECT Age FROM input a WHERE {condition}"), &people()).await;
        assert!(fault.message().contains(word) && fault.help_text().is_some(), "{condition}: {fault:?}");
    }
    for condition in [
        format!("Age IN {other} OR Age > 3"),
        format!("Age NOT IN {other} AND Age > 3"),
        format!("NOT (Age IN {other})"),
        "NOT EXISTS (SELECT 1 FROM input b WHERE b.Age = a.Age LIMIT 1) OR Age > 3".to_owned(),
        "(SELECT count(*) FROM input b WHERE b.Age = a.Age) > 1".to_owned(),
    ] {
        let query = format!("SELECT Age FROM input a WHERE {condition}");
        let asked = ask_on(Bench::new(), &query, &[("input", people())]).await;
        assert!(asked.is_ok(), "{condition}: {:?}", asked.err());
    }
}

/// Its nulls are not told by the array itself.
#[tokio::test]
async fn a_case_and_the_least_of_runs_are_refused_and_other_uses_of_them_are_not() {
    let runs: Int32RunArray = [Some("a"), Some("a"), None].into_iter().collect();
    let rows = batch!("k" => Int64Array [1, 2, 3]);
    let rows = RecordBatch::try_from_iter([
        ("k", rows.column(0).clone()),
        ("v", std::sync::Arc::new(runs) as arrow::array::ArrayRef),
    ]);
    let rows = rows.expect("two columns");
    for (query, word) in [
        ("SELECT k, CASE WHEN k > 1 THEN v END AS v FROM input", "CASE"),
        ("SELECT min(v) AS v FROM input", "min"),
        ("SELECT k, max(v) AS v FROM input GROUP BY k", "max"),
        ("SELECT max(v) OVER () AS v FROM input", "max"),
    ] {
        let fault = refused(query, &rows).await;
        assert!(fault.message().contains(&format!("{word} cannot give values of type")), "{query}: {fault:?}");
    }
    ask_on(Bench::new(), "SELECT v FROM input WHERE k > 1", &[("input", rows)]).await.expect("as it is");
}

#[tokio::test]
async fn what_databases_read_differently_is_told() {
    for (query, said, hint) in [
        ("SELECT Age ^ 2 AS a FROM input", "^ is not understood", "power"),
        ("SELECT Age | 2 & 1 AS a FROM input", "beside another one", "brackets"),
        ("SELECT Age | 2 << 1 AS a FROM input", "beside another one", "brackets"),
        (
            "SELECT name FROM input AS o WHERE 0 IN (SELECT count(*) FROM input AS i WHERE i.name = o.name)",
            "gives a row in any case",
            "compare",
        ),
        ("SELECT Age > ALL (SELECT Age FROM input) AS a FROM input", "nulls would be taken for false", "EXISTS"),
        ("SELECT -Age AS Age FROM input ORDER BY Age + 1", "which is a column of a table and another one", "AS"),
        ("SELECT DISTINCT upper(name) AS name FROM input ORDER BY lower(name)", "another one of the result", "AS"),
    ] {
        let fault = refused(query, &people()).await;
        assert!(fault.message().contains(said), "{query}: {fault:?}");
        assert!(fault.help_text().is_some_and(|help| help.contains(hint)), "{query}: {fault:?}");
    }
    for query in [
        "SELECT -Age AS Age FROM input ORDER BY -Age",
        "SELECT -Age AS other FROM input ORDER BY Age + 1",
        "SELECT -Age AS other FROM input ORDER BY other + 1",
        "SELECT Age AS Age, name FROM input ORDER BY Age + 1",
        "SELECT name, count(*) AS n FROM input GROUP BY name ORDER BY n * 2",
    ] {
        ask_on(Bench::new(), query, &[("input", people())]).await.expect(query);
    }
}

#[tokio::test]
async fn a_column_that_is_cast_and_has_no_name_is_matched_with_none() {
    let joined = "FROM input AS a JOIN (SELECT name AS other FROM input) AS b ON a.name = b.other";
    let grouped = format!("{joined} GROUP BY Age HAVING Age > 0");
    for query in [
        format!("SELECT b.*, a.Age::text {joined} UNION ALL BY NAME SELECT Age FROM input"),
        format!("SELECT Age FROM input UNION BY NAME SELECT b.*, a.Age::text {joined}"),
        format!("SELECT Age::text {grouped} UNION ALL BY NAME SELECT Age::text FROM input"),
        format!("SELECT name FROM input UNION BY NAME SELECT Age::text {grouped} UNION BY NAME SELECT Age FROM input"),
    ] {
        let fault = refused(&query, &people()).await;
        assert!(fault.message().contains("UNION BY NAME does not match \"a.Age\""), "{query}: {fault:?}");
        assert!(fault.help_text().is_some_and(|help| help.contains("AS Age")), "{query}: {fault:?}");
    }
    for query in [
        format!("SELECT b.*, a.Age::text {joined} UNION ALL BY NAME SELECT b.*, a.Age::text {joined}"),
        format!("SELECT b.*, a.Age::text {joined} UNION ALL BY NAME SELECT name FROM input"),
        format!("SELECT Age::text {grouped} UNION ALL BY NAME SELECT Age::text FROM input AS a"),
        format!("SELECT b.*, a.Age::text AS Age {joined} UNION ALL BY NAME SELECT Age FROM input"),
        format!("SELECT b.*, a.Age::text {joined} UNION ALL SELECT name, '1' FROM input"),
    ] {
        ask_on(Bench::new(), &query, &[("input", people())]).await.expect(&query);
    }
}

#[tokio::test]
async fn a_frame_that_ends_where_nothing_is_counted_is_told() {
    for frame in ["CURRENT ROW AND 18446744073709551614 FOLLOWING", "9223372036854775808 PRECEDING AND CURRENT ROW"] {
        let query = format!("SELECT sum(Age) OVER (ORDER BY name ROWS BETWEEN {frame}) AS a FROM input LIMIT 3");
        let fault = refused(&query, &people()).await;
        assert!(fault.message().contains("a frame of a window reaches"), "{query}: {fault:?}");
        assert!(fault.help_text().is_some_and(|help| help.contains("UNBOUNDED")), "{query}: {fault:?}");
    }
}
