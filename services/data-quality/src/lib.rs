//! The `data-quality` step: rows checked against rules on their way through.
//!
//! | where | what |
//! |---|---|
//! | `params`, `plan`, `bound`, `types` | the rules, and what they mean for these columns |
//! | `observe`, `missing`, `extent`, `hash` | what one batch tells |
//! | `tally`, `distinct` | what all batches tell together, in bounded memory |
//! | `check` | the result, for reports and faults |
//!
//! Rows leave as soon as they have been looked at. The verdict comes with the end of the stream: a gate that fails ends
//! it with a fault, and a load commits on a normal end alone, so that nothing of such data is ever seen.

mod bound;
mod check;
mod distinct;
mod extent;
mod hash;
mod missing;
mod observe;
mod params;
mod plan;
mod tally;
mod types;

pub use params::{Bound, ColumnType, Params, Rules, ValueRange};
pub use plan::Plan;

use async_stream::try_stream;
use flight_common::{
    BatchStream, Effects, Fault, INPUT, InputSchemas, Inputs, OUTPUT, Outputs, Planned, Step, StepContext, StepEnv,
    StepKind, StepSpec,
};
use futures::StreamExt;
use hash::Keys;
use std::pin::pin;
use std::sync::Arc;
use tally::Tally;

/// Checks rows against rules.
pub struct DataQuality;

impl Step for DataQuality {
    type Params = Params;
    type Run = Plan;

    fn spec(&self) -> StepSpec {
        StepSpec {
            name: "data-quality",
            version: env!("CARGO_PKG_VERSION"),
            kind: StepKind::Transform,
            summary: "Checks rows against rules, and passes them through unchanged.",
            manual: include_str!("manual.md"),
            inputs: INPUT,
            outputs: OUTPUT,
            effects: Effects::None,
            keeps_order: true,
            aliases: &["data_quality", "quality_check"],
            examples: &[
                (
                    "Report what is wrong, and go on",
                    r#"{"rules": {"min_rows": 100, "check_null_ratio": true, "check_duplicates": true}}"#,
                ),
                (
                    "A gate that bad data do not pass",
                    r#"{"rules": {"check_unique_columns": ["EmployeeNumber"], "check_column_types": {"Age": "integer"}, "check_value_range": {"Age": {"min": 18, "max": 65}}}, "fail_on_errors": true}"#,
                ),
            ],
        }
    }

    async fn plan(&self, params: Params, inputs: &InputSchemas, _env: &StepEnv) -> Result<Planned<Plan>, Fault> {
        let plan = Plan::new(params, inputs.only())?;
        Ok(Planned::new(plan.schema.clone(), plan))
    }

    fn process(&self, plan: Plan, inputs: Inputs, context: &StepContext) -> Result<Outputs, Fault> {
        let (input, context) = (inputs.only()?, context.clone());
        Ok(Outputs::main(BatchStream::new(plan.schema.clone(), checked(input, Arc::new(plan), context))))
    }
}

fn checked(
    input: BatchStream,
    plan: Arc<Plan>,
    context: StepContext,
) -> impl futures::Stream<Item = Result<arrow::array::RecordBatch, Fault>> + Send {
    try_stream! {
        let keys = Keys::random();
        let mut tally = Tally::new(&plan, &context);
        let looked_at = {
            let plan = plan.clone();
            context.map_parallel(input, move |batch| Ok((observe::observe(&plan, &keys, &batch)?, batch)))
        };
        let mut looked_at = pin!(looked_at);
        while let Some(seen) = looked_at.next().await {
            let (seen, batch) = seen?;
            tally.add(seen)?;
            yield batch;
        }
        let checks = tally.verdict(&plan, &context).await?;
        check::record(&checks, &context);
        if let Some(fault) = check::gate(&checks).filter(|_| plan.gate) {
            Err(fault)?;
        }
    }
}
