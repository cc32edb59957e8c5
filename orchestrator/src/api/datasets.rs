//! Files under the data root: listed, described, uploaded.

use super::auth::{Operator, Viewer};
use super::conditions::{etag, expected, has};
use super::extract::{ITEMS, Json, Path, Query, check_limit};
use super::problem::{ApiError, ProblemDetails};
use super::rows::{self, Column};
use super::{Api, ApiLimits};
use crate::format::Format;
use crate::store::{Expected, Page};
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, State};
use axum::response::{IntoResponse, Response};
use flight_common::{DataRoot, Fault, FaultKind, FileEntry, NewFile, StepCommand, compute};
use futures::StreamExt;
use http::{HeaderMap, StatusCode, header};
use http_body::Body as _;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::io::Write;
use std::time::{Duration, SystemTime};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Files listed at a time, if nothing is said.
const FILES: usize = 1000;
/// The largest file that is read to count its rows.
const MOST_COUNTED: u64 = 1 << 30;

pub(super) fn routes() -> OpenApiRouter<Api> {
    let upload = OpenApiRouter::new().routes(routes!(describe, upload)).layer(DefaultBodyLimit::disable());
    OpenApiRouter::new().routes(routes!(list)).merge(upload)
}

/// A file under the data root.
#[derive(Debug, Serialize, ToSchema)]
pub struct Dataset {
    /// Its path, as pipelines name it.
    path: String,
    /// Its length.
    bytes: u64,
    /// When it was last written: milliseconds since 1970.
    modified_at: Option<u64>,
    /// `csv`, `json`, `jsonl`, `arrow`, `parquet`; nothing for what is no data set.
    format: Option<&'static str>,
}

impl From<FileEntry> for Dataset {
    fn from(file: FileEntry) -> Self {
        let path = file.path.to_string_lossy().into_owned();
        let since = file.modified.and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
        Self {
            format: Format::of(&path).map(Format::extension),
            bytes: file.bytes,
            modified_at: since.and_then(|since| u64::try_from(since.as_millis()).ok()),
            path,
        }
    }
}

/// Which files.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct Listing {
    /// Only those whose path begins so.
    #[serde(default)]
    prefix: String,
    /// Where the list goes on: the `next` of its part before.
    cursor: Option<String>,
    /// At most this many, 1 to 10,000.
    #[serde(default = "files")]
    limit: usize,
}

fn files() -> usize {
    FILES
}

/// The files under the data root, by path.
#[utoipa::path(get, path = "/datasets", tag = "datasets", params(Listing), responses((status = 200, body = Page<Dataset>)))]
async fn list(
    _: Viewer,
    State(api): State<Api>,
    Query(Listing { prefix, cursor, limit }): Query<Listing>,
) -> Result<Json<Page<Dataset>>, ApiError> {
    check_limit(limit, ITEMS, FILES)?;
    let root = api.service().data_root().clone();
    let files = compute::run(move || root.files(&prefix, cursor.as_deref(), limit + 1)).await?;
    let mut items: Vec<Dataset> = files.into_iter().map(Dataset::from).collect();
    let more = items.len() > limit;
    items.truncate(limit);
    let next = items.last().filter(|_| more).map(|last| last.path.clone());
    Ok(Json(Page { items, next }))
}

/// A data set with its columns.
#[derive(Debug, Serialize, ToSchema)]
pub struct DatasetDetails {
    /// Its path.
    path: String,
    /// Its length.
    bytes: u64,
    /// What it is.
    format: &'static str,
    /// Its columns, as the step has them that reads it in a pipeline: `extract-csv` or `extract-file`.
    columns: Vec<Column>,
    /// Its rows, where the file says so or they were counted.
    rows: Option<u64>,
}

/// How far to look.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct Look {
    /// Read all of a CSV or NDJSON file, and count its rows.
    #[serde(default)]
    count: bool,
}

/// A data set: its columns, and its rows where the file tells them.
#[utoipa::path(get, path = "/datasets/{*path}", tag = "datasets", params(("path" = String, Path), Look), responses(
    (status = 200, body = DatasetDetails, headers(("ETag" = String, description = "What `If-Match` takes."))),
    (status = 304, description = "The caller has it already: `If-None-Match`."),
    (status = 403, body = ProblemDetails, description = "It lies outside the data root."),
    (status = 404, body = ProblemDetails),
    (status = 422, body = ProblemDetails, description = "It is no data set that can be read."),
))]
async fn describe(
    Viewer(caller): Viewer,
    State(api): State<Api>,
    Path(path): Path<String>,
    Query(look): Query<Look>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let Some(format) = Format::of(&path) else {
        return Err(ApiError::bad_request(format!("{path} is not called like a data set")).help(
            "what can be looked into here ends in .csv, .json, .jsonl, .arrow or .parquet; pipelines read more",
        ));
    };
    let root = api.service().data_root().clone();
    let tag = tag_of(&root, &path).await?;
    if has(&headers, &tag)? {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, etag(&tag))]).into_response());
    }
    let _seat = if look.count { Some(api.seat(&caller)?) } else { None };
    let shown = path.clone();
    let (bytes, rows) = compute::run(move || {
        let file = root.open_file(&shown, "path")?.into_std();
        let bytes = file.metadata().map_err(|error| Fault::io(&shown, &error))?.len();
        if look.count && bytes > MOST_COUNTED {
            let why = format!("{shown} has {bytes} bytes, and files of up to {MOST_COUNTED} are counted here");
            return Err(Fault::bad_params(why).help("count them in a pipeline"));
        }
        Ok((bytes, rows::count(file, &shown, format, look.count)?))
    })
    .await?;
    let step = if format == Format::Csv { "extract-csv" } else { "extract-file" };
    let command = StepCommand { step: step.to_owned(), params: json!({"file_path": path}), ..StepCommand::default() };
    let plan = api.service().runner().planner().plan(command, Vec::new()).await?;
    let columns = plan.outputs.first().map(|schema| rows::columns(schema)).unwrap_or_default();
    let details = DatasetDetails { path, bytes, format: format.extension(), columns, rows };
    Ok(([(header::ETAG, etag(&tag))], Json(details)).into_response())
}

/// A file that was uploaded.
#[derive(Debug, Serialize, ToSchema)]
pub struct Uploaded {
    /// Its path.
    path: String,
    /// Its length.
    bytes: u64,
}

/// Uploads a file. It is seen once it is whole; one that was there is replaced.
///
/// With `If-Match: "TAG"` only if the file is still the one of this `ETag`, and with `If-Match: *` if there is one; with
/// `If-None-Match: *` only if there is no such file yet. That holds among all uploads to one orchestrator, not among those to
/// several that share a data root.
#[utoipa::path(put, path = "/datasets/{*path}", tag = "datasets",
    params(
        ("path" = String, Path),
        ("If-Match" = Option<String>, Header), ("If-None-Match" = Option<String>, Header),
    ),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses(
        (status = 200, body = Uploaded, description = "It is in the place of one that was there.",
            headers(("ETag" = String, description = "What `If-Match` takes."))),
        (status = 201, body = Uploaded, description = "It is new.",
            headers(("ETag" = String, description = "What `If-Match` takes."))),
        (status = 403, body = ProblemDetails, description = "It lies outside the data root."),
        (status = 412, body = ProblemDetails, description = "The file that is there is not the expected one."),
        (status = 413, body = ProblemDetails, description = "It is larger than the service takes."),
    ))]
async fn upload(
    Operator(caller): Operator,
    State(api): State<Api>,
    Path(path): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let root = api.service().data_root().clone();
    let place = root.locate_upload(&path, "path")?;
    let expected = expected(&headers)?;
    check(&expected, there(&root, &path).await?.as_deref(), &path)?;
    // So many are promised; more may come.
    fits(body.size_hint().lower(), api.0.limits.upload, &path)?;
    let seat = api.seat(&caller)?;
    let file = {
        let (root, place) = (root.clone(), place.clone());
        compute::run(move || root.new_file(&place)).await?
    };
    let (file, bytes) = receive(body, file, &api.0.limits, &path).await?;
    let (status, tag) = {
        let _turn = api.service().publishing(&place).await;
        let there = there(&root, &path).await?;
        check(&expected, there.as_deref(), &path)?;
        compute::run(move || file.commit()).await?;
        let status = if there.is_some() { StatusCode::OK } else { StatusCode::CREATED };
        (status, tag_of(&root, &path).await?)
    };
    drop(seat);
    Ok((status, [(header::ETAG, etag(&tag))], Json(Uploaded { path, bytes })).into_response())
}

/// What `If-Match` takes for the file that is there now.
async fn tag_of(root: &DataRoot, path: &str) -> Result<String, Fault> {
    let (root, path) = (root.clone(), path.to_owned());
    Ok(compute::run(move || root.identity_of(&path, "path")).await?.tag())
}

/// The same; nothing if there is no file.
async fn there(root: &DataRoot, path: &str) -> Result<Option<String>, Fault> {
    match tag_of(root, path).await {
        Ok(tag) => Ok(Some(tag)),
        Err(fault) if fault.kind() == FaultKind::NotFound => Ok(None),
        Err(fault) => Err(fault),
    }
}

/// Refuses to replace a file, of this tag, that is not the one that the caller expects.
fn check(expected: &Expected, now: Option<&str>, path: &str) -> Result<(), ApiError> {
    if expected.holds(now) {
        return Ok(());
    }
    Err(match now {
        Some(_) if *expected == Expected::NotThere => {
            ApiError::precondition_failed(format!("there is a file {path} already"))
        }
        Some(_) => ApiError::precondition_failed(format!("the file {path} is not the expected one any more"))
            .help("look at what there is now, and send its ETag"),
        None => ApiError::precondition_failed(format!("there is no file {path}")),
    })
}

/// Refuses a file of more bytes than are taken.
fn fits(bytes: u64, largest: u64, path: &str) -> Result<(), ApiError> {
    if bytes <= largest {
        return Ok(());
    }
    let limit = format!("{path} is larger than the {largest} bytes that this service takes");
    Err(ApiError::too_large(limit).help("copy it to the data root, or raise --max-upload"))
}

fn silent(patience: Duration, received: u64) -> ApiError {
    let why = format!("nothing came for {patience:?}, after {received} bytes");
    ApiError::new(StatusCode::REQUEST_TIMEOUT, "timed_out", why).help("nothing of it is kept: send it again")
}

/// Writes a body to a file. One that is cut short leaves nothing.
async fn receive(body: Body, mut file: NewFile, limits: &ApiLimits, path: &str) -> Result<(NewFile, u64), ApiError> {
    let mut pieces = body.into_data_stream();
    let mut received = 0_u64;
    loop {
        let next = tokio::time::timeout(limits.patience, pieces.next()).await;
        let Some(piece) = next.map_err(|_| silent(limits.patience, received))? else { break };
        let piece = piece.map_err(|_| ApiError::bad_request("the upload was cut short"))?;
        received += piece.len() as u64;
        fits(received, limits.upload, path)?;
        let shown = path.to_owned();
        file = compute::run(move || {
            file.write_all(&piece).map_err(|error| Fault::io(shown, &error))?;
            Ok(file)
        })
        .await?;
    }
    Ok((file, received))
}
