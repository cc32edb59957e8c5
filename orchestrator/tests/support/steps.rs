//! Small real steps: what each does is told by the files that it leaves.

use arrow::array::{Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use flight_common::{
    BatchStream, Dataset, Effects, Fault, INPUT, InputSchemas, Inputs, OUTPUT, Outputs, Planned, Step, StepContext,
    StepEnv, StepKind, StepSpec,
};
use futures::{StreamExt, stream};
use schemars::JsonSchema;
use serde::Deserialize;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

/// What a step of tests says of itself.
pub fn spec(name: &'static str, kind: StepKind, inputs: &'static [&'static str], effects: Effects) -> StepSpec {
    StepSpec {
        name,
        version: "1",
        kind,
        summary: "For tests.",
        manual: "",
        inputs,
        outputs: OUTPUT,
        effects,
        keeps_order: true,
        aliases: &[],
        examples: &[],
    }
}

fn numbers_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)]))
}

/// Gives the numbers from 0, in batches of 1,000. It may fail, or stand still, after some of them.
pub struct Numbers;

/// How many.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NumbersParams {
    /// Rows.
    rows: i64,
    /// Fail after this many.
    #[serde(default)]
    fail_after: Option<i64>,
    /// Give no more after this many, and do not end.
    #[serde(default)]
    stall_after: Option<i64>,
    /// Fail as if the source were out of reach, unless there is this file.
    #[serde(default)]
    needs: Option<String>,
    /// Stand still, unless there is this file.
    #[serde(default)]
    waits_for: Option<String>,
}

impl Step for Numbers {
    type Params = NumbersParams;
    type Run = NumbersParams;

    fn spec(&self) -> StepSpec {
        spec("numbers", StepKind::Extract, &[], Effects::None)
    }

    async fn plan(
        &self,
        params: NumbersParams,
        _: &InputSchemas,
        _: &StepEnv,
    ) -> Result<Planned<NumbersParams>, Fault> {
        Ok(Planned::new(numbers_schema(), params).dataset(Dataset::new("tests", "numbers")))
    }

    fn process(&self, run: NumbersParams, _: Inputs, context: &StepContext) -> Result<Outputs, Fault> {
        if let Some(needed) = &run.needs
            && context.env.data_root.open_file(needed, "needs").is_err()
        {
            return Err(Fault::upstream("the source is out of reach"));
        }
        let waits =
            run.waits_for.as_ref().is_some_and(|file| context.env.data_root.open_file(file, "waits_for").is_err());
        const BATCH: i64 = 1000;
        let items = stream::iter((0..run.rows).step_by(BATCH as usize)).then(move |from| {
            let (fail, stall) = (run.fail_after, if waits { Some(0) } else { run.stall_after });
            async move {
                if fail.is_some_and(|after| from >= after) {
                    return Err(Fault::bad_data("this number is not liked").row(from as u64));
                }
                if stall.is_some_and(|after| from >= after) {
                    std::future::pending::<()>().await;
                }
                let to = (from + BATCH).min(run.rows);
                let column = Arc::new((from..to).collect::<Int64Array>());
                Ok(RecordBatch::try_new(numbers_schema(), vec![column])?)
            }
        });
        Ok(Outputs::main(BatchStream::new(numbers_schema(), items)))
    }
}

/// No knobs.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// Reads its second input to the end, and only then its first: what a join does.
pub struct SecondThenFirst;

impl Step for SecondThenFirst {
    type Params = Nothing;
    type Run = ();

    fn spec(&self) -> StepSpec {
        spec("second-then-first", StepKind::Transform, &["first", "second"], Effects::None)
    }

    async fn plan(&self, _: Nothing, inputs: &InputSchemas, _: &StepEnv) -> Result<Planned<()>, Fault> {
        Ok(Planned::new(inputs.at(0).clone(), ()))
    }

    fn process(&self, (): (), mut inputs: Inputs, _: &StepContext) -> Result<Outputs, Fault> {
        let (first, second) = (inputs.take(0)?, inputs.take(1)?);
        let schema = first.schema();
        Ok(Outputs::main(BatchStream::new(schema, second.chain(first))))
    }
}

/// Passes rows on, and gives one more as `rest`, if that is claimed.
pub struct Parts;

/// Whether it fails.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PartsParams {
    /// Fail as soon as rows are asked for.
    #[serde(default)]
    fail: bool,
}

impl Step for Parts {
    type Params = PartsParams;
    type Run = PartsParams;

    fn spec(&self) -> StepSpec {
        StepSpec { outputs: &["output", "rest"], ..spec("parts", StepKind::Transform, INPUT, Effects::None) }
    }

    async fn plan(&self, run: PartsParams, inputs: &InputSchemas, _: &StepEnv) -> Result<Planned<PartsParams>, Fault> {
        Ok(Planned::new(inputs.only().clone(), run).output(numbers_schema()))
    }

    fn process(&self, run: PartsParams, inputs: Inputs, context: &StepContext) -> Result<Outputs, Fault> {
        let row = RecordBatch::try_new(numbers_schema(), vec![Arc::new(Int64Array::from(vec![7]))])?;
        let rest = context.claims("rest").then(|| BatchStream::once(numbers_schema(), async { Ok(row) }));
        let main = match run.fail {
            true => BatchStream::once(numbers_schema(), async { Err(Fault::bad_data("these rows are not liked")) }),
            false => inputs.only()?,
        };
        Ok(Outputs::main(main).and(rest))
    }
}

/// Writes its rows to `sum.txt` as one number, when they have ended well.
pub struct Sum;

impl Step for Sum {
    type Params = Nothing;
    type Run = ();

    fn spec(&self) -> StepSpec {
        spec("sum", StepKind::Load, INPUT, Effects::Commits)
    }

    async fn plan(&self, _: Nothing, _: &InputSchemas, env: &StepEnv) -> Result<Planned<()>, Fault> {
        let receipt = Arc::new(Schema::new(vec![Field::new("sum", DataType::Int64, false)]));
        Ok(Planned::new(receipt, ()).dataset(Dataset::file(&env.data_root, Path::new("sum.txt"))))
    }

    fn process(&self, (): (), inputs: Inputs, context: &StepContext) -> Result<Outputs, Fault> {
        let mut input = inputs.only()?;
        let (root, permission) = (context.env.data_root.clone(), context.permission.clone());
        let schema = Arc::new(Schema::new(vec![Field::new("sum", DataType::Int64, false)]));
        let receipt = schema.clone();
        Ok(Outputs::main(BatchStream::once(schema, async move {
            let mut file = root.new_file(Path::new("sum.txt"))?;
            let mut sum = 0;
            while let Some(batch) = input.next().await {
                let batch = batch?;
                let column = batch.column(0).as_any().downcast_ref::<Int64Array>().expect("numbers");
                sum += column.values().iter().sum::<i64>();
            }
            write!(file, "{sum}").map_err(|error| Fault::io("sum.txt", &error))?;
            file.commit_permitted(&permission).await?;
            Ok(RecordBatch::try_new(receipt, vec![Arc::new(Int64Array::from(vec![sum]))])?)
        })))
    }
}

/// Adds a line to `added.txt` when its rows have ended well: what it is called, and what it may have been called. Then it fails as
/// if its answer were lost, unless there is the file that it needs.
pub struct Adds;

/// How it fails, and what makes no difference to what it adds.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AddsParams {
    /// The file without which it fails.
    #[serde(default)]
    needs: Option<String>,
    /// Anything.
    #[serde(default, rename = "note")]
    _note: String,
}

impl Step for Adds {
    type Params = AddsParams;
    type Run = AddsParams;

    fn spec(&self) -> StepSpec {
        spec("adds", StepKind::Load, INPUT, Effects::Commits)
    }

    async fn plan(&self, run: AddsParams, inputs: &InputSchemas, _: &StepEnv) -> Result<Planned<AddsParams>, Fault> {
        Ok(Planned::new(inputs.only().clone(), run))
    }

    fn process(&self, run: AddsParams, inputs: Inputs, context: &StepContext) -> Result<Outputs, Fault> {
        let (input, context) = (inputs.only()?, context.clone());
        let schema = input.schema();
        Ok(Outputs::main(BatchStream::once(schema, async move {
            let rows = input.collect_rows().await?;
            context.permission.obtain().await?;
            let root = &context.env.data_root;
            let line = format!("{}: {}\n", context.node, context.formerly.join(" "));
            root.append(Path::new("added.txt"), line.as_bytes())?;
            match run.needs.is_some_and(|needed| root.open_file(&needed, "needs").is_err()) {
                true => Err(Fault::upstream("the answer is lost")),
                false => Ok(rows),
            }
        })))
    }
}

/// Passes rows on, and does what cannot be taken back when it begins: it adds a line to `paid.txt`. Then it fails as if a
/// peer were out of reach, unless there is the file that it needs.
pub struct Pays;

/// How it fails.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PaysParams {
    /// The file without which it fails.
    #[serde(default)]
    needs: Option<String>,
    /// What it says when it is planned that it does to the world; else what it describes.
    #[serde(default)]
    plans: Option<Plans>,
}

/// What it plans to do to the world.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Plans {
    /// Nothing.
    None,
    /// Something at the end of its input.
    Commits,
    /// The same, but it forgets to ask.
    Forgets,
}

impl Step for Pays {
    type Params = PaysParams;
    type Run = PaysParams;

    fn spec(&self) -> StepSpec {
        spec("pays", StepKind::Transform, INPUT, Effects::External)
    }

    async fn plan(&self, run: PaysParams, inputs: &InputSchemas, _: &StepEnv) -> Result<Planned<PaysParams>, Fault> {
        let plans = run.plans;
        let planned = Planned::new(inputs.only().clone(), run);
        Ok(match plans {
            Some(Plans::None) => planned.effects(Effects::None),
            Some(Plans::Commits | Plans::Forgets) => planned.effects(Effects::Commits),
            None => planned,
        })
    }

    fn process(&self, run: PaysParams, inputs: Inputs, context: &StepContext) -> Result<Outputs, Fault> {
        let (input, root) = (inputs.only()?, context.env.data_root.clone());
        root.append(Path::new("paid.txt"), b"paid\n")?;
        if run.needs.is_some_and(|needed| root.open_file(&needed, "needs").is_err()) {
            return Err(Fault::upstream("the peer is out of reach"));
        }
        if !matches!(run.plans, Some(Plans::Commits)) {
            return Ok(Outputs::main(input));
        }
        let permission = context.permission.clone();
        let asking = stream::once(async move { permission.obtain().await.err().map(Err) });
        Ok(Outputs::main(input.wrap(|rows| rows.chain(asking.filter_map(std::future::ready)))))
    }
}
