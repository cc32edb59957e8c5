//! The `extract-file` step: Parquet, JSON, Arrow and Avro files as record batches.
//!
//! | where | what |
//! |---|---|
//! | [`params`](Params) | the knobs |
//! | `files`, `partitions` | which files there are, what tells them from others, and what their folders say |
//! | `plan`, `unify` | a look into each, and one schema for all |
//! | `condition`, `prune`, `pages` | which rows are wanted, and which parts cannot hold any of them |
//! | `given` | the types that the user gives to columns of JSON |
//! | `format` | what a file of each format holds, and its rows |
//! | `read`, `view` | parts of files decoded side by side, in the columns of the result |

mod condition;
mod files;
mod format;
mod given;
mod pages;
mod params;
mod partitions;
mod plan;
mod prune;
mod read;
mod unify;
mod view;

pub use params::{Format, Params, PartitionType};
pub use read::Run;

use flight_common::{
    Effects, Fault, InputSchemas, Inputs, OUTPUT, Outputs, Planned, Step, StepContext, StepEnv, StepKind, StepSpec,
};

/// Reads Parquet, JSON, Arrow and Avro files.
pub struct ExtractFile;

impl Step for ExtractFile {
    type Params = Params;
    type Run = Run;

    fn spec(&self) -> StepSpec {
        StepSpec {
            name: "extract-file",
            version: env!("CARGO_PKG_VERSION"),
            kind: StepKind::Extract,
            summary: "Reads Parquet, JSON, Arrow and Avro files.",
            manual: include_str!("manual.md"),
            inputs: &[],
            outputs: OUTPUT,
            effects: Effects::None,
            keeps_order: true,
            aliases: &["extract-parquet", "extract-json", "extract-arrow", "extract-avro"],
            examples: &[
                ("A Parquet file", r#"{"file_path": "sales/2024.parquet"}"#),
                (
                    "Some columns and rows of partitioned folders",
                    r#"{"file_path": "sales/year=*/*.parquet", "select": ["id", "amount", "year"], "where": "year >= 2024 AND amount > 100"}"#,
                ),
                (
                    "A JSON record on each line, under another name",
                    r#"{"file_path": "events.log", "format": "ndjson"}"#,
                ),
                (
                    "JSON whose types are not to be guessed",
                    r#"{"file_path": "orders.json", "types": {"id": "string", "amount": "decimal(18,2)"}}"#,
                ),
                (
                    "Folders whose values are text, whatever they look like",
                    r#"{"file_path": "stores/zip=*/*.avro", "partition_types": {"zip": "string"}}"#,
                ),
            ],
        }
    }

    async fn plan(&self, params: Params, _inputs: &InputSchemas, env: &StepEnv) -> Result<Planned<Run>, Fault> {
        plan::plan(params, env.data_root.clone()).await
    }

    fn process(&self, run: Run, _inputs: Inputs, context: &StepContext) -> Result<Outputs, Fault> {
        Ok(Outputs::main(run.batches(context)))
    }
}
