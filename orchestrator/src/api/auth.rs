//! Who may call.
//!
//! With tokens, every call needs `authorization: Bearer …`, and its role must reach as far as the call. Without, only
//! programs of this machine may call, and no web page may make a browser do so.

use super::Api;
use super::problem::ApiError;
use crate::store::Role;
use axum::extract::{FromRequestParts, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use flight_common::Fault;
use http::request::Parts;
use http::{HeaderMap, header};

/// How callers are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Whoever reaches the address may do everything: for a loopback address.
    Open,
    /// By their tokens.
    Tokens,
}

/// Somebody who calls.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The id of their token.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What they may do.
    pub role: Role,
}

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
    let caller = caller(&parts.headers, api).await?;
    if caller.role < needed {
        let refused =
            format!("the token {} has the role {}; this needs {}", caller.name, caller.role.name(), needed.name());
        return Err(Fault::denied(refused).help("ask an admin for another token").into());
    }
    Ok(caller)
}

/// Who calls with these headers.
///
/// # Errors
/// 401 without a good token, where tokens are asked for.
pub async fn caller(headers: &HeaderMap, api: &Api) -> Result<Caller, ApiError> {
    if api.access() == Access::Open {
        return Ok(Caller { id: String::new(), name: "local".to_owned(), role: Role::Admin });
    }
    let secret = headers.get(header::AUTHORIZATION).and_then(|value| bearer(value.to_str().ok()?));
    let refuse = |why: &str| {
        ApiError::from(Fault::unauthenticated(why).help("send `authorization: Bearer TOKEN`; `quiver token` makes one"))
    };
    let Some(secret) = secret else { return Err(refuse("this call needs a token")) };
    match api.service().store().token(secret).await? {
        Some(token) => Ok(Caller { id: token.id, name: token.name, role: token.role }),
        None => Err(refuse("this token is unknown, expired or revoked")),
    }
}

/// The secret in `Bearer …`.
pub fn bearer(value: &str) -> Option<&str> {
    let (scheme, secret) = value.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| secret.trim())
}

/// As [`not_by_a_page`].
pub async fn same_site(State(api): State<Api>, request: Request, next: Next) -> Result<Response, ApiError> {
    not_by_a_page(api.access(), request.headers(), request.uri())?;
    Ok(next.run(request).await)
}

/// Refuses what a browser was made to send by a web page of somebody else, be it by a name that was bound to this
/// address meanwhile.
///
/// # Errors
/// [`flight_common::FaultKind::Denied`] for that.
pub fn not_by_a_page(access: Access, headers: &HeaderMap, uri: &http::Uri) -> Result<(), Fault> {
    let text = |name| headers.get(name).and_then(|value: &http::HeaderValue| value.to_str().ok());
    let host = text(header::HOST).or(uri.authority().map(http::uri::Authority::as_str));
    if access == Access::Open && !host.is_some_and(is_loopback) {
        let refused = "without tokens, this address may only be called as localhost";
        return Err(Fault::denied(refused).help("call it by its loopback address, or turn tokens on"));
    }
    if let Some(origin) = text(header::ORIGIN)
        && origin.split_once("://").map(|(_, rest)| rest) != host
    {
        let help = "a proxy in front must pass on the `Host` that it was asked for";
        return Err(Fault::denied(format!("a page of {origin} may not call this")).help(help));
    }
    Ok(())
}

/// Whether a `Host` is a name of this machine for itself.
fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_loopback() {
        for host in ["localhost", "localhost:8080", "127.0.0.1:1", "127.9.9.9", "[::1]:80", "LOCALHOST"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["", "example.org", "localhost.example.org:80", "127.0.0.1.example.org", "10.0.0.1", "[::2]:1"] {
            assert!(!is_loopback(host), "{host}");
        }
    }

    #[test]
    fn a_bearer_is_read_in_any_case() {
        assert_eq!(bearer("bearer  x"), Some("x"));
        assert_eq!(bearer("Basic x"), None);
        assert_eq!(bearer("x"), None);
    }
}
