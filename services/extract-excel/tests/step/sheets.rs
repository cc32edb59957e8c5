//! Sheets of each format, read as they were meant, and what is told of those that cannot be.

use crate::support::{read, read_at, workbook};
use flight_common::FaultKind;
use flight_common::testing::refused;
use rust_xlsxwriter::{Chart, ChartType, ExcelDateTime, Format, Workbook};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Workbooks that other programs have written.
fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data")
}

#[tokio::test]
async fn each_format_gives_the_same_rows() {
    let date = Format::new().set_num_format("yyyy-mm-dd");
    let xlsx = workbook(|sheet| {
        sheet.write_row(0, 0, ["id", "name", "born", "score", "ok"]).expect("written");
        let day = |year, month, day| ExcelDateTime::from_ymd(year, month, day).expect("a date");
        for (row, (id, name, born, score, ok)) in [
            (1, "Ann", Some(day(1969, 7, 20)), Some(1.5), true),
            (2, "007", Some(day(2024, 2, 29)), None, false),
            (3, "Çelik 😀", None, Some(-3.0), true),
        ]
        .into_iter()
        .enumerate()
        {
            let row = row as u32 + 1;
            sheet.write(row, 0, id).expect("written").write(row, 1, name).expect("written");
            if let Some(born) = born {
                sheet.write_with_format(row, 2, &born, &date).expect("written");
            }
            if let Some(score) = score {
                sheet.write(row, 3, score).expect("written");
            }
            sheet.write(row, 4, ok).expect("written");
        }
    });
    let folder = crate::support::folder("staff.xlsx", xlsx);
    for (folder, name) in [(folder.path(), "staff.xlsx"), (&data(), "staff.xls"), (&data(), "staff.ods")] {
        let (names, cells) = read_at(folder, name, json!({})).await.expect(name).shown();
        assert_eq!(names, ["id: Int64", "name: Utf8", "born: Date32", "score: Float64", "ok: Boolean"], "{name}");
        let wanted = [
            ["1", "Ann", "1969-07-20", "1.5", "true"],
            ["2", "007", "2024-02-29", "∅", "false"],
            ["3", "Çelik 😀", "∅", "-3.0", "true"],
        ];
        assert_eq!(cells, wanted, "{name}");
    }
}

#[tokio::test]
async fn binary_sheets_are_read_like_others() {
    let book = crate::support::xlsb(&[(1.0, "Çelik 😀", true), (2.5, "007", false)]);
    let (names, cells) = read(&book, json!({})).await.expect("reads").shown();
    assert_eq!(names, ["id: Float64", "name: Utf8", "ok: Boolean"]);
    assert_eq!(cells, [["1.0", "Çelik 😀", "true"], ["2.5", "007", "false"]]);
    let ran = read(&book, json!({"range": "B:B"})).await.expect("reads");
    assert_eq!(ran.shown().0, ["name: Utf8"]);
    let merged = read(&book, json!({"merged_cells": "each"})).await;
    let fault = refused(merged, FaultKind::BadParams, &[".xlsb", ".xlsx"]);
    assert_eq!(fault.violations()[0].pointer, "/merged_cells");
}

#[tokio::test]
async fn places_count_sheets_of_cells_and_no_charts() {
    let mut book = Workbook::new();
    book.add_worksheet().write(0, 0, "a").expect("written");
    let mut chart = Chart::new(ChartType::Column);
    chart.add_series().set_values("Sheet1!$A$1:$A$2");
    book.add_chartsheet().insert_chart(0, 0, &chart).expect("a chart");
    book.add_worksheet().write(0, 0, "b").expect("written");
    let book = book.save_to_buffer().expect("a workbook");
    assert_eq!(read(&book, json!({"sheet": 2})).await.expect("reads").shown().0, ["b: Utf8"]);
    refused(read(&book, json!({"sheet": 3})).await, FaultKind::BadParams, &["no sheet 3, but 2"]);
}

#[tokio::test]
async fn a_sheet_is_chosen_by_name_or_place() {
    let mut book = Workbook::new();
    for (name, hidden) in [("Old", true), ("1", false), ("Data", false)] {
        let sheet = book.add_worksheet().set_name(name).expect("a name");
        sheet
            .set_hidden(hidden)
            .set_active(name == "Data")
            .write(0, 0, "name")
            .expect("written")
            .write(1, 0, name)
            .expect("written");
    }
    let book = book.save_to_buffer().expect("a workbook");
    for (choice, wanted) in
        [(json!(null), "1"), (json!("1"), "1"), (json!(1), "Old"), (json!(3), "Data"), (json!("Data"), "Data")]
    {
        let ran = read(&book, json!({"sheet": choice})).await.expect("reads");
        assert_eq!(ran.cells(), [[wanted]], "{choice}");
    }
    let wrong = read(&book, json!({"sheet": "Dota"})).await;
    let fault = refused(wrong, FaultKind::BadParams, &["no sheet \"Dota\"", "did you mean \"Data\"?"]);
    assert_eq!(fault.violations()[0].pointer, "/sheet");
    refused(read(&book, json!({"sheet": 4})).await, FaultKind::BadParams, &["no sheet 4, but 3"]);
    refused(read(&book, json!({"sheet": 0})).await, FaultKind::BadParams, &["counted from 1"]);
}

/// A title, a table from B3 on with a blank row in it, and a note beside it.
fn report() -> Vec<u8> {
    workbook(|sheet| {
        sheet.write(0, 0, "Report of 2024").expect("written");
        sheet.write_row(2, 1, ["a", "", "c"]).expect("written");
        sheet.write_row(3, 1, [1, 2, 3]).expect("written");
        sheet.write_row(5, 1, [4, 5, 6]).expect("written");
        sheet.write(5, 7, "a note").expect("written");
    })
}

#[tokio::test]
async fn a_range_and_the_row_with_the_names_say_what_is_read() {
    let wanted = [["1", "2", "3"], ["∅", "∅", "∅"], ["4", "5", "6"]];
    for params in [json!({"range": "B3:D6"}), json!({"range": "B:D", "header_row": 3}), json!({"range": "B3:D1000"})] {
        let (names, cells) = read(report(), params.clone()).await.expect("reads").shown();
        assert_eq!(names, ["a: Int64", "column_2: Int64", "c: Int64"], "{params}");
        assert_eq!(cells, wanted, "{params}");
    }
    let ran = read(report(), json!({"range": "B6:D6", "header_row": 3})).await.expect("the names lie before the range");
    assert_eq!(
        (ran.shown().0[2].as_str(), ran.cells()),
        ("c: Int64", vec![["4", "5", "6"].map(String::from).to_vec()])
    );
    let ran = read(report(), json!({"range": "B4:C", "header": false})).await.expect("reads");
    assert_eq!(ran.shown().0, ["column_1: Int64", "column_2: Int64"]);
    assert_eq!(ran.cells().len(), 3);
}

#[tokio::test]
async fn what_stands_beside_the_columns_is_told_and_not_cut_off() {
    let beside = read(report(), json!({"header_row": 3})).await;
    refused(beside, FaultKind::BadData, &["cell H6", "a note", "B:D", "range"]);
    refused(read(report(), json!({"header_row": 2})).await, FaultKind::BadData, &["row 2 holds no names"]);
    refused(read(report(), json!({"range": "X:Z"})).await, FaultKind::BadData, &["holds nothing"]);
    for (params, pointer) in [
        (json!({"range": "Z9:A1"}), "/range"),
        (json!({"range": "A1:B2", "header_row": 3}), "/header_row"),
        (json!({"header": false, "header_row": 3}), "/header_row"),
        (json!({"types": {"a": "strin"}}), "/types/a"),
    ] {
        let fault = refused(read(report(), params).await, FaultKind::BadParams, &[]);
        assert_eq!(fault.violations()[0].pointer, pointer);
    }
    let fault = refused(
        read(report(), json!({"range": "B3:D6", "types": {"b": "string"}})).await,
        FaultKind::BadSchema,
        &["\"b\""],
    );
    assert_eq!(fault.violations()[0].pointer, "/types/b");
}

#[tokio::test]
async fn names_that_are_equal_are_refused_or_told_apart() {
    let twice = || {
        workbook(|sheet| {
            sheet.write_row(0, 0, ["a", "A", "a"]).expect("written");
        })
    };
    refused(read(twice(), json!({})).await, FaultKind::BadData, &["columns A and C", "\"a\"", "duplicate_headers"]);
    let ran = read(twice(), json!({"duplicate_headers": "rename"})).await.expect("reads");
    assert_eq!((ran.shown().0, ran.cells().len()), (["a: Utf8", "A: Utf8", "a.1: Utf8"].map(String::from).to_vec(), 0));
}

#[tokio::test]
async fn merged_cells_hold_their_value_once_or_each() {
    let xlsx = workbook(|sheet| {
        sheet.write_row(0, 0, ["group", "n"]).expect("written");
        sheet.merge_range(1, 0, 2, 0, "g", &Format::new()).expect("merged");
        sheet.write(1, 1, 1).expect("written").write(2, 1, 2).expect("written");
    });
    let folder = crate::support::folder("merged.xlsx", xlsx);
    for (folder, name, sheet) in [
        (folder.path(), "merged.xlsx", json!(1)),
        (&data(), "staff.xls", json!("Merged")),
        (&data(), "staff.ods", json!("Merged")),
    ] {
        let first = read_at(folder, name, json!({"sheet": sheet})).await.expect(name);
        assert_eq!(first.cells(), [["g", "1"], ["∅", "2"]], "{name}");
        let each = read_at(folder, name, json!({"sheet": sheet, "merged_cells": "each"})).await.expect(name);
        assert_eq!(each.cells(), [["g", "1"], ["g", "2"]], "{name}");
    }
}

#[tokio::test]
async fn a_workbook_with_the_lengths_of_a_large_one_is_read() {
    let mut book = Workbook::new();
    book.use_zip_large_file(true);
    book.add_worksheet().write(0, 0, "a").and_then(|sheet| sheet.write(1, 0, 1)).expect("written");
    let content = book.save_to_buffer().expect("a workbook");
    assert_eq!(read(content, json!({})).await.expect("reads").cells(), [["1"]]);
}

#[tokio::test]
async fn a_cell_that_holds_no_value_is_named_or_a_null() {
    let rows = |cell: &str| {
        crate::support::raw(&format!(
            r#"<row r="1"><c r="A1" t="inlineStr"><is><t>a</t></is></c></row><row r="2"><c r="A2"><v>1</v></c></row><row r="3">{cell}</row>"#
        ))
    };
    for (cell, word) in [
        (r#"<c r="A3" t="e"><v>#DIV/0!</v></c>"#, "#DIV/0!"),
        (r#"<c r="A3"><f>A2*2</f><v></v></c>"#, "never calculated"),
    ] {
        let fault = refused(
            read(rows(cell), json!({})).await,
            FaultKind::BadData,
            &["sheet \"Sheet1\", cell A3", word, "error_cells"],
        );
        assert_eq!((fault.row_number(), fault.column_name()), (Some(2), Some("a")));
        let ran = read(rows(cell), json!({"error_cells": "null"})).await.expect("reads");
        assert_eq!(ran.cells(), [["1"], ["∅"]]);
    }
    let result = rows(r#"<c r="A3" t="str"><f>""</f><v></v></c>"#);
    let ran = read(result, json!({"nulls": []})).await.expect("reads");
    assert_eq!(ran.cells(), [["1"], [""]], "an empty text is a result");
}

#[tokio::test]
async fn errors_of_ods_are_errors_whatever_stands_beside_them() {
    let rows = |cell: &str| {
        crate::support::ods(&format!(
            r#"<table:table-row><table:table-cell office:value-type="string"><text:p>a</text:p></table:table-cell></table:table-row>
               <table:table-row><table:table-cell office:value-type="float" office:value="1"><text:p>1</text:p></table:table-cell></table:table-row>
               <table:table-row>{cell}</table:table-row>"#
        ))
    };
    // As LibreOffice writes them, and as programs do that know no type for errors.
    for cell in [
        r##"<table:table-cell table:formula="of:=1/0" office:value-type="string" office:string-value="" calcext:value-type="error"><text:p>#DIV/0!</text:p></table:table-cell>"##,
        r##"<table:table-cell table:formula="of:=1/0" office:value-type="float" office:value="0"><text:p>#DIV/0!</text:p></table:table-cell>"##,
    ] {
        let words = ["sheet \"Sheet1\", cell A3", "#DIV/0!", "error_cells"];
        refused(read(rows(cell), json!({})).await, FaultKind::BadData, &words);
        let ran = read(rows(cell), json!({"error_cells": "null"})).await.expect("reads");
        assert_eq!(ran.cells(), [["1"], ["∅"]]);
    }
    let note = r#"<office:annotation><dc:date>2024-01-01T00:00:00</dc:date><text:p>#N/A</text:p></office:annotation>"#;
    let noted = format!(
        r##"<table:table-cell table:formula="of:=1" office:value-type="float" office:value="3">{note}<text:p>3</text:p></table:table-cell>"##
    );
    assert_eq!(read(rows(&noted), json!({})).await.expect("reads").cells(), [["1"], ["3"]], "a note is no result");
    let text = r##"<table:table-cell table:formula="of:=B1" office:value-type="string"><text:p>#N/A</text:p></table:table-cell>"##;
    let ran = read(rows(text), json!({"nulls": [], "types": {"a": "string"}})).await.expect("reads");
    assert_eq!(ran.cells(), [["1"], ["#N/A"]], "a text that looks like one");
}

#[tokio::test]
async fn null_without_quotes_is_not_taken_for_a_word() {
    let book = workbook(|sheet| drop(sheet.write(0, 0, "a")));
    let fault = refused(read(book, json!({"error_cells": null})).await, FaultKind::BadParams, &["in quotes"]);
    assert_eq!(fault.violations()[0].pointer, "/error_cells");
}

/// `never_calculated.xls` is written by xlwt, as are the formulas of it, which it leaves without results.
#[tokio::test]
async fn formulas_of_a_library_that_does_not_calculate_are_named_or_nulls() {
    let folder = data();
    let read = |more| read_at(&folder, "never_calculated.xls", more);
    let words = ["sheet \"Sheet1\", cell B2", "never calculated", "error_cells"];
    refused(read(json!({})).await, FaultKind::BadData, &words);
    let ran = read(json!({"error_cells": "null"})).await.expect("reads");
    assert_eq!(ran.cells(), [["1", "∅"], ["2", "∅"]]);
}

#[tokio::test]
async fn a_later_cell_that_does_not_fit_is_named_with_what_to_set() {
    let book = |last: &str| {
        let last = last.to_owned();
        workbook(move |sheet| {
            sheet.write_column(0, 1, ["a"]).expect("written");
            sheet.write_column(1, 1, [1, 2]).expect("written");
            match last.parse::<f64>() {
                Ok(number) => sheet.write(3, 1, number).expect("written"),
                Err(_) => sheet.write(3, 1, last.trim_matches('\'')).expect("written"),
            };
        })
    };
    let one = json!({"sample_rows": 1});
    let fault = refused(
        read(book("2.5"), one.clone()).await,
        FaultKind::BadData,
        &["cell B4", "column \"a\"", "2.5 is not int64", "float64"],
    );
    assert_eq!(fault.row_number(), Some(3));
    refused(read(book("'5'"), one).await, FaultKind::BadData, &["cell B4", "the text \"5\" is not int64", "string"]);
    let ran = read(book("'5'"), json!({"types": {"a": "int64"}})).await.expect("reads");
    assert_eq!(ran.cells(), [["1"], ["2"], ["5"]]);
    let ran = read(book("'5'"), json!({})).await.expect("reads");
    assert_eq!(ran.shown().0, ["a: Utf8"]);
    let ran = read(book("'N/A'"), json!({})).await.expect("reads");
    assert_eq!(ran.cells(), [["1"], ["2"], ["∅"]]);
    let money = read(book("0.30000000000000004"), json!({"types": {"a": "decimal(38,2)"}})).await.expect("reads");
    assert_eq!(money.cells()[2], ["0.30"]);
    refused(
        read(book("0.005"), json!({"types": {"a": "decimal(38,2)"}})).await,
        FaultKind::BadData,
        &["cell B4", "as `types` says"],
    );
}

#[tokio::test]
async fn rows_come_in_order_however_many() {
    let book = workbook(|sheet| {
        sheet.write(0, 0, "id").expect("written").write(0, 1, "text").expect("written");
        for row in 0..150_000u32 {
            sheet.write(row + 1, 0, row).expect("written").write(row + 1, 1, "x").expect("written");
        }
    });
    let ran = read(book, json!({})).await.expect("reads");
    let ids = arrow::array::AsArray::as_primitive::<arrow::datatypes::Int64Type>(&ran.rows()["id"]).clone();
    assert!(ids.values().iter().copied().eq(0..150_000));
}
