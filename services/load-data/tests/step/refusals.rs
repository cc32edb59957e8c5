//! What is refused, when, and in which words.

use crate::support::{Root, sheet_xml};
use arrow::array::*;
use arrow::datatypes::{DataType, Field, Int64Type, IntervalUnit, UnionFields, UnionMode};
use flight_common::testing::{batch, make_batch};
use flight_common::{Fault, FaultKind};
use serde_json::{Value, json};
use std::sync::Arc;

async fn refused(params: Value, batch: &RecordBatch) -> Fault {
    let root = Root::new();
    let fault = root.load(params.clone(), batch).await.expect_err(&params.to_string());
    assert!(root.files().is_empty(), "{params}: {:?}", root.files());
    assert!(fault.help_text().is_some(), "{params}: {fault} says not what to try");
    fault
}

fn some() -> RecordBatch {
    batch!("n" => Int64Array [1, 2])
}

#[tokio::test]
async fn a_dataset_name_that_is_no_name_is_refused() {
    for name in ["", ".", "..", "a/b", "a b", "ü", "a\0b", "../x", &"x".repeat(129)] {
        let fault = refused(json!({"dataset_name": name}), &some()).await;
        assert_eq!((fault.kind(), fault.violations()[0].pointer.as_str()), (FaultKind::BadParams, "/dataset_name"));
    }
    for name in [".quiver", ".Quiver"] {
        let fault = refused(json!({"dataset_name": name}), &some()).await;
        assert_eq!((fault.kind(), fault.violations()[0].pointer.as_str()), (FaultKind::Denied, "/dataset_name"));
    }
    Root::new().load(json!({"dataset_name": "x".repeat(128)}), &some()).await.expect("the longest name");
}

#[tokio::test]
async fn parameters_that_do_not_fit_are_refused_with_their_name() {
    for (params, pointer) in [
        (json!({"format": "parket"}), "/format"),
        (json!({"fromat": "csv"}), "/fromat"),
        (json!({"format": "csv", "compression": "snappy"}), "/compression"),
        (json!({"format": "xlsx", "compression": "gzip"}), "/compression"),
        (json!({"format": "arrow", "compression": "gzip"}), "/compression"),
        (json!({"format": "json", "delimiter": ";"}), "/delimiter"),
        (json!({"format": "parquet", "header": true}), "/header"),
        (json!({"format": "xlsx", "null_value": "NA"}), "/null_value"),
        (json!({"delimiter": ""}), "/delimiter"),
        (json!({"delimiter": "ab"}), "/delimiter"),
        (json!({"delimiter": "."}), "/delimiter"),
        (json!({"delimiter": "\""}), "/delimiter"),
        (json!({"delimiter": "5"}), "/delimiter"),
        (json!({"delimiter": ";", "null_value": "a;b"}), "/null_value"),
        (json!({"null_value": "a\"b"}), "/null_value"),
        (json!({"path": "a.dat"}), "/path"),
        (json!({"path": "folder/"}), "/path"),
        (json!({"path": ""}), "/path"),
    ] {
        let root = Root::new();
        let fault = root.load(params.clone(), &some()).await.expect_err(&params.to_string());
        assert_eq!(fault.kind(), FaultKind::BadParams, "{params}");
        assert_eq!(fault.violations()[0].pointer, pointer, "{params}");
        assert!(root.files().is_empty());
    }
}

#[tokio::test]
async fn the_ending_of_a_path_tells_the_format() {
    let root = Root::new();
    for (path, begins) in [("a.csv", &b"n\n"[..]), ("a.json", b"[\n"), ("a.ndjson", b"{\"n"), ("a.parquet", b"PAR1")] {
        assert!(root.bytes(json!({"path": path}), &some(), 1).await.starts_with(begins), "{path}");
    }
    // What is told outright counts for more.
    assert!(root.bytes(json!({"path": "b.csv", "format": "arrow"}), &some(), 1).await.starts_with(b"ARROW1"));
    assert!(root.bytes(json!({"path": "c.csv.gz", "compression": "none"}), &some(), 1).await.starts_with(b"n\n"));
    for path in ["e.parquet.gz", "e.arrow.zst", "e.xlsx.gz"] {
        let fault = root.load(json!({"path": path}), &some()).await.expect_err("it would not be compressed");
        assert_eq!((fault.kind(), fault.violations()[0].pointer.as_str()), (FaultKind::BadParams, "/path"), "{path}");
    }
    assert!(root.bytes(json!({"path": "/app/data/old/d.csv"}), &some(), 1).await.starts_with(b"n\n"));
    assert!(root.files().contains(&"old/d.csv".to_owned()));
}

#[tokio::test]
async fn other_delimiters_and_spellings_of_null_are_kept_apart_from_text() {
    let batch =
        batch!("a" => StringArray [Some("x;y"), Some("-"), None], "b" => StringArray [Some("x,y"), None, Some("")]);
    let root = Root::new();
    let text = root.text(json!({"delimiter": ";", "null_value": "-", "header": false}), &batch).await;
    assert_eq!(text, "\"x;y\";x,y\n\"-\";-\n-;\"\"\n");
    let text = root.text(json!({"delimiter": "\t"}), &batch).await;
    assert_eq!(text, "a\tb\nx;y\tx,y\n-\t\n\t\"\"\n");
}

#[tokio::test]
async fn columns_that_a_format_cannot_hold_are_refused_when_planned() {
    let list = ListArray::from_iter_primitive::<Int64Type, _, _>([Some([Some(1)])]);
    let lists = make_batch(vec![("plain", Arc::new(Int64Array::from(vec![1]))), ("items", Arc::new(list))]);
    for format in ["csv", "xlsx"] {
        let fault = refused(json!({"format": format}), &lists).await;
        assert_eq!((fault.kind(), fault.column_name()), (FaultKind::BadSchema, Some("items")), "{fault}");
    }
    let twice =
        make_batch(vec![("a", Arc::new(Int64Array::from(vec![1]))), ("a", Arc::new(Int64Array::from(vec![2])))]);
    let fault = refused(json!({"format": "json"}), &twice).await;
    assert_eq!((fault.kind(), fault.column_name()), (FaultKind::BadSchema, Some("a")));
    assert_eq!(Root::new().text(json!({}), &twice).await, "a,a\n1,2\n");
    let mut maps = MapBuilder::new(None, Int64Builder::new(), Int64Builder::new());
    maps.append(true).expect("a map");
    let maps = make_batch(vec![("m", Arc::new(maps.finish()))]);
    assert_eq!(refused(json!({"format": "json"}), &maps).await.kind(), FaultKind::BadSchema);
    let parts: UnionFields = [(0, Arc::new(Field::new("n", DataType::Int64, true)))].into_iter().collect();
    for lacking in [
        DataType::Interval(IntervalUnit::MonthDayNano),
        DataType::new_list(DataType::Interval(IntervalUnit::MonthDayNano), true),
        DataType::Union(parts, UnionMode::Dense),
        DataType::FixedSizeBinary(0),
    ] {
        let rows = make_batch(vec![("x", new_empty_array(&lacking))]);
        let fault = refused(json!({"format": "parquet"}), &rows).await;
        assert_eq!((fault.kind(), fault.column_name()), (FaultKind::BadSchema, Some("x")), "{lacking}: {fault}");
    }
    assert_eq!(
        refused(json!({}), &RecordBatch::new_empty(Arc::new(arrow::datatypes::Schema::empty()))).await.kind(),
        FaultKind::BadSchema
    );
}

#[tokio::test]
async fn a_sheet_of_excel_has_its_limits() {
    let root = Root::new();
    let longest = "😀".repeat(16_383);
    let fits = batch!("s" => StringArray [format!("{longest}x")]);
    root.load(json!({"format": "xlsx", "dataset_name": "history"}), &fits).await.expect("32,767 units");
    let fault =
        refused(json!({"format": "xlsx"}), &batch!("s" => StringArray ["a".to_owned(), format!("{longest}xy")])).await;
    assert_eq!((fault.kind(), fault.column_name(), fault.row_number()), (FaultKind::BadData, Some("s"), Some(2)));
    let wide =
        RecordBatch::try_from_iter((0..16_385).map(|n| (format!("c{n}"), Arc::new(NullArray::new(1)) as ArrayRef)));
    assert_eq!(refused(json!({"format": "xlsx"}), &wide.expect("a batch")).await.kind(), FaultKind::BadSchema);
    let name = "a-name-that-is-longer-than-a-sheet-may-be-called";
    root.load(json!({"format": "xlsx", "dataset_name": name}), &some()).await.expect("cut to 31");
}

#[tokio::test]
async fn a_sheet_is_full_at_its_last_row_and_not_before() {
    let nulls = |rows| make_batch(vec![("n", Arc::new(NullArray::new(rows)))]);
    let root = Root::new();
    let last = json!({"format": "xlsx", "path": "a.xlsx"});
    let path = root.load(last, &nulls(1_048_575)).await.expect("a full sheet");
    assert!(sheet_xml(&path).contains("<t>n</t>"));
    let fault = refused(json!({"format": "xlsx"}), &nulls(1_048_576)).await;
    assert_eq!((fault.kind(), fault.row_number()), (FaultKind::BadData, Some(1_048_576)));
    root.load(json!({"format": "xlsx", "header": false}), &nulls(1_048_576)).await.expect("no line of names");
}
