//! The `join` step: rows of two inputs whose keys are equal. DataFusion's hash join, within a bounded memory.
//!
//! | where | what |
//! |---|---|
//! | `keys`, `layout` | what is joined on, and what comes out: all that planning checks |
//! | `rows`, `assembly` | rows in the engine's form, and back in the promised one |
//! | `run` | the way: one side as hash tables in memory, if it fits; else both on disk |
//! | `pass`, `passes`, `routing` | one hash join |
//! | `partition`, `pairs` | spool by spool |
//! | `engine`, `memory`, `kept` | DataFusion, and the memory it may use |

mod assembly;
mod engine;
mod kept;
mod keys;
mod layout;
mod memory;
mod pairs;
mod params;
mod partition;
mod pass;
mod passes;
mod routing;
mod rows;
mod run;

pub use params::{Kind, Params};

use datafusion_common::NullEquality;
use flight_common::{
    Effects, Fault, InputSchemas, Inputs, OUTPUT, Outputs, Planned, Step, StepContext, StepEnv, StepKind, StepSpec,
};
use passes::Plan;
use rows::Form;

/// Joins two inputs.
pub struct Join;

impl Step for Join {
    type Params = Params;
    type Run = Plan;

    fn spec(&self) -> StepSpec {
        StepSpec {
            name: "join",
            version: env!("CARGO_PKG_VERSION"),
            kind: StepKind::Transform,
            summary: "Joins the rows of two inputs whose keys are equal.",
            manual: MANUAL,
            inputs: &["left", "right"],
            outputs: OUTPUT,
            effects: Effects::None,
            keeps_order: false,
            aliases: &["join_datasets", "join_data"],
            examples: &[
                ("Orders with the data of their customers", r#"{"join_key": "CustomerID", "join_type": "left"}"#),
                (
                    "Two keys, named differently on each side",
                    r#"{"left_on": ["customer", "region"], "right_on": ["id", "area"], "suffixes": ["", "_customer"]}"#,
                ),
                ("Orders without a customer", r#"{"join_key": "CustomerID", "join_type": "anti"}"#),
            ],
        }
    }

    async fn plan(&self, params: Params, inputs: &InputSchemas, _env: &StepEnv) -> Result<Planned<Plan>, Fault> {
        let (left, right) = (inputs.at(0), inputs.at(1));
        let pairs = keys::resolve(&params, left, right)?;
        let layout = layout::layout(&params, &pairs, left, right)?;
        let types = |pair: &keys::KeyPair| (left.field(pair.left).data_type(), right.field(pair.right).data_type());
        let left_keys: Vec<_> = pairs.iter().map(|pair| (pair.left, types(pair).1)).collect();
        let right_keys: Vec<_> = pairs.iter().map(|pair| (pair.right, types(pair).0)).collect();
        let null_equality =
            if params.null_equals_null { NullEquality::NullEqualsNull } else { NullEquality::NullEqualsNothing };
        let plan = Plan {
            join_type: params.join_type.join_type(),
            null_equality,
            left: Form::new(left, &left_keys),
            right: Form::new(right, &right_keys),
            layout,
        };
        Ok(Planned::new(plan.layout.schema.clone(), plan))
    }

    fn process(&self, plan: Plan, mut inputs: Inputs, context: &StepContext) -> Result<Outputs, Fault> {
        let (left, right) = (inputs.take(0)?, inputs.take(1)?);
        Ok(Outputs::main(run::run(plan, left, right, context.clone())))
    }
}

const MANUAL: &str = "\
The first dependency is the left input, the second the right one. Key columns with one name come out once, under that \
name, where the left ones stand; key columns with different names both come out. Other columns that both sides have get \
a suffix. The columns of a side whose rows may be missing become nullable. `semi` and `anti` give left rows only, and \
their columns unchanged.

The rows come out in no particular order. Every pair of rows with equal keys is one row: two rows on the left and three \
on the right make six.

The types of the keys must be the same on both sides, and a pipeline with keys of different types is refused before it \
runs, with the cast to use. How a type is encoded (dictionary, large, view) does not matter. Among floating-point keys \
NaN equals NaN, and -0.0 equals 0.0. Null keys match nothing, unless `null_equals_null` is set.

One side is kept in memory as a hash table, and the other streams past it. If neither fits, both go to disk in \
partitions, which are joined one by one. The report tells which it was (`strategy`), the rows of each side (`left_rows`, \
`right_rows`), and the bytes that went to disk.";
