//! Pipelines by name: stored, listed, compared, checked and planned.

use super::Api;
use super::auth::{Operator, Viewer};
use super::conditions::{etag, expected, has};
use super::extract::{Json, JsonOrYaml, Path, Query, Yaml, media_type};
use super::problem::{ApiError, PipelineProblem, ProblemDetails};
use crate::pipeline::{Arguments, LONGEST_NAME, Problems};
use crate::service::{Refused, RunRequest, UNNAMED};
use crate::store::{Definition, Pipeline, PipelineVersion, Stored};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use flight_common::passwords;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// What is written otherwise in a part of a path: all but what RFC 3986 calls unreserved.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(get, put, delete))
        .routes(routes!(versions))
        .routes(routes!(diff))
        .routes(routes!(plan_stored))
        .routes(routes!(validate))
        .routes(routes!(plan))
}

/// A pipeline with its text.
#[derive(Debug, Serialize, ToSchema)]
pub struct PipelineText {
    #[serde(flatten)]
    version: PipelineVersion,
    /// The YAML. A password that is written out in it is not shown.
    body: String,
}

/// Which version.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct Which {
    /// The version; the newest if none is named.
    version: Option<i64>,
}

/// All pipelines, by name.
#[utoipa::path(get, path = "/pipelines", tag = "pipelines", responses((status = 200, body = [Pipeline])))]
async fn list(_: Viewer, State(api): State<Api>) -> Result<Json<Vec<Pipeline>>, ApiError> {
    Ok(Json(api.service().store().pipelines().await?))
}

/// A pipeline: as JSON, or its text alone with `Accept: application/yaml`. Each byte of a password in it is `*`.
#[utoipa::path(get, path = "/pipelines/{name}", tag = "pipelines", params(("name" = String, Path), Which), responses(
    (status = 200, body = PipelineText),
    (status = 304, description = "It is still the one in If-None-Match."),
    (status = 404, body = ProblemDetails),
))]
async fn get(
    _: Viewer,
    State(api): State<Api>,
    Path(name): Path<String>,
    Query(which): Query<Which>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let (version, definition) = api.service().store().pipeline(&name, which.version).await?;
    let tag = etag(&version.hash);
    if has(&headers, &version.hash)? {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response());
    }
    let wanted = media_type(&headers, header::ACCEPT);
    let body = passwords::hidden(&definition.body);
    Ok(match wanted.as_deref() {
        Some("application/yaml" | "text/yaml" | "text/plain") => {
            ([(header::ETAG, tag), yaml_type()], body).into_response()
        }
        _ => ([(header::ETAG, tag)], Json(PipelineText { version, body })).into_response(),
    })
}

/// How to store.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct Store {
    /// Whether it must be fit to run, also by its schedules: `false` stores what cannot be planned yet, for want of a file, say.
    #[serde(default = "yes")]
    check: bool,
}

fn yes() -> bool {
    true
}

/// Stores a text under a name: a new version, unless the newest is the same.
///
/// With `If-Match: "HASH"` only if that is still the newest version, and with `If-Match: *` if there is one; with
/// `If-None-Match: *` only if there is no such pipeline yet. What comes with its runs may be missing: values of parameters, and
/// the files of a `for_each`.
#[utoipa::path(put, path = "/pipelines/{name}", tag = "pipelines",
    params(
        ("name" = String, Path), Store,
        ("If-Match" = Option<String>, Header), ("If-None-Match" = Option<String>, Header),
    ),
    request_body(content = String, content_type = "application/yaml"),
    responses(
        (status = 200, body = PipelineVersion),
        (status = 201, body = PipelineVersion, description = "It is the first version."),
        (status = 409, body = ProblemDetails, description = "A schedule runs it, and could not run this text."),
        (status = 412, body = ProblemDetails, description = "Somebody else was faster."),
        (status = 422, body = ProblemDetails, description = "It cannot run."),
    ))]
async fn put(
    Operator(caller): Operator,
    State(api): State<Api>,
    Path(name): Path<String>,
    Query(how): Query<Store>,
    headers: HeaderMap,
    Yaml(body): Yaml,
) -> Result<Response, ApiError> {
    fit(&name, "pipeline")?;
    if how.check {
        api.service().check_to_keep(&name, &body).await?;
        api.service().check_schedules(&name, &body).await.map_err(|error| {
            ApiError::from(error)
                .help("let the schedule run a fixed version, or store this unchecked and then change the schedule")
        })?;
    }
    let definition = Definition::new(body);
    let expected = expected(&headers)?;
    let stored = api.service().store().put_pipeline(&name, &definition, &expected, &caller.name);
    let Stored { version, made } = stored.await?;
    let status = if made && version.version == 1 { StatusCode::CREATED } else { StatusCode::OK };
    let location = format!("/api/v1/pipelines/{}", utf8_percent_encode(&name, SEGMENT));
    let location = HeaderValue::from_str(&location).ok();
    let mut response = (status, [(header::ETAG, etag(&version.hash))], Json(version)).into_response();
    response.headers_mut().extend(location.map(|location| (header::LOCATION, location)));
    Ok(response)
}

/// Forgets a pipeline with all its versions. Its runs stay.
///
/// With `If-Match: "HASH"` only if that is still the newest version.
#[utoipa::path(delete, path = "/pipelines/{name}", tag = "pipelines",
    params(("name" = String, Path), ("If-Match" = Option<String>, Header)),
    responses(
        (status = 204),
        (status = 404, body = ProblemDetails),
        (status = 409, body = ProblemDetails, description = "Schedules run it."),
        (status = 412, body = ProblemDetails, description = "Somebody has changed it."),
    ))]
async fn delete(
    _: Operator,
    State(api): State<Api>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, ApiError> {
    api.service().store().delete_pipeline(&name, &expected(&headers)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The versions of a pipeline, the newest first.
#[utoipa::path(get, path = "/pipelines/{name}/versions", tag = "pipelines", params(("name" = String, Path)), responses(
    (status = 200, body = [PipelineVersion]),
    (status = 404, body = ProblemDetails),
))]
async fn versions(
    _: Viewer,
    State(api): State<Api>,
    Path(name): Path<String>,
) -> Result<Json<Vec<PipelineVersion>>, ApiError> {
    Ok(Json(api.service().store().versions(&name).await?))
}

/// Which two versions.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct Between {
    /// The older one; the last but one if none is named.
    from: Option<i64>,
    /// The newer one; the newest if none is named.
    to: Option<i64>,
}

/// What changed between two versions, as a unified diff.
#[utoipa::path(get, path = "/pipelines/{name}/diff", tag = "pipelines", params(("name" = String, Path), Between), responses(
    (status = 200, body = String, content_type = "text/x-diff"),
    (status = 404, body = ProblemDetails),
))]
async fn diff(
    _: Viewer,
    State(api): State<Api>,
    Path(name): Path<String>,
    Query(between): Query<Between>,
) -> Result<Response, ApiError> {
    let store = api.service().store();
    let (to, new) = store.pipeline(&name, between.to).await?;
    let before = between.from.unwrap_or_else(|| to.version.saturating_sub(1).max(1));
    let (from, old) = store.pipeline(&name, Some(before)).await?;
    let label = |version: i64| format!("{name} version {version}");
    Ok(unified(&label(from.version), &old.body, &label(to.version), &new.body))
}

/// Two texts, as a unified diff. Of a password that is written out only its length is told.
pub(super) fn unified(from: &str, old: &str, to: &str, new: &str) -> Response {
    let (old, new) = (passwords::hidden(old), passwords::hidden(new));
    let changes = similar::TextDiff::from_lines(&old, &new);
    let text = changes.unified_diff().context_radius(3).header(from, to).to_string();
    ([(header::CONTENT_TYPE, HeaderValue::from_static("text/x-diff; charset=utf-8"))], text).into_response()
}

/// The plan of a stored pipeline: its graph, and the columns on each edge. For operators, as its sources are asked. With values of its parameters: `POST /plan`.
#[utoipa::path(get, path = "/pipelines/{name}/plan", tag = "pipelines", params(("name" = String, Path), Which), responses(
    (status = 200, body = Object),
    (status = 422, body = ProblemDetails),
))]
async fn plan_stored(
    // Planning calls the sources, with the secrets of the pipeline.
    _: Operator,
    State(api): State<Api>,
    Path(name): Path<String>,
    Query(which): Query<Which>,
) -> Result<Json<serde_json::Value>, ApiError> {
    let (_, definition) = api.service().store().pipeline(&name, which.version).await?;
    Ok(Json(api.service().check(&name, &definition.body, &Arguments::default()).await?.to_json()))
}

/// Whether a pipeline could run.
#[derive(Debug, Serialize, ToSchema)]
pub struct Verdict {
    /// Whether nothing is wrong.
    valid: bool,
    /// What is wrong, in the order of the text.
    errors: Vec<PipelineProblem>,
}

/// Checks a pipeline through the live steps, and stores nothing: a text (`application/yaml`), whose parameters may lack a
/// value, or what the JSON says, as it would be run.
#[utoipa::path(post, path = "/validate", tag = "pipelines",
    request_body(content((RunRequest = "application/json"), (String = "application/yaml"))),
    responses((status = 200, body = Verdict), (status = 404, body = ProblemDetails)))]
async fn validate(
    _: Operator,
    State(api): State<Api>,
    request: JsonOrYaml<RunRequest>,
) -> Result<Json<Verdict>, ApiError> {
    let checked = match request {
        JsonOrYaml::Yaml(text) => api.service().check_unfilled(UNNAMED, &text).await,
        JsonOrYaml::Json(request) => match api.service().plan_request(request).await {
            Ok(_) => Ok(()),
            Err(Refused::Wrong(problems)) => Err(problems),
            Err(refused) => return Err(refused.into()),
        },
    };
    let problems = checked.err().unwrap_or_else(Problems::none);
    Ok(Json(Verdict { valid: problems.is_empty(), errors: problems.iter().map(PipelineProblem::from).collect() }))
}

/// Plans a pipeline, and stores nothing: its graph, and the columns on each edge. What is planned is said as for a run: a
/// text (`application/yaml`), or JSON with a name or a text, and with values of its parameters.
#[utoipa::path(post, path = "/plan", tag = "pipelines",
    request_body(content((RunRequest = "application/json"), (String = "application/yaml"))),
    responses((status = 200, body = Object), (status = 404, body = ProblemDetails), (status = 422, body = ProblemDetails)))]
async fn plan(
    _: Operator,
    State(api): State<Api>,
    request: JsonOrYaml<RunRequest>,
) -> Result<Json<serde_json::Value>, ApiError> {
    Ok(Json(api.service().plan_request(request.into_request()).await?.to_json()))
}

/// The media type of a pipeline's text.
pub(super) fn yaml_type() -> (header::HeaderName, HeaderValue) {
    (header::CONTENT_TYPE, HeaderValue::from_static("application/yaml"))
}

/// Whether this can be the name of a stored thing.
pub(super) fn fit(name: &str, of: &str) -> Result<(), ApiError> {
    let good = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-');
    let length = name.chars().count();
    if (1..=LONGEST_NAME).contains(&length) && name.chars().all(good) && !name.starts_with('.') {
        return Ok(());
    }
    Err(ApiError::bad_request(format!("{name:?} cannot be the name of a {of}"))
        .help(format!("use letters, digits, `_`, `-` and `.`, at most {LONGEST_NAME}, a dot not first")))
}
