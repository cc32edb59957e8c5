//! Parameters and schemas, checked through the steps.

use super::steps::{Odd, only, planned, planner, told};
use arrow::datatypes::Schema;
use flight_common::{Fault, StepCommand, StepDescription};
use futures::future::BoxFuture;
use orchestrator::mesh::{InProcess, Matching, Planner, StepPlan};
use orchestrator::pipeline::{self, Arguments, Problem, Source};
use std::sync::Arc;
use tokio::sync::Barrier;

const READ: &str = "steps:\n  - {id: a, service: read-rows, params: {columns: [x, t]}}\n";

async fn through(steps: &dyn Planner, yaml: &str) -> Vec<Problem> {
    let checked = pipeline::check(&Source::new("test.yaml", yaml), &Arguments::default(), steps).await;
    checked.expect_err("problems").iter().cloned().collect()
}

#[tokio::test]
async fn parameters_are_checked_against_the_service_each_at_its_place() {
    let yaml = "\
steps:
  - id: a
    service: «read-rows»
    params:
      «colums»: [x]
      mode: «sampel»
      absent: «maybe»
";
    let found = told(yaml, &["missing-param", "unknown-param", "bad-params", "bad-params"]).await;
    assert_eq!(found[1].help.as_deref(), Some("did you mean \"columns\"?"));
    assert_eq!(found[2].help.as_deref(), Some("did you mean \"sample\"?"));
    assert!(found[3].message.starts_with("a: absent: expected boolean, got a string"), "{:?}", found[3]);
}

#[tokio::test]
async fn deeper_parameters_have_their_places_too() {
    let yaml = "
  - id: d
    service: drop-columns
    depends_on: a
    params:
      columns: [x, «5»]
      bounds:
        lowest: «low»
        «lowes/t»: 1
";
    let read = READ.trim_end();
    told(&format!("{read}{yaml}"), &["bad-params", "bad-params", "unknown-param"]).await;
    let missing = "\n  - {id: d, service: drop-columns, depends_on: a, params: {columns: [], «bounds»: {}}}\n";
    only(&format!("{read}{missing}"), "missing-param").await;
}

#[tokio::test]
async fn a_column_that_is_gone_is_told_where_it_is_named() {
    let yaml = "
  - {id: d, service: drop-columns, params: {columns: [x]}, depends_on: a}
  - id: e
    service: drop-columns
    depends_on: d
    params:
      columns:
        - t
        - «x»
";
    let problem = only(&format!("{}{yaml}", READ.trim_end()), "bad-schema").await;
    assert_eq!(problem.message, "e: no column \"x\"");
}

#[tokio::test]
async fn what_has_no_place_of_its_own_is_told_at_the_step() {
    let yaml = "steps:\n  - {id: «a», service: read-rows, params: {columns: [], absent: true}}\n";
    let problem = only(yaml, "not-found").await;
    assert_eq!((problem.message.as_str(), problem.help.as_deref()), ("a: no file x.csv", Some("look for it")));
}

#[tokio::test]
async fn steps_behind_a_broken_one_are_left_out_and_all_others_are_checked() {
    let yaml = "\
steps:
  - {id: «a», service: read-rows, params: {columns: [x], absent: true}}
  - {id: b, service: drop-columns, params: {columns: [nope]}, depends_on: a}
  - {id: c, service: «drop-columns», params: {«colums»: [x]}, depends_on: b}
  - {id: d, service: read-rows, params: {columns: [x]}}
  - {id: e, service: drop-columns, params: {columns: [«y»]}, depends_on: d}
  - {id: f, service: pair, depends_on: [d, «zz»]}
  - {id: g, service: «nothing-like-it», depends_on: [d]}
";
    let codes = ["not-found", "missing-param", "unknown-param", "bad-schema", "unknown-dependency", "unknown-service"];
    told(yaml, &codes).await;
}

#[tokio::test]
async fn a_set_is_checked_like_the_file_and_shown_at_its_step() {
    let yaml = format!("{READ}  - {{id: d, service: drop-columns, params: {{columns: [x]}}, depends_on: a}}\n");
    let sets =
        |sets: &[&str]| Arguments { sets: sets.iter().map(|set| (*set).to_owned()).collect(), ..Arguments::default() };
    let source = Source::new("test.yaml", yaml.as_str());
    let plan = pipeline::check(&source, &sets(&["d.columns=[t]"]), &planner()).await.expect("good");
    assert_eq!(plan.nodes[1].outputs[0].1.field(0).name(), "x");
    let wrong = pipeline::check(&source, &sets(&["d.columns=[z]", "d.colums=1", "e.x=1"]), &planner()).await;
    let wrong: Vec<_> = wrong.expect_err("wrong").iter().map(|one| (one.line, one.column, one.code)).collect();
    assert_eq!(wrong, [(1, 1, "bad-set"), (3, 10, "unknown-param")]);
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_told_beside_what_the_file_has() {
    let silent = Odd { inner: planner(), silent: true, answer: None };
    let found = through(&silent, &format!("{READ}oops: 1\n")).await;
    let codes: Vec<_> = found.iter().map(|one| (one.code, one.help.as_deref())).collect();
    assert_eq!(codes[0], ("unreachable", Some("start it")));
    assert_eq!(codes[1].0, "unknown-key");
    let yaml = format!("{READ}  - {{id: s, service: store, depends_on: a}}\n");
    let lost = Odd { inner: planner(), silent: false, answer: Some(("store", Err(Fault::upstream("gone away")))) };
    let found = through(&lost, &yaml).await;
    assert_eq!((found[0].code, found[0].line, found[0].message.as_str()), ("unreachable", 3, "s: gone away"));
}

#[tokio::test]
async fn a_step_that_plans_other_outputs_than_it_describes_is_refused() {
    let answer = StepPlan { outputs: vec![Arc::new(Schema::empty())], ..StepPlan::default() };
    let odd = Odd { inner: planner(), silent: false, answer: Some(("split", Ok(answer))) };
    let found = through(&odd, &format!("{READ}  - {{id: s, service: split, depends_on: a}}\n")).await;
    assert_eq!((found.len(), found[0].code, found[0].column), (1, "bad-step", 22));
}

/// Plans extracts only when two of them are asked for at the same time.
struct Together(InProcess, Barrier);

impl Planner for Together {
    fn catalog(&self) -> BoxFuture<'_, Result<Vec<Arc<StepDescription>>, Fault>> {
        self.0.catalog()
    }

    fn files(&self, pattern: &str) -> Result<Matching, Fault> {
        self.0.files(pattern)
    }

    fn plan(
        &self,
        command: StepCommand,
        inputs: Vec<arrow::datatypes::SchemaRef>,
    ) -> BoxFuture<'_, Result<StepPlan, Fault>> {
        Box::pin(async move {
            if inputs.is_empty() {
                self.1.wait().await;
            }
            self.0.plan(command, inputs).await
        })
    }
}

#[tokio::test]
async fn steps_that_do_not_need_each_other_are_planned_at_once() {
    let yaml = format!(
        "{READ}  - {{id: b, service: read-rows, params: {{columns: [y]}}}}\n  - {{id: p, service: pair, depends_on: [a, b]}}\n"
    );
    let steps = Together(planner(), Barrier::new(2));
    let plan =
        pipeline::check(&Source::new("test.yaml", yaml.as_str()), &Arguments::default(), &steps).await.expect("good");
    assert_eq!(plan.nodes.len(), 3);
}

#[tokio::test]
async fn exact_numbers_reach_the_step() {
    let plan = planned(&READ.replace("[x, t]", "[x, '007', 2024-01-02]")).await;
    assert_eq!(plan.nodes[0].params.to_string(), r#"{"columns":["x","007","2024-01-02"]}"#);
}
