//! The check itself: a step that keeps the contract passes, and each way of breaking it is told by its name.

use super::{Breach, ContractCase, awkward, check};
use crate::Parcel;
use crate::describe::{Effects, INPUT, OUTPUT, StepDescription, StepKind, StepSpec};
use crate::fault::Fault;
use crate::params::ParamsSchema;
use crate::step::{InputSchemas, Inputs, Outputs, Planned, Step, StepContext, StepEnv};
use crate::stream::BatchStream;

use arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::datatypes::{Schema, SchemaRef};
use async_stream::try_stream;
use futures::{StreamExt, TryStreamExt, future};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tempfile::TempDir;

/// A way of breaking the contract.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Flaw {
    None,
    ShoutsItsName,
    HasNoExamples,
    HasAWrongExample,
    PlansAnew,
    PromisesAnotherSchema,
    FailsWithoutRows,
    LooksAtBatches,
    MergesNulls,
    SwallowsFaults,
    WrapsFaults,
    GoesOnWhenDropped,
    TakesAllMemory,
    KeepsMemory,
    DependsOnMemory,
    WritesAtOnce,
}

/// The knobs of a specimen.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only their schema matters")]
struct Params {
    /// A column.
    column: String,
    /// Further knobs.
    #[serde(default)]
    nested: Option<Nested>,
}

/// Further knobs.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only their schema matters")]
struct Nested {
    /// A number.
    #[serde(default)]
    number: Option<u32>,
}

struct Specimen {
    flaw: Flaw,
    plans: AtomicUsize,
}

fn specimen(flaw: Flaw) -> Specimen {
    Specimen { flaw, plans: AtomicUsize::new(0) }
}

impl Step for Specimen {
    type Params = Params;
    type Run = ();

    fn spec(&self) -> StepSpec {
        StepSpec {
            name: if self.flaw == Flaw::ShoutsItsName { "Speci_men" } else { "specimen" },
            version: "1.0.0",
            kind: StepKind::Transform,
            summary: "Shows how a step is examined.",
            manual: "Rows pass through it.",
            inputs: INPUT,
            outputs: OUTPUT,
            effects: Effects::None,
            keeps_order: true,
            aliases: &[],
            examples: match self.flaw {
                Flaw::HasNoExamples => &[],
                Flaw::HasAWrongExample => &[("Nothing", "{}")],
                _ => &[("A column", r#"{"column": "name", "nested": {"number": 1}}"#)],
            },
        }
    }

    async fn plan(&self, _: Params, inputs: &InputSchemas, _: &StepEnv) -> Result<Planned<()>, Fault> {
        let plans = self.plans.fetch_add(1, Ordering::Relaxed);
        let schema = match self.flaw {
            Flaw::PlansAnew => with_first_field(inputs.only(), format!("plan {plans}")),
            Flaw::PromisesAnotherSchema => with_first_field(inputs.only(), "promised".to_owned()),
            _ => inputs.only().clone(),
        };
        Ok(Planned::new(schema, ()))
    }

    fn process(&self, (): (), inputs: Inputs, context: &StepContext) -> Result<Outputs, Fault> {
        let (input, context) = (inputs.only()?, context.clone());
        let schema = input.schema();
        Ok(Outputs::main(match self.flaw {
            Flaw::FailsWithoutRows => failing_without_rows(input),
            Flaw::LooksAtBatches => input.map_batches(schema, |batch| {
                Ok(match batch.num_rows() {
                    1 => batch.slice(0, 0),
                    _ => batch,
                })
            }),
            Flaw::MergesNulls => input.map_batches(schema, |batch| Ok(without_null_names(&batch))),
            Flaw::SwallowsFaults => input.wrap(|items| items.take_while(|item| future::ready(item.is_ok()))),
            Flaw::WrapsFaults => input.wrap(|items| items.map_err(|fault| Fault::bad_data(fault.message()))),
            Flaw::GoesOnWhenDropped => running_on(input),
            Flaw::TakesAllMemory => hoarding(input, context),
            Flaw::KeepsMemory => {
                std::mem::forget(context.budget().try_reserve(1));
                input
            }
            Flaw::DependsOnMemory => {
                let tight = context.budget().limit() < 1 << 20;
                input.wrap(move |items| items.skip(usize::from(tight)))
            }
            Flaw::WritesAtOnce => {
                let path = context.env.data_root.path().join("half-written");
                input.wrap(move |items| items.inspect(move |_| std::fs::write(&path, "half").expect("there is disk")))
            }
            _ => input,
        }))
    }
}

fn with_first_field(schema: &SchemaRef, name: String) -> SchemaRef {
    let mut fields: Vec<_> = schema.fields().to_vec();
    fields[0] = Arc::new(fields[0].as_ref().clone().with_name(name));
    Arc::new(Schema::new(fields))
}

fn failing_without_rows(mut input: BatchStream) -> BatchStream {
    let schema = input.schema();
    let items = try_stream! {
        let mut rows = 0;
        while let Some(batch) = input.next().await {
            let batch = batch?;
            rows += batch.num_rows();
            yield batch;
        }
        if rows == 0 {
            Err(Fault::bad_data("no rows"))?;
        }
    };
    BatchStream::new(schema, items)
}

fn without_null_names(batch: &RecordBatch) -> RecordBatch {
    let schema = batch.schema();
    let name = schema.index_of("name").expect("the case has names");
    let mut columns = batch.columns().to_vec();
    let names: StringArray =
        columns[name].as_string::<i32>().iter().map(|name| Some(name.unwrap_or_default())).collect();
    columns[name] = Arc::new(names) as ArrayRef;
    RecordBatch::try_new(schema, columns).expect("the same types")
}

/// Reads its input in a task that nobody owns, and keeps it when nobody listens any more.
fn running_on(mut input: BatchStream) -> BatchStream {
    let schema = input.schema();
    let (sender, receiver) = futures::channel::mpsc::unbounded();
    let items = futures::stream::once(async move {
        tokio::spawn(async move {
            while let Some(item) = input.next().await {
                if sender.unbounded_send(item).is_err() {
                    future::pending::<()>().await;
                }
            }
        });
        receiver
    });
    BatchStream::new(schema, items.flatten())
}

/// Keeps all of its input in memory, whether there is any or not.
fn hoarding(mut input: BatchStream, context: StepContext) -> BatchStream {
    let schema = input.schema();
    let items = try_stream! {
        let mut memory = context.budget().reservation();
        let mut rows = Vec::new();
        while let Some(batch) = input.next().await {
            let batch = batch?;
            memory.grow(batch.bytes());
            rows.push(batch);
        }
        for batch in rows {
            yield batch;
        }
    };
    BatchStream::new(schema, items)
}

/// What a careless author forgets.
struct Careless;

/// The knobs of a careless author.
#[derive(Deserialize, JsonSchema)]
#[expect(dead_code, reason = "only their schema matters")]
struct CarelessParams {
    column: String,
    /// Further knobs.
    #[serde(default)]
    nested: Vec<CarelessNested>,
}

#[derive(Deserialize, JsonSchema)]
#[expect(dead_code, reason = "only their schema matters")]
struct CarelessNested {
    #[serde(default)]
    number: Option<u32>,
}

impl Step for Careless {
    type Params = CarelessParams;
    type Run = ();

    fn spec(&self) -> StepSpec {
        StepSpec { kind: StepKind::Extract, summary: "Careless", manual: "", ..specimen(Flaw::None).spec() }
    }

    async fn plan(&self, _: CarelessParams, inputs: &InputSchemas, _: &StepEnv) -> Result<Planned<()>, Fault> {
        Ok(Planned::new(inputs.only().clone(), ()))
    }

    fn process(&self, (): (), inputs: Inputs, _: &StepContext) -> Result<Outputs, Fault> {
        Ok(Outputs::main(inputs.only()?))
    }
}

/// A folder with the README of this step in it.
fn readme<S: Step>(step: &S) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("README.md");
    let description = StepDescription::new(&step.spec(), ParamsSchema::of::<S::Params>());
    std::fs::write(&path, description.readme()).expect("written");
    (folder, path)
}

async fn breaches<S: Step>(step: S) -> Vec<Breach> {
    let (_folder, readme) = readme(&step);
    let case = ContractCase::new(json!({"column": "name"}), readme).input(awkward(50)).passes_values_through();
    check(step, case).await
}

/// The rules that a flaw breaks, each once.
async fn broken_by(flaw: Flaw) -> Vec<&'static str> {
    let mut rules: Vec<&str> = breaches(specimen(flaw)).await.into_iter().map(|breach| breach.rule).collect();
    rules.sort_unstable();
    rules.dedup();
    rules
}

#[tokio::test]
async fn a_step_that_keeps_the_contract_passes() {
    assert_eq!(breaches(specimen(Flaw::None)).await, []);
}

#[tokio::test]
async fn every_flaw_is_told_by_the_name_of_its_rule() {
    for (flaw, rules) in [
        (Flaw::ShoutsItsName, &["describes-itself"][..]),
        (Flaw::HasNoExamples, &["shows-examples"]),
        (Flaw::HasAWrongExample, &["shows-examples"]),
        (Flaw::PlansAnew, &["plans-the-same-twice", "runs"]),
        (Flaw::PromisesAnotherSchema, &["runs"]),
        (Flaw::FailsWithoutRows, &["ends-well-without-rows"]),
        (Flaw::LooksAtBatches, &["ignores-how-rows-are-cut"]),
        (Flaw::MergesNulls, &["tells-values-apart"]),
        (Flaw::SwallowsFaults, &["passes-faults-on"]),
        (Flaw::WrapsFaults, &["passes-faults-on"]),
        (Flaw::GoesOnWhenDropped, &["stops-when-dropped"]),
        (Flaw::TakesAllMemory, &["stays-within-memory"]),
        (Flaw::KeepsMemory, &["gives-memory-and-disk-back"]),
        (Flaw::DependsOnMemory, &["stays-within-memory"]),
        (Flaw::WritesAtOnce, &["leaves-nothing-behind"]),
    ] {
        assert_eq!(broken_by(flaw).await, rules, "{flaw:?}");
    }
}

#[tokio::test]
async fn what_a_careless_author_forgets_is_listed_at_once() {
    let found = breaches(Careless).await;
    let told: Vec<String> = found.iter().map(Breach::to_string).collect();
    for wanted in [
        "describes-itself: its manual is empty",
        "describes-itself: its summary is no sentence with a full stop",
        "describes-itself: 1 inputs and 1 outputs do not make a Extract",
        "documents-its-parameters: `column` has no doc comment, which is what a user reads about it",
        "documents-its-parameters: `nested[].number` has no doc comment, which is what a user reads about it",
        "refuses-unknown-parameters: nested[]: unknown names are let through (deny_unknown_fields is missing)",
        "refuses-unknown-parameters: `columnn` was let through",
    ] {
        assert!(told.iter().any(|line| line == wanted), "{wanted} is not in {told:#?}");
    }
}

#[tokio::test]
async fn a_readme_of_another_day_is_told() {
    let step = specimen(Flaw::None);
    let (folder, path) = readme(&step);
    let case = || ContractCase::new(json!({"column": "name"}), &path).input(awkward(50));
    std::fs::write(&path, "# something else").expect("written");
    assert_eq!(check(specimen(Flaw::None), case()).await[0].rule, "has-its-readme");
    drop(folder);
    assert_eq!(check(step, case()).await[0].rule, "has-its-readme");
}

#[tokio::test]
async fn a_case_without_its_inputs_is_told() {
    let step = specimen(Flaw::None);
    let (_folder, readme) = readme(&step);
    let found = check(step, ContractCase::new(json!({"column": "name"}), readme)).await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].what.contains("add them with .input(rows)"));
}
