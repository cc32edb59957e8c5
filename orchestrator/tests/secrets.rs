//! Secrets by reference, through both doors: steps get the values, and nobody else does.

mod support;

use arrow::array::{Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use flight_common::{
    BatchStream, Effects, Fault, InputSchemas, Inputs, OUTPUT, Outputs, Planned, Registry, Step, StepContext, StepEnv,
    StepKind, StepSpec,
};
use futures::stream;
use orchestrator::mesh::{InProcess, Mesh, Planner, Secrets, WithSecrets};
use orchestrator::pipeline::{self, Arguments, Plan, Problem, Source};
use orchestrator::run::{Engine, Progress, RunOptions, RunReport, Status};
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;
use support::House;

const SECRET: &str = "s3cr\"t";

/// Tells its password to everybody who asks, in every way there is.
struct Gossip;

/// What to tell where.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct GossipParams {
    /// Kept by others.
    passwords: Vec<String>,
    /// When to fail: `plan`, `start`, `rows`.
    #[serde(default)]
    fail: String,
}

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("length", DataType::Int64, false)]))
}

impl Step for Gossip {
    type Params = GossipParams;
    type Run = GossipParams;

    fn spec(&self) -> StepSpec {
        StepSpec {
            name: "gossip",
            version: "1",
            kind: StepKind::Extract,
            summary: "For tests.",
            manual: "",
            inputs: &[],
            outputs: OUTPUT,
            effects: Effects::None,
            keeps_order: true,
            aliases: &[],
            examples: &[],
        }
    }

    async fn plan(&self, params: GossipParams, _: &InputSchemas, _: &StepEnv) -> Result<Planned<GossipParams>, Fault> {
        let password = params.passwords[0].clone();
        if params.fail == "plan" {
            return Err(Fault::denied(format!("no login with {password}"))
                .violation("/passwords/0", format!("{password} is not liked"))
                .help(format!("not {password:?}")));
        }
        Ok(Planned::new(schema(), params).source(format!("db?password={password}")))
    }

    fn process(&self, run: GossipParams, _: Inputs, context: &StepContext) -> Result<Outputs, Fault> {
        let password = run.passwords[0].clone();
        if run.fail == "start" {
            return Err(Fault::denied(format!("no login with {password}")));
        }
        context.meter.detail("password", password.clone());
        let lengths: Int64Array = run.passwords.iter().map(|password| password.len() as i64).collect();
        let batch = RecordBatch::try_new(schema(), vec![Arc::new(lengths)])?;
        let mut items = vec![Ok(batch)];
        if run.fail == "rows" {
            items.push(Err(Fault::bad_data(format!("thrown out with {password}")).column(password)));
        }
        Ok(Outputs::main(BatchStream::new(schema(), stream::iter(items))))
    }
}

fn registry() -> Registry {
    House::registry().with(Gossip)
}

fn secrets() -> Secrets {
    Secrets::with_variables(|name| (name == "QUIVER_SECRET_DB").then(|| SECRET.to_owned()), None).expect("it opens")
}

fn yaml(fail: &str) -> String {
    format!(
        "params: {{place: db}}
steps:
  - {{id: g, service: gossip, params: {{passwords: ['secret://{{{{ place }}}}', 'x secret://db'], fail: '{fail}'}}}}
  - {{id: s, service: sum, depends_on: g}}
"
    )
}

async fn planned(mesh: &dyn Planner, yaml: &str) -> Result<Plan, Vec<Problem>> {
    let checked = pipeline::check(&Source::new("test", yaml), &Arguments::default(), mesh).await;
    checked.map_err(|problems| problems.iter().cloned().collect())
}

async fn run<M: Mesh>(house: &House, mesh: Arc<M>, fail: &str) -> (Plan, RunReport) {
    let plan = planned(&*mesh, &yaml(fail)).await.expect("a good pipeline");
    let engine = Engine::new(mesh, house.env.space.clone());
    let progress = Arc::new(Progress::new(plan.nodes.len()));
    let report = engine.run(&plan, &RunOptions { run_id: "r".to_owned(), ..RunOptions::default() }, progress).await;
    (plan, report)
}

/// A text in which everything stands that is stored or shown.
fn told(shown: &impl serde::Serialize) -> String {
    serde_json::to_string(shown).expect("JSON")
}

fn keeps_it(text: &str) {
    assert!(!text.contains("s3cr"), "{text}");
}

async fn the_step_alone_gets_the_secret<M: Mesh>(house: &House, mesh: M) {
    let mesh = Arc::new(WithSecrets::new(mesh, secrets()));
    let (plan, report) = run(house, mesh.clone(), "").await;
    assert_eq!(report.status, Status::Done, "{report:?}");
    // The second is a text that only speaks of a secret.
    assert_eq!(house.sum(), Some((SECRET.len() + "x secret://db".len()) as i64));
    assert_eq!(plan.nodes[0].params["passwords"][0], "secret://db");
    assert_eq!(plan.nodes[0].source.as_deref(), Some("db?password=secret://db"));
    keeps_it(&plan.to_json().to_string());
    let report = told(&report);
    assert!(report.contains(r#""password":"***""#), "{report}");
    keeps_it(&report);
    for fail in ["start", "rows"] {
        let (_, report) = run(house, mesh.clone(), fail).await;
        assert_eq!(report.status, Status::Failed);
        let fault = report.fault.clone().expect("a fault");
        assert!(fault.message().ends_with("with ***"), "{fault:?}");
        keeps_it(&told(&report));
    }
    let problems = planned(&*mesh, &yaml("plan")).await.expect_err("refused");
    let (problem, help) = (&problems[0], problems[0].help.as_deref());
    assert_eq!((problem.line, problem.message.as_str(), help), (3, "g: *** is not liked", Some("not \"***\"")));
    keeps_it(&told(&problems));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_in_this_process_alone_gets_the_secret() {
    let house = House::new();
    the_step_alone_gets_the_secret(&house, InProcess::new(registry(), house.env.clone())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_behind_flight_alone_gets_the_secret() {
    let house = House::new();
    let (mesh, server) = house.serving(registry()).await;
    the_step_alone_gets_the_secret(&house, mesh).await;
    server.stop().await.expect("nothing is left running");
}

#[tokio::test]
async fn secrets_that_are_missing_are_told_where_they_are_named() {
    let house = House::new();
    let mesh = WithSecrets::new(InProcess::new(registry(), house.env.clone()), secrets());
    let yaml = "\
steps:
  - id: g
    service: gossip
    params:
      passwords:
        - secret://db
        - secret://dv
        - secret://../db
";
    let problems = planned(&mesh, yaml).await.expect_err("refused");
    let places: Vec<_> = problems.iter().map(|one| (one.line, one.column, one.message.as_str())).collect();
    let bad_name = "g: \"../db\" cannot be the name of a secret";
    assert_eq!(places, [(7, 11, "g: there is no secret \"dv\""), (8, 11, bad_name)]);
    assert!(problems[0].help.as_deref().is_some_and(|help| help.contains("QUIVER_SECRET_DV")), "{problems:?}");
}
