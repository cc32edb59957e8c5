//! Reading from PostgreSQL.
//!
//! | where | what |
//! |---|---|
//! | `describe` | which columns a query gives, asked without running it |
//! | `datasets` | what its tables are called in the world outside |
//! | `read` | its rows as pieces: by `COPY`, or, with parameters, by the extended protocol |
//! | `partition` | ranges that are read at once, from one snapshot |
//! | `steady` | whether each range would get the same rows to choose from |
//! | `piece`, `cells`, `numeric`, `time` | pieces read into Arrow arrays |
//! | `types`, `values` | types that come out, values that go in |

mod cells;
mod datasets;
mod describe;
mod numeric;
mod partition;
mod piece;
mod read;
mod steady;
mod time;
mod types;
mod values;

use crate::columns;
use crate::options::Options;
use crate::trouble::Trouble;
use crate::wait;
use arrow::array::RecordBatch;
use databases::Address;
use databases::postgres::Session;
use flight_common::{BatchStream, Fault, Planned, StepContext};
use futures::{Stream, StreamExt};
use partition::Partition;
use piece::{Layout, Piece, PieceError};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A query, ready to run.
pub struct Query {
    address: Address,
    options: Options,
    layout: Layout,
    partition: Option<Partition>,
}

/// Asks the database what the query gives.
///
/// # Errors
/// Why it cannot be reached, and what it says of the query.
pub async fn plan(address: Address, options: Options) -> Result<Planned<Query>, Fault> {
    let session = Session::open(&address).await?;
    let asked = async {
        read::begin(&session, &options, read::Isolation::Statement).await?;
        let layout = describe::describe(&session, &options).await?;
        if options.partition.is_some() {
            steady::check(&session, &options).await?;
        }
        Ok::<_, Fault>((layout, datasets::named(&session, &address, &options).await?))
    };
    let (layout, datasets) = wait::waited(&address, options.timeout, asked).await??;
    let partition = options.partition.as_ref().map(|by| Partition::new(by, &layout)).transpose()?;
    session.close();
    let source = format!("{} giving {}", address.shown(), columns::shown(&layout.schema));
    let schema = layout.schema.clone();
    let planned = Planned::new(schema, Query { address, options, layout, partition }).source(source);
    Ok(datasets.into_iter().fold(planned, Planned::dataset))
}

impl Query {
    /// The rows.
    pub fn rows(self, context: &StepContext) -> BatchStream {
        let (query, context) = (Arc::new(self), context.clone());
        let schema = query.layout.schema.clone();
        match query.partition.is_some() {
            true => BatchStream::new(schema, partition::rows(query, context)),
            false => {
                let total = Arc::new(AtomicU64::new(0));
                let pieces = read::all(query.clone(), context.clone(), total);
                BatchStream::new(schema, batches(query, &context, pieces))
            }
        }
    }

    /// Counts rows, and refuses those beyond the limit.
    fn count(&self, total: &AtomicU64, more: usize) -> Result<(), Fault> {
        let more = more as u64;
        let rows = total.fetch_add(more, Ordering::Relaxed) + more;
        self.options.check_rows(rows)
    }
}

/// Pieces read into batches on all cores, in order.
fn batches(
    query: Arc<Query>,
    context: &StepContext,
    pieces: impl Stream<Item = Result<Piece, Fault>> + Send + 'static,
) -> impl Stream<Item = Result<RecordBatch, Fault>> + Send + 'static {
    let read = context.map_parallel(context.from_outside(pieces), move |piece| Ok(piece.read(&query.layout)));
    let mut before = 0;
    read.map(move |read| match read? {
        Ok(batch) => {
            before += batch.num_rows() as u64;
            Ok(batch)
        }
        Err(PieceError::Trouble(trouble)) => Err(Trouble::fault(trouble, before)),
        Err(PieceError::Fault(fault)) => Err(fault),
    })
}
