//! A pipeline submitted and followed by `PollFlightInfo`.
//!
//! The first call carries `{"yaml": …}` or `{"pipeline": …}` as its command. Each answer names what to ask next,
//! `runs/<id>`, until the run has ended: then it names its kept outputs, and nothing to ask.

use super::Inner;
use crate::access::Caller;
use crate::run::Status;
use crate::service::{Refused, RunRequest};
use crate::store::{Role, RunRow, RunState};
use arrow_flight::{FlightDescriptor, FlightInfo, PollInfo};
use bytes::Bytes;
use flight_common::{Fault, FaultKind};
use serde_json::Value;
use std::time::Duration;

/// How long an answer waits for news.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long news of another replica may take to be seen.
const LOOK: Duration = Duration::from_millis(250);

impl Inner {
    /// Submits what the command says, or tells how a run goes on.
    ///
    /// # Errors
    /// What is wrong with the pipeline; once the run has failed, its fault.
    pub async fn poll(&self, descriptor: &FlightDescriptor, caller: &Caller) -> Result<PollInfo, Fault> {
        if descriptor.path.is_empty() {
            let run = self.submit(&descriptor.cmd, caller).await?;
            return self.told(&run).await;
        }
        caller.may(Role::Viewer)?;
        let run = self.news(&run_of(&descriptor.path)?).await?;
        self.told(&run).await
    }

    /// Queues what a request says.
    ///
    /// # Errors
    /// What is wrong with it, or with the pipeline.
    pub async fn submit(&self, request: &[u8], caller: &Caller) -> Result<RunRow, Fault> {
        caller.may(Role::Operator)?;
        // An array would be taken for the fields in their order.
        let fields = serde_json::from_slice(request).map(Value::Object);
        let request: RunRequest = fields.and_then(serde_json::from_value).map_err(|error| {
            Fault::bad_params(format!("this is no request to run: {error}"))
                .help(r#"send {"yaml": "…"} or {"pipeline": "name"}"#)
        })?;
        let submitted = self.service.submit_request(request, None, &caller.name, "flight").await;
        Ok(submitted.map_err(refused)?.run)
    }

    /// Waits until a run has ended, or for a while.
    async fn news(&self, id: &str) -> Result<RunRow, Fault> {
        let store = self.service.store();
        let mut changes = store.changes(id);
        let until = tokio::time::Instant::now() + PATIENCE;
        loop {
            let run = store.run(id).await?;
            if run.state.is_final() || tokio::time::Instant::now() >= until {
                return Ok(run);
            }
            // A time-out only means that this process has written nothing of it.
            let _ = tokio::time::timeout(LOOK, changes.changed()).await;
        }
    }

    async fn told(&self, run: &RunRow) -> Result<PollInfo, Fault> {
        match run.state {
            RunState::Failed => return Err(fault_of(run)),
            RunState::Cancelled => return Err(Fault::cancelled(format!("run {} was cancelled", run.id))),
            _ => {}
        }
        let descriptor = FlightDescriptor::new_path(vec!["runs".to_owned(), run.id.clone()]);
        let app_metadata = serde_json::to_vec(run).map_err(Fault::internal)?;
        let mut info = FlightInfo {
            flight_descriptor: Some(descriptor.clone()),
            total_records: -1,
            total_bytes: -1,
            app_metadata: Bytes::from(app_metadata),
            ..FlightInfo::default()
        };
        for one in self.of_run(run).await? {
            if info.endpoint.is_empty() {
                info.schema = one.schema;
            }
            info.endpoint.extend(one.endpoint);
        }
        let ended = run.state.is_final();
        let progress = if ended { 1.0 } else { self.progress(run).await? };
        let flight_descriptor = (!ended).then_some(descriptor);
        Ok(PollInfo { info: Some(info), flight_descriptor, progress: Some(progress), expiration_time: None })
    }

    /// The part of a run's steps that has ended.
    async fn progress(&self, run: &RunRow) -> Result<f64, Fault> {
        let Some(told) = self.service.store().progress_of(&run.id).await? else { return Ok(0.0) };
        let steps = told["steps"].as_array().cloned().unwrap_or_default();
        let goes_on = |step: &&Value| [Status::Waiting, Status::Running].iter().any(|one| step["status"] == one.name());
        let ended = steps.len() - steps.iter().filter(goes_on).count();
        Ok(ended as f64 / steps.len().max(1) as f64)
    }
}

/// The run that a path names: `runs/<id>`.
///
/// # Errors
/// [`FaultKind::BadParams`] for a path that names none.
pub fn run_of(path: &[String]) -> Result<String, Fault> {
    let joined = path.join("/");
    match joined.split('/').collect::<Vec<_>>().as_slice() {
        ["runs", run] => Ok((*run).to_owned()),
        _ => Err(Fault::bad_params(format!("\"{joined}\" is no path of a run")).help("it is runs/<id>")),
    }
}

/// Why a run failed, as its caller is told.
fn fault_of(run: &RunRow) -> Fault {
    let told = run.fault.clone().and_then(|fault| serde_json::from_value(fault).ok());
    told.unwrap_or_else(|| Fault::new(FaultKind::Internal, format!("run {} failed", run.id)))
}

fn refused(refused: Refused) -> Fault {
    match refused {
        Refused::Request(fault) => fault,
        Refused::Store(error) => error.into(),
        Refused::Wrong(problems) => {
            let passing = problems.iter().all(|problem| problem.transient().is_some());
            let kind = if passing { FaultKind::Upstream } else { FaultKind::BadParams };
            let help = problems.iter().find_map(|problem| problem.help.clone());
            let fault = Fault::new(kind, problems.to_string());
            match help {
                Some(help) => fault.help(help),
                None => fault,
            }
        }
    }
}
