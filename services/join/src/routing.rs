//! A join in memory as many small ones: a hash table that does not fit in the processor's cache costs more in misses
//! than it takes to deal both sides out, by the hash of the key, to tables that do. They are also built side by side.

use crate::partition::Deal;
use crate::rows::{Few, WHOLE};
use arrow::array::RecordBatch;
use flight_common::{BatchStream, Fault, StepContext, compute};
use futures::channel::mpsc;
use futures::{SinkExt, StreamExt, TryStreamExt, stream};

/// Shares of the probe side wait for so many rows: with fewer at a time, each visit finds its table out of the cache.
const SHARE_ROWS: usize = 16 * 1024;
/// Shares that may wait for a table.
const WAITING_SHARES: usize = 2;

/// Deals the build side out: a stream for each table.
///
/// # Errors
/// The stream's fault.
pub async fn deal_build(deal: Deal, rows: BatchStream, context: &StepContext) -> Result<Vec<BatchStream>, Fault> {
    let schema = rows.schema();
    let mut tables = vec![Vec::new(); deal.places];
    let mut dealt = deal.shares(rows, context).boxed();
    while let Some(shares) = dealt.try_next().await? {
        for (place, share) in shares {
            tables[place].push(share);
        }
    }
    Ok(tables.into_iter().map(|batches| BatchStream::from_batches(schema.clone(), batches)).collect())
}

/// The probe side on its way to the tables.
pub struct Routed {
    /// A stream for each table. They are to be read side by side.
    pub streams: Vec<BatchStream>,
    /// Gives nothing but the fault of the probe side, which is read to its end even if no table wants its rows. Rows
    /// flow while this is kept.
    pub ending: BatchStream,
}

/// Deals the probe side out while it is read. Before they go to their table, shares wait for up to `gather` bytes.
pub fn route_probe(deal: Deal, rows: BatchStream, gather: usize, context: &StepContext) -> Routed {
    let schema = rows.schema();
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..deal.places).map(|_| mpsc::channel(WAITING_SHARES)).unzip();
    let router = compute::spawn(route(deal, rows, gather, senders, context.clone()));
    let ending = stream::once(async move {
        match router.await {
            Ok(outcome) => outcome,
            Err(error) => Err(Fault::internal(error)),
        }
    });
    let ending = ending.filter_map(|outcome| async move { outcome.err().map(Err) });
    let streams = receivers.into_iter().map(|receiver| BatchStream::new(schema.clone(), receiver));
    Routed { streams: streams.collect(), ending: BatchStream::new(schema.clone(), ending) }
}

type Sender = mpsc::Sender<Result<RecordBatch, Fault>>;

async fn route(
    deal: Deal,
    rows: BatchStream,
    gather: usize,
    mut tables: Vec<Sender>,
    context: StepContext,
) -> Result<(), Fault> {
    let outcome = feed(deal, rows, gather, &mut tables, &context).await;
    if let Err(fault) = &outcome {
        // No table may take it for the end and give the rows that found no match yet.
        for table in &mut tables {
            let _gone = table.send(Err(fault.clone())).await;
        }
    }
    outcome
}

async fn feed(
    deal: Deal,
    rows: BatchStream,
    gather: usize,
    tables: &mut [Sender],
    context: &StepContext,
) -> Result<(), Fault> {
    let schema = rows.schema();
    let mut waiting: Vec<Few> = tables.iter().map(|_| Few::default()).collect();
    let mut dealt = deal.shares(rows, context).boxed();
    while let Some(shares) = dealt.try_next().await? {
        for (place, share) in shares {
            // A table without rows may be done before its probe side has come.
            if tables[place].is_closed() {
                continue;
            }
            waiting[place].push(share);
            if waiting[place].reaches(SHARE_ROWS, gather) {
                send(&mut tables[place], waiting[place].take(&schema, WHOLE)?).await;
            }
        }
    }
    for (table, few) in tables.iter_mut().zip(&mut waiting) {
        send(table, few.take(&schema, WHOLE)?).await;
    }
    Ok(())
}

async fn send(table: &mut Sender, batches: Vec<RecordBatch>) {
    for batch in batches {
        let _gone = table.send(Ok(batch)).await;
    }
}
