//! What is done to a bucket, to its objects and to the way there while a pipeline is at work.

use crate::gate::{Act, Gate};
use crate::house::{Place, count, server, told};
use flight_common::drive::{Part, drive};
use flight_common::{Fault, FaultKind, InputSchemas, Permission, SpillSpace, StepEnv, compute};
use futures::TryStreamExt;
use quiver_tests::{eventually, service::SOON};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const HR: &str = "examples/pipelines/hr_analytics.yaml";

/// A file of 30 MB, and a pipeline that reads it.
fn large(place: &Place) {
    place.put("big.csv", format!("n\n{}", "123456789\n".repeat(3_000_000)));
    let pipeline = "steps:
  - {id: read, service: extract-csv, params: {file_path: big.csv}}
  - {id: load, service: load-data, params: {path: out.csv}, depends_on: [read]}
";
    place.house.write("big.yaml", pipeline);
}

#[test]
fn a_failed_run_leaves_no_object() {
    let server = server();
    let place = Place::new(&server);
    let ended = place.quiver(&["run", HR, "--set", "quality.rules.min_rows=501"]);
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert_eq!(place.outputs(), [""; 0]);
    assert_eq!(count(&server.requests(), "s3_CreateMultipartUpload"), 0);
}

#[test]
fn an_upload_that_breaks_leaves_neither_an_object_nor_parts() {
    let server = server();
    let place = Place::new(&server);
    large(&place);
    let gate = Gate::start(server.address(), "partNumber=3", |_| Act::Cut);
    let place = place.through(&server, &gate.address);
    let ended = place.quiver(&["run", "big.yaml"]);
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains(&place.url) && ended.stderr.contains("out.csv"), "{}", ended.stderr);
    assert!(gate.seen() > 3, "it was tried again");
    let place = place.through(&server, server.address());
    assert_eq!(place.outputs(), ["big.csv"]);
    let requests = server.requests();
    assert_eq!(count(&requests, "s3_CreateMultipartUpload"), 1);
    assert_eq!(count(&requests, "s3_AbortMultipartUpload"), 1, "{requests:?}");
    assert_eq!(count(&requests, "s3_CompleteMultipartUpload"), 0);
}

/// What may not be seen is not, whether it is sent at once or in parts.
#[test]
fn who_may_not_commit_leaves_neither_an_object_nor_parts() {
    let server = server();
    let place = Place::new(&server);
    large(&place);
    place.put("small.csv", "n\n1\n");
    place.put("out.csv", "newer");
    let env = StepEnv { data_root: place.root(), space: SpillSpace::default(), http_allow: Default::default() };
    let registry = quiver::registry();
    let step = |name| registry.iter().find(|step| step.spec().name == name).expect("a step");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    for source in ["small.csv", "big.csv"] {
        let loaded = runtime.block_on(compute::spawn({
            let (env, extract, load) = (env.clone(), step("extract-csv").clone(), step("load-data").clone());
            async move {
                let planned = extract.plan(&json!({"file_path": source}), &InputSchemas::default(), &env).await?;
                let rows = drive(planned, Vec::new(), &env, "test", &[])?.outputs.remove(0).expect("a main output");
                let schemas = InputSchemas::new(vec![rows.schema()]);
                let planned = load.plan(&json!({"path": "out.csv"}), &schemas, &env).await?;
                let permission = Permission::by_asking(|| async { Err(Fault::cancelled("another one runs it")) });
                let part = Part { node: "load", permission, ..Part::from("test") };
                let mut driven = drive(planned, vec![rows], &env, part, &[])?;
                driven.outputs.remove(0).expect("a receipt").try_collect::<Vec<_>>().await
            }
        }));
        let fault = loaded.expect("no panic").expect_err("it may not commit");
        assert_eq!(fault.kind(), FaultKind::Cancelled, "{}", told(&fault));
        assert_eq!(place.get("out.csv"), b"newer");
    }
    let requests = server.requests();
    assert_eq!(count(&requests, "s3_CreateMultipartUpload"), 1);
    assert_eq!(count(&requests, "s3_AbortMultipartUpload"), 1, "{requests:?}");
}

#[test]
fn a_part_that_breaks_once_is_sent_again() {
    let server = server();
    let place = Place::new(&server);
    large(&place);
    let gate = Gate::start(server.address(), "partNumber=2", |which| if which == 1 { Act::Cut } else { Act::Pass });
    let place = place.through(&server, &gate.address);
    place.well(&["run", "big.yaml"]);
    assert!(gate.seen() > 1);
    assert!(place.get("out.csv") == place.get("big.csv"));
}

/// Whoever interrupts it leaves no parts behind, which nobody sees and somebody pays for.
#[test]
fn an_interrupted_upload_leaves_no_parts() {
    let server = server();
    let place = Place::new(&server);
    large(&place);
    let gate = Gate::start(server.address(), "partNumber=3", |_| Act::Hold);
    let place = place.through(&server, &gate.address);
    for words in [&["run", "big.yaml"][..], &["run", "big.yaml", "--mesh"]] {
        let before = gate.seen();
        let run = place.start(words);
        eventually(SOON, "it is being sent", || (gate.seen() > before).then_some(()));
        run.signal("INT");
        assert_eq!(run.end_within(SOON).code, Some(130), "{words:?}");
    }
    let requests = server.requests();
    assert_eq!(count(&requests, "s3_CreateMultipartUpload"), 2);
    assert_eq!(count(&requests, "s3_AbortMultipartUpload"), 2, "{requests:?}");
}

/// The answer to the request that shows a file can be lost, and the request be done.
#[test]
fn a_file_whose_commit_was_not_answered_is_found_there() {
    let server = server();
    let mut place = Place::new(&server);
    large(&place);
    place.put("small.csv", "n\n1\n");
    let text = std::fs::read_to_string(place.house.path().join("big.yaml")).expect("there");
    place.house.write("small.yaml", text.replace("big.csv", "small.csv"));
    // One is shown by the end of an upload in parts, the other one by the request that sends it.
    let files = [("big.yaml", "POST /data/", "big.csv"), ("small.yaml", "PUT /data/", "small.csv")];
    // In a mesh, who may commit is asked for by the exchange that waits for the commit.
    let ways = [&["--quiet"][..], &["--mesh"]];
    for ((pipeline, mark, source), way) in files.into_iter().flat_map(|file| ways.map(|way| (file, way))) {
        place.put("out.csv", "older");
        let begins = AtomicUsize::new(0);
        let lost = move |_| match begins.fetch_add(1, Ordering::SeqCst) {
            // An upload in parts is begun by a POST too.
            0 if pipeline == "big.yaml" => Act::Pass,
            0 | 1 => Act::Deafen,
            _ => Act::Pass,
        };
        let gate = Gate::start(server.address(), mark, lost);
        place = place.through(&server, &gate.address);
        let ended = place.start(&[&["run", pipeline], way].concat()).end_within(SOON);
        assert_eq!(ended.code, Some(0), "{pipeline} {way:?}: {}", ended.stderr);
        assert!(gate.seen() > 1, "it was asked again");
        assert!(place.get("out.csv") == place.get(source), "{pipeline}");
    }
}

/// The plan's rows must not come from another version than the run's.
#[test]
fn an_object_replaced_between_plan_and_run_is_told() {
    let server = server();
    let place = Place::new(&server);
    place.put("a.csv", "n\n1\n");
    let env = StepEnv { data_root: place.root(), space: SpillSpace::default(), http_allow: Default::default() };
    let registry = quiver::registry();
    let step = registry.iter().find(|step| step.spec().name == "extract-csv").expect("a step");
    let (params, inputs) = (json!({"file_path": "a.csv"}), InputSchemas::default());
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let planned = runtime.block_on(step.plan(&params, &inputs, &env)).expect("a plan");
    assert!(planned.source.as_deref().is_some_and(|source| source.contains("ETag")), "{:?}", planned.source);
    assert_eq!(planned.datasets[0].namespace, "s3://data");
    assert!(planned.datasets[0].name.ends_with("/in/a.csv"), "{:?}", planned.datasets);
    // As long as it was, within the same second.
    place.put("a.csv", "n\n2\n");
    let mut driven = drive(planned, Vec::new(), &env, "test", &[]).expect("begun");
    let rows = driven.outputs.remove(0).expect("a main output");
    let read = runtime.block_on(compute::spawn(rows.try_collect::<Vec<_>>())).expect("no panic");
    let fault = read.expect_err("another object");
    assert_eq!(fault.kind(), FaultKind::BadData);
    assert!(fault.message().contains("changed since it was planned"), "{}", told(&fault));
}

#[test]
fn an_object_replaced_while_it_is_fetched_is_told() {
    let server = server();
    let place = Place::new(&server);
    large(&place);
    let (reached, replaced) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (tell, wait) = (reached.clone(), replaced.clone());
    // The third piece waits until the object is another one.
    let gate = Gate::start(server.address(), "GET /data/", move |which| {
        if which >= 3 {
            tell.store(true, Ordering::SeqCst);
            eventually(SOON, "it is replaced", || wait.load(Ordering::SeqCst).then_some(()));
        }
        Act::Pass
    });
    let place = place.through(&server, &gate.address);
    let root = place.root();
    let opened = std::thread::spawn(move || root.open_file("big.csv", "file_path").map(drop));
    eventually(SOON, "half of it was asked for", || reached.load(Ordering::SeqCst).then_some(()));
    place.put("big.csv", format!("n\n{}", "987654321\n".repeat(3_000_000)));
    replaced.store(true, Ordering::SeqCst);
    let fault = opened.join().expect("no panic").expect_err("a mixture");
    assert_eq!(fault.kind(), FaultKind::BadData);
    assert!(fault.message().contains("was replaced while it was read"), "{}", told(&fault));
    assert!(place.copies().is_empty());
    assert!(place.root().open_file("big.csv", "file_path").is_ok());
}

#[test]
fn a_server_killed_midway_ends_the_run_in_time() {
    let mut server = server();
    let place = Place::new(&server);
    large(&place);
    let gate = Gate::start(server.address(), "GET /data/", |which| if which > 2 { Act::Hold } else { Act::Pass });
    let place = place.through(&server, &gate.address);
    let run = place.start(&["run", "big.yaml"]);
    eventually(SOON, "it is being fetched", || (gate.seen() > 2).then_some(()));
    server.kill();
    let begun = Instant::now();
    let ended = run.end_within(Duration::from_secs(90));
    assert!(matches!(ended.code, Some(1 | 2)), "{:?}", ended.code);
    assert!(ended.stderr.contains(&place.url) && ended.stderr.contains("AWS_ENDPOINT_URL"), "{}", ended.stderr);
    println!("told after {:?}", begun.elapsed());
    server.up();
    let place = place.through(&server, server.address());
    place.well(&["run", "big.yaml"]);
}

#[test]
fn a_server_that_stands_still_is_given_up() {
    let server = server();
    let place = Place::new(&server).with("AWS_READ_TIMEOUT", "300ms");
    server.signal("STOP");
    let fault = place.root().open_file("examples/data/hr_employees.csv", "file_path").expect_err("no answer");
    server.signal("CONT");
    assert_eq!(fault.kind(), FaultKind::TimedOut);
    assert!(fault.message().contains(&place.url), "{}", told(&fault));
}

/// Whoever cancels does not wait for what is being fetched.
#[test]
fn a_cancelled_run_does_not_wait_for_the_bucket() {
    let server = server();
    let place = Place::new(&server);
    large(&place);
    let gate = Gate::start(server.address(), "GET /data/", |_| Act::Hold);
    let place = place.through(&server, &gate.address);
    for words in [&["run", "big.yaml"][..], &["run", "big.yaml", "--mesh"]] {
        let before = gate.seen();
        let run = place.start(words);
        eventually(SOON, "it is being fetched", || (gate.seen() > before).then_some(()));
        let begun = Instant::now();
        run.signal("INT");
        let ended = run.end_within(SOON);
        assert!(begun.elapsed() < Duration::from_secs(10), "{words:?}: {:?} {}", begun.elapsed(), ended.stderr);
        assert_ne!(ended.code, Some(0));
    }
}
