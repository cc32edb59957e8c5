//! Files that are refused: what is said, where, and what to try.

use crate::support::{FILE, folder, read, refused, run_in};
use extract_csv::ExtractCsv;
use flate2::{Compression, write::GzEncoder};
use flight_common::drive::drive;
use flight_common::registry::erase;
use flight_common::testing::Bench;
use flight_common::{Fault, FaultKind, InputSchemas};
use futures::TryStreamExt;
use serde_json::json;
use std::fs;
use std::io::Write;
use tempfile::TempDir;

/// A good file of 60,000 rows and 60,001 lines, so that what is appended lies beyond the rows that are looked at.
fn long() -> String {
    let rows: String = (0..60_000).map(|n| format!("{n},{n}.5,t{n}\n")).collect();
    format!("a,b,c\n{rows}")
}

#[tokio::test]
async fn a_missing_file_is_not_found_and_its_neighbour_is_named() {
    let fault = run_in(&folder("a\n"), json!({"file_path": "inn.csv"})).await.expect_err("refused");
    assert_eq!(fault.kind(), FaultKind::NotFound);
    assert!(fault.help_text().is_some_and(|help| help.contains("in.csv")), "{fault:?}");
    assert_eq!(fault.violations()[0].pointer, "/file_path");
}

#[tokio::test]
async fn an_empty_file_is_refused() {
    for content in ["", "\n\r\n\n", "\u{feff}"] {
        let fault = refused(content, json!({}), &["in.csv is empty"]).await;
        assert_eq!(fault.violations()[0].pointer, "/file_path");
    }
    refused("", json!({"header": false}), &["empty"]).await;
    refused("a\n", json!({"skip_lines": 3}), &["empty"]).await;
}

#[tokio::test]
async fn two_columns_of_one_name_are_refused_with_their_places() {
    refused("a,b,a\n1,2,3\n", json!({}), &["line 1", "columns 1 and 3", "\"a\"", "duplicate_headers: rename"]).await;
}

#[tokio::test]
async fn a_ragged_row_is_named_by_its_line() {
    let fault = refused("a,b\n1,2\n\"x\ny\",2,3\n", json!({}), &["line 3", "3 fields", "expected 2", "quotes"]).await;
    assert_eq!(fault.row_number(), Some(2));
    refused("a,b\n1,2\n3\n", json!({}), &["line 3", "1 field", "expected 2"]).await;
    let fault = refused(long() + "1,2\n", json!({}), &["line 60002", "2 fields", "expected 3"]).await;
    assert_eq!(fault.row_number(), Some(60_001));
}

#[tokio::test]
async fn a_value_that_breaks_the_guess_is_told_with_what_to_set() {
    for (row, words) in [
        ("x1,2.5,t", ["\"a\"", "\"x1\"", "int64", "types: {\"a\": \"string\"}"]),
        ("1.5,2.5,t", ["\"a\"", "\"1.5\"", "int64", "types: {\"a\": \"float64\"}"]),
        ("007,2.5,t", ["\"a\"", "\"007\"", "int64", "types: {\"a\": \"string\"}"]),
        ("99999999999999999999,1,t", ["\"a\"", "99999999999999999999", "int64", "types: {\"a\": \"string\"}"]),
        ("1,n.a.,t", ["\"b\"", "\"n.a.\"", "float64", "nulls"]),
    ] {
        let fault = refused(format!("{}{row}\n", long()), json!({}), &words).await;
        assert!(fault.message().contains("in.csv, line 60002, column"), "{fault}");
        assert_eq!((fault.row_number(), fault.column_name().is_some()), (Some(60_001), true));
    }
    let fixed = read(long() + "x1,2,t\n", json!({"types": {"a": "string"}})).await.expect("as the help says");
    assert_eq!(fixed.rows().num_rows(), 60_001);
}

#[tokio::test]
async fn of_several_mistakes_the_first_row_is_told() {
    let content = format!("{}1,2,3\n4,x,6\ny,5,6\n", long());
    refused(content, json!({}), &["line 60003", "\"b\""]).await;
}

#[tokio::test]
async fn line_numbers_count_quoted_line_breaks_and_blank_lines() {
    let rows: String = (0..50_000).map(|n| format!("{n},\"two\nlines\"\n\n")).collect();
    refused(format!("title\na,b\n{rows}x,y\n"), json!({"skip_lines": 1}), &["line 150003", "\"x\""]).await;
}

#[tokio::test]
async fn a_value_that_is_not_of_the_given_type_is_told_when_planning() {
    let fault =
        refused("a\n1\n2.555\n", json!({"types": {"a": "decimal(10,2)"}}), &["line 3", "\"2.555\"", "decimal(10,2)"])
            .await;
    assert!(!fault.violations().is_empty(), "it is told before anything runs");
    refused("a\n300\n", json!({"types": {"a": "uint8"}}), &["\"300\"", "uint8"]).await;
    refused("a\n2024-02-29T10:00:00.5\n", json!({"types": {"a": "timestamp[s]"}}), &["timestamp[s]"]).await;
    refused("a\n2024-02-29T10:00Z\n", json!({"types": {"a": "timestamp"}}), &["10:00Z", "timestamp"]).await;
}

#[tokio::test]
async fn text_in_another_encoding_is_told_with_its_line() {
    refused(b"a,b\n1,caf\xe9\n", json!({}), &["line 2", "0xe9", "not UTF-8", "`encoding`"]).await;
    let mut late = long().into_bytes();
    late.extend(b"1,2,caf\xe9\n");
    refused(&late, json!({}), &["line 60002", "\"c\"", "not UTF-8", "`encoding`"]).await;
    // Two halves of one character in two fields are no character.
    late = long().into_bytes();
    late.extend(b"1,2,x\xc3\n1,2,\xa9y\n");
    refused(&late, json!({}), &["line 60002", "\"c\"", "not UTF-8"]).await;
    refused(b"a\nb\n\x81\x20\n", json!({"encoding": "shift_jis"}), &["line 3", "Shift_JIS"]).await;
    let utf16: Vec<u8> = "a,b\n1,2\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    refused(utf16, json!({}), &["utf-16le"]).await;
}

#[tokio::test]
async fn a_quote_that_is_never_closed_is_told_where_it_opens() {
    refused("a,b\n1,\"x\n2,y\n3,z\n", json!({}), &["line 2", "never closed"]).await;
    let rest: String = (0..60_000).map(|n| format!("{n},2.5,t\n")).collect();
    refused(format!("{}1,2.5,\"open\n{rest}", long()), json!({}), &["line 60002", "never closed", "quote: \"\""]).await;
}

#[tokio::test]
async fn text_behind_a_closing_quote_is_refused() {
    refused("a,b\n1,\"5\" pipe\"\n", json!({}), &["line 2", "\"b\"", "closing quote"]).await;
    refused("a,\"b\"x\n1,2\n", json!({}), &["line 1", "closing quote"]).await;
    refused(long() + "1,2.5,\"5\" pipe\"\n", json!({}), &["line 60002", "\"c\"", "closing quote"]).await;
}

#[tokio::test]
async fn what_is_cut_at_the_wrong_character_is_refused() {
    refused("a;b\n1,5;2\n", json!({}), &["line 1", "delimiter: \";\""]).await;
    refused("a\tb\n1\t2\n", json!({}), &["delimiter: \"\\t\""]).await;
    refused("a,b\r1,2\r3,4\r", json!({}), &["line 1", "carriage returns"]).await;
}

#[tokio::test]
async fn files_of_other_formats_are_named() {
    refused(b"PK\x03\x04whatever", json!({}), &["Excel"]).await;
    refused(b"PAR1whatever", json!({}), &["Parquet"]).await;
}

#[tokio::test]
async fn damaged_compression_is_told() {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(long().as_bytes()).expect("written");
    let gzip = encoder.finish().expect("finished");
    let zstd = zstd::encode_all(long().as_bytes(), 1).expect("compressed");
    for (form, whole) in [("gzip", gzip), ("zstd", zstd)] {
        refused(&whole[..whole.len() - 9], json!({"sample_rows": 10}), &["in.csv", form, "damaged or cut short"]).await;
    }
}

#[tokio::test]
async fn parameters_that_cannot_be_are_told_all_at_once() {
    let params = json!({
        "delimiter": "::", "encoding": "klingon", "date_format": "%Q", "types": {"a": "strin", "b": "decimal(99,1)"}
    });
    let fault = read("a,b\n", params).await.expect_err("refused");
    assert_eq!(fault.kind(), FaultKind::BadParams);
    let mut pointers: Vec<&str> = fault.violations().iter().map(|violation| violation.pointer.as_str()).collect();
    pointers.sort_unstable();
    assert_eq!(pointers, ["/date_format", "/delimiter", "/encoding", "/types/a", "/types/b"]);
    assert!(fault.violations().iter().all(|violation| violation.help.is_some()));
}

#[tokio::test]
async fn a_type_for_a_column_that_is_not_there_is_refused_with_the_nearest_name() {
    let fault =
        read("price,b\n1,2\n", json!({"types": {"prise": "string", "bb": "string"}})).await.expect_err("refused");
    assert_eq!(fault.kind(), FaultKind::BadSchema);
    let told: Vec<_> = fault.violations().iter().map(|one| (one.pointer.as_str(), one.help.as_deref())).collect();
    let nearest = [("/types/bb", Some("did you mean \"b\"?")), ("/types/prise", Some("did you mean \"price\"?"))];
    assert_eq!(told, nearest);
}

/// Plans, lets something happen to the file, and runs.
async fn changed(folder: &TempDir, happens: impl FnOnce()) -> Fault {
    let env = Bench::at(folder.path()).env;
    let step = erase(ExtractCsv);
    let planned = step.plan(&json!({"file_path": FILE}), &InputSchemas::default(), &env).await.expect("plans");
    assert!(planned.source.as_ref().is_some_and(|source| source.contains("in.csv of ")));
    happens();
    let mut driven = drive(planned, Vec::new(), &env, "run", &[]).expect("starts");
    let output = driven.outputs.remove(0).expect("the main output");
    output.try_collect::<Vec<_>>().await.expect_err("refused")
}

#[tokio::test]
async fn a_file_that_changed_since_planning_is_refused() {
    let folder = folder("a\n1\n");
    let path = folder.path().join(FILE);
    let fault = changed(&folder, || fs::write(&path, "a\n1\n2\n").expect("written")).await;
    assert_eq!(fault.kind(), FaultKind::BadData);
    assert!(fault.message().contains("changed since it was planned"), "{fault}");

    let other = folder.path().join("other.csv");
    let fault = changed(&folder, || {
        let time = fs::metadata(&path).and_then(|found| found.modified()).expect("a time");
        fs::write(&other, "a\n3\n4\n").expect("written");
        fs::File::options().write(true).open(&other).and_then(|file| file.set_modified(time)).expect("same time");
        fs::rename(&other, &path).expect("replaced");
    })
    .await;
    assert!(fault.message().contains("another file in its place"), "{fault}");

    let fault = changed(&folder, || fs::remove_file(&path).expect("removed")).await;
    assert_eq!(fault.kind(), FaultKind::NotFound);
}

#[tokio::test]
async fn a_file_that_changes_while_it_is_read_is_refused() {
    let folder = folder(long());
    let path = folder.path().join(FILE);
    let env = Bench::at(folder.path()).env;
    let params = json!({"file_path": FILE});
    let planned = erase(ExtractCsv).plan(&params, &InputSchemas::default(), &env).await.expect("plans");
    let mut driven = drive(planned, Vec::new(), &env, "run", &[]).expect("starts");
    let mut output = driven.outputs.remove(0).expect("the main output");
    assert!(output.try_next().await.expect("reads").is_some());
    fs::File::options().append(true).open(&path).and_then(|mut file| file.write_all(b"1,2.5,t\n")).expect("appended");
    let fault = loop {
        match output.try_next().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("it ended well"),
            Err(fault) => break fault,
        }
    };
    assert!(fault.message().contains("changed while it was read"), "{fault}");
}
