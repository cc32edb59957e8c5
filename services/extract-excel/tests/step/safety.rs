//! Workbooks that are damaged, that lie, or that would take all the memory.

use crate::support::{archive, folder, ods, raw, read, read_at, read_within, workbook};
use flight_common::FaultKind;
use flight_common::testing::Bench;
use flight_common::testing::refused;
use serde_json::json;
use std::path::Path;

fn small() -> Vec<u8> {
    workbook(|sheet| {
        sheet.write_column(0, 0, ["a", "b"]).expect("written");
    })
}

#[tokio::test]
async fn an_archive_that_says_it_becomes_too_large_is_refused() {
    let bomb = raw(&" ".repeat(64 << 20));
    assert!(bomb.len() < 1 << 20);
    let fault = refused(
        read(&bomb, json!({"max_bytes": 32 << 20})).await,
        FaultKind::BadData,
        &["larger than it may be", "max_bytes"],
    );
    assert_eq!(fault.violations()[0].pointer, "/file_path");
}

#[tokio::test]
async fn an_archive_that_lies_about_what_it_becomes_is_refused() {
    let mut bomb = archive(&[("xl/worksheets/sheet1.xml", &vec![b' '; 8 << 20])]);
    // The size that is told, at both places: in front of the part, and in the directory at the end.
    let (told, lie) = ((8u32 << 20).to_le_bytes(), 100u32.to_le_bytes());
    let places: Vec<usize> = (0..bomb.len() - 4).filter(|&at| bomb[at..at + 4] == told).collect();
    assert!(!places.is_empty());
    for at in places {
        bomb[at..at + 4].copy_from_slice(&lie);
    }
    refused(read(&bomb, json!({})).await, FaultKind::BadData, &["larger than"]);
}

#[tokio::test]
async fn a_text_without_end_is_refused() {
    let long =
        raw(&format!(r#"<row r="1"><c r="A1" t="inlineStr"><is><t>{}</t></is></c></row>"#, "x".repeat(17 << 20)));
    refused(read(long, json!({})).await, FaultKind::BadData, &["longer than 16 MiB"]);
}

#[tokio::test]
async fn a_table_of_texts_beyond_the_memory_is_refused() {
    let many = workbook(|sheet| {
        for row in 0..50_000u32 {
            sheet.write(row, 0, format!("text {row}")).expect("written");
        }
    });
    let folder = folder("many.xlsx", many);
    let little = read_within(Bench::at(folder.path()).memory(1 << 20), "many.xlsx", json!({})).await;
    refused(little, FaultKind::BadData, &["MiB of memory", "of 1 MiB"]);
    read_at(folder.path(), "many.xlsx", json!({})).await.expect("reads");
}

#[tokio::test]
async fn two_cells_far_apart_take_no_memory_that_is_not_there() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    refused(read_at(&data, "far_apart.xls", json!({})).await, FaultKind::BadData, &["MiB of memory", ".xlsx"]);
}

#[tokio::test]
async fn repetitions_of_few_bytes_take_no_memory_that_is_not_there() {
    let cell = |more: &str| {
        format!(r#"<table:table-cell office:value-type="string" {more}><text:p>x</text:p></table:table-cell>"#)
    };
    for rows in [
        format!(r#"<table:table-row table:number-rows-repeated="1000000">{}</table:table-row>"#, cell(r#"table:number-columns-repeated="16000""#)),
        format!("<table:table-row>{}</table:table-row>", cell("").repeat(2))
            + r#"<table:table-row table:number-rows-repeated="1000000"><table:table-cell/></table:table-row>"#
            + &format!(r#"<table:table-row><table:table-cell table:number-columns-repeated="16000"/>{}</table:table-row>"#, cell("")),
        r#"<table:table-row><table:table-cell office:value-type="string"><text:p><text:s text:c="4000000000"/></text:p></table:table-cell></table:table-row>"#.to_owned(),
    ] {
        refused(read(ods(&rows), json!({})).await, FaultKind::BadData, &["MiB of memory"]);
    }
    // What programs write at the end of each sheet is no such thing.
    let usual = format!("<table:table-row>{}</table:table-row>", cell("")).repeat(2)
        + r#"<table:table-row table:number-rows-repeated="1048574"><table:table-cell table:number-columns-repeated="16384"/></table:table-row>"#;
    assert_eq!(read(ods(&usual), json!({})).await.expect("reads").cells(), [["x"]]);
}

#[tokio::test]
async fn what_is_no_workbook_is_told() {
    for content in [&b""[..], b"a,b\n1,2\n", b"PK\x03\x04", &[0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1]] {
        refused(read(content, json!({})).await, FaultKind::BadData, &["cannot be read as a workbook"]);
    }
    refused(read(archive(&[("a.txt", b"text")]), json!({})).await, FaultKind::BadData, &["workbook"]);
    let here = tempfile::tempdir().expect("a folder");
    refused(read_at(here.path(), "none.xlsx", json!({})).await, FaultKind::NotFound, &["none.xlsx"]);
    refused(read_at(here.path(), "../a.xlsx", json!({})).await, FaultKind::Denied, &[]);
}

#[tokio::test]
async fn a_record_that_says_it_is_enormous_is_refused() {
    let lie = [0x9c, 0x01, 0xff, 0xff, 0xff, 0x7f];
    refused(
        read(archive(&[("xl/workbook.bin", &lie)]), json!({})).await,
        FaultKind::BadData,
        &["record", "268435455 bytes"],
    );
}

/// Cut or with bytes changed: a fault or rows, but never a panic or an end that is none.
#[tokio::test]
async fn damage_is_a_fault_and_never_an_internal_one() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    for name in ["staff.xls", "staff.ods"] {
        let whole = std::fs::read(data.join(name)).expect("there");
        damage(&whole).await;
    }
    damage(&small()).await;
    damage(&crate::support::xlsb(&[(1.0, "a", true), (2.5, "b", false)])).await;
}

async fn damage(whole: &[u8]) {
    for cut in (0..whole.len()).step_by(whole.len() / 20 + 1) {
        let ran = read(&whole[..cut], json!({})).await;
        assert_eq!(ran.expect_err("refused").kind(), FaultKind::BadData, "cut at {cut}");
    }
    for at in (0..whole.len()).step_by(whole.len() / 60 + 1) {
        let mut changed = whole.to_vec();
        changed[at] ^= 0xff;
        if let Err(fault) = read(&changed, json!({})).await {
            assert!(matches!(fault.kind(), FaultKind::BadData), "byte {at}: {fault:?}");
        }
    }
}

#[tokio::test]
async fn cells_that_are_not_in_order_are_refused() {
    let cell = |at: &str| format!(r#"<c r="{at}"><v>1</v></c>"#);
    for rows in [cell("B1") + &cell("A1"), cell("A2") + &cell("A1"), cell("A1") + &cell("A1")] {
        refused(
            read(raw(&format!("<row>{rows}</row>")), json!({})).await,
            FaultKind::BadData,
            &["cell A1 comes after cell"],
        );
    }
    for beyond in ["XFE1", "A1048577"] {
        let rows = raw(&format!("<row>{}</row><row>{}</row>", cell("A1"), cell(beyond)));
        refused(read(rows, json!({})).await, FaultKind::BadData, &[beyond, "beyond the end"]);
    }
    let broken = raw(r#"<row r="1"><c r="A1"><v>1</v></c><c r="B1" t="s"><v>7</v></c></row>"#);
    refused(read(broken, json!({})).await, FaultKind::BadData, &["sheet \"Sheet1\", after cell A1"]);
}

#[tokio::test]
async fn what_is_no_plain_text_of_a_cell_is_refused_by_its_address() {
    let rows = |cell: &str| {
        raw(&format!(
            r#"<row r="1"><c r="A1" t="str"><v>R&amp;D</v></c><c r="B1" t="str"><v>b</v></c></row><row r="2"><c r="A2"><v>1</v></c>{cell}</row>"#
        ))
    };
    for cell in [
        r#"<c r="B2"><v>&x;</v></c>"#,
        r#"<c r="B2"><v>1&x;2</v></c>"#,
        r#"<c r="B2" t="n"><v>1&#48;</v></c>"#,
        r#"<c><v><![CDATA[5]]></v></c>"#,
        r#"<c r="B2"><v><!-- five -->5</v></c>"#,
        r#"<c r="B2"><v>5<!-- five -->6</v></c>"#,
        r#"<c r="B2"><v>5<x/></v></c>"#,
        r#"<c r="B2" t="b"><v>&x;</v></c>"#,
        r#"<c r="B2" t="s"><v>x</v></c>"#,
        r#"<y:c r="B2"><y:v>&x;</y:v></y:c>"#,
    ] {
        let words = ["part xl/worksheets/sheet1.xml, cell B2", "spreadsheet program"];
        refused(read(rows(cell), json!({})).await, FaultKind::BadData, &words);
    }
    for (cell, wanted) in [
        (r#"<c r="B2" t="str"><v>&lt;1&#48;&gt;</v></c>"#, "<10>"),
        (r#"<c r="B2"><v>1.5E+1</v><!-- fifteen --></c>"#, "15"),
        (r#"<c r="B2"><v xml:space="preserve">12</v></c>"#, "12"),
        (r#"<c r="B2"><f>1&amp;2</f><v>12</v></c>"#, "12"),
        (r#"<c r="B2"/>"#, "∅"),
    ] {
        let ran = read(rows(cell), json!({})).await.expect(cell);
        assert_eq!(ran.cells(), [["1", wanted]], "{cell}");
    }
}
