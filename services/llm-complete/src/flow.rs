//! Several portions at a time, and their rows in order.
//!
//! So many are under way that all requests are busy, also where each row comes as a batch of its own, and no more than the
//! memory budget has room for; one always is.

use crate::local::Shelf;
use crate::plan::Run;
use crate::portion::{Portion, portions};
use crate::rows::Rows;
use arrow::array::RecordBatch;
use async_stream::try_stream;
use flight_common::{BatchStream, Fault, MemoryBudget, StepContext, compute};
use futures::stream::FuturesOrdered;
use futures::{StreamExt, pin_mut};
use std::sync::Arc;
use tokio::task::JoinError;
use tokio_util::task::AbortOnDropHandle;

/// The rows of the input, completed.
///
/// # Errors
/// As [`Rows::new`].
pub fn completed(input: BatchStream, run: Run, shelf: Shelf, context: &StepContext) -> Result<BatchStream, Fault> {
    let (schema, max_rows) = (run.schema.clone(), run.max_rows);
    let rows = Rows::new(run, shelf, context)?;
    let source = portions(input, rows.work.clone(), max_rows, rows.bill.clone());
    let mut window = Window { rows, budget: context.budget().clone(), under_way: FuturesOrdered::new(), parked: None };
    let batches = try_stream! {
        pin_mut!(source);
        let mut open = true;
        loop {
            let event = tokio::select! {
                biased;
                Some(done) = window.under_way.next() => Event::Done(done),
                portion = source.next(), if open && window.has_room() => Event::Came(portion),
                else => break,
            };
            match event {
                Event::Came(Some(portion)) => window.take(portion?),
                Event::Came(None) => open = false,
                Event::Done(done) => {
                    window.take_parked();
                    let batch = done.map_err(Fault::internal)??;
                    if batch.num_rows() > 0 {
                        yield batch;
                    }
                }
            }
        }
    };
    Ok(BatchStream::new(schema, batches))
}

enum Event {
    Came(Option<Result<Portion, Fault>>),
    Done(Result<Result<RecordBatch, Fault>, JoinError>),
}

/// The portions under way.
struct Window {
    rows: Arc<Rows>,
    budget: MemoryBudget,
    under_way: FuturesOrdered<AbortOnDropHandle<Result<RecordBatch, Fault>>>,
    /// One for which there was no memory.
    parked: Option<Portion>,
}

impl Window {
    fn has_room(&self) -> bool {
        self.parked.is_none() && self.under_way.len() < self.rows.concurrency
    }

    /// Starts a portion, or puts it aside until another one has given its memory back.
    fn take(&mut self, mut portion: Portion) {
        portion.reserved = self.budget.try_reserve(portion.bytes(self.rows.most_tokens));
        if portion.reserved.is_none() && !self.under_way.is_empty() {
            self.parked = Some(portion);
            return;
        }
        // A task of its own, so that requests go on while the reader of the output takes its time.
        self.under_way.push_back(compute::spawn(self.rows.clone().complete(portion)));
    }

    fn take_parked(&mut self) {
        if let Some(portion) = self.parked.take() {
            self.take(portion);
        }
    }
}
