//! The log of a run, and of each of its steps.

use super::Api;
use super::auth::Viewer;
use super::extract::{Json, Path, Query, media_type};
use super::problem::{ApiError, ProblemDetails};
use crate::pipeline::{self, Source};
use crate::service::Service;
use crate::service::log::{LogLine, lines};
use crate::store::AttemptRow;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use chrono::DateTime;
use flight_common::{Fault, params};
use http::{HeaderMap, header};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(logs))
}

/// Which lines.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct Of {
    /// Only those of this step.
    step: Option<String>,
}

/// What happened to a run and what its steps did, in order; as lines of text with `Accept: text/plain`.
#[utoipa::path(get, path = "/runs/{id}/logs", tag = "runs", params(("id" = String, Path), Of), responses(
    (status = 200, content((Vec<LogLine> = "application/json"), (String = "text/plain"))),
    (status = 404, body = ProblemDetails),
))]
async fn logs(
    _: Viewer,
    State(api): State<Api>,
    Path(id): Path<String>,
    Query(of): Query<Of>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let store = api.service().store();
    store.run(&id).await?;
    let (events, attempts) = tokio::try_join!(store.logged(&id), store.attempts(&id))?;
    let lines = lines(&events, &attempts, of.step.as_deref());
    if let Some(step) = of.step.filter(|_| lines.is_empty()) {
        known(api.service(), &id, &step, &attempts).await?;
    }
    match media_type(&headers, header::ACCEPT).as_deref() {
        Some("text/plain") => Ok(lines.iter().map(text).collect::<String>().into_response()),
        _ => Ok(Json(lines).into_response()),
    }
}

/// Refuses a step that the run does not have: one of which nothing was written down, and that is not in its pipeline.
async fn known(service: &Service, id: &str, step: &str, attempts: &[AttemptRow]) -> Result<(), ApiError> {
    let definition = service.store().definition_of(id).await?;
    let written = pipeline::step_ids(&Source::new(id, definition));
    let reports = attempts.iter().filter_map(|attempt| attempt.report.as_ref());
    let ran = reports.filter_map(|report| report["steps"].as_array()).flatten().filter_map(|step| step["id"].as_str());
    let ids: Vec<&str> = written.iter().map(String::as_str).chain(ran).collect();
    if ids.contains(&step) {
        return Ok(());
    }
    let fault = Fault::not_found(format!("the run has no step \"{step}\""));
    Err(match params::nearest(step, ids) {
        Some(near) => fault.help(format!("did you mean \"{near}\"?")),
        None => fault,
    }
    .into())
}

fn text(line: &LogLine) -> String {
    let at = DateTime::from_timestamp_millis(line.at).map_or_else(String::new, |at| at.to_rfc3339());
    let step = line.step.as_deref().map(|step| format!(" [{step}]")).unwrap_or_default();
    format!("{at} {:<5} attempt {}{step} {}\n", line.level, line.attempt, line.message)
}
