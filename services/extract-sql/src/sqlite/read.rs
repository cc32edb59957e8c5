//! The rows of a query. SQLite blocks while it reads, so a thread of its own steps through them and hands on batches; it
//! stops when nobody listens any more, also while SQLite computes.

use super::Query;
use super::cells::Cells;
use super::open::{Open, bound};
use crate::draft::{CellError, Draft};
use arrow::array::RecordBatch;
use async_stream::try_stream;
use databases::sqlite;
use flight_common::{BatchStream, Fault, Parcel, Reservation, StepContext};
use rusqlite::params_from_iter;
use tokio::sync::mpsc::{Sender, channel};
use tokio::task::spawn_blocking;

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
    let open = Open::new(root, &query.address, query.options.timeout, move || listening.is_closed())?;
    let now = sqlite::identity(root, &query.address)?;
    if now != query.identity {
        let message = format!("the source changed since it was planned: it was {}, it is {now}", query.identity);
        return Err(Fault::bad_data(message).help("run the pipeline again, when nobody writes to the source"));
    }
    let mut statement = open.prepare(&query.options)?;
    let values = params_from_iter(bound(&query.options.values)?);
    let mut rows = statement.query(values).map_err(|error| open.fault(&error))?;
    let empty = || {
        let columns = query.forms.iter().map(|form| Cells::new(*form)).collect();
        Draft::new(query.schema.clone(), columns)
    };
    let (mut draft, mut before) = (empty(), 0);
    while let Some(row) = rows.next().map_err(|error| open.fault(&error))? {
        let pushed = draft.push(|place, cells| {
            let value = row.get_ref(place).map_err(|error| CellError::Fault(open.fault(&error)))?;
            Ok(cells.push(value)?)
        });
        pushed.map_err(|error| error.fault(before))?;
        query.options.check_rows(before + draft.rows() as u64)?;
        if draft.is_full() {
            before += draft.rows() as u64;
            if !send(std::mem::replace(&mut draft, empty()), context, sender)? {
                return Ok(());
            }
        }
    }
    if draft.rows() > 0 {
        send(draft, context, sender)?;
    }
    Ok(())
}

/// Whether anybody listens.
fn send(draft: Draft<Cells>, context: &StepContext, sender: &Sender<Item>) -> Result<bool, Fault> {
    let batch = draft.finish()?;
    let mut booked = context.budget().reservation();
    booked.grow(batch.bytes());
    Ok(sender.blocking_send(Ok((batch, booked))).is_ok())
}
