//! What the README shows can be asked.

use crate::support::ask_on;
use arrow::array::RecordBatch;
use flight_common::testing::{Bench, batch};
use serde_json::Value;

/// The tables that its queries are over.
fn tables() -> [(&'static str, RecordBatch); 5] {
    let sales = batch!(
        "internal_id" => Int64Array [1, 2],
        "customer" => Int64Array [7, 8],
        "name" => StringArray ["a", "b"],
        "region" => StringArray ["north", "south"],
        "amount" => Float64Array [120.5, 80.0],
        "day" => StringArray ["2024-02-29", "2024-03-01"],
        "price" => StringArray ["1.19", "none"],
        "seen" => Int64Array [1, 2],
    );
    let orders = batch!("customer" => Int64Array [7], "amount" => Int64Array [5], "region" => StringArray ["north"]);
    let customers = batch!("id" => Int64Array [7], "name" => StringArray ["a"], "region" => StringArray ["north"]);
    let amounts = batch!("amount" => Int64Array [5]);
    [
        ("input", sales),
        ("orders", orders),
        ("customers", customers),
        ("north", amounts.clone()),
        ("south", batch!("note" => StringArray ["late"], "amount" => Int64Array [6])),
    ]
}

/// The text between two marks, wherever it stands.
fn between<'a>(text: &'a str, begin: &'a str, end: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(begin).skip(1).filter_map(move |rest| Some(rest.split_once(end)?.0))
}

/// All queries of the README: its examples, that of a pipeline, and that of the parameter.
fn queries(readme: &str) -> Vec<String> {
    let examples = between(readme, "```json\n", "```").map(|json| {
        let params: Value = serde_json::from_str(json).expect("an example is JSON");
        params["query"].as_str().expect("it asks").to_owned()
    });
    let others = between(readme, "query: |\n", "```").chain(between(readme, "Example: `", "`")).map(str::to_owned);
    examples.chain(others).collect()
}

#[tokio::test]
async fn every_query_of_the_readme_can_be_asked() {
    let queries = queries(include_str!("../../README.md"));
    assert!(queries.len() >= 12, "{queries:?}");
    for query in queries {
        let words: Vec<&str> = query.split_whitespace().collect();
        let is_read = |name: &str| words.windows(2).any(|two| matches!(two[0], "FROM" | "JOIN") && two[1] == name);
        let tables: Vec<_> = tables().into_iter().filter(|(name, _)| is_read(name)).collect();
        if let Err(fault) = ask_on(Bench::new(), &query, &tables).await {
            panic!("{query}: {fault:?}");
        }
    }
}
