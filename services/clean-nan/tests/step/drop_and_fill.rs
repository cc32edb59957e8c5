//! Rows dropped, and fixed values put in.

use crate::support::{cleaned, column, run};
use arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int64Array, NullArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use clean_nan::CleanNan;
use flight_common::testing::{Bench, batch, make_batch};
use flight_common::{FaultKind, InputSchemas, Registry, StepCommand};
use serde_json::{Value, json};
use std::sync::Arc;

#[tokio::test]
async fn rows_with_null_or_nan_go_and_an_empty_text_stays() {
    let input = batch!(
        "n" => Int64Array [Some(1), None, Some(3), Some(4)],
        "x" => Float64Array [Some(0.5), Some(0.5), Some(f64::NAN), Some(0.5)],
        "s" => StringArray [Some(""), Some("b"), Some("c"), None],
    );
    let ran = run(Bench::new(), json!({}), &input).await.expect("runs");
    assert_eq!(ran.rows(), input.slice(0, 1));
    assert_eq!(ran.report.counters["rows_dropped"], 3);
    assert_eq!(cleaned(json!({"columns": "n, x"}), &input).await.num_rows(), 2);
    assert_eq!(cleaned(json!({"columns": ["s"]}), &input).await, input.slice(0, 3));
    assert_eq!(cleaned(json!({"columns": []}), &input).await, input.slice(0, 1), "none named means all");
}

/// Nobody could read what is left of them.
#[tokio::test]
async fn a_column_of_binaries_of_no_bytes_is_refused() {
    let schema = |bytes| Arc::new(Schema::new(vec![Field::new("b", DataType::FixedSizeBinary(bytes), true)]));
    let plan = async |bytes| {
        let inputs = InputSchemas::new(vec![schema(bytes)]);
        let command = StepCommand { step: "clean-nan".to_owned(), ..StepCommand::default() };
        Registry::new().with(CleanNan).plan(&command, &inputs, &Bench::new().env).await.map(drop)
    };
    plan(1).await.expect("one byte");
    let fault = plan(0).await.expect_err("no byte");
    assert_eq!((fault.kind(), fault.column_name()), (FaultKind::BadSchema, Some("b")), "{fault:?}");
}

#[tokio::test]
async fn a_column_of_the_null_type_drops_every_row() {
    let input = make_batch(vec![("x", Arc::new(NullArray::new(3)) as ArrayRef)]);
    assert_eq!(cleaned(json!({}), &input).await.num_rows(), 0);
}

#[tokio::test]
async fn integers_with_nulls_stay_integers_to_the_last_digit() {
    let large = (1i64 << 53) + 1;
    let filled =
        column(json!({"strategy": "fill_value", "fill_value": large + 2}), Int64Array::from(vec![Some(large), None]))
            .await;
    assert_eq!(filled.as_primitive::<Int64Type>().values(), &[large, large + 2]);
    let kept = column(json!({}), Int64Array::from(vec![Some(large), None])).await;
    assert_eq!(kept.as_primitive::<Int64Type>().values(), &[large]);
}

#[tokio::test]
async fn nan_is_filled_too() {
    let filled = column(
        json!({"strategy": "fill_value", "fill_value": 7}),
        Float64Array::from(vec![Some(f64::NAN), None, Some(1.0)]),
    )
    .await;
    assert_eq!(filled.as_ref(), &Float64Array::from(vec![7.0, 7.0, 1.0]) as &dyn Array);
}

#[tokio::test]
async fn each_column_gets_its_own_value() {
    let input = batch!("n" => Int64Array [None, Some(1)], "s" => StringArray [None, Some("a")], "t" => StringArray [None, Some("b")]);
    let rows = cleaned(json!({"strategy": "fill_value", "fill_value": {"n": 0, "s": "unknown"}}), &input).await;
    assert_eq!(
        rows,
        batch!("n" => Int64Array [0, 1], "s" => StringArray ["unknown", "a"], "t" => StringArray [None, Some("b")])
    );
    let rows = cleaned(json!({"strategy": "fill_value", "columns": "s,t", "fill_value": ""}), &input).await;
    assert_eq!(rows.column(2).as_ref(), &StringArray::from(vec!["", "b"]) as &dyn Array);
    assert_eq!(rows.column(0).null_count(), 1);
}

#[tokio::test]
async fn a_value_beyond_a_dictionary_that_is_full_is_a_clear_fault() {
    let wanted = DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8));
    let mut texts: Vec<Option<String>> = (0..128).map(|n| Some(format!("text {n}"))).collect();
    texts.push(None);
    let full = cast(&StringArray::from(texts), &wanted).expect("128 values fit");
    let input = make_batch(vec![("x", full)]);
    let params = json!({"strategy": "fill_value", "fill_value": "one more"});
    let fault = run(Bench::new(), params, &input).await.expect_err("no key is left");
    assert_eq!((fault.kind(), fault.column_name()), (FaultKind::BadData, Some("x")));
}

async fn refused(params: Value) -> (FaultKind, Vec<String>, String) {
    let input = batch!("age" => Int64Array [1], "city" => StringArray ["a"], "born" => Date32Array [1]);
    let fault = run(Bench::new(), params, &input).await.expect_err("refused");
    let pointers = fault.violations().iter().map(|violation| violation.pointer.clone()).collect();
    (fault.kind(), pointers, format!("{} ({})", fault.message(), fault.help_text().unwrap_or_default()))
}

#[tokio::test]
async fn unknown_names_are_refused_all_at_once_with_the_nearest() {
    let (kind, pointers, text) = refused(json!({"columns": ["agee", "city", "borm"]})).await;
    assert_eq!((kind, pointers), (FaultKind::BadSchema, vec!["/columns/0".to_owned(), "/columns/2".to_owned()]));
    assert!(text.contains("agee") && text.contains("borm") && text.contains("did you mean \"age\""), "{text}");
    let (_, pointers, _) = refused(json!({"strategy": "fill_value", "fill_value": {"a/b": 1}})).await;
    assert_eq!(pointers, ["/fill_value/a~1b"]);
    let (kind, pointers, text) = refused(json!({"strategy": "fill_meen"})).await;
    assert_eq!((kind, pointers), (FaultKind::BadParams, vec!["/strategy".to_owned()]));
    assert!(text.contains("did you mean \"fill_mean\""), "{text}");
}

#[tokio::test]
async fn fill_values_that_do_not_fit_are_refused_when_planned() {
    for (params, pointers, hint) in [
        (json!({"strategy": "fill_value"}), vec!["/strategy"], "add fill_value"),
        (json!({"strategy": "ffill", "fill_value": 1}), vec!["/fill_value"], "leave fill_value out"),
        (json!({"strategy": "fill_value", "fill_value": 0}), vec!["/fill_value"], "in quotes"),
        (json!({"strategy": "fill_value", "fill_value": {"age": "30"}}), vec!["/fill_value/age"], "without the quotes"),
        (
            json!({"strategy": "fill_value", "fill_value": {"age": 1.5, "born": 7}}),
            vec!["/fill_value/age", "/fill_value/born"],
            "whole",
        ),
        (
            json!({"strategy": "fill_value", "columns": "age", "fill_value": {"city": "x"}}),
            vec!["/fill_value/city", "/fill_value"],
            "not among",
        ),
        (json!({"strategy": "fill_value", "fill_value": [1]}), vec!["/fill_value"], "a list"),
    ] {
        let (kind, found, text) = refused(params.clone()).await;
        assert_eq!(
            (kind, found),
            (FaultKind::BadParams, pointers.into_iter().map(str::to_owned).collect()),
            "{params}: {text}"
        );
        assert!(text.contains(hint), "{params}: {text}");
    }
}
