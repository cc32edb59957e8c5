//! The `outliers` step: values that lie far from the others, and their rows.
//!
//! | where | what |
//! |---|---|
//! | `params`, `plan` | the knobs, and what they mean for these columns |
//! | `survey` | the first pass: what lies too far away |
//! | `moments`, `quantile`, `border` | mean and deviation, quartiles and medians, and how far is too far |
//! | `groups`, `sorter` | which rows are measured together; values in order, in bounded memory |
//! | `treat` | the second pass: what is done about it |
//!
//! A border needs figures of all rows before the first row can leave: the input is spooled while it is measured, and
//! treated as it leaves the spool.

mod border;
mod groups;
mod moments;
mod params;
mod plan;
mod quantile;
mod sorter;
mod survey;
mod treat;

pub use params::{Action, Method, Params};
pub use plan::Plan;

use arrow::array::RecordBatch;
use async_stream::try_stream;
use flight_common::{
    BatchStream, Effects, Fault, INPUT, InputSchemas, Inputs, OUTPUT, Outputs, Planned, Spool, Step, StepContext,
    StepEnv, StepKind, StepSpec,
};
use futures::{Stream, StreamExt};
use serde_json::{Map, Value};
use sorter::Reader;
use std::pin::pin;
use std::sync::Arc;
use survey::{Finding, survey};
use treat::{Marks, treat};

/// Finds outliers.
pub struct Outliers;

impl Step for Outliers {
    type Params = Params;
    type Run = Plan;

    fn spec(&self) -> StepSpec {
        StepSpec {
            name: "outliers",
            version: env!("CARGO_PKG_VERSION"),
            kind: StepKind::Transform,
            summary: "Finds values that lie far from the others, and removes their rows, clips them or flags them.",
            manual: include_str!("manual.md"),
            inputs: INPUT,
            outputs: OUTPUT,
            effects: Effects::None,
            keeps_order: true,
            aliases: &["outlier_detection", "detect_outliers"],
            examples: &[
                ("Beyond three standard deviations", r#"{"column": "MonthlyIncome"}"#),
                ("Stricter", r#"{"column": "TotalAmount", "z_threshold": 2.0}"#),
                (
                    "Tukey's fences in two columns, each department by itself",
                    r#"{"columns": ["MonthlyIncome", "Age"], "method": "iqr", "group_by": ["Department"]}"#,
                ),
                (
                    "Clipped by a measure that outliers do not distort",
                    r#"{"column": "TotalAmount", "method": "mad", "action": "clip"}"#,
                ),
            ],
        }
    }

    async fn plan(&self, params: Params, inputs: &InputSchemas, _env: &StepEnv) -> Result<Planned<Plan>, Fault> {
        let plan = plan::plan(&params, inputs.only())?;
        Ok(Planned::new(plan.output.clone(), plan))
    }

    fn process(&self, plan: Plan, inputs: Inputs, context: &StepContext) -> Result<Outputs, Fault> {
        let input = inputs.only()?;
        let context = context.clone();
        let output = BatchStream::new(
            plan.output.clone(),
            try_stream! {
                let found = survey(input, &plan, &context).await?;
                report(&found.figures, &plan, &context);
                let mut rows = pin!(treated(found.rows, found.findings, plan, &context));
                while let Some(batch) = rows.next().await {
                    let batch = batch?;
                    if batch.num_rows() > 0 {
                        yield batch;
                    }
                }
            },
        );
        Ok(Outputs::main(output))
    }
}

impl Action {
    fn counter(self) -> &'static str {
        match self {
            Self::Remove => "outliers_removed",
            Self::Clip => "outliers_clipped",
            Self::Flag => "outliers_flagged",
        }
    }
}

/// Figures of one column stand in the report by themselves, those of several under the names of their columns.
fn report(figures: &[Option<Value>], plan: &Plan, context: &StepContext) {
    let meter = &context.meter;
    meter.count(plan.action.counter(), 0);
    meter.detail(plan.method.parameter(), plan.threshold);
    if let [Some(Value::Object(figures))] = figures {
        figures.iter().for_each(|(name, figure)| meter.detail(name, figure.clone()));
        return;
    }
    let named = plan.places.iter().zip(figures);
    let named = named.filter_map(|(place, figures)| Some((plan.output.field(*place).name().clone(), figures.clone()?)));
    let columns: Map<String, Value> = named.collect();
    if !columns.is_empty() {
        meter.detail("columns", Value::Object(columns));
    }
}

/// The rows on their second way, treated on all cores.
fn treated(
    rows: Spool<RecordBatch>,
    findings: Vec<Finding>,
    plan: Plan,
    context: &StepContext,
) -> impl Stream<Item = Result<RecordBatch, Fault>> + Send {
    let (meter, plan) = (context.meter.clone(), Arc::new(plan));
    context.map_parallel(marked(rows, findings), move |(batch, marks)| {
        let (batch, count) = treat(&plan, batch, marks)?;
        meter.count(plan.action.counter(), count);
        Ok(batch)
    })
}

/// Each batch with the marks of its measured columns.
fn marked(
    rows: Spool<RecordBatch>,
    findings: Vec<Finding>,
) -> impl Stream<Item = Result<(RecordBatch, Vec<Marks>), Fault>> + Send {
    try_stream! {
        let mut walks: Vec<Walk> = findings.into_iter().map(Walk::new).collect();
        let (mut rows, mut first) = (rows.drain(), 0);
        while let Some(batch) = rows.next().await {
            let batch = batch?;
            let end = first + batch.num_rows() as u64;
            let marks = walks.iter_mut().map(|walk| walk.marks(first, end)).collect::<Result<_, Fault>>()?;
            first = end;
            yield (batch, marks);
        }
    }
}

/// Walks what was found in a column, in step with the rows.
enum Walk {
    Border(Option<border::Border>),
    Rows { reader: Reader, next: u64, len: u64 },
}

impl Walk {
    fn new(finding: Finding) -> Self {
        match finding {
            Finding::Border(border) => Self::Border(border),
            Finding::Rows(sorted) => Self::Rows { reader: sorted.reader(), next: 0, len: sorted.len() },
        }
    }

    /// The marks of the rows from `first` to before `end`.
    fn marks(&mut self, first: u64, end: u64) -> Result<Marks, Fault> {
        let (reader, next, len) = match self {
            Self::Border(border) => return Ok(Marks::Border(*border)),
            Self::Rows { reader, next, len } => (reader, next, *len),
        };
        let mut marks = Vec::new();
        while *next < len {
            let record = reader.get(*next)?;
            let row = u64::try_from(record.major).map_err(Fault::internal)?;
            if row >= end {
                break;
            }
            marks.push(((row - first) as usize, f64::from_bits(record.minor)));
            *next += 1;
        }
        Ok(Marks::Rows(marks))
    }
}
