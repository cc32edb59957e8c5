//! Rules about single rows, what happens when a rule fails, and the report as files.

use arrow::array::{
    ArrayRef, AsArray, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int64Array, RecordBatch,
    StringArray, TimestampMicrosecondArray, TimestampMillisecondArray,
};
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::DataType;
use data_quality::DataQuality;
use flight_common::testing::{Bench, Ran, batch, make_batch, slices};
use flight_common::{BatchStream, Effects, Fault, FaultKind, InputSchemas, Registry, StepCommand};
use futures::{StreamExt, stream};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

async fn run(bench: Bench, params: Value, input: &RecordBatch) -> Result<Ran, Fault> {
    bench.run(DataQuality, params, std::slice::from_ref(input)).await
}

async fn check(rules: Value, input: &RecordBatch) -> Value {
    let ran = run(Bench::new(), json!({"rules": rules}), input).await.expect("runs");
    assert_eq!(ran.rows(), *input, "without on_failure nothing is turned away");
    ran.report.details["checks"][0].clone()
}

fn orders() -> RecordBatch {
    batch!(
        "id" => Int64Array [Some(1), Some(2), None, Some(4), Some(5)],
        "status" => StringArray [Some("open"), Some("paid"), Some("lost"), None, Some("OPEN")],
        "mail" => StringArray [Some("a@b.c"), Some("nobody"), Some(""), Some("x@y"), None],
        "amount" => Float64Array [Some(1.0), Some(f64::NAN), Some(-5.0), None, Some(700.0)],
    )
}

#[tokio::test]
async fn rules_about_rows_count_those_that_break_them() {
    for (rules, failing, first, expected) in [
        (json!({"check_not_null": ["id"]}), 1, 3, Value::Null),
        (json!({"check_not_null": "amount"}), 2, 2, Value::Null),
        (json!({"check_pattern": {"mail": "^[^@ ]+@[^@ ]+$"}}), 2, 2, json!("^[^@ ]+@[^@ ]+$")),
        (json!({"check_allowed_values": {"status": ["open", "paid"]}}), 2, 3, json!(["open", "paid"])),
    ] {
        let check = check(rules.clone(), &orders()).await;
        assert_eq!(check["actual"], json!({"failing": failing, "first_row": first}), "{rules}");
        assert_eq!((&check["passed"], &check["expected"]), (&json!(false), &expected));
    }
    let passes = json!({"check_pattern": {"status": "(?i)^(open|paid|lost)$"}});
    assert_eq!(check(passes, &orders()).await["passed"], json!(true), "a null breaks no pattern");
}

#[tokio::test]
async fn there_may_be_too_many_rows() {
    assert_eq!(check(json!({"max_rows": 5}), &orders()).await["passed"], json!(true));
    let params = json!({"rules": {"max_rows": 4}, "fail_on_errors": true});
    let fault = run(Bench::new(), params, &orders()).await.expect_err("fails");
    assert_eq!(fault.message(), "1 of 1 checks failed: max_rows: 5 rows, expected at most 4");
}

#[tokio::test]
async fn a_column_is_fresh_if_its_newest_value_is() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as i64;
    let hours_ago = |hours: i64| now - hours * 3_600_000;
    let times = TimestampMillisecondArray::from(vec![Some(hours_ago(50)), Some(hours_ago(30)), None]);
    let times: ArrayRef = Arc::new(times.with_timezone("UTC"));
    let input = make_batch(vec![("seen", times)]);
    for (age, fresh) in [("31h", true), ("29h", false), ("2days", true)] {
        assert_eq!(check(json!({"check_freshness": {"seen": age}}), &input).await["passed"], json!(fresh), "{age}");
    }
    let none = check(json!({"check_freshness": {"seen": "1year"}}), &input.slice(2, 1)).await;
    assert_eq!((&none["passed"], &none["actual"]), (&json!(false), &json!({"newest": null})));
}

fn rejecting() -> Value {
    json!({
        "rules": {
            "check_not_null": ["id"], "check_allowed_values": {"status": ["open", "paid"]},
            "check_value_range": {"amount": {"min": 0, "max": 100}}, "min_rows": 5,
        },
        "on_failure": {
            "check_not_null": "reject", "check_allowed_values": "reject", "check_value_range": "reject", "min_rows": "fail",
        },
    })
}

#[tokio::test]
async fn rejected_rows_leave_by_their_own_output_with_every_reason() {
    let ran = run(Bench::new().claim("rejected"), rejecting(), &orders()).await.expect("runs");
    let kept = filter_record_batch(&orders(), &vec![true, true, false, true, false].into()).expect("filters");
    assert_eq!(ran.rows(), kept);
    let rejected = ran.further[0].as_ref().expect("claimed");
    let wrong = filter_record_batch(&orders(), &vec![false, false, true, false, true].into()).expect("filters");
    assert_eq!(rejected.project(&[0, 1, 2, 3]).expect("columns"), wrong);
    let reasons: Vec<&str> = rejected["reject_reason"].as_string::<i32>().iter().flatten().collect();
    assert_eq!(
        reasons,
        [
            "check_value_range of \"amount\": outside of {\"min\":0,\"max\":100}; check_not_null of \"id\": null; \
             check_allowed_values of \"status\": none of open, paid",
            "check_value_range of \"amount\": outside of {\"min\":0,\"max\":100}; \
             check_allowed_values of \"status\": none of open, paid",
        ]
    );
    assert_eq!((ran.report.counters["rows_rejected"], ran.report.counters["checks_failed"]), (2, 3));
    assert_eq!(ran.report.details["checks"][0]["on_failure"], json!("fail"));
    let unread = run(Bench::new(), rejecting(), &orders()).await.expect("runs");
    assert_eq!((unread.rows(), unread.further[0].is_none()), (kept, true));
}

#[tokio::test]
async fn neither_the_cut_into_batches_nor_the_memory_changes_what_is_rejected() {
    let names: StringArray = (0..5000).map(|n| Some(if n % 3 == 0 { "bad" } else { "good" })).collect();
    let encoded = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let input = make_batch(vec![("x", cast(&names, &encoded).expect("encoded"))]);
    let params = json!({"rules": {"check_pattern": {"x": "^good$"}}, "on_failure": {"check_pattern": "reject"}});
    let whole = run(Bench::new().claim("rejected"), params.clone(), &input).await.expect("runs");
    assert_eq!(whole.rows().num_rows(), 3333);
    for (rows, memory) in [(1, 1 << 20), (7, 100), (4999, 0)] {
        let bench = Bench::new().claim("rejected").batches_of(rows).memory(memory);
        let ran = run(bench, params.clone(), &input).await.expect("runs");
        assert_eq!((ran.rows(), &ran.further), (whole.rows(), &whole.further), "batches of {rows}");
        assert_eq!(ran.report.details, whole.report.details);
    }
}

#[tokio::test]
async fn each_rule_does_what_it_is_told_when_it_fails() {
    let rules = json!({"min_rows": 9, "check_not_null": ["id"]});
    let with = |on_failure: Value, all: bool| json!({"rules": rules, "on_failure": on_failure, "fail_on_errors": all});
    assert!(run(Bench::new(), with(json!({}), false), &orders()).await.is_ok());
    let warned = with(json!({"min_rows": "warn", "check_not_null": "warn"}), true);
    assert!(run(Bench::new(), warned, &orders()).await.is_ok());
    for (params, named, change) in [
        (
            with(json!({"min_rows": "fail"}), false),
            "1 of 2 checks failed: min_rows",
            "with on_failure: {min_rows: warn}",
        ),
        (with(json!({"min_rows": "warn"}), true), "1 of 2 checks failed: check_not_null", "without fail_on_errors"),
        (
            with(json!({"min_rows": "fail"}), true),
            "2 of 2 checks failed: min_rows",
            "without fail_on_errors and with on_failure: {min_rows: warn}",
        ),
    ] {
        let fault = run(Bench::new(), params, &orders()).await.expect_err("fails");
        assert!(fault.message().starts_with(named), "{fault}");
        let help = format!("mend the data at its source or change the rule; {change} the run only reports it");
        assert_eq!(fault.help_text(), Some(&*help));
    }
}

#[tokio::test]
async fn a_run_that_breaks_never_ends_the_rejected_rows_well() {
    let input = orders();
    let cut_short = slices(&input, 1).chain(stream::once(async { Err(Fault::upstream("the source is gone")) }));
    let upstream = BatchStream::new(input.schema(), cut_short);
    let gate = json!({"rules": {"min_rows": 99}, "on_failure": {"min_rows": "fail"}});
    for (params, input) in [(rejecting(), upstream), (gate, slices(&input, 2))] {
        let bench = Bench::new().claim("rejected");
        let step = flight_common::registry::erase(DataQuality);
        let (_, mut driven) = bench.start(&*step, &params, vec![input]).await.expect("starts");
        let (main, rejected) = (driven.outputs.remove(0).expect("main"), driven.outputs.remove(0).expect("claimed"));
        assert!(main.collect_rows().await.is_err());
        assert!(rejected.collect_rows().await.is_err());
    }
}

#[tokio::test]
async fn the_report_is_written_as_json_and_html_even_when_the_run_fails() {
    let root = tempfile::tempdir().expect("a folder");
    let mut params =
        json!({"rules": {"min_rows": 9, "check_allowed_values": {"status": ["<b>"]}}, "report": "q/orders"});
    run(Bench::at(root.path()), params.clone(), &orders()).await.expect("runs");
    let read = |ending: &str| std::fs::read_to_string(root.path().join(format!("q/orders.{ending}"))).expect("written");
    let told: Value = serde_json::from_str(&read("json")).expect("JSON");
    assert_eq!((&told["checks_failed"], &told["checks"][0]["rule"]), (&json!(2), &json!("min_rows")));
    assert!(read("html").contains("&lt;b&gt;") && !read("html").contains("<b>"));
    assert!(read("html").contains("failed (warning)"));
    let row = "<td>check_allowed_values</td><td>status</td><td>failed (warning)</td><td>failing: 4<br>first row: 1</td>\
               <td>&lt;b&gt;</td><td>4 rows are none of &lt;b&gt;</td>";
    assert!(read("html").contains(row), "{}", read("html"));
    params["fail_on_errors"] = json!(true);
    run(Bench::at(root.path()), params.clone(), &orders()).await.expect_err("fails");
    assert!(read("html").contains("class=\"failed\""));
    let forbidden = Bench::at(root.path()).forbidding("another one runs it");
    let passes = json!({"rules": {"min_rows": 1}, "report": "q/orders"});
    let fault = run(forbidden, passes, &orders()).await.expect_err("it may not commit");
    assert_eq!(fault.kind(), FaultKind::Cancelled);
    assert!(read("html").contains("class=\"failed\""), "the report is another one's");
    params["report"] = json!("../out");
    let fault = run(Bench::at(root.path()), params, &orders()).await.expect_err("refused");
    assert_eq!((fault.kind(), fault.violations()[0].pointer.as_str()), (FaultKind::Denied, "/report"));
}

#[tokio::test]
async fn only_a_report_is_an_effect() {
    let registry = Registry::new().with(DataQuality);
    for (params, effects) in [(json!({"report": "q"}), Effects::Commits), (json!({}), Effects::None)] {
        let command = StepCommand { step: "data-quality".to_owned(), params, ..StepCommand::default() };
        let root = tempfile::tempdir().expect("a folder");
        let bench = Bench::at(root.path());
        let schemas = InputSchemas::new(vec![orders().schema()]);
        let planned = registry.plan(&command, &schemas, &bench.env).await.expect("it plans");
        assert_eq!(planned.effects, effects);
        assert_eq!(std::fs::read_dir(root.path()).expect("a folder").count(), 0, "planning writes nothing");
    }
}

#[tokio::test]
async fn on_failure_speaks_of_rules_that_are_checked() {
    let on = json!({
        "min_rows": 1, "check_null_ratio": true, "check_not_null": ["id"], "check_pattern": {"mail": "@"},
    });
    let refused = async |rules: &Value, rule: &str, action: &str| {
        let params = json!({"rules": rules, "on_failure": {rule: action}});
        run(Bench::new(), params, &orders()).await.err()
    };
    for rule in ["min_rows", "check_null_ratio", "check_not_null", "check_pattern"] {
        assert_eq!(refused(&on, rule, "warn").await, None, "{rule}");
    }
    let off =
        json!({"check_null_ratio": false, "threshold_null_ratio": 0.1, "check_not_null": [], "check_pattern": {}});
    for rule in ["check_null_ratio", "check_not_null", "check_pattern", "max_rows", "check_drift", "check_completeness"]
    {
        let fault = refused(&off, rule, "fail").await.expect("refused");
        let violation = &fault.violations()[0];
        assert_eq!((fault.kind(), &*violation.pointer), (FaultKind::BadParams, &*format!("/on_failure/{rule}")));
        assert!(violation.message.contains("is not checked"), "{fault}");
        assert_eq!(violation.help.as_deref(), Some(&*format!("add {rule} to `rules`, or take it out here")));
    }
    let fault = refused(&on, "max_rows", "fail").await.expect("refused");
    let help = "add max_rows to `rules`, or take it out here; of those that are checked, did you mean \"min_rows\"?";
    assert_eq!(fault.help_text(), Some(help));
}

#[tokio::test]
async fn what_cannot_be_checked_is_refused_when_planned() {
    let with = |rules: Value| json!({"rules": rules});
    let on_failure = |rule: &str| json!({"rules": {"min_rows": 1}, "on_failure": {rule: "reject"}});
    for (params, pointer) in [
        (with(json!({"check_not_null": ["idd"]})), "/rules/check_not_null/0"),
        (with(json!({"check_pattern": {"mail": "("}})), "/rules/check_pattern/mail"),
        (with(json!({"check_pattern": {"id": "x"}})), "/rules/check_pattern/id"),
        (with(json!({"check_allowed_values": {"amount": ["1"]}})), "/rules/check_allowed_values/amount"),
        (with(json!({"check_freshness": {"mail": "1h"}})), "/rules/check_freshness/mail"),
        (with(json!({"min_rows": 5, "max_rows": 4})), "/rules/max_rows"),
        (on_failure("min_rows"), "/on_failure/min_rows"),
        (on_failure("check_patern"), "/on_failure/check_patern"),
    ] {
        let fault = run(Bench::new(), params.clone(), &orders()).await.expect_err("refused");
        assert_eq!(fault.violations()[0].pointer, pointer, "{params}: {fault}");
    }
    let named: ArrayRef = Arc::new(StringArray::from(vec!["a"]));
    let input = make_batch(vec![("reject_reason", named)]);
    let params = json!({"rules": {"check_not_null": ["reject_reason"]}, "on_failure": {"check_not_null": "reject"}});
    let fault = run(Bench::new(), params, &input).await.expect_err("refused");
    assert_eq!((fault.kind(), fault.violations()[0].pointer.as_str()), (FaultKind::BadSchema, "/on_failure"));
}

fn write_parquet(path: &Path, rows: &RecordBatch) {
    let file = std::fs::File::create(path).expect("made");
    let mut writer = parquet::arrow::ArrowWriter::try_new(file, rows.schema(), None).expect("begun");
    writer.write(rows).expect("written");
    writer.close().expect("closed");
}

#[tokio::test]
async fn values_must_occur_in_a_file() {
    let root = tempfile::tempdir().expect("a folder");
    std::fs::write(root.path().join("known.csv"), "label,id\nx,1\n\"open\",4\npaid,\n").expect("written");
    let known = batch!("id" => Int32Array [Some(1), Some(5), None], "other" => StringArray ["a", "b", "c"]);
    write_parquet(&root.path().join("known.parquet"), &known);
    let failing = async |rule: Value| {
        let params = json!({"rules": {"check_reference": rule}});
        let ran = run(Bench::at(root.path()).batches_of(2), params, &orders()).await.expect("runs");
        ran.report.details["checks"][0]["actual"].clone()
    };
    assert_eq!(failing(json!({"id": {"file_path": "known.csv"}})).await, json!({"failing": 2, "first_row": 2}));
    assert_eq!(failing(json!({"id": {"file_path": "known.parquet"}})).await, json!({"failing": 2, "first_row": 2}));
    let status = json!({"status": {"file_path": "known.csv", "column": "label"}});
    assert_eq!(failing(status.clone()).await, json!({"failing": 2, "first_row": 3}));

    let params = json!({"rules": {"check_reference": status}, "on_failure": {"check_reference": "reject"}});
    let ran = run(Bench::at(root.path()).claim("rejected"), params.clone(), &orders()).await.expect("runs");
    let reasons = ran.further[0].as_ref().expect("claimed")["reject_reason"].clone();
    let reason = "check_reference of \"status\": not in \"label\" of known.csv";
    assert_eq!(&reasons, &(Arc::new(StringArray::from(vec![reason, reason])) as ArrayRef));
    let fault = run(Bench::at(root.path()).memory(10), params, &orders()).await.expect_err("no memory");
    assert_eq!((fault.kind(), fault.column_name()), (FaultKind::Busy, Some("label")));
    assert!(fault.message().contains("known.csv") && fault.message().contains("10 bytes in all"), "{fault}");
    assert!(fault.help_text().is_some_and(|help| help.contains("--memory-limit") && help.contains("join")));

    for (rule, pointer) in [
        (json!({"id": {"file_path": "knwon.csv"}}), "/rules/check_reference/id/file_path"),
        (json!({"id": {"file_path": "../known.csv"}}), "/rules/check_reference/id/file_path"),
        (json!({"id": {"file_path": "known.csv", "column": "idd"}}), "/rules/check_reference/id/column"),
        (json!({"idd": {"file_path": "known.csv"}}), "/rules/check_reference/idd"),
    ] {
        let params = json!({"rules": {"check_reference": rule}});
        let fault = run(Bench::at(root.path()), params, &orders()).await.expect_err("refused");
        assert_eq!(fault.violations()[0].pointer, pointer, "{fault}");
    }
}

#[tokio::test]
async fn a_value_of_a_file_is_not_rounded_to_one_of_the_data() {
    let root = tempfile::tempdir().expect("a folder");
    let decimals = |unscaled: Vec<i128>, scale| -> ArrayRef {
        let decimals = Decimal128Array::from(unscaled);
        Arc::new(decimals.with_precision_and_scale(10, scale).expect("a type"))
    };
    let against = async |data: ArrayRef, path: &str| {
        let params = json!({"rules": {"check_reference": {"x": {"file_path": path}}}});
        let ran = run(Bench::at(root.path()), params, &make_batch(vec![("x", data)])).await;
        ran.map(|ran| ran.report.details["checks"][0]["actual"].clone())
    };
    let checked = async |data: ArrayRef, known: ArrayRef| {
        write_parquet(&root.path().join("known.parquet"), &make_batch(vec![("x", known)]));
        against(data, "known.parquet").await
    };
    const EVENING: i64 = 18 * 3600 * 1_000_000;
    let rounded: [(ArrayRef, ArrayRef); 5] = [
        (Arc::new(Int64Array::from(vec![1])), Arc::new(Float64Array::from(vec![1.0, 1.9]))),
        (Arc::new(Float64Array::from(vec![1.0])), Arc::new(Int64Array::from(vec![1, (1 << 53) + 1]))),
        (Arc::new(Date32Array::from(vec![0])), Arc::new(TimestampMicrosecondArray::from(vec![0, EVENING]))),
        (Arc::new(BooleanArray::from(vec![true])), Arc::new(Int64Array::from(vec![1, 2]))),
        (decimals(vec![12], 1), decimals(vec![120, 123], 2)),
    ];
    for (data, known) in rounded {
        let fault =
            checked(data.clone(), known.clone()).await.expect_err("the second value is none of the data's type");
        assert_eq!((fault.kind(), fault.column_name()), (FaultKind::BadData, Some("x")), "{fault:?}");
        assert!(fault.message().contains("known.parquet, row 2, column \"x\""), "{fault}");
        assert_eq!(checked(data, known.slice(0, 1)).await.expect("the first is")["failing"], 0);
    }
    let rounded_texts: [(ArrayRef, &str, &str); 4] = [
        (decimals(vec![12], 1), "1.20", "1.23"),
        (Arc::new(Date32Array::from(vec![0])), "1970-01-01 00:00:00", "1970-01-01 18:00:00"),
        (Arc::new(TimestampMillisecondArray::from(vec![0])), "1970-01-01", "1970-01-01T00:00:00.0001"),
        (Arc::new(Float64Array::from(vec![0.1])), "0.10", "x"),
    ];
    for (data, first, second) in rounded_texts {
        std::fs::write(root.path().join("known.csv"), format!("x\n{first}\n{second}\n")).expect("written");
        let fault = against(data.clone(), "known.csv").await.expect_err(second);
        assert!(fault.message().contains(&format!("known.csv, row 2, column \"x\": \"{second}\"")), "{fault}");
        std::fs::write(root.path().join("known.csv"), format!("x\n{first}\n")).expect("written");
        assert_eq!(against(data, "known.csv").await.expect(first)["failing"], 0);
    }
    // What is written 0.1 is the nearest that there is, in whatever type.
    let tenths: [(ArrayRef, ArrayRef); 3] = [
        (Arc::new(Float32Array::from(vec![0.1])), Arc::new(Float64Array::from(vec![0.1]))),
        (Arc::new(Float64Array::from(vec![0.1])), decimals(vec![10], 2)),
        (decimals(vec![10], 2), Arc::new(Float64Array::from(vec![0.1]))),
    ];
    for (data, known) in tenths {
        assert_eq!(checked(data, known).await.expect("runs")["failing"], 0);
    }
}
