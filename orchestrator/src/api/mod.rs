//! REST: what people, scripts and the web page ask of the service. One file per resource.
//!
//! | file | what |
//! |---|---|
//! | [`pipelines`] | stored pipelines: versions, checks, plans, differences |
//! | [`runs`] | submit, list, look, compare, cancel, retry, resume |
//! | [`events`] | what happens to a run, while it happens |
//! | [`outputs`], [`rows`] | kept outputs: a first look, and whole, as files |
//! | [`schedules`] | what runs by itself |
//! | [`steps`] | the catalog |
//! | [`datasets`] | files under the data root |
//! | [`tokens`], [`auth`] | who may call |
//! | [`health`] | live, ready, version |
//! | [`problem`] | what went wrong, as RFC 9457 has it |
//! | [`extract`], [`guard`] | what is taken from requests; limits around all of them, and around those that take long |
//! | [`listen`] | the socket, TLS, and an end that drains |
//!
//! `docs/openapi.json` is generated from here.

#![allow(unused_qualifications, reason = "what is generated for the document of the API qualifies its names")]

mod auth;
mod body;
mod conditions;
mod datasets;
mod download;
mod events;
mod extract;
mod guard;
mod health;
mod listen;
mod logs;
mod outputs;
mod pipelines;
mod problem;
mod rows;
mod runs;
mod schedules;
mod steps;
mod tokens;

pub use health::{Part, Readiness, Version};
pub use listen::ApiServer;
pub use problem::{PipelineProblem, ProblemDetails};
pub use runs::{Comparison, RunDetails};
pub use schedules::{Backfilled, Times};
pub use tokens::NewToken;

use crate::access::{Access, Caller};
use crate::seats::{Seat, Seats};
use crate::service::Service;
use axum::Router;
use axum::response::Redirect;
use axum::routing::get;
use flight_common::Fault;
use http::HeaderMap;
use problem::PROBLEM;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Content, Ref, RefOr, Response, ResponseBuilder};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_swagger_ui::SwaggerUi;

/// What protects the service.
#[derive(Clone, Debug)]
pub struct ApiLimits {
    /// Bytes of the largest upload.
    pub upload: u64,
    /// How long a request may take until its answer begins, and an upload may stand still.
    pub patience: Duration,
    /// Requests under way.
    pub requests: usize,
    /// Event streams, uploads and downloads under way; half of them for a caller.
    pub streams: usize,
}

impl Default for ApiLimits {
    fn default() -> Self {
        Self { upload: 10 << 30, patience: Duration::from_secs(60), requests: 512, streams: 128 }
    }
}

/// The REST API of a service. Cheap to clone.
#[derive(Clone)]
pub struct Api(Arc<Inner>);

/// What the macros take for the media type of every body.
const JSON: &str = "application/json";

struct Inner {
    service: Service,
    access: Access,
    limits: ApiLimits,
    seats: Seats,
    requests: Semaphore,
    looks: health::Looks,
}

impl Api {
    /// The API of this service.
    pub fn new(service: Service, access: Access, limits: ApiLimits) -> Self {
        let seats = Seats::new("streams, uploads and downloads", limits.streams, access);
        let requests = Semaphore::new(limits.requests);
        Self(Arc::new(Inner { service, access, limits, seats, requests, looks: health::Looks::default() }))
    }

    fn service(&self) -> &Service {
        &self.0.service
    }

    fn access(&self) -> Access {
        self.0.access
    }

    /// Who calls with these headers.
    async fn caller(&self, headers: &HeaderMap) -> Result<Caller, Fault> {
        Caller::of(headers, self.0.access, self.0.service.store()).await
    }

    /// A place among those whose answers take long.
    fn seat(&self, caller: &Caller) -> Result<Seat, Fault> {
        self.0.seats.take(&caller.id)
    }

    /// All routes.
    pub fn router(&self) -> Router {
        let (router, document) = routes().split_for_parts();
        let docs = SwaggerUi::new("/docs").url("/openapi.json", named(document));
        // Who opens the address in a browser looks for a page.
        let front = get(|| async { Redirect::temporary("/docs/") });
        guard::guarded(router.with_state(self.clone()).merge(docs).route("/", front), self)
    }
}

/// The OpenAPI document of the API.
pub fn openapi() -> utoipa::openapi::OpenApi {
    named(routes().into_openapi())
}

/// Operations are called after their resource and their function, which is unique: `runs_list`. Each may be refused for more
/// than its own reasons: no token, a call that cannot be read, too many calls, a store that does not answer.
fn named(mut document: utoipa::openapi::OpenApi) -> utoipa::openapi::OpenApi {
    // `{*path}`, which takes slashes as well, is a word of the router.
    let paths = std::mem::take(&mut document.paths.paths);
    document.paths.paths = paths.into_iter().map(|(path, item)| (path.replace("{*", "{"), item)).collect();
    let problem = Content::new(Some(Ref::from_schema_name("ProblemDetails")));
    let refused = ResponseBuilder::new().description("Why it was refused.").content(JSON, problem.clone()).build();
    for item in document.paths.paths.values_mut() {
        let operations = [&mut item.get, &mut item.put, &mut item.post, &mut item.delete];
        for operation in operations.into_iter().flatten() {
            let responses = &mut operation.responses.responses;
            responses.insert("default".to_owned(), refused.clone().into());
            for response in responses.values_mut() {
                if let RefOr::T(Response { content, .. }) = response
                    && content.get(JSON).is_some_and(|body| *body == RefOr::T(problem.clone()))
                {
                    content.swap_remove(JSON);
                    content.insert(PROBLEM.to_owned(), problem.clone().into());
                }
            }
            let tag = operation.tags.as_ref().and_then(|tags| tags.first());
            if let (Some(tag), Some(id)) = (tag, &operation.operation_id) {
                operation.operation_id = Some(format!("{tag}_{id}"));
            }
        }
    }
    document
}

fn routes() -> OpenApiRouter<Api> {
    let resources = OpenApiRouter::new()
        .merge(pipelines::routes())
        .merge(runs::routes())
        .merge(events::routes())
        .merge(logs::routes())
        .merge(outputs::routes())
        .merge(schedules::routes())
        .merge(steps::routes())
        .merge(datasets::routes())
        .merge(tokens::routes());
    OpenApiRouter::with_openapi(Document::openapi()).nest("/api/v1", resources).merge(health::routes())
}

#[derive(OpenApi)]
#[openapi(
    info(title = "Quiver", description = "ETL as a mesh of Arrow Flight services: its orchestrator.", license(name = "Apache-2.0", identifier = "Apache-2.0")),
    modifiers(&Bearer),
    security(("bearer" = [])),
)]
struct Document;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
        document.components.get_or_insert_with(Default::default).add_security_scheme("bearer", scheme);
    }
}
