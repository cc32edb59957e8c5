//! What fields become.

use crate::support::{read, shown};
use serde_json::{Value, json};

/// Types and values of one column.
async fn column(values: &[&str], params: Value) -> (String, Vec<String>) {
    let content = format!("v,w\n{}", values.iter().map(|value| format!("{value},x\n")).collect::<String>());
    let (mut types, rows) = shown(&read(content, params).await.expect("reads"));
    (types.swap_remove(0), rows.into_iter().map(|mut row| row.swap_remove(0)).collect())
}

#[tokio::test]
async fn integers_with_nulls_stay_integers() {
    let (of, values) = column(&["1", "", "NA", "-3", "9007199254740993"], json!({})).await;
    assert_eq!((of.as_str(), values), ("Int64", ["1", "∅", "∅", "-3", "9007199254740993"].map(String::from).to_vec()));
}

#[tokio::test]
async fn what_a_number_would_change_stays_text() {
    for values in [
        &["007", "12"][..],
        &["9223372036854775808"],
        &["+49", "1"],
        &["1.5", "9007199254740993"],
        &["1234567890123456789.25", "0.5"],
        &["9007199254740993.0"],
        &["1e-400"],
    ] {
        let (of, found) = column(values, json!({})).await;
        assert_eq!((of.as_str(), found), ("Utf8", values.iter().map(|&value| value.to_owned()).collect()));
    }
}

#[tokio::test]
async fn what_programs_print_of_floats_are_floats() {
    let printed = ["0.1", "0.30000000000000004", "0.10000000000000001", "5e-324", "1.7976931348623157e308"];
    let (of, found) = column(&printed, json!({})).await;
    assert_eq!(of, "Float64");
    let same = |text: &str| text.parse::<f64>().expect("a float").to_bits();
    assert!(found.iter().zip(printed).all(|(found, printed)| same(found) == same(printed)), "{found:?}");
}

#[tokio::test]
async fn nulls_nan_and_empty_texts_are_told_apart() {
    let (of, values) = column(&["a", "", "\"\"", "NA", "\"NA\"", "null", " ", "Nan"], json!({})).await;
    assert_eq!((of.as_str(), values), ("Utf8", ["a", "∅", "", "∅", "NA", "∅", " ", "Nan"].map(String::from).to_vec()));

    let (of, values) = column(&["1.5", "NaN", "", "inf"], json!({"nulls": [""]})).await;
    assert_eq!((of.as_str(), values), ("Float64", ["1.5", "NaN", "∅", "inf"].map(String::from).to_vec()));

    let (_, values) = column(&["a", "-", "", "NA", "\"-\""], json!({"nulls": ["-"], "quoted_nulls": true})).await;
    assert_eq!(values, ["a", "∅", "", "NA", "∅"]);
}

#[tokio::test]
async fn a_number_may_be_a_null_if_the_user_says_so() {
    let (of, values) = column(&["1", "-999", "0", "17"], json!({"nulls": ["-999", "0"]})).await;
    assert_eq!((of.as_str(), values), ("Int64", ["1", "∅", "∅", "17"].map(String::from).to_vec()));
}

#[tokio::test]
async fn quotes_make_no_difference_to_numbers() {
    let (of, values) = column(&["\"1\"", "\"\"", " 2 ", "\"NA\"", "12345678901"], json!({})).await;
    assert_eq!((of.as_str(), values), ("Int64", ["1", "∅", "2", "∅", "12345678901"].map(String::from).to_vec()));
}

#[tokio::test]
async fn dates_and_times_are_read_as_such() {
    let (of, values) = column(&["2024-02-29", "", "1969-12-31"], json!({})).await;
    assert_eq!((of.as_str(), values), ("Date32", ["2024-02-29", "∅", "1969-12-31"].map(String::from).to_vec()));

    let (of, values) = column(&["2024-02-29 10:20", "2024-02-29T10:20:30.25"], json!({})).await;
    assert!(of.starts_with("Timestamp(") && !of.contains("UTC"), "{of}");
    assert_eq!(values, ["2024-02-29T10:20:00", "2024-02-29T10:20:30.250"]);

    let (of, values) = column(&["2024-02-29T10:20:00Z", "2024-02-29T10:20:00+02:00"], json!({})).await;
    assert!(of.contains("UTC"), "{of}");
    assert_eq!(values, ["2024-02-29T10:20:00Z", "2024-02-29T08:20:00Z"]);

    let (_, values) = column(&["2024-02-29T10:20:00.123456789"], json!({})).await;
    assert_eq!(values, ["2024-02-29T10:20:00.123456789"]);
}

#[tokio::test]
async fn dates_and_times_have_the_form_the_user_tells() {
    let (of, values) = column(&["29.02.2024", "01.03.2024"], json!({"date_format": "%d.%m.%Y"})).await;
    assert_eq!((of.as_str(), values), ("Date32", ["2024-02-29", "2024-03-01"].map(String::from).to_vec()));
    let (of, values) = column(&["29/02/2024 10:20"], json!({"timestamp_format": "%d/%m/%Y %H:%M"})).await;
    assert!(of.starts_with("Timestamp("), "{of}");
    assert_eq!(values, ["2024-02-29T10:20:00"]);
}

#[tokio::test]
async fn given_types_are_taken_at_their_word() {
    for (given, values, of, wanted) in [
        ("string", &["1", "", "007"][..], "Utf8", &["1", "∅", "007"][..]),
        ("int64", &["007", "+5", ""], "Int64", &["7", "5", "∅"]),
        ("uint8", &["255", "0"], "UInt8", &["255", "0"]),
        ("float64", &["1", "2.50"], "Float64", &["1.0", "2.5"]),
        (
            "decimal(10,2)",
            &["1", "2.50", "12345678.9", "NA"],
            "Decimal128(10, 2)",
            &["1.00", "2.50", "12345678.90", "∅"],
        ),
        ("boolean", &["yes", "0", "T", ""], "Boolean", &["true", "false", "true", "∅"]),
        ("time", &["10:20:30.5", ""], "Time64(µs)", &["10:20:30.500", "∅"]),
        ("date", &["2024-02-29"], "Date32", &["2024-02-29"]),
    ] {
        let found = column(values, json!({"types": {"v": given}})).await;
        assert_eq!(found, (of.to_owned(), wanted.iter().map(|&value| value.to_owned()).collect()), "{given}");
    }
    let (_, values) =
        column(&["2024-07-01 12:00", "2024-01-01 12:00"], json!({"types": {"v": "timestamp[us, Europe/Berlin]"}}))
            .await;
    assert_eq!(values, ["2024-07-01T12:00:00+02:00", "2024-01-01T12:00:00+01:00"]);
}

#[tokio::test]
async fn booleans_are_those_that_say_so() {
    assert_eq!(column(&["true", "FALSE", ""], json!({})).await.0, "Boolean");
    assert_eq!(column(&["yes", "no"], json!({})).await.0, "Utf8");
}

#[tokio::test]
async fn nothing_is_guessed_from_no_rows() {
    let (of, values) = column(&["1", "", "NA"], json!({"sample_rows": 0})).await;
    assert_eq!((of.as_str(), values), ("Utf8", ["1", "∅", "∅"].map(String::from).to_vec()));
}

#[tokio::test]
async fn a_column_without_values_is_text() {
    assert_eq!(column(&["", "NA"], json!({})).await, ("Utf8".to_owned(), vec!["∅".to_owned(); 2]));
}
