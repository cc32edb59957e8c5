//! Steps in this process: record batches pass from one to the next as they are.

use super::{Call, Matching, Mesh, Planner, Running, StepPlan, files_of};
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use flight_common::drive::{Driven, Part, drive};
use flight_common::queue::{QueueSender, byte_queue};
use flight_common::registry::PlannedStep;
use flight_common::{
    BatchStream, Fault, InputSchemas, Meter, Registry, StepCommand, StepDescription, StepEnv, compute,
};
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use std::convert::identity;
use std::sync::Arc;
use std::time::Instant;

/// Bytes of rows between one step and the next.
const BETWEEN: usize = 4 << 20;

/// The steps of a registry, run here.
pub struct InProcess {
    registry: Registry,
    env: StepEnv,
}

impl InProcess {
    /// Runs the steps of this registry.
    pub fn new(registry: Registry, env: StepEnv) -> Self {
        Self { registry, env }
    }

    async fn start_step(&self, call: Call<RecordBatch>) -> Result<Running<RecordBatch>, Fault> {
        let Call { command, inputs, limit: _, permission } = call;
        let schemas = InputSchemas::new(inputs.iter().map(BatchStream::schema).collect()).called(&command.inputs);
        let planned = self.registry.plan(&command, &schemas, &self.env).await?;
        let names = planned.spec.outputs;
        let part = Part { permission, ..Part::from(&command) };
        let Driven { outputs, gauge } = drive(planned, inputs, &self.env, part, &command.outputs)?;
        let mut named = outputs.into_iter().zip(names);
        let main = named.next().and_then(|(stream, _)| stream);
        let mut streams = vec![main.ok_or_else(|| Fault::internal("a step without a main output"))?];
        let mut further: Vec<_> = named.collect();
        for claimed in &command.outputs {
            let found = further.iter_mut().find(|(_, name)| *name == claimed).and_then(|(stream, _)| stream.take());
            streams.push(found.ok_or_else(|| Fault::internal(format!("the output \"{claimed}\" did not come")))?);
        }
        let outputs = streams.into_iter().map(|stream| self.pumped(stream, gauge.meter().clone())).collect();
        Ok(Running { outputs, figures: Box::new(move || Some(gauge.report())), tellable: Box::new(identity) })
    }

    /// Polls a stream on the compute pool, a bounded queue ahead of its reader.
    fn pumped(&self, stream: BatchStream, meter: Arc<Meter>) -> BatchStream {
        let limit = BETWEEN.min(self.env.space.budget().limit() / 16);
        let (sender, queue) = byte_queue(limit, self.env.space.budget(), stream.schema());
        let task = compute::spawn(pump(stream, sender, meter));
        queue.wrap(move |items| {
            items.map(move |item| {
                // The task ends with its reader.
                let _owned = &task;
                item
            })
        })
    }
}

async fn pump(mut stream: BatchStream, sender: QueueSender<RecordBatch>, meter: Arc<Meter>) {
    let end = loop {
        let next = tokio::select! {
            next = stream.next() => next,
            () = sender.abandoned() => return,
        };
        match next {
            Some(Ok(batch)) => {
                let begun = Instant::now();
                let read = sender.push(batch).await;
                meter.blocked_for(begun.elapsed());
                if !read {
                    return;
                }
            }
            Some(Err(fault)) => break Err(fault),
            None => break Ok(()),
        }
    };
    sender.finish(end).await;
}

impl Planner for InProcess {
    fn catalog(&self) -> BoxFuture<'_, Result<Vec<Arc<StepDescription>>, Fault>> {
        let descriptions = self.registry.iter().map(|step| step.description().clone()).collect();
        std::future::ready(Ok(descriptions)).boxed()
    }

    fn files(&self, pattern: &str) -> Result<Matching, Fault> {
        files_of(&self.env.data_root, pattern)
    }

    fn plan(&self, command: StepCommand, inputs: Vec<SchemaRef>) -> BoxFuture<'_, Result<StepPlan, Fault>> {
        async move {
            let inputs = InputSchemas::new(inputs).called(&command.inputs);
            let planned = self.registry.plan(&command, &inputs, &self.env).await?;
            let PlannedStep { outputs, source, datasets, reads, writes, effects, .. } = planned;
            Ok(StepPlan { outputs, source, datasets, reads, writes, effects: Some(effects) })
        }
        .boxed()
    }
}

impl Mesh for InProcess {
    type Item = RecordBatch;

    fn start(&self, call: Call<RecordBatch>) -> BoxFuture<'_, Result<Running<RecordBatch>, Fault>> {
        self.start_step(call).boxed()
    }
}
