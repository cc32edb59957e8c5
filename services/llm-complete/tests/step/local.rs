//! What `llm-complete` means with a model in its own process: tiny ones, made here, whose answers are known.

use arrow::array::{Array, AsArray, RecordBatch};
use flight_common::testing::contract::{ContractCase, assert_kept, awkward};
use flight_common::testing::{Bench, Ran, batch, slices};
use flight_common::{Fault, FaultKind};
use futures::StreamExt;
use llm_complete::LlmComplete;
use local_model::testing::{CONTEXT, Tiny};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const FILE: &str = "models/tiny.gguf";

fn folder(tiny: &Tiny) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("models")).expect("made");
    tiny.write(&folder.path().join(FILE));
    folder
}

/// These parameters, with the model and a prompt that is the text itself.
fn params(more: Value) -> Value {
    let mut params = json!({"prompt": "{t}", "output_column": "said", "model_file": FILE, "max_tokens": 4});
    params.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    params
}

async fn run_at(root: &Path, params: Value, rows: &RecordBatch) -> Result<Ran, Fault> {
    Bench::at(root).run(LlmComplete::default(), params, std::slice::from_ref(rows)).await
}

fn said(ran: &Ran) -> Vec<Option<String>> {
    ran.rows()["said"].as_string::<i32>().iter().map(|text| text.map(str::to_owned)).collect()
}

fn some(texts: &[&str]) -> Vec<Option<String>> {
    texts.iter().map(|text| Some((*text).to_owned())).collect()
}

#[tokio::test]
async fn every_kind_of_model_answers_and_nulls_are_not_asked() {
    for tiny in [Tiny::llama(), Tiny::qwen2(), Tiny::qwen3()] {
        let root = folder(&tiny);
        let rows = batch!("t" => StringArray [Some("is it?"), None, Some("go on!"), Some("is it?")]);
        let ran = run_at(root.path(), params(json!({})), &rows).await.expect("runs");
        assert_eq!(
            said(&ran),
            [Some("yes"), None, Some("no no no no"), Some("yes")].map(|text| text.map(str::to_owned))
        );
        let (counters, details) = (&ran.report.counters, &ran.report.details);
        assert_eq!(
            (counters["rows_completed"], counters["answers"], counters["answers_cut_off"]),
            (3, 2, 1),
            "each once"
        );
        assert_eq!(
            (counters["completion_tokens"], &details["cost"], &details["model"]),
            (6, &json!(0.0), &json!(FILE))
        );
        assert!(counters["prompt_tokens"] > 10);
    }
}

#[tokio::test]
async fn the_words_take_the_place_of_the_gap() {
    // A model without a chat template reads the text last, behind the request to answer with nothing but the words.
    let root = folder(&Tiny::qwen2());
    let rows = batch!("t" => StringArray [Some("she said [MISSING], did she?"), None, Some("no gap")]);
    let params = json!({"text_column": "t", "model_file": FILE});
    let fault = run_at(root.path(), params.clone(), &rows).await.expect_err("the prompt is longer than the context");
    assert_eq!((fault.kind(), fault.row_number()), (FaultKind::BadData, Some(1)), "{fault}");
    let mut brief = params;
    brief["system"] = json!("be brief");
    let ran = run_at(root.path(), brief, &rows).await.expect("runs");
    assert_eq!(ran.rows(), batch!("t" => StringArray [Some("she said yes, did she?"), None, Some("no gap")]));
}

#[tokio::test]
async fn a_dry_run_counts_exactly_the_tokens_that_a_run_takes_and_needs_no_memory_for_weights() {
    let template = "{{ bos_token }}{% for m in messages %}{{ m.role }}: {{ m.content }}{% endfor %}";
    let root = folder(&Tiny::llama().template(template));
    let rows = batch!("t" => StringArray ["is it?", "go on!", "is it?"]);
    let ran = run_at(root.path(), params(json!({"system": "be brief"})), &rows).await.expect("runs");
    let dry = params(json!({"system": "be brief", "dry_run": true}));
    let little = 100 << 10;
    let bench = Bench::at(root.path()).memory(little);
    let counted = bench.run(LlmComplete::default(), dry, std::slice::from_ref(&rows)).await.expect("runs");
    let details = &counted.report.details;
    assert_eq!(details["estimated_prompt_tokens"], json!(ran.report.counters["prompt_tokens"]));
    assert_eq!((&details["estimated_requests"], &details["estimated_cost"]), (&json!(2), &json!(0.0)));
    assert_eq!(said(&counted), [None, None, None]);
    let fault = bench.run(LlmComplete::default(), params(json!({})), &[rows]).await.expect_err("too large");
    assert_eq!((fault.kind(), fault.violations()[0].pointer.as_str()), (FaultKind::BadParams, "/model_file"));
    let help = fault.violations()[0].help.as_deref().expect("help");
    assert!(help.contains("--memory-limit"), "{fault:?}");
}

#[tokio::test]
async fn rows_that_no_answer_comes_for_are_told_or_become_null() {
    let root = folder(&Tiny::llama());
    let long = "x,".repeat(CONTEXT);
    let rows = batch!("t" => StringArray ["is it?", "it is.", long.as_str()]);
    let fault = run_at(root.path(), params(json!({})), &rows).await.expect_err("it ends at once");
    assert_eq!((fault.kind(), fault.row_number(), fault.column_name()), (FaultKind::BadData, Some(2), Some("said")));
    let ran = run_at(root.path(), params(json!({"on_error": "null"})), &rows).await.expect("runs");
    assert_eq!(said(&ran), [Some("yes".to_owned()), None, None]);
    let second = ran.report.details["failure_2"].as_str().expect("told");
    assert!(second.starts_with("row 3: ") && second.contains("258 tokens") && second.contains("128"), "{second}");
}

#[tokio::test]
async fn words_of_chance_hang_on_the_seed_alone() {
    let root = folder(&Tiny::llama());
    let rows = batch!("t" => StringArray (0..6).map(|row| format!("row {row}")).collect::<Vec<_>>());
    let say = async |options: Value, concurrency: u16| {
        let params = params(json!({"options": options, "max_tokens": 9, "concurrency": concurrency}));
        said(&run_at(root.path(), params, &rows).await.expect("runs"))
    };
    let free = json!({"temperature": 30, "seed": 7});
    let once = say(free.clone(), 1).await;
    assert_eq!(once, say(free, 5).await);
    assert_ne!(once, say(json!({"temperature": 30, "seed": 8}), 1).await);
    assert_eq!(say(json!({}), 1).await, say(json!({"temperature": 0}), 1).await);
}

#[tokio::test]
async fn a_model_is_loaded_once_and_stays_for_a_while() {
    let root = folder(&Tiny::llama());
    let (bench, step) = (Bench::at(root.path()), LlmComplete::default());
    let rows = batch!("t" => StringArray ["is it?"]);
    let run = async || bench.run(step.clone(), params(json!({})), std::slice::from_ref(&rows)).await.expect("runs");
    let budget = bench.env.space.budget();
    run().await;
    let held = budget.used();
    assert!(held > 0, "it is still there");
    let (one, other) = tokio::join!(run(), run());
    assert_eq!((said(&one), said(&other)), (some(&["yes"]), some(&["yes"])));
    assert_eq!(budget.used(), held, "and there once");
    drop(step);
    let impatient = LlmComplete::default().keeping_models_for(Duration::ZERO);
    assert_eq!(budget.used(), 0, "it went with the step");
    bench.run(impatient.clone(), params(json!({})), &[rows]).await.expect("runs");
    assert_eq!(budget.used(), 0, "nobody waits for another use");
}

#[tokio::test]
async fn a_model_that_nobody_uses_makes_room_for_another() {
    let root = folder(&Tiny::llama());
    Tiny::qwen2().write(&root.path().join("other.gguf"));
    let step = LlmComplete::default();
    let rows = batch!("t" => StringArray ["is it?"]);
    let roomy = Bench::at(root.path());
    let mut needed = Vec::new();
    for file in [FILE, "other.gguf"] {
        let fresh = LlmComplete::default();
        roomy.run(fresh.clone(), params(json!({"model_file": file})), std::slice::from_ref(&rows)).await.expect("runs");
        needed.push(roomy.env.space.budget().used());
    }
    let most = roomy.env.space.budget().peak();
    assert!(most < needed[0] + needed[1] + most / 2);
    let bench = Bench::at(root.path()).memory(most + needed[0].min(needed[1]) / 2);
    for file in [FILE, "other.gguf", FILE] {
        let params = params(json!({"model_file": file, "retries": 0}));
        let ran = bench.run(step.clone(), params, std::slice::from_ref(&rows)).await;
        assert_eq!(said(&ran.expect("there is room")), some(&["yes"]));
    }
}

#[tokio::test]
async fn a_file_that_changed_since_it_was_planned_ends_the_run() {
    let root = folder(&Tiny::llama());
    let rows = batch!("t" => StringArray ["is it?"]);
    let step = flight_common::registry::erase(LlmComplete::default());
    let bench = Bench::at(root.path());
    let params = params(json!({"on_error": "null"}));
    let (_, mut driven) = bench.start(&*step, &params, vec![slices(&rows, 1)]).await.expect("planned");
    Tiny::qwen2().write(&root.path().join(FILE));
    let output = driven.outputs.remove(0).expect("a main output");
    let ended = flight_common::compute::spawn(output.collect_rows()).await.expect("no panic");
    let fault = ended.expect_err("it changed");
    assert!(fault.message().contains("changed since it was planned"), "{fault}");
}

#[tokio::test]
async fn an_answer_stops_when_its_reader_leaves() {
    let root = folder(&Tiny::llama().set("llama.context_length", local_model::testing::Value::U32(4096)));
    let rows = batch!("t" => StringArray ["go on!"]);
    let step = flight_common::registry::erase(LlmComplete::default().keeping_models_for(Duration::ZERO));
    let bench = Bench::at(root.path());
    let params = params(json!({"max_tokens": 4000, "timeout_seconds": 3600}));
    let (_, mut driven) = bench.start(&*step, &params, vec![slices(&rows, 1)]).await.expect("planned");
    let mut output = driven.outputs.remove(0).expect("a main output");
    let reading = flight_common::compute::spawn(async move { output.next().await.is_some() });
    let budget = bench.env.space.budget();
    let until = |what: &'static str, holds: &dyn Fn() -> bool| {
        let begun = Instant::now();
        while !holds() {
            assert!(begun.elapsed() < Duration::from_secs(30), "{what}");
            std::thread::yield_now();
        }
    };
    until("it never began", &|| driven.gauge.report().counters.get("requests_sent") == Some(&1) && budget.used() > 0);
    drop(reading);
    drop(driven);
    until("it went on", &|| budget.used() == 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_contract_is_kept_with_a_local_model() {
    let root = folder(&Tiny::llama());
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let params = json!({"prompt": "{name} {word}?", "output_column": "said", "model_file": FILE, "max_tokens": 2});
    let case = ContractCase::new(params, readme).input(awkward(50)).data_root(root.path()).memory(2 << 20);
    let case = case.keeps_apart(|inputs, output| {
        let (names, said) = (output["name"].as_string::<i32>(), output["said"].as_string::<i32>());
        let others_stay = output.columns()[..inputs[0].num_columns()] == *inputs[0].columns();
        let right = (0..50).all(|row| if names.is_null(row) { said.is_null(row) } else { said.value(row) == "yes" });
        if others_stay && right { Ok(()) } else { Err(format!("{output:?}")) }
    });
    assert_kept(LlmComplete::default().keeping_models_for(Duration::ZERO), case).await;
}
