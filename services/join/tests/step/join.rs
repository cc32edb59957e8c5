//! What `join` means.

use crate::support::{run, sorted_rows};
use arrow::array::{RecordBatch, new_null_array};
use arrow::datatypes::{DataType, TimeUnit};
use flight_common::testing::{Bench, batch};
use flight_common::{BatchStream, Fault, FaultKind};
use futures::{StreamExt, stream};
use join::Join;
use serde_json::{Value, json};
use std::sync::Arc;

/// Key 1 twice on both sides, 2 on the left only, 3 on the right only, and a null key on both.
fn orders() -> RecordBatch {
    batch!("id" => Int64Array [Some(1), Some(1), Some(2), None], "what" => StringArray ["ant", "bee", "cat", "dog"])
}

fn customers() -> RecordBatch {
    batch!("id" => Int64Array [Some(1), Some(3), Some(1), None], "who" => StringArray ["Ann", "Bob", "Cy", "Di"])
}

async fn joined(params: Value, left: &RecordBatch, right: &RecordBatch) -> Vec<String> {
    let whole = run(&Bench::new(), params.clone(), left, right).await.expect("it runs");
    let single = run(&Bench::new().batches_of(1), params, left, right).await.expect("it runs on 1-row batches");
    assert_eq!(sorted_rows(&whole.rows()), sorted_rows(&single.rows()));
    sorted_rows(&whole.rows())
}

async fn refused(params: Value, left: &RecordBatch, right: &RecordBatch) -> Fault {
    run(&Bench::new(), params, left, right).await.expect_err("refused")
}

fn of_type(join_type: &str) -> Value {
    json!({"join_key": "id", "join_type": join_type})
}

const PAIRS: [&str; 4] = ["1|ant|Ann", "1|ant|Cy", "1|bee|Ann", "1|bee|Cy"];

fn with(more: &[&'static str]) -> Vec<&'static str> {
    let mut rows = [&PAIRS, more].concat();
    rows.sort_unstable();
    rows
}

#[tokio::test]
async fn each_type_gives_its_rows() {
    let (left, right) = (orders(), customers());
    assert_eq!(joined(json!({"join_key": "id"}), &left, &right).await, PAIRS);
    assert_eq!(joined(of_type("inner"), &left, &right).await, PAIRS);
    assert_eq!(joined(of_type("left"), &left, &right).await, with(&["2|cat|null", "null|dog|null"]));
    assert_eq!(joined(of_type("right"), &left, &right).await, with(&["3|null|Bob", "null|null|Di"]));
    let outer = with(&["2|cat|null", "null|dog|null", "3|null|Bob", "null|null|Di"]);
    assert_eq!(joined(of_type("outer"), &left, &right).await, outer);
    assert_eq!(joined(of_type("full"), &left, &right).await, outer);
    assert_eq!(joined(of_type("semi"), &left, &right).await, ["1|ant", "1|bee"]);
    assert_eq!(joined(of_type("anti"), &left, &right).await, ["2|cat", "null|dog"]);
}

#[tokio::test]
async fn null_keys_match_only_if_asked_to() {
    let (left, right) = (orders(), customers());
    let with_nulls = |join_type: &str| json!({"join_key": "id", "join_type": join_type, "null_equals_null": true});
    assert_eq!(joined(with_nulls("inner"), &left, &right).await, with(&["null|dog|Di"]));
    let outer = with(&["2|cat|null", "3|null|Bob", "null|dog|Di"]);
    assert_eq!(joined(with_nulls("outer"), &left, &right).await, outer);
    assert_eq!(joined(with_nulls("anti"), &left, &right).await, ["2|cat"]);
}

#[tokio::test]
async fn several_keys_must_all_be_equal() {
    let left = batch!("a" => Int64Array [1, 1, 2], "b" => StringArray ["x", "y", "x"], "l" => Int64Array [10, 11, 12]);
    let right = batch!("b" => StringArray ["y", "x", "z"], "a" => Int64Array [1, 2, 2], "r" => Int64Array [20, 21, 22]);
    for key in [json!(["a", "b"]), json!("a, b"), json!(["b", "a"])] {
        assert_eq!(joined(json!({"join_key": key}), &left, &right).await, ["1|y|11|20", "2|x|12|21"]);
    }
}

#[tokio::test]
async fn keys_may_have_different_names() {
    let left = batch!("customer" => Int64Array [1, 2], "name" => StringArray ["ant", "bee"]);
    let right = batch!("id" => Int64Array [2, 3], "name" => StringArray ["Bob", "Cy"]);
    let params = json!({"left_on": "customer", "right_on": ["id"], "join_type": "outer"});
    let ran = run(&Bench::new(), params, &left, &right).await.expect("it runs");
    let names: Vec<&str> = ran.schema.fields().iter().map(|field| field.name().as_str()).collect();
    assert_eq!(names, ["customer", "name_x", "id", "name_y"]);
    assert_eq!(sorted_rows(&ran.rows()), ["1|ant|null|null", "2|bee|2|Bob", "null|null|3|Cy"]);
}

#[tokio::test]
async fn nan_equals_nan_and_the_two_zeros_are_one() {
    let left = batch!("k" => Float64Array [f64::NAN, -0.0, 1.5], "l" => Int64Array [1, 2, 3]);
    let right = batch!("k" => Float64Array [-f64::NAN, 0.0, 2.5], "r" => Int64Array [1, 2, 3]);
    let ran = run(&Bench::new(), json!({"join_key": "k"}), &left, &right).await.expect("it runs");
    assert_eq!(sorted_rows(&ran.rows()), ["-0.0|2|2", "NaN|1|1"]);
}

#[tokio::test]
async fn an_empty_side_is_no_mistake() {
    let (left, right) = (orders(), customers());
    let (no_left, no_right) = (left.slice(0, 0), right.slice(0, 0));
    for join_type in ["inner", "left", "right", "outer", "semi", "anti"] {
        let count = async |left: &RecordBatch, right: &RecordBatch| joined(of_type(join_type), left, right).await.len();
        let keeps_left = matches!(join_type, "left" | "outer" | "anti");
        let keeps_right = matches!(join_type, "right" | "outer");
        assert_eq!(count(&left, &no_right).await, if keeps_left { 4 } else { 0 }, "{join_type}");
        assert_eq!(count(&no_left, &right).await, if keeps_right { 4 } else { 0 }, "{join_type}");
        assert_eq!(count(&no_left, &no_right).await, 0, "{join_type}");
    }
}

#[tokio::test]
async fn keys_of_different_types_are_refused_with_the_cast_to_use() {
    let left = batch!("id" => Int64Array [1]);
    let fault = refused(json!({"join_key": "id"}), &left, &batch!("id" => StringArray ["1"])).await;
    assert_eq!(fault.kind(), FaultKind::BadSchema);
    assert_eq!(fault.message(), "left.id is Int64, right.id is Utf8");
    let help = fault.help_text().expect("help");
    assert!(help.contains("`types: {id: int64}` in the extract-csv that the right input comes from"), "{help}");
    assert_eq!(fault.violations()[0].pointer, "/join_key");

    let fault = refused(json!({"join_key": "id"}), &batch!("id" => Int32Array [1]), &left).await;
    assert!(fault.help_text().is_some_and(|help| help.contains("{id: int64}` in the extract-csv that the left")));

    let at =
        |data_type: DataType| RecordBatch::try_from_iter([("at", new_null_array(&data_type, 1))]).expect("a batch");
    let (zoned, day) = (DataType::Timestamp(TimeUnit::Microsecond, Some("Europe/Berlin".into())), at(DataType::Date32));
    let cases = [
        (at(zoned), "`types: {at: \"timestamp[us, Europe/Berlin]\"}` in the extract-csv that the right"),
        (at(DataType::Timestamp(TimeUnit::Microsecond, None)), "`types: {at: timestamp}` in the extract-csv"),
        (at(DataType::Time64(TimeUnit::Nanosecond)), "with CAST in a step `sql` that the right input"),
    ];
    for (left, wanted) in cases {
        let fault = refused(json!({"join_key": "at"}), &left, &day).await;
        assert!(fault.help_text().is_some_and(|help| help.contains(wanted)), "{fault:?}");
    }
}

#[tokio::test]
async fn an_unknown_key_is_refused_with_the_nearest_name() {
    let (left, right) = (batch!("CustomerID" => Int64Array [1]), batch!("ident" => Int64Array [1]));
    let fault = refused(json!({"left_on": "CustomerId", "right_on": "idents"}), &left, &right).await;
    assert_eq!(fault.kind(), FaultKind::BadSchema);
    let told: Vec<_> = fault.violations().iter().map(|one| (one.pointer.as_str(), one.help.as_deref())).collect();
    let wanted = [("/left_on", Some("did you mean \"CustomerID\"?")), ("/right_on", Some("did you mean \"ident\"?"))];
    assert_eq!(told, wanted);

    let fault = refused(json!({"join_key": "CustomerID"}), &left, &right).await;
    assert_eq!(fault.violations()[0].pointer, "/join_key");
    assert_eq!(fault.message(), "the right input has no column \"CustomerID\"");
}

#[tokio::test]
async fn a_key_that_is_not_said_clearly_is_refused() {
    let (left, right) = (orders(), customers());
    for (params, pointer) in [
        (json!({}), ""),
        (json!({"join_key": []}), "/join_key"),
        (json!({"left_on": "id"}), "/left_on"),
        (json!({"right_on": "id"}), "/right_on"),
        (json!({"left_on": "id", "right_on": "id, who"}), "/right_on"),
        (json!({"join_key": "id", "left_on": "id", "right_on": "id"}), "/join_key"),
        (json!({"join_key": "id", "join_type": "outter"}), "/join_type"),
        (json!({"join_key": "id", "suffixes": ["_x"]}), "/suffixes"),
    ] {
        let fault = refused(params.clone(), &left, &right).await;
        assert_eq!(fault.kind(), FaultKind::BadParams, "{params}");
        assert_eq!(fault.violations()[0].pointer, pointer, "{params}");
    }
}

#[tokio::test]
async fn a_fault_upstream_comes_out_even_if_nothing_can_match() {
    let fails = |schema: arrow::datatypes::SchemaRef, first: Option<RecordBatch>| {
        let first = stream::iter(first.into_iter().map(Ok));
        BatchStream::new(schema, first.chain(stream::iter([Err(Fault::upstream("cut short"))])))
    };
    let whole = |batch: &RecordBatch| BatchStream::from_batches(batch.schema(), vec![batch.clone()]);
    let (left, right) = (orders(), customers());
    for join_type in ["inner", "left", "right", "outer", "semi", "anti"] {
        for inputs in [
            vec![fails(left.schema(), Some(left.clone())), whole(&right)],
            vec![whole(&left), fails(right.schema(), Some(right.clone()))],
            vec![fails(left.schema(), Some(left.clone())), BatchStream::empty(right.schema())],
            vec![BatchStream::empty(left.schema()), fails(right.schema(), Some(right.clone()))],
            vec![fails(left.schema(), None), fails(right.schema(), None)],
        ] {
            let fault = Bench::new().run_streams(Join, of_type(join_type), inputs).await.expect_err("it fails");
            assert_eq!((fault.kind(), fault.message()), (FaultKind::Upstream, "cut short"), "{join_type}");
        }
    }
}

#[tokio::test]
async fn encodings_of_one_type_match_and_survive() {
    use arrow::compute::cast;
    let strings = batch!("k" => StringArray [Some("a"), Some("b"), None, Some("a")], "l" => Int64Array [1, 2, 3, 4]);
    let encoded = |data_type: &DataType| {
        let column = cast(strings.column(0), data_type).expect("an encoding of strings");
        flight_common::testing::make_batch(vec![("k", column), ("l", strings.column(1).clone())])
    };
    let dictionary = DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8));
    let encodings = [DataType::Utf8, DataType::LargeUtf8, DataType::Utf8View, dictionary];
    for left_type in &encodings {
        for right_type in &encodings {
            for join_type in ["inner", "right", "outer"] {
                let (left, right) = (encoded(left_type), encoded(right_type));
                let ran = run(&Bench::new(), of_key("k", join_type), &left, &right).await.expect("it runs");
                assert_eq!(ran.schema.field(0).data_type(), left_type);
                let pairs = ["a|1|1", "a|1|4", "a|4|1", "a|4|4", "b|2|2"];
                let rows = sorted_rows(&ran.rows());
                assert_eq!(rows[..5], pairs, "{left_type} {right_type} {join_type}");
            }
        }
    }
}

fn of_key(key: &str, join_type: &str) -> Value {
    json!({"join_key": key, "join_type": join_type})
}

#[tokio::test]
async fn a_dictionary_of_few_keys_holds_rows_from_many_batches() {
    use arrow::array::{ArrayRef, DictionaryArray, Int64Array};
    use arrow::datatypes::Int8Type;
    let part = |part: i64| {
        let ids: Vec<i64> = (part * 100..part * 100 + 100).collect();
        let texts: DictionaryArray<Int8Type> =
            ids.iter().map(|id| format!("text {id}")).collect::<Vec<_>>().iter().map(String::as_str).collect();
        let ids: ArrayRef = Arc::new(Int64Array::from(ids));
        flight_common::testing::make_batch(vec![("id", ids), ("text", Arc::new(texts))])
    };
    let side = || BatchStream::from_batches(part(0).schema(), (0..5).map(part).collect());
    let ran = Bench::new().run_streams(Join, of_type("inner"), vec![side(), side()]).await.expect("it runs");
    let counts: Vec<usize> = ran.batches.iter().map(RecordBatch::num_rows).collect();
    assert_eq!(counts.iter().sum::<usize>(), 500);
    let rows: Vec<String> = ran.batches.iter().flat_map(sorted_rows).collect();
    assert!(rows.contains(&"321|text 321|text 321".to_owned()));
}

#[tokio::test]
async fn the_report_tells_what_was_done() {
    let ran = run(&Bench::new(), of_type("inner"), &orders(), &customers()).await.expect("it runs");
    assert_eq!(ran.report.counters["left_rows"], 4);
    assert_eq!(ran.report.counters["right_rows"], 4);
    assert_eq!(ran.report.details["strategy"], "hash");
}
