//! `extract-api` keeps the contract of steps.

use crate::support::{Reply, Server, local};
use arrow::array::{Array, AsArray};
use arrow::datatypes::{Float64Type, Int64Type};
use extract_api::ExtractApi;
use flight_common::testing::contract::{ContractCase, assert_kept};
use serde_json::json;
use std::fmt::Write;

#[tokio::test(flavor = "multi_thread")]
async fn the_contract_is_kept() {
    let mut text = String::from(
        "[{\"id\":0,\"name\":null,\"amount\":null},{\"id\":1,\"name\":\"\"},{\"id\":2,\"name\":\"NaN\",\"amount\":-2.25}",
    );
    for row in 3..100_000 {
        let _ = write!(text, ",\n{{\"id\":{row},\"name\":\"a rather, \\\"long\\\"\\nname\",\"amount\":{row}.5}}");
    }
    text.push(']');
    let server = Server::start(move |_| Reply::json(&text)).await;

    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let case = ContractCase::new(json!({"url": server.url("/rows")}), readme).http_allow(local());
    let case = case.memory(16 << 20).keeps_apart(|_, output| {
        let (names, amounts) = (output["name"].as_string::<i32>(), output["amount"].as_primitive::<Float64Type>());
        let ids = output["id"].as_primitive::<Int64Type>();
        let kept = names.is_null(0)
            && names.is_valid(1)
            && names.value(1).is_empty()
            && names.value(2) == "NaN"
            && amounts.null_count() == 2
            && ids.values().iter().copied().eq(0..100_000);
        if kept { Ok(()) } else { Err(format!("the first rows are {:?}", output.slice(0, 3))) }
    });
    assert_kept(ExtractApi::default(), case).await;
}
