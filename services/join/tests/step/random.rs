//! Joins of random tables, against nested loops.

use crate::support::{run, sorted_rows};
use arrow::array::{Int64Array, RecordBatch, StringArray};
use flight_common::testing::{Bench, make_batch};
use proptest::prelude::*;
use serde_json::json;
use std::sync::Arc;

type Row = (Option<i64>, Option<u8>);

fn table(name: &str, rows: &[Row]) -> RecordBatch {
    let texts = rows.iter().map(|(_, text)| text.map(|text| "abc"[..usize::from(text)].to_owned()));
    make_batch(vec![
        ("a", Arc::new(Int64Array::from_iter(rows.iter().map(|(number, _)| *number)))),
        (name, Arc::new(Int64Array::from_iter_values(0..rows.len() as i64))),
        ("b", Arc::new(StringArray::from_iter(texts))),
    ])
}

fn text<T: ToString>(value: Option<T>) -> String {
    value.map_or("null".to_owned(), |value| value.to_string())
}

/// The rows `a|l|b|r` of a join by nested loops.
fn by_loops(join_type: &str, nulls: bool, left: &[Row], right: &[Row]) -> Vec<String> {
    let equal = |l: &Row, r: &Row| l == r && (nulls || (l.0.is_some() && l.1.is_some()));
    let line = |key: &Row, l: Option<usize>, r: Option<usize>| {
        let word = key.1.map(|length| &"abc"[..usize::from(length)]);
        let all = [text(key.0), text(l), text(word), text(r)];
        if matches!(join_type, "semi" | "anti") { all[..3].join("|") } else { all.join("|") }
    };
    let mut rows = Vec::new();
    let mut right_matched = vec![false; right.len()];
    for (l, key) in left.iter().enumerate() {
        let matches: Vec<usize> = (0..right.len()).filter(|r| equal(key, &right[*r])).collect();
        matches.iter().for_each(|r| right_matched[*r] = true);
        match join_type {
            "semi" if !matches.is_empty() => rows.push(line(key, Some(l), None)),
            "anti" if matches.is_empty() => rows.push(line(key, Some(l), None)),
            "semi" | "anti" => {}
            "left" | "outer" if matches.is_empty() => rows.push(line(key, Some(l), None)),
            _ => rows.extend(matches.into_iter().map(|r| line(key, Some(l), Some(r)))),
        }
    }
    if matches!(join_type, "right" | "outer") {
        let unmatched = (0..right.len()).filter(|r| !right_matched[*r]);
        rows.extend(unmatched.map(|r| line(&right[r], None, Some(r))));
    }
    rows.sort();
    rows
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let row = (proptest::option::weighted(0.9, 0..12_i64), proptest::option::weighted(0.9, 0..3_u8));
    proptest::collection::vec(row, 0..120)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_join_gives_what_nested_loops_give(
        left in rows(), right in rows(), nulls: bool, batch_rows in 1..50_usize, little: bool,
    ) {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let bench = if little { Bench::new().memory(2000) } else { Bench::new() }.batches_of(batch_rows);
        for join_type in ["inner", "left", "right", "outer", "semi", "anti"] {
            let params = json!({"join_key": "a, b", "join_type": join_type, "null_equals_null": nulls});
            let (left_table, right_table) = (table("l", &left), table("r", &right));
            let ran = runtime.block_on(run(&bench, params, &left_table, &right_table)).expect("it runs");
            prop_assert_eq!(sorted_rows(&ran.rows()), by_loops(join_type, nulls, &left, &right), "{}", join_type);
        }
    }
}
