//! Files under the data root: listed, described, uploaded.

use super::Api;
use super::auth::{Operator, Viewer};
use super::download::Format;
use super::extract::{Json, Path, Query, text_header};
use super::problem::{ApiError, ProblemDetails};
use super::rows::{self, Column};
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, State};
use axum::response::{IntoResponse, Response};
use flight_common::{Fault, FileEntry, NewFile, StepCommand, compute};
use futures::StreamExt;
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::io::Write;
use std::time::{Duration, SystemTime};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Files listed at most.
const MOST_FILES: usize = 10_000;
/// The largest file that is read to count its rows.
const MOST_COUNTED: u64 = 1 << 30;
/// How long an upload that brings nothing is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

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
    prefix: Option<String>,
}

/// The files under the data root, by path: at most 10,000.
#[utoipa::path(get, path = "/datasets", tag = "datasets", params(Listing), responses((status = 200, body = [Dataset])))]
async fn list(
    _: Viewer,
    State(api): State<Api>,
    Query(listing): Query<Listing>,
) -> Result<Json<Vec<Dataset>>, ApiError> {
    let root = api.service().data_root().clone();
    let files = compute::run(move || root.files(MOST_FILES)).await?;
    let prefix = listing.prefix.unwrap_or_default();
    Ok(Json(files.into_iter().map(Dataset::from).filter(|one| one.path.starts_with(&prefix)).collect()))
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
    (status = 200, body = DatasetDetails),
    (status = 403, body = ProblemDetails, description = "It lies outside the data root."),
    (status = 404, body = ProblemDetails),
    (status = 422, body = ProblemDetails, description = "It is no data set that can be read."),
))]
async fn describe(
    Viewer(caller): Viewer,
    State(api): State<Api>,
    Path(path): Path<String>,
    Query(look): Query<Look>,
) -> Result<Json<DatasetDetails>, ApiError> {
    let Some(format) = Format::of(&path) else {
        return Err(ApiError::bad_request(format!("{path} is not called like a data set")).help(
            "what can be looked into here ends in .csv, .json, .jsonl, .arrow or .parquet; pipelines read more",
        ));
    };
    let _seat = if look.count { Some(api.seat(&caller)?) } else { None };
    let root = api.service().data_root().clone();
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
    Ok(Json(DatasetDetails { path, bytes, format: format.extension(), columns, rows }))
}

/// A file that was uploaded.
#[derive(Debug, Serialize, ToSchema)]
pub struct Uploaded {
    /// Its path.
    path: String,
    /// Its length.
    bytes: u64,
}

/// Uploads a file. It is seen once it is whole; one that was there is replaced, unless `If-None-Match: *` says not to.
#[utoipa::path(put, path = "/datasets/{*path}", tag = "datasets", params(("path" = String, Path)),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses(
        (status = 201, body = Uploaded),
        (status = 403, body = ProblemDetails, description = "It lies outside the data root."),
        (status = 412, body = ProblemDetails, description = "There is such a file already."),
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
    let place = root.locate(&path, "path")?;
    let fresh = text_header(&headers, "if-none-match")?.is_some_and(|any| any.trim() == "*");
    let (asked, of) = (path.clone(), root.clone());
    if fresh && compute::run(move || of.length_of(&asked, "path")).await.is_ok() {
        return Err(ApiError::precondition_failed(format!("there is a file {path} already")));
    }
    let seat = api.seat(&caller)?;
    let file = compute::run(move || root.new_file(&place)).await?;
    let bytes = receive(body, file, api.largest_upload(), &path).await?;
    drop(seat);
    Ok((StatusCode::CREATED, Json(Uploaded { path, bytes })).into_response())
}

fn silent(received: u64) -> ApiError {
    let why = format!("nothing came for {} s, after {received} bytes", PATIENCE.as_secs());
    ApiError::new(StatusCode::REQUEST_TIMEOUT, "timed_out", why).help("nothing of it is kept: send it again")
}

/// Writes a body to a file, and commits it at its end. One that is cut short leaves nothing.
async fn receive(body: Body, mut file: NewFile, largest: u64, path: &str) -> Result<u64, ApiError> {
    let mut pieces = body.into_data_stream();
    let mut received = 0_u64;
    loop {
        let next = tokio::time::timeout(PATIENCE, pieces.next()).await;
        let Some(piece) = next.map_err(|_| silent(received))? else { break };
        let piece = piece.map_err(|_| ApiError::bad_request("the upload was cut short"))?;
        received += piece.len() as u64;
        if received > largest {
            let limit = format!("{path} is larger than the {largest} bytes that this service takes");
            return Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", limit)
                .help("copy it to the data root, or raise --max-upload"));
        }
        let shown = path.to_owned();
        file = compute::run(move || {
            file.write_all(&piece).map_err(|error| Fault::io(shown, &error))?;
            Ok(file)
        })
        .await?;
    }
    compute::run(move || file.commit()).await?;
    Ok(received)
}
