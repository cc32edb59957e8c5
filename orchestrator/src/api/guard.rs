//! What every request passes: limits, a deadline, and an answer even to a bug.

use super::Api;
use super::auth::same_site;
use super::body::{Awaited, read_to_its_end};
use super::problem::ApiError;
use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::middleware::{Next, from_fn_with_state, map_request};
use axum::response::{IntoResponse, Response};
use flight_common::{Fault, telemetry};
use http::{HeaderValue, StatusCode, header};
use http_body::Body as _;
use std::any::Any;
use std::time::Duration;
use tower_http::catch_panic::CatchPanicLayer;
use tracing::Instrument;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// Bytes of the largest body of a request, but for uploads.
pub(super) const LARGEST_BODY: usize = 4 << 20;

/// Puts the guards around these routes.
pub(super) fn guarded(router: Router, api: &Api) -> Router {
    router
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .layer(from_fn_with_state(api.clone(), in_time))
        .layer(from_fn_with_state(api.clone(), same_site))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(map_request(read_to_its_end))
        .layer(axum::middleware::from_fn(traced))
}

async fn unknown(request: Request) -> ApiError {
    ApiError::from(Fault::not_found(format!("there is no {}", request.uri().path()))).help("/docs shows what there is")
}

async fn wrong_method(request: Request) -> ApiError {
    let why = format!("{} cannot be asked of {}", request.method(), request.uri().path());
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", why).help("/docs shows what can")
}

/// Whatever takes too long until its answer begins is given up. Uploads watch over themselves: they may take long, but
/// not stand still.
async fn in_time(State(api): State<Api>, request: Request, next: Next) -> Response {
    let Ok(_seat) = api.0.requests.try_acquire() else {
        let busy = Fault::busy("too many requests are under way").help("come back soon");
        return ApiError::from(busy.retry_after(Duration::from_secs(1))).into_response();
    };
    let mut codings = request.headers().get_all(header::CONTENT_ENCODING).into_iter();
    if let Some(coding) = codings.find(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return ApiError::unsupported(format!("a body is not taken as {coding:?}"))
            .help("send it as it is")
            .into_response();
    }
    let uploads = request.method() == http::Method::PUT && request.uri().path().starts_with("/api/v1/datasets/");
    if uploads {
        return next.run(request).await;
    }
    // What is promised need not be waited for.
    if request.body().size_hint().lower() > LARGEST_BODY as u64 {
        return ApiError::large_body().into_response();
    }
    let patience = api.0.limits.patience;
    let (request, body) = Awaited::of(request);
    match tokio::time::timeout(patience, next.run(request)).await {
        Ok(response) => response,
        Err(_) if body.more() => {
            let why = format!("the body did not come within {patience:?}");
            ApiError::new(StatusCode::REQUEST_TIMEOUT, "timed_out", why).help("send all of it at once").into_response()
        }
        Err(_) => ApiError::from(Fault::timed_out(format!("no answer within {patience:?}"))).into_response(),
    }
}

fn panicked(cause: Box<dyn Any + Send>) -> Response {
    let text = cause.downcast_ref::<String>().map(String::as_str).or(cause.downcast_ref::<&str>().copied());
    ApiError::from(Fault::internal(text.unwrap_or("a panic"))).into_response()
}

fn route(request: &Request) -> &str {
    request.extensions().get::<MatchedPath>().map_or("no route", MatchedPath::as_str)
}

/// A span for each request that changes something, within the trace of whoever asked; and headers that keep browsers
/// from guessing.
async fn traced(request: Request, next: Next) -> Response {
    let span = match request.method().is_safe() {
        true => tracing::Span::none(),
        false => tracing::info_span!(
            "request",
            // By its route: names of spans are counted, so that there must not be one for each run.
            otel.name = %format!("{} {}", request.method(), route(&request)),
            otel.kind = "server",
            http.request.method = %request.method(),
            url.path = request.uri().path(),
            http.response.status_code = tracing::field::Empty,
        ),
    };
    // Where nothing is exported there is no trace to join.
    let _ = span.set_parent(telemetry::extract(request.headers()));
    let mut response = next.run(request).instrument(span.clone()).await;
    span.record("http.response.status_code", response.status().as_u16());
    let headers = response.headers_mut();
    headers.entry(header::X_CONTENT_TYPE_OPTIONS).or_insert(HeaderValue::from_static("nosniff"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.entry(header::X_FRAME_OPTIONS).or_insert(HeaderValue::from_static("DENY"));
    response
}
