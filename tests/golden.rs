//! The example pipelines, in one process and over the mesh: equal results, and those that were reviewed.
//!
//! `UPDATE_GOLDEN=1` rewrites the files under `tests/golden`.

use quiver_tests::{House, repository};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const PROGRAM: &str = env!("CARGO_BIN_EXE_quiver-under-test");

/// What a run did, without what differs between any two runs: the counts of each step, and the bytes of each output
/// by a name without the run's id.
fn essence(pipeline: &str, words: &[&str]) -> (Value, BTreeMap<String, Vec<u8>>) {
    let house = House::new(PROGRAM);
    let file = format!("examples/pipelines/{pipeline}.yaml");
    let ended = house.quiver(&[&["run", &file, "--json", "--run-id", "golden"], words].concat());
    assert_eq!(ended.code, Some(0), "{pipeline} {words:?}: {}{}", ended.stdout, ended.stderr);
    let report = ended.json();
    let steps = report["steps"].as_array().expect("steps").iter().map(|step| {
        json!({
            "id": step["id"],
            "step": step["step"],
            "status": step["status"],
            "rows_in": step["rows_in"],
            "rows_out": step["rows_out"],
            "counters": step["counters"],
            "receipt": step["receipt"],
        })
    });
    let outputs = house.outputs().into_iter().map(|path| {
        let content = std::fs::read(house.path().join(&path)).expect("readable");
        (path, content)
    });
    (json!({"pipeline": report["pipeline"], "steps": steps.collect::<Vec<_>>()}), outputs.collect())
}

fn check(pipeline: &str, ordered: bool) {
    let (here, files_here) = essence(pipeline, &[]);
    for words in [&["--mesh"][..], &["--mesh=tcp"]] {
        let (there, files_there) = essence(pipeline, words);
        assert_eq!(here, there, "{pipeline} {words:?}");
        assert_eq!(files_here.keys().collect::<Vec<_>>(), files_there.keys().collect::<Vec<_>>());
        for (path, content) in &files_here {
            match ordered {
                true => assert!(content == &files_there[path], "{path} differs {words:?}"),
                false => assert_eq!(sorted_lines(content), sorted_lines(&files_there[path]), "{path} {words:?}"),
            }
        }
    }
    let golden = repository().join(format!("tests/golden/{pipeline}.json"));
    let text = serde_json::to_string_pretty(&here).expect("JSON") + "\n";
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&golden, text).expect("written");
        return;
    }
    let expected = std::fs::read_to_string(&golden).expect("run with UPDATE_GOLDEN=1 first");
    assert_eq!(text, expected, "{pipeline}: if this is meant, run with UPDATE_GOLDEN=1");
}

fn sorted_lines(content: &[u8]) -> Vec<&[u8]> {
    let mut lines: Vec<&[u8]> = content.split(|byte| *byte == b'\n').collect();
    lines.sort_unstable();
    lines
}

/// A test for each example pipeline: its file, and whether its rows come in an order.
macro_rules! golden {
    ($($pipeline:ident: $order:ident,)*) => {
        $(#[test]
        fn $pipeline() {
            check(stringify!($pipeline), stringify!($order) == "ordered");
        })*

        const CHECKED: &[&str] = &[$(stringify!($pipeline)),*];
    };
}

golden! {
    budget_from_excel: ordered,
    category_report: ordered,
    departments_diamond: unordered,
    ecommerce_analytics: ordered,
    hr_analytics: ordered,
    legacy_hr: ordered,
    museum_visits: ordered,
    orders_from_sql: ordered,
    orders_quality: ordered,
    orders_to_database: ordered,
    orders_two_ways: ordered,
    reviews: ordered,
}

#[test]
fn every_example_pipeline_is_checked_here() {
    let folder = std::fs::read_dir(repository().join("examples/pipelines")).expect("the examples are there");
    for entry in folder.flatten() {
        let path = entry.path();
        let name = path.file_stem().and_then(|stem| stem.to_str()).expect("a plain name").to_owned();
        assert!(CHECKED.contains(&name.as_str()), "{name} has no golden test: add it to the list above");
    }
}
