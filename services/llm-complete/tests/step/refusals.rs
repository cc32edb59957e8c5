//! What `llm-complete` refuses when it is planned: nothing is asked then.

use crate::support::{Reply, Server};
use arrow::array::RecordBatch;
use flight_common::testing::{Bench, batch};
use flight_common::{Fault, FaultKind};
use llm_complete::{LlmComplete, Operator};
use serde_json::{Value, json};

fn rows() -> RecordBatch {
    batch!("text" => StringArray ["[MISSING]"], "n" => Int64Array [1])
}

fn pointers(fault: &Fault) -> Vec<&str> {
    fault.violations().iter().map(|violation| violation.pointer.as_str()).collect()
}

#[tokio::test]
async fn parameters_that_do_not_go_together_are_refused_all_at_once() {
    let server = Server::start(|_| Reply::words("never")).await;
    let refused = async |params: Value| server.run(params, &rows()).await.expect_err("refused");
    for (params, expected) in [
        (json!({}), vec![""]),
        (json!({"text_column": "text", "prompt": "{n}", "output_column": "o"}), vec!["/prompt", "/output_column"]),
        (json!({"prompt": "{n}"}), vec!["/prompt"]),
        (json!({"prompt": "{n}", "output_column": ""}), vec!["/output_column"]),
        (json!({"text_column": "text", "missing_placeholder": ""}), vec!["/missing_placeholder"]),
        (
            json!({"prompt": "{n}", "output_column": "o", "missing_placeholder": "_", "on_error": "keep"}),
            vec!["/missing_placeholder", "/on_error"],
        ),
        (json!({"text_column": "text", "options": {"stream": true, "top_p": 1}}), vec!["/options/stream"]),
        (json!({"text_column": "text", "concurrency": 0, "max_tokens": 0}), vec!["/concurrency", "/max_tokens"]),
        (json!({"text_column": "text", "prices": {"input": -1, "output": 0}}), vec!["/prices/input"]),
        (json!({"text_column": "text", "api_key": "a\nb"}), vec!["/api_key"]),
    ] {
        let fault = refused(params.clone()).await;
        assert_eq!((fault.kind(), pointers(&fault)), (FaultKind::BadParams, expected), "{params}");
    }
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn columns_that_cannot_be_are_refused_with_their_place() {
    let server = Server::start(|_| Reply::words("never")).await;
    for (params, pointer) in [
        (json!({"text_column": "txt"}), "/text_column"),
        (json!({"text_column": "n"}), "/text_column"),
        (json!({"prompt": "{m}", "output_column": "o"}), "/prompt"),
        (json!({"prompt": "{n}", "output_column": "text"}), "/output_column"),
    ] {
        let fault = server.run(params.clone(), &rows()).await.expect_err("refused");
        assert_eq!((fault.kind(), pointers(&fault)), (FaultKind::BadSchema, vec![pointer]), "{params}");
    }
    let near = server.run(json!({"text_column": "txt"}), &rows()).await.expect_err("refused");
    assert!(near.help_text().expect("help").contains("text"));
}

#[tokio::test]
async fn without_a_server_or_a_model_nothing_is_sent_anywhere() {
    let run = async |operator: Operator| {
        let step = LlmComplete::new(operator);
        Bench::new().run(step, json!({"text_column": "text"}), &[rows()]).await.expect_err("refused")
    };
    let fault = run(Operator::default()).await;
    assert_eq!(fault.kind(), FaultKind::BadParams);
    assert!(fault.message().contains("no model is named") && fault.message().contains("no model server is set"));
    let help = &fault.violations().last().expect("two").help;
    assert!(help.as_ref().expect("help").contains("QUIVER_LLM_BASE_URL"));
    let wrong = Operator { base_url: Some("localhost:11434".to_owned()), api_key: None, model: Some("m".to_owned()) };
    let fault = run(wrong).await;
    assert!(fault.message().contains("QUIVER_LLM_BASE_URL"), "{fault}");
}
