//! Which servers `llm-complete` may ask when it is the pipeline that names one.

use crate::support::{Reply, Server};
use arrow::array::RecordBatch;
use flight_common::testing::{Bench, Ran, batch};
use flight_common::{Fault, FaultKind};
use llm_complete::{Hidden, LlmComplete, Operator};
use serde_json::{Value, json};

fn rows() -> RecordBatch {
    batch!("t" => StringArray ["[MISSING]"])
}

fn operator() -> Operator {
    let text = |text: &str| Some(text.to_owned());
    Operator { base_url: text("http://127.0.0.1:1/v1"), api_key: Some(Hidden::from("operators")), model: text("own") }
}

async fn run(allowed: &str, base_url: &str, more: Value) -> Result<Ran, Fault> {
    let mut params = json!({"text_column": "t", "base_url": base_url, "retries": 0});
    params.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    let bench = Bench::new().http_allow(allowed.parse().expect("a list"));
    bench.run(LlmComplete::new(operator()), params, &[rows()]).await
}

#[tokio::test]
async fn a_private_address_is_refused_unless_the_operator_allows_it() {
    let server = Server::start(|_| Reply::words("well")).await;
    let model = json!({"model": "m"});
    for base in [server.base(), "http://[::ffff:169.254.169.254]/v1".to_owned(), "http://0x7f.1/v1".to_owned()] {
        let fault = run("", &base, model.clone()).await.expect_err("it is private");
        assert_eq!((fault.kind(), fault.violations()[0].pointer.as_str()), (FaultKind::Denied, "/base_url"), "{base}");
    }
    let by_name = server.base().replace("127.0.0.1", "localhost");
    let fault = run("", &by_name, model.clone()).await.expect_err("the name stands for a private address");
    assert_eq!(fault.kind(), FaultKind::Denied);
    assert!(fault.help_text().expect("help").contains("QUIVER_HTTP_ALLOW"), "{fault:?}");
    assert!(server.requests().is_empty());
    let ran = run("127.0.0.0/8", &server.base(), model).await.expect("it is allowed");
    assert_eq!(ran.rows(), batch!("t" => StringArray ["well"]));
}

#[tokio::test]
async fn the_operators_key_and_model_stay_with_the_operators_server() {
    let server = Server::start(|_| Reply::words("well")).await;
    run("*", &server.base(), json!({"model": "m"})).await.expect("runs");
    run("*", &server.base(), json!({"model": "m", "api_key": "mine"})).await.expect("runs");
    let [without, with] = &server.requests()[..] else { panic!("two requests") };
    assert!(!without.headers.contains_key("authorization"));
    assert_eq!(with.headers["authorization"], "Bearer mine");
    let fault = run("*", &server.base(), json!({})).await.expect_err("no model");
    assert_eq!((fault.kind(), fault.violations()[0].pointer.as_str()), (FaultKind::BadParams, "/model"));
}

#[tokio::test]
async fn an_address_that_is_none_is_told_at_its_place() {
    for base in ["localhost:11434/v1", "file:///etc/passwd", "no address"] {
        let fault = run("*", base, json!({"model": "m"})).await.expect_err("no address");
        assert_eq!(
            (fault.kind(), fault.violations()[0].pointer.as_str()),
            (FaultKind::BadParams, "/base_url"),
            "{base}"
        );
    }
}
