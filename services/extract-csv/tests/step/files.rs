//! Files of many kinds that are read well.

use crate::support::{folder, read, run_in, shown};
use arrow::array::AsArray;
use arrow::datatypes::{DataType, Int64Type};
use flate2::{Compression, write::GzEncoder};
use serde_json::json;
use std::io::Write;

async fn cells(content: impl AsRef<[u8]>) -> Vec<Vec<String>> {
    shown(&read(content, json!({})).await.expect("reads")).1
}

#[tokio::test]
async fn a_header_alone_is_a_table_without_rows() {
    for content in ["a,b", "a,b\n", "a,b\r\n", "\n\na,b\n\n"] {
        let ran = read(content, json!({"types": {"b": "int64"}})).await.expect("reads");
        assert_eq!(ran.rows().num_rows(), 0);
        let types: Vec<&DataType> = ran.schema.fields().iter().map(|field| field.data_type()).collect();
        assert_eq!(types, [&DataType::Utf8, &DataType::Int64]);
    }
}

#[tokio::test]
async fn lines_end_as_they_like() {
    let wanted = [["1", "x"], ["2", "y"]];
    for content in ["a,b\n1,x\n2,y\n", "a,b\r\n1,x\r\n2,y\r\n", "a,b\n1,x\n2,y", "\u{feff}a,b\r\n1,x\r\n2,y"] {
        assert_eq!(cells(content).await, wanted, "{content:?}");
        let names = read(content, json!({})).await.expect("reads").schema;
        assert_eq!(names.field(0).name(), "a", "{content:?}");
    }
}

#[tokio::test]
async fn quoted_fields_hold_anything() {
    let content = "\"a \"\"x\"\"\",\"b\n2\"\n1,\"two\r\nlines, and \"\"quotes\"\"\"\n2,5\" pipe\n";
    let ran = read(content, json!({})).await.expect("reads");
    assert_eq!(ran.schema.field(0).name(), "a \"x\"");
    assert_eq!(ran.schema.field(1).name(), "b\n2");
    assert_eq!(shown(&ran).1, [["1", "two\r\nlines, and \"quotes\""], ["2", "5\" pipe"]]);
}

#[tokio::test]
async fn a_blank_line_is_no_row_but_a_null_in_a_single_column() {
    assert_eq!(cells("a,b\n\n1,2\n\r\n\n3,4\n\n").await, [["1", "2"], ["3", "4"]]);
    assert_eq!(cells("a\n1\n\n2\n").await, [["1"], ["∅"], ["2"]]);
}

#[tokio::test]
async fn there_may_be_no_header() {
    let ran = read("1,x\n2,y\n", json!({"header": false})).await.expect("reads");
    assert_eq!(
        ran.schema.fields().iter().map(|field| field.name().as_str()).collect::<Vec<_>>(),
        ["column_1", "column_2"]
    );
    assert_eq!(shown(&ran).1, [["1", "x"], ["2", "y"]]);
}

#[tokio::test]
async fn lines_before_the_header_are_left_out() {
    let ran = read("Report \"2024\n\na,b\n1,2\n", json!({"skip_lines": 2})).await.expect("reads");
    assert_eq!(ran.schema.field(0).name(), "a");
    assert_eq!(shown(&ran).1, [["1", "2"]]);
}

#[tokio::test]
async fn nameless_columns_and_namesakes_get_names() {
    let ran = read(",a,a\n0,1,2\n", json!({"duplicate_headers": "rename"})).await.expect("reads");
    assert_eq!(
        ran.schema.fields().iter().map(|field| field.name().as_str()).collect::<Vec<_>>(),
        ["column_1", "a", "a.1"]
    );
}

#[tokio::test]
async fn delimiter_and_quote_are_what_the_user_says() {
    for (delimiter, content) in [(";", "a;b\n1;'x;y'\n"), ("\\t", "a\tb\n1\t'x;y'\n"), ("|", "a|b\n1|'x;y'\n")] {
        let ran = read(content, json!({"delimiter": delimiter, "quote": "'"})).await.expect("reads");
        assert_eq!(shown(&ran).1, [["1", "x;y"]]);
    }
    let ran = read("a,b\n\"x,y\"\n", json!({"quote": ""})).await.expect("reads");
    assert_eq!(shown(&ran).1, [["\"x", "y\""]]);
    let ran = read("a;b\n1\n", json!({"delimiter": ","})).await.expect("it is one column indeed");
    assert_eq!(ran.schema.field(0).name(), "a;b");
}

#[tokio::test]
async fn other_encodings_are_read_when_told_or_marked() {
    let ran = read(b"n,c\n1,caf\xe9\n", json!({"encoding": "latin1"})).await.expect("reads");
    assert_eq!(shown(&ran).1, [["1", "café"]]);
    let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    assert_eq!(cells(utf16("\u{feff}n,c\n1,café\n")).await, [["1", "café"]]);
    let ran = read(utf16("n,c\n1,café\n"), json!({"encoding": "utf-16le"})).await.expect("reads");
    assert_eq!(shown(&ran).1, [["1", "café"]]);
}

#[tokio::test]
async fn compressed_files_are_known_by_their_content() {
    let text = format!("a,b\n{}", "1,x\n".repeat(100_000));
    let mut gzip = Vec::new();
    // Two members one after the other, as parallel compressors write them.
    for part in text.as_bytes().chunks(250_000) {
        let mut encoder = GzEncoder::new(&mut gzip, Compression::fast());
        encoder.write_all(part).expect("written");
        encoder.finish().expect("finished");
    }
    let zstd = zstd::encode_all(text.as_bytes(), 1).expect("compressed");
    for content in [gzip, zstd] {
        let ran = read(&content, json!({})).await.expect("reads");
        assert_eq!(ran.rows().num_rows(), 100_000);
        assert_eq!(ran.report.counters["bytes_read"], content.len() as u64);
    }
}

#[tokio::test]
async fn rows_keep_their_order_through_many_pieces() {
    let mut content = "n,text\n".to_owned();
    for n in 0..300_000 {
        let text = if n % 7 == 0 { format!("\"line\n{n}, \"\"quoted\"\"\"") } else { format!("t{n}") };
        content += &format!("{n},{text}\n");
    }
    let ran = read(&content, json!({})).await.expect("reads");
    assert!(ran.batches.len() > 3, "it was cut: {}", ran.batches.len());
    assert!(ran.batches.iter().all(|batch| batch.num_rows() < 64 * 1024));
    let rows = ran.rows();
    assert!(rows.column(0).as_primitive::<Int64Type>().values().iter().copied().eq(0..300_000));
    let text = rows.column(1).as_string::<i32>();
    assert_eq!((text.value(13), text.value(299_998)), ("t13", "t299998"));
    assert_eq!(text.value(299_999), "line\n299999, \"quoted\"");
    assert_eq!(ran.report.counters["bytes_read"], content.len() as u64);
}

#[tokio::test]
async fn ten_thousand_columns_are_columns_like_others() {
    let names: Vec<String> = (0..10_000).map(|n| format!("c{n}")).collect();
    let row: Vec<String> = (0..10_000).map(|n| if n % 2 == 0 { n.to_string() } else { format!("v{n}") }).collect();
    let content = format!("{}\n{}", names.join(","), format!("{}\n", row.join(",")).repeat(50));
    let ran = read(content, json!({})).await.expect("reads");
    assert_eq!((ran.schema.fields().len(), ran.rows().num_rows()), (10_000, 50));
    assert_eq!(ran.schema.field(9_998).data_type(), &DataType::Int64);
    assert_eq!(ran.rows().column(9_999).as_string::<i32>().value(49), "v9999");
}

#[tokio::test]
async fn a_field_may_be_longer_than_a_piece() {
    let long = "x\ny".repeat(4 << 20);
    let content = format!("n,text\n1,\"{long}\"\n2,{}\n", "z".repeat(5 << 20));
    let ran = read(content, json!({})).await.expect("reads");
    let rows = ran.rows();
    let text = rows.column(1).as_string::<i32>();
    assert!(text.value(0) == long && text.value(1).len() == 5 << 20);
}

#[tokio::test]
async fn paths_of_the_old_system_are_read() {
    let folder = folder("a\n1\n");
    let ran = run_in(&folder, json!({"file_path": "/app/data/in.csv"})).await.expect("reads");
    assert_eq!(ran.rows().num_rows(), 1);
}

#[tokio::test]
async fn memory_does_not_grow_with_the_file() {
    use extract_csv::ExtractCsv;
    use flight_common::drive::drive;
    use flight_common::registry::erase;
    use flight_common::testing::Bench;
    use flight_common::{InputSchemas, compute};
    use futures::TryStreamExt;

    let row = format!("1,{},2.5\n", "text ".repeat(20));
    let folder = folder(format!("a,b,c\n{}", row.repeat(600_000)));
    let env = Bench::at(folder.path()).env;
    let params = json!({"file_path": crate::support::FILE});
    let planned = erase(ExtractCsv).plan(&params, &InputSchemas::default(), &env).await.expect("plans");
    let mut driven = drive(planned, Vec::new(), &env, "run", &[]).expect("starts");
    let output = driven.outputs.remove(0).expect("the main output");
    let rows = compute::spawn(output.try_fold(0, |rows, batch| async move { Ok(rows + batch.num_rows()) }));
    assert_eq!(rows.await.expect("it ends").expect("reads"), 600_000);
    let budget = env.space.budget();
    assert!(budget.peak() > 0 && budget.peak() < 32 << 20, "{} bytes of text at once", budget.peak());
    assert_eq!(budget.used(), 0);
}
