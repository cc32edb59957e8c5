//! The `extract-excel` step: a sheet of a workbook as record batches.
//!
//! | where | what |
//! |---|---|
//! | [`params`](Params), `options`, `area` | the knobs, and what they become |
//! | `guard`, `records`, `biff`, `odf` | what a workbook weighs, found before it is read |
//! | `plain` | cells of .xlsx whose numbers are no plain texts, found on the way |
//! | `book`, `value` | a workbook of any format: its sheets and their cells |
//! | `rows` | cells put together as rows |
//! | `plan`, `layout` | a look at the first rows: names and types |
//! | `run`, `fill` | rows as Arrow arrays; what a text means as a value is the kit's `values` |
//! | `trouble` | what is wrong with a workbook, in words |

mod area;
mod biff;
mod book;
mod column;
mod fill;
mod guard;
mod layout;
mod odf;
mod options;
mod params;
mod plain;
mod plan;
mod records;
mod rows;
mod run;
mod trouble;
mod value;

pub use params::{DuplicateHeaders, ErrorCells, MergedCells, Params, SheetChoice};
pub use run::Run;

use flight_common::{
    Effects, Fault, InputSchemas, Inputs, OUTPUT, Outputs, Planned, Step, StepContext, StepEnv, StepKind, StepSpec,
    compute,
};

/// Reads a sheet of a workbook.
pub struct ExtractExcel;

impl Step for ExtractExcel {
    type Params = Params;
    type Run = Run;

    fn spec(&self) -> StepSpec {
        StepSpec {
            name: "extract-excel",
            version: env!("CARGO_PKG_VERSION"),
            kind: StepKind::Extract,
            summary: "Reads a sheet of a workbook: .xlsx, .xlsb, .xls or .ods.",
            manual: include_str!("manual.md"),
            inputs: &[],
            outputs: OUTPUT,
            effects: Effects::None,
            keeps_order: true,
            aliases: &["excel_extract"],
            examples: &[
                ("The first sheet", r#"{"file_path": "examples/data/departments_budget.xlsx"}"#),
                (
                    "A table within a sheet, below a title",
                    r#"{"file_path": "report.xlsx", "sheet": "2024", "range": "B4:F200", "types": {"cost centre": "string", "amount": "decimal(12,2)"}}"#,
                ),
                (
                    "Merged cells and errors",
                    r#"{"file_path": "plan.xls", "sheet": 2, "header_row": 3, "merged_cells": "each", "error_cells": "null"}"#,
                ),
            ],
        }
    }

    async fn plan(&self, params: Params, _inputs: &InputSchemas, env: &StepEnv) -> Result<Planned<Run>, Fault> {
        let options = options::Options::new(params)?;
        let (root, budget) = (env.data_root.clone(), env.space.budget().clone());
        compute::run(move || plan::plan(options, &root, &budget)).await
    }

    fn process(&self, run: Run, _inputs: Inputs, context: &StepContext) -> Result<Outputs, Fault> {
        Ok(Outputs::main(run.batches(context)))
    }
}
