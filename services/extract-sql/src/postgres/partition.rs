//! A query read in ranges of a column, over several connections at once, from one snapshot.
//!
//! A first transaction exports its snapshot and stays open while the others see it. Each range is read into a queue of its
//! own, which goes to disk when memory is short; the queues are emptied one after the other.

use super::describe::check_unchanged;
use super::piece::Layout;
use super::read::{self, Isolation};
use super::types::Form;
use super::{Query, batches};
use crate::options::PartitionBy;
use arrow::array::RecordBatch;
use async_stream::try_stream;
use databases::postgres::Session;
use databases::quote;
use flight_common::spool::{SpillReceiver, SpillSender, spill_queue};
use flight_common::{Fault, StepContext, columns, compute};
use futures::{Stream, StreamExt, TryStreamExt};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use tokio_util::task::AbortOnDropHandle;

/// How a query is cut.
pub struct Partition {
    /// The column, quoted.
    column: String,
    values: Values,
    count: u32,
}

/// What the values of the column are, and how they are counted.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Values {
    Whole,
    Date,
    Timestamp,
    Instant,
}

impl Partition {
    /// Looks the column up.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::BadSchema`] if it is not there or cannot be cut into ranges.
    pub fn new(by: &PartitionBy, layout: &Layout) -> Result<Self, Fault> {
        const POINTER: &str = "/partition_column";
        let place = columns::find(&layout.schema, &by.column, POINTER)?;
        let values = match &layout.forms[place] {
            Form::Int2 | Form::Int4 | Form::Int8 => Values::Whole,
            Form::Date => Values::Date,
            Form::Timestamp { utc: false } => Values::Timestamp,
            Form::Timestamp { utc: true } => Values::Instant,
            other => {
                return Err(columns::wrong_type(
                    &by.column,
                    &other.data_type(),
                    "whole numbers, dates or timestamps",
                    POINTER,
                ));
            }
        };
        Ok(Self { column: quote::double(&by.column), values, count: by.count })
    }

    /// The query for the least and the greatest value, counted from 2000 where they are times.
    fn bounds_query(&self, query: &str) -> String {
        let column = &self.column;
        let counted = |value: String| match self.values {
            Values::Whole => format!("{value}::int8"),
            Values::Date => format!("({value} - date '2000-01-01')::int8"),
            Values::Timestamp => micros(&value, "timestamp '2000-01-01'"),
            Values::Instant => micros(&value, "timestamptz '2000-01-01 00:00:00+00'"),
        };
        let (least, greatest) = (counted(format!("min({column})")), counted(format!("max({column})")));
        format!("SELECT {least}, {greatest} FROM ({query}\n) AS quiver_rows")
    }

    /// The value at this count, as SQL.
    fn literal(&self, count: i64) -> String {
        match self.values {
            Values::Whole => format!("({count})"),
            Values::Date => format!("(date '2000-01-01' + ({count}))"),
            Values::Timestamp => format!("(timestamp '2000-01-01' + ({count}) * interval '1 microsecond')"),
            Values::Instant => format!("(timestamptz '2000-01-01 00:00:00+00' + ({count}) * interval '1 microsecond')"),
        }
    }

    /// The query of each range: the first is open below, the last above, and takes the nulls.
    fn queries(&self, query: &str, bounds: Option<(i64, i64)>) -> Vec<String> {
        let cuts = bounds.map(|(least, greatest)| cuts(least, greatest, self.count)).unwrap_or_default();
        let literals: Vec<String> = cuts.into_iter().map(|cut| self.literal(cut)).collect();
        let column = &self.column;
        let range = |place: usize| {
            let from = place.checked_sub(1).map(|before| format!("{column} >= {}", literals[before]));
            let to = literals.get(place).map(|to| format!("{column} < {to}"));
            match (from, to) {
                (None, None) => "true".to_owned(),
                (None, Some(to)) => to,
                (Some(from), Some(to)) => format!("{from} AND {to}"),
                (Some(from), None) => format!("{from} OR {column} IS NULL"),
            }
        };
        let ranges = (0..=literals.len()).map(range);
        ranges.map(|range| format!("SELECT * FROM ({query}\n) AS quiver_rows WHERE {range}")).collect()
    }
}

fn micros(value: &str, from: &str) -> String {
    format!("floor(extract(epoch FROM {value} - {from}) * 1000000)::int8")
}

/// Where to cut: at most `count` − 1 values that grow.
fn cuts(least: i64, greatest: i64, count: u32) -> Vec<i64> {
    let (least, width, count) = (i128::from(least), i128::from(greatest) - i128::from(least) + 1, i128::from(count));
    let mut cuts: Vec<i64> = (1..count)
        .filter_map(|place| i64::try_from(least + width * place / count).ok())
        .filter(|cut| i128::from(*cut) > least)
        .collect();
    cuts.dedup();
    cuts
}

/// The rows of all ranges, in their order.
pub fn rows(
    query: Arc<Query>,
    context: StepContext,
) -> impl Stream<Item = Result<RecordBatch, Fault>> + Send + 'static {
    try_stream! {
        let first = Session::open(&query.address).await?;
        let snapshot = read::waited(&query, async {
            read::begin(&first, &query.options, Isolation::Transaction).await?;
            check_unchanged(&first, &query.options, &query.layout).await?;
            exported(&first).await
        })
        .await??;
        let queries = match &query.partition {
            Some(partition) => partition.queries(&query.options.query, bounds(&first, &query, partition).await?),
            None => Vec::new(),
        };
        let shared = Shared { query: query.clone(), context, snapshot, total: Arc::default() };
        let ranges: Vec<_> = queries.into_iter().enumerate().map(|(place, sql)| start(shared.clone(), place, sql)).collect();
        for (mut queue, task) in ranges {
            while let Some(batch) = queue.next().await {
                yield batch?;
            }
            task.await.map_err(Fault::internal)?;
        }
        read::finish(&query, first).await?;
    }
}

async fn exported(session: &Session) -> Result<String, Fault> {
    let row = session.client().query_one("SELECT pg_export_snapshot()", &[]).await;
    row.and_then(|row| row.try_get(0)).map_err(|error| session.fault(&error))
}

/// The least and the greatest value; nothing where there is none.
async fn bounds(session: &Session, query: &Query, partition: &Partition) -> Result<Option<(i64, i64)>, Fault> {
    let mut rows = pin!(read::ask(session, query, &partition.bounds_query(&query.options.query)).await?);
    let row = read::waited(query, rows.try_next()).await?.map_err(|error| session.fault(&error))?;
    let row = row.ok_or_else(|| Fault::upstream("the database gave no bounds of the partition column"))?;
    let value = |place| row.try_get::<usize, Option<i64>>(place).map_err(Fault::internal);
    Ok(value(0)?.zip(value(1)?))
}

type Range = (SpillReceiver<RecordBatch>, AbortOnDropHandle<()>);

/// What the ranges share.
#[derive(Clone)]
struct Shared {
    query: Arc<Query>,
    context: StepContext,
    snapshot: String,
    total: Arc<AtomicU64>,
}

/// Starts to read a range. Dropping it stops the reading.
fn start(shared: Shared, place: usize, sql: String) -> Range {
    let (sender, receiver) = spill_queue(shared.context.space(), shared.query.layout.schema.clone());
    let task = compute::spawn(async move {
        let end = range(shared, sql, &sender).await;
        sender.finish(end.map_err(|fault| of_range(fault, place)));
    });
    (receiver, task)
}

async fn range(shared: Shared, sql: String, sender: &SpillSender<RecordBatch>) -> Result<(), Fault> {
    let (query, context) = (shared.query.clone(), shared.context.clone());
    let pieces = try_stream! {
        let Shared { query, context, snapshot, total } = shared;
        let session = Session::open(&query.address).await?;
        read::waited(&query, read::begin(&session, &query.options, Isolation::Snapshot(&snapshot))).await??;
        {
            let mut pieces = pin!(read::pieces(&session, &query, &sql, &context, &total));
            while let Some(piece) = pieces.next().await {
                yield piece?;
            }
        }
        read::finish(&query, session).await?;
    };
    let mut batches = pin!(batches(query, &context, pieces));
    while let Some(batch) = batches.next().await {
        if !sender.push(batch?)? {
            break;
        }
    }
    Ok(())
}

/// Rows are counted within their range.
fn of_range(fault: Fault, place: usize) -> Fault {
    match fault.row_number() {
        None => fault,
        Some(_) => {
            let told = Fault::new(fault.kind(), format!("range {}, {}", place + 1, fault.message()));
            let told = told.column(fault.column_name().unwrap_or_default());
            told.help(fault.help_text().unwrap_or_default())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(values: Values, count: u32) -> Partition {
        Partition { column: "\"id\"".to_owned(), values, count }
    }

    #[test]
    fn ranges_are_cut_evenly_and_cover_all() {
        assert_eq!(cuts(1, 100, 4), [26, 51, 76]);
        assert_eq!(cuts(5, 5, 4), [0i64; 0]);
        assert_eq!(cuts(1, 2, 4), [2]);
        assert_eq!(cuts(i64::MIN, i64::MAX, 2), [0]);
    }

    #[test]
    fn the_last_range_takes_the_nulls() {
        let queries = partition(Values::Whole, 2).queries("SELECT id FROM t", Some((-10, 9)));
        let begin = "SELECT * FROM (SELECT id FROM t\n) AS quiver_rows WHERE ";
        assert_eq!(queries, [format!("{begin}\"id\" < (0)"), format!("{begin}\"id\" >= (0) OR \"id\" IS NULL")]);
        assert_eq!(partition(Values::Date, 2).queries("q", None), ["SELECT * FROM (q\n) AS quiver_rows WHERE true"]);
    }
}
