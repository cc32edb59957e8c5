//! The `data-quality` step: rows checked against rules on their way through.
//!
//! | where | what |
//! |---|---|
//! | `params`, `plan`, `bound`, `types`, `failure`, `wrong` | the rules, and what they mean for these columns |
//! | `observe`, `missing`, `extent`, `hash` | what one batch tells |
//! | `tally`, `distinct` | what all batches tell together, in bounded memory |
//! | `row_rule`, `reference`, `reject`, `fresh` | rules about single rows, and the rows that do not pass; the age of the newest value |
//! | `drift` | how values are distributed, here and in a file |
//! | `file`, `marked`, `hashes` | a file that data are compared with, its nulls told from texts, and the set of its values |
//! | `check`, `report`, `page` | the result, for reports and faults, and as files: for programs, and for people |
//!
//! Rows leave as soon as they have been looked at. The verdict comes with the end of the stream: a gate that fails ends
//! it with a fault, and a load commits on a normal end alone, so that nothing of such data is ever seen.

mod bound;
mod check;
mod distinct;
mod drift;
mod extent;
mod failure;
mod file;
mod fresh;
mod hash;
mod hashes;
mod marked;
mod names;
mod observe;
mod page;
mod params;
mod plan;
mod reference;
mod reject;
mod report;
mod row_rule;
mod tally;
mod types;

pub use params::{Bound, ColumnType, Drift, OnFailure, Params, Reference, Rules, ValueRange};
pub use plan::Plan;

use arrow::array::RecordBatch;
use async_stream::try_stream;
use flight_common::compute;
use flight_common::spool::SpillSender;
use flight_common::{
    BatchStream, Dataset, Effects, Fault, INPUT, InputSchemas, Inputs, Outputs, Planned, Step, StepContext, StepEnv,
    StepKind, StepSpec,
};
use futures::StreamExt;
use observe::Known;
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
            summary: "Checks rows against rules, and passes them through unchanged, or turns bad ones away.",
            manual: include_str!("manual.md"),
            inputs: INPUT,
            outputs: &["output", REJECTED],
            // The report, if one is asked for.
            effects: Effects::Commits,
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
                (
                    "A warning when values are distributed unlike those of last month",
                    r#"{"rules": {"check_drift": {"file_path": "last_month.parquet", "columns": ["Amount", "Region"], "max_psi": 0.1}}}"#,
                ),
                (
                    "Bad rows turned away, and a report",
                    r#"{"rules": {"min_rows": 100, "check_not_null": ["EmployeeNumber"], "check_pattern": {"Email": "^[^@ ]+@[^@ ]+$"}}, "on_failure": {"min_rows": "fail", "check_not_null": "reject", "check_pattern": "reject"}, "report": "quality/employees"}"#,
                ),
            ],
        }
    }

    async fn plan(&self, params: Params, inputs: &InputSchemas, env: &StepEnv) -> Result<Planned<Plan>, Fault> {
        let report = params.report.as_deref().map(|path| report::files(path, &env.data_root)).transpose()?;
        let (schema, root) = (inputs.only().clone(), env.data_root.clone());
        // Files of references are opened.
        let plan = compute::run(move || Plan::new(params, &schema, &root)).await?;
        let rejected = plan.rejected.clone();
        let reads = plan.files().map(|file| file.read_of(&env.data_root)).collect::<Result<Vec<_>, _>>()?;
        let (files, effects) = (plan.identity(), plan.effects());
        let planned = Planned::new(plan.schema.clone(), plan).output(rejected).effects(effects);
        let planned = planned.reads(reads.into_iter().flatten());
        let written = report.iter().flatten().map(|file| Dataset::file(&env.data_root, file));
        let planned = written.fold(planned, Planned::writes);
        Ok(match files {
            Some(files) => planned.source(files),
            None => planned,
        })
    }

    fn process(&self, plan: Plan, inputs: Inputs, context: &StepContext) -> Result<Outputs, Fault> {
        let (input, context) = (inputs.only()?, context.clone());
        let (sender, rejected) = match context.claims(REJECTED) {
            true => {
                let (sender, rows) = reject::output(context.space(), plan.rejected.clone());
                (Some(sender), Some(rows))
            }
            false => (None, None),
        };
        let passed = BatchStream::new(plan.schema.clone(), checked(input, Arc::new(plan), sender, context));
        Ok(Outputs::main(passed).and(rejected))
    }
}

/// The further output.
const REJECTED: &str = "rejected";

fn checked(
    input: BatchStream,
    plan: Arc<Plan>,
    rejected: Option<SpillSender<RecordBatch>>,
    context: StepContext,
) -> impl futures::Stream<Item = Result<RecordBatch, Fault>> + Send {
    try_stream! {
        let known = Arc::new(Known::load(plan.clone(), &context).await?);
        let mut tally = Tally::new(&known, &context);
        let looked_at = {
            let known = known.clone();
            context.map_parallel(input, move |batch| observe::observe(&known, &batch))
        };
        let mut looked_at = pin!(looked_at);
        while let Some(seen) = looked_at.next().await {
            let seen = seen?;
            let kept = seen.kept.clone();
            if let (Some(sender), Some(rows)) = (&rejected, &seen.rejected) {
                // A reader that is gone wants no more, and the rows that pass go on.
                sender.push(rows.clone())?;
            }
            tally.add(seen)?;
            if kept.num_rows() > 0 {
                yield kept;
            }
        }
        let verdict = tally.verdict(&known, &context).await?;
        check::record(&verdict.checks, &context);
        if let Some(path) = &plan.report {
            report::write(path, &verdict, &context).await?;
        }
        let fault = check::gate(&verdict.checks, &plan.failures);
        if let Some(sender) = rejected {
            sender.finish(fault.clone().map_or(Ok(()), Err));
        }
        if let Some(fault) = fault {
            Err(fault)?;
        }
    }
}
