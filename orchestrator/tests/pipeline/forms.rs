//! The form of a file: what it may look like, and what it may not.

use super::steps::{check, only, planned, planner, told};
use flight_common::StepKind;
use orchestrator::pipeline::{self, Arguments, Source};
use serde_json::json;
use std::time::Duration;

const READ: &str = "steps:\n  - {id: a, service: read-rows, params: {columns: [x, t]}}\n";

#[tokio::test]
async fn a_file_of_the_older_system_is_read_as_it_is() {
    let list = "\
pipeline:
  - id: extract_data
    service: read_rows
    params:
      columns: [x, y]
  - id: trim
    service: old_drop
    depends_on: [extract_data]
    params:
      columns: [y]
  - id: load
    service: STORE
    params: {}
    depends_on:
    - trim
";
    let plan = planned(list).await;
    let steps: Vec<&str> = plan.nodes.iter().map(|node| node.step.as_str()).collect();
    assert_eq!((plan.name.as_str(), steps), ("test", vec!["read-rows", "drop-columns", "store"]));
    let mapping = "\
pipeline:
  name: mine
  description: of old
  steps:
  - id: a
    service: row_source
    params: {columns: [x]}
    depends_on: []
";
    assert_eq!(planned(mapping).await.name, "mine");
}

#[tokio::test]
async fn json_is_yaml_too() {
    let json = "{\n\t\"name\": \"j\",\n\t\"steps\": [{\"id\": \"a\", \"step\": \"read-rows\", \"params\": {\"columns\": []}}]\n}";
    let plan = planned(json).await;
    assert_eq!((plan.name.as_str(), plan.nodes.len()), ("j", 1));
}

#[tokio::test]
async fn everything_that_a_step_may_say_is_kept() {
    let plan = planned(
        "\
name: all
description: of it
version: 2
x-shared: &columns [x, t]
steps:
  - {id: a, name: first, description: reads, service: Read_Rows, params: {columns: *columns}, timeout: 1m 30s}
  - {id: b, service: store, params:, inputs: {input: a}, depends_on: , timeout: 2.5}
",
    )
    .await;
    let [a, b] = plan.nodes.as_slice() else { panic!("{plan:?}") };
    assert_eq!((plan.name.as_str(), a.kind, a.timeout), ("all", StepKind::Extract, Some(Duration::from_secs(90))));
    assert_eq!(a.params.to_string(), r#"{"columns":["x","t"]}"#);
    assert_eq!(a.source.as_deref(), Some("x.csv 1 2"));
    assert_eq!((b.params.to_string().as_str(), b.timeout), ("{}", Some(Duration::from_millis(2500))));
}

#[tokio::test]
async fn a_file_without_steps_says_what_to_write() {
    for yaml in [
        "",
        "# nothing here\n",
        "just words",
        "steps: []\n",
        "steps:\n",
        "pipeline:\n  name: x\n",
        "pipeline: {steps: 1}",
        "name: x\n",
    ] {
        let problems = check(yaml).await.expect_err("nothing to run");
        let told: Vec<_> = problems.iter().map(|problem| (problem.code, problem.help.is_some())).collect();
        assert_eq!(told, [("no-steps", true)], "{yaml:?}");
    }
    only("pipeline:\n  steps: «[»]\n", "no-steps").await;
}

#[tokio::test]
async fn what_is_not_yaml_is_told_with_its_line() {
    let problems = check("steps:\n  - id: a\n   service: b\n").await.expect_err("not YAML");
    let told: Vec<_> = problems.iter().map(|problem| (problem.code, problem.line)).collect();
    assert_eq!(told, [("yaml", 3)]);
}

#[tokio::test]
async fn unknown_keys_are_told_at_every_level_with_the_nearest() {
    let found = told(
        "\
pipeline:
  «nme»: x
  steps:
    - {id: a, service: read-rows, params: {columns: [x]}, «dependson»: []}
«step»: 1
",
        &["unknown-key"; 3],
    )
    .await;
    let help: Vec<_> = found.iter().filter_map(|problem| problem.help.as_deref()).collect();
    assert_eq!(help[..2], ["did you mean \"name\"?", "did you mean \"depends_on\"?"]);
    only("pipeline: [{id: a, service: read-rows, params: {columns: []}}]\n«steps»: []\n", "unknown-key").await;
}

#[tokio::test]
async fn a_key_may_stand_once_and_hides_no_other_mistake() {
    told(
        &format!("{READ}  - {{id: b, service: «stor», «id»: c, depends_on: a}}\n«steps»: []\n"),
        &["unknown-service", "duplicate-key", "duplicate-key"],
    )
    .await;
    only(&format!("{READ}  - {{id: b, service: store, «step»: store, depends_on: a}}\n"), "duplicate-key").await;
}

#[tokio::test]
async fn values_of_the_wrong_kind_are_told_each_with_its_place() {
    const KIND: &str = "wrong-type";
    told(
        "\
name: «[»x]
steps:
  - «5»
  - id: «1»
    service: «7»
    params: «[»x]
    depends_on: «{»a: b}
    inputs: «[»a]
    timeout: «soon»
  - {id: «a.b», service: read-rows, params: {columns: [x]}, timeout: «-1»}
  - {id: «''», service: read-rows, params: {columns: [x]}}
",
        &[KIND, KIND, KIND, KIND, KIND, KIND, KIND, "bad-timeout", "bad-id", "bad-timeout", "bad-id"],
    )
    .await;
}

#[tokio::test]
async fn a_key_with_nothing_behind_it_is_as_one_that_is_not_there() {
    let whole = ["name", "params", "timeout", "retry", "hooks", "concurrency", "priority", "finally"];
    let whole: String = whole.iter().map(|key| format!("{key}: ~\n")).collect();
    let plan = planned(&format!(
        "{whole}steps:\n  - {{id: a, service: read-rows, depends_on: ~, inputs: ~, when: ~, for_each: ~, timeout: ~, \
         checkpoint: ~, params: {{columns: [x], mode: ~, absent: ~}}}}\n"
    ))
    .await;
    assert_eq!((plan.name.as_str(), plan.nodes[0].checkpoint), ("test", false));
    only("steps:\n  - {«id»: a, service: ~}\n", "missing-key").await;
    only("steps:\n  - {id: a, service: «read-rows», params: {columns: ~}}\n", "missing-param").await;
}

#[tokio::test]
async fn parameters_that_are_no_mapping_are_one_mistake() {
    for params in ["«[»]", "«x»", "«7»"] {
        only(&format!("steps:\n  - {{id: a, service: read-rows, params: {params}}}\n"), "wrong-type").await;
    }
}

#[tokio::test]
async fn a_file_that_is_no_text_is_told_with_the_place_of_its_first_bad_byte() {
    let source = Source::of_bytes("test.yaml", b"steps:\n  - {id: a, service: caf\xe9}\n".to_vec());
    let problems = pipeline::check(&source, &Arguments::default(), &planner()).await.expect_err("no text");
    let told: Vec<_> = problems.iter().map(|one| (one.code, one.line, one.column, one.help.is_some())).collect();
    assert_eq!(told, [("yaml", 2, 25, true)], "{problems}");
}

#[tokio::test]
async fn what_a_pipeline_says_of_its_runs_is_read_in_both_forms() {
    let said = "\
concurrency: 2
priority: -3
retry: {attempts: 5, first: 500ms, longest: 90}
timeout: 2h
";
    let steps = "[{id: a, service: read-rows, params: {columns: []}}]";
    for yaml in [format!("{said}steps: {steps}"), format!("{said}pipeline: {steps}")] {
        let rules = json!({
            "concurrency": 2, "priority": -3, "timeout_ms": 7_200_000,
            "retry": {"attempts": 5, "first_ms": 500, "longest_ms": 90_000},
            "hooks": {"on_success": [], "on_failure": [], "on_cancel": []},
        });
        assert_eq!(planned(&yaml).await.to_json()["rules"], rules, "{yaml}");
    }
    let wrong = "\
concurrency: «0»
priority: «high»
retry: {attempts: «1.5», first: «soon», «last»: 1s}
timeout: «0s»
steps: [{id: a, service: read-rows, params: {columns: []}}]
";
    told(wrong, &["bad-value", "bad-value", "bad-value", "bad-value", "unknown-key", "bad-timeout"]).await;
    only(&wrong_retry("«5»"), "wrong-type").await;
}

fn wrong_retry(value: &str) -> String {
    format!("retry: {value}\nsteps: [{{id: a, service: read-rows, params: {{columns: []}}}}]\n")
}

#[tokio::test]
async fn a_step_without_an_id_or_a_service_is_checked_all_the_same() {
    told(
        "\
steps:
  - «service»: «read-rows»
    params: {«column»: [x]}
    depends_on: «zz»
  - «id»: b
    depends_on: «b2»
",
        &["missing-key", "missing-param", "unknown-param", "unknown-dependency", "missing-key", "unknown-dependency"],
    )
    .await;
}

#[tokio::test]
async fn huge_and_exploding_files_are_refused() {
    let code = async |yaml: &str| {
        let problems = check(yaml).await.expect_err("refused");
        let codes: Vec<_> = problems.iter().map(|problem| problem.code).collect();
        assert_eq!(codes.len(), 1, "{problems}");
        codes[0]
    };
    assert_eq!(code(&"- x\n".repeat(2 << 20)).await, "yaml");
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for n in 1..12 {
        bomb += &format!("a{n}: &a{n} [{}]\n", vec![format!("*a{}", n - 1); 10].join(", "));
    }
    assert_eq!(code(&bomb).await, "yaml");
    let step = |n: usize| format!("- {{id: s{n}, service: read-rows, params: {{columns: [x]}}}}\n");
    assert_eq!(code(&(0..1_001).map(step).collect::<String>()).await, "too-many-steps");
    assert_eq!(code(&format!("name: \"a\\e[31m\"\n{READ}")).await, "bad-name");
    assert_eq!(code(&READ.replace("id: a", &format!("id: {}", "x".repeat(129)))).await, "bad-id");
}

#[tokio::test]
async fn places_hold_in_any_script_and_with_any_line_end() {
    let yaml = "\
name: Zürich 🚆\r
steps:\r
  - {id: a, description: 東京, service: «reed-rows», params: {columns: [x]}}\r
";
    only(yaml, "unknown-service").await;
}
