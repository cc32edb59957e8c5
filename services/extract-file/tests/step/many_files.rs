//! Several files as one table: patterns, folders, schemas that differ, and what need not be read.

use crate::support::{Folder, avro_of, file_of, parquet_of, shown};
use arrow::array::{
    ArrayRef, AsArray, Date32Array, DictionaryArray, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray, TimestampMillisecondArray, TimestampNanosecondArray,
};
use arrow::datatypes::{DataType, Int8Type, Int64Type, TimeUnit};
use flight_common::FaultKind;
use flight_common::testing::{batch, make_batch};
use serde_json::json;
use std::sync::Arc;

fn numbers(from: i64, to: i64) -> RecordBatch {
    batch!("n" => Int64Array (from..to).collect::<Vec<_>>())
}

#[tokio::test]
async fn files_come_in_the_order_of_their_paths_and_rows_in_theirs() {
    let folder = Folder::new();
    for (place, name) in ["a/2.parquet", "a/10.parquet", "b.parquet"].iter().enumerate() {
        let from = place as i64 * 1000;
        folder.write(name, parquet_of(&numbers(from, from + 1000), 300));
    }
    let rows = folder.rows(json!({"file_path": "**/*.parquet"})).await;
    let found: Vec<i64> = rows.column(0).as_primitive::<Int64Type>().values().to_vec();
    assert_eq!(found, [1000..2000, 0..1000, 2000..3000].into_iter().flatten().collect::<Vec<i64>>());
    let fault = folder.read(json!({"file_path": "*.avro"})).await.expect_err("none");
    assert_eq!((fault.kind(), fault.violations()[0].pointer.as_str()), (FaultKind::NotFound, "/file_path"));
}

#[tokio::test]
async fn columns_that_are_missing_are_null_and_numbers_widen() {
    let folder = Folder::new();
    let narrow = make_batch(vec![("n", Arc::new(Int32Array::from(vec![1, 2])) as ArrayRef)]);
    folder.write("a.parquet", parquet_of(&narrow, 10));
    folder.write("b.arrow", file_of(&batch!("n" => Int64Array [i64::MAX], "more" => StringArray ["x"])));
    folder.write("c.avro", avro_of(&batch!("n" => Int64Array [7])));
    let ran = folder.read(json!({"file_path": "[abc].*"})).await.expect("they go together");
    assert_eq!(ran.schema.field(0).data_type(), &DataType::Int64);
    assert_eq!(shown(&ran.rows()), ["1|∅", "2|∅", "9223372036854775807|x", "7|∅"]);
    let rows = folder.rows(json!({"file_path": "[abc].*", "where": "more IS NULL AND n > 1", "select": ["n"]})).await;
    assert_eq!(shown(&rows), ["2", "7"]);
    folder.write("d.arrow", file_of(&batch!("n" => StringArray ["x"])));
    let fault = folder.read(json!({"file_path": "[abd].*"})).await.expect_err("they do not");
    assert_eq!((fault.kind(), fault.column_name()), (FaultKind::BadData, Some("n")));
    assert!(fault.message().contains("a.parquet") && fault.message().contains("d.arrow"), "{fault}");
    assert_eq!(fault.violations()[0].pointer, "/file_path");
}

#[tokio::test]
async fn encodings_and_units_of_one_type_go_together() {
    let folder = Folder::new();
    let words: DictionaryArray<Int8Type> = vec!["a", "b", "a"].into_iter().collect();
    let coded = make_batch(vec![
        ("word", Arc::new(words) as ArrayRef),
        ("at", Arc::new(TimestampMillisecondArray::from(vec![1, 2, 3]))),
    ]);
    let plain = make_batch(vec![
        ("word", Arc::new(StringArray::from(vec!["c"])) as ArrayRef),
        ("at", Arc::new(TimestampMicrosecondArray::from(vec![2_500]))),
    ]);
    folder.write("a.parquet", parquet_of(&coded, 1));
    folder.write("b.arrow", file_of(&coded));
    folder.write("c.parquet", parquet_of(&plain, 10));
    let ran = folder.read(json!({"file_path": "*.*"})).await.expect("they go together");
    let types: Vec<_> = ran.schema.fields().iter().map(|field| field.data_type().clone()).collect();
    assert_eq!(types, [DataType::Utf8, DataType::Timestamp(TimeUnit::Microsecond, None)]);
    let late = json!({"file_path": "*.*", "where": "at >= TIMESTAMP '1970-01-01T00:00:00.0025'", "select": ["word"]});
    let ran = folder.read(late).await.expect("it reads");
    assert_eq!(shown(&ran.rows()), ["a", "a", "c"]);
    assert_eq!(ran.report.counters["parts_skipped"], 2, "{:?}", ran.report.counters);
}

#[tokio::test]
async fn folders_make_columns_and_rule_files_out() {
    let folder = Folder::new();
    for (year, zip) in [(2023, "01"), (2024, "01"), (2024, "a%2Fb"), (2025, "__HIVE_DEFAULT_PARTITION__")] {
        folder.write(&format!("s/year={year}/zip={zip}/x.parquet"), parquet_of(&numbers(0, 3), 10));
    }
    folder.write("s/year=2024/zip=01/y.avro", avro_of(&numbers(5, 6)));
    let ran = folder.read(json!({"file_path": "s/**/*.*"})).await.expect("it reads");
    let fields: Vec<_> =
        ran.schema.fields().iter().map(|field| (field.name().as_str(), field.data_type().clone())).collect();
    assert_eq!(fields, [("n", DataType::Int64), ("year", DataType::Int64), ("zip", DataType::Utf8)]);
    assert_eq!(shown(&ran.rows())[3..7], ["0|2024|01", "1|2024|01", "2|2024|01", "5|2024|01"]);
    assert_eq!(shown(&ran.rows())[7..].join(" "), "0|2024|a/b 1|2024|a/b 2|2024|a/b 0|2025|∅ 1|2025|∅ 2|2025|∅");
    let params =
        json!({"file_path": "s/**/*.*", "where": "year = 2024 AND zip = '01' AND n > 1", "select": ["zip", "n"]});
    let ran = folder.read(params).await.expect("it reads");
    assert_eq!(shown(&ran.rows()), ["01|2", "01|5"]);
    assert_eq!((ran.report.counters["files"], ran.report.counters["parts_skipped"]), (5, 3));
    let params = json!({"file_path": "s/**/*.*", "select": ["year"], "where": "zip IS NULL", "partition_types": {"year": "string"}});
    let ran = folder.read(params).await.expect("it reads");
    assert_eq!((shown(&ran.rows()), ran.schema.field(0).data_type()), (vec!["2025".to_owned(); 3], &DataType::Utf8));
    for wrong in [json!({"zip": "int64"}), json!({"yaer": "string"})] {
        let fault = folder.read(json!({"file_path": "s/**/*.*", "partition_types": wrong})).await.expect_err("refused");
        assert!(matches!(fault.kind(), FaultKind::BadData | FaultKind::BadParams), "{fault:?}");
    }
}

#[tokio::test]
async fn row_groups_that_cannot_match_are_not_read() {
    let folder = Folder::new();
    folder.write("a.parquet", parquet_of(&numbers(0, 10_000), 1000));
    for (condition, rows, skipped) in [
        ("n < 1500", 1500, 8),
        ("n < 1000 + 500 AND n * 2 >= 0", 1500, 8),
        ("-n > -1500", 1500, 8),
        ("n = 9999", 1, 9),
        ("n > 20000", 0, 10),
        ("n IN (5, 5005)", 2, 8),
        ("n IS NULL", 0, 10),
        ("n % 2 = 0", 5000, 0),
        ("n BETWEEN 1000 AND 1999 OR n = 0", 1001, 8),
    ] {
        let ran = folder.read(json!({"file_path": "a.parquet", "where": condition})).await.expect(condition);
        assert_eq!((ran.rows().num_rows(), ran.report.counters["parts_skipped"]), (rows, skipped), "{condition}");
    }
}

#[tokio::test]
async fn nan_is_found_though_no_statistics_count_it() {
    let folder = Folder::new();
    folder.write("a.parquet", parquet_of(&batch!("x" => Float64Array [1.0, f64::NAN, 2.0, -f64::NAN, 3.0]), 2));
    for (condition, rows) in [("x > 100", 2), ("x <> 3", 4), ("x < -100", 0), ("isnan(x)", 2), ("x = 3", 1)] {
        let ran = folder.read(json!({"file_path": "a.parquet", "where": condition})).await.expect(condition);
        assert_eq!(ran.rows().num_rows(), rows, "{condition}");
    }
}

#[tokio::test]
async fn instants_are_compared_whatever_the_zone_of_the_column() {
    let folder = Folder::new();
    // One second before 1970 in UTC, and one after.
    let times = TimestampNanosecondArray::from(vec![-1_000_000_000, 1_000_000_000]).with_timezone("Europe/Berlin");
    let rows = make_batch(vec![("t", Arc::new(times) as ArrayRef)]);
    folder.write("a.parquet", parquet_of(&rows, 1));
    folder.write("a.arrow", file_of(&rows));
    for name in ["a.parquet", "a.arrow"] {
        for (condition, found) in [
            ("t < TIMESTAMPTZ '1970-01-01T00:00:00Z'", 1),
            ("t < TIMESTAMPTZ '1970-01-01T01:00:02+01:00'", 2),
            ("t < TIMESTAMP '1970-01-01 00:00:00'", 0),
            ("t < TIMESTAMP '1970-01-01 01:00:00'", 1),
            ("t < '1970-01-01T00:00:00Z'", 1),
            ("t < now()", 2),
        ] {
            let rows = folder.rows(json!({"file_path": name, "where": condition})).await;
            assert_eq!(rows.num_rows(), found, "{name}: {condition}");
        }
    }
}

#[tokio::test]
async fn a_condition_is_computed_as_in_the_step_sql() {
    const DAY: i64 = 24 * 3600 * 1_000_000;
    let folder = Folder::new();
    let times = |days: Vec<i64>| -> ArrayRef {
        Arc::new(TimestampMicrosecondArray::from_iter_values(days.into_iter().map(|day| day * DAY)))
    };
    let rows = make_batch(vec![
        ("n", Arc::new(Int64Array::from(vec![1, 2, 3])) as ArrayRef),
        ("started", times(vec![0, 0, 0])),
        // The last is in the year 7445, which nanoseconds do not reach.
        ("ended", times(vec![1, 60, 2_000_000])),
        ("day", Arc::new(Date32Array::from(vec![1, 60, 2_000_000]))),
    ]);
    folder.write("a.parquet", parquet_of(&rows, 1));
    folder.write("a.arrow", file_of(&rows));
    for name in ["a.parquet", "a.arrow"] {
        for (condition, found) in [
            ("ended - started > INTERVAL '1 day'", vec!["2", "3"]),
            ("ended - started <= INTERVAL '24 hours'", vec!["1"]),
            ("ended - started NOT BETWEEN INTERVAL '2 hours' AND INTERVAL '2 days'", vec!["2", "3"]),
            ("ended < TIMESTAMP '9999-12-31'", vec!["1", "2", "3"]),
            ("day >= TIMESTAMP '1970-03-02'", vec!["2", "3"]),
            ("ended > now()", vec!["3"]),
            ("CAST(n AS TIMESTAMP) > TIMESTAMP '1970-01-01 00:00:01'", vec!["2", "3"]),
            ("date_trunc('year', ended) = TIMESTAMP '7445-01-01'", vec!["3"]),
            ("repeat('x', n) = 'xx'", vec!["2"]),
        ] {
            let rows = folder.rows(json!({"file_path": name, "where": condition, "select": ["n"]})).await;
            assert_eq!(shown(&rows), found, "{name}: {condition}");
        }
    }
}

#[tokio::test]
async fn a_condition_holds_of_the_folder_and_not_of_a_column_of_its_name() {
    let folder = Folder::new();
    folder.write("s/n=7/a.parquet", parquet_of(&numbers(0, 1000), 100));
    let ran = folder.read(json!({"file_path": "s/n=*/*.parquet", "where": "n = 7"})).await.expect("it reads");
    assert_eq!((ran.rows().num_rows(), ran.schema.fields().len()), (1000, 1));
    assert!(ran.rows().column(0).as_primitive::<Int64Type>().values().iter().all(|n| *n == 7));
    let ran = folder.read(json!({"file_path": "s/n=*/*.parquet", "where": "n = 8"})).await.expect("it reads");
    assert_eq!(ran.rows().num_rows(), 0);
}

#[tokio::test]
async fn rows_are_counted_where_only_a_folder_is_wanted() {
    let folder = Folder::new();
    folder.write("y=1/a.ndjson", "{\"n\": 1}\n{\"n\": 2}\n");
    folder.write("y=1/b.json", "[{\"n\": 3}]");
    folder.write("y=1/c.arrow", file_of(&numbers(4, 6)));
    folder.write("y=1/d.avro", avro_of(&numbers(6, 8)));
    folder.write("y=1/e.parquet", parquet_of(&numbers(8, 11), 2));
    let rows = folder.rows(json!({"file_path": "y=*/*", "select": ["y"]})).await;
    assert_eq!((rows.num_rows(), rows.num_columns()), (10, 1));
    let rows = folder.rows(json!({"file_path": "y=*/*", "select": ["y"], "where": "y = 1 AND n > 1"})).await;
    assert_eq!(rows.num_rows(), 9);
}

#[tokio::test]
async fn memory_stays_small_beside_the_files() {
    let folder = Folder::new();
    let texts: Vec<String> = (0..200_000).map(|n| format!("a text that takes some room, number {n}")).collect();
    let rows = batch!("n" => Int64Array (0..200_000).collect::<Vec<i64>>(), "s" => StringArray texts);
    for name in ["a.parquet", "b.parquet", "c.parquet"] {
        folder.write(name, parquet_of(&rows, 50_000));
    }
    let bench = flight_common::testing::Bench::at(folder.path()).memory(16 << 20);
    let step = flight_common::registry::erase(extract_file::ExtractFile);
    let (_, mut driven) = bench.start(&*step, &json!({"file_path": "*.parquet"}), Vec::new()).await.expect("it starts");
    let output = driven.outputs.remove(0).expect("the main output");
    let counted = flight_common::compute::spawn(async move {
        use futures::TryStreamExt;
        output.try_fold(0, |rows, batch| async move { Ok(rows + batch.num_rows()) }).await
    });
    assert_eq!(counted.await.expect("it ends").expect("it reads"), 600_000);
    let budget = bench.env.space.budget();
    assert!(budget.peak() > 0 && budget.peak() < 16 << 20, "{}", budget.peak());
    assert_eq!(budget.used(), 0);
}
