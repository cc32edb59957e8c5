//! What the tables of a query are called in the world outside: `database.schema.table`.

use crate::options::Options;
use databases::Address;
use databases::postgres::Session;
use flight_common::{Dataset, Fault};
use sqlparser::ast::Ident;

/// The tables as the server finds them, on its search path. Those of its own catalogue are left out.
const FIND: &str = "SELECT DISTINCT current_database() || '.' || n.nspname || '.' || c.relname AS name \
     FROM unnest($1::text[]) AS asked(name) JOIN pg_class AS c ON c.oid = to_regclass(asked.name) \
     JOIN pg_namespace AS n ON n.oid = c.relnamespace \
     WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1";

/// The tables that the query names.
///
/// # Errors
/// What the server says.
pub async fn named(session: &Session, address: &Address, options: &Options) -> Result<Vec<Dataset>, Fault> {
    if options.tables.is_empty() {
        return Ok(Vec::new());
    }
    let spelled = |parts: &Vec<Ident>| parts.iter().map(Ident::to_string).collect::<Vec<_>>().join(".");
    let asked: Vec<String> = options.tables.iter().map(spelled).collect();
    let rows = session.client().query(FIND, &[&asked]).await.map_err(|error| session.fault(&error))?;
    let dataset = |row: &tokio_postgres::Row| {
        let name: String = row.try_get(0).map_err(Fault::internal)?;
        Ok(Dataset::new(address.namespace(), name))
    };
    rows.iter().map(dataset).collect()
}
