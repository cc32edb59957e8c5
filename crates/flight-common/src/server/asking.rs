//! What a step asks its caller before it commits, and what the caller answers: the question is a message of metadata alone in
//! the stream of the main output, the answer an action.

use super::ExchangeKey;
use crate::fault::Fault;
use crate::permission::{Holds, Permission};
use crate::wire::Frame;
use futures::{Stream, StreamExt, stream};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// The action that answers.
pub const PERMIT: &str = "permit";

/// Whether the step may commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// Its number, from 1.
    pub ask: u64,
}

impl Question {
    /// The question in the metadata of a message, if it is one.
    pub fn read(metadata: &[u8]) -> Option<Self> {
        serde_json::from_slice(metadata).ok()
    }
}

/// That it may.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// The step.
    pub step: String,
    /// The id of its exchange.
    pub exchange_id: String,
    /// The number of the question.
    pub ask: u64,
    /// For how many milliseconds from the question on it holds; without it, for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holds_ms: Option<u64>,
}

impl Answer {
    /// Reads the body of the action.
    ///
    /// # Errors
    /// [`crate::FaultKind::BadParams`] that shows what it looks like.
    pub fn read(body: &[u8]) -> Result<Self, Fault> {
        serde_json::from_slice(body).map_err(|error| {
            Fault::bad_params(format!("this is no permission: {error}"))
                .help(r#"it is JSON such as {"step": "load-data", "exchange_id": "x", "ask": 1, "holds_ms": 10000}"#)
        })
    }

    fn holds(&self) -> Holds {
        self.holds_ms.map(Duration::from_millis)
    }
}

/// Where answers for an exchange go.
#[derive(Clone)]
pub(super) struct Answers(UnboundedSender<Answer>);

/// The questions of a step.
pub(super) struct Questions(UnboundedReceiver<Frame>);

/// A permission that is asked for in the stream of an exchange, where the answers go, and the questions that come.
pub(super) fn asking() -> (Permission, Answers, Questions) {
    let (answers, answered) = unbounded_channel();
    let (asks, questions) = unbounded_channel();
    let (answered, count) = (Arc::new(Mutex::new(answered)), AtomicU64::new(0));
    let permission = Permission::by_asking(move || {
        let question = Question { ask: count.fetch_add(1, Ordering::Relaxed) + 1 };
        let (asks, answered) = (asks.clone(), answered.clone());
        async move { answer_to(question, &asks, &answered).await }
    });
    (permission, Answers(answers), Questions(questions))
}

async fn answer_to(
    question: Question,
    asks: &UnboundedSender<Frame>,
    answered: &Mutex<UnboundedReceiver<Answer>>,
) -> Result<Holds, Fault> {
    let gone = || Fault::cancelled("whoever could let it commit is gone");
    let asked = Frame::metadata(serde_json::to_vec(&question).map_err(Fault::internal)?);
    asks.send(asked).map_err(|_| gone())?;
    let mut answered = answered.lock().await;
    loop {
        let answer: Answer = answered.recv().await.ok_or_else(gone)?;
        // An answer that comes twice, or late, is none to this question.
        if answer.ask == question.ask {
            return Ok(answer.holds());
        }
    }
}

impl Questions {
    /// The messages of an output, and between them the questions.
    pub fn among(
        mut self,
        frames: impl Stream<Item = Result<Frame, Fault>> + Send + 'static,
    ) -> impl Stream<Item = Result<Frame, Fault>> + Send + 'static {
        let mut frames = Box::pin(frames);
        stream::poll_fn(move |cx| match self.0.poll_recv(cx) {
            Poll::Ready(Some(question)) => Poll::Ready(Some(Ok(question))),
            _ => frames.poll_next_unpin(cx),
        })
    }
}

impl super::Service {
    /// Hands an answer to the exchange that has asked.
    ///
    /// # Errors
    /// [`crate::FaultKind::NotFound`] if it has ended, or does not ask.
    pub(super) fn permit(&self, answer: Answer) -> Result<(), Fault> {
        let step = self.registry.find(&answer.step)?.spec().name;
        let exchange = ExchangeKey { step, id: answer.exchange_id.clone() };
        let answers = self.running().get(&exchange).and_then(|running| running.answers.clone());
        let told = answers.is_some_and(|answers| answers.0.send(answer).is_ok());
        if told { Ok(()) } else { Err(Fault::not_found(format!("no exchange \"{}\" of {step} asks", exchange.id))) }
    }
}
