//! Small real steps that only plan, and the calls that the tests make.

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use flight_common::{
    ANY_INPUTS, DataRoot, Effects, Fault, InputSchemas, Inputs, MemoryBudget, OUTPUT, Outputs, Planned, Registry,
    SpillSpace, Step, StepContext, StepDescription, StepEnv, StepKind, StepSpec, columns,
};
use futures::future::BoxFuture;
use orchestrator::mesh::{InProcess, Matching, Planner, StepPlan};
use orchestrator::pipeline::{self, Arguments, Plan, Problem, Problems, Source};
use schemars::JsonSchema;
use serde::Deserialize;
use std::ops::Range;
use std::sync::Arc;

const BASE: StepSpec = StepSpec {
    name: "",
    version: "1",
    kind: StepKind::Transform,
    summary: "For tests.",
    manual: "",
    inputs: &["input"],
    outputs: OUTPUT,
    effects: Effects::None,
    keeps_order: true,
    aliases: &[],
    examples: &[],
};

/// Gives the columns that it is told: names that begin with `t` are texts, all others whole numbers.
struct Read;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ReadParams {
    /// The columns.
    columns: Vec<String>,
    /// How.
    #[serde(default)]
    mode: Mode,
    /// Says that the file is not there.
    #[serde(default)]
    absent: bool,
}

/// How to read.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Mode {
    /// All.
    #[default]
    Whole,
    /// Some.
    Sample,
}

/// Takes columns away.
struct Drop;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct DropParams {
    /// Those columns.
    columns: Vec<String>,
    /// Bounds.
    #[serde(default)]
    bounds: Option<Bounds>,
}

/// Bounds.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Bounds {
    /// The lowest.
    #[expect(dead_code, reason = "these steps only plan")]
    lowest: i64,
}

/// Two inputs, and all columns of both.
struct Pair;
/// Any inputs; its only column is called after them.
struct Gather;
/// The rows that pass, and those that do not.
struct Split;
/// Keeps rows.
struct Store;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Nothing {}

fn never() -> Result<Outputs, Fault> {
    Err(Fault::internal("these steps only plan"))
}

impl Step for Read {
    type Params = ReadParams;
    type Run = ();

    fn spec(&self) -> StepSpec {
        StepSpec { name: "read-rows", kind: StepKind::Extract, inputs: &[], aliases: &["row_source"], ..BASE }
    }

    async fn plan(&self, params: ReadParams, _: &InputSchemas, _: &StepEnv) -> Result<Planned<()>, Fault> {
        if params.absent {
            return Err(Fault::not_found("no file x.csv").help("look for it"));
        }
        let _ = params.mode;
        let kind = |name: &str| if name.starts_with('t') { DataType::Utf8 } else { DataType::Int64 };
        let fields: Vec<Field> = params.columns.iter().map(|name| Field::new(name, kind(name), true)).collect();
        Ok(Planned::new(Arc::new(Schema::new(fields)), ()).source("x.csv 1 2"))
    }

    fn process(&self, (): (), _: Inputs, _: &StepContext) -> Result<Outputs, Fault> {
        never()
    }
}

impl Step for Drop {
    type Params = DropParams;
    type Run = ();

    fn spec(&self) -> StepSpec {
        StepSpec { name: "drop-columns", aliases: &["old_drop"], ..BASE }
    }

    async fn plan(&self, params: DropParams, inputs: &InputSchemas, _: &StepEnv) -> Result<Planned<()>, Fault> {
        let _ = params.bounds;
        let mut gone = Vec::new();
        for (place, name) in params.columns.iter().enumerate() {
            gone.push(columns::find(inputs.only(), name, &format!("/columns/{place}"))?);
        }
        let kept: Vec<usize> = (0..inputs.only().fields().len()).filter(|place| !gone.contains(place)).collect();
        Ok(Planned::new(Arc::new(inputs.only().project(&kept)?), ()))
    }

    fn process(&self, (): (), _: Inputs, _: &StepContext) -> Result<Outputs, Fault> {
        never()
    }
}

impl Step for Pair {
    type Params = Nothing;
    type Run = ();

    fn spec(&self) -> StepSpec {
        StepSpec { name: "pair", inputs: &["left", "right"], ..BASE }
    }

    async fn plan(&self, _: Nothing, inputs: &InputSchemas, _: &StepEnv) -> Result<Planned<()>, Fault> {
        let fields: Vec<_> = inputs.at(0).fields().iter().chain(inputs.at(1).fields()).cloned().collect();
        Ok(Planned::new(Arc::new(Schema::new(fields)), ()))
    }

    fn process(&self, (): (), _: Inputs, _: &StepContext) -> Result<Outputs, Fault> {
        never()
    }
}

impl Step for Gather {
    type Params = Nothing;
    type Run = ();

    fn spec(&self) -> StepSpec {
        StepSpec { name: "gather", inputs: ANY_INPUTS, ..BASE }
    }

    async fn plan(&self, _: Nothing, inputs: &InputSchemas, _: &StepEnv) -> Result<Planned<()>, Fault> {
        let names = inputs.iter().map(|(name, schema)| format!("{name}:{}", schema.field(0).name()));
        let name = names.collect::<Vec<_>>().join(" ");
        Ok(Planned::new(Arc::new(Schema::new(vec![Field::new(name, DataType::Int64, true)])), ()))
    }

    fn process(&self, (): (), _: Inputs, _: &StepContext) -> Result<Outputs, Fault> {
        never()
    }
}

impl Step for Split {
    type Params = Nothing;
    type Run = ();

    fn spec(&self) -> StepSpec {
        StepSpec { name: "split", outputs: &["passed", "rejected"], ..BASE }
    }

    async fn plan(&self, _: Nothing, inputs: &InputSchemas, _: &StepEnv) -> Result<Planned<()>, Fault> {
        let why = Arc::new(Schema::new(vec![Field::new("why", DataType::Utf8, false)]));
        Ok(Planned::new(inputs.only().clone(), ()).output(why))
    }

    fn process(&self, (): (), _: Inputs, _: &StepContext) -> Result<Outputs, Fault> {
        never()
    }
}

impl Step for Store {
    type Params = Nothing;
    type Run = ();

    fn spec(&self) -> StepSpec {
        StepSpec { name: "store", kind: StepKind::Load, effects: Effects::Commits, ..BASE }
    }

    async fn plan(&self, _: Nothing, _: &InputSchemas, _: &StepEnv) -> Result<Planned<()>, Fault> {
        Ok(Planned::new(Arc::new(Schema::new(vec![Field::new("path", DataType::Utf8, false)])), ()))
    }

    fn process(&self, (): (), _: Inputs, _: &StepContext) -> Result<Outputs, Fault> {
        never()
    }
}

pub fn registry() -> Registry {
    Registry::new().with(Read).with(Drop).with(Pair).with(Gather).with(Split).with(Store)
}

pub fn catalog() -> Vec<Arc<StepDescription>> {
    registry().iter().map(|step| step.description().clone()).collect()
}

/// The steps, planned in this process.
pub fn planner() -> InProcess {
    planner_at(&std::env::temp_dir())
}

/// As [`planner`], with this data root.
pub fn planner_at(folder: &std::path::Path) -> InProcess {
    let data_root = DataRoot::open(folder).expect("a folder");
    let space = SpillSpace::new(MemoryBudget::new(1 << 20), std::env::temp_dir(), 1 << 20);
    InProcess::new(registry(), StepEnv { data_root, space, http_allow: Default::default() })
}

/// The same steps behind something that can go wrong.
pub struct Odd {
    pub inner: InProcess,
    /// The server does not answer when it is asked for its steps.
    pub silent: bool,
    /// Its answer to planning a step of this name.
    pub answer: Option<(&'static str, Result<StepPlan, Fault>)>,
}

impl Planner for Odd {
    fn catalog(&self) -> BoxFuture<'_, Result<Vec<Arc<StepDescription>>, Fault>> {
        match self.silent {
            true => Box::pin(std::future::ready(Err(Fault::upstream("nobody at 127.0.0.1:9").help("start it")))),
            false => self.inner.catalog(),
        }
    }

    fn files(&self, pattern: &str) -> Result<Matching, Fault> {
        self.inner.files(pattern)
    }

    fn plan(
        &self,
        command: flight_common::StepCommand,
        inputs: Vec<SchemaRef>,
    ) -> BoxFuture<'_, Result<StepPlan, Fault>> {
        match &self.answer {
            Some((step, answer)) if *step == command.step => Box::pin(std::future::ready(answer.clone())),
            _ => self.inner.plan(command, inputs),
        }
    }
}

pub async fn check(yaml: &str) -> Result<Plan, Problems> {
    pipeline::check(&Source::new("test.yaml", yaml), &Arguments::default(), &planner()).await
}

pub async fn planned(yaml: &str) -> Plan {
    check(yaml).await.unwrap_or_else(|problems| panic!("{problems}\nin\n{yaml}"))
}

/// What is wrong with a pipeline in which each mistake is marked: `service: «stor»`. The codes come in the order of the
/// marks; a mark that is doubled, `««x»»`, stands for two problems in one place.
pub async fn told(marked: &str, codes: &[&str]) -> Vec<Problem> {
    let (yaml, marks) = unmarked(marked);
    let Err(problems) = check(&yaml).await else { panic!("no problem in\n{yaml}") };
    let found: Vec<Problem> = problems.iter().cloned().collect();
    let places: Vec<_> = found
        .iter()
        .map(|one| (one.code, one.line, one.column, yaml.get(one.span.clone()).expect("a part of the text")))
        .collect();
    assert_eq!(codes.len(), marks.len(), "a code for each mark");
    let expected: Vec<_> = codes
        .iter()
        .zip(marks)
        .map(|(code, mark)| {
            let before = &yaml[..mark.start];
            let column = before.chars().rev().take_while(|character| *character != '\n').count() + 1;
            (*code, before.matches('\n').count() + 1, column, &yaml[mark])
        })
        .collect();
    assert_eq!(places, expected, "\n{problems}\nin\n{yaml}");
    let silent: Vec<_> = found.iter().filter(|problem| problem.help.is_none()).collect();
    assert!(silent.is_empty(), "each says what to try: {silent:#?}");
    found
}

/// The only problem of a pipeline, in the marked place.
pub async fn only(marked: &str, code: &str) -> Problem {
    told(marked, &[code]).await.remove(0)
}

/// The text without its marks, and what they stood around, in the order of their beginnings.
fn unmarked(marked: &str) -> (String, Vec<Range<usize>>) {
    let (mut text, mut marks, mut open) = (String::new(), Vec::new(), Vec::new());
    for character in marked.chars() {
        match character {
            '«' => {
                open.push(marks.len());
                marks.push(text.len()..text.len());
            }
            '»' => marks[open.pop().expect("an open mark")].end = text.len(),
            other => text.push(other),
        }
    }
    (text, marks)
}
