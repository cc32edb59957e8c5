//! Reading from MySQL and MariaDB.
//!
//! | where | what |
//! |---|---|
//! | `describe` | which columns a query gives, asked without running it |
//! | `read` | its rows, by the protocol of prepared statements, whose values have types |
//! | `types`, `cells` | values read into Arrow arrays |
//! | `values` | values that go in |

mod cells;
mod describe;
mod read;
mod types;
mod values;

use crate::columns;
use crate::options::Options;
use crate::wait;
use databases::Address;
use databases::mysql::Session;
use describe::Layout;
use flight_common::{BatchStream, Dataset, Fault, Planned, StepContext};
use sqlparser::ast::Ident;

/// A query, ready to run.
pub struct Query {
    address: Address,
    options: Options,
    layout: Layout,
}

/// Asks the database what the query gives.
///
/// # Errors
/// Why it cannot be reached, and what it says of the query.
pub async fn plan(address: Address, options: Options) -> Result<Planned<Query>, Fault> {
    let mut session = Session::open(&address).await?;
    let asked = async {
        read::begin(&mut session, &options).await?;
        let (_, layout) = describe::prepared(&mut session, &options).await?;
        Ok::<_, Fault>((layout, session.database().await?))
    };
    let (layout, database) = wait::waited(&address, options.timeout, asked).await??;
    session.close().await;
    let source = format!("{} giving {}", address.shown(), columns::shown(&layout.schema));
    let datasets = named(&address, &options, database.as_deref());
    let planned = Planned::new(layout.schema.clone(), Query { address, options, layout }).source(source);
    Ok(datasets.into_iter().fold(planned, Planned::dataset))
}

impl Query {
    /// The rows.
    pub fn rows(self, context: &StepContext) -> BatchStream {
        read::rows(self, context.clone())
    }
}

/// The tables that the query names, as OpenLineage calls them: `database.table`. Those of the server's own are left out.
fn named(address: &Address, options: &Options, database: Option<&str>) -> Vec<Dataset> {
    let own = ["information_schema", "performance_schema", "mysql", "sys"];
    let name = |parts: &Vec<Ident>| {
        let (database, table) = match &parts[..] {
            [table] => (database?, &table.value),
            [.., database, table] => (database.value.as_str(), &table.value),
            [] => return None,
        };
        // `DUAL` is no table.
        let is_own = own.iter().any(|own| database.eq_ignore_ascii_case(own));
        let is_none = parts.len() == 1 && table.eq_ignore_ascii_case("dual");
        (!is_own && !is_none).then(|| format!("{database}.{table}"))
    };
    options.tables.iter().filter_map(name).map(|name| Dataset::new(address.namespace(), name)).collect()
}
