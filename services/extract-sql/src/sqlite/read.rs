//! The rows of a query. SQLite blocks while it reads, so a thread of its own steps through them and hands on batches; it
//! stops when nobody listens any more, also while SQLite computes.

use super::Query;
use super::cells::Cells;
use super::open::{Open, bound};
use crate::trouble::Trouble;
use arrow::array::{RecordBatch, RecordBatchOptions};
use async_stream::try_stream;
use databases::sqlite;
use flight_common::{BATCH_ROWS, BatchStream, Fault, Parcel, Reservation, StepContext};
use rusqlite::{Row, params_from_iter};
use tokio::sync::mpsc::{Sender, channel};
use tokio::task::spawn_blocking;

/// Bytes that make a batch, if rows do not.
const BYTES: usize = 2 << 20;

type Item = Result<(RecordBatch, Reservation), Fault>;

/// The rows.
pub fn rows(query: Query, context: StepContext) -> BatchStream {
    let schema = query.schema.clone();
    BatchStream::new(
        schema,
        try_stream! {
            let (sender, mut receiver) = channel(1);
            // It ends by itself when the receiver is gone.
            let reader = spawn_blocking(move || {
                if let Err(fault) = read(query, &context, &sender) {
                    // Nobody may be left to be told.
                    let _ = sender.blocking_send(Err(fault));
                }
            });
            while let Some(item) = receiver.recv().await {
                let (batch, _booked) = item?;
                yield batch;
            }
            reader.await.map_err(Fault::internal)?;
        },
    )
}

fn read(query: Query, context: &StepContext, sender: &Sender<Item>) -> Result<(), Fault> {
    let root = &context.env.data_root;
    let listening = sender.clone();
    let open = Open::new(root, &query.address, &query.options, move || listening.is_closed())?;
    let now = sqlite::identity(root, &query.address)?;
    if now != query.identity {
        let message = format!("the source changed since it was planned: it was {}, it is {now}", query.identity);
        return Err(Fault::bad_data(message).help("run the pipeline again, when nobody writes to the source"));
    }
    let mut statement = open.prepare(&query.options)?;
    let values = params_from_iter(bound(&query.options.values)?);
    let mut rows = statement.query(values).map_err(|error| open.fault(&error))?;
    let mut draft = Draft::new(&query);
    let mut before = 0;
    while let Some(row) = rows.next().map_err(|error| open.fault(&error))? {
        draft.push(row).map_err(|error| match error {
            RowError::Trouble(trouble) => trouble.fault(before),
            RowError::Sqlite(error) => open.fault(&error),
        })?;
        query.options.check_rows(before + draft.rows as u64)?;
        if draft.rows >= BATCH_ROWS || draft.bytes >= BYTES {
            before += draft.rows as u64;
            let full = std::mem::replace(&mut draft, Draft::new(&query));
            if !send(full, context, sender)? {
                return Ok(());
            }
        }
    }
    if draft.rows > 0 {
        send(draft, context, sender)?;
    }
    Ok(())
}

/// Whether anybody listens.
fn send(draft: Draft<'_>, context: &StepContext, sender: &Sender<Item>) -> Result<bool, Fault> {
    let batch = draft.finish()?;
    let mut booked = context.budget().reservation();
    booked.grow(batch.bytes());
    Ok(sender.blocking_send(Ok((batch, booked))).is_ok())
}

/// A batch under way.
struct Draft<'a> {
    query: &'a Query,
    columns: Vec<Cells>,
    rows: usize,
    bytes: usize,
}

enum RowError {
    Trouble(Trouble),
    Sqlite(rusqlite::Error),
}

impl<'a> Draft<'a> {
    fn new(query: &'a Query) -> Self {
        Self { query, columns: query.forms.iter().map(|form| Cells::new(*form)).collect(), rows: 0, bytes: 0 }
    }

    fn push(&mut self, row: &Row<'_>) -> Result<(), RowError> {
        for (place, cells) in self.columns.iter_mut().enumerate() {
            let value = row.get_ref(place).map_err(RowError::Sqlite)?;
            self.bytes += cells.push(value).map_err(|wrong| {
                let column = self.query.schema.field(place).name().clone();
                RowError::Trouble(Trouble { row: self.rows as u64, column, wrong })
            })?;
        }
        self.rows += 1;
        Ok(())
    }

    fn finish(self) -> Result<RecordBatch, Fault> {
        let columns = self.columns.into_iter().map(Cells::finish).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows));
        Ok(RecordBatch::try_new_with_options(self.query.schema.clone(), columns, &options)?)
    }
}
