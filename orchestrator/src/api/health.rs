//! Whether the service lives, and whether it can work. Open to everybody: a balancer has no token.

use super::Api;
use super::extract::Json;
use crate::service::Pulse;
use axum::extract::State;
use flight_common::{Fault, FaultKind, compute, telemetry};
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// How long a part may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// What the store is called among the parts.
const STORE: &str = "store";
/// How long what was seen holds.
const FRESH: Duration = Duration::from_millis(500);
/// The worker goes round at least twice a second.
const OLDEST_PULSE: Duration = Duration::from_secs(10);

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(live)).routes(routes!(ready)).routes(routes!(version))
}

/// Whether the process answers: nothing else is asked.
#[utoipa::path(get, path = "/live", tag = "health", security(()), responses((status = 200)))]
async fn live() -> StatusCode {
    StatusCode::OK
}

/// Whether the service can work, part by part.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Readiness {
    /// Whether all parts are well that it needs.
    pub ready: bool,
    /// The store, the scheduler, the data root, every step server, and the collector, if there is to be one.
    pub parts: Vec<Part>,
}

/// One part of the service.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Part {
    /// What.
    pub name: String,
    /// Whether it is well.
    pub ok: bool,
    /// Why not, for those who may see runs.
    pub reason: Option<String>,
    /// Whether the service cannot work without it.
    pub needed: bool,
}

impl Part {
    fn new(name: impl Into<String>, answer: Result<(), String>) -> Self {
        Self { name: name.into(), ok: answer.is_ok(), reason: answer.err(), needed: true }
    }

    /// One without which it works as well.
    fn extra(name: impl Into<String>, answer: Result<(), String>) -> Self {
        Self { needed: false, ..Self::new(name, answer) }
    }
}

/// Whether the service can work: its store, its scheduler, its data root, every step server, and the collector (which
/// it does not need), each with the reason why not, which only those are told who may see runs.
#[utoipa::path(get, path = "/ready", tag = "health", security(()), responses(
    (status = 200, body = Readiness),
    (status = 503, body = Readiness),
))]
async fn ready(State(api): State<Api>, headers: HeaderMap) -> (StatusCode, Json<Readiness>) {
    let mut readiness = api.0.looks.readiness(&api).await;
    // Who asks is looked up in the store, which may be what is not well.
    let known = in_time(async { Ok(api.caller(&headers).await) }).await;
    if !matches!(known, Ok(Ok(_))) {
        let is_stranger = matches!(known, Ok(Err(fault)) if fault.kind() == FaultKind::Unauthenticated);
        for part in &mut readiness.parts {
            let in_short = "it does not answer, and so nobody is known who may be told more".to_owned();
            part.reason = Some(in_short).filter(|_| !is_stranger && !part.ok && part.name == STORE);
        }
    }
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(readiness))
}

/// What was seen last, for those who ask at the same time or soon after: all of them are strangers, and to look takes a
/// place among those who write to the store.
#[derive(Default)]
pub(super) struct Looks(Mutex<Option<(Instant, Readiness)>>);

impl Looks {
    async fn readiness(&self, api: &Api) -> Readiness {
        let mut last = self.0.lock().await;
        match &*last {
            Some((at, seen)) if at.elapsed() < FRESH => seen.clone(),
            _ => {
                let seen = look(api).await;
                *last = Some((Instant::now(), seen.clone()));
                seen
            }
        }
    }
}

async fn look(api: &Api) -> Readiness {
    let service = api.service();
    let store = async {
        let answer = in_time(async { service.store().ping().await.map_err(|error| error.to_string()) }).await;
        vec![Part::new(STORE, answer)]
    };
    let steps = async {
        match in_time(async { Ok(service.runner().planner().health().await) }).await {
            Ok(health) => health
                .into_iter()
                .map(|(name, answer)| {
                    Part::new(format!("step {name}"), answer.map_err(|fault: Fault| fault.to_string()))
                })
                .collect(),
            Err(why) => vec![Part::new("steps", Err(why))],
        }
    };
    let collector = async {
        let reached = telemetry::collector(PATIENCE).await;
        reached.map(|(_, answer)| Part::extra("collector", answer))
    };
    let root = async {
        let root = service.data_root().clone();
        let own = service.own_folder().clone();
        let look = move || {
            root.check()?;
            own.check()?;
            // It has no name until it is committed, which this one never is.
            own.new_file(Path::new("probe")).map(drop)
        };
        in_time(async { compute::run(look).await.map_err(|fault| fault.to_string()) }).await
    };
    let (mut parts, steps, collector, root): (Vec<Part>, Vec<Part>, Option<Part>, _) =
        tokio::join!(store, steps, collector, root);
    let beats = match service.pulse() {
        Pulse::Still => Err("it has not begun".to_owned()),
        Pulse::Draining => Err("it takes no more runs: the service is going down".to_owned()),
        Pulse::Beat(at) if at.elapsed() > OLDEST_PULSE => {
            Err(format!("it stood still {} s ago", at.elapsed().as_secs()))
        }
        Pulse::Beat(_) => Ok(()),
    };
    parts.push(Part::new("scheduler", beats));
    parts.push(Part::new("data root", root));
    parts.extend(steps);
    parts.extend(collector);
    Readiness { ready: parts.iter().all(|part| part.ok || !part.needed), parts }
}

async fn in_time<T>(question: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    let answer = tokio::time::timeout(PATIENCE, question).await;
    answer.unwrap_or_else(|_| Err(format!("it does not answer within {} s", PATIENCE.as_secs())))
}

/// What runs here.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Version {
    /// The version of Quiver.
    pub version: String,
    /// What keeps its runs: `sqlite` or `postgres`.
    pub store: String,
    /// This replica.
    pub replica: String,
}

/// What runs here.
#[utoipa::path(get, path = "/version", tag = "health", security(()), responses((status = 200, body = Version)))]
async fn version(State(api): State<Api>) -> Json<Version> {
    Json(Version {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        store: api.service().store().kind().to_owned(),
        replica: api.service().owner().to_owned(),
    })
}
