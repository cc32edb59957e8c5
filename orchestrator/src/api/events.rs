//! What happens to a run, while it happens.

use super::Api;
use super::auth::Viewer;
use super::extract::{Json, Path, Query, media_type, text_header};
use super::problem::{ApiError, ProblemDetails};
use crate::store::{EventRow, Store, StoreError};
use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, header};
use serde::Deserialize;
use std::time::Duration;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Events read at a time.
const PART: usize = 200;
/// How long news of another replica may take to be seen.
const POLL: Duration = Duration::from_millis(500);
/// How long one stream lasts at most. Whoever still listens then asks for the rest.
const LONGEST: Duration = Duration::from_secs(3600);

/// How often it is asked whether the listener still may listen.
const ASK_AGAIN: Duration = Duration::from_secs(10);

/// How long events are still waited for when nothing more happens here.
const AT_THE_END: Duration = Duration::from_millis(100);

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(events))
}

/// From where.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct From {
    /// Only what came after the event with this number.
    after: Option<i64>,
}

/// What happened to a run, in order: as server-sent events that go on until the run has ended, or all of it so far with
/// `Accept: application/json`.
///
/// Whoever was cut off goes on with `Last-Event-ID`. A run that has ended closes the stream with an event `end`.
#[utoipa::path(get, path = "/runs/{id}/events", tag = "runs",
    params(("id" = String, Path), From, ("Last-Event-ID" = Option<i64>, Header)),
    responses(
        (status = 200, content((EventRow = "text/event-stream"), (Vec<EventRow> = "application/json"))),
        (status = 404, body = ProblemDetails),
        (status = 429, body = ProblemDetails, description = "Too many listen already."),
    ))]
async fn events(
    Viewer(caller): Viewer,
    State(api): State<Api>,
    Path(id): Path<String>,
    Query(from): Query<From>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let store = api.service().store().clone();
    store.run(&id).await?;
    let last = match text_header(&headers, "last-event-id")? {
        Some(text) => Some(text.trim().parse().map_err(|_| ApiError::bad_request("Last-Event-ID must be a number"))?),
        None => from.after,
    };
    let after = last.unwrap_or(0);
    if media_type(&headers, header::ACCEPT).as_deref() == Some("application/json") {
        return Ok(Json(store.events(&id, after, usize::from(u16::MAX)).await?).into_response());
    }
    let seat = api.seat(&caller)?;
    let until = tokio::time::Instant::now() + LONGEST;
    let over = api.service().over();
    let stream = async_stream::stream! {
        let _seat = seat;
        let mut follow = Follow { store, run: id, after };
        let mut asked = tokio::time::Instant::now();
        while tokio::time::Instant::now() < until {
            // When this replica is gone, what it did last is told, and whoever still listens asks the next one for the rest.
            let is_over = over.is_cancelled();
            let patience = if is_over { AT_THE_END } else { ASK_AGAIN };
            let next = tokio::select! {
                next = tokio::time::timeout(patience, follow.next()) => next,
                () = over.cancelled(), if !is_over => continue,
            };
            if is_over && next.is_err() {
                return;
            }
            // A token may be revoked meanwhile, or expire.
            if asked.elapsed() >= ASK_AGAIN {
                if api.caller(&headers).await.is_err() {
                    return;
                }
                asked = tokio::time::Instant::now();
            }
            let Ok(next) = next else { continue };
            match next {
                Ok(Next::Events(events)) => {
                    for event in events {
                        let told = Event::default().id(event.seq.to_string()).event(event.kind.clone());
                        yield told.json_data(&event);
                    }
                }
                Ok(Next::End(state)) => {
                    yield Event::default().event("end").json_data(serde_json::json!({"state": state}));
                    return;
                }
                Err(error) => {
                    tracing::warn!(%error, "events could not be read; the client will ask again");
                    return;
                }
            }
        }
    };
    Ok(Sse::new(stream).keep_alive(KeepAlive::default()).into_response())
}

struct Follow {
    store: Store,
    run: String,
    after: i64,
}

enum Next {
    Events(Vec<EventRow>),
    End(&'static str),
}

impl Follow {
    /// Waits for events, or the end of the run.
    async fn next(&mut self) -> Result<Next, StoreError> {
        let mut changes = self.store.changes(&self.run);
        loop {
            // Asked before the events are: what came between the two is seen the next time.
            let run = self.store.run(&self.run).await?;
            let events = self.store.events(&self.run, self.after, PART).await?;
            if let Some(last) = events.last() {
                self.after = last.seq;
                return Ok(Next::Events(events));
            }
            if run.state.is_final() {
                return Ok(Next::End(run.state.name()));
            }
            // A time-out only means that this process has written nothing of it.
            let _ = tokio::time::timeout(POLL, changes.changed()).await;
        }
    }
}
