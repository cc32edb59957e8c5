//! One step of a run, from its inputs to its end.
//!
//! Its task waits for its input streams and for the steps it comes after, starts the step, hands its outputs to whoever
//! reads them (through a tee where several do), and watches the main one to its end. An output that nobody reads is read
//! here: a load's receipt, or the rows of a transform that nobody asked for.

mod inputs;
mod outputs;

use super::attend::Settled;
use super::progress::Status;
use super::report::{Figures, StepOutcome};
use super::stage::{End, Hand, Shared};
use super::tee::read_ahead;
use crate::mesh::{Call, Mesh};
use crate::pipeline::PlannedNode;
use flight_common::wire::read_frames;
use flight_common::{EdgeStream, Effects, Fault, FaultKind, Parcel, Permission, StepCommand, StepKind, StepReport};
use futures::FutureExt;
use outputs::{OwnEnd, follow};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::sync::{oneshot, watch as signal};
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument;

/// One step of a run.
pub(super) struct NodeTask<M: Mesh> {
    pub(super) place: usize,
    pub(super) node: PlannedNode,
    pub(super) mesh: Arc<M>,
    pub(super) shared: Arc<Shared>,
    /// What was done before in its place.
    pub(super) settled: Option<Settled>,
    pub(super) inputs: Vec<oneshot::Receiver<EdgeStream<M::Item>>>,
    /// The steps that its inputs come from.
    pub(super) sources: Vec<usize>,
    /// Who reads each output.
    pub(super) readers: HashMap<String, Vec<Hand<M::Item>>>,
    /// Whether its inputs are read before it begins.
    pub(super) reads_ahead: bool,
    /// The steps that it only comes after.
    pub(super) after: Vec<signal::Receiver<End>>,
    /// The steps that its condition names.
    pub(super) asks: Vec<signal::Receiver<End>>,
    /// Whether a condition names it.
    pub(super) is_asked: bool,
    /// Outputs that are being kept.
    pub(super) keeping: Vec<AbortOnDropHandle<Result<(), Fault>>>,
    pub(super) span: tracing::Span,
}

/// How long a step that was let commit may take once the run is stopped.
const COMMITTING: Duration = Duration::from_secs(10);

/// How a step ended.
struct Ended {
    status: Status,
    /// What it did in an earlier attempt.
    earlier: Option<Figures>,
    report: Option<StepReport>,
    receipt: Option<Value>,
    fault: Option<Fault>,
}

impl Ended {
    fn with(status: Status) -> Self {
        Self { status, earlier: None, report: None, receipt: None, fault: None }
    }
}

impl<M: Mesh> NodeTask<M> {
    /// Runs it to its end, and tells its place in the plan and what became of it.
    pub async fn run(mut self) -> (usize, StepOutcome) {
        let span = self.span.clone();
        let begun = Instant::now();
        let ended = self.run_to_end().instrument(span.clone()).await;
        self.shared.progress.step(self.place).set(ended.status);
        let mut outcome = self.outcome(ended.status);
        if let Some(earlier) = ended.earlier {
            outcome.remember(earlier);
        }
        outcome.duration_ms = begun.elapsed().as_nanos() as f64 / 1e6;
        if let Some(report) = ended.report {
            outcome.fill(report);
        }
        outcome.receipt = ended.receipt;
        outcome.fault = ended.fault.map(|fault| fault.in_step(&self.node.id));
        span.record("rows_in", outcome.rows_in);
        span.record("rows_out", outcome.rows_out);
        span.record("waiting_ms", outcome.waiting_ms);
        span.record("computing_ms", outcome.computing_ms);
        span.record("blocked_ms", outcome.blocked_ms);
        if let Some(fault) = &outcome.fault {
            span.record("otel.status_code", "ERROR");
            self.shared.note(self.place, fault.clone());
        }
        if self.is_asked && self.node.kind != StepKind::Load && outcome.status == Status::Done {
            let figures = outcome.figures();
            let told = tokio::select! {
                told = self.shared.attendant.asked(&self.node.id, &figures).instrument(span) => told,
                // Then its report tells it.
                () = self.shared.stop.cancelled() => Ok(()),
            };
            if let Err(fault) = told {
                tracing::warn!(step = self.node.id, fault = %fault, "what it did was not stored: an attempt after this one does it again");
            }
        }
        self.shared.ends[self.place].send_replace(Some(Arc::new(outcome.clone())));
        (self.place, outcome)
    }

    async fn run_to_end(&mut self) -> Ended {
        let stop = self.shared.stop.clone();
        if self.node.left_out {
            return Ended::with(Status::Skipped);
        }
        if let Some(settled) = self.settled.take() {
            return self.replay(settled);
        }
        let begun = tokio::select! {
            biased;
            () = stop.cancelled() => return Ended::with(Status::Skipped),
            begun = self.begin() => begun,
        };
        let inputs = match begun {
            Ok(Some(inputs)) => inputs,
            Ok(None) => return Ended::with(Status::Skipped),
            Err(fault) => return self.judge(Err(fault)),
        };
        if self.node.effects == Effects::External
            && let Err(fault) = self.shared.attendant.permit(&self.node.id).await
        {
            return self.judge(Err(fault));
        }
        self.shared.progress.step(self.place).set(Status::Running);
        let claimed = self.claimed();
        let (limit, permission) = (self.node.timeout, self.permission());
        let call = Call { command: self.command(&claimed), inputs, limit, permission };
        let started = tokio::select! {
            // Behind Flight, its rows may all be there before it has said that it begins.
            biased;
            started = self.mesh.start(call) => started,
            fault = self.stopped() => return Ended { fault, ..Ended::with(Status::Cancelled) },
        };
        let running = match started {
            Ok(running) => running,
            Err(fault) => return self.judge(Err(fault)),
        };
        let mut outputs = running.outputs.into_iter();
        let Some(main) = outputs.next() else { return self.judge(Err(Fault::internal("no main output"))) };
        let (main, end) = self.watched(main);
        let end = end.map(Result::ok).shared();
        if outputs.len() != claimed.len() {
            // Whoever reads them would wait for nothing, and be taken for skipped.
            return self.judge(Err(Fault::internal(format!("not all of these outputs came: {}", claimed.join(", ")))));
        }
        let mut further_ends = Vec::with_capacity(claimed.len());
        for (name, stream) in claimed.iter().zip(outputs) {
            let (stream, own_end) = self.further(stream, end.clone());
            further_ends.push(own_end);
            if let Err(fault) = self.hand_out(name, stream) {
                return self.judge(Err(fault));
            }
        }
        // Whoever reads one output to its end before it touches another must not wait for itself.
        let main = if claimed.is_empty() { main } else { read_ahead(main, &self.shared.space) };
        let main_name = self.node.outputs.first().map(|(name, _)| name.clone()).unwrap_or_default();
        let unread = match self.hand_out(&main_name, main) {
            Ok(unread) => unread,
            Err(fault) => return self.judge(Err(fault)),
        };
        let is_load = self.node.kind == StepKind::Load;
        let ended = tokio::select! {
            // What has ended already is not stopped any more.
            biased;
            (end, receipt) = follow(unread, end, is_load) => Ok((end, receipt.map(&running.tellable))),
            fault = self.stopped() => Err(fault),
        };
        let (end, receipt) = match ended {
            Ok(ended) => ended,
            Err(fault) => return Ended { report: (running.figures)(), fault, ..Ended::with(Status::Cancelled) },
        };
        let end = match end {
            Some(Ok(())) => {
                let figures = self.figures((running.figures)());
                Some(self.settle(further_ends, receipt.as_ref(), &figures).await)
            }
            end => end,
        };
        let judged = match end {
            Some(end) => self.judge(end),
            // Its reader went away; whoever failed will say so.
            None => Ended::with(Status::Cancelled),
        };
        Ended { report: (running.figures)(), receipt, ..judged }
    }

    /// Waits until the run is stopped, and this step with it. One that was let commit may end that first; if it does not in
    /// time, nobody knows what became of it.
    async fn stopped(&self) -> Option<Fault> {
        self.shared.stop.cancelled().await;
        if self.shared.gates[self.place].shut() {
            return None;
        }
        tokio::time::sleep(COMMITTING).await;
        let seconds = COMMITTING.as_secs();
        Some(
            Fault::timed_out(format!(
                "it was committing when the run was stopped, and has not ended {seconds} s later"
            ))
            .help("look whether what it writes is there"),
        )
    }

    /// Gives what an earlier attempt kept to those who read it.
    fn replay(&mut self, settled: Settled) -> Ended {
        let progress = self.shared.progress.step(self.place);
        progress.rows_out.store(settled.rows, Ordering::Relaxed);
        let budget = self.shared.space.budget().clone();
        for (name, file) in settled.outputs {
            match read_frames(file, &budget) {
                // It is kept already.
                Ok(frames) => drop(self.share(&name, M::Item::from_stream(frames), None, false)),
                Err(fault) => return self.judge(Err(fault)),
            }
        }
        Ended { receipt: settled.receipt, earlier: settled.earlier, ..Ended::with(Status::Reused) }
    }

    /// What it did, of which this is its own report.
    fn figures(&self, report: Option<StepReport>) -> Figures {
        let mut outcome = self.outcome(Status::Done);
        report.into_iter().for_each(|report| outcome.fill(report));
        outcome.figures()
    }

    /// What is known of it without its report.
    fn outcome(&self, status: Status) -> StepOutcome {
        let progress = self.shared.progress.step(self.place);
        StepOutcome {
            rows_in: progress.rows_in.load(Ordering::Relaxed),
            rows_out: progress.rows_out.load(Ordering::Relaxed),
            bytes_out: progress.bytes_out.load(Ordering::Relaxed),
            ..StepOutcome::bare(&self.node.id, &self.node.step, status)
        }
    }

    /// Waits until its further outputs have ended, tells what it committed, and waits until all that is kept of it is.
    async fn settle(&mut self, further: Vec<OwnEnd>, receipt: Option<&Value>, figures: &Figures) -> Result<(), Fault> {
        for end in further {
            // One that was let go before its end is missed by nobody.
            end.await.unwrap_or(Ok(()))?;
        }
        if let (Some(receipt), StepKind::Load) = (receipt, self.node.kind) {
            self.shared.attendant.committed(&self.node.id, receipt, figures).await?;
        }
        for keeping in self.keeping.drain(..) {
            keeping.await.map_err(Fault::internal)??;
        }
        Ok(())
    }

    fn command(&self, claimed: &[String]) -> StepCommand {
        StepCommand {
            step: self.node.step.clone(),
            params: self.node.params.clone(),
            inputs: self.node.inputs.iter().map(|input| input.name.clone()).collect(),
            // What an earlier attempt has left at a server is no part of this one.
            exchange_id: format!("{}/{}/{}", self.shared.run_id, self.node.id, uuid::Uuid::new_v4().simple()),
            outputs: claimed.to_vec(),
            run_id: self.shared.run_id.clone(),
            node: self.node.id.clone(),
            formerly: self.shared.attendant.formerly(&self.node.id),
            source: self.node.source.clone().unwrap_or_default(),
            ..StepCommand::default()
        }
    }

    /// What a step is told that asks, when it is about to commit, whether it may. One that commits as rows come was permitted
    /// to begin.
    fn permission(&self) -> Permission {
        let commits = match self.node.effects {
            Effects::Commits => true,
            Effects::External => false,
            Effects::None => self.node.kind == StepKind::Load,
        };
        if !commits {
            return Permission::default();
        }
        let (shared, place, id) = (self.shared.clone(), self.place, self.node.id.clone());
        Permission::by_asking(move || {
            let (shared, id) = (shared.clone(), id.clone());
            async move {
                if shared.stop.is_cancelled() || !shared.gates[place].pass() {
                    return Err(Fault::cancelled("the run was stopped before it was let commit"));
                }
                // What the step makes of a refusal would hide why it was refused.
                shared.attendant.permit(&id).await.inspect_err(|fault| shared.note(place, fault.clone()))
            }
        })
    }

    /// What the end of its output says of this step: a fault is its own only if none of its inputs failed before.
    fn judge(&self, end: Result<(), Fault>) -> Ended {
        let Err(fault) = end else { return Ended::with(Status::Done) };
        let follows = self.sources.iter().any(|source| self.shared.broken[*source].load(Ordering::SeqCst));
        self.shared.broken[self.place].store(true, Ordering::SeqCst);
        if follows || (fault.kind() == FaultKind::Cancelled && self.shared.stop.is_cancelled()) {
            return Ended::with(Status::Cancelled);
        }
        Ended { fault: Some(fault), ..Ended::with(Status::Failed) }
    }
}
