//! The steps that the servers of these tests have.

use arrow::array::{AsArray, Int64Array, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use flight_common::{
    ANY_INPUTS, BatchStream, Effects, Fault, InputSchemas, Inputs, OUTPUT, Outputs, Planned, Step, StepContext,
    StepEnv, StepKind, StepSpec,
};
use futures::{StreamExt, stream};
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

pub fn spec(name: &'static str, kind: StepKind, inputs: &'static [&'static str]) -> StepSpec {
    StepSpec {
        name,
        version: "1",
        kind,
        summary: "For tests.",
        manual: "",
        inputs,
        outputs: OUTPUT,
        effects: Effects::None,
        keeps_order: true,
        aliases: &[],
        examples: &[],
    }
}

pub fn numbers() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, true)]))
}

/// Gives one row, and then stands still.
pub struct Stalled;

impl Step for Stalled {
    type Params = Nothing;
    type Run = ();

    fn spec(&self) -> StepSpec {
        spec("stalled", StepKind::Extract, &[])
    }

    async fn plan(&self, _: Nothing, _: &InputSchemas, _: &StepEnv) -> Result<Planned<()>, Fault> {
        Ok(Planned::new(numbers(), ()))
    }

    fn process(&self, (): (), _: Inputs, _: &StepContext) -> Result<Outputs, Fault> {
        let row = RecordBatch::try_new(numbers(), vec![Arc::new(Int64Array::from(vec![1]))])?;
        let items = stream::once(async { Ok(row) }).chain(stream::pending());
        Ok(Outputs::main(BatchStream::new(numbers(), items)))
    }
}

/// Gives both of its inputs, one after the other.
pub struct Both;

impl Step for Both {
    type Params = Nothing;
    type Run = ();

    fn spec(&self) -> StepSpec {
        spec("both", StepKind::Transform, &["first", "second"])
    }

    async fn plan(&self, _: Nothing, inputs: &InputSchemas, _: &StepEnv) -> Result<Planned<()>, Fault> {
        Ok(Planned::new(inputs.at(0).clone(), ()))
    }

    fn process(&self, (): (), mut inputs: Inputs, _: &StepContext) -> Result<Outputs, Fault> {
        let (first, second) = (inputs.take(0)?, inputs.take(1)?);
        Ok(Outputs::main(BatchStream::new(first.schema(), first.chain(second))))
    }
}

/// Gives all rows of all its inputs, whatever there are, and says in the schema what they were called.
pub struct Any;

impl Step for Any {
    type Params = Nothing;
    type Run = SchemaRef;

    fn spec(&self) -> StepSpec {
        spec("any", StepKind::Transform, ANY_INPUTS)
    }

    async fn plan(&self, _: Nothing, inputs: &InputSchemas, _: &StepEnv) -> Result<Planned<SchemaRef>, Fault> {
        let names = inputs.iter().map(|(name, _)| name).collect::<Vec<_>>().join(" ");
        let schema: SchemaRef = Arc::new(Schema::new(vec![Field::new(names, DataType::Int64, true)]));
        Ok(Planned::new(schema.clone(), schema))
    }

    fn process(&self, schema: SchemaRef, mut inputs: Inputs, _: &StepContext) -> Result<Outputs, Fault> {
        let streams: Vec<BatchStream> = (0..).map_while(|place| inputs.take(place).ok()).collect();
        let renamed = schema.clone();
        let rows = stream::iter(streams).flatten();
        let rows = rows.map(move |batch| Ok(RecordBatch::try_new(renamed.clone(), batch?.columns().to_vec())?));
        Ok(Outputs::main(BatchStream::new(schema, rows)))
    }
}

/// Gives the even numbers, and the odd ones by an output of their own.
pub struct Parted;

impl Step for Parted {
    type Params = Nothing;
    type Run = ();

    fn spec(&self) -> StepSpec {
        StepSpec { outputs: &["output", "odd"], ..spec("parted", StepKind::Transform, &["input"]) }
    }

    async fn plan(&self, _: Nothing, _: &InputSchemas, _: &StepEnv) -> Result<Planned<()>, Fault> {
        Ok(Planned::new(numbers(), ()).output(numbers()))
    }

    fn process(&self, (): (), inputs: Inputs, context: &StepContext) -> Result<Outputs, Fault> {
        let (sender, odd) = futures::channel::mpsc::unbounded();
        let claimed = context.claims("odd");
        let even = inputs.only()?.map_batches(numbers(), move |batch| {
            let part = |rest: i64| {
                let keep = batch["n"].as_primitive::<Int64Type>().unary(|n: i64| n % 2);
                let keep: Int64Array = keep;
                Ok::<_, Fault>(filter_record_batch(&batch, &keep.iter().map(|n| Some(n == Some(rest))).collect())?)
            };
            if claimed {
                // A reader that is gone misses nothing.
                let _ = sender.unbounded_send(part(1));
            }
            part(0)
        });
        Ok(Outputs::main(even).and(claimed.then(|| BatchStream::new(numbers(), odd))))
    }
}
