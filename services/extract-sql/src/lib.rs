//! The `extract-sql` step: the rows of a query as record batches.
//!
//! | where | what |
//! |---|---|
//! | [`params`](Params), `options` | the knobs, and what they become |
//! | `guard` | what a query may be: one statement, which only reads |
//! | `postgres`, `mysql`, `sqlite` | reading from one database each |
//! | `columns` | which columns a query gives |
//! | `draft`, `decimal` | batches and decimals under way |
//! | `given` | the values of `params`, held against the query |
//! | `wait` | how long a server is waited for |
//! | `trouble` | a value that cannot be taken, and where it stands |

mod columns;
mod decimal;
mod draft;
mod given;
mod guard;
mod mysql;
mod options;
mod params;
mod postgres;
mod sqlite;
mod trouble;
mod wait;

pub use params::Params;

use databases::{Connections, Kind};
use flight_common::{
    Effects, Fault, InputSchemas, Inputs, OUTPUT, Outputs, Planned, Step, StepContext, StepEnv, StepKind, StepSpec,
    compute,
};
use options::Options;

/// Reads the rows of a query.
#[derive(Default)]
pub struct ExtractSql {
    connections: Connections,
}

impl ExtractSql {
    /// With these connections by name; those of the environment are the default.
    pub fn with_connections(connections: Connections) -> Self {
        Self { connections }
    }
}

/// A query, ready to run.
pub enum Run {
    /// At PostgreSQL.
    Postgres(Box<postgres::Query>),
    /// At MySQL or MariaDB.
    MySql(Box<mysql::Query>),
    /// In a SQLite file.
    Sqlite(Box<sqlite::Query>),
}

impl Step for ExtractSql {
    type Params = Params;
    type Run = Run;

    fn spec(&self) -> StepSpec {
        StepSpec {
            name: "extract-sql",
            version: env!("CARGO_PKG_VERSION"),
            kind: StepKind::Extract,
            summary: "Reads the rows of a query from PostgreSQL, MySQL, MariaDB or a SQLite file.",
            manual: include_str!("manual.md"),
            inputs: &[],
            outputs: OUTPUT,
            effects: Effects::None,
            keeps_order: true,
            aliases: &["sql_extract"],
            examples: &[
                (
                    "A query over a connection that the service knows",
                    r#"{"connection": "hr_db", "query": "SELECT * FROM employees WHERE salary > 5000"}"#,
                ),
                (
                    "Values apart from the text",
                    r#"{"connection": "shop", "query": "SELECT * FROM orders WHERE day >= $1 AND status = ANY($2)", "params": ["2024-01-01", ["paid", "sent"]]}"#,
                ),
                (
                    "From MariaDB, with a value apart from the text",
                    r#"{"db_url": "secret://shop_url", "query": "SELECT id, total FROM orders WHERE placed_at >= ?", "params": ["2024-01-01"], "max_rows": 1000000}"#,
                ),
                (
                    "A large table over four connections",
                    r#"{"db_url": "secret://warehouse", "query": "SELECT * FROM events", "partition_column": "id", "partitions": 4, "timeout": "1h"}"#,
                ),
                (
                    "A SQLite file beneath the data root",
                    r#"{"db_url": "sqlite:shop.db", "query": "SELECT * FROM orders"}"#,
                ),
            ],
        }
    }

    async fn plan(&self, params: Params, _inputs: &InputSchemas, env: &StepEnv) -> Result<Planned<Run>, Fault> {
        let (connections, root) = (self.connections.clone(), env.data_root.clone());
        let prepared = move || {
            let address = connections.resolve(&params.database)?;
            Options::new(params, address.kind()).map(|options| (address, options))
        };
        // The query is taken apart by recursion, and may nest deep.
        let (address, options) = compute::run_deep(prepared).await?;
        match address.kind() {
            Kind::Postgres => {
                let planned = address.blame(postgres::plan(address.clone(), options).await)?;
                Ok(wrapped(planned, |query| Run::Postgres(Box::new(query))))
            }
            Kind::MySql => {
                let planned = address.blame(mysql::plan(address.clone(), options).await)?;
                Ok(wrapped(planned, |query| Run::MySql(Box::new(query))))
            }
            Kind::Sqlite => {
                let at = address.clone();
                let planned = compute::run(move || sqlite::plan(at, options, &root)).await;
                Ok(wrapped(address.blame(planned)?, |query| Run::Sqlite(Box::new(query))))
            }
        }
    }

    fn process(&self, run: Run, _inputs: Inputs, context: &StepContext) -> Result<Outputs, Fault> {
        Ok(Outputs::main(match run {
            Run::Postgres(query) => query.rows(context),
            Run::MySql(query) => query.rows(context),
            Run::Sqlite(query) => query.rows(context),
        }))
    }
}

fn wrapped<Q>(planned: Planned<Q>, wrap: impl FnOnce(Q) -> Run) -> Planned<Run> {
    let Planned { outputs, source, datasets, reads, writes, effects, run } = planned;
    Planned { outputs, source, datasets, reads, writes, effects, run: wrap(run) }
}
