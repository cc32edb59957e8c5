//! Numbers, dates and times of cells, as the values they become.

use crate::support::{raw, raw_since_1904, read, workbook};
use flight_common::FaultKind;
use flight_common::testing::refused;
use rust_xlsxwriter::Format;
use serde_json::json;

#[tokio::test]
async fn whole_numbers_that_floats_do_not_tell_apart_are_floats() {
    for (last, wanted) in
        [("9007199254740991", "Int64"), ("9007199254740992", "Float64"), ("9007199254740993", "Float64")]
    {
        let rows = format!(
            r#"<row r="1"><c r="A1" t="str"><v>n</v></c></row><row r="2"><c r="A2"><v>7</v></c></row><row r="3"><c r="A3"><v>{last}</v></c></row>"#
        );
        let (names, _) = read(raw(&rows), json!({})).await.expect("reads").shown();
        assert_eq!(names, [format!("n: {wanted}")], "{last}");
        // Further down than types are guessed from.
        let read = read(raw(&rows), json!({"sample_rows": 1})).await;
        match wanted {
            "Int64" => assert_eq!(read.expect("reads").cells(), [["7"], [last]]),
            _ => drop(refused(read, FaultKind::BadData, &["A3"])),
        }
    }
}

#[tokio::test]
async fn dates_times_and_lengths_of_time_are_told_apart() {
    let book = workbook(|sheet| {
        sheet.write_row(0, 0, ["day", "moment", "time", "length", "iso"]).expect("written");
        for (column, (serial, form)) in
            [(45351.0, "dd/mm/yyyy"), (45351.75, "yyyy-mm-dd hh:mm"), (0.75, "hh:mm"), (1.0625, "[h]:mm")]
                .into_iter()
                .enumerate()
        {
            let format = Format::new().set_num_format(form);
            sheet.write_number_with_format(1, column as u16, serial, &format).expect("written");
        }
        sheet.write(1, 4, "2024-02-29").expect("written");
    });
    let (names, cells) = read(book, json!({})).await.expect("reads").shown();
    assert_eq!(names, ["day: Date32", "moment: Timestamp(µs)", "time: Time64(µs)", "length: Utf8", "iso: Date32"]);
    assert_eq!(cells, [["2024-02-29", "2024-02-29T18:00:00", "18:00:00", "25:30:00", "2024-02-29"]]);
}

/// A column `d` of numbers, each in style 1, a date, or 2, a time of day.
fn shown_as(cells: &[(f64, u8)]) -> String {
    let row = |(row, (number, style)): (usize, &(f64, u8))| {
        format!(r#"<row r="{row}"><c r="A{row}" s="{style}"><v>{number}</v></c></row>"#)
    };
    let rows: String = (2..).zip(cells).map(row).collect();
    format!(r#"<row r="1"><c r="A1" t="str"><v>d</v></c></row>{rows}"#)
}

#[tokio::test]
async fn a_zero_among_dates_is_the_first_day_since_1904_and_else_no_date() {
    let dates = shown_as(&[(0.0, 1), (1.0, 1), (43889.0, 1)]);
    for types in [json!({}), json!({"types": {"d": "date"}}), json!({"types": {"d": "string"}})] {
        let ran = read(raw_since_1904(&dates), types.clone()).await.expect("reads");
        assert_eq!(ran.cells(), [["1904-01-01"], ["1904-01-02"], ["2024-02-29"]], "{types}");
    }
    for params in [json!({}), json!({"types": {"d": "date"}}), json!({"sample_rows": 1, "types": {"d": "date"}})] {
        let words = ["sheet \"Sheet1\", cell A2", "a date that no calendar has"];
        let fault = refused(read(raw(&dates), params).await, FaultKind::BadData, &words);
        assert_eq!((fault.row_number(), fault.column_name()), (Some(1), Some("d")));
    }
    let ran = read(raw(&dates), json!({"types": {"d": "string"}})).await.expect("reads");
    assert_eq!(ran.cells()[0], ["00:00:00"], "as the user says");
}

#[tokio::test]
async fn a_zero_among_times_of_day_is_midnight() {
    for cells in [&[(0.0, 2), (0.75, 2)][..], &[(0.0, 2)]] {
        for book in [raw(&shown_as(cells)), raw_since_1904(&shown_as(cells))] {
            let (names, rows) = read(book, json!({})).await.expect("reads").shown();
            assert_eq!((names[0].as_str(), rows[0][0].as_str()), ("d: Time64(µs)", "00:00:00"));
        }
    }
    let mixed = shown_as(&[(0.0, 2), (0.75, 2), (45351.0, 1)]);
    let (names, rows) = read(raw(&mixed), json!({})).await.expect("reads").shown();
    assert_eq!(names, ["d: Utf8"]);
    assert_eq!(rows, [["00:00:00"], ["18:00:00"], ["2024-02-29"]]);
}

#[tokio::test]
async fn what_stands_for_a_number_and_is_none_is_named() {
    for (cell, word) in [
        (r#"<c r="A3"><v>12,5</v></c>"#, "a text"),
        (r#"<c r="A3" t="n"><v>12,5</v></c>"#, "a text"),
        (r#"<c r="A3"><v>1e400</v></c>"#, "no number"),
    ] {
        let rows = format!("{}<row r=\"3\">{cell}</row>", shown_as(&[(1.0, 0)]));
        refused(read(raw(&rows), json!({})).await, FaultKind::BadData, &["cell A3", word]);
    }
}
