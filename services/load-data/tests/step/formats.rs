//! What is written reads back as it was, in every format.

use crate::support::{Root, read_arrow, read_parquet, receipt, sheet_xml, zip_entry};
use arrow::array::*;
use arrow::datatypes::*;
use flight_common::BatchStream;
use flight_common::testing::{batch, make_batch};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use load_data::LoadData;
use serde_json::json;
use std::fs;
use std::io::Read;
use std::sync::Arc;

const BIG: i64 = (1 << 53) + 1;

/// Values that others have lost, of types that all formats hold.
fn hard() -> RecordBatch {
    let widest = 99_999_999_999_999_999_999_999_999_999_999_999_999_i128;
    let decimals = Decimal128Array::from(vec![Some(widest), None, Some(-1)]).with_precision_and_scale(38, 10);
    let moments = TimestampMicrosecondArray::from(vec![Some(-1), None, Some(1_709_209_800_250_000)]);
    make_batch(vec![
        ("int", Arc::new(Int64Array::from(vec![Some(BIG), None, Some(-7)]))),
        ("unsigned", Arc::new(UInt64Array::from(vec![Some(u64::MAX), None, Some(0)]))),
        ("decimal", Arc::new(decimals.expect("it fits"))),
        ("zoned", Arc::new(moments.clone().with_timezone("Europe/Berlin"))),
        ("local", Arc::new(moments)),
        ("date", Arc::new(Date32Array::from(vec![Some(-1), None, Some(19_782)]))),
        ("float", Arc::new(Float64Array::from(vec![Some(0.1), None, Some(1e300)]))),
        ("bool", Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)]))),
        ("text", Arc::new(StringArray::from(vec![Some(""), None, Some("ü😀, \"so\"\r\nand \\ on")]))),
    ])
}

#[tokio::test]
async fn parquet_and_arrow_give_back_the_same_batch() {
    let root = Root::new();
    for compression in ["none", "snappy", "zstd", "gzip", "lz4"] {
        let params = json!({"format": "parquet", "compression": compression});
        assert_eq!(read_parquet(&root.load(params, &hard()).await.expect("loads")), hard(), "{compression}");
    }
    for compression in ["none", "zstd", "lz4"] {
        let params = json!({"format": "arrow", "compression": compression});
        assert_eq!(read_arrow(&root.load(params, &hard()).await.expect("loads")), hard(), "{compression}");
    }
}

#[tokio::test]
async fn csv_is_exact_and_tells_an_empty_text_from_a_null() {
    let text = Root::new().text(json!({}), &hard()).await;
    let expected = "int,unsigned,decimal,zoned,local,date,float,bool,text\n\
        9007199254740993,18446744073709551615,9999999999999999999999999999.9999999999,\
        1970-01-01T00:59:59.999999+01:00,1969-12-31T23:59:59.999999,1969-12-31,0.1,true,\"\"\n\
        ,,,,,,,,\n\
        -7,0,-0.0000000001,2024-02-29T13:30:00.250000+01:00,2024-02-29T12:30:00.250000,2024-02-29,1e300,false,\
        \"ü😀, \"\"so\"\"\r\nand \\ on\"\n";
    assert_eq!(text, expected);
}

#[tokio::test]
async fn csv_reads_back_as_the_same_values() {
    let batch = hard();
    let text = Root::new().text(json!({"null_value": "NULL!"}), &batch).await;
    let null = arrow::csv::ReaderBuilder::new(batch.schema()).with_header(true);
    let reader = null.with_null_regex("^NULL!$".parse().expect("a pattern")).build(text.as_bytes()).expect("a reader");
    let read: Vec<RecordBatch> = reader.map(|batch| batch.expect("rows")).collect();
    assert_eq!(read, [batch]);
}

#[tokio::test]
async fn json_is_exact_in_both_layouts() {
    let root = Root::new();
    let first = "{\"int\":9007199254740993,\"unsigned\":18446744073709551615,\
        \"decimal\":9999999999999999999999999999.9999999999,\"zoned\":\"1970-01-01T00:59:59.999999+01:00\",\
        \"local\":\"1969-12-31T23:59:59.999999\",\"date\":\"1969-12-31\",\"float\":0.1,\"bool\":true,\"text\":\"\"}";
    let second = "{\"int\":null,\"unsigned\":null,\"decimal\":null,\"zoned\":null,\"local\":null,\"date\":null,\
        \"float\":null,\"bool\":null,\"text\":null}";
    let lines = root.text(json!({"format": "jsonl"}), &hard()).await;
    assert!(lines.starts_with(&format!("{first}\n{second}\n{{\"int\":-7,")), "{lines}");
    assert!(lines.ends_with("\"text\":\"ü😀, \\\"so\\\"\\r\\nand \\\\ on\"}\n"), "{lines}");
    let array = root.text(json!({"format": "json"}), &hard()).await;
    assert_eq!(array, format!("[\n{}\n]\n", lines.trim_end().replace("}\n{", "},\n{")));
}

#[tokio::test]
async fn json_reads_back_as_the_same_values() {
    let batch = hard();
    let text = Root::new().text(json!({"format": "ndjson"}), &batch).await;
    let reader = arrow::json::ReaderBuilder::new(batch.schema()).build(text.as_bytes()).expect("a reader");
    let read: Vec<RecordBatch> = reader.map(|batch| batch.expect("rows")).collect();
    assert_eq!(read, [batch]);
}

#[tokio::test]
async fn json_keeps_lists_structs_and_maps() {
    let mut lists = ListBuilder::new(Int64Builder::new());
    lists.append_value([Some(1), None]);
    lists.append_null();
    lists.append_value([]);
    let mut maps = MapBuilder::new(None, StringBuilder::new(), Float64Builder::new());
    maps.keys().append_value("a\"b");
    maps.values().append_value(f64::NAN);
    maps.append(true).expect("a map");
    maps.append(false).expect("a map");
    maps.append(true).expect("a map");
    let inner = StructArray::from(vec![(
        Arc::new(Field::new("x", DataType::Utf8, true)),
        Arc::new(StringArray::from(vec![Some("1"), None, Some("3")])) as ArrayRef,
    )]);
    let batch = make_batch(vec![
        ("list", Arc::new(lists.finish())),
        ("map", Arc::new(maps.finish())),
        ("struct", Arc::new(inner)),
    ]);
    let root = Root::new();
    let lines = [
        "{\"list\":[1,null],\"map\":{\"a\\\"b\":null},\"struct\":{\"x\":\"1\"}}",
        "{\"list\":null,\"map\":null,\"struct\":{\"x\":null}}",
        "{\"list\":[],\"map\":{},\"struct\":{\"x\":\"3\"}}",
    ];
    assert_eq!(root.text(json!({"format": "jsonl"}), &batch).await, lines.map(|line| format!("{line}\n")).concat());
    let last = root.text(json!({"format": "jsonl"}), &batch.slice(2, 1)).await;
    assert_eq!(last, format!("{}\n", lines[2]));
    for format in ["parquet", "arrow"] {
        let path = root.load(json!({"format": format}), &batch).await.expect("loads");
        let read = if format == "arrow" { read_arrow(&path) } else { read_parquet(&path) };
        // A NaN equals nothing, itself included: it is enough to see it where it was.
        assert_eq!(format!("{read:?}"), format!("{batch:?}"), "{format}");
    }
}

#[tokio::test]
async fn numbers_that_json_lacks_are_null_and_counted() {
    let root = Root::new();
    let batch = batch!("f" => Float64Array [1.5, f64::NAN, f64::INFINITY]);
    let ran = root.bench().run(LoadData, json!({"format": "json", "path": "a.json"}), &[batch]).await.expect("loads");
    assert_eq!(ran.report.counters["nan_written_as_null"], 2);
    let text = fs::read_to_string(root.0.path().join("a.json")).expect("the file");
    assert_eq!(text, "[\n{\"f\":1.5},\n{\"f\":null},\n{\"f\":null}\n]\n");
}

#[tokio::test]
async fn xlsx_holds_numbers_dates_and_text_and_what_a_double_cannot_hold_as_text() {
    let root = Root::new();
    let path = root.load(json!({"format": "excel", "dataset_name": "staff"}), &hard()).await.expect("loads");
    let sheet = sheet_xml(&path);
    for cell in [
        "<c r=\"A1\" t=\"inlineStr\"><is><t>int</t></is></c>",
        "<c r=\"A2\" t=\"inlineStr\"><is><t>9007199254740993</t></is></c>",
        "<c r=\"B2\" t=\"inlineStr\"><is><t>18446744073709551615</t></is></c>",
        "<c r=\"C2\" t=\"inlineStr\"><is><t>9999999999999999999999999999.9999999999</t></is></c>",
        "<c r=\"D2\" t=\"inlineStr\"><is><t>1970-01-01T00:59:59.999999+01:00</t></is></c>",
        "<c r=\"E2\" t=\"inlineStr\"><is><t>1969-12-31T23:59:59.999999</t></is></c>",
        "<v>25568</v>",
        "<c r=\"G2\"><v>0.1</v></c>",
        "<c r=\"H2\" t=\"b\"><v>1</v></c>",
        "<c r=\"A4\"><v>-7</v></c>",
        "<c r=\"C4\"><v>-0.0000000001</v></c>",
        "<v>45351.52083622685</v>",
        "<v>45351</v>",
        "ü😀, \"so\"",
    ] {
        assert!(sheet.contains(cell), "{cell} is not in {sheet}");
    }
    assert!(!sheet.contains("r=\"A3\""), "a null is an empty cell");
    assert!(zip_entry(&path, "xl/workbook.xml").contains("<sheet name=\"staff\""));
}

#[tokio::test]
async fn no_rows_still_make_a_file_with_columns() {
    let root = Root::new();
    let none = hard().slice(0, 0);
    assert_eq!(root.text(json!({}), &none).await, "int,unsigned,decimal,zoned,local,date,float,bool,text\n");
    assert_eq!(root.text(json!({"header": false}), &none).await, "");
    assert_eq!(root.text(json!({"format": "json"}), &none).await, "[]\n");
    assert_eq!(root.text(json!({"format": "jsonl"}), &none).await, "");
    assert_eq!(read_parquet(&root.load(json!({"format": "parquet"}), &none).await.expect("loads")), none);
    assert_eq!(read_arrow(&root.load(json!({"format": "arrow"}), &none).await.expect("loads")), none);
    let sheet = sheet_xml(&root.load(json!({"format": "xlsx"}), &none).await.expect("loads"));
    assert!(sheet.contains("<t>zoned</t>") && !sheet.contains("r=\"A2\""));
}

#[tokio::test]
async fn the_file_holds_the_columns_of_the_input_and_no_others() {
    let root = Root::new();
    // Rows that were dropped before are no reason for a column of row numbers.
    let kept = batch!("a" => Int64Array [1, 2, 3], "b" => StringArray ["x", "y", "z"]).slice(1, 2);
    let path = root.load(json!({"format": "parquet"}), &kept).await.expect("loads");
    assert_eq!(read_parquet(&path).schema(), kept.schema());
    assert_eq!(root.text(json!({}), &kept).await, "a,b\n2,y\n3,z\n");
}

#[tokio::test]
async fn how_rows_were_cut_into_batches_leaves_no_trace_in_text() {
    let root = Root::new();
    let numbers: Int64Array = (0..9000).map(|n| (n % 7 != 0).then_some(n * 1_000_003)).collect();
    let texts: StringArray =
        (0..9000).map(|n| (n % 5 != 0).then(|| format!("a{n},\"{}", "x".repeat(n % 40)))).collect();
    let batch = make_batch(vec![("n", Arc::new(numbers)), ("s", Arc::new(texts))]);
    for format in ["csv", "json", "jsonl"] {
        let whole = root.bytes(json!({"format": format}), &batch, usize::MAX).await;
        for rows in [1, 7, 5000] {
            assert!(root.bytes(json!({"format": format}), &batch, rows).await == whole, "{format} cut by {rows}");
        }
    }
    for rows in [1, 5000] {
        for format in ["parquet", "arrow"] {
            let params = json!({"format": format, "path": "cut"});
            root.bytes(params, &batch, rows).await;
            let path = root.0.path().join("cut");
            assert_eq!(if format == "arrow" { read_arrow(&path) } else { read_parquet(&path) }, batch, "{format}");
        }
    }
}

#[tokio::test]
async fn dictionaries_and_views_become_plain_columns() {
    let root = Root::new();
    let dictionary: DictionaryArray<Int8Type> = vec![Some("a"), None, Some("b"), Some("a")].into_iter().collect();
    let runs = RunArray::<Int32Type>::try_new(&Int32Array::from(vec![3, 4]), &Int64Array::from(vec![7, 8]));
    let batch = make_batch(vec![
        ("d", Arc::new(dictionary)),
        ("v", Arc::new(StringViewArray::from(vec![Some("x"), Some(""), None, Some("longer than twelve bytes")]))),
        ("b", Arc::new(BinaryViewArray::from(vec![Some(&b"\x01\xff"[..]), None, Some(b""), Some(b"abc")]))),
        ("r", Arc::new(runs.expect("runs"))),
    ]);
    let plain = batch!(
        "d" => StringArray [Some("a"), None, Some("b"), Some("a")],
        "v" => StringArray [Some("x"), Some(""), None, Some("longer than twelve bytes")],
        "b" => BinaryArray [Some(&b"\x01\xff"[..]), None, Some(b""), Some(b"abc")],
        "r" => Int64Array [7, 7, 7, 8],
    );
    for format in ["parquet", "arrow"] {
        for rows in [1, 4] {
            root.bytes(json!({"format": format, "path": "plain"}), &batch, rows).await;
            let path = root.0.path().join("plain");
            assert_eq!(if format == "arrow" { read_arrow(&path) } else { read_parquet(&path) }, plain, "{format}");
        }
    }
    let csv = "d,v,b,r\na,x,01ff,7\n,\"\",,7\nb,,\"\",7\na,longer than twelve bytes,616263,8\n";
    assert_eq!(root.text(json!({}), &batch).await, csv);
    assert!(sheet_xml(&root.load(json!({"format": "xlsx"}), &batch).await.expect("loads")).contains("<t>01ff</t>"));
}

#[tokio::test]
async fn a_null_in_a_table_of_one_column_is_no_blank_line() {
    let root = Root::new();
    let batch = batch!("s" => StringArray [Some("a"), None, Some("NA"), Some("")]);
    assert_eq!(root.text(json!({}), &batch).await, "s\na\nNA\n\"NA\"\n\"\"\n");
}

#[tokio::test]
async fn parquet_says_what_seconds_and_old_dates_are() {
    let root = Root::new();
    let batch = batch!(
        "t" => TimestampSecondArray [Some(-1), None],
        "d" => Date64Array [Some(-86_400_000), None],
        "c" => Time32SecondArray [Some(1), None],
    );
    let read = read_parquet(&root.load(json!({"format": "parquet"}), &batch).await.expect("loads"));
    let expected = batch!(
        "t" => TimestampMillisecondArray [Some(-1000), None],
        "d" => Date32Array [Some(-1), None],
        "c" => Time32MillisecondArray [Some(1000), None],
    );
    assert_eq!(read, expected);
    let far = batch!("t" => TimestampSecondArray [i64::MAX]);
    let fault = root.load(json!({"format": "parquet"}), &far).await.expect_err("no millisecond holds it");
    assert_eq!((fault.kind(), fault.column_name()), (flight_common::FaultKind::BadData, Some("t")));
}

#[tokio::test]
async fn text_can_be_compressed() {
    let root = Root::new();
    let plain = root.text(json!({}), &hard()).await;
    let packed = root.bytes(json!({"compression": "gzip"}), &hard(), 1).await;
    let mut text = String::new();
    flate2::read::GzDecoder::new(&packed[..]).read_to_string(&mut text).expect("gzip");
    assert_eq!(text, plain);
    let packed = root.bytes(json!({"path": "out/a.csv.zst"}), &hard(), 1).await;
    assert_eq!(zstd::decode_all(&packed[..]).expect("zstd"), plain.into_bytes());
    let path = root.load(json!({"compression": "gzip", "format": "jsonl"}), &hard()).await.expect("loads");
    assert!(path.ends_with("dataset/processed/dataset_test-run.jsonl.gz"), "{}", path.display());
}

#[tokio::test]
async fn the_receipt_tells_path_rows_and_bytes() {
    let root = Root::new();
    let params = json!({"format": "csv", "dataset_name": "hr.2024-x_y"});
    let ran = root.bench().run(LoadData, params, &[hard()]).await.expect("loads");
    let receipt = receipt(&ran);
    assert_eq!(receipt.path, "hr.2024-x_y/processed/hr.2024-x_y_test-run.csv");
    assert_eq!((receipt.format.as_str(), receipt.rows), ("csv", 3));
    let size = fs::metadata(root.0.path().join(&receipt.path)).expect("the file").len();
    assert_eq!((receipt.bytes as u64, ran.report.counters["bytes_written"]), (size, size));
    assert!(ran.schema.fields().iter().all(|field| !field.is_nullable()));
}

#[tokio::test]
async fn many_parquet_files_at_once_share_the_memory() {
    const LOADS: usize = 32;
    const MEMORY: usize = 64 << 20;
    let root = Root::new();
    let bench = root.bench().memory(MEMORY);
    let texts = |first: usize| StringArray::from_iter_values((first..first + 256).map(|n| format!("{n:04096}")));
    let all: Vec<_> = (0..20).map(|nth| make_batch(vec![("text", Arc::new(texts(nth * 256)))])).collect();
    let in_step = Arc::new(tokio::sync::Barrier::new(LOADS));
    let load = |nth: usize| {
        let params = json!({"format": "parquet", "compression": "none", "path": format!("{nth}.parquet")});
        let in_step = in_step.clone();
        let rows = futures::stream::iter(all.clone()).then(move |batch| {
            let in_step = in_step.clone();
            async move {
                in_step.wait().await;
                Ok(batch)
            }
        });
        bench.run_streams(LoadData, params, vec![BatchStream::new(all[0].schema(), rows)])
    };
    // The first that fails is told at once: the others would wait for it for ever.
    let mut loads: FuturesUnordered<_> = (0..LOADS).map(load).collect();
    while let Some(loaded) = loads.next().await {
        loaded.expect("it loads");
    }
    let peak = bench.env.space.budget().peak();
    assert!(peak <= MEMORY + MEMORY / 2, "{peak} bytes for {LOADS} files");
}
