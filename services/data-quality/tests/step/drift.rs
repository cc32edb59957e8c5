//! Distribution drift against a file.
//!
//! The expected figures were worked out apart from the step, from counts by hand:
//!
//! ```python
//! def psi(e, a):  # counts in each bin that is not empty on both sides
//!     E, A = sum(e) + len(e) / 2, sum(a) + len(a) / 2
//!     return sum(((y + .5) / A - (x + .5) / E) * log(((y + .5) / A) / ((x + .5) / E)) for x, y in zip(e, a))
//! ```

use arrow::array::{ArrayRef, Date32Array, Decimal128Array, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimeUnit};
use data_quality::DataQuality;
use flight_common::testing::{Bench, Ran, batch, make_batch};
use flight_common::{Fault, FaultKind, InputSchemas, StepCommand, registry};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;

/// A data root with a file.
struct Folder(tempfile::TempDir);

impl Folder {
    fn with(name: &str, content: impl AsRef<[u8]>) -> Self {
        let folder = Self(tempfile::tempdir().expect("a folder"));
        folder.write(name, content);
        folder
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path().join(name), content).expect("written");
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    async fn run(&self, rule: Value, input: &RecordBatch) -> Result<Ran, Fault> {
        self.run_on(Bench::at(self.path()), rule, input).await
    }

    async fn run_on(&self, bench: Bench, rule: Value, input: &RecordBatch) -> Result<Ran, Fault> {
        bench.run(DataQuality, json!({"rules": {"check_drift": rule}}), std::slice::from_ref(input)).await
    }

    /// The figures of the only column.
    async fn figures(&self, rule: Value, input: &RecordBatch) -> Value {
        let ran = self.run(rule, input).await.expect("runs");
        assert_eq!(ran.rows(), *input, "rows pass as they are");
        ran.report.details["drift"][0].clone()
    }
}

fn parquet_of(rows: &RecordBatch) -> Vec<u8> {
    let mut writer = parquet::arrow::ArrowWriter::try_new(Vec::new(), rows.schema(), None).expect("begun");
    writer.write(rows).expect("written");
    writer.into_inner().expect("closed")
}

fn csv_of(name: &str, values: impl Iterator<Item = impl ToString>) -> String {
    std::iter::once(name.to_owned()).chain(values.map(|value| value.to_string())).collect::<Vec<_>>().join("\n")
}

fn numbers(values: impl Iterator<Item = i64>) -> RecordBatch {
    make_batch(vec![("x", Arc::new(Int64Array::from_iter_values(values)) as ArrayRef)])
}

fn close(found: &Value, wanted: f64) {
    let found = found.as_f64().expect("a number");
    assert!((found - wanted).abs() < 1e-9, "{found}, wanted {wanted}");
}

fn rule(file: &str) -> Value {
    json!({"file_path": file, "columns": ["x"], "bins": 4})
}

#[tokio::test]
async fn equal_data_have_not_drifted_at_all() {
    let folder = Folder::with("old.csv", csv_of("x", 1..=100));
    let ran = folder
        .run(json!({"file_path": "old.csv", "columns": "x", "max_psi": 0}), &numbers((1..=100).rev()))
        .await
        .expect("runs");
    let check = &ran.report.details["checks"][0];
    assert_eq!(
        (&check["rule"], &check["column"], &check["passed"]),
        (&json!("check_drift"), &json!("x"), &json!(true))
    );
    assert_eq!(check["actual"], json!({"psi": 0.0, "ks": 0.0}));
    assert_eq!(check["expected"], json!({"max_psi": 0.0, "file_path": "old.csv"}));
    assert_eq!((ran.report.counters["checks_passed"], ran.report.counters["columns_drifted"]), (1, 0));
    assert_eq!(ran.report.details["drift"][0]["bins"].as_array().map(Vec::len), Some(10));
}

#[tokio::test]
async fn shifted_numbers_have_the_index_and_distance_of_the_formulas() {
    let folder = Folder::with("old.csv", csv_of("x", 1..=100));
    let figures = folder.figures(rule("old.csv"), &numbers(51..=150)).await;
    // 25 of the file's values in each bin; of the data 0, 0, 25, 75. Up to 50 lie half of the file's values, and none here.
    close(&figures["psi"], 2.459_450_900_399_472_7);
    close(&figures["ks"], 0.5);
    let bins = json!([
        {"bin": "≤ 25", "reference": 0.25, "data": 0.0}, {"bin": "(25, 50]", "reference": 0.25, "data": 0.0},
        {"bin": "(50, 75]", "reference": 0.25, "data": 0.25}, {"bin": "> 75", "reference": 0.25, "data": 0.75},
    ]);
    assert_eq!(figures["bins"], bins);
}

#[tokio::test]
async fn a_value_that_fills_a_bin_has_one_of_its_own() {
    let folder = Folder::with("old.csv", csv_of("x", [0, 0, 0, 0, 0, 0, 1, 2, 3, 4].iter()));
    let figures = folder.figures(rule("old.csv"), &numbers([0, 0].into_iter().chain(5..=12))).await;
    let bins: Vec<&Value> = figures["bins"].as_array().expect("bins").iter().map(|bin| &bin["bin"]).collect();
    assert_eq!(bins, [&json!("0"), &json!("(0, 2]"), &json!("> 2")]);
    close(&figures["psi"], 1.250_745_582_148_751_2);
    close(&figures["ks"], 0.8);
    let constant = Folder::with("old.csv", csv_of("x", [7; 50].iter()));
    let figures = constant.figures(rule("old.csv"), &numbers(std::iter::repeat_n(6, 50))).await;
    assert!(figures["psi"].as_f64().expect("a number") > 5.0, "{figures}");
}

#[tokio::test]
async fn texts_are_compared_by_category_and_nulls_by_themselves() {
    let words = ["N", "N", "N", "N", "S", "S", "S", "E", "E", "NA"];
    let folder = Folder::with("old.csv", csv_of("x", words.iter()));
    let texts = [Some("N"), Some("S"), Some("S"), Some("S"), Some("W"), Some("V"), None, None];
    let input = batch!("x" => StringArray texts.to_vec());
    let figures = folder.figures(rule("old.csv"), &input).await;
    close(&figures["psi"], 0.862_951_553_275_295_9);
    assert_eq!(figures["ks"], Value::Null);
    let bins: Vec<Value> = figures["bins"].as_array().expect("bins").clone();
    assert_eq!(bins[3], json!({"bin": "(others)", "reference": 0.0, "data": 0.25}));
    assert_eq!(bins[4], json!({"bin": "(null)", "reference": 0.1, "data": 0.25}));
    let encoded = DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8));
    let encoded = make_batch(vec![("x", cast(input.column(0), &encoded).expect("encoded"))]);
    assert_eq!(folder.figures(rule("old.csv"), &encoded).await, figures);
}

#[tokio::test]
async fn every_kind_of_column_can_be_compared_with_csv_and_parquet() {
    let instants = DataType::Timestamp(TimeUnit::Millisecond, Some("Europe/Paris".into()));
    let decimals = Decimal128Array::from_iter_values(0..100).with_precision_and_scale(9, 2).expect("they fit");
    let dates: ArrayRef = Arc::new(Date32Array::from_iter_values(0..100));
    let nan = |n: i32| if n % 10 == 0 { f64::NAN } else { f64::from(n) };
    let rows = make_batch(vec![
        ("whole", Arc::new(Int64Array::from_iter_values(0..100))),
        ("float", Arc::new(Float64Array::from_iter_values((0..100).map(nan)))),
        ("price", Arc::new(decimals)),
        ("seen", cast(&dates, &instants).expect("midnights")),
        ("day", dates),
        ("flag", Arc::new(arrow::array::BooleanArray::from_iter((0..100).map(|n| Some(n % 4 == 0))))),
        ("word", Arc::new(StringArray::from_iter_values((0..100).map(|n| format!("word {}", n % 9))))),
    ]);
    let folder = Folder::with("old.parquet", parquet_of(&rows));
    let mut csv = Vec::new();
    arrow::csv::Writer::new(&mut csv).write(&rows).expect("written");
    folder.write("old.csv", [b"\xef\xbb\xbf", csv.as_slice()].concat());
    let columns = json!(["word", "whole", "float", "price", "seen", "day", "flag"]);
    let mut told = Vec::new();
    let zstd = zstd::encode_all(std::fs::read(folder.path().join("old.csv")).expect("written").as_slice(), 1);
    folder.write("old.csv.zst", zstd.expect("in memory"));
    for file in ["old.parquet", "old.csv", "old.csv.zst"] {
        let rule = json!({"file_path": file, "columns": columns, "max_psi": 0});
        let ran = folder.run_on(Bench::at(folder.path()).batches_of(7), rule, &rows).await.expect("runs");
        assert_eq!((ran.report.counters["checks_passed"], ran.report.counters["columns_drifted"]), (7, 0), "{file}");
        told.push(ran.report.details["drift"].clone());
    }
    assert!(told[0] == told[1] && told[1] == told[2]);
    assert_eq!(told[0][5]["bins"][0]["bin"], json!("≤ 1970-01-10"));
    assert_eq!(told[0][2]["bins"][10], json!({"bin": "(null)", "reference": 0.1, "data": 0.1}), "NaN counts as null");
    let later = rows.slice(60, 40);
    let rule = json!({"file_path": "old.parquet", "columns": columns});
    let ran = folder.run(rule, &later).await.expect("runs");
    assert_eq!(ran.report.counters["columns_drifted"], 5, "all but word and flag: {:?}", ran.report.details["checks"]);
}

#[tokio::test]
async fn a_large_file_takes_little_memory_and_batches_do_not_change_the_figures() {
    let scattered = |n: i64| (n * 7_919) % 200_003;
    let old = make_batch(vec![
        ("x", Arc::new(Int64Array::from_iter_values((0..200_003).map(scattered))) as ArrayRef),
        ("id", Arc::new(StringArray::from_iter_values((0..200_003).map(|n| format!("a text of its own, {n}"))))),
    ]);
    let folder = Folder::with("old.parquet", parquet_of(&old));
    let rule = json!({"file_path": "old.parquet", "columns": ["x", "id"]});
    let input = old.slice(0, 60_000);
    let bench = Bench::at(folder.path()).memory(1 << 20);
    let space = bench.env.space.clone();
    let roomy = folder.run_on(bench, rule.clone(), &input).await.expect("runs");
    assert_eq!((space.budget().peak(), space.budget().used()), ((1 << 20) / 16, 0));
    let slivers = Bench::at(folder.path()).memory(1 << 20).batches_of(999);
    let slivers = folder.run_on(slivers, rule.clone(), &input).await.expect("runs");
    assert_eq!(slivers.report.details, roomy.report.details);
    let tight = folder.run_on(Bench::at(folder.path()).memory(0), rule.clone(), &input).await.expect("runs");
    assert!(tight.report.details["drift"][0]["psi"].as_f64() < Some(0.001), "{:?}", tight.report.details);
    let figures = &roomy.report.details["drift"][0];
    assert!(figures["psi"].as_f64() < Some(0.001) && figures["ks"].as_f64() < Some(0.01), "{figures}");
    let shares = figures["bins"].as_array().expect("bins").iter().map(|bin| bin["reference"].as_f64());
    assert!(shares.clone().count() == 10 && shares.flatten().all(|share| (0.08..0.12).contains(&share)), "{figures}");
    let ids = &roomy.report.details["drift"][1];
    assert_eq!(ids["bins"].as_array().map(Vec::len), Some(51));
    // The upper half alone: its distribution function is 0 where that of the file is ½.
    let upper = numbers((100_001..200_003).step_by(3));
    let figures = folder.figures(json!({"file_path": "old.parquet", "columns": ["x"]}), &upper).await;
    assert!((figures["ks"].as_f64().expect("a number") - 0.5).abs() < 0.001, "{figures}");
}

#[tokio::test]
async fn a_drift_warns_or_fails_and_names_the_bin_that_changed_most() {
    let folder = Folder::with("old.csv", csv_of("x", 1..=100));
    let input = numbers(51..=150);
    let mut params = json!({"rules": {"check_drift": rule("old.csv")}, "report": "q"});
    let run =
        async |params: Value| Bench::at(folder.path()).run(DataQuality, params, std::slice::from_ref(&input)).await;
    let ran = run(params.clone()).await.expect("a warning");
    assert_eq!((ran.report.counters["checks_failed"], ran.report.counters["columns_drifted"]), (1, 1));
    params["on_failure"] = json!({"check_drift": "fail"});
    let fault = run(params.clone()).await.expect_err("fails");
    assert_eq!((fault.kind(), fault.column_name()), (FaultKind::BadData, Some("x")));
    let told = "1 of 1 checks failed: check_drift of \"x\": a stability index of 2.4595 against old.csv: \
                \"> 75\" went from 25.0 % to 75.0 %, expected at most 0.2";
    assert_eq!(fault.message(), told);
    let read = |ending: &str| std::fs::read_to_string(folder.path().join(format!("q.{ending}"))).expect("written");
    let report: Value = serde_json::from_str(&read("json")).expect("JSON");
    assert_eq!(report["drift"], ran.report.details["drift"]);
    let page = read("html");
    for part in ["Distribution of x", "Stability index 2.4595, distance 0.5000", "<td>&gt; 75</td><td>25.00 %</td>"] {
        assert!(page.contains(part), "{part}: {page}");
    }
    params["on_failure"] = json!({"check_drift": "reject"});
    let fault = run(params).await.expect_err("refused");
    assert_eq!(fault.violations()[0].pointer, "/on_failure/check_drift");
    assert!(fault.message().contains("does not look at each row by itself"), "{fault}");
}

#[tokio::test]
async fn of_no_rows_nothing_can_be_said() {
    let folder = Folder::with("old.csv", csv_of("x", 1..=100));
    let ran = folder.run(rule("old.csv"), &numbers(0..0)).await.expect("runs");
    assert_eq!(ran.report.details["checks"][0]["actual"], json!({"psi": null, "ks": null}));
    assert_eq!(ran.report.counters["checks_failed"], 0);
}

#[tokio::test]
async fn what_cannot_be_compared_is_refused_at_its_place() {
    use FaultKind::{BadParams, BadSchema, Denied, NotFound};
    let folder = Folder::with("old.csv", "x,t\n1,one\n");
    folder.write("empty.csv", "x,t\n");
    folder.write("nothing.csv", "");
    folder.write("empty.parquet", parquet_of(&numbers(0..0)));
    folder.write("text.parquet", parquet_of(&batch!("x" => StringArray ["1"], "t" => BooleanArray [true])));
    folder.write("broken.parquet", "no Parquet");
    let lists: ArrayRef =
        Arc::new(arrow::array::ListArray::from_iter_primitive::<arrow::datatypes::Int64Type, _, _>([Some([Some(1)])]));
    let input = make_batch(vec![
        ("x", Arc::new(Int64Array::from(vec![1])) as ArrayRef),
        ("t", Arc::new(StringArray::from(vec!["one"]))),
        ("list", lists),
        ("more", Arc::new(Int64Array::from(vec![1]))),
    ]);
    let file = |file: &str| json!({"file_path": file, "columns": ["x"]});
    let columns = |columns: Value| json!({"file_path": "old.csv", "columns": columns});
    for (rule, kind, knob, word) in [
        (file("odl.csv"), NotFound, "file_path", "odl.csv"),
        (file("../old.csv"), Denied, "file_path", "outside"),
        (file("empty.csv"), BadParams, "file_path", "no row"),
        (file("nothing.csv"), BadParams, "file_path", "no row"),
        (file("empty.parquet"), BadParams, "file_path", "no row"),
        (file("broken.parquet"), BadParams, "file_path", "cannot be read"),
        (file("text.parquet"), BadSchema, "columns/0", "Utf8"),
        (json!({"file_path": "text.parquet", "columns": ["t"]}), BadSchema, "columns/0", "Boolean"),
        (columns(json!(["y"])), BadSchema, "columns/0", "\"y\""),
        (columns(json!(["more"])), BadSchema, "columns/0", "old.csv has no column \"more\""),
        (columns(json!(["list"])), BadSchema, "columns/0", "List"),
        (columns(json!([])), BadParams, "columns", "no column"),
        (json!({"file_path": "old.csv", "columns": ["x"], "max_psi": -1}), BadParams, "max_psi", "-1"),
        (json!({"file_path": "old.csv", "columns": ["x"], "bins": 1}), BadParams, "bins", "1"),
        (json!({"file_path": "old.csv", "columns": ["x"], "bin": 5}), BadParams, "bin", "bin"),
    ] {
        let fault = folder.run(rule.clone(), &input).await.expect_err("refused");
        let violation = &fault.violations()[0];
        assert_eq!(
            (fault.kind(), &*violation.pointer),
            (kind, &*format!("/rules/check_drift/{knob}")),
            "{rule}: {fault}"
        );
        assert!(violation.message.contains(word), "{rule}: {fault}");
    }
}

#[tokio::test]
async fn a_value_of_another_type_in_the_file_is_told() {
    let folder = Folder::with("old.csv", format!("x\n{}n/a\n 7 \nabout 3\n", "1\n".repeat(2000)));
    let fault = folder.run(rule("old.csv"), &numbers(0..5)).await.expect_err("no number");
    assert_eq!((fault.kind(), fault.column_name()), (FaultKind::BadData, Some("x")));
    assert_eq!(fault.message(), "old.csv, row 2003, column \"x\": \"about 3\" is not float64");
    assert!(fault.help_text().is_some());
}

#[tokio::test]
async fn each_mistake_has_its_own_help() {
    let folder = Folder::with("old.csv", "x,y\n1,2\n");
    let params = json!({
        "rules": {"check_drift": {"file_path": "odl.csv", "columns": ["x"]}, "check_not_null": ["xx"]},
        "on_failure": {"check_drift": "reject"},
    });
    let run = async |params: Value| Bench::at(folder.path()).run(DataQuality, params, &[numbers(0..5)]).await;
    let fault = run(params).await.expect_err("refused");
    let help = |place: usize| fault.violations()[place].help.clone().unwrap_or_default();
    assert!(help(0).starts_with("use fail or warn") && help(1) == "did you mean \"x\"?", "{fault:?}");
    assert!(help(2).starts_with("did you mean \"old.csv\"?"), "{fault:?}");
    let fault = run(json!({"rules": {"check_drift": {"file_path": "old.csv", "columns": ["x"]}}})).await;
    assert!(fault.is_ok());
}

#[tokio::test]
async fn a_file_that_changed_since_it_was_planned_is_refused() {
    let folder = Folder::with("old.csv", csv_of("x", 1..=100));
    let bench = Bench::at(folder.path());
    let registry = registry::Registry::new().with(DataQuality);
    for rules in [json!({"check_drift": rule("old.csv")}), json!({"check_reference": {"x": {"file_path": "old.csv"}}})]
    {
        let params = json!({"rules": rules});
        let command = StepCommand { step: "data-quality".to_owned(), params, ..StepCommand::default() };
        let schemas = InputSchemas::new(vec![numbers(0..1).schema()]);
        let planned = registry.plan(&command, &schemas, &bench.env).await.expect("it plans");
        let again = StepCommand { source: planned.source.clone().expect("the file"), ..command };
        folder.write("old.csv", csv_of("x", 2..=200));
        let Err(fault) = registry.plan(&again, &schemas, &bench.env).await else { panic!("it changed") };
        assert!(fault.kind() == FaultKind::BadData && fault.message().contains("old.csv"), "{fault:?}");
        folder.write("old.csv", csv_of("x", 1..=100));
    }
}
