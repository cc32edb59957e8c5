//! What the engine asks and tells while it runs, answered by the store.

use super::former::FormerNames;
use super::kept::place;
use super::{Inner, Service};
use crate::pipeline::Plan;
use crate::run::{Attendant, Figures, Kept, Settled, Status};
use crate::store::{KeptOutput, Lease, StoreError, Told};
use flight_common::{Fault, Holds, NewFile, compute};
use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Pauses while the store does not answer. In all they are longer than a restart of PostgreSQL takes.
const PAUSES: [u64; 8] = [100, 200, 500, 1000, 2000, 5000, 10_000, 10_000];

/// Whether the run is over when its steps have ended so; a fault says that they have ended badly.
pub(super) type IsOver = Box<dyn Fn(Option<&Fault>) -> bool + Send + Sync>;

/// Attends one attempt.
pub(super) struct Durable {
    service: Arc<Inner>,
    lease: Lease,
    settled: Mutex<HashMap<String, Settled>>,
    /// By the step's id: its fingerprint, and whether its outputs are kept.
    steps: HashMap<String, (String, bool)>,
    /// The steps that run finally.
    finally: HashSet<String>,
    /// What its loads may have been called before.
    former: FormerNames,
    /// Whether the run is over when its steps have ended so.
    is_over: IsOver,
}

impl Durable {
    pub fn new(
        service: &Service,
        lease: &Lease,
        plan: &Plan,
        fingerprints: &[String],
        settled: HashMap<String, Settled>,
        is_over: IsOver,
    ) -> Self {
        let steps = plan.nodes.iter().zip(fingerprints);
        let steps = steps.map(|(node, print)| (node.id.clone(), (print.clone(), node.checkpoint))).collect();
        let finally = plan.nodes.iter().filter(|node| node.finally).map(|node| node.id.clone()).collect();
        let settled = Mutex::new(settled);
        let former = FormerNames::new();
        Self { service: service.0.clone(), lease: lease.clone(), settled, steps, finally, former, is_over }
    }

    /// The same, of loads that may have been called so before.
    pub fn formerly(self, former: FormerNames) -> Self {
        Self { former, ..self }
    }

    fn fingerprint(&self, step: &str) -> String {
        self.steps.get(step).map(|(print, _)| print.clone()).unwrap_or_default()
    }

    /// What is to be stored of a step that has ended well.
    fn told(&self, step: &str, figures: &Figures) -> Told {
        Told {
            step: step.to_owned(),
            attempt: 0,
            fingerprint: self.fingerprint(step),
            figures: serde_json::to_value(figures).unwrap_or_default(),
        }
    }

    /// The version of the file that a load has just written, if it was one.
    async fn written(&self, receipt: &Value) -> Option<String> {
        let (root, path) = (self.service.data_root.clone(), receipt["path"].as_str()?.to_owned());
        match compute::run(move || root.identity_of(&path, "path")).await {
            Ok(file) => Some(file.tag()),
            Err(fault) => {
                tracing::debug!(fault = %fault, "what was written cannot be looked at");
                None
            }
        }
    }

    /// Asks the store until it answers; who has lost the lease is told so at once.
    async fn ask<T, F>(&self, question: impl Fn() -> F) -> Result<T, Fault>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        patiently(question).await.map_err(Fault::from)
    }
}

/// Asks the store again for as long as it is only out of reach.
pub(super) async fn patiently<T, F>(question: impl Fn() -> F) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    for pause in PAUSES {
        match question().await {
            Err(StoreError::Unavailable(why)) => {
                tracing::warn!(why, "the store does not answer; asking again");
                tokio::time::sleep(Duration::from_millis(pause)).await;
            }
            answer => return answer,
        }
    }
    question().await
}

impl Attendant for Durable {
    fn settled(&self, step: &str) -> Option<Settled> {
        self.settled.lock().unwrap_or_else(PoisonError::into_inner).remove(step)
    }

    fn formerly(&self, step: &str) -> Vec<String> {
        self.former.get(step).cloned().unwrap_or_default()
    }

    fn keep(&self, step: &str, output: &str) -> Result<Option<NewFile>, Fault> {
        match self.steps.get(step) {
            Some((fingerprint, true)) => {
                self.service.own.new_file(&place(&self.lease, step, fingerprint, output)).map(Some)
            }
            _ => Ok(None),
        }
    }

    fn kept<'a>(&'a self, step: &'a str, output: &'a str, kept: Kept) -> BoxFuture<'a, Result<(), Fault>> {
        async move {
            let fingerprint = self.fingerprint(step);
            let path = place(&self.lease, step, &fingerprint, output);
            let output = KeptOutput {
                run_id: self.lease.run.clone(),
                step: step.to_owned(),
                output: output.to_owned(),
                fingerprint,
                path: path.to_string_lossy().into_owned(),
                rows: i64::try_from(kept.rows).unwrap_or(i64::MAX),
                bytes: i64::try_from(kept.bytes).unwrap_or(i64::MAX),
                checksum: kept.checksum,
                created_at: 0,
            };
            self.ask(|| self.service.store.keep(&self.lease, &output)).await
        }
        .boxed()
    }

    fn permit<'a>(&'a self, step: &'a str) -> BoxFuture<'a, Result<Holds, Fault>> {
        let (store, length) = (&self.service.store, self.service.settings.lease);
        async move {
            match self.finally.contains(step) {
                true => self.ask(|| store.permit_finally(&self.lease, step, length)).await?,
                false => self.ask(|| store.permit(&self.lease, step, length)).await?,
            }
            // The lease was prolonged after the question, and nobody takes the run before it is over.
            Ok(Some(length * 2 / 3))
        }
        .boxed()
    }

    fn is_over(&self, _status: Status, fault: Option<&Fault>) -> bool {
        (self.is_over)(fault)
    }

    fn committed<'a>(
        &'a self,
        step: &'a str,
        receipt: &'a Value,
        figures: &'a Figures,
    ) -> BoxFuture<'a, Result<(), Fault>> {
        async move {
            let told = self.told(step, figures);
            let tag = self.written(receipt).await;
            self.ask(|| self.service.store.committed(&self.lease, &told, receipt, tag.as_deref())).await
        }
        .boxed()
    }

    fn asked<'a>(&'a self, step: &'a str, figures: &'a Figures) -> BoxFuture<'a, Result<(), Fault>> {
        async move {
            let told = self.told(step, figures);
            self.ask(|| self.service.store.tell(&self.lease, &told)).await
        }
        .boxed()
    }
}
