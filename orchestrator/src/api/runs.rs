//! Runs: submitted, listed, looked at, compared, cancelled, tried again.

use super::Api;
use super::auth::{Operator, Viewer};
use super::extract::{ITEMS, Json, JsonOrYaml, Path, Query, check_limit, text_header};
use super::pipelines::{unified, yaml_type};
use super::problem::{ApiError, ProblemDetails};
use crate::service::RunRequest;
use crate::store::{AttemptRow, AuditRecord, Committed, KeptOutput, Page, RunFilter, RunRow, RunState, Store};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use flight_common::{Fault, passwords};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::ser::{SerializeSeq, Serializer};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Characters of the longest idempotency key.
const LONGEST_KEY: usize = 255;
/// Runs listed at a time, if nothing is said.
const RUNS: usize = 50;
/// Bytes of a run in a list, as most are.
const LIKELY_BYTES: usize = 512;

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(submit, list))
        .routes(routes!(get))
        .routes(routes!(definition))
        .routes(routes!(attempts))
        .routes(routes!(audit))
        .routes(routes!(cancel))
        .routes(routes!(retry))
        .routes(routes!(resume))
        .routes(routes!(compare))
}

/// Queues a run: of a text (`application/yaml`), or of what the JSON says.
///
/// Two requests with the same `Idempotency-Key` make one run; the second is answered as the first was, with 200.
#[utoipa::path(post, path = "/runs", tag = "runs",
    params(("Idempotency-Key" = Option<String>, Header, description = "At most 255 characters.")),
    request_body(content((RunRequest = "application/json"), (String = "application/yaml"))),
    responses(
        (status = 202, body = RunRow, headers(("Location" = String))),
        (status = 200, body = RunRow, description = "An earlier request with this key has made it."),
        (status = 409, body = ProblemDetails, description = "The key was used for something else."),
        (status = 422, body = ProblemDetails, description = "The pipeline cannot run."),
    ))]
async fn submit(
    Operator(caller): Operator,
    State(api): State<Api>,
    headers: HeaderMap,
    request: JsonOrYaml<RunRequest>,
) -> Result<Response, ApiError> {
    let idempotency_key = text_header(&headers, "idempotency-key")?;
    if idempotency_key.as_ref().is_some_and(|key| key.is_empty() || key.len() > LONGEST_KEY) {
        return Err(ApiError::bad_request(format!("an idempotency key has 1 to {LONGEST_KEY} characters")));
    }
    let submitted = api.service().submit_request(request.into_request(), idempotency_key, &caller.name, "api").await?;
    let location = HeaderValue::from_str(&format!("/api/v1/runs/{}", submitted.run.id)).ok();
    let status = if submitted.fresh { StatusCode::ACCEPTED } else { StatusCode::OK };
    let mut response = (status, Json(submitted.run)).into_response();
    response.headers_mut().extend(location.map(|location| (header::LOCATION, location)));
    Ok(response)
}

/// Which runs.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct Listing {
    /// Of this pipeline.
    pipeline: Option<String>,
    /// In one of these states, with commas between them: `queued`, `running`, `cancelling`, `done`, `failed`, `cancelled`.
    state: Option<String>,
    /// Where the list goes on: the `next` of its part before.
    cursor: Option<String>,
    /// At most this many, 1 to 10,000.
    #[serde(default = "runs")]
    limit: usize,
    /// Only those whose id ends with this.
    ending: Option<String>,
}

fn is_of_id(byte: u8) -> bool {
    byte.is_ascii_hexdigit() || byte == b'-'
}

fn runs() -> usize {
    RUNS
}

/// Runs, the youngest first.
#[utoipa::path(get, path = "/runs", tag = "runs", params(Listing), responses((status = 200, body = Page<RunRow>)))]
async fn list(_: Viewer, State(api): State<Api>, Query(listing): Query<Listing>) -> Result<Response, ApiError> {
    for (filter, given) in [("pipeline", &listing.pipeline), ("ending", &listing.ending)] {
        if given.as_deref() == Some("") {
            return Err(ApiError::bad_request(format!("{filter} is empty")).help("leave it out for all runs"));
        }
    }
    let names = listing.state.iter().flat_map(|states| states.split(',')).map(str::trim);
    let states = names.map(str::parse::<RunState>).collect::<Result<_, _>>().map_err(ApiError::bad_request)?;
    if let Some(ending) = listing.ending.as_ref().filter(|ending| !ending.bytes().all(is_of_id)) {
        return Err(ApiError::bad_request(format!("no id ends with {ending:?}"))
            .help("ids are of digits, the letters a to f, and dashes"));
    }
    let filter = RunFilter { pipeline: listing.pipeline, states, ending: listing.ending };
    // As ids are written: they are compared as texts.
    let cursor = listing.cursor.as_deref().map(|cursor| uuid::Uuid::parse_str(cursor).map_err(|_| cursor)).transpose();
    let cursor = cursor.map_err(|cursor| {
        ApiError::bad_request(format!("{cursor:?} is no cursor"))
            .help("take it from `next` of the part before, or leave it out to begin with the youngest")
    })?;
    let cursor = cursor.map(|cursor| cursor.hyphenated().to_string());
    check_limit(listing.limit, ITEMS, RUNS)?;
    page(api.service().store(), &filter, cursor.as_deref(), listing.limit).await
}

/// A [`Page`] as it is sent, each run written as soon as it is read.
async fn page(store: &Store, filter: &RunFilter, cursor: Option<&str>, limit: usize) -> Result<Response, ApiError> {
    let unwritten = |error: serde_json::Error| ApiError::from(Fault::internal(error.to_string()));
    // To grow by the megabyte takes longer than to write.
    let mut text = Vec::with_capacity(LIKELY_BYTES * limit);
    text.extend(br#"{"items":"#);
    let mut serializer = serde_json::Serializer::new(&mut text);
    let mut items = serializer.serialize_seq(None).map_err(unwritten)?;
    let write = |run| items.serialize_element::<RunRow>(&run).map_err(unwritten);
    let next = store.each_run(filter, cursor, limit, write).await?;
    items.end().map_err(unwritten)?;
    text.extend(format!(r#","next":{}}}"#, json!(next)).into_bytes());
    Ok(([(header::CONTENT_TYPE, "application/json")], text).into_response())
}

/// A run, and what each of its steps does.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct RunDetails {
    /// The run.
    #[serde(flatten)]
    pub run: RunRow,
    /// The steps of the last attempt: at its end with all their figures, before with their status and rows.
    #[schema(value_type = Vec<Object>)]
    pub steps: Value,
    /// What a queued run waits for, in words: a limit, an earlier run, or the time of its next attempt.
    #[serde(default)]
    pub waits_for: Option<String>,
    /// Which step held the run back, in words.
    pub held_back_by: Option<String>,
    /// What is wrong with the pipeline, if its last attempt could not be planned.
    #[schema(value_type = Vec<Object>)]
    pub errors: Value,
    /// The outputs that can be read.
    pub outputs: Vec<KeptOutput>,
    /// What its loads have committed since it was last begun anew, in whichever attempt: of each load the last.
    #[serde(default)]
    pub commits: Vec<Committed>,
}

/// A run.
#[utoipa::path(get, path = "/runs/{id}", tag = "runs", params(("id" = String, Path)), responses(
    (status = 200, body = RunDetails),
    (status = 404, body = ProblemDetails),
))]
async fn get(_: Viewer, State(api): State<Api>, Path(id): Path<String>) -> Result<Json<RunDetails>, ApiError> {
    Ok(Json(details(&api, &id).await?))
}

async fn details(api: &Api, id: &str) -> Result<RunDetails, ApiError> {
    let store = api.service().store();
    let run = store.run(id).await?;
    let (attempts, outputs, commits) = tokio::try_join!(store.attempts(id), store.kept(id), store.commits(id))?;
    let waits_for = api.service().waits_for(&run).await?;
    let report = match attempts.last().and_then(|last| last.report.clone()) {
        Some(report) => Some(report),
        None => store.progress_of(id).await?,
    };
    let part = |name: &str| report.as_ref().and_then(|report| report.get(name)).cloned();
    Ok(RunDetails {
        run,
        waits_for,
        steps: part("steps").unwrap_or_else(|| Value::Array(Vec::new())),
        held_back_by: part("held_back_by").and_then(|words| words.as_str().map(str::to_owned)),
        errors: part("errors").unwrap_or_else(|| Value::Array(Vec::new())),
        outputs,
        commits,
    })
}

/// The text that a run runs. Each byte of a password in it is `*`.
#[utoipa::path(get, path = "/runs/{id}/definition", tag = "runs", params(("id" = String, Path)), responses(
    (status = 200, body = String, content_type = "application/yaml"),
    (status = 404, body = ProblemDetails),
))]
async fn definition(_: Viewer, State(api): State<Api>, Path(id): Path<String>) -> Result<Response, ApiError> {
    let text = api.service().store().definition_of(&id).await?;
    Ok(([yaml_type()], passwords::hidden(&text)).into_response())
}

/// The attempts of a run, the first one first, each with its report.
#[utoipa::path(get, path = "/runs/{id}/attempts", tag = "runs", params(("id" = String, Path)), responses(
    (status = 200, body = [AttemptRow]),
    (status = 404, body = ProblemDetails),
))]
async fn attempts(
    _: Viewer,
    State(api): State<Api>,
    Path(id): Path<String>,
) -> Result<Json<Vec<AttemptRow>>, ApiError> {
    api.service().store().run(&id).await?;
    Ok(Json(api.service().store().attempts(&id).await?))
}

/// What ran in a run: a record for each step of each attempt.
#[utoipa::path(get, path = "/runs/{id}/audit", tag = "runs", params(("id" = String, Path)), responses(
    (status = 200, body = [AuditRecord]),
    (status = 404, body = ProblemDetails),
))]
async fn audit(_: Viewer, State(api): State<Api>, Path(id): Path<String>) -> Result<Json<Vec<AuditRecord>>, ApiError> {
    api.service().store().run(&id).await?;
    Ok(Json(api.service().store().audit(&id).await?))
}

/// Asks for the end of a run. One that waits ends at once, one that runs as soon as its steps have stopped.
#[utoipa::path(post, path = "/runs/{id}/cancel", tag = "runs", params(("id" = String, Path)), responses(
    (status = 202, body = RunRow),
    (status = 404, body = ProblemDetails),
    (status = 409, body = ProblemDetails, description = "It has ended already."),
))]
async fn cancel(
    Operator(caller): Operator,
    State(api): State<Api>,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<RunRow>), ApiError> {
    Ok((StatusCode::ACCEPTED, Json(api.service().cancel(&id, &caller.name).await?)))
}

/// Queues a run again that failed or was cancelled, from its beginning.
#[utoipa::path(post, path = "/runs/{id}/retry", tag = "runs", params(("id" = String, Path)), responses(
    (status = 202, body = RunRow),
    (status = 404, body = ProblemDetails),
    (status = 409, body = ProblemDetails, description = "It is under way, or done."),
))]
async fn retry(
    Operator(caller): Operator,
    State(api): State<Api>,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<RunRow>), ApiError> {
    Ok((StatusCode::ACCEPTED, Json(api.service().resume(&id, None, false, &caller.name).await?)))
}

/// Queues a run again that failed or was cancelled, from where it stopped: what did not change since and was kept or
/// committed is not done again. A body is the changed text of the pipeline.
#[utoipa::path(post, path = "/runs/{id}/resume", tag = "runs", params(("id" = String, Path)),
    request_body(content = Option<String>, content_type = "application/yaml"),
    responses(
        (status = 202, body = RunRow),
        (status = 404, body = ProblemDetails),
        (status = 409, body = ProblemDetails, description = "It is under way, or done."),
        (status = 422, body = ProblemDetails, description = "The changed pipeline cannot run."),
    ))]
async fn resume(
    Operator(caller): Operator,
    State(api): State<Api>,
    Path(id): Path<String>,
    super::extract::Yaml(body): super::extract::Yaml,
) -> Result<(StatusCode, Json<RunRow>), ApiError> {
    let changed = Some(body).filter(|body| !body.trim().is_empty());
    Ok((StatusCode::ACCEPTED, Json(api.service().resume(&id, changed, true, &caller.name).await?)))
}

/// Two runs side by side.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Comparison {
    /// The one.
    pub left: RunRow,
    /// The other.
    pub right: RunRow,
    /// Whether both ran the same text with the same parameters.
    pub same_definition: bool,
    /// Every step of either.
    pub steps: Vec<StepComparison>,
}

/// A step in two runs. What one of them lacks is null.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct StepComparison {
    /// Its id.
    pub id: String,
    /// In the one: status, rows, bytes, milliseconds.
    #[schema(value_type = Option<Object>)]
    pub left: Option<Value>,
    /// In the other.
    #[schema(value_type = Option<Object>)]
    pub right: Option<Value>,
}

/// Two runs side by side: as JSON, or what differs in their texts with `Accept: text/x-diff`.
#[utoipa::path(get, path = "/runs/{id}/compare/{other}", tag = "runs",
    params(("id" = String, Path), ("other" = String, Path)),
    responses((status = 200, body = Comparison), (status = 404, body = ProblemDetails)))]
async fn compare(
    _: Viewer,
    State(api): State<Api>,
    Path((id, other)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    if super::extract::media_type(&headers, header::ACCEPT).as_deref() == Some("text/x-diff") {
        let store = api.service().store();
        let (old, new) = tokio::try_join!(store.definition_of(&id), store.definition_of(&other))?;
        return Ok(unified(&id, &old, &other, &new));
    }
    let (left, right) = tokio::try_join!(details(&api, &id), details(&api, &other))?;
    let mut ids: Vec<&str> = ids(&left.steps).collect();
    ids.extend(ids_only_in(&right.steps, &ids));
    let steps = ids.into_iter().map(|id| StepComparison {
        id: id.to_owned(),
        left: figures(&left.steps, id),
        right: figures(&right.steps, id),
    });
    let steps = steps.collect();
    let given = |run: &RunRow| (run.definition.clone(), run.sets.clone(), run.params.clone());
    let same_definition = given(&left.run) == given(&right.run);
    Ok(Json(Comparison { same_definition, steps, left: left.run, right: right.run }).into_response())
}

fn ids(steps: &Value) -> impl Iterator<Item = &str> {
    steps.as_array().into_iter().flatten().filter_map(|step| step["id"].as_str())
}

fn ids_only_in<'a>(steps: &'a Value, known: &[&str]) -> Vec<&'a str> {
    ids(steps).filter(|id| !known.contains(id)).collect()
}

/// What is comparable of a step.
fn figures(steps: &Value, id: &str) -> Option<Value> {
    const SHOWN: [&str; 6] = ["status", "rows_in", "rows_out", "bytes_out", "duration_ms", "counters"];
    let step = steps.as_array()?.iter().find(|step| step["id"] == id)?;
    let shown = SHOWN.iter().filter_map(|name| Some(((*name).to_owned(), step.get(*name)?.clone())));
    Some(Value::Object(shown.collect::<Map<_, _>>()))
}
