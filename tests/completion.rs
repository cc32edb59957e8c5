//! A language model in a pipeline, as a user has it: a server that speaks the API, in one process and over the mesh.

use local_model::testing::Tiny;
use quiver_tests::{Ended, House};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

const PROGRAM: &str = env!("CARGO_BIN_EXE_quiver-under-test");
const KEY: &str = "sk-7f3a-hush";

/// A model server whose model says yes to what is warm, and refuses other keys than [`KEY`].
struct Model {
    base: String,
    prompts: Arc<Mutex<Vec<String>>>,
}

impl Model {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let base = format!("http://{}/v1", listener.local_addr().expect("an address"));
        let prompts: Arc<Mutex<Vec<String>>> = Arc::default();
        let noted = prompts.clone();
        // They end with the process of the test.
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let noted = noted.clone();
                std::thread::spawn(move || while answer(&socket, &noted).is_some() {});
            }
        });
        Self { base, prompts }
    }

    fn asked(&self) -> usize {
        self.prompts.lock().expect("no panic").len()
    }
}

/// Answers one request; nothing when there is none any more.
fn answer(socket: &TcpStream, prompts: &Mutex<Vec<String>>) -> Option<()> {
    let mut reader = BufReader::new(socket);
    let (mut length, mut authorized) = (0, false);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|bytes| *bytes > 0)?;
        let line = line.trim_end();
        match line.split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => length = value.parse().ok()?,
            Some((name, value)) if name.eq_ignore_ascii_case("authorization") => authorized = value.ends_with(KEY),
            _ if line.is_empty() => break,
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let request: Value = serde_json::from_slice(&body).ok()?;
    let prompt = request["messages"].as_array()?.last()?["content"].as_str()?.to_owned();
    let words = if prompt.contains("Warm") { "Yes" } else { "No" };
    prompts.lock().expect("no panic").push(prompt);
    let (status, body) = match authorized {
        true => (
            "200 OK",
            json!({"choices": [{"message": {"content": words}}],
            "usage": {"prompt_tokens": 20, "completion_tokens": 1}}),
        ),
        false => ("401 Unauthorized", json!({"error": {"message": "Incorrect API key provided"}})),
    };
    let body = body.to_string();
    let reply = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    (&*socket).write_all(reply.as_bytes()).ok()
}

fn run(house: &House, model: &Model, key: &str, words: &[&str]) -> Ended {
    let mut command = house.command(&[&["run", "p.yaml", "--json"], words].concat());
    command.env("QUIVER_LLM_BASE_URL", &model.base).env("QUIVER_SECRET_LLM_KEY", key);
    let output = command.output().expect("the command starts");
    Ended {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

fn pipeline(quality: &str) -> String {
    format!(
        "steps:\n  - {{id: extract, service: extract-csv, params: {{file_path: examples/data/reviews.csv}}}}\n  \
         - {{id: quality, service: data-quality, params: {quality}, depends_on: extract}}\n  \
         - {{id: judge, service: llm-complete, depends_on: quality, params: {{prompt: \"{{review}}\", output_column: warm, \
         model: tiny, api_key: \"secret://llm-key\", prices: {{input: 1, output: 1}}}}}}\n  \
         - {{id: load, service: load-data, params: {{format: csv, dataset_name: judged}}, depends_on: judge}}\n"
    )
}

#[test]
fn each_prompt_is_asked_once_and_the_answers_are_loaded() {
    for words in [&[][..], &["--mesh"]] {
        let (house, model) = (House::new(PROGRAM), Model::start());
        house.write("p.yaml", pipeline("{rules: {min_rows: 1}}"));
        let ended = run(&house, &model, KEY, words);
        assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
        assert_eq!(model.asked(), 5, "eight reviews: one is null, two are repeated");
        let report = ended.json();
        let judge =
            report["steps"].as_array().expect("steps").iter().find(|step| step["id"] == "judge").expect("it ran");
        assert_eq!(
            (&judge["counters"]["rows_completed"], &judge["counters"]["prompt_tokens"]),
            (&json!(7), &json!(100))
        );
        assert_eq!(judge["details"]["cost"], json!(105e-6));
        let output = house.outputs().into_iter().find(|path| path.ends_with(".csv")).expect("a file");
        let text = std::fs::read_to_string(house.path().join(output)).expect("readable");
        assert!(text.starts_with("id,product,stars,review,warm\n"), "{text}");
        assert_eq!(text.matches(",Warm light,Yes\n").count(), 2, "{text}");
        assert!(text.contains("4,Lamp,,,\n"), "the null is not judged: {text}");
    }
}

#[test]
fn a_refused_key_fails_the_run_and_is_seen_nowhere() {
    let (house, model) = (House::new(PROGRAM), Model::start());
    house.write("p.yaml", pipeline("{rules: {min_rows: 1}}"));
    let ended = run(&house, &model, "sk-wrong-key", &["--mesh"]);
    let seen = format!("{}{}", ended.stdout, ended.stderr);
    assert_ne!(ended.code, Some(0), "{seen}");
    assert!(seen.contains("Incorrect API key") && !seen.contains("sk-wrong-key"), "{seen}");
    assert!(!house.outputs().iter().any(|path| path.ends_with(".csv")), "nothing is loaded");
}

#[test]
fn nothing_is_asked_when_a_gate_before_it_fails() {
    let (house, model) = (House::new(PROGRAM), Model::start());
    house.write("p.yaml", pipeline("{rules: {min_rows: 1000}, fail_on_errors: true}"));
    let ended = run(&house, &model, KEY, &[]);
    assert_ne!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
    assert_eq!(model.asked(), 0);
}

/// A pipeline that asks a model in the process about each review.
fn with_local_model(more: &str) -> String {
    format!(
        "steps:\n  - {{id: extract, service: extract-csv, params: {{file_path: examples/data/reviews.csv}}}}\n  \
         - {{id: judge, service: llm-complete, depends_on: extract, params: {{prompt: \"so {{stars}} or no?\", \
         output_column: said, max_tokens: 3, {more}}}}}\n  \
         - {{id: load, service: load-data, params: {{format: csv, dataset_name: judged}}, depends_on: judge}}\n"
    )
}

#[test]
fn a_local_model_answers_in_one_process_and_behind_flight() {
    for words in [&[][..], &["--mesh"]] {
        let house = House::new(PROGRAM);
        house.write("models/tiny.gguf", Tiny::llama().bytes());
        house.write("p.yaml", with_local_model("model_file: models/tiny.gguf"));
        let ended = house.quiver(&[&["run", "p.yaml", "--json"], words].concat());
        assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
        let report = ended.json();
        let steps = report["steps"].as_array().expect("steps");
        let judge = steps.iter().find(|step| step["id"] == "judge").expect("it ran");
        assert_eq!((&judge["counters"]["rows_failed"], &judge["details"]["cost"]), (&json!(0), &json!(0.0)));
        assert!(
            judge["counters"]["answers"].as_u64() < judge["counters"]["rows_completed"].as_u64(),
            "each prompt once"
        );
        let output = house.outputs().into_iter().find(|path| path.ends_with(".csv")).expect("a file");
        let text = std::fs::read_to_string(house.path().join(output)).expect("readable");
        assert_eq!((text.matches(",yes\n").count(), text.matches(",,,\n").count()), (7, 1), "one has no stars: {text}");
    }
}

#[test]
fn a_model_file_that_will_not_do_is_told_at_its_line_before_anything_runs() {
    let house = House::new(PROGRAM);
    let whole = Tiny::llama().bytes();
    house.write("models/cut.gguf", &whole[..whole.len() - 64]);
    house.write("p.yaml", with_local_model("model_file: models/cut.gguf"));
    let ended = house.quiver(&["plan", "p.yaml"]);
    assert_eq!(ended.code, Some(2), "{}{}", ended.stdout, ended.stderr);
    let told = format!("{}{}", ended.stdout, ended.stderr);
    assert!(told.contains("cut short") && told.contains("p.yaml:3:"), "{told}");
}
