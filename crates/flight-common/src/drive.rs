//! Runs a planned step: wraps its streams so that rows, bytes and time are counted, and says how it ended.
//!
//! Both doors come through here, the Flight server and the engine in the same process, so that figures mean the same.

use crate::command::StepCommand;
use crate::describe::Effects;
use crate::fault::Fault;
use crate::parcel::Parcel;
use crate::permission::Permission;
use crate::registry::PlannedStep;
use crate::report::{Flow, Meter, Pending, StepReport};
use crate::spool::SpillSpace;
use crate::step::{Inputs, StepContext, StepEnv};
use crate::stream::BatchStream;
use arrow::array::RecordBatch;
use futures::stream::Fuse;
use futures::{Stream, StreamExt};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

/// A step under way: its outputs to poll on the compute pool, and its figures.
pub struct Driven {
    /// The main output, then the further ones; nothing for those that nobody claimed.
    pub outputs: Vec<Option<BatchStream>>,
    /// The figures, at any time and at the end.
    pub gauge: Gauge,
}

/// Reads a step's figures.
#[derive(Clone)]
pub struct Gauge {
    step: &'static str,
    version: &'static str,
    context: StepContext,
}

impl Gauge {
    /// The figures up to now.
    pub fn report(&self) -> StepReport {
        self.context.meter.report(self.step, self.version, self.context.space().bytes_spilled())
    }

    /// Where the step may spill: what goes there is told as its own.
    pub fn space(&self) -> &SpillSpace {
        self.context.space()
    }

    /// The step's meter.
    pub fn meter(&self) -> &Arc<Meter> {
        &self.context.meter
    }
}

/// Which step of which run is driven.
#[derive(Clone, Debug)]
pub struct Part<'a> {
    /// The run.
    pub run_id: &'a str,
    /// What the step is called in its pipeline; empty where nobody said.
    pub node: &'a str,
    /// What it may have been called when an earlier attempt of the run let it commit.
    pub formerly: &'a [String],
    /// Whether it may commit.
    pub permission: Permission,
}

impl<'a> From<&'a str> for Part<'a> {
    /// The only step of this run.
    fn from(run_id: &'a str) -> Self {
        Self { run_id, node: "", formerly: &[], permission: Permission::default() }
    }
}

impl<'a> From<&'a StepCommand> for Part<'a> {
    fn from(command: &'a StepCommand) -> Self {
        let StepCommand { run_id, node, formerly, .. } = command;
        Self { run_id, node, formerly, permission: Permission::default() }
    }
}

/// Starts a planned step on these inputs.
///
/// # Errors
/// The step's own, before the first row.
pub fn drive<'a>(
    planned: PlannedStep,
    inputs: Vec<BatchStream>,
    env: &StepEnv,
    part: impl Into<Part<'a>>,
    claimed: &[String],
) -> Result<Driven, Fault> {
    let spec = planned.spec;
    let mut env = env.clone();
    env.space = env.space.counted_apart();
    let Part { run_id, node, formerly, permission } = part.into();
    let (run_id, node, formerly, claimed) = (run_id.into(), node.into(), formerly.into(), claimed.into());
    // A step that commits has asked by its end.
    let must_ask = (planned.effects == Effects::Commits).then(|| permission.clone());
    let context = StepContext { run_id, node, formerly, env, meter: Arc::default(), claimed, permission };
    let schemas = planned.outputs.clone();
    let inputs = inputs.into_iter().map(|input| watch_input(input, context.meter.clone())).collect();
    let outputs = planned.start(Inputs::new(inputs), &context)?;
    let outputs = outputs.0.into_iter().zip(schemas).enumerate().map(|(place, (stream, schema))| {
        let meter = context.meter.clone();
        stream.map(|stream| {
            let must_ask = must_ask.clone().filter(|_| place == 0);
            let checked = stream.wrap(|items| Checked { items: items.boxed(), schema, step: spec.name, must_ask });
            let flow = (place == 0).then(|| meter.clone());
            checked.wrap(|items| WatchedOutput { items: items.boxed(), meter, flow, pending: None })
        })
    });
    Ok(Driven { outputs: outputs.collect(), gauge: Gauge { step: spec.name, version: spec.version, context } })
}

type Items = futures::stream::BoxStream<'static, Result<RecordBatch, Fault>>;

fn watch_input(input: BatchStream, meter: Arc<Meter>) -> BatchStream {
    input.wrap(|items| WatchedInput { items: items.boxed().fuse(), meter })
}

fn count(flow: &Flow, batch: &RecordBatch) {
    flow.add(batch.num_rows() as u64, batch.bytes());
}

/// Counts what comes in, and notes when there is nothing. Steps may ask again after the end.
struct WatchedInput {
    items: Fuse<Items>,
    meter: Arc<Meter>,
}

impl Stream for WatchedInput {
    type Item = Result<RecordBatch, Fault>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = self.items.poll_next_unpin(cx);
        self.meter.starved(polled.is_pending());
        if let Poll::Ready(Some(Ok(batch))) = &polled {
            count(&self.meter.input, batch);
        }
        polled
    }
}

/// Holds a step to the schema it promised, and to asking before it commits, and names the step in its faults. Ends the stream at the first fault.
struct Checked {
    items: Items,
    schema: arrow::datatypes::SchemaRef,
    step: &'static str,
    must_ask: Option<Permission>,
}

impl Stream for Checked {
    type Item = Result<RecordBatch, Fault>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = self.items.as_mut().poll_next(cx);
        if matches!(polled, Poll::Ready(None))
            && let Some(permission) = self.must_ask.take()
            && !permission.is_settled()
        {
            let fault = Fault::internal(format!("{} commits, and has not asked whether it may", self.step));
            return Poll::Ready(Some(Err(fault.step(self.step))));
        }
        polled.map(|item| {
            item.map(|result| {
                let batch = result.map_err(|fault| fault.step(self.step))?;
                if batch.schema_ref().fields() != self.schema.fields() {
                    return Err(Fault::internal(format!(
                        "{} planned {:?} and made {:?}",
                        self.step,
                        self.schema,
                        batch.schema()
                    ))
                    .step(self.step));
                }
                Ok(batch)
            })
        })
    }
}

/// Counts what goes out, and splits the time between polls into waiting, computing and blocked.
struct WatchedOutput {
    items: Items,
    meter: Arc<Meter>,
    /// Set for the main output, whose rows are the step's rows.
    flow: Option<Arc<Meter>>,
    pending: Option<Pending>,
}

impl Stream for WatchedOutput {
    type Item = Result<RecordBatch, Fault>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let begun = Instant::now();
        if let Some(meter) = &this.flow {
            meter.pending(None);
        }
        if let Some(pending) = this.pending.take() {
            this.meter.add_pending(pending);
        }
        let polled = this.items.as_mut().poll_next(cx);
        let ended = Instant::now();
        this.meter.add_computing(ended - begun);
        this.pending = polled.is_pending().then(|| this.meter.pending_from(ended));
        if let Some(meter) = &this.flow {
            meter.pending(this.pending);
        }
        if let (Poll::Ready(Some(Ok(batch))), Some(meter)) = (&polled, &this.flow) {
            count(&meter.output, batch);
        }
        polled
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::batch;
    use futures::stream;

    #[tokio::test]
    async fn an_input_may_be_asked_again_after_its_end() {
        let rows = batch!("n" => Int64Array [1]);
        // One that panics then.
        let once = stream::unfold(Some(rows.clone()), |rows| async move { Some((Ok(rows?), None)) });
        let mut input = watch_input(BatchStream::new(rows.schema(), once), Arc::default());
        assert!(input.next().await.is_some());
        assert!(input.next().await.is_none());
        assert!(input.next().await.is_none());
    }
}
