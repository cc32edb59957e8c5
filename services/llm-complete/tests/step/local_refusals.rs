//! Which files `llm-complete` refuses as local models: when they are planned, and without taking memory for what they claim.

use arrow::array::RecordBatch;
use flight_common::testing::{Bench, batch};
use flight_common::{Fault, FaultKind};
use llm_complete::LlmComplete;
use local_model::testing::{Tiny, Value as Held};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

const FILE: &str = "tiny.gguf";

fn rows() -> RecordBatch {
    batch!("t" => StringArray ["is it?"])
}

fn params(more: Value) -> Value {
    let mut params = json!({"prompt": "{t}", "output_column": "said", "model_file": FILE});
    params.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    params
}

/// The fault of planning alone: nothing is asked, and nothing loaded.
async fn planned(root: &Path, params: &Value) -> Result<(), Fault> {
    let step = flight_common::registry::erase(LlmComplete::default());
    let schemas = flight_common::InputSchemas::new(vec![rows().schema()]);
    step.plan(params, &schemas, &Bench::at(root).env).await.map(drop)
}

/// Its own, or that of what is wrong.
fn help(fault: &Fault) -> Option<&str> {
    fault.help_text().or(fault.violations().first()?.help.as_deref())
}

async fn refused(bytes: &[u8]) -> Fault {
    let root = tempfile::tempdir().expect("a folder");
    fs::write(root.path().join(FILE), bytes).expect("written");
    let fault = planned(root.path(), &params(json!({}))).await.expect_err("refused");
    assert_eq!(fault.violations()[0].pointer, "/model_file", "{fault:?}");
    assert!(fault.message().contains(FILE) && help(&fault).is_some(), "{fault:?}");
    fault
}

#[tokio::test]
async fn a_file_cut_anywhere_is_refused() {
    let whole = Tiny::llama().bytes();
    for end in (0..whole.len()).step_by(97).chain([whole.len() - 32]) {
        let fault = refused(&whole[..end]).await;
        assert_eq!(fault.kind(), FaultKind::BadData, "{end}: {fault}");
    }
    let fault = refused(&whole[..whole.len() - 32]).await;
    assert!(fault.message().contains("cut short: tensor "), "{fault}");
}

#[tokio::test]
async fn a_file_with_a_byte_changed_is_refused_or_answers_and_never_panics() {
    let whole = Tiny::llama().bytes();
    let root = tempfile::tempdir().expect("a folder");
    for place in (0..whole.len()).step_by(331) {
        let mut changed = whole.clone();
        changed[place] ^= 0xff;
        fs::write(root.path().join(FILE), &changed).expect("written");
        if let Err(fault) = planned(root.path(), &params(json!({}))).await {
            assert_ne!(fault.kind(), FaultKind::Internal, "{place}: {fault}");
            continue;
        }
        let ran = Bench::at(root.path()).run(LlmComplete::default(), params(json!({"max_tokens": 2})), &[rows()]).await;
        if let Err(fault) = ran {
            assert_ne!(fault.kind(), FaultKind::Internal, "{place}: {fault}");
        }
    }
}

/// A header with these numbers of tensors and values, and these bytes behind.
fn claiming(tensors: u64, values: u64, behind: &[u8]) -> Vec<u8> {
    [b"GGUF".as_slice(), &3u32.to_le_bytes(), &tensors.to_le_bytes(), &values.to_le_bytes(), behind].concat()
}

#[tokio::test]
async fn claims_that_the_file_has_no_room_for_take_no_memory() {
    let key = |name: &str| [&(name.len() as u64).to_le_bytes(), name.as_bytes()].concat();
    let list = |kind: u32, count: u64| {
        [key("k"), 9u32.to_le_bytes().to_vec(), kind.to_le_bytes().to_vec(), count.to_le_bytes().to_vec()].concat()
    };
    for (bytes, told) in [
        (b"PK\x03\x04 a zip file".to_vec(), "no GGUF file"),
        (Vec::new(), "no GGUF file"),
        (claiming(u64::MAX, 0, &[]), "tensors"),
        (claiming(0, u64::MAX, &[]), "values"),
        (claiming(0, 1, &[0xff; 16]), "bytes of a text"),
        (claiming(0, 1, &[list(0, u64::MAX), vec![0; 64]].concat()), "elements of k"),
        (claiming(0, 1, &[list(8, 1 << 40), vec![0; 64]].concat()), "elements of k"),
        (claiming(0, 1, &[list(9, 1), vec![0; 64]].concat()), "lists of lists"),
        (
            claiming(
                0,
                1,
                &[key("general.alignment"), 4u32.to_le_bytes().to_vec(), 0u32.to_le_bytes().to_vec()].concat(),
            ),
            "aligned",
        ),
    ] {
        let fault = refused(&bytes).await;
        assert!(fault.message().contains(told), "{told}: {fault}");
    }
}

#[tokio::test]
async fn what_is_not_known_or_contradicts_itself_is_told_by_name() {
    let without = |key: &str| {
        let mut tiny = Tiny::llama();
        tiny.values.remove(key);
        tiny.tensors.remove(key);
        tiny
    };
    let number = Held::U32;
    let text = |text: &str| Held::String(text.to_owned());
    let mut twisted = Tiny::llama();
    let down = twisted.tensors.remove("blk.1.ffn_up.weight").expect("there");
    twisted.tensors.insert("blk.1.ffn_down.weight".to_owned(), down);
    let cases = [
        (Tiny::llama().set("general.architecture", text("mamba")), FaultKind::BadParams, "\"mamba\" are not known"),
        (Tiny::llama().set("llama.block_count", number(u32::MAX)), FaultKind::BadData, "llama.block_count cannot be"),
        (Tiny::llama().set("llama.block_count", number(3)), FaultKind::BadData, "blk.2."),
        (Tiny::llama().set("llama.attention.head_count", number(0)), FaultKind::BadData, "head_count cannot be 0"),
        (Tiny::llama().set("llama.attention.head_count_kv", number(3)), FaultKind::BadData, "heads"),
        (Tiny::llama().set("llama.embedding_length", number(64)), FaultKind::BadData, "has the shape"),
        (Tiny::llama().set("llama.expert_count", number(8)), FaultKind::BadParams, "experts"),
        (Tiny::llama().set("llama.rope.dimension_count", number(4)), FaultKind::BadParams, "positions"),
        (without("llama.context_length"), FaultKind::BadData, "llama.context_length is missing"),
        (without("general.architecture"), FaultKind::BadData, "what kind"),
        (without("tokenizer.ggml.tokens"), FaultKind::BadData, "no tokenizer"),
        (without("blk.1.attn_v.weight"), FaultKind::BadData, "blk.1.attn_v.weight is missing"),
        (twisted, FaultKind::BadData, "blk.1.ffn_up.weight"),
    ];
    for (tiny, kind, told) in cases {
        let fault = refused(&tiny.bytes()).await;
        assert_eq!(fault.kind(), kind, "{told}: {fault}");
        assert!(fault.message().contains(told), "{told}: {fault}");
    }
    // The type of the first tensor stands behind its name, its number of dimensions, and its two lengths.
    let mut exotic = Tiny::llama().bytes();
    let name = b"blk.0.attn_k.weight";
    let at = exotic.windows(name.len()).position(|window| window == name).expect("there") + name.len() + 4 + 16;
    exotic[at..at + 4].copy_from_slice(&23u32.to_le_bytes());
    let fault = refused(&exotic).await;
    assert!(
        fault.message().contains("blk.0.attn_k.weight is quantised in a way that is not known (type 23)"),
        "{fault}"
    );
}

#[tokio::test]
async fn a_tokenizer_that_will_not_do_ends_the_run_with_the_file_named() {
    let text = |text: &str| Held::String(text.to_owned());
    let root = tempfile::tempdir().expect("a folder");
    for (tiny, told) in [
        (Tiny::llama().set("tokenizer.ggml.model", text("wordpiece")), "\"wordpiece\" is not known"),
        (Tiny::llama().set("tokenizer.ggml.scores", Held::Array(vec![Held::F32(0.0)])), "no score for each token"),
        (Tiny::qwen2().set("tokenizer.ggml.pre", text("klingon")), "\"klingon\""),
        (Tiny::qwen2().set("tokenizer.ggml.merges", Held::Array(vec![text("q q")])), "tokenizer"),
        (Tiny::llama().template("{% if %}"), "chat template cannot be read"),
        (Tiny::llama().template("{{ raise_exception('not today') }}"), "chat template fails: not today"),
    ] {
        tiny.write(&root.path().join(FILE));
        let params = params(json!({"on_error": "null"}));
        let fault = Bench::at(root.path()).run(LlmComplete::default(), params, &[rows()]).await.expect_err("refused");
        assert!(fault.message().contains(told) && fault.message().contains(FILE), "{told}: {fault}");
        assert_eq!(fault.row_number(), None, "no row is to blame");
    }
}

#[tokio::test]
async fn a_path_that_leads_out_or_nowhere_is_refused_at_its_place() {
    let root = tempfile::tempdir().expect("a folder");
    Tiny::llama().write(&root.path().join(FILE));
    std::os::unix::fs::symlink("/etc/hostname", root.path().join("link.gguf")).expect("a link");
    for (path, kind) in [
        ("../tiny.gguf", FaultKind::Denied),
        ("/etc/hostname", FaultKind::Denied),
        ("link.gguf", FaultKind::Denied),
        ("tini.gguf", FaultKind::NotFound),
        (".", FaultKind::BadParams),
    ] {
        let fault = planned(root.path(), &params(json!({"model_file": path}))).await.expect_err("refused");
        assert_eq!((fault.kind(), fault.violations()[0].pointer.as_str()), (kind, "/model_file"), "{path}: {fault}");
    }
}

#[tokio::test]
async fn parameters_of_a_server_do_not_go_with_a_model_file() {
    let root = tempfile::tempdir().expect("a folder");
    Tiny::llama().write(&root.path().join(FILE));
    let wrong = json!({"base_url": "http://localhost/v1", "model": "m", "api_key": "k", "requests_per_minute": 1,
        "prices": {"input": 1, "output": 1}, "options": {"stop": "x", "temperature": "hot"}});
    let fault = planned(root.path(), &params(wrong)).await.expect_err("refused");
    let pointers: Vec<_> = fault.violations().iter().map(|violation| violation.pointer.as_str()).collect();
    let expected =
        ["/base_url", "/model", "/api_key", "/requests_per_minute", "/prices", "/options/stop", "/options/temperature"];
    assert_eq!((fault.kind(), pointers), (FaultKind::BadParams, expected.to_vec()));
    planned(root.path(), &params(json!({}))).await.expect("nothing else is missing");
}
