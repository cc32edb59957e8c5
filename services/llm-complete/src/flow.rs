//! Several portions at a time, and their rows in order.
//!
//! So many are under way that all requests are busy, also where each row comes as a batch of its own, and no more than the
//! memory budget has room for; one always is. One whose answers are long leaves in parts, each in its turn.

use crate::local::Shelf;
use crate::plan::Run;
use crate::portion::{Portion, portions};
use crate::rows::{Completed, Rows};
use async_stream::try_stream;
use flight_common::{BatchStream, Fault, MemoryBudget, Reservation, StepContext, compute};
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
    let budget = context.budget().clone();
    let mut window = Window { rows, budget, under_way: FuturesOrdered::new(), wanted: 0, parked: None };
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
                    let Completed { rows, wanted, rest, room } = done.map_err(Fault::internal)??;
                    // From here on its reader has it on the books.
                    drop(room);
                    window.wanted -= wanted;
                    window.go_on(rest);
                    if rows.num_rows() > 0 {
                        yield rows;
                    }
                }
            }
        }
    };
    Ok(BatchStream::new(schema, batches))
}

/// Rows that want an answer with which no further portion is begun: many times as many as there are requests at a time.
const MOST_WANTED: usize = 4096;

enum Event {
    Came(Option<Result<Portion, Fault>>),
    Done(Result<Result<Completed, Fault>, JoinError>),
}

type Task = AbortOnDropHandle<Result<Completed, Fault>>;

/// The portions under way.
struct Window {
    rows: Arc<Rows>,
    budget: MemoryBudget,
    under_way: FuturesOrdered<Task>,
    /// Their rows that want an answer.
    wanted: usize,
    /// One for which there was no memory.
    parked: Option<Portion>,
}

impl Window {
    fn has_room(&self) -> bool {
        self.parked.is_none() && self.under_way.len() < self.rows.concurrency && self.wanted < MOST_WANTED
    }

    /// Starts a portion, or puts it aside until another one has given its memory back.
    fn take(&mut self, portion: Portion) {
        match self.reserve(&portion) {
            None if !self.under_way.is_empty() => self.parked = Some(portion),
            reserved => {
                self.wanted += portion.wanted.len();
                self.under_way.push_back(self.begin(portion, reserved));
            }
        }
    }

    fn reserve(&self, portion: &Portion) -> Option<Reservation> {
        self.budget.try_reserve(portion.bytes(self.rows.most_tokens))
    }

    /// A task of its own, so that requests go on while the reader of the output takes its time.
    fn begin(&self, portion: Portion, reserved: Option<Reservation>) -> Task {
        let reserved = reserved.unwrap_or_else(|| self.budget.reservation());
        compute::spawn(self.rows.clone().complete(portion, reserved))
    }

    /// Begins what follows next: the rest of the portion that has left in part, and one that was put aside.
    fn go_on(&mut self, rest: Option<Portion>) {
        if let Some(rest) = rest {
            let reserved = self.reserve(&rest);
            self.under_way.push_front(self.begin(rest, reserved));
        }
        if let Some(portion) = self.parked.take() {
            self.take(portion);
        }
    }
}
