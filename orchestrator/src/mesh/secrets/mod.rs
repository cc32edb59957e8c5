//! Secrets by reference: a parameter that is `secret://name` gets its value just before a step is called, and nowhere
//! else.
//!
//! [`WithSecrets`] stands before a mesh. Plans, the store, events and fingerprints are made of what is on this side of
//! it, where there are references only; what comes back from the other side has the values struck out.

mod redact;
mod source;

pub use source::Secrets;

use super::{Call, Matching, Mesh, Planner, Running, StepPlan};
use arrow::datatypes::SchemaRef;
use flight_common::params::{SECRET, secrets_in};
use flight_common::{Dataset, EdgeStream, Fault, ReadFile, StepCommand, StepDescription, Violation, Written};
use futures::future::BoxFuture;
use futures::{FutureExt, TryStreamExt};
use redact::Redactor;
use serde_json::Value;
use std::sync::Arc;

/// The name of the secret that a text refers to, if it refers to one.
///
/// # Errors
/// Why it cannot be a name.
pub(crate) fn secret_name(text: &str) -> Option<Result<&str, Fault>> {
    let name = text.strip_prefix(SECRET)?;
    Some(source::check(name).map(|()| name))
}

/// A mesh whose steps are called with secrets in the place of their references.
pub struct WithSecrets<M> {
    mesh: M,
    secrets: Secrets,
}

impl<M> WithSecrets<M> {
    /// Calls the steps of `mesh` with these secrets.
    pub fn new(mesh: M, secrets: Secrets) -> Self {
        Self { mesh, secrets }
    }

    /// Puts secrets in the place of their references.
    async fn resolved(&self, mut command: StepCommand) -> Result<(StepCommand, Arc<Redactor>), Fault> {
        let mut redactor = Redactor::default();
        let mut missing = Vec::new();
        for (pointer, name) in secrets_in(&command.params) {
            match self.secrets.get(&name).await {
                Ok(value) => {
                    redactor.hide(&name, &value);
                    if let Some(place) = command.params.pointer_mut(&pointer) {
                        *place = Value::String(value);
                    }
                }
                Err(fault) => missing.push((pointer, fault)),
            }
        }
        match missing.first() {
            None => {
                command.source = redactor.restored(&command.source);
                Ok((command, Arc::new(redactor)))
            }
            Some((_, first)) => Err(first.clone().with_violations(missing.iter().map(violation).collect())),
        }
    }
}

fn violation((pointer, fault): &(String, Fault)) -> Violation {
    Violation::new(pointer.as_str(), fault.message()).help(fault.help_text().map(str::to_owned))
}

impl<M: Planner> Planner for WithSecrets<M> {
    fn catalog(&self) -> BoxFuture<'_, Result<Vec<Arc<StepDescription>>, Fault>> {
        self.mesh.catalog()
    }

    fn health(&self) -> BoxFuture<'_, Vec<(String, Result<(), Fault>)>> {
        self.mesh.health()
    }

    fn silent(&self) -> Vec<String> {
        self.mesh.silent()
    }

    fn files(&self, pattern: &str) -> Result<Matching, Fault> {
        self.mesh.files(pattern)
    }

    fn plan(&self, command: StepCommand, inputs: Vec<SchemaRef>) -> BoxFuture<'_, Result<StepPlan, Fault>> {
        async move {
            let (command, redactor) = self.resolved(command).await?;
            let plan = self.mesh.plan(command, inputs).await.map_err(|fault| redactor.fault(&fault))?;
            let source = plan.source.map(|source| redactor.referred(&source));
            let clean = |one: Dataset| Dataset::new(redactor.text(&one.namespace), redactor.text(&one.name));
            let datasets = plan.datasets.into_iter().map(clean).collect();
            let read = |one: ReadFile| ReadFile { dataset: clean(one.dataset), ..one };
            let reads = plan.reads.into_iter().map(read).collect();
            let written = |one: Written| Written { dataset: clean(one.dataset), ..one };
            let writes = plan.writes.into_iter().map(written).collect();
            Ok(StepPlan { source, datasets, reads, writes, ..plan })
        }
        .boxed()
    }
}

impl<M: Mesh> Mesh for WithSecrets<M> {
    type Item = M::Item;

    fn start(&self, call: Call<M::Item>) -> BoxFuture<'_, Result<Running<M::Item>, Fault>> {
        async move {
            let (command, redactor) = self.resolved(call.command).await?;
            let running = self.mesh.start(Call { command, ..call }).await.map_err(|fault| redactor.fault(&fault))?;
            if redactor.is_idle() {
                return Ok(running);
            }
            let Running { outputs, figures, .. } = running;
            let outputs = outputs.into_iter().map(|stream| redacted(stream, redactor.clone())).collect();
            let of_receipts = redactor.clone();
            Ok(Running {
                outputs,
                figures: Box::new(move || Some(redactor.report(figures()?))),
                tellable: Box::new(move |receipt| of_receipts.value(receipt)),
            })
        }
        .boxed()
    }
}

/// The same rows; a fault among them names no secret.
fn redacted<T: Send + 'static>(stream: EdgeStream<T>, redactor: Arc<Redactor>) -> EdgeStream<T> {
    stream.wrap(move |items| items.map_err(move |fault| redactor.fault(&fault)))
}
