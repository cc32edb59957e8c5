//! The `sql` step: one query over the step's inputs as tables. DataFusion, within a bounded memory.
//!
//! | where | what |
//! |---|---|
//! | `statement`, `plan` | what may be asked, and what comes out: all that planning checks |
//! | `tables` | an input as a table: live, kept in memory, or kept in a spool |
//! | `gather`, `run` | which inputs are read ahead, and the query under way |
//! | `session` | DataFusion's settings |
//! | `faults`, `output` | errors as faults, plain types |

mod faults;
mod gather;
mod output;
mod params;
mod plan;
mod run;
mod session;
mod statement;
mod tables;

pub use params::Params;

use flight_common::{
    ANY_INPUTS, Effects, Fault, InputSchemas, Inputs, OUTPUT, Outputs, Planned, Step, StepContext, StepEnv, StepKind,
    StepSpec,
};
use plan::Query;

/// Asks a question of its inputs.
pub struct Sql;

impl Step for Sql {
    type Params = Params;
    type Run = Query;

    fn spec(&self) -> StepSpec {
        StepSpec {
            name: "sql",
            version: env!("CARGO_PKG_VERSION"),
            kind: StepKind::Transform,
            summary: "Asks one question of its inputs, in SQL: each input is a table.",
            manual: include_str!("manual.md"),
            inputs: ANY_INPUTS,
            outputs: OUTPUT,
            effects: Effects::None,
            keeps_order: false,
            aliases: &["sql_transform", "query"],
            examples: EXAMPLES,
        }
    }

    async fn plan(&self, params: Params, inputs: &InputSchemas, _env: &StepEnv) -> Result<Planned<Query>, Fault> {
        let query = plan::query(params.query, inputs).await?;
        Ok(Planned::new(query.schema.clone(), query))
    }

    fn process(&self, query: Query, mut inputs: Inputs, context: &StepContext) -> Result<Outputs, Fault> {
        let streams = (0..query.tables.len()).map(|place| inputs.take(place)).collect::<Result<Vec<_>, _>>()?;
        Ok(Outputs::main(run::run(query, streams, context.clone())))
    }
}

const EXAMPLES: &[(&str, &str)] = &[
    ("Filter", r#"{"query": "SELECT * FROM input WHERE amount > 100 AND region IN ('north', 'south')"}"#),
    (
        "Rename, and leave columns out",
        r#"{"query": "SELECT * EXCLUDE (internal_id, amount), amount AS total FROM input"}"#,
    ),
    (
        "Cast, and compute",
        r#"{"query": "SELECT CAST(day AS DATE) AS day, TRY_CAST(price AS DECIMAL(10, 2)) AS price, upper(name) AS name FROM input"}"#,
    ),
    (
        "Aggregate",
        r#"{"query": "SELECT region, count(*) AS orders, sum(amount) AS total FROM input GROUP BY region HAVING count(*) > 10 ORDER BY total DESC"}"#,
    ),
    ("Deduplicate whole rows", r#"{"query": "SELECT DISTINCT * FROM input"}"#),
    (
        "Deduplicate by a key: of each customer the newest row",
        r#"{"query": "SELECT DISTINCT ON (customer) * FROM input ORDER BY customer, seen DESC"}"#,
    ),
    (
        "Window: a running total, and a rank within each region",
        r#"{"query": "SELECT *, sum(amount) OVER (ORDER BY day ROWS UNBOUNDED PRECEDING) AS so_far, rank() OVER (PARTITION BY region ORDER BY amount DESC) AS place FROM input"}"#,
    ),
    (
        "Union of two inputs, called north and south: columns are matched by name",
        r#"{"query": "SELECT 'north' AS region, * FROM north UNION ALL BY NAME SELECT 'south' AS region, * FROM south"}"#,
    ),
    (
        "Join of two inputs, called orders and customers",
        r#"{"query": "SELECT o.*, c.name FROM orders AS o LEFT JOIN customers AS c ON o.customer = c.id"}"#,
    ),
    (
        "Join with a list that stands in the query",
        r#"{"query": "SELECT i.*, r.manager FROM input AS i JOIN (VALUES ('north', 'Ann'), ('south', 'Zoë')) AS r(name, manager) ON i.region = r.name"}"#,
    ),
];
