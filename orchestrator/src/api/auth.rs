//! Who may ask for what: a handler names the role that it needs.

use super::Api;
use super::problem::ApiError;
use crate::access::{Caller, not_by_a_page};
use crate::store::Role;
use axum::extract::{FromRequestParts, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::request::Parts;

/// A caller who may look: who it is, so that nobody takes all there is.
pub struct Viewer(pub Caller);

/// A caller who may run: who it is, to be noted.
pub struct Operator(pub Caller);

/// A caller who may make tokens.
pub struct Admin;

macro_rules! callers {
    ($($name:ident: $take:expr;)*) => {$(
        impl FromRequestParts<Api> for $name {
            type Rejection = ApiError;

            async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
                allowed(parts, api, Role::$name).await.map($take)
            }
        }
    )*};
}

callers! {
    Viewer: Self;
    Operator: Self;
    Admin: |_| Self;
}

async fn allowed(parts: &Parts, api: &Api, needed: Role) -> Result<Caller, ApiError> {
    let caller = api.caller(&parts.headers).await?;
    caller.may(needed)?;
    Ok(caller)
}

/// As [`not_by_a_page`].
pub async fn same_site(State(api): State<Api>, request: Request, next: Next) -> Result<Response, ApiError> {
    not_by_a_page(api.access(), request.headers(), request.uri())?;
    Ok(next.run(request).await)
}
