//! Kept outputs: a first look at their rows, and whole, as files.

use super::Api;
use super::auth::Viewer;
use super::download::{fits, streamed};
use super::extract::{Json, Path, Query, check_limit};
use super::problem::{ApiError, ProblemDetails};
use super::rows::{self, Preview};
use crate::format::Format;
use crate::store::KeptOutput;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use flight_common::{Fault, OUTPUT, compute};
use http::{HeaderValue, StatusCode, header};
use serde::Deserialize;
use std::fs::File;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Rows of the largest preview.
const MOST_ROWS: usize = 1000;

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(outputs)).routes(routes!(preview)).routes(routes!(download))
}

/// The outputs of a run that were kept.
#[utoipa::path(get, path = "/runs/{id}/outputs", tag = "outputs", params(("id" = String, Path)), responses(
    (status = 200, body = [KeptOutput]),
    (status = 404, body = ProblemDetails),
))]
async fn outputs(_: Viewer, State(api): State<Api>, Path(id): Path<String>) -> Result<Json<Vec<KeptOutput>>, ApiError> {
    api.service().store().run(&id).await?;
    Ok(Json(api.service().store().kept(&id).await?))
}

/// Which output, and how many of its rows.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct Look {
    /// The output; the main one if none is named.
    output: Option<String>,
    /// At most this many rows, up to 1,000.
    #[serde(default = "hundred")]
    limit: usize,
}

fn hundred() -> usize {
    100
}

/// The first rows of a kept output.
#[utoipa::path(get, path = "/runs/{id}/steps/{step}/preview", tag = "outputs",
    params(("id" = String, Path), ("step" = String, Path), Look),
    responses((status = 200, body = Preview), (status = 404, body = ProblemDetails)))]
async fn preview(
    _: Viewer,
    State(api): State<Api>,
    Path((id, step)): Path<(String, String)>,
    Query(look): Query<Look>,
) -> Result<Json<Preview>, ApiError> {
    check_limit(look.limit, 0..=MOST_ROWS, hundred())?;
    let (file, kept) = open(&api, &id, &step, look.output.as_deref()).await?;
    let total = u64::try_from(kept.rows).ok();
    Ok(Json(compute::run(move || rows::preview(file, look.limit, total)).await?))
}

/// Which output, and as what.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct Wanted {
    /// The output; the main one if none is named.
    output: Option<String>,
    /// `csv`, `json` (an array), `jsonl`, `arrow` (an IPC stream) or `parquet`.
    #[serde(default)]
    #[param(inline)]
    format: Format,
}

/// A kept output as a file.
#[utoipa::path(get, path = "/runs/{id}/steps/{step}/download", tag = "outputs",
    params(("id" = String, Path), ("step" = String, Path), Wanted),
    responses(
        (status = 200, description = "The file, streamed.", body = Vec<u8>, content_type = "application/octet-stream"),
        (status = 404, body = ProblemDetails),
        (status = 422, body = ProblemDetails, description = "Its columns do not fit into that format."),
        (status = 429, body = ProblemDetails, description = "Too many download already."),
    ))]
async fn download(
    Viewer(caller): Viewer,
    State(api): State<Api>,
    Path((id, step)): Path<(String, String)>,
    Query(wanted): Query<Wanted>,
) -> Result<Response, ApiError> {
    let (file, _) = open(&api, &id, &step, wanted.output.as_deref()).await?;
    let seat = api.seat(&caller)?;
    let format = wanted.format;
    let file = compute::run(move || fits(file, format)).await?;
    let named = format!("attachment; filename=\"{}.{}\"", safe(&step), format.extension());
    let disposition = HeaderValue::from_str(&named).unwrap_or(HeaderValue::from_static("attachment"));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(format.media_type())),
        (header::CONTENT_DISPOSITION, disposition),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    Ok((StatusCode::OK, headers, streamed(file, format, seat)).into_response())
}

/// A step's id as part of a file's name.
fn safe(id: &str) -> String {
    id.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '_' }).collect()
}

async fn open(api: &Api, id: &str, step: &str, output: Option<&str>) -> Result<(File, KeptOutput), ApiError> {
    api.service().store().run(id).await?;
    let kept = api.service().store().kept(id).await?;
    let wanted = output.unwrap_or(OUTPUT[0]);
    let of_step = kept.iter().filter(|kept| kept.step == step);
    let found = of_step.clone().find(|kept| kept.output == wanted).or_else(|| match output {
        // A step's main output may have a name of its own.
        None => of_step.clone().next(),
        Some(_) => None,
    });
    let Some(found) = found else {
        let known: Vec<String> = kept.iter().map(|kept| format!("{}.{}", kept.step, kept.output)).collect();
        let help = match known.is_empty() {
            true => KeptOutput::NONE.to_owned(),
            false => format!("this run has kept {}", known.join(", ")),
        };
        return Err(Fault::not_found(format!("run {id} has kept no output \"{wanted}\" of {step}")).help(help).into());
    };
    Ok((api.service().kept_file(found).await?, found.clone()))
}
