//! From a step to the network: its messages, then its report or its fault, through a queue.

use super::Limits;
use super::call::Caller;
use super::running::Registered;
use crate::command::Form;
use crate::drive::Gauge;
use crate::fault::Fault;
use crate::queue::{QueueSender, byte_queue};
use crate::spool::{SpillSender, SpillSpace, spill_queue};
use crate::stream::EdgeStream;
use crate::wire::{Frame, FrameStream};
use arrow::datatypes::Schema;
use futures::{FutureExt, Stream, StreamExt};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

/// Polls a step on the compute pool and hands its messages to the network.
pub(super) struct Pump {
    pub gauge: Gauge,
    /// How the report is written.
    pub form: Form,
    /// Somebody wants this exchange to end.
    pub cancel: CancellationToken,
    /// The server goes down.
    pub cut_off: CancellationToken,
    pub deadline: Option<Duration>,
    pub output: Output,
}

/// Which output of an exchange it is.
pub(super) enum Output {
    /// The main one, with what it holds until its end.
    Main { registered: Registered, _slot: OwnedSemaphorePermit },
    /// A further one, with the end of the main one: it does not end well before that, nor if that does not.
    Further(watch::Receiver<Option<bool>>),
}

impl Output {
    /// Takes the end of the output for what it is.
    async fn judge(&mut self, end: Result<(), Fault>) -> Result<(), Fault> {
        match self {
            Self::Main { .. } => end,
            Self::Further(main) => {
                end?;
                match main.wait_for(Option::is_some).await.map(|end| *end) {
                    Ok(Some(true)) => Ok(()),
                    _ => Err(Fault::cancelled("the exchange of this output did not end well")),
                }
            }
        }
    }
}

/// The queue between a step and the network.
pub(super) enum Outlet {
    /// Makes the step wait for its reader.
    Bounded(QueueSender<Frame>),
    /// Never makes the step wait: what is not read yet goes to disk.
    Spilling(SpillSender<Frame>),
}

impl Outlet {
    pub fn new(caller: &Caller, limits: &Limits, space: &SpillSpace) -> (Self, FrameStream) {
        let untyped = Arc::new(Schema::empty());
        if caller.mesh {
            let (sender, stream) = byte_queue(limits.output_bytes, space.budget(), untyped);
            (Self::Bounded(sender), stream)
        } else {
            let (sender, receiver) = spill_queue(space, untyped);
            (Self::Spilling(sender), receiver.into_stream())
        }
    }

    /// Whether anybody is going to read it.
    async fn push(&self, frame: Frame) -> Result<bool, Fault> {
        match self {
            Self::Bounded(sender) => Ok(sender.push(frame).await),
            Self::Spilling(sender) => sender.push(frame),
        }
    }

    /// Says what a step did that failed, if there is room for it. To the mesh alone: clients of pyarrow take a message
    /// without rows for a good end.
    fn push_aside(&self, frame: Frame) {
        if let Self::Bounded(sender) = self {
            let _ = sender.push(frame).now_or_never();
        }
    }

    async fn finish(self, end: Result<(), Fault>) {
        match self {
            Self::Bounded(sender) => sender.finish(end).await,
            Self::Spilling(sender) => sender.finish(end),
        }
    }
}

impl Pump {
    /// Pushes every message, then the report or the fault.
    pub async fn run(
        mut self,
        encoded: impl Stream<Item = Result<Frame, Fault>> + Send,
        outlet: Outlet,
        span: tracing::Span,
    ) {
        let end = tokio::select! {
            end = self.push_in_time(encoded, &outlet).instrument(span.clone()) => end,
            () = self.cancel.cancelled() => Err(Fault::cancelled("somebody cancelled this exchange")),
            () = self.cut_off.cancelled() => Err(Fault::upstream("the server is going down")),
        };
        let end = self.output.judge(end).await;
        let report = self.gauge.report();
        span.record("rows_in", report.rows_in);
        span.record("rows_out", report.rows_out);
        span.record("bytes_spilled", report.bytes_spilled);
        let told = Frame::metadata(report.to_bytes(self.form));
        let end = match end {
            Ok(()) => outlet.push(told).await.map(drop),
            Err(fault) => {
                outlet.push_aside(told);
                Err(fault)
            }
        };
        let end = end.map_err(|fault| fault.step(report.step.clone()));
        if let Err(fault) = &end {
            span.record("otel.status_code", "ERROR");
            span.in_scope(
                || tracing::warn!(step = report.step, kind = fault.kind().name(), fault = %fault, "step failed"),
            );
        }
        if let Output::Main { registered, .. } = &self.output {
            registered.end.send_replace(Some(end.is_ok()));
        }
        outlet.finish(end).await;
    }

    async fn push_in_time(
        &self,
        encoded: impl Stream<Item = Result<Frame, Fault>> + Send,
        outlet: &Outlet,
    ) -> Result<(), Fault> {
        let Some(limit) = self.deadline else { return self.push_all(encoded, outlet).await };
        timeout(limit, self.push_all(encoded, outlet)).await.unwrap_or_else(|_| {
            let message = format!("the caller's deadline of {} s passed", limit.as_secs_f32());
            Err(Fault::timed_out(message).help("raise the step's `timeout`, which a run makes its deadline"))
        })
    }

    async fn push_all(
        &self,
        encoded: impl Stream<Item = Result<Frame, Fault>> + Send,
        outlet: &Outlet,
    ) -> Result<(), Fault> {
        let mut encoded = pin!(encoded);
        while let Some(frame) = encoded.next().await {
            let frame = frame?;
            let begun = Instant::now();
            let read = outlet.push(frame).await?;
            self.gauge.meter().blocked_for(begun.elapsed());
            if !read {
                return Err(Fault::cancelled("the caller reads no more"));
            }
        }
        Ok(())
    }
}

/// The stream, and with it the task that feeds it: dropping one stops the other.
pub(super) fn attached(stream: EdgeStream<Frame>, task: tokio_util::task::AbortOnDropHandle<()>) -> FrameStream {
    stream.wrap(move |items| {
        items.map(move |item| {
            let _owned = &task;
            item
        })
    })
}
