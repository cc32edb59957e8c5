//! The `load-data` step: rows into a file that is seen whole or not at all.
//!
//! `params` and `target` say which file, `plan` how it is written, `writer` is the one way in which all formats are written;
//! each format has a module of its own. What a format can hold, and rows as text, are in the crate `formats`.

mod csv;
mod ipc;
mod json;
mod load;
mod params;
mod parquet;
mod pieces;
mod plan;
mod receipt;
mod sink;
mod target;
mod writer;
mod xlsx;

pub use params::{Compression, Format, Params};
pub use plan::Load;

use flight_common::{
    BatchStream, Dataset, Effects, Fault, INPUT, InputSchemas, Inputs, OUTPUT, Outputs, Planned, Step, StepContext,
    StepEnv, StepKind, StepSpec,
};

/// Writes a file.
pub struct LoadData;

/// An id that looks like that of any run, whose name is not known when it is planned: what reads files like the one that is going
/// to be written matches this one.
const LIKE_ANY_RUN: &str = "01900000-0000-7000-8000-000000000000";

impl Step for LoadData {
    type Params = Params;
    type Run = Load;

    fn spec(&self) -> StepSpec {
        StepSpec {
            name: "load-data",
            version: env!("CARGO_PKG_VERSION"),
            kind: StepKind::Load,
            summary: "Writes rows to a CSV, JSON, Excel, Parquet or Arrow file.",
            manual: include_str!("manual.md"),
            inputs: INPUT,
            outputs: OUTPUT,
            effects: Effects::Commits,
            keeps_order: true,
            aliases: &["load_data"],
            examples: &[
                ("A CSV file named by its run", r#"{"format": "csv", "dataset_name": "hr_analytics"}"#),
                ("A Parquet file of one's own choice", r#"{"path": "reports/orders.parquet", "compression": "zstd"}"#),
                ("For a spreadsheet that wants semicolons", r#"{"path": "out/today.csv", "delimiter": ";"}"#),
            ],
        }
    }

    async fn plan(&self, params: Params, inputs: &InputSchemas, env: &StepEnv) -> Result<Planned<Load>, Fault> {
        let load = plan::plan(&params, inputs.only(), &env.data_root)?;
        let target = load.target.path("RUN")?;
        env.data_root.check_new_file(&target, load.target.param())?;
        let dataset = Dataset::file(&env.data_root, &load.target.place());
        let file = Dataset::file(&env.data_root, &load.target.path(LIKE_ANY_RUN)?);
        let planned = Planned::new(receipt::schema(), load).source(format!("to {}", target.display()));
        Ok(planned.dataset(dataset).writes(file))
    }

    fn process(&self, run: Load, inputs: Inputs, context: &StepContext) -> Result<Outputs, Fault> {
        let (input, context) = (inputs.only()?, context.clone());
        let receipt = async move { load::load(run, input, &context).await };
        Ok(Outputs::main(BatchStream::once(receipt::schema(), receipt)))
    }
}
