//! `llm-complete` keeps the contract of steps.

use crate::support::{Reply, Server};
use arrow::array::{Array, AsArray};
use flight_common::testing::contract::{ContractCase, assert_kept, awkward};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn the_contract_is_kept() {
    let server = Server::start(|request| Reply::words(&format!("<{}>", request.prompt()))).await;
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let params = json!({"prompt": "of {name} {word}", "output_column": "answer"});
    let case = ContractCase::new(params, readme).input(awkward(50)).keeps_apart(|inputs, output| {
        let (names, answers) = (output["name"].as_string::<i32>(), output["answer"].as_string::<i32>());
        let others_stay = output.columns()[..inputs[0].num_columns()] == *inputs[0].columns();
        let right = (0..50).all(|row| match names.is_null(row) {
            true => answers.is_null(row),
            false => answers.value(row) == format!("<of {0} {0}>", names.value(row)),
        });
        if others_stay && right { Ok(()) } else { Err(format!("{output:?}")) }
    });
    assert_kept(server.step(), case).await;
}
