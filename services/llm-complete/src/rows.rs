//! What is known to all rows of a run: who answers, and what a row gets.

use crate::answerer::Answerer;
use crate::asker::Asker;
use crate::bill::Bill;
use crate::client::Client;
use crate::dry::{Estimate, Tokens};
use crate::local::{Counter, Local, Shelf};
use crate::memo::Outcome;
use crate::params::OnError;
use crate::plan::{Run, Whom};
use crate::portion::Portion;
use crate::room::Room;
use crate::work::{Filling, Work};
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use flight_common::{Fault, Reservation, StepContext};
use futures::future;
use futures::stream::{self, StreamExt};
use std::sync::Arc;

/// Completes portions.
pub struct Rows {
    /// What is completed.
    pub work: Arc<Work>,
    /// What is counted.
    pub bill: Arc<Bill>,
    /// Requests under way at a time.
    pub concurrency: usize,
    /// Tokens that an answer may have.
    pub most_tokens: u64,
    schema: SchemaRef,
    column: String,
    on_error: OnError,
    mind: Mind,
}

/// Rows that leave.
pub struct Completed {
    /// The rows.
    pub rows: RecordBatch,
    /// How many of them wanted an answer.
    pub wanted: usize,
    /// Those of the portion that follow them, if its answers were too much to wait for all.
    pub rest: Option<Portion>,
    /// What the answers take until the rows leave.
    pub room: Arc<Room>,
}

/// Who answers.
enum Mind {
    /// The model.
    Model(Box<Asker>),
    /// Nobody.
    None(Estimate),
}

impl Rows {
    /// Those of a run.
    ///
    /// # Errors
    /// As [`Client::new`].
    pub fn new(run: Run, shelf: Shelf, context: &StepContext) -> Result<Arc<Self>, Fault> {
        let bill = Arc::new(Bill::new(context.meter.clone(), run.prices));
        let system = run.manner.system.as_deref();
        let mind = match (run.whom, run.dry_run) {
            (Some(whom), false) => {
                context.meter.detail("model", run.manner.model.clone());
                let answerer = match whom {
                    Whom::Server(endpoint) => Answerer::Server(Box::new(Client::new(*endpoint)?)),
                    Whom::Local(chosen) => Answerer::Local(Local::new(*chosen, system, shelf, context)),
                };
                Mind::Model(Box::new(Asker::new(answerer, run.limits, context.budget(), bill.clone())))
            }
            (whom, _) => {
                let tokens = match whom {
                    Some(Whom::Local(chosen)) => Tokens::Counted(Counter::new(*chosen, system, context)),
                    _ => Tokens::about(&run.manner),
                };
                Mind::None(Estimate::new(&run.manner, tokens, run.prices, context.meter.clone(), context.budget()))
            }
        };
        Ok(Arc::new(Self {
            work: Arc::new(run.work),
            bill,
            concurrency: run.limits.concurrency,
            most_tokens: run.manner.most_tokens(),
            schema: run.schema,
            column: run.column,
            on_error: run.on_error,
            mind,
        }))
    }

    /// The rows of a portion, completed: all of them, or the first ones if their answers are long.
    ///
    /// # Errors
    /// That of the first row that fails, if failing is what is to become of it.
    pub async fn complete(self: Arc<Self>, mut portion: Portion, reserved: Reservation) -> Result<Completed, Fault> {
        let room = Arc::new(Room::new(reserved, portion.answer_bytes(self.most_tokens)));
        let prompts = self.work.prompts(&portion.rows, &portion.wanted)?;
        // What has been asked is waited for: it is paid for.
        let prompts = stream::iter(prompts).take_while(|_| future::ready(!room.is_full()));
        let outcomes = prompts.map(|prompt| {
            let (rows, room) = (self.clone(), room.clone());
            async move {
                let outcome = rows.ask(&prompt).await;
                if let Some(Ok(words)) = &outcome {
                    room.take(words);
                }
                outcome
            }
        });
        let mut outcomes = outcomes.buffered(self.concurrency);
        let mut fillings = Vec::with_capacity(portion.wanted.len());
        while let Some(outcome) = outcomes.next().await {
            let row = portion.first + portion.wanted[fillings.len()] as u64 + 1;
            fillings.push(match outcome {
                Some(outcome) => self.filling(outcome, row)?,
                None => Filling::Nothing,
            });
        }
        drop(outcomes);
        let rest = portion.split_off(fillings.len());
        let rows = self.work.fill(&portion.rows, &self.schema, &portion.wanted, &fillings)?;
        room.close();
        Ok(Completed { rows, wanted: fillings.len(), rest, room })
    }

    async fn ask(&self, prompt: &str) -> Option<Outcome> {
        match &self.mind {
            Mind::Model(asker) => Some(asker.ask(prompt).await),
            Mind::None(estimate) => estimate.see(prompt, &self.bill).await.err().map(Err),
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
        if self.on_error == OnError::Fail {
            let help = fault.help_text().unwrap_or("another attempt may do better");
            let help = format!("{help}; `on_error` says what else may become of such a row");
            return Err(fault.help(help).row(row).column(&self.column));
        }
        self.bill.failed(row, fault.message());
        Ok(match self.on_error {
            OnError::Null => Filling::Null,
            OnError::Keep | OnError::Fail => Filling::Nothing,
        })
    }
}
