//! What `llm-complete` means when all goes well.

use crate::support::{Reply, Server};
use arrow::array::{ArrayRef, NullArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use flight_common::testing::{Bench, batch, make_batch};
use llm_complete::{LlmComplete, Operator};
use serde_json::{Value, json};
use std::sync::Arc;

async fn echo() -> Server {
    Server::start(|request| Reply::words(&format!(" re: {}\n", request.prompt()))).await
}

#[tokio::test]
async fn the_words_take_the_place_of_the_gap_and_other_texts_stay() {
    let server = Server::start(|_| Reply::words("  sat ")).await;
    let rows = batch!(
        "id" => Int64Array [1, 2, 3, 4],
        "text" => StringArray [Some("the cat [MISSING] down"), None, Some(""), Some("no gap")],
    );
    let ran = server.run(json!({"text_column": "text"}), &rows).await.expect("runs");
    let expected = batch!(
        "id" => Int64Array [1, 2, 3, 4],
        "text" => StringArray [Some("the cat sat down"), None, Some(""), Some("no gap")],
    );
    assert_eq!((ran.rows(), ran.schema), (expected, rows.schema()));
    let nothing = make_batch(vec![("text", Arc::new(NullArray::new(3)) as ArrayRef)]);
    let ran = server.run(json!({"text_column": "text"}), &nothing).await.expect("runs");
    assert_eq!(ran.rows(), nothing, "nothing but nulls has no gap");
    let [request] = &server.requests()[..] else { panic!("one row has a gap: {:?}", server.requests()) };
    assert_eq!(request.path, "/v1/chat/completions");
    assert_eq!(request.prompt(), "the cat [MISSING] down");
    assert_eq!((&request.body["model"], &request.body["max_tokens"]), (&json!("tiny"), &json!(20)));
    assert!(request.body["messages"][0]["content"].as_str().expect("a text").contains("marked [MISSING]"));
    assert!(!request.headers.contains_key("authorization"), "there is no key");
}

#[tokio::test]
async fn a_prompt_over_columns_fills_a_new_one_and_rows_with_nulls_are_not_asked() {
    let server = echo().await;
    let rows = batch!(
        "id" => Int64Array [Some((1i64 << 53) + 1), None, Some(3)],
        "a b" => StringArray [Some("x"), Some("y"), None],
    );
    let params = json!({"prompt": "{id}: {a b}", "output_column": "said", "system": "be brief", "max_tokens": 7,
        "options": {"seed": 1}});
    let ran = server.run(params, &rows).await.expect("runs");
    let said = StringArray::from(vec![Some("re: 9007199254740993: x"), None, None]);
    assert_eq!(ran.rows().columns()[..2], *rows.columns());
    assert_eq!(ran.rows().column_by_name("said"), Some(&(Arc::new(said) as ArrayRef)));
    let [request] = &server.requests()[..] else { panic!("one row has no nulls") };
    assert_eq!(request.body["messages"][0], json!({"role": "system", "content": "be brief"}));
    assert_eq!((&request.body["seed"], &request.body["max_tokens"]), (&json!(1), &json!(7)));
}

#[tokio::test]
async fn the_key_and_the_model_are_the_operators_unless_the_pipeline_has_its_own() {
    let server = echo().await;
    let rows = batch!("t" => StringArray ["[MISSING]"]);
    let run = async |params: Value| {
        Bench::new().run(server.step_with_key("operator"), params, std::slice::from_ref(&rows)).await.expect("runs");
        let request = server.requests().pop().expect("asked");
        (request.headers["authorization"].clone(), request.body["model"].clone())
    };
    assert_eq!(run(json!({"text_column": "t"})).await, ("Bearer operator".to_owned(), json!("tiny")));
    let own = json!({"text_column": "t", "api_key": "mine", "model": "large"});
    assert_eq!(run(own).await, ("Bearer mine".to_owned(), json!("large")));
}

#[tokio::test]
async fn identical_prompts_are_asked_once_and_order_is_kept() {
    let server = echo().await;
    let texts: Vec<String> = (0..2000).map(|row| format!("{}", row % 7)).collect();
    let rows = batch!("t" => StringArray texts);
    let params = json!({"prompt": "{t}", "output_column": "said", "concurrency": 16});
    for cut in [1, 300, 2000] {
        let before = server.requests().len();
        let ran = Bench::new().batches_of(cut).run(server.step(), params.clone(), std::slice::from_ref(&rows)).await;
        let ran = ran.expect("runs");
        let expected: StringArray = texts.iter().map(|text| Some(format!("re: {text}"))).collect();
        assert_eq!(ran.rows().column(1), &(Arc::new(expected) as ArrayRef), "{cut}");
        assert_eq!(server.requests().len() - before, 7, "{cut}");
        let counters = &ran.report.counters;
        assert_eq!((counters["answers"], counters["requests_sent"], counters["rows_completed"]), (7, 7, 2000));
    }
}

#[tokio::test]
async fn tokens_and_cost_are_those_that_the_server_counts() {
    let server = Server::start(|request| match request.prompt().as_str() {
        "b" => Reply::json(json!({"choices": [{"message": {"content": "y"}, "finish_reason": "length"}]})),
        _ => Reply::words("one two three"),
    })
    .await;
    let rows = batch!("t" => StringArray ["a", "b", "c", "a"]);
    let params = json!({"prompt": "{t}", "output_column": "o", "prices": {"input": 2.0, "output": 10.0}});
    let report = server.run(params, &rows).await.expect("runs").report;
    assert_eq!((report.counters["prompt_tokens"], report.counters["completion_tokens"]), (20, 6));
    assert_eq!((report.counters["answers_without_usage"], report.counters["answers_cut_off"]), (1, 1));
    assert!(report.details["warnings"].to_string().contains("higher than told"), "{:?}", report.details);
    let cost = report.details["cost"].as_f64().expect("a number");
    assert!((cost - 100e-6).abs() < 1e-12, "{cost}");
    assert_eq!(report.details["model"], json!("tiny"));
}

#[tokio::test]
async fn max_rows_counts_rows_that_want_an_answer_however_they_are_cut() {
    let server = echo().await;
    let texts: Vec<String> =
        (0..900).map(|row| if row % 3 == 0 { format!("_{row}") } else { "-".to_owned() }).collect();
    let rows = batch!("t" => StringArray texts);
    let params = json!({"text_column": "t", "missing_placeholder": "_", "max_rows": 100, "concurrency": 8});
    let mut results = Vec::new();
    for cut in [1, 100, 900] {
        let ran = Bench::new().batches_of(cut).run(server.step(), params.clone(), std::slice::from_ref(&rows)).await;
        let ran = ran.expect("runs");
        let counters = &ran.report.counters;
        assert_eq!((counters["rows_completed"], counters["rows_beyond_limit"]), (100, 200));
        results.push(ran.rows());
    }
    let completed: Vec<Option<String>> = texts
        .iter()
        .enumerate()
        .map(|(row, text)| match row < 300 && row % 3 == 0 {
            true => Some(format!("re: {text}{row}")),
            false => Some(text.clone()),
        })
        .collect();
    let expected = batch!("t" => StringArray completed);
    assert!(results.iter().all(|rows| *rows == expected), "{results:?}");
}

#[tokio::test]
async fn a_dry_run_asks_nobody_and_estimates() {
    let rows = batch!("t" => StringArray [Some("abcd"), Some("abcd"), None, Some("abcdefgh")]);
    let params = json!({"prompt": "{t}", "output_column": "o", "max_tokens": 50, "dry_run": true,
        "prices": {"input": 1.0, "output": 2.0}});
    let nobody = LlmComplete::new(Operator::default());
    let ran = Bench::new().run(nobody, params, std::slice::from_ref(&rows)).await.expect("needs no server");
    let nothing: ArrayRef = Arc::new(StringArray::from(vec![None::<&str>; 4]));
    assert_eq!((ran.rows().column(0), ran.rows().column(1)), (rows.column(0), &nothing));
    assert_eq!(ran.report.counters["rows_to_complete"], 3);
    assert_eq!(ran.report.counters["requests_sent"], 0);
    let details = &ran.report.details;
    assert_eq!((&details["dry_run"], &details["estimated_requests"]), (&json!(true), &json!(2)));
    assert_eq!(details["most_completion_tokens"], json!(100));
    let tokens = details["estimated_prompt_tokens"].as_u64().expect("a number");
    assert!((3..30).contains(&tokens), "{tokens}");
    let cost = details["estimated_cost"].as_f64().expect("a number");
    assert!((cost - (tokens as f64 + 200.0) / 1e6).abs() < 1e-12, "{cost}");

    let gaps = json!({"text_column": "t", "missing_placeholder": "b", "dry_run": true});
    let ran = Bench::new().run(LlmComplete::default(), gaps, std::slice::from_ref(&rows)).await.expect("runs");
    assert_eq!(ran.rows(), rows, "gaps stay");
}

#[tokio::test]
async fn with_little_memory_prompts_are_forgotten_and_rows_are_the_same() {
    let server = echo().await;
    let texts: Vec<String> = (0..3000).map(|row| format!("{}", row % 1000)).collect();
    let rows = batch!("t" => StringArray texts);
    let params = json!({"prompt": "{t}", "output_column": "said"});
    let roomy = server.run(params.clone(), &rows).await.expect("runs");
    assert_eq!(roomy.report.counters["requests_sent"], 1000);
    let bench = Bench::new().memory(64 << 10).batches_of(200);
    let tight = bench.run(server.step(), params, std::slice::from_ref(&rows)).await.expect("runs");
    assert_eq!(tight.rows(), roomy.rows());
    assert!(tight.report.counters["requests_sent"] > 1000, "not all were remembered");
    assert!(bench.env.space.budget().peak() <= 64 << 10);
    assert_eq!(bench.env.space.budget().used(), 0);
}

#[tokio::test]
async fn rows_with_long_answers_leave_in_parts_within_memory_and_none_is_asked_twice() {
    const LIMIT: usize = 8 << 20;
    const WORDS: usize = 400 << 10;
    let answer = |prompt: &str| format!("{prompt}{}", "x".repeat(WORDS));
    let server = Server::start(move |request| Reply::words(&answer(&request.prompt()))).await;
    let texts: Vec<String> = (0..64).map(|row| format!("{row}:")).collect();
    let rows = batch!("t" => StringArray texts);
    let params = json!({"prompt": "{t}", "output_column": "said", "max_tokens": 8192});
    let bench = Bench::new().memory(LIMIT);
    let ran = bench.run(server.step(), params, std::slice::from_ref(&rows)).await.expect("runs");
    let expected: StringArray = texts.iter().map(|text| Some(answer(text))).collect();
    assert!(ran.rows().column(1) == &(Arc::new(expected) as ArrayRef), "each row has its own answer");
    assert!(ran.batches.len() > 4, "{} batches", ran.batches.len());
    assert_eq!((ran.report.counters["requests_sent"], ran.report.counters["rows_completed"]), (64, 64));
    // Those of the four requests under way come in any case.
    let (peak, used) = (bench.env.space.budget().peak(), bench.env.space.budget().used());
    assert!(peak <= LIMIT + 4 * 2 * (WORDS + 8), "{peak}");
    assert_eq!(used, 0);
}

#[tokio::test]
async fn a_text_that_was_never_null_may_become_so_only_if_told() {
    let server = Server::start(|_| Reply::complaint(400, "no", "x")).await;
    let schema = Arc::new(Schema::new(vec![Field::new("t", DataType::Utf8, false)]));
    let rows = RecordBatch::try_new(schema.clone(), vec![Arc::new(StringArray::from(vec!["[MISSING]"]))]);
    let rows = rows.expect("they fit");
    let ran = server.run(json!({"text_column": "t", "on_error": "null"}), &rows).await.expect("runs");
    assert!(ran.schema.field(0).is_nullable());
    assert_eq!(ran.rows().column(0).null_count(), 1);
    let ran = server.run(json!({"text_column": "t", "on_error": "keep"}), &rows).await.expect("runs");
    assert_eq!((ran.schema.clone(), ran.rows()), (schema, rows));
}
