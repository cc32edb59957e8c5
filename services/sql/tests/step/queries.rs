//! What queries give: all that needs no step of its own, and what becomes of types and names.

use crate::support::{ask, ask_on, refused, shown};
use arrow::array::{
    Array, ArrayRef, AsArray, Decimal128Array, DictionaryArray, Int64Array, RecordBatch, StringViewArray,
    TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Int32Type, Int64Type, TimeUnit};
use flight_common::testing::contract::awkward;
use flight_common::testing::{Bench, batch, make_batch};
use std::sync::Arc;

fn orders() -> RecordBatch {
    batch!(
        "Id" => Int64Array [1, 2, 3, 4, 4],
        "region" => StringArray [Some("north"), Some("south"), Some("north"), None, None],
        "amount" => Int64Array [Some(10), Some(20), None, Some(40), Some(40)],
    )
}

#[tokio::test]
async fn filter_rename_and_cast() {
    let rows = ask("SELECT * FROM input WHERE amount > 10 AND region IS NOT NULL", &orders()).await;
    assert_eq!(rows, orders().slice(1, 1));
    let rows = ask("SELECT * EXCLUDE (amount), amount AS total FROM input ORDER BY Id LIMIT 1", &orders()).await;
    assert_eq!(
        rows.schema().fields().iter().map(|field| field.name().as_str()).collect::<Vec<_>>(),
        ["Id", "region", "total"]
    );
    let rows = ask("SELECT CAST(Id AS VARCHAR) AS t, CAST(amount AS DECIMAL(10, 2)) AS d, upper(region) AS u FROM input ORDER BY t LIMIT 3", &orders()).await;
    assert_eq!(shown(&rows), ["1|10.00|NORTH", "2|20.00|SOUTH", "3|∅|NORTH"]);
    let types: Vec<DataType> = rows.schema().fields().iter().map(|field| field.data_type().clone()).collect();
    assert_eq!(types, [DataType::Utf8, DataType::Decimal128(10, 2), DataType::Utf8]);
}

#[tokio::test]
async fn aggregate_and_deduplicate() {
    let query = "SELECT region, count(*) AS n, sum(amount) AS total, array_agg(Id ORDER BY Id) AS ids \
                 FROM input GROUP BY region ORDER BY region NULLS FIRST";
    assert_eq!(shown(&ask(query, &orders()).await), ["∅|2|80|[4, 4]", "north|2|10|[1, 3]", "south|1|20|[2]"]);
    let rows = ask("SELECT DISTINCT * FROM input ORDER BY Id", &orders()).await;
    assert_eq!(rows, orders().slice(0, 4));
    let rows =
        ask("SELECT DISTINCT ON (region) region, amount FROM input ORDER BY region, amount DESC NULLS LAST", &orders())
            .await;
    assert_eq!(shown(&rows), ["north|10", "south|20", "∅|40"]);
    assert_eq!(shown(&ask("SELECT count(*) AS n FROM input WHERE false", &orders()).await), ["0"]);
}

#[tokio::test]
async fn windows_and_qualify() {
    let query = "SELECT Id, sum(amount) OVER (ORDER BY Id, region ROWS UNBOUNDED PRECEDING) AS so_far, \
                 max(amount) OVER (PARTITION BY region) AS most, count(*) OVER () AS n FROM input ORDER BY Id";
    assert_eq!(shown(&ask(query, &orders()).await), ["1|10|10|5", "2|30|20|5", "3|30|10|5", "4|70|40|5", "4|110|40|5"]);
    let query =
        "SELECT Id, amount FROM input QUALIFY row_number() OVER (PARTITION BY Id ORDER BY amount) = 1 ORDER BY Id";
    assert_eq!(ask(query, &orders()).await.num_rows(), 4);
}

#[tokio::test]
async fn windows_of_many_long_partitions() {
    let rows = 300_000i64;
    let input = batch!(
        "k" => Int64Array (0..rows).map(|n| if n < 200_000 { -1 } else { n / 7 }).collect::<Vec<_>>(),
        "v" => Int64Array (0..rows).collect::<Vec<_>>(),
    );
    let query = "SELECT count(*) AS n, sum(c) AS c, max(m - v) AS far FROM \
                 (SELECT v, count(*) OVER (PARTITION BY k) AS c, max(v) OVER (PARTITION BY k) AS m FROM input)";
    let found = shown(&ask(query, &input).await);
    let others: i64 = {
        let mut sizes = std::collections::HashMap::<i64, i64>::new();
        (200_000..rows).for_each(|n| *sizes.entry(n / 7).or_default() += 1);
        sizes.values().map(|size| size * size).sum()
    };
    assert_eq!(found, [format!("300000|{}|199999", 200_000i64 * 200_000 + others)]);
}

#[tokio::test]
async fn union_and_joins_of_named_inputs() {
    let more = batch!("amount" => Int64Array [7], "Id" => Int64Array [9]);
    let tables = [("north", orders()), ("so-uth", more)];
    let query = "SELECT 'n' AS at, Id, amount FROM north WHERE Id < 3 UNION ALL BY NAME SELECT 's' AS at, * FROM \"so-uth\" ORDER BY Id";
    let ran = ask_on(Bench::new(), query, &tables).await.expect("it runs");
    assert_eq!(shown(&ran.rows()), ["n|1|10", "n|2|20", "s|9|7"]);
    assert_eq!((ran.report.counters["rows_north"], ran.report.counters["rows_so-uth"]), (5, 1));
    let names = batch!("region" => StringArray ["north", "west"], "head" => StringArray ["Ann", "Bo"]);
    let heads = |join: &str, on: &str| format!("SELECT o.Id, n.head FROM orders o {join} names n {on} ORDER BY o.Id");
    // All columns come in the order of the tables, and not of their names.
    let all = |join: &str| format!("SELECT * FROM orders {join} names USING (region) ORDER BY Id");
    let full = heads("FULL JOIN", "ON o.region = n.region");
    for (query, wanted) in [
        (heads("JOIN", "USING (region)"), &["1|Ann", "3|Ann"][..]),
        (heads("LEFT JOIN", "USING (region)"), &["1|Ann", "2|∅", "3|Ann", "4|∅", "4|∅"]),
        (full, &["1|Ann", "2|∅", "3|Ann", "4|∅", "4|∅", "∅|Bo"]),
        (all("JOIN"), &["1|north|10|Ann", "3|north|∅|Ann"]),
        (all("LEFT JOIN"), &["1|north|10|Ann", "2|south|20|∅", "3|north|∅|Ann", "4|∅|40|∅", "4|∅|40|∅"]),
    ] {
        let ran =
            ask_on(Bench::new(), &query, &[("orders", orders()), ("names", names.clone())]).await.expect("it runs");
        assert_eq!(shown(&ran.rows()), wanted, "{query}");
    }
}

#[tokio::test]
async fn subqueries_and_common_tables() {
    let query = "WITH big AS (SELECT * FROM input WHERE amount >= (SELECT avg(amount) FROM input)) \
                 SELECT Id, (SELECT count(*) FROM big) AS n FROM big WHERE EXISTS (SELECT 1 FROM input i WHERE i.Id = big.Id) ORDER BY Id";
    assert_eq!(shown(&ask(query, &orders()).await), ["4|2", "4|2"]);
    let rows =
        ask("SELECT Id FROM input WHERE Id NOT IN (SELECT Id FROM input WHERE Id > 2) ORDER BY Id", &orders()).await;
    assert_eq!(shown(&rows), ["1", "2"]);
}

#[tokio::test]
async fn a_table_of_values_and_numbers() {
    let rows = ask(
        "SELECT i.Id, g.value AS day FROM generate_series(1, 2) AS g CROSS JOIN input i WHERE i.Id < 2 ORDER BY 2",
        &orders(),
    )
    .await;
    assert_eq!(shown(&rows), ["1|1", "1|2"]);
    let rows = ask("SELECT v.name, i.Id FROM (VALUES (1, 'one'), (2, 'two')) AS v(id, name) JOIN input i ON i.Id = v.id ORDER BY 2", &orders()).await;
    assert_eq!(shown(&rows), ["one|1", "two|2"]);
}

#[tokio::test]
async fn types_that_only_pass_stay_and_values_too() {
    let input = awkward(100);
    let query = format!(
        "SELECT {} FROM input ORDER BY id",
        input.schema().fields().iter().map(|field| format!("\"{}\"", field.name())).collect::<Vec<_>>().join(", ")
    );
    assert_eq!(ask(&query, &input).await, input);
    assert_eq!(
        ask("SELECT max(count) AS m FROM input", &input).await["m"].as_primitive::<Int64Type>().value(0),
        (1 << 53) + 1
    );
}

#[tokio::test]
async fn extremes_survive_groups_and_sorts() {
    let wide = Decimal128Array::from(vec![Some(10i128.pow(37) + 1), None, Some(-1)]).with_precision_and_scale(38, 3);
    let times = TimestampMicrosecondArray::from(vec![Some(-1), None, Some(1)]).with_timezone("Europe/Berlin");
    let input = make_batch(vec![
        ("d", Arc::new(wide.expect("they fit")) as ArrayRef),
        ("t", Arc::new(times)),
        ("s", Arc::new(arrow::array::StringArray::from(vec![Some("𝒳"), None, Some("")]))),
    ]);
    let query = "SELECT d, t, s FROM input GROUP BY d, t, s ORDER BY d NULLS LAST";
    let rows = ask(query, &input).await;
    assert_eq!(shown(&rows)[1].split('|').next(), Some("10000000000000000000000000000000000.001"));
    assert_eq!(
        rows.schema().field(1).data_type(),
        &DataType::Timestamp(TimeUnit::Microsecond, Some("Europe/Berlin".into()))
    );
    assert_eq!((rows.num_rows(), rows.column(2).null_count()), (3, 1));
}

#[tokio::test]
async fn nan_and_zeros_are_told_apart_as_sql_says() {
    let input = batch!("x" => Float64Array [Some(f64::NAN), Some(f64::INFINITY), None, Some(0.0), Some(-0.0)]);
    let rows = ask("SELECT x FROM input WHERE x = x ORDER BY x", &input).await;
    assert_eq!(rows.num_rows(), 4, "NaN equals itself, and a null does not");
    assert_eq!(
        shown(&ask("SELECT count(x) AS n, max(x) AS m FROM input WHERE x < 'infinity'::double", &input).await),
        ["2|0.0"]
    );
}

#[tokio::test]
async fn both_zeros_are_one_number_wherever_they_are_looked_up() {
    let input = batch!(
        "n" => Int64Array [1, 2, 3, 4, 5, 6],
        "x" => Float64Array [Some(0.0), Some(-0.0), Some(0.0), Some(-0.0), Some(7.0), None],
    );
    for x in ["x", "CAST(x AS FLOAT)"] {
        let from = format!("FROM (SELECT n, {x} AS x FROM input)");
        for (query, wanted) in [
            ("SELECT sum(n) AS n FROM t WHERE x IN (0, 7)", "15"),
            ("SELECT sum(n) AS n FROM t WHERE x IN (-0.0, 8, 9, 10, 11)", "10"),
            ("SELECT sum(n) AS n FROM t WHERE x NOT IN (0, 8, 9, 10, 11)", "5"),
            ("SELECT sum(n) AS n FROM t WHERE x = 0 OR x = 8 OR x = 9 OR x = 10 OR x = 11", "10"),
            ("SELECT sum(n) AS n FROM t WHERE nullif(x, 0) IS NULL", "16"),
            ("SELECT sum(CASE x WHEN 0 THEN n WHEN 7 THEN 100 ELSE 1000 END) AS n FROM t", "1110"),
            ("SELECT count(DISTINCT x) AS n, count(*) AS all FROM t", "2|6"),
            ("SELECT count(DISTINCT x) FILTER (WHERE n < 5) AS n, count(DISTINCT n) AS m FROM t", "1|6"),
            ("SELECT max(d) AS n FROM (SELECT dense_rank() OVER (ORDER BY x) AS d FROM t WHERE x = 0)", "2"),
            ("SELECT max(d) AS n FROM (SELECT count(*) OVER (PARTITION BY x) AS d FROM t WHERE x = -0.0)", "2"),
        ] {
            let query = query.replace("FROM t", &from);
            assert_eq!(shown(&ask(&query, &input).await), [wanted], "{query}");
        }
    }
}

#[tokio::test]
async fn nan_is_the_greatest_of_a_group_whatever_the_order_of_rows() {
    for values in [[1.0, f64::NAN, 2.0], [f64::NAN, 1.0, 2.0], [1.0, 2.0, f64::NAN]] {
        let mut all = values.to_vec();
        all.extend([f64::NAN, f64::NAN, 3.0, f64::INFINITY]);
        let input = make_batch(vec![
            ("g", Arc::new(Int64Array::from(vec![1, 1, 1, 2, 2, 3, 3])) as ArrayRef),
            ("x", Arc::new(arrow::array::Float64Array::from(all))),
        ]);
        for x in ["x", "CAST(x AS FLOAT)"] {
            let query = format!("SELECT g, min({x}) AS a, max({x}) AS b FROM input GROUP BY g ORDER BY g");
            assert_eq!(shown(&ask(&query, &input).await), ["1|1.0|NaN", "2|NaN|NaN", "3|3.0|inf"], "{values:?}");
        }
    }
}

#[tokio::test]
async fn views_leave_only_where_views_came_in() {
    let plain = batch!("s" => StringArray ["a long text that is no inline view", "b"]);
    let query = "SELECT s || 'x' AS a, substr(s, 2) AS b, split_part(s, ' ', 2) AS c, array_agg(s) OVER () AS d, \
                 CASE WHEN s = 'b' THEN 'y' END AS e FROM input";
    for field in ask(query, &plain).await.schema().fields() {
        assert!(!format!("{:?}", field.data_type()).contains("View"), "{field:?}");
    }
    let views = make_batch(vec![("s", Arc::new(StringViewArray::from(vec!["a", "b"])) as ArrayRef)]);
    assert_eq!(ask("SELECT s FROM input ORDER BY s", &views).await, views);
}

#[tokio::test]
async fn dictionaries_pass_and_group() {
    let words: DictionaryArray<Int32Type> = ["a", "b", "a"].into_iter().collect();
    let input = make_batch(vec![("w", Arc::new(words) as ArrayRef)]);
    let rows = ask("SELECT w, count(*) AS n FROM input GROUP BY w ORDER BY w", &input).await;
    assert_eq!(shown(&rows), ["a|2", "b|1"]);
    assert_eq!(rows.schema().field(0), input.schema().field(0));
}

#[tokio::test]
async fn odd_names_are_names() {
    let input = batch!("a.b" => Int64Array [1], "A" => Int64Array [2], "a" => Int64Array [3], "order date" => Int64Array [4], "" => Int64Array [5]);
    let rows = ask("SELECT \"a.b\", A, a, \"order date\", A + a AS Sum FROM input", &input).await;
    assert_eq!(shown(&rows), ["1|2|3|4|5"]);
    assert_eq!(rows.schema().field(4).name(), "Sum");
    assert_eq!(ask("SELECT * FROM input", &input).await, input);
}

#[tokio::test]
async fn an_order_is_kept_where_the_query_asks_for_one() {
    let rows: Vec<i64> = (0..100_000).map(|n| (n * 7919) % 100_003).collect();
    let input = batch!("n" => Int64Array rows);
    let sorted = ask("SELECT n FROM input ORDER BY n DESC", &input).await;
    assert!(sorted.column(0).as_primitive::<Int64Type>().values().windows(2).all(|pair| pair[0] >= pair[1]));
    assert_eq!(shown(&ask("SELECT n FROM input ORDER BY n LIMIT 2 OFFSET 1", &input).await), ["1", "2"]);
}

#[tokio::test]
async fn timestamps_are_in_microseconds_and_of_any_year() {
    let input =
        batch!("s" => StringArray ["0001-01-01 00:00:00", "9999-12-31 23:59:59.999999"], "n" => Int64Array [0, 60]);
    let rows = ask(
        "SELECT CAST(s AS TIMESTAMP) AS t, TRY_CAST(s AS TIMESTAMPTZ) AS z, CAST(n AS TIMESTAMP) AS n, \
         TIMESTAMP '9999-12-31 00:00:00' AS l, CAST(s AS TIMESTAMP(3)) AS m FROM input ORDER BY t",
        &input,
    )
    .await;
    let micros = |zone: Option<&str>| DataType::Timestamp(TimeUnit::Microsecond, zone.map(Into::into));
    let types: Vec<DataType> = rows.schema().fields().iter().map(|field| field.data_type().clone()).collect();
    let millis = DataType::Timestamp(TimeUnit::Millisecond, None);
    assert_eq!(types, [micros(None), micros(Some("UTC")), micros(None), micros(None), millis]);
    assert_eq!(
        shown(&rows),
        [
            "0001-01-01T00:00:00|0001-01-01T00:00:00Z|1970-01-01T00:00:00|9999-12-31T00:00:00|0001-01-01T00:00:00",
            "9999-12-31T23:59:59.999999|9999-12-31T23:59:59.999999Z|1970-01-01T00:01:00|9999-12-31T00:00:00|9999-12-31T23:59:59.999",
        ]
    );
    let later =
        "SELECT count(*) AS n FROM input WHERE CAST(s AS TIMESTAMP) + INTERVAL '1 day' > TIMESTAMP '9000-01-01'";
    assert_eq!(shown(&ask(later, &input).await), ["1"]);
}

#[tokio::test]
async fn numbers_beside_decimals_are_what_is_written() {
    let prices = Decimal128Array::from(vec![250, 100_005, -250]).with_precision_and_scale(10, 2).expect("decimals");
    let wide = Decimal128Array::from(vec![12_345_678_901_234_567_890_123_456_789_i128, 2, 3])
        .with_precision_and_scale(38, 10)
        .expect("decimals");
    let whole = Int64Array::from(vec![9_007_199_254_740_993, 9_007_199_254_740_992, 1]);
    let rows = RecordBatch::try_from_iter([
        ("price", Arc::new(prices) as ArrayRef),
        ("wide", Arc::new(wide) as ArrayRef),
        ("n", Arc::new(whole) as ArrayRef),
    ])
    .expect("rows");
    let of = async |query: &str| shown(&ask(query, &rows).await);
    let taxed = "SELECT CAST(price * 1.19 AS DECIMAL(10,2)) AS a, price * (1 + 0.19) AS b, 1.1 * price AS c, price / 4.0 AS d \
                 FROM input ORDER BY n DESC";
    assert_eq!(
        of(taxed).await,
        ["2.98|2.9750|2.750|0.625", "1190.06|1190.0595|1100.055|250.0125", "-2.98|-2.9750|-2.750|-0.625"]
    );
    assert_eq!(of("SELECT CAST(1.005 AS DECIMAL(10,2)) AS a FROM input LIMIT 1").await, ["1.01"]);
    assert_eq!(of("SELECT n FROM input WHERE n = 9007199254740992.0").await, ["9007199254740992"]);
    assert_eq!(of("SELECT n FROM input WHERE price BETWEEN 2.4 AND 2.6 OR price IN (1000.05)").await.len(), 2);
    let chosen = "SELECT coalesce(price, 0.0) AS a, CASE WHEN n > 1 THEN price ELSE 0.5 END AS b FROM input ORDER BY n";
    assert_eq!(of(chosen).await, ["-2.50|0.50", "1000.05|1000.05", "2.50|2.50"]);
    let types = ask("SELECT n * 1.5 AS a, 0.5 AS b, CAST(n AS DOUBLE) * 1.1 AS c FROM input", &rows).await;
    assert!(types.schema().fields().iter().all(|field| *field.data_type() == DataType::Float64));
    let equal = "SELECT count(*) AS n FROM input WHERE wide = CAST('1234567890123456789.0123456789' AS DECIMAL(38,10))";
    assert_eq!(of(equal).await, ["1"]);
    for whole in ["n IN (9007199254740992.0, 5.0)", "n BETWEEN 9007199254740992.0 AND 9007199254740992.0"] {
        assert_eq!(of(&format!("SELECT n FROM input WHERE {whole}")).await, ["9007199254740992"], "{whole}");
    }
    let between =
        "SELECT n FROM input WHERE 9007199254740992.0 BETWEEN CAST(n AS DECIMAL(20,0)) AND CAST(n AS DECIMAL(20,0))";
    assert_eq!(of(between).await, ["9007199254740992"]);
    // Where no decimal holds both, floats tell them apart.
    assert_eq!(of("SELECT count(*) AS n FROM input WHERE wide < 1e30 AND price BETWEEN -1e37 AND 1e38").await, ["3"]);
    let types =
        "SELECT CAST(price AS DECIMAL(38,30)) * 0.000000001 AS a, CAST(price AS DECIMAL(38,2)) + 1.191 AS b FROM input";
    let types = ask(types, &rows).await.schema();
    assert_eq!(
        types.fields().iter().map(|field| field.data_type().clone()).collect::<Vec<_>>(),
        [DataType::Float64, DataType::Decimal128(38, 3)]
    );
    let fault = refused("SELECT n FROM input WHERE wide = 1234567890123456789.0123456789", &rows).await;
    assert!(fault.help_text().is_some_and(|help| help.contains("CAST('1234567890123456789.0123456789'")), "{fault:?}");
}

#[tokio::test]
async fn times_of_any_year_are_truncated() {
    // A Monday, a Friday, and days on both sides of where nanoseconds end.
    let days = batch!("day" => Date32Array [Some(-719_162), Some(2_932_896), Some(106_751), Some(106_752), Some(19_782), None]);
    let truncated = |part: &str| {
        let query = format!("SELECT date_trunc('{part}', day) AS t FROM input ORDER BY day NULLS FIRST");
        let days = days.clone();
        async move { shown(&ask(&query, &days).await).iter().map(|time| time.replace("T00:00:00", "")).collect::<Vec<_>>() }
    };
    let [year, day] = [truncated("year").await, truncated("day").await];
    assert_eq!(year, ["∅", "0001-01-01", "2024-01-01", "2262-01-01", "2262-01-01", "9999-01-01"]);
    assert_eq!(day, ["∅", "0001-01-01", "2024-02-29", "2262-04-11", "2262-04-12", "9999-12-31"]);
    let [quarter, week] = [truncated("quarter").await, truncated("week").await];
    assert_eq!(quarter, ["∅", "0001-01-01", "2024-01-01", "2262-04-01", "2262-04-01", "9999-10-01"]);
    assert_eq!(week, ["∅", "0001-01-01", "2024-02-26", "2262-04-07", "2262-04-07", "9999-12-27"]);
    let constants = "SELECT date_trunc('month', TIMESTAMP '9999-12-31 23:59:59.5') AS m, \
                     date_trunc('hour', TIMESTAMPTZ '0001-01-01 12:34:56Z') AS h, \
                     date_trunc('minute', CAST('2300-05-06 07:08:09' AS TIMESTAMP(0))) AS s, \
                     date_trunc('year', '2300-05-06') AS t, date_trunc('hour', TIME '12:34:56') AS c FROM input LIMIT 1";
    let told = "9999-12-01T00:00:00|0001-01-01T12:00:00Z|2300-05-06T07:08:00|2300-01-01T00:00:00|12:00:00";
    assert_eq!(shown(&ask(constants, &days).await), [told]);
}

#[tokio::test]
async fn now_compares_with_days_of_any_year() {
    let days = batch!("day" => Date32Array [2_932_896, 0, -719_162]);
    let rows = ask(
        "SELECT day, day > now() AS later, CAST(now() AS TIMESTAMP) < day AS so,
           day BETWEEN TIMESTAMP '0001-01-01 00:00:00' AND TIMESTAMP '1999-01-01 00:00:00' AS old, now() = current_timestamp AS same
         FROM input ORDER BY day",
        &days,
    )
    .await;
    assert_eq!(
        shown(&rows),
        ["0001-01-01|false|false|true|true", "1970-01-01|false|false|true|true", "9999-12-31|true|true|false|true",]
    );
    let since =
        ask("SELECT now() - TIMESTAMPTZ '2024-01-01 00:00:00Z' > INTERVAL '1 day' AS s FROM input LIMIT 1", &days);
    assert_eq!(shown(&since.await), ["true"]);
}

#[tokio::test]
async fn intervals_are_compared_by_their_length() {
    let times = batch!(
        "a" => TimestampMicrosecondArray [Some(60 * 86_400_000_000), Some(3_600_000_000), None],
        "b" => TimestampMicrosecondArray [0, 0, 0]
    );
    let rows = ask(
        "SELECT a - b > INTERVAL '1 day' AS day, a - b = INTERVAL '60 days' AS sixty, INTERVAL '1 hour' >= a - b AS hour,
           a - b BETWEEN INTERVAL '59 minutes' AND INTERVAL '1 day' AS within,
           a - b NOT BETWEEN INTERVAL '59 minutes' AND INTERVAL '1 day' AS outside,
           INTERVAL '30 hours' > INTERVAL '1 day' AS more, a - b > -INTERVAL '1 day' AS less FROM input",
        &times,
    );
    let wanted = ["true|true|false|false|true|true|true", "false|false|true|true|false|true|true", "∅|∅|∅|∅|∅|true|∅"];
    assert_eq!(shown(&rows.await), wanted);
    for query in [
        "SELECT a FROM input WHERE a - b > INTERVAL '1 month'",
        "SELECT a FROM input WHERE a - b IN (INTERVAL '1 day')",
    ] {
        let fault = refused(query, &times).await;
        assert!(fault.message().contains("has no length that could be compared"), "{fault:?}");
    }
}

#[tokio::test]
async fn times_of_the_day_compare_with_the_columns_of_most_sources() {
    let hours = [9, 10, 11].map(|hour| hour * 3_600_000_000);
    let rows = batch!("t" => Time64MicrosecondArray hours.to_vec());
    let query = "SELECT count(*) AS n FROM input WHERE t > TIME '09:30:00' AND t <= CAST('10:00:00' AS TIME)";
    assert_eq!(shown(&ask(query, &rows).await), ["1"]);
}
