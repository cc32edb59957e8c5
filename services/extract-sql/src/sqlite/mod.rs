//! Reading from a SQLite file.
//!
//! | where | what |
//! |---|---|
//! | `open` | the file opened, with what may not be done to it, and for how long it may be asked |
//! | `describe` | which columns a query gives: by declared type, by what they are cast to, else by what its first rows hold |
//! | `read` | its rows, read by a thread of their own |
//! | `form`, `cells` | values read into Arrow arrays |

mod cells;
mod describe;
mod form;
mod open;
mod read;

use crate::options::Options;
use arrow::datatypes::SchemaRef;
use databases::sqlite::Identity;
use databases::{Address, sqlite};
use flight_common::{BatchStream, DataRoot, Dataset, Fault, Planned, ReadFile, StepContext};
use form::Form;

/// A query, ready to run.
pub struct Query {
    address: Address,
    options: Options,
    schema: SchemaRef,
    forms: Vec<Form>,
    /// What the file was when it was planned.
    identity: Identity,
}

/// Looks into the file. Blocks: call it on the compute pool.
///
/// # Errors
/// Why the file cannot be opened, and what SQLite says of the query.
pub fn plan(address: Address, options: Options, root: &DataRoot) -> Result<Planned<Query>, Fault> {
    // To undo what a writer was ended in the middle of changes the file.
    drop(sqlite::open_for_reading(root, &address)?);
    let identity = sqlite::identity(root, &address)?;
    let open = open::Open::new(root, &address, describe::patience(options.timeout), || false)?;
    let (schema, forms) = describe::describe(&open, &options)?;
    let source = format!("sqlite:{identity}");
    let path = root.locate(address.path().unwrap_or_default(), address.param())?;
    let planned = Planned::new(schema.clone(), Query { address, options, schema, forms, identity });
    let reads = Dataset::names(root, &path).map(ReadFile::from);
    Ok(planned.source(source).dataset(Dataset::followed(root, &path)).reads(reads))
}

impl Query {
    /// The rows.
    pub fn rows(self, context: &StepContext) -> BatchStream {
        read::rows(self, context.clone())
    }
}
