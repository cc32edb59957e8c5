//! Schedules: stored, shown with their next times, paused, filled back.

use super::Api;
use super::auth::{Operator, Viewer};
use super::extract::{Json, Path, Query};
use super::pipelines::fit;
use super::problem::{ApiError, ProblemDetails};
use crate::schedule::ScheduleSpec;
use crate::service::{Backfill, Occurrence};
use crate::store::{RunRow, Schedule};
use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(get, put, delete))
        .routes(routes!(next))
        .routes(routes!(pause))
        .routes(routes!(resume))
        .routes(routes!(backfill))
        .routes(routes!(cancel_backfill))
}

/// All schedules, by name.
#[utoipa::path(get, path = "/schedules", tag = "schedules", responses((status = 200, body = [Schedule])))]
async fn list(_: Viewer, State(api): State<Api>) -> Result<Json<Vec<Schedule>>, ApiError> {
    Ok(Json(api.service().store().schedules().await?))
}

/// A schedule.
#[utoipa::path(get, path = "/schedules/{name}", tag = "schedules", params(("name" = String, Path)), responses(
    (status = 200, body = Schedule),
    (status = 404, body = ProblemDetails),
))]
async fn get(_: Viewer, State(api): State<Api>, Path(name): Path<String>) -> Result<Json<Schedule>, ApiError> {
    Ok(Json(api.service().store().schedule(&name).await?))
}

/// Stores a schedule, in place of one of this name. It goes on from now, unless that was paused.
#[utoipa::path(put, path = "/schedules/{name}", tag = "schedules", params(("name" = String, Path)),
    request_body = ScheduleSpec,
    responses(
        (status = 200, body = Schedule),
        (status = 400, body = ProblemDetails, description = "The cron or the time zone is none, or its runs would begin too late."),
        (status = 404, body = ProblemDetails, description = "The pipeline is not stored."),
        (status = 422, body = ProblemDetails, description = "The pipeline does not take these parameters."),
    ))]
async fn put(
    Operator(caller): Operator,
    State(api): State<Api>,
    Path(name): Path<String>,
    Json(spec): Json<ScheduleSpec>,
) -> Result<Json<Schedule>, ApiError> {
    fit(&name, "schedule")?;
    Ok(Json(api.service().put_schedule(&name, &spec, &caller.name).await?))
}

/// Forgets a schedule. Its runs stay.
#[utoipa::path(delete, path = "/schedules/{name}", tag = "schedules", params(("name" = String, Path)), responses(
    (status = 204),
    (status = 404, body = ProblemDetails),
))]
async fn delete(_: Operator, State(api): State<Api>, Path(name): Path<String>) -> Result<StatusCode, ApiError> {
    api.service().store().delete_schedule(&name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Times of a schedule that are told at once.
const MOST_TIMES: usize = 1000;

/// How many times.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct HowMany {
    /// At most 1,000.
    #[serde(default = "ten")]
    count: usize,
}

fn ten() -> usize {
    10
}

/// When a schedule comes.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Times {
    /// In words.
    pub description: String,
    /// Its next times, as its time zone has them.
    pub times: Vec<String>,
}

/// The next times of a schedule, be it paused or not.
#[utoipa::path(get, path = "/schedules/{name}/next", tag = "schedules", params(("name" = String, Path), HowMany), responses(
    (status = 200, body = Times),
    (status = 400, body = ProblemDetails),
    (status = 404, body = ProblemDetails),
))]
async fn next(
    _: Viewer,
    State(api): State<Api>,
    Path(name): Path<String>,
    Query(how): Query<HowMany>,
) -> Result<Json<Times>, ApiError> {
    if how.count > MOST_TIMES {
        return Err(ApiError::bad_request(format!("at most {MOST_TIMES} times are told at once, not {}", how.count)));
    }
    let store = api.service().store();
    let timing = store.schedule(&name).await?.spec.timing()?;
    let times = timing.between(store.now().await?, i64::MAX, how.count);
    let times = times.into_iter().map(|time| timing.local(time).to_rfc3339()).collect();
    Ok(Json(Times { description: timing.describe(), times }))
}

/// Lets nothing run for the time being.
#[utoipa::path(post, path = "/schedules/{name}/pause", tag = "schedules", params(("name" = String, Path)), responses(
    (status = 200, body = Schedule),
    (status = 404, body = ProblemDetails),
))]
async fn pause(_: Operator, State(api): State<Api>, Path(name): Path<String>) -> Result<Json<Schedule>, ApiError> {
    Ok(Json(api.service().pause_schedule(&name, true).await?))
}

/// Goes on, from now: what was left out meanwhile stays so.
#[utoipa::path(post, path = "/schedules/{name}/resume", tag = "schedules", params(("name" = String, Path)), responses(
    (status = 200, body = Schedule),
    (status = 404, body = ProblemDetails),
))]
async fn resume(_: Operator, State(api): State<Api>, Path(name): Path<String>) -> Result<Json<Schedule>, ApiError> {
    Ok(Json(api.service().pause_schedule(&name, false).await?))
}

/// A range of times, as in `2026-03-01T06:00:00Z`. Without an offset they are in the schedule's time zone: `2026-03-01T06:00`,
/// or `2026-03-01` for midnight.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Range {
    /// From this very moment on.
    from: String,
    /// Up to this very moment.
    until: String,
    /// At most this many run at a time.
    #[serde(default)]
    concurrency: Option<i64>,
    /// Whether to run again for what has run well.
    #[serde(default)]
    again: bool,
}

/// The runs of a backfill.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Backfilled {
    /// The times of the range, in order.
    pub occurrences: Vec<Occurrence>,
}

/// Queues a run for each time of a schedule in a range. A time that has run well, be it by itself or by a backfill, is left
/// out, unless its pipeline or its parameters have changed since; and so is one whose run is under way.
#[utoipa::path(post, path = "/schedules/{name}/backfill", tag = "schedules", params(("name" = String, Path)),
    request_body = Range,
    responses(
        (status = 202, body = Backfilled),
        (status = 400, body = ProblemDetails, description = "No time lies in the range, or more than 1,000 do."),
        (status = 404, body = ProblemDetails),
    ))]
async fn backfill(
    Operator(caller): Operator,
    State(api): State<Api>,
    Path(name): Path<String>,
    Json(range): Json<Range>,
) -> Result<(StatusCode, Json<Backfilled>), ApiError> {
    if range.concurrency.is_some_and(|most| most < 1) {
        return Err(ApiError::bad_request("with a concurrency of less than 1 nothing would ever run"));
    }
    let timing = api.service().store().schedule(&name).await?.spec.timing()?;
    let range = Backfill {
        from: timing.moment(&range.from)?,
        until: timing.moment(&range.until)?,
        concurrency: range.concurrency,
        again: range.again,
    };
    let occurrences = api.service().backfill(&name, &range, &caller.name).await?;
    Ok((StatusCode::ACCEPTED, Json(Backfilled { occurrences })))
}

/// Asks for the end of all runs of the schedule's backfills that wait or run. Those that wait end at once, those that run as
/// soon as their steps have stopped.
#[utoipa::path(post, path = "/schedules/{name}/backfill/cancel", tag = "schedules", params(("name" = String, Path)),
    responses(
        (status = 202, body = [RunRow], description = "These, as they are now; none if none was under way."),
        (status = 404, body = ProblemDetails),
    ))]
async fn cancel_backfill(
    Operator(caller): Operator,
    State(api): State<Api>,
    Path(name): Path<String>,
) -> Result<(StatusCode, Json<Vec<RunRow>>), ApiError> {
    Ok((StatusCode::ACCEPTED, Json(api.service().cancel_backfill(&name, &caller.name).await?)))
}
