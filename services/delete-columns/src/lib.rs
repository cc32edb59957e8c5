//! The `delete-columns` step: rows without some of their columns. It streams, and copies nothing.

mod params;
mod plan;

pub use params::{Missing, Params};

use flight_common::{
    Effects, Fault, INPUT, InputSchemas, Inputs, OUTPUT, Outputs, Planned, Step, StepContext, StepEnv, StepKind,
    StepSpec,
};
use plan::Kept;

/// Removes columns.
pub struct DeleteColumns;

impl Step for DeleteColumns {
    type Params = Params;
    type Run = Kept;

    fn spec(&self) -> StepSpec {
        StepSpec {
            name: "delete-columns",
            version: env!("CARGO_PKG_VERSION"),
            kind: StepKind::Transform,
            summary: "Removes columns.",
            manual: "The other columns keep their order, their types and their rows. A name that is no column is \
                     refused when the pipeline is planned, with the nearest name; `missing: ignore` allows it.",
            inputs: INPUT,
            outputs: OUTPUT,
            effects: Effects::None,
            keeps_order: true,
            aliases: &["column_delete", "delete_column", "columns_delete"],
            examples: &[
                ("Remove three columns", r#"{"columns": ["EmployeeCount", "Over18", "StandardHours"]}"#),
                ("As one string, whether they are there or not", r#"{"columns": "a, b", "missing": "ignore"}"#),
            ],
        }
    }

    async fn plan(&self, params: Params, inputs: &InputSchemas, _env: &StepEnv) -> Result<Planned<Kept>, Fault> {
        let kept = plan::kept(&params, inputs.only())?;
        Ok(Planned::new(kept.schema.clone(), kept))
    }

    fn process(&self, run: Kept, inputs: Inputs, _context: &StepContext) -> Result<Outputs, Fault> {
        let Kept { places, schema } = run;
        let output = inputs.only()?.map_batches(schema, move |batch| Ok(batch.project(&places)?));
        Ok(Outputs::main(output))
    }
}
