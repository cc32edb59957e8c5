//! What `data-quality` means.

use arrow::array::{
    ArrayRef, Date32Array, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use data_quality::DataQuality;
use flight_common::registry::erase;
use flight_common::testing::{Bench, Ran, batch, make_batch, slices};
use flight_common::{BatchStream, Fault, FaultKind};
use futures::{StreamExt, stream};
use serde_json::{Value, json};
use std::sync::Arc;

async fn run(bench: Bench, params: Value, input: &RecordBatch) -> Result<Ran, Fault> {
    bench.run(DataQuality, params, std::slice::from_ref(input)).await
}

/// The checks of a run without a gate. The rows pass unchanged, whatever the checks say.
async fn checks(rules: Value, input: &RecordBatch) -> Vec<Value> {
    let ran = run(Bench::new(), json!({"rules": rules}), input).await.expect("runs");
    assert_eq!(ran.rows(), *input);
    assert_eq!(ran.schema, input.schema());
    let checks = ran.report.details["checks"].as_array().expect("a list").clone();
    let passed = checks.iter().filter(|check| check["passed"] == json!(true)).count() as u64;
    assert_eq!(ran.report.counters["checks_passed"], passed);
    assert_eq!(ran.report.counters["checks_failed"], checks.len() as u64 - passed);
    checks
}

/// The only check: whether it passed, actual, expected.
async fn check(rules: Value, input: &RecordBatch) -> (bool, Value, Value) {
    let checks = checks(rules, input).await;
    assert_eq!(checks.len(), 1, "{checks:?}");
    let check = &checks[0];
    (check["passed"].as_bool().expect("a verdict"), check["actual"].clone(), check["expected"].clone())
}

async fn refused(rules: Value, input: &RecordBatch) -> Fault {
    run(Bench::new(), json!({"rules": rules}), input).await.expect_err("refused")
}

fn people() -> RecordBatch {
    batch!(
        "id" => Int64Array [Some(1), Some(2), Some(3), None],
        "name" => StringArray [Some("Ada"), Some(""), None, Some("Ada")],
        "score" => Float64Array [Some(1.5), Some(f64::NAN), None, Some(-2.0)],
    )
}

#[tokio::test]
async fn without_rules_rows_pass_and_nothing_is_checked() {
    for params in [json!({}), json!({"rules": {}}), json!({"fail_on_errors": true}), Value::Null] {
        let ran = run(Bench::new(), params, &people()).await.expect("runs");
        assert_eq!(ran.rows(), people());
        assert_eq!(ran.report.details["checks"], json!([]));
    }
}

#[tokio::test]
async fn rows_are_counted() {
    assert_eq!(check(json!({"min_rows": 4}), &people()).await, (true, json!(4), json!(4)));
    assert_eq!(check(json!({"min_rows": 5}), &people()).await, (false, json!(4), json!(5)));
}

#[tokio::test]
async fn nulls_and_nan_count_as_null_and_an_empty_text_does_not() {
    let ratio = json!(4.0 / 12.0);
    assert_eq!(check(json!({"check_null_ratio": true}), &people()).await, (true, ratio.clone(), json!(0.5)));
    let strict = json!({"check_null_ratio": true, "threshold_null_ratio": 0.25});
    assert_eq!(check(strict, &people()).await, (false, ratio.clone(), json!(0.25)));
    let exact = batch!("n" => Int64Array [Some(1), None]);
    assert_eq!(check(json!({"check_null_ratio": true}), &exact).await, (true, json!(0.5), json!(0.5)));
    assert_eq!(check(json!({"threshold_null_ratio": 0.9}), &people()).await, (true, ratio, json!(0.9)));
    let off = json!({"check_null_ratio": false, "threshold_null_ratio": 0.1});
    assert_eq!(checks(off, &people()).await, Vec::<Value>::new());
}

#[tokio::test]
async fn equal_rows_are_duplicates_but_for_the_first() {
    let rule = json!({"check_duplicates": true});
    assert_eq!(check(rule.clone(), &people()).await, (true, json!(0), json!(0)));
    let input = batch!(
        "a" => Int64Array [Some(1), Some(1), None, None, Some(1), Some(1)],
        "b" => StringArray [Some("x"), Some(""), None, None, Some("x"), Some("x")],
        "c" => Float64Array [Some(0.0), None, Some(f64::NAN), Some(-f64::NAN), Some(-0.0), None],
    );
    assert_eq!(check(rule, &input).await, (false, json!(2), json!(0)));
}

#[tokio::test]
async fn nulls_nan_and_empty_texts_make_different_rows() {
    let texts = batch!("s" => StringArray [Some(""), None, Some(" ")]);
    let floats = batch!("x" => Float64Array [Some(f64::NAN), None, Some(0.0)]);
    for input in [texts, floats] {
        assert!(check(json!({"check_duplicates": true}), &input).await.0);
    }
}

#[tokio::test]
async fn column_types_are_told_by_the_schema() {
    let rules = json!({"check_column_types": {"id": "integer", "name": "numeric", "score": "numeric"}});
    let found = checks(rules, &people()).await;
    let told: Vec<_> = found.iter().map(|check| (check["column"].clone(), check["passed"].clone())).collect();
    assert_eq!(told, [(json!("id"), json!(true)), (json!("name"), json!(false)), (json!("score"), json!(true))]);
    assert_eq!((&found[1]["actual"], &found[1]["expected"]), (&json!("Utf8"), &json!("numeric")));
}

#[tokio::test]
async fn a_unique_column_holds_no_value_twice() {
    let rule = |column: &str| json!({"check_unique_columns": [column]});
    assert_eq!(check(rule("id"), &people()).await, (true, json!(3), json!(3)));
    assert_eq!(check(rule("name"), &people()).await, (false, json!(2), json!(3)));
    assert_eq!(check(rule("score"), &people()).await, (true, json!(2), json!(2)));
    let both = checks(json!({"check_unique_columns": "id, name"}), &people()).await;
    assert_eq!((&both[0]["column"], &both[1]["column"]), (&json!("id"), &json!("name")));
    let encoded = DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8));
    let column = cast(people().column(1), &encoded).expect("encoded");
    assert_eq!(check(rule("name"), &make_batch(vec![("name", column)])).await, (false, json!(2), json!(3)));
}

#[tokio::test]
async fn values_lie_within_their_range_ends_included() {
    let rule = |range: Value| json!({"check_value_range": {"score": range}});
    let (passed, actual, expected) = check(rule(json!({"min": -2, "max": 1.5})), &people()).await;
    assert!(passed);
    assert_eq!(actual, json!({"min": -2.0, "max": 1.5, "outside": 0, "first_row": null}));
    assert_eq!(expected, json!({"min": -2, "max": 1.5}));
    let (passed, actual, _) = check(rule(json!({"min": -1.9})), &people()).await;
    assert!(!passed);
    assert_eq!((&actual["outside"], &actual["first_row"]), (&json!(1), &json!(4)));
    assert!(!check(rule(json!({"max": 1.4})), &people()).await.0);
}

#[tokio::test]
async fn dates_have_a_range_too() {
    let input = make_batch(vec![
        ("hired", Arc::new(Date32Array::from(vec![Some(0), None, Some(364)])) as ArrayRef),
        ("seen", Arc::new(TimestampMicrosecondArray::from(vec![Some(0), Some(1_000_000), None]))),
    ]);
    let year = json!({"check_value_range": {"hired": {"min": "1970-01-01", "max": "1970-12-31"}}});
    assert!(check(year, &input).await.0);
    let (passed, actual, _) = check(json!({"check_value_range": {"hired": {"max": "1970-12-30"}}}), &input).await;
    assert_eq!((passed, &actual["max"], &actual["first_row"]), (false, &json!("1970-12-31"), &json!(3)));
    let second = json!({"check_value_range": {"seen": {"max": "1970-01-01T00:00:00.999Z"}}});
    assert!(!check(second, &input).await.0);
}

#[tokio::test]
async fn completeness_is_reported_and_never_fails() {
    let params = json!({"rules": {"check_completeness": true}, "fail_on_errors": true});
    let ran = run(Bench::new(), params, &people()).await.expect("runs");
    let of =
        |column: &str, nulls: u64| json!({"column": column, "nulls": nulls, "completeness": 1.0 - nulls as f64 / 4.0});
    assert_eq!(ran.report.details["completeness"], json!([of("id", 1), of("name", 1), of("score", 2)]));
    assert_eq!(ran.report.details["checks"][0]["actual"], json!(0.5));
}

#[tokio::test]
async fn a_failed_gate_names_the_failing_checks_alone() {
    let rules = json!({
        "min_rows": 1, "check_null_ratio": true, "check_unique_columns": ["id", "name"],
        "check_value_range": {"score": {"min": 0}}, "check_column_types": {"id": "integer"},
    });
    let params = json!({"rules": rules, "fail_on_errors": true});
    let fault = run(Bench::new(), params, &people()).await.expect_err("fails");
    assert_eq!(fault.kind(), FaultKind::BadData);
    assert!(fault.help_text().is_some());
    let message = fault.message();
    assert!(message.starts_with("2 of 6 checks failed"), "{message}");
    for part in ["check_unique_columns of \"name\": 2 distinct among 3 values", "values from -2.0 to 1.5, 1 of them"] {
        assert!(message.contains(part), "{message}");
    }
    for part in ["min_rows", "null_ratio", "\"id\"", "integer"] {
        assert!(!message.contains(part), "{message}");
    }
}

#[tokio::test]
async fn a_gate_with_one_failed_check_tells_column_and_row() {
    let params = json!({"rules": {"check_value_range": {"score": {"min": 0}}}, "fail_on_errors": true});
    let fault = run(Bench::new(), params, &people()).await.expect_err("fails");
    assert_eq!((fault.column_name(), fault.row_number()), (Some("score"), Some(4)));
    let params = json!({"rules": {"min_rows": 1000}, "fail_on_errors": true});
    let fault = run(Bench::new(), params, &people()).await.expect_err("fails");
    assert_eq!(fault.message(), "1 of 1 checks failed: min_rows: 4 rows, expected at least 1000");
}

#[tokio::test]
async fn rows_leave_while_the_rules_are_still_being_evaluated() {
    let (rows, mut input) = futures::channel::mpsc::unbounded();
    let schema = people().schema();
    let input = BatchStream::new(schema, stream::poll_fn(move |cx| input.poll_next_unpin(cx)));
    let params = json!({"rules": {"check_duplicates": true, "min_rows": 3}, "fail_on_errors": true});
    let (_, mut driven) = Bench::new().start(&*erase(DataQuality), &params, vec![input]).await.expect("starts");
    let mut output = driven.outputs.remove(0).expect("the main output");
    for _ in 0..3 {
        rows.unbounded_send(Ok(people().slice(0, 1))).expect("somebody listens");
        assert_eq!(output.next().await.expect("a batch").expect("no fault"), people().slice(0, 1));
    }
    drop(rows);
    let fault = output.next().await.expect("the verdict").expect_err("two duplicates");
    assert!(fault.message().contains("2 rows occurred before"), "{fault}");
    assert!(output.next().await.is_none());
}

fn many(rows: i64) -> RecordBatch {
    let ids: Vec<i64> = (0..rows).collect();
    let codes: Vec<String> = (0..rows).map(|row| format!("code {}", row % (rows - 10))).collect();
    let maybe: Vec<Option<f64>> = (0..rows).map(|row| (row % 3 != 0).then_some(row as f64)).collect();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("id", Arc::new(Int64Array::from(ids))),
        ("code", Arc::new(StringArray::from(codes))),
        ("maybe", Arc::new(Float64Array::from(maybe))),
    ];
    make_batch(columns)
}

fn all_rules() -> Value {
    json!({
        "min_rows": 5, "check_null_ratio": true, "check_duplicates": true, "check_completeness": true,
        "check_column_types": {"id": "float", "code": "string"}, "check_unique_columns": ["id", "code", "maybe"],
        "check_value_range": {"id": {"min": 3}, "maybe": {"max": 1e9}},
    })
}

#[tokio::test]
async fn neither_the_cut_into_batches_nor_the_memory_changes_the_verdict() {
    let input = many(3000);
    let params = json!({"rules": all_rules()});
    let whole = run(Bench::new(), params.clone(), &input).await.expect("runs");
    assert_eq!(whole.report.counters["checks_failed"], 3, "{:?}", whole.report.details);
    for rows in [1, 7, 2999] {
        let cut = run(Bench::new().batches_of(rows), params.clone(), &input).await.expect("runs");
        assert_eq!(cut.rows(), input);
        assert_eq!(cut.report.details, whole.report.details);
    }
}

#[tokio::test]
async fn a_tiny_memory_gives_the_same_verdict_with_the_help_of_the_disk() {
    let input = many(100_000);
    let params = json!({"rules": all_rules()});
    let roomy = run(Bench::new(), params.clone(), &input).await.expect("runs");
    assert_eq!(roomy.report.bytes_spilled, 0);
    let bench = Bench::new().memory(10_000).batches_of(1000);
    let space = bench.env.space.clone();
    let tight = run(bench, params, &input).await.expect("runs");
    assert_eq!(tight.rows(), input);
    assert_eq!(tight.report.details, roomy.report.details);
    assert!(tight.report.bytes_spilled > 1_000_000);
    assert!(space.budget().peak() < 1 << 20, "{}", space.budget().peak());
    assert_eq!((space.budget().used(), space.disk_used()), (0, 0));
}

#[tokio::test]
async fn of_no_rows_too_few_are_there_and_nothing_else_is_wrong() {
    let input = many(20).slice(0, 0);
    let found = checks(all_rules(), &input).await;
    let failed: Vec<&Value> = found.iter().filter(|check| check["passed"] == json!(false)).collect();
    let rules: Vec<&Value> = failed.iter().map(|check| &check["rule"]).collect();
    assert_eq!(rules, [&json!("min_rows"), &json!("check_column_types")]);
    assert_eq!(found[1]["actual"], json!(0.0), "no cells have a ratio of 0");
}

#[tokio::test]
async fn a_fault_upstream_comes_out_as_a_fault_and_never_as_a_passed_gate() {
    for gate in [false, true] {
        let input = people();
        let cut_short = slices(&input, 1).chain(stream::once(async { Err(Fault::upstream("the source is gone")) }));
        let cut_short = BatchStream::new(input.schema(), cut_short);
        let params = json!({"rules": {"min_rows": 100}, "fail_on_errors": gate});
        let fault = Bench::new().run_streams(DataQuality, params, vec![cut_short]).await.expect_err("fails");
        assert_eq!((fault.kind(), fault.message()), (FaultKind::Upstream, "the source is gone"));
    }
}

#[tokio::test]
async fn unknown_columns_are_refused_all_at_once_with_the_nearest_name() {
    let fault = refused(
        json!({
            "check_value_range": {"scor": {"min": 0}}, "check_column_types": {"a/b": "string"},
            "check_unique_columns": ["idd"],
        }),
        &people(),
    )
    .await;
    assert_eq!(fault.kind(), FaultKind::BadSchema);
    let told: Vec<(&str, Option<&str>)> =
        fault.violations().iter().map(|one| (one.pointer.as_str(), one.help.as_deref())).collect();
    assert_eq!(
        told,
        [
            ("/rules/check_column_types/a~1b", Some("there are: id, name, score")),
            ("/rules/check_unique_columns/0", Some("did you mean \"id\"?")),
            ("/rules/check_value_range/scor", Some("did you mean \"score\"?")),
        ]
    );
}

#[tokio::test]
async fn rules_that_cannot_be_are_refused_when_planned() {
    let range = |column: &str, range: Value| json!({"check_value_range": {column: range}});
    for (rules, kind, pointer) in [
        (range("name", json!({"min": 1})), FaultKind::BadSchema, "/rules/check_value_range/name"),
        (range("id", json!({"min": 5, "max": 1})), FaultKind::BadParams, "/rules/check_value_range/id"),
        (range("id", json!({})), FaultKind::BadParams, "/rules/check_value_range/id"),
        (range("id", json!({"min": "2024-01-01"})), FaultKind::BadParams, "/rules/check_value_range/id/min"),
        (json!({"threshold_null_ratio": 1.5}), FaultKind::BadParams, "/rules/threshold_null_ratio"),
        (json!({"min_row": 5}), FaultKind::BadParams, "/rules/min_row"),
        (json!({"min_rows": -5}), FaultKind::BadParams, "/rules/min_rows"),
        (json!({"check_column_types": {"id": "integr"}}), FaultKind::BadParams, "/rules/check_column_types/id"),
    ] {
        let fault = refused(rules.clone(), &people()).await;
        assert_eq!((fault.kind(), fault.violations()[0].pointer.as_str()), (kind, pointer), "{rules}");
    }
}

#[tokio::test]
async fn large_integers_are_not_compared_as_floats() {
    let large = (1i64 << 53) + 1;
    let input = batch!("n" => Int64Array [large, large - 1]);
    assert!(!check(json!({"check_value_range": {"n": {"min": large}}}), &input).await.0);
    assert!(check(json!({"check_value_range": {"n": {"min": large - 1, "max": large}}}), &input).await.0);
    assert!(check(json!({"check_unique_columns": ["n"]}), &input).await.0);
}
