//! What is refused, and what is told of files that are damaged or change.

use crate::support::{Folder, avro_of, compressed_stream_of, file_of, parquet_of, shown, stream_of};
use arrow::ipc::CompressionType;
use extract_file::ExtractFile;
use flight_common::testing::contract::awkward;
use flight_common::testing::{Bench, batch};
use flight_common::{Fault, FaultKind, InputSchemas, StepCommand, registry};
use serde_json::{Value, json};

fn folder() -> Folder {
    let folder = Folder::new();
    folder.write("a.parquet", parquet_of(&batch!("Id" => Int64Array [1, 2], "s" => StringArray ["x", "2"]), 10));
    folder
}

async fn refused(folder: &Folder, params: Value, kind: FaultKind, pointer: &str) -> Fault {
    let fault = folder.read(params.clone()).await.expect_err("refused");
    assert_eq!(fault.kind(), kind, "{params}: {fault:?}");
    assert_eq!(fault.violations().first().map(|one| one.pointer.as_str()), Some(pointer), "{params}: {fault:?}");
    assert!(fault.help_text().is_some() || fault.violations()[0].help.is_some(), "{params}: {fault:?}");
    fault
}

#[tokio::test]
async fn what_cannot_be_asked_is_refused_at_its_place() {
    use FaultKind::{BadParams, BadSchema, Denied, NotFound};
    let folder = folder();
    folder.write("b.csv", "a\n1\n");
    folder.write("k=1/c.json", r#"[{"amount": 1, "l": [1], "o": {"x": 1}}]"#);
    let types = |types: Value| json!({"file_path": "k=1/c.json", "types": types});
    for (params, kind, pointer) in [
        (json!({"file_path": "../a.parquet"}), Denied, "/file_path"),
        (json!({"file_path": "../*.parquet"}), Denied, "/file_path"),
        (json!({"file_path": "b.parquet"}), NotFound, "/file_path"),
        (json!({"file_path": "b.csv"}), BadParams, "/file_path"),
        (json!({"file_path": "a.parquet", "select": ["id"]}), BadSchema, "/select/0"),
        (json!({"file_path": "a.parquet", "select": ["s", "s"]}), BadParams, "/select/1"),
        (json!({"file_path": "a.parquet", "select": []}), BadParams, "/select"),
        (json!({"file_path": "a.parquet", "where": "id > 1"}), BadSchema, "/where"),
        (json!({"file_path": "a.parquet", "where": "Id +"}), BadParams, "/where"),
        (json!({"file_path": "a.parquet", "where": "Id"}), BadParams, "/where"),
        (json!({"file_path": "a.parquet", "where": "Id > 'x'"}), BadParams, "/where"),
        (types(json!({"amuont": "int64"})), BadSchema, "/types/amuont"),
        (types(json!({"amount": "integr"})), BadParams, "/types/amount"),
        (types(json!({"l": "string"})), BadParams, "/types/l"),
        (types(json!({"o": "string"})), BadParams, "/types/o"),
        (types(json!({"k": "string"})), BadParams, "/types/k"),
        (json!({"file_path": "a.parquet", "types": {"Id": "string"}}), BadParams, "/types"),
        (json!({"file_path": "folder"}), BadParams, "/file_path"),
        (json!({"file_path": "a.parquet", "where": "count(*) > 1"}), BadParams, "/where"),
        (json!({"file_path": "a.parquet", "where": "Id IN (SELECT 1)"}), BadParams, "/where"),
        (json!({"file_path": "a.parquet", "where": "Id > 1; DROP TABLE x"}), BadParams, "/where"),
        (json!({"file_path": "a.parquet", "where": "uper(s) = 'X'"}), BadParams, "/where"),
        (json!({"file_path": "a.parquet", "where": "cardinality(range(1, 1000000000)) > 1"}), BadParams, "/where"),
        (json!({"file_path": "a.parquet", "where": vec!["Id = 1"; 5000].join(" OR ")}), BadParams, "/where"),
    ] {
        refused(&folder, params, kind, pointer).await;
    }
}

#[tokio::test]
async fn a_condition_that_a_value_cannot_meet_is_bad_data() {
    for format in ["parquet", "arrow"] {
        let folder = folder();
        folder.write("a.arrow", file_of(&batch!("s" => StringArray ["2", "x"])));
        let params = json!({"file_path": format!("a.{format}"), "where": "length(repeat(s, 1000000000)) > 1"});
        let fault = folder.read(params).await.expect_err("too large a text");
        assert_eq!(fault.kind(), FaultKind::BadData, "{fault:?}");
        let params = json!({"file_path": format!("a.{format}"), "where": "CAST(s AS BIGINT) > 1"});
        let fault = folder.read(params).await.expect_err("x is no number");
        assert_eq!(fault.kind(), FaultKind::BadData, "{fault:?}");
        assert!(
            fault.message().contains(&format!("a.{format}"))
                && fault.message().contains('x')
                && fault.help_text().is_some_and(|help| help.contains("TRY_CAST")),
            "{fault:?}"
        );
    }
}

#[tokio::test]
async fn numbers_of_a_condition_that_do_not_fit_are_bad_data_and_name_the_file() {
    let folder = folder();
    let rows =
        batch!("n" => Int64Array [1, i64::MAX], "i" => Int32Array [1, i32::MAX], "least" => Int64Array [0, i64::MIN]);
    folder.write("n.parquet", parquet_of(&rows, 10));
    folder.write("n.arrow", file_of(&rows));
    for condition in
        ["n + 1 > 0", "n + n > 0", "n * 2 > 0", "i * i > 0", "least - 1 < 0", "-least > 0", "n > 0 AND n + i > 0"]
    {
        for name in ["n.parquet", "n.arrow"] {
            let fault = folder.read(json!({"file_path": name, "where": condition})).await.expect_err(condition);
            assert_eq!(fault.kind(), FaultKind::BadData, "{condition}: {fault:?}");
            let told = [name, "`where`", "is too large for its type, Int"];
            assert!(told.iter().all(|word| fault.message().contains(word)), "{condition}: {fault:?}");
            assert!(fault.help_text().is_some_and(|help| help.contains("DECIMAL")), "{condition}: {fault:?}");
        }
    }
    for constant in ["n > 9223372036854775807 + 1", "9223372036854775807 * 2 > 0"] {
        let params = json!({"file_path": "n.parquet", "where": constant});
        let fault = refused(&folder, params, FaultKind::BadParams, "/where").await;
        assert!(fault.message().contains("is too large for its type, Int64"), "{fault:?}");
    }
}

#[tokio::test]
async fn a_condition_that_is_not_of_one_row_is_refused_in_words_of_its_own() {
    let folder = folder();
    for (condition, told) in [
        ("sum(\"Id\") > 1", "sum takes many"),
        ("row_number() OVER () > 1", "row_number takes many"),
        ("EXISTS (SELECT 1)", "a subquery asks for others"),
        ("Id > (SELECT 1)", "a subquery asks for others"),
        ("Id > $1", "nothing gives $1 a value"),
        ("Id > 1 / 0", "a division by zero"),
    ] {
        let params = json!({"file_path": "a.parquet", "where": condition});
        let fault = refused(&folder, params, FaultKind::BadParams, "/where").await;
        assert!(fault.message().contains(told), "{condition}: {fault:?}");
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_told_when_it_is_planned() {
    let folder = Folder::new();
    // Nobody writes it today: the codec that the footer names is another.
    let mut lzo = include_bytes!("../data/brotli.parquet").to_vec();
    let codec = lzo.windows(3).rposition(|bytes| bytes == [0x15, 0x08, 0x16]).expect("a codec") + 1;
    lzo[codec] = 0x06;
    folder.write("b.parquet", lzo);
    let mut xz = b"Obj\x01\x04".to_vec();
    for text in
        ["avro.schema", r#"{"type":"record","name":"r","fields":[{"name":"n","type":"int"}]}"#, "avro.codec", "xz"]
    {
        // Zigzag, in two bytes.
        xz.extend([((2 * text.len()) & 0x7f) as u8 | 0x80, (text.len() >> 6) as u8]);
        xz.extend(text.as_bytes());
    }
    xz.extend([0; 17]);
    folder.write("c.avro", xz);
    let mut round = b"Obj\x01\x02".to_vec();
    let schema = r#"{"type":"record","name":"r","fields":[{"name":"n","type":["null","r"]}]}"#;
    for text in ["avro.schema", schema] {
        round.extend([((2 * text.len()) & 0x7f) as u8 | 0x80, (text.len() >> 6) as u8]);
        round.extend(text.as_bytes());
    }
    round.extend([0; 17]);
    folder.write("d.avro", round);
    folder.write("h/a=1/a=2/x.parquet", parquet_of(&batch!("n" => Int64Array [1]), 1));
    for (path, why) in [
        ("b.parquet", "compressed with lzo"),
        ("c.avro", "compressed with xz"),
        ("d.avro", "contains itself"),
        ("h/**/*.parquet", "two folders of h/a=1/a=2"),
    ] {
        let fault = folder.read(json!({"file_path": path})).await.expect_err("refused");
        assert_eq!(fault.kind(), FaultKind::BadData, "{fault:?}");
        assert!(fault.message().contains(why) && fault.help_text().is_some(), "{fault:?}");
    }
}

#[tokio::test]
async fn blocks_of_avro_end_with_the_mark_of_their_file() {
    let whole = avro_of(&batch!("n" => Int64Array (0..300).collect::<Vec<i64>>()));
    let mark = whole.len() - 16;
    let folder = Folder::new();
    folder.write("a.avro", &whole);
    folder.read(json!({"file_path": "a.avro"})).await.expect("reads");
    for wrong in [[0; 16], std::array::from_fn(|at| whole[mark + at] ^ u8::from(at == 7))] {
        folder.write("a.avro", [&whole[..mark], &wrong].concat());
        let fault = folder.read(json!({"file_path": "a.avro"})).await.expect_err("refused");
        assert!(fault.message().contains("a.avro") && fault.message().contains("the mark of this file"), "{fault:?}");
    }
}

#[tokio::test]
async fn blocks_of_avro_hold_the_rows_that_they_tell() {
    let whole = avro_of(&batch!("n" => Int64Array [Some(1)]));
    let mark = whole[whole.len() - 16..].to_vec();
    let header = whole.windows(16).position(|bytes| bytes == mark).expect("a header") + 16;
    // Rows of one column that may be null: which of two it is, and the number. All is zigzag.
    let block = |rows: u8, bytes: &[u8]| [&[2 * rows, 2 * bytes.len() as u8], bytes, &mark].concat();
    let (one, two) = (block(1, &[2, 2]), block(2, &[2, 4, 2, 6]));
    let folder = Folder::new();
    let write = |blocks: &[&Vec<u8>]| {
        let blocks: Vec<u8> = blocks.iter().flat_map(|block| block.iter().copied()).collect();
        folder.write("a.avro", [&whole[..header], &blocks].concat());
    };
    write(&[&one, &one, &two, &block(0, &[]), &one]);
    assert_eq!(shown(&folder.rows(json!({"file_path": "a.avro"})).await), ["1", "1", "2", "3", "1"]);
    for wrong in
        [block(1, &[2, 2, 2, 4]), block(1, &[2, 2, 2, 4, 2, 6, 2, 8]), block(2, &[2, 2, 2, 4, 0x80]), block(2, &[2, 2])]
    {
        for blocks in [vec![&wrong], vec![&one, &wrong, &one, &one], vec![&wrong, &two]] {
            write(&blocks);
            let read = folder.read(json!({"file_path": "a.avro"}));
            let read = tokio::time::timeout(std::time::Duration::from_secs(30), read).await.expect("it ends");
            let fault = read.expect_err("refused");
            assert_eq!(fault.kind(), FaultKind::BadData, "{fault:?}");
            assert!(fault.message().contains("a.avro"), "{fault:?}");
        }
    }
}

#[tokio::test]
async fn values_of_json_that_go_into_no_type_are_named_with_their_line() {
    let folder = Folder::new();
    for (text, line, row) in [
        ("{\"a\": 1, \"b\": 0}\n\n{\"a\": 2,\n\"b\": {\"x\": 1},\n\"c\":\n1}\n{\"a\": 3}\n", "line 4", 2),
        ("[{\"b\": {\"x\": 1}},\n {\"a\": 7,\n \"b\": 2}]", "line 3", 2),
        ("[{\"b\": [1]},\n {\"b\": 2}]", "line 2", 2),
    ] {
        folder.write("a.json", text);
        let fault = folder.read(json!({"file_path": "a.json"})).await.expect_err("refused");
        assert!(fault.message().contains(line) && !fault.message().contains("Json error"), "{fault:?}");
        assert_eq!((fault.column_name(), fault.row_number()), (Some("b"), Some(row)), "{fault:?}");
    }
    folder.write("a.json", "{\"b\": 1}\n{\"b\": 2}\n{\"a\": 0,\n\"b\": {\"x\": 1}}");
    let fault = folder.read(json!({"file_path": "a.json", "sample_rows": 2, "unknown_fields": "ignore"})).await;
    let fault = fault.expect_err("refused");
    assert!(fault.message().contains("line 4") && fault.message().contains("is no number"), "{fault:?}");
}

#[tokio::test]
async fn damaged_files_are_told_by_name_and_nothing_breaks() {
    let rows = awkward(300);
    let plain = batch!("n" => Int64Array (0..300).collect::<Vec<i64>>(), "s" => StringArray vec!["some text"; 300]);
    let files = [
        ("x.parquet", parquet_of(&rows, 50)),
        ("x.arrow", file_of(&rows)),
        ("x.arrows", stream_of(&rows)),
        ("x.avro", avro_of(&plain)),
        ("x.json", format!("[{}]", vec!["{\"a\": [1, {\"b\": \"c\"}]}"; 50].join(",")).into_bytes()),
    ];
    let folder = Folder::new();
    for (name, whole) in files {
        for cut in [whole.len() / 3, whole.len() - 3] {
            folder.write(name, &whole[..cut]);
            match folder.read(json!({"file_path": name})).await {
                Err(fault) => {
                    assert_eq!(fault.kind(), FaultKind::BadData, "{name} cut at {cut}: {fault:?}");
                    assert!(fault.message().contains(name), "{fault:?}");
                }
                // A stream needs no mark at its end.
                Ok(_) => assert!(name == "x.arrows", "{name} cut at {cut} was read"),
            }
        }
        for place in (0..whole.len()).step_by(whole.len() / 60 + 1) {
            let mut damaged = whole.clone();
            damaged[place] ^= 0x5a;
            folder.write(name, damaged);
            // It may be a value that changed; it may be a fault; it is never anything else.
            if let Err(fault) = folder.read(json!({"file_path": name})).await {
                assert!(
                    matches!(fault.kind(), FaultKind::BadData | FaultKind::BadParams),
                    "{name} at {place}: {fault:?}"
                );
            }
        }
        folder.write(name, b"\x00\xffnonsense that is no file of any format at all");
        let fault = folder.read(json!({"file_path": name})).await.expect_err("nonsense");
        assert_eq!(fault.kind(), FaultKind::BadData, "{name}: {fault:?}");
    }
}

#[tokio::test]
async fn a_field_that_is_no_column_is_refused_unless_it_is_to_be_ignored() {
    let folder = Folder::new();
    let many = "{\"a\": 1, \"n\": {\"x\": 1}}\n".repeat(20_000);
    folder.write("a.ndjson", format!("{many}{{\"a\": 1, \"b\": 2}}\n"));
    folder.write("n.ndjson", format!("{many}{{\"a\": 1, \"n\": {{\"y\": 2}}}}\n"));
    for (file, field) in [("a.ndjson", "b"), ("n.ndjson", "n.y")] {
        let fault = folder.read(json!({"file_path": file})).await.expect_err("a field more");
        let place = (fault.kind(), fault.column_name(), fault.row_number());
        assert_eq!(place, (FaultKind::BadData, Some(field), Some(20_001)), "{fault:?}");
        assert!(fault.message().contains("line 20001"), "{fault}");
        let help = fault.help_text().unwrap_or_default();
        assert!(help.contains("sample_rows") && help.contains("unknown_fields: ignore"), "{fault:?}");
        let rows = folder.rows(json!({"file_path": file, "unknown_fields": "ignore"})).await;
        assert_eq!((rows.num_columns(), rows.num_rows()), (2, 20_001));
        let rows = folder.rows(json!({"file_path": file, "sample_rows": 30_000})).await;
        assert_eq!(rows.num_rows(), 20_001);
    }
    // A field that is not selected is no unknown one, and neither is one that a folder goes before.
    folder.write("k=1/a.ndjson", "{\"a\": 1, \"k\": 2, \"c\": [{\"d\": 1}]}\n");
    assert_eq!(folder.rows(json!({"file_path": "k=*/a.ndjson", "select": ["a"]})).await.num_rows(), 1);
    let fault = folder.read(json!({"file_path": "a.ndjson", "select": ["a"]})).await.expect_err("a field more");
    assert_eq!(fault.column_name(), Some("b"), "{fault:?}");
}

#[tokio::test]
async fn two_fields_of_one_name_are_refused() {
    let folder = Folder::new();
    let many = "{\"a\": 1}\n".repeat(20_000);
    let twice = "{\"a\": 1, \"a\": 2}\n";
    // Among the first records, and further down.
    for (text, row) in [(format!("{{\"a\": 1}}\n{twice}"), 2), (format!("{many}{twice}"), 20_001)] {
        folder.write("a.ndjson", text);
        let fault = folder.read(json!({"file_path": "a.ndjson"})).await.expect_err("which of them?");
        let place = (fault.kind(), fault.column_name(), fault.row_number());
        assert_eq!(place, (FaultKind::BadData, Some("a"), Some(row)), "{fault:?}");
        assert!(fault.message().contains(&format!("line {row}")) && fault.help_text().is_some(), "{fault:?}");
    }
}

#[tokio::test]
async fn a_file_that_changed_since_it_was_planned_is_refused() {
    let folder = folder();
    folder.write("b.parquet", parquet_of(&batch!("Id" => Int64Array [3], "s" => StringArray ["y"]), 10));
    let bench = Bench::at(folder.path());
    let registry = registry::Registry::new().with(ExtractFile);
    let command = StepCommand {
        step: "extract-file".to_owned(),
        params: json!({"file_path": "*.parquet"}),
        ..StepCommand::default()
    };
    let planned = registry.plan(&command, &InputSchemas::default(), &bench.env).await.expect("it plans");
    let again = StepCommand { source: planned.source.clone().expect("a source"), ..command };
    registry.plan(&again, &InputSchemas::default(), &bench.env).await.expect("nothing changed");
    folder.write("b.parquet", parquet_of(&batch!("Id" => Int64Array [4, 5], "s" => StringArray ["y", "z"]), 10));
    let Err(fault) = registry.plan(&again, &InputSchemas::default(), &bench.env).await else { panic!("it changed") };
    assert_eq!(fault.kind(), FaultKind::BadData);
    // The plan of before meets the file of now.
    let driven = flight_common::drive::drive(planned, Vec::new(), &bench.env, "r", &[]).expect("it starts");
    let output = driven.outputs.into_iter().flatten().next().expect("the main output");
    let read = flight_common::compute::spawn(output.collect_rows()).await.expect("polled");
    let fault = read.expect_err("it changed");
    assert!(fault.kind() == FaultKind::BadData && fault.message().contains("b.parquet"), "{fault:?}");
}

#[tokio::test]
async fn compressed_rows_that_claim_more_than_there_can_be_are_refused() {
    let folder = Folder::new();
    let rows = batch!("n" => Int64Array vec![7; 4000]);
    for codec in [CompressionType::LZ4_FRAME, CompressionType::ZSTD] {
        let whole = compressed_stream_of(&rows, codec);
        folder.write("a.arrows", &whole);
        assert_eq!(folder.rows(json!({"file_path": "a.arrows"})).await.num_rows(), 4000);
        // The length that the column says of itself.
        let claim = 32_000_u64.to_le_bytes();
        let at = whole.windows(8).position(|bytes| bytes == claim).expect("it is there");
        for more in [1_u64 << 40, i64::MAX as u64, 31_000] {
            let mut damaged = whole.clone();
            damaged[at..at + 8].copy_from_slice(&more.to_le_bytes());
            folder.write("a.arrows", damaged);
            let fault = folder.read(json!({"file_path": "a.arrows"})).await.expect_err("refused");
            assert_eq!(fault.kind(), FaultKind::BadData, "{fault:?}");
            assert!(fault.message().contains("a.arrows"), "{fault}");
        }
    }
}

#[tokio::test]
async fn text_that_is_no_json_is_told_with_its_line_and_record() {
    let folder = Folder::new();
    let many = |count: usize| "{\"a\": 1}\n".repeat(count);
    for (text, line, row) in [
        (many(3) + "{\"a\": xx}\n", 4, Some(4)),
        ("[\n".to_owned() + &"{\"a\": 1},\n".repeat(2) + "{\"a\":\n xx}]", 5, Some(3)),
        ("\n\n".to_owned() + &many(2) + "\n{\"a\" 1}\n" + &many(9), 6, Some(3)),
        (many(100) + "{\"a\": 1", 101, None),
        (many(100) + "}\n", 101, None),
        // Beyond the records that the types are found from.
        (many(30_000) + "{\"a\": xx}\n" + &many(9), 30_001, Some(30_001)),
        (many(3) + "7\n", 4, Some(4)),
    ] {
        folder.write("a.json", &text);
        let fault = folder.read(json!({"file_path": "a.json"})).await.expect_err("no JSON");
        let place = format!("a.json, line {line}: ");
        assert!(fault.message().starts_with(&place), "{place} {}", fault.message());
        assert_eq!((fault.kind(), fault.row_number()), (FaultKind::BadData, row), "{}", fault.message());
    }
}
