//! What files of each format become.

use crate::support::{Folder, avro_of, compressed_parquet_of, file_of, parquet_of, shown, stream_of, tight_file_of};
use arrow::array::RecordBatch;
use arrow::datatypes::DataType;
use flight_common::FaultKind;
use flight_common::testing::batch;
use flight_common::testing::contract::awkward;
use serde_json::json;
use std::sync::Arc;

fn people() -> RecordBatch {
    batch!(
        "id" => Int64Array [1, 2, 9_007_199_254_740_993],
        "name" => StringArray [Some("Ann"), None, Some("Zoë")],
        "weight" => Float64Array [Some(1.5), Some(f64::INFINITY), None],
    )
}

#[tokio::test]
async fn every_format_gives_the_rows_that_were_written() {
    let folder = Folder::new();
    for (name, content) in [
        ("a.parquet", parquet_of(&people(), 2)),
        ("a.arrow", file_of(&people())),
        ("tight.arrow", tight_file_of(&people())),
        ("a.arrows", stream_of(&people())),
        ("a.avro", avro_of(&people())),
    ] {
        folder.write(name, content);
        let rows = folder.rows(json!({"file_path": name})).await;
        assert_eq!(shown(&rows), shown(&people()), "{name}");
        let types = |rows: &RecordBatch| {
            rows.schema().fields().iter().map(|field| field.data_type().clone()).collect::<Vec<_>>()
        };
        assert_eq!(types(&rows), types(&people()), "{name}");
        let rows =
            folder.rows(json!({"file_path": name, "select": ["weight", "id"], "where": "name IS NOT NULL"})).await;
        assert_eq!(shown(&rows), ["1.5|1", "∅|9007199254740993"], "{name}");
        let rows = folder.rows(json!({"file_path": name, "select": "name", "where": "id > 1 OR weight < 1"})).await;
        assert_eq!(shown(&rows), ["∅", "Zoë"], "{name}");
    }
}

/// Polars writes the schema at the beginning of a file as no message that can be told from its length.
#[tokio::test]
async fn an_arrow_file_is_read_by_its_footer() {
    let folder = Folder::new();
    let mut file = file_of(&people());
    file[8..16].copy_from_slice(&[4, 0, 0, 0, 0xf2, 0xff, 0xff, 0xff]);
    folder.write("a.arrow", file);
    assert_eq!(folder.rows(json!({"file_path": "a.arrow"})).await, people());
}

#[tokio::test]
async fn arrow_and_parquet_keep_every_type() {
    let folder = Folder::new();
    folder.write("a.parquet", parquet_of(&awkward(200), 64));
    folder.write("a.feather", file_of(&awkward(200)));
    for name in ["a.parquet", "a.feather"] {
        assert_eq!(folder.rows(json!({"file_path": name})).await, awkward(200), "{name}");
    }
}

#[tokio::test]
async fn json_is_a_list_or_records_one_after_the_other() {
    let folder = Folder::new();
    let wanted = ["1|a \"}],|[1, 2]|{x: 1.5, y: true}", "2|∅|∅|∅", "3|∅|[]|{x: ∅, y: ∅}"];
    let records = [
        r#"{"id": 1, "t": "a \"}],", "l": [1, 2], "o": {"x": 1.5, "y": true}}"#,
        r#"{"id": 2, "t": null}"#,
        r#"{"id": 3, "l": [], "o": {}}"#,
    ];
    for (name, content) in [
        ("a.json", format!("[{}]", records.join(","))),
        ("b.json", format!("\u{feff}[\n  {}\n]\n", records.join(",\n  ").replace(", ", ",\n"))),
        ("c.ndjson", records.join("\n")),
        ("d.jsonl", records.join("\r\n") + "\r\n\r\n"),
        ("e.json", records.join("")),
    ] {
        folder.write(name, content);
        assert_eq!(shown(&folder.rows(json!({"file_path": name})).await), wanted, "{name}");
    }
    let rows = folder.rows(json!({"file_path": "a.json", "select": ["t"], "where": "o['x'] > 1"})).await;
    assert_eq!(shown(&rows), ["a \"}],"]);
}

#[tokio::test]
async fn json_types_are_found_from_the_first_records() {
    let folder = Folder::new();
    folder.write("a.ndjson", "{\"a\": 9007199254740993, \"b\": 1, \"c\": \"007\"}\n{\"a\": 2, \"b\": 1.5, \"c\": 7}\n");
    let ran = folder.read(json!({"file_path": "a.ndjson"})).await.expect("it reads");
    let types: Vec<_> = ran.schema.fields().iter().map(|field| field.data_type().clone()).collect();
    assert_eq!(types, [DataType::Int64, DataType::Float64, DataType::Utf8]);
    assert_eq!(shown(&ran.rows()), ["9007199254740993|1.0|007", "2|1.5|7"]);
    let late = format!("{}{}", "{\"a\": 1}\n".repeat(20), "{\"a\": \"x\"}\n");
    folder.write("late.ndjson", late);
    let fault = folder.read(json!({"file_path": "late.ndjson", "sample_rows": 10})).await.expect_err("no number");
    assert_eq!(fault.kind(), FaultKind::BadData, "{fault:?}");
    assert!(
        fault.message().contains("late.ndjson") && fault.help_text().is_some_and(|help| help.contains("sample_rows"))
    );
}

#[tokio::test]
async fn json_is_of_the_types_that_are_given() {
    let folder = Folder::new();
    folder.write("a.ndjson", "{\"id\": 1, \"x\": 12.50, \"d\": \"2024-02-29\", \"n\": 1}\n{\"id\": 9007199254740993.0, \"x\": \"7\", \"d\": null}\n");
    folder.write(
        "b.json",
        "[{\"x\": 0.1, \"id\": \"007\", \"d\": \"1969-12-31\", \"n\": 2}, {\"id\": true, \"x\": null}]",
    );
    let types = json!({"id": "string", "x": "decimal(18,2)", "d": "date"});
    let ran = folder.read(json!({"file_path": "[ab].*", "types": types})).await.expect("it reads");
    let found: Vec<_> = ran.schema.fields().iter().map(|field| field.data_type().clone()).collect();
    assert_eq!(found, [DataType::Utf8, DataType::Decimal128(18, 2), DataType::Date32, DataType::Int64]);
    let wanted = ["1|12.50|2024-02-29|1", "9007199254740993.0|7.00|∅|∅", "007|0.10|1969-12-31|2", "true|∅|∅|∅"];
    assert_eq!(shown(&ran.rows()), wanted);
    let some = json!({"file_path": "a.ndjson", "types": types, "select": ["n", "d"], "where": "x > 7.1"});
    assert_eq!(shown(&folder.rows(some).await), ["1|2024-02-29"]);
    for (name, text) in [("none.ndjson", ""), ("none.json", "[]")] {
        folder.write(name, text);
        let ran = folder.read(json!({"file_path": name, "types": types})).await.expect("it reads");
        let found: Vec<_> = ran.schema.fields().iter().map(|field| field.data_type().clone()).collect();
        assert_eq!(found, [DataType::Date32, DataType::Utf8, DataType::Decimal128(18, 2)], "{name}");
        assert_eq!(ran.rows().num_rows(), 0);
    }
    let typo = json!({"file_path": "*.ndjson", "types": {"iid": "string"}});
    let fault = folder.read(typo).await.expect_err("an empty file hides no slip");
    assert!(fault.help_text().is_some_and(|help| help.contains("id, x")), "{fault:?}");
}

#[tokio::test]
async fn a_value_that_is_none_of_the_given_type_is_told_by_row_and_column() {
    let folder = Folder::new();
    let text: String = (0..20_000).map(|n| format!("{{\"a\": {n}, \"b\": 1}}\n")).collect();
    for (last, shown) in [("\"x\"", "\"x\""), ("1.5", "\"1.5\""), ("\"\"", "\"\""), ("true", "\"true\"")] {
        folder.write("a.ndjson", format!("{text}{{\"a\": {last}, \"b\": 1}}\n"));
        let params = json!({"file_path": "a.ndjson", "types": {"a": "int32"}, "sample_rows": 10});
        let fault = folder.read(params).await.expect_err("no whole number");
        let told = format!("a.ndjson, row 20001, column \"a\": {shown} is not int32, as `types` says");
        assert_eq!((fault.kind(), fault.message()), (FaultKind::BadData, told.as_str()));
        assert_eq!((fault.row_number(), fault.column_name()), (Some(20_001), Some("a")));
    }
}

#[tokio::test]
async fn many_records_come_in_many_batches_in_order() {
    let folder = Folder::new();
    let text: String =
        (0..200_000).map(|n| format!("{{\"n\": {n}, \"t\": \"text {n} with some length to it\"}}\n")).collect();
    folder.write("a.ndjson", text);
    let ran = folder.read(json!({"file_path": "a.ndjson"})).await.expect("it reads");
    assert!(ran.batches.len() > 4, "{}", ran.batches.len());
    let rows = ran.rows();
    assert_eq!(rows.num_rows(), 200_000);
    assert_eq!(shown(&rows.slice(199_999, 1)), ["199999|text 199999 with some length to it"]);
}

#[tokio::test]
async fn empty_files_have_no_rows_or_say_that_they_are_none() {
    let folder = Folder::new();
    folder.write("a.parquet", parquet_of(&people().slice(0, 0), 10));
    folder.write("a.arrow", file_of(&people().slice(0, 0)));
    for name in ["a.parquet", "a.arrow"] {
        let ran = folder.read(json!({"file_path": name})).await.expect("it reads");
        assert_eq!((ran.rows().num_rows(), ran.schema.fields().len()), (0, 3), "{name}");
    }
    for name in ["b.parquet", "b.arrow", "b.avro", "b.json", "b.ndjson"] {
        folder.write(name, "");
        let fault = folder.read(json!({"file_path": name})).await.expect_err(name);
        assert_eq!(fault.kind(), FaultKind::BadData, "{fault:?}");
        assert!(fault.message().contains(name), "{fault:?}");
    }
    folder.write("c.json", "[]");
    let fault = folder.read(json!({"file_path": "c.json"})).await.expect_err("no columns");
    assert_eq!(fault.kind(), FaultKind::BadData);
}

#[tokio::test]
async fn numbers_of_json_keep_every_digit() {
    let folder = Folder::new();
    folder.write("wide.ndjson", "{\"n\": 9007199254740993, \"u\": 18446744073709551615}\n{\"n\": 0.5, \"u\": 1}\n");
    let rows = folder.rows(json!({"file_path": "wide.ndjson"})).await;
    assert_eq!(shown(&rows), ["9007199254740993|18446744073709551615", "0.5|1"]);
    // Of two files, one has whole numbers alone.
    folder.write("s/1.ndjson", "{\"n\": 1, \"none\": null}\n");
    folder.write("s/2.ndjson", "{\"n\": 2.5, \"none\": null}\n");
    assert_eq!(shown(&folder.rows(json!({"file_path": "s/*.ndjson"})).await), ["1.0|∅", "2.5|∅"]);
    folder.write("s/1.ndjson", "{\"n\": 9007199254740993}\n");
    let fault = folder.read(json!({"file_path": "s/*.ndjson"})).await.expect_err("a float does not hold it");
    assert_eq!((fault.kind(), fault.column_name()), (FaultKind::BadData, Some("n")));
}

#[tokio::test]
async fn parquet_is_read_in_every_codec() {
    use parquet::basic::Compression::{BROTLI, GZIP, LZ4, LZ4_RAW, SNAPPY, UNCOMPRESSED, ZSTD};
    let folder = Folder::new();
    for codec in [
        UNCOMPRESSED,
        SNAPPY,
        GZIP(Default::default()),
        LZ4,
        LZ4_RAW,
        ZSTD(Default::default()),
        BROTLI(Default::default()),
    ] {
        folder.write("a.parquet", compressed_parquet_of(&people(), 2, codec));
        let rows = folder.rows(json!({"file_path": "a.parquet", "where": "id > 2"})).await;
        assert_eq!(shown(&rows), ["9007199254740993|Zoë|∅"], "{codec}");
    }
}

#[tokio::test]
async fn instants_of_avro_are_in_utc_as_those_of_other_formats() {
    use arrow::array::{Array, ArrayRef, TimestampMicrosecondArray, TimestampMillisecondArray};
    let folder = Folder::new();
    let micros = TimestampMicrosecondArray::from(vec![Some(1_709_208_000_000_000), None]).with_timezone("UTC");
    let millis = TimestampMillisecondArray::from(vec![1_709_208_000_000, 0]).with_timezone("UTC");
    let local = TimestampMicrosecondArray::from(vec![1_709_208_000_000_000, 0]);
    let columns: [(&str, ArrayRef); 3] =
        [("seen", Arc::new(micros)), ("sent", Arc::new(millis)), ("local", Arc::new(local))];
    let rows = RecordBatch::try_from_iter(columns.clone()).expect("rows");
    folder.write("a.avro", avro_of(&rows));
    folder.write("b.parquet", parquet_of(&rows, 2));
    let read = folder.rows(json!({"file_path": "a.avro"})).await;
    for (name, column) in &columns {
        assert_eq!(read[*name].data_type(), column.data_type(), "{name}");
    }
    let read = folder.rows(json!({"file_path": "?.*", "where": "seen = TIMESTAMPTZ '2024-02-29T12:00:00Z'"})).await;
    assert_eq!(read.num_rows(), 2, "the files of both formats make one table");
}

#[tokio::test]
async fn avro_keeps_types_in_blocks_of_every_codec() {
    use arrow_avro::compression::CompressionCodec;
    use arrow_avro::writer::WriterBuilder;
    let folder = Folder::new();
    use CompressionCodec::{Bzip2, Deflate, Snappy, ZStandard};
    for (place, codec) in [Deflate, Snappy, ZStandard, Bzip2].into_iter().enumerate() {
        let builder = WriterBuilder::new(people().schema().as_ref().clone()).with_compression(Some(codec));
        let mut writer = builder.build::<_, arrow_avro::writer::format::AvroOcfFormat>(Vec::new()).expect("a writer");
        for _ in 0..3 {
            writer.write(&people()).expect("written");
        }
        writer.finish().expect("finished");
        let name = format!("{place}.avro");
        folder.write(&name, writer.into_inner());
        let rows = folder.rows(json!({"file_path": name, "where": "id > 2"})).await;
        assert_eq!(shown(&rows), ["9007199254740993|Zoë|∅"; 3]);
    }
}

#[tokio::test]
async fn json_may_be_compressed_whatever_it_is_called() {
    use std::io::Write;
    let gzip = |text: &str| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text.as_bytes()).expect("in memory");
        encoder.finish().expect("in memory")
    };
    let zstd = |text: &str| zstd::encode_all(text.as_bytes(), 1).expect("in memory");
    let lines: String = (0..5000).map(|n| format!("{{\"n\": {n}}}\n")).collect();
    let list = format!("\u{feff}[{}]", lines.trim_end().replace('\n', ","));
    let folder = Folder::new();
    for (name, content) in [
        ("a.ndjson.gz", gzip(&lines)),
        ("a.JSONL.GZ", gzip(&lines)),
        ("a.json.gz", gzip(&list)),
        ("a.ndjson.zst", zstd(&lines)),
        ("a.json.zst", zstd(&list)),
        ("a.ndjson", gzip(&lines)),
    ] {
        folder.write(name, &content);
        let rows = folder.rows(json!({"file_path": name, "where": "n >= 4998"})).await;
        assert_eq!(shown(&rows), ["4998", "4999"], "{name}");
        folder.write(name, &content[..content.len() - 3]);
        let fault = folder.read(json!({"file_path": name})).await.expect_err("cut short");
        assert_eq!(fault.kind(), FaultKind::BadData, "{fault:?}");
        assert!(fault.message().contains(name) && fault.message().contains("damaged or cut short"), "{fault}");
    }
    folder.write("log.gz", gzip(&lines));
    assert_eq!(folder.rows(json!({"file_path": "log.gz", "format": "ndjson"})).await.num_rows(), 5000);
    folder.write("a.parquet.gz", gzip("whatever"));
    let fault = folder.read(json!({"file_path": "a.parquet.gz"})).await.expect_err("not read so");
    assert_eq!(fault.violations()[0].pointer, "/file_path");
    assert!(fault.help_text().is_some_and(|help| help.contains("uncompress")), "{fault:?}");
}

#[tokio::test]
async fn values_past_the_sample_that_the_type_does_not_hold_are_told_by_line_and_column() {
    let folder = Folder::new();
    for (first, later, column) in [
        ("{\"x\": 0.5}", "{\"x\": 9007199254740993}", "x"),
        ("{\"x\": 0.5}", "{\"x\": 123456789012345678901}", "x"),
        ("{\"x\": 1}", "{\"x\": 1.5}", "x"),
        ("{\"x\": 1}", "{\"x\": 1e3}", "x"),
        ("{\"x\": 1}", "{\"x\": \"007\"}", "x"),
        ("{\"o\": {\"x\": [0.5]}}", "{\"o\": {\"x\": [1, 9007199254740993]}}", "o.x"),
    ] {
        let value = later.rsplit([' ']).next().expect("a value").trim_end_matches([']', '}']);
        let lines = [[first; 12].join("\n"), later.to_owned(), first.to_owned()].join("\n");
        let list = format!("[\n{}\n]", lines.replace('\n', ",\n"));
        for (name, text, line) in [("a.ndjson", &lines, 13), ("a.json", &list, 14)] {
            folder.write(name, text);
            let fault = folder.read(json!({"file_path": name, "sample_rows": 10})).await.expect_err("it does not fit");
            assert_eq!(
                (fault.kind(), fault.column_name(), fault.row_number()),
                (FaultKind::BadData, Some(column), Some(13))
            );
            let place = format!("{name}, line {line}, column \"{column}\": {value} is ");
            assert!(fault.message().starts_with(&place), "{fault}");
            assert!(fault.help_text().is_some_and(|help| help.contains("sample_rows")), "{fault:?}");
            // Among the first records the column becomes one that holds them all.
            assert_eq!(folder.rows(json!({"file_path": name, "sample_rows": 20})).await.num_rows(), 14);
        }
    }
    folder.write("exact.ndjson", "{\"x\": 0.5, \"n\": 1}\n{\"x\": 9007199254740992, \"n\": 9007199254740993}\n");
    let rows = folder.rows(json!({"file_path": "exact.ndjson", "sample_rows": 1})).await;
    assert_eq!(shown(&rows), ["0.5|1", "9007199254740992.0|9007199254740993"]);
}
