//! The `extract-csv` step: a CSV file as record batches.
//!
//! | where | what |
//! |---|---|
//! | [`params`](Params), `options`, `dialect` | the knobs, and what they become |
//! | `source`, `decode` | the file as a stream of UTF-8 text |
//! | `plan`, `layout`, `header`, `guess` | a look at its first rows: names and types |
//! | `read`, `cut`, `text` | pieces of whole records, read in parallel and put in order |
//! | `mask`, `scan`, `rows`, `field` | where fields end, and what they say |
//! | `piece`, `column` | fields read into Arrow buffers; what a text means as a value is the kit's `values` |
//! | `trouble` | what is wrong with a file, in words |

mod column;
mod cut;
mod decode;
mod dialect;
mod field;
mod guess;
mod header;
mod layout;
mod mask;
mod options;
mod params;
mod piece;
mod plan;
mod read;
mod rows;
mod scan;
mod source;
mod text;
mod trouble;

pub use params::{DuplicateHeaders, Params};
pub use read::Run;

use flight_common::{
    Effects, Fault, InputSchemas, Inputs, OUTPUT, Outputs, Planned, Step, StepContext, StepEnv, StepKind, StepSpec,
    compute,
};

/// Reads a CSV file.
pub struct ExtractCsv;

impl Step for ExtractCsv {
    type Params = Params;
    type Run = Run;

    fn spec(&self) -> StepSpec {
        StepSpec {
            name: "extract-csv",
            version: env!("CARGO_PKG_VERSION"),
            kind: StepKind::Extract,
            summary: "Reads a CSV file.",
            manual: include_str!("manual.md"),
            inputs: &[],
            outputs: OUTPUT,
            effects: Effects::None,
            keeps_order: true,
            aliases: &["csv_extract"],
            examples: &[
                ("A file with a header", r#"{"file_path": "examples/data/hr_employees.csv"}"#),
                (
                    "A European export",
                    r#"{"file_path": "sales.csv", "delimiter": ";", "encoding": "windows-1252", "date_format": "%d.%m.%Y"}"#,
                ),
                (
                    "Types that a guess would miss",
                    r#"{"file_path": "orders.csv.gz", "types": {"zip": "string", "price": "decimal(10,2)", "paid_at": "timestamp[us, UTC]"}}"#,
                ),
                ("All files of a year, as one table", r#"{"file_path": "sales/2024-*.csv"}"#),
                ("Other spellings of null", r#"{"file_path": "survey.csv", "nulls": ["", "-", "unknown"]}"#),
            ],
        }
    }

    async fn plan(&self, params: Params, _inputs: &InputSchemas, env: &StepEnv) -> Result<Planned<Run>, Fault> {
        let options = options::Options::new(params)?;
        let root = env.data_root.clone();
        compute::run(move || plan::plan(options, &root)).await
    }

    fn process(&self, run: Run, _inputs: Inputs, context: &StepContext) -> Result<Outputs, Fault> {
        Ok(Outputs::main(run.batches(context)))
    }
}
