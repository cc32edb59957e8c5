//! Several portions at a time, and their rows in order.
//!
//! So many are under way that all requests are busy, also where each row comes as a batch of its own, and no more than the
//! memory budget has room for; one always is.

use crate::asker::Asker;
use crate::bill::Bill;
use crate::client::Client;
use crate::dry::Estimate;
use crate::memo::Outcome;
use crate::params::OnError;
use crate::plan::Run;
use crate::portion::{Portion, portions};
use crate::work::{Filling, Work};
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_stream::try_stream;
use flight_common::{BatchStream, Fault, MemoryBudget, StepContext, compute};
use futures::stream::{self, FuturesOrdered};
use futures::{StreamExt, pin_mut};
use std::sync::Arc;
use tokio_util::task::AbortOnDropHandle;

/// What portions share.
struct Shared {
    work: Arc<Work>,
    schema: SchemaRef,
    column: String,
    on_error: OnError,
    concurrency: usize,
    most_tokens: u64,
    bill: Arc<Bill>,
    mind: Mind,
}

/// Who answers.
enum Mind {
    /// The model server.
    Model(Box<Asker>),
    /// Nobody.
    None(Estimate),
}

/// The rows of the input, completed.
///
/// # Errors
/// As [`Client::new`].
pub fn completed(input: BatchStream, run: Run, context: &StepContext) -> Result<BatchStream, Fault> {
    let (budget, meter) = (context.budget().clone(), context.meter.clone());
    let bill = Arc::new(Bill::new(meter.clone(), run.prices));
    let most_tokens = run.manner.most_tokens();
    let mind = match run.endpoint {
        Some(endpoint) => {
            meter.detail("model", run.manner.model.clone());
            let asker = Asker::new(Client::new(endpoint)?, run.limits, &budget, bill.clone());
            Mind::Model(Box::new(asker))
        }
        None => Mind::None(Estimate::new(&run.manner, run.prices, meter, &budget)),
    };
    let work = Arc::new(run.work);
    let shared = Arc::new(Shared {
        work: work.clone(),
        schema: run.schema.clone(),
        column: run.column,
        on_error: run.on_error,
        concurrency: run.limits.concurrency,
        most_tokens,
        bill: bill.clone(),
        mind,
    });
    let source = portions(input, work, run.max_rows, bill);
    let rows = try_stream! {
        pin_mut!(source);
        let mut window = Window { shared, budget, under_way: FuturesOrdered::new(), parked: None };
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
    Ok(BatchStream::new(run.schema, rows))
}

enum Event {
    Came(Option<Result<Portion, Fault>>),
    Done(Result<Result<RecordBatch, Fault>, tokio::task::JoinError>),
}

/// The portions under way.
struct Window {
    shared: Arc<Shared>,
    budget: MemoryBudget,
    under_way: FuturesOrdered<AbortOnDropHandle<Result<RecordBatch, Fault>>>,
    /// One for which there was no memory.
    parked: Option<Portion>,
}

impl Window {
    fn has_room(&self) -> bool {
        self.parked.is_none() && self.under_way.len() < self.shared.concurrency
    }

    /// Starts a portion, or puts it aside until another one has given its memory back.
    fn take(&mut self, mut portion: Portion) {
        portion.reserved = self.budget.try_reserve(portion.bytes(self.shared.most_tokens));
        if portion.reserved.is_none() && !self.under_way.is_empty() {
            self.parked = Some(portion);
            return;
        }
        // A task of its own, so that requests go on while the reader of the output takes its time.
        self.under_way.push_back(compute::spawn(complete(self.shared.clone(), portion)));
    }

    fn take_parked(&mut self) {
        if let Some(portion) = self.parked.take() {
            self.take(portion);
        }
    }
}

async fn complete(shared: Arc<Shared>, portion: Portion) -> Result<RecordBatch, Fault> {
    let prompts = shared.work.prompts(&portion.rows, &portion.wanted)?;
    let outcomes = stream::iter(prompts).map(|prompt| {
        let shared = shared.clone();
        async move { shared.ask(&prompt).await }
    });
    let mut outcomes = outcomes.buffered(shared.concurrency);
    let mut fillings = Vec::with_capacity(portion.wanted.len());
    while let Some(outcome) = outcomes.next().await {
        let row = portion.first + portion.wanted[fillings.len()] as u64 + 1;
        fillings.push(match outcome {
            Some(outcome) => shared.filling(outcome, row)?,
            None => Filling::Nothing,
        });
    }
    shared.work.fill(&portion.rows, &shared.schema, &portion.wanted, &fillings)
}

impl Shared {
    async fn ask(&self, prompt: &str) -> Option<Outcome> {
        match &self.mind {
            Mind::Model(asker) => Some(asker.ask(prompt).await),
            Mind::None(estimate) => {
                estimate.see(prompt, &self.bill);
                None
            }
        }
    }

    /// What a row gets. Rows are counted from 1.
    fn filling(&self, outcome: Outcome, row: u64) -> Result<Filling, Fault> {
        let trouble = match outcome {
            Ok(words) => {
                self.bill.count("rows_completed", 1);
                return Ok(Filling::Words(words));
            }
            Err(trouble) if trouble.ends_all() => return Err(trouble.fault),
            Err(trouble) => trouble,
        };
        let fault = trouble.fault;
        match self.on_error {
            OnError::Fail => {
                let help = fault.help_text().unwrap_or("another attempt may do better");
                let help = format!("{help}; `on_error` says what else may become of such a row");
                Err(fault.help(help).row(row).column(&self.column))
            }
            OnError::Null => {
                self.bill.failed(row, fault.message());
                Ok(Filling::Null)
            }
            OnError::Keep => {
                self.bill.failed(row, fault.message());
                Ok(Filling::Nothing)
            }
        }
    }
}
