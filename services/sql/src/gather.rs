//! Which inputs are read ahead, and how far.
//!
//! A query that reads each of its inputs once and joins nothing streams. A join needs to know which of its sides is
//! small: so the beginning of each input is read, and one that ends within it is a small table, all of it in memory. What
//! the query reads more than once, and is not small, goes to a spool.

use crate::plan::Query;
use crate::session::Settings;
use crate::tables::{InputTable, Live, Rows, Small};
use arrow::array::RecordBatch;
use datafusion::common::Result as DataFusionResult;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::logical_expr::LogicalPlan;
use flight_common::wire::row_bytes;
use flight_common::{BatchStream, Fault, Reservation, SpoolWriter, StepContext};
use futures::stream::FuturesUnordered;
use futures::{StreamExt, TryStreamExt, stream};
use queries::WorkingMemory;
use std::collections::HashMap;
use std::sync::Arc;

/// The part of the memory up to which a table is small.
const SMALL_SHARE: usize = 8;

/// The inputs of a query, ready to be read.
pub struct Gathered {
    /// How the query is to be run over them.
    pub settings: Settings,
    /// What is still to be read, by whomever.
    pub live: Vec<Live>,
}

/// How a query reads its tables.
struct Use {
    times: HashMap<String, usize>,
    joins: bool,
}

/// Fills the tables of a query with its inputs.
///
/// # Errors
/// A fault of an input; [`flight_common::FaultKind::Busy`] when a spool finds no place.
pub async fn gather(
    query: &Query,
    inputs: Vec<BatchStream>,
    memory: &WorkingMemory,
    context: &StepContext,
) -> Result<Gathered, Fault> {
    let uses = uses(&query.plan).map_err(queries::fault)?;
    let times = |table: &InputTable| uses.times.get(&table.name).copied().unwrap_or(0);
    if query.tables.iter().any(|table| times(table) > 1) {
        memory.keep_back();
    }
    let most = memory.most();
    let small = most / SMALL_SHARE;
    let work = query.tables.iter().zip(inputs).enumerate().map(|(place, (table, input))| {
        let input = counted(queries::shaped(input, most), table, context);
        let times = times(table);
        let read_ahead = times > 1 || (uses.joins && times == 1);
        async move {
            if times == 0 {
                return Ok::<_, Fault>((place, live(table, input, times), 0));
            }
            let (input, row_bytes) = begun(input).await?;
            let live = match read_ahead {
                true => fill(table, input, times, small, context).await?,
                false => live(table, input, times),
            };
            Ok((place, live, row_bytes.max(queries::row_bytes(table.columns()))))
        }
    });
    // The first that fails is told at once.
    let mut filled: Vec<(usize, Option<Live>, usize)> = work.collect::<FuturesUnordered<_>>().try_collect().await?;
    filled.sort_by_key(|(place, ..)| *place);
    let large: usize = query.tables.iter().filter(|table| !table.is_small()).map(|table| times(table)).sum();
    let read = filled.iter().map(|(.., row_bytes)| *row_bytes).sum::<usize>() + queries::row_bytes(&query.schema);
    let row_bytes = read.max(queries::widest_row(&query.plan)?);
    let settings = Settings { memory: most, row_bytes, hash_joins: large <= 1, small: small * 2 };
    if uses.joins {
        context.meter.detail("join", if settings.hash_joins { "hash" } else { "merge" });
    }
    Ok(Gathered { settings, live: filled.into_iter().filter_map(|(_, live, _)| live).collect() })
}

/// A table that is read as it comes. One that the query needs no rows of is left empty; its input is read all the same.
fn live(table: &InputTable, input: BatchStream, times: usize) -> Option<Live> {
    let live = Live::new(input);
    if times > 0 {
        table.fill(Rows::Live(live.clone()));
    }
    Some(live)
}

/// The rows with the first batch looked at: how many bytes a row has.
async fn begun(mut input: BatchStream) -> Result<(BatchStream, usize), Fault> {
    let schema = input.schema();
    let first = input.try_next().await?;
    let row_bytes = first.as_ref().map_or(0, |batch| row_bytes(batch) / batch.num_rows().max(1));
    let rows = stream::iter(first.map(Ok)).chain(input);
    Ok((BatchStream::new(schema, rows), row_bytes))
}

/// Reads a table ahead: all of it if it is small, or if it is read more than once.
async fn fill(
    table: &InputTable,
    mut input: BatchStream,
    times: usize,
    small: usize,
    context: &StepContext,
) -> Result<Option<Live>, Fault> {
    let schema = input.schema();
    let mut memory = context.budget().reservation();
    let mut batches: Vec<RecordBatch> = Vec::new();
    let mut next = None;
    while let Some(batch) = input.try_next().await? {
        let bytes = row_bytes(&batch);
        if memory.bytes() + bytes > small || !memory.try_grow(bytes) {
            next = Some(batch);
            break;
        }
        batches.push(batch);
    }
    let Some(next) = next else {
        table.fill(Rows::Small(Arc::new(Small { batches, _memory: memory })));
        return Ok(None);
    };
    let ahead = ahead(batches, memory).chain(stream::iter([Ok(next)]));
    let mut rows = BatchStream::new(schema, ahead.chain(input));
    if times == 1 {
        return Ok(live(table, rows, times));
    }
    let mut spool = SpoolWriter::new(context.space(), rows.schema());
    spool.push_all(&mut rows).await?;
    table.fill(Rows::Kept(Arc::new(spool.finish())));
    Ok(None)
}

/// Batches that were read ahead; the memory of each is given back as it leaves.
fn ahead(
    batches: Vec<RecordBatch>,
    memory: Reservation,
) -> impl futures::Stream<Item = Result<RecordBatch, Fault>> + Send + 'static {
    stream::iter(batches.into_iter().scan(memory, |memory, batch| {
        memory.shrink(row_bytes(&batch));
        Some(Ok(batch))
    }))
}

/// The rows, counted for the report.
fn counted(input: BatchStream, table: &InputTable, context: &StepContext) -> BatchStream {
    let (meter, name) = (context.meter.clone(), format!("rows_{}", table.name));
    meter.count(&name, 0);
    input.wrap(|items| {
        items.inspect(move |item| {
            if let Ok(batch) = item {
                meter.count(&name, batch.num_rows() as u64);
            }
        })
    })
}

/// How often each table is read, and whether anything is joined.
fn uses(plan: &LogicalPlan) -> DataFusionResult<Use> {
    let mut found = Use { times: HashMap::new(), joins: false };
    plan.apply_with_subqueries(|node| {
        match node {
            LogicalPlan::TableScan(scan) => *found.times.entry(scan.table_name.table().to_owned()).or_default() += 1,
            LogicalPlan::Join(_) => found.joins = true,
            _ => {}
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found)
}
