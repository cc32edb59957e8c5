//! The `load-sql` step: rows into a table, in one transaction.
//!
//! | where | what |
//! |---|---|
//! | [`params`](Params), `target` | the knobs, and the table that they mean |
//! | `plain`, `lines` | columns made plain, and printed |
//! | `found` | whether rows fit a table that is there |
//! | `ledger`, `waiting` | how an append is safe to repeat |
//! | `postgres`, `mysql`, `sqlite` | writing to one database each |
//! | `receipt` | what is handed on |

mod found;
mod ledger;
mod lines;
mod mysql;
mod params;
mod plain;
mod postgres;
mod receipt;
mod sqlite;
mod target;
mod waiting;

pub use params::{Mode, Params};

use databases::{Address, Connections, Kind};
use flight_common::{
    BatchStream, Dataset, Effects, Fault, INPUT, InputSchemas, Inputs, OUTPUT, Outputs, Planned, Step, StepContext,
    StepEnv, StepKind, StepSpec, Written, compute,
};
use plain::Plain;
use target::Target;

/// Writes rows to a table.
#[derive(Default)]
pub struct LoadSql {
    connections: Connections,
}

impl LoadSql {
    /// With these connections by name; those of the environment are the default.
    pub fn with_connections(connections: Connections) -> Self {
        Self { connections }
    }
}

/// A load, ready to run.
pub struct Load {
    address: Address,
    target: Target,
    plain: Plain,
    /// The table as it was found: it must be the same when rows are written.
    found: Found,
}

/// A table as it was found in its database.
enum Found {
    Postgres(postgres::Table),
    MySql(mysql::Table),
    Sqlite(sqlite::Table),
}

impl Step for LoadSql {
    type Params = Params;
    type Run = Load;

    fn spec(&self) -> StepSpec {
        StepSpec {
            name: "load-sql",
            version: env!("CARGO_PKG_VERSION"),
            kind: StepKind::Load,
            summary: "Writes rows to a table of PostgreSQL, MariaDB, MySQL or a SQLite file, all of them or none.",
            manual: include_str!("manual.md"),
            inputs: INPUT,
            outputs: OUTPUT,
            effects: Effects::Commits,
            keeps_order: true,
            aliases: &["sql_load"],
            examples: &[
                ("Add rows", r#"{"connection": "warehouse", "table": "sales.orders"}"#),
                (
                    "Put rows in the place of those with the same id",
                    r#"{"db_url": "secret://warehouse", "table": "customers", "mode": "upsert", "keys": ["id"]}"#,
                ),
                (
                    "Rows into MariaDB, in a table of the database sales",
                    r#"{"db_url": "secret://shop_url", "table": "sales.orders", "mode": "append"}"#,
                ),
                (
                    "A table of a SQLite file beneath the data root, written anew",
                    r#"{"db_url": "sqlite:reports.db", "table": "top_products", "mode": "replace"}"#,
                ),
            ],
        }
    }

    async fn plan(&self, params: Params, inputs: &InputSchemas, env: &StepEnv) -> Result<Planned<Load>, Fault> {
        let input = inputs.only();
        let (target, plain) = (Target::new(&params, input)?, Plain::new(input)?);
        let connections = self.connections.clone();
        let resolved = move || connections.resolve(&params.database);
        let address = compute::run(resolved).await?;
        let mut files = Vec::new();
        let (found, dataset, table) = match address.kind() {
            Kind::Postgres => {
                let (table, dataset) = address.blame(postgres::plan(&address, &target, &plain).await)?;
                (Found::Postgres(table), dataset.clone(), dataset)
            }
            Kind::MySql => {
                let (table, dataset) = address.blame(mysql::plan(&address, &target, &plain).await)?;
                (Found::MySql(table), dataset.clone(), dataset)
            }
            Kind::Sqlite => {
                let (at, root) = (address.clone(), env.data_root.clone());
                let (wanted, columns) = (target.clone(), plain.clone());
                let planned = compute::run(move || sqlite::plan(&at, &wanted, &columns, &root)).await;
                let table = address.blame(planned)?;
                let path = env.data_root.locate(address.path().unwrap_or_default(), address.param())?;
                let file = Dataset::followed(&env.data_root, &path);
                // Letters of either case are the same in its names.
                let name = format!("{}#{}", file.name, target.table.to_lowercase());
                // What is in it beside the table stays: nobody may put another file in its place.
                files.extend(Dataset::names(&env.data_root, &path).map(|dataset| Written { dataset, adds: true }));
                (Found::Sqlite(table), file.clone(), Dataset::new(file.namespace, name))
            }
        };
        let source = format!("to {} {}", address.shown(), target.shown());
        let written = Written { dataset: table, adds: target.mode == Mode::Append };
        let load = Load { address, target, plain, found };
        let planned = Planned::new(receipt::schema(), load).source(source);
        let planned = files.into_iter().fold(planned.dataset(dataset), Planned::writes);
        Ok(planned.writes(written))
    }

    fn process(&self, run: Load, inputs: Inputs, context: &StepContext) -> Result<Outputs, Fault> {
        let (input, context) = (inputs.only()?, context.clone());
        let receipt = async move {
            let target = run.target.clone();
            let rows = load(run, input, &context).await?;
            receipt::receipt(&target, rows)
        };
        Ok(Outputs::main(BatchStream::once(receipt::schema(), receipt)))
    }
}

/// Writes all rows, and tells how many there were.
async fn load(load: Load, input: BatchStream, context: &StepContext) -> Result<u64, Fault> {
    let Load { address, target, plain, found } = load;
    match found {
        Found::Postgres(table) => postgres::load(&address, &target, &plain, &table, input, context).await,
        Found::MySql(table) => mysql::load(&address, &target, &plain, &table, input, context).await,
        Found::Sqlite(table) => sqlite::load(&address, &target, &plain, table, input, context).await,
    }
}
