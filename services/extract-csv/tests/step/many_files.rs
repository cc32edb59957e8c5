//! Several files as one table.

use crate::support::shown;
use arrow::datatypes::DataType;
use extract_csv::ExtractCsv;
use flight_common::testing::{Bench, Ran};
use flight_common::{Fault, FaultKind, InputSchemas, StepCommand, registry};
use serde_json::{Value, json};
use std::fs;
use tempfile::TempDir;

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (path, content) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, content).expect("written");
    }
    folder
}

async fn read(folder: &TempDir, params: Value) -> Result<Ran, Fault> {
    Bench::at(folder.path()).run(ExtractCsv, params, &[]).await
}

#[tokio::test]
async fn files_come_in_the_order_of_their_paths_each_with_its_header() {
    let files = [("s/b.csv", "n,t\n3,z\n"), ("s/a.csv", "# a title\nn,t\n1,x\n2,y\n"), ("s/none.txt", "n,t\n9,9\n")];
    let folder = folder(&files);
    let ran = read(&folder, json!({"file_path": "s/*.csv"})).await;
    // The title is no header.
    assert!(ran.is_err());
    fs::write(folder.path().join("s/b.csv"), "# b\n\"n\",t\r\n3,z").expect("written");
    let ran = read(&folder, json!({"file_path": "s/*.csv", "skip_lines": 1})).await.expect("reads");
    assert_eq!(shown(&ran).1, [["1", "x"], ["2", "y"], ["3", "z"]]);
    let bytes: usize =
        ["s/a.csv", "s/b.csv"].iter().map(|path| fs::read(folder.path().join(path)).expect("a file").len()).sum();
    assert_eq!(ran.report.counters["bytes_read"], bytes as u64);
}

#[tokio::test]
async fn a_guessed_type_holds_the_values_of_every_file() {
    let files = [
        ("1.csv", "whole,real,day,none,given\n1,1,2024-02-29,,007\n"),
        ("2.csv", "whole,real,day,none,given\n"),
        ("3.csv", "whole,real,day,none,given\n9007199254740993,2.5,2024-03-01 10:00,5,008\n"),
    ];
    let folder = folder(&files);
    let ran = read(&folder, json!({"file_path": "?.csv", "types": {"given": "int64"}})).await.expect("reads");
    let types: Vec<&DataType> = ran.schema.fields().iter().map(|field| field.data_type()).collect();
    assert_eq!(
        (types[0], types[1], types[3], types[4]),
        (&DataType::Int64, &DataType::Float64, &DataType::Int64, &DataType::Int64)
    );
    let wanted =
        [["1", "1.0", "2024-02-29T00:00:00", "∅", "7"], ["9007199254740993", "2.5", "2024-03-01T10:00:00", "5", "8"]];
    assert_eq!(shown(&ran).1, wanted);
}

#[tokio::test]
async fn other_columns_are_told_by_both_files() {
    for (other, words) in [
        ("a,c\n1,2\n", "its column 2 is \"c\", where 1.csv has \"b\""),
        ("a\n1\n", "its column 2 is no column, where 1.csv has \"b\""),
        ("a,b,c\n1,2,3\n", "its column 3 is \"c\", where 1.csv has no column"),
    ] {
        let folder = folder(&[("1.csv", "a,b\n1,2\n"), ("2.csv", other)]);
        let fault = read(&folder, json!({"file_path": "*.csv"})).await.expect_err("refused");
        assert_eq!((fault.kind(), fault.violations()[0].pointer.as_str()), (FaultKind::BadData, "/file_path"));
        assert!(fault.message().contains("2.csv") && fault.message().contains(words), "{fault}");
    }
}

#[tokio::test]
async fn what_is_wrong_is_told_with_its_file_line_and_row() {
    let folder = folder(&[("1.csv", "n\n1\n2\n3\n"), ("2.csv", "n\n4\n5\nx\n")]);
    let fault = read(&folder, json!({"file_path": "*.csv", "sample_rows": 2})).await.expect_err("x is no number");
    assert!(fault.message().contains("2.csv, line 4"), "{fault}");
    assert_eq!(fault.kind(), FaultKind::BadData);
    let fault = read(&folder, json!({"file_path": "*.tsv"})).await.expect_err("none");
    assert_eq!((fault.kind(), fault.violations()[0].pointer.as_str()), (FaultKind::NotFound, "/file_path"));
}

#[tokio::test]
async fn a_file_that_changed_or_came_since_it_was_planned_is_refused() {
    let folder = folder(&[("1.csv", "n\n1\n"), ("2.csv", "n\n2\n")]);
    let bench = Bench::at(folder.path());
    let registry = registry::Registry::new().with(ExtractCsv);
    let params = json!({"file_path": "*.csv"});
    let command = StepCommand { step: "extract-csv".to_owned(), params, ..StepCommand::default() };
    let planned = registry.plan(&command, &InputSchemas::default(), &bench.env).await.expect("it plans");
    let again = StepCommand { source: planned.source.clone().expect("a source"), ..command };
    registry.plan(&again, &InputSchemas::default(), &bench.env).await.expect("nothing changed");
    fs::write(folder.path().join("3.csv"), "n\n3\n").expect("written");
    let Err(fault) = registry.plan(&again, &InputSchemas::default(), &bench.env).await else { panic!("one came") };
    assert_eq!(fault.kind(), FaultKind::BadData);
    fs::write(folder.path().join("2.csv"), "n\n22\n").expect("written");
    let driven = flight_common::drive::drive(planned, Vec::new(), &bench.env, "r", &[]).expect("it starts");
    let output = driven.outputs.into_iter().flatten().next().expect("the main output");
    let fault = flight_common::compute::spawn(output.collect_rows()).await.expect("polled").expect_err("it changed");
    assert!(fault.kind() == FaultKind::BadData && fault.message().contains("2.csv"), "{fault:?}");
}
