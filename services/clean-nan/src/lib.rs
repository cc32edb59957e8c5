//! The `clean-nan` step: rows without missing values, or with values filled in.
//!
//! Dropping rows, a fixed value and the value above need no more than the batch at hand. A value from below waits for
//! the batches that hold it. A figure of the column needs the whole input first, which is spooled.

mod carried;
mod column;
mod decimal;
mod fill;
mod held;
mod interpolate;
mod literal;
mod neighbour;
mod nulls;
mod params;
mod plan;
mod report;
mod run;
mod statistic;

pub use params::{FillValue, Literal, Params, Strategy};

use flight_common::{
    Effects, Fault, INPUT, InputSchemas, Inputs, OUTPUT, Outputs, Planned, Step, StepContext, StepEnv, StepKind,
    StepSpec,
};
use plan::Plan;

/// Removes or fills missing values.
pub struct CleanNan;

impl Step for CleanNan {
    type Params = Params;
    type Run = Plan;

    fn spec(&self) -> StepSpec {
        StepSpec {
            name: "clean-nan",
            version: env!("CARGO_PKG_VERSION"),
            kind: StepKind::Transform,
            summary: "Removes rows with missing values, or fills the values in.",
            manual: MANUAL,
            inputs: INPUT,
            outputs: OUTPUT,
            effects: Effects::None,
            keeps_order: true,
            aliases: &[],
            examples: &[
                ("Only complete rows", r#"{"strategy": "drop"}"#),
                ("The median, in two columns", r#"{"strategy": "fill_median", "columns": ["Quantity", "UnitPrice"]}"#),
                (
                    "A value for each column",
                    r#"{"strategy": "fill_value", "fill_value": {"Age": 0, "City": "unknown"}}"#,
                ),
                (
                    "A strategy for each column",
                    r#"{"strategies": {"EmployeeNumber": "drop", "Age": "fill_median", "City": "fill_value", "Rate": "interpolate"}, "fill_value": "unknown"}"#,
                ),
                (
                    "Empty texts and a made-up number become nulls, and nothing else happens",
                    r#"{"strategy": "keep", "nulls": ["", "n/a", -999]}"#,
                ),
            ],
        }
    }

    async fn plan(&self, params: Params, inputs: &InputSchemas, _env: &StepEnv) -> Result<Planned<Plan>, Fault> {
        let plan = plan::plan(&params, inputs.only())?;
        Ok(Planned::new(plan.output.clone(), plan))
    }

    fn process(&self, plan: Plan, inputs: Inputs, context: &StepContext) -> Result<Outputs, Fault> {
        Ok(Outputs::main(run::run(plan, inputs.only()?, context)))
    }
}

const MANUAL: &str = "\
Missing are nulls, and NaN in columns of floats; an empty text is not, unless `nulls` says so. Columns keep their \
types, and rows their order.

| strategy | what happens |
|---|---|
| `drop` | Rows with a missing value in any of the columns go. |
| `fill_mean` | The mean, in columns of numbers. |
| `fill_median` | The median, in columns of numbers; of an even count the mean of the middle two. |
| `fill_mode` | The most frequent value; of several the smallest. |
| `fill_value` | The value of `fill_value`. |
| `ffill` | The last value above. What is missing before the first value stays. |
| `bfill` | The next value below. What is missing after the last value stays. |
| `interpolate` | In columns of numbers, a number on the straight line from the last one above to the next one below, each \
row one step. What is missing before the first and after the last value stays. |
| `keep` | Nothing. |

An integer column stays one: its mean, its median and what lies between two of its numbers are rounded to the nearest \
integer, halves away from zero. Those of a decimal column are rounded in the same way to its scale, from exact sums. Columns that a strategy cannot fill \
stay as they are: those without any value, those of other types than numbers for mean and median, and those of floats \
whose mean is not finite.

With `strategies` each column has its own. Rows are dropped first: means, medians, modes and neighbours are those of the \
rows that stay. A column named there of a type that its strategy cannot fill is refused.

`drop`, `fill_value` and `ffill` pass rows on at once, and `bfill` and `interpolate` as soon as the next values are \
known. The others read the whole input first; what memory cannot hold waits on disk.

Its report holds the counters `rows_dropped` and `nulls_filled`, with `nulls` also `nulls_found`, and for mean, median and mode `fill_values`: the value \
put into each column that misses some.";
