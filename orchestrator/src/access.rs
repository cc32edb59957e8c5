//! Who may call: the same at both doors, REST and Flight.
//!
//! With tokens, every call shows one in `authorization`, and its role must reach as far as the call. Without, only
//! programs of this machine may call, and no web page may make a browser do so.

use crate::store::{Role, Store};
use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use flight_common::Fault;
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Uri, header};
use std::net::IpAddr;

/// The driver of Go sends the text of `Basic` without padding, others with it.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

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
pub(crate) struct Caller {
    /// The id of their token: by it they are told from others.
    pub id: String,
    /// Its name.
    pub name: String,
    role: Role,
}

impl Caller {
    /// Who calls with these headers.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::Unauthenticated`] without a good token, where tokens are asked for.
    pub async fn of(headers: &HeaderMap, access: Access, store: &Store) -> Result<Self, Fault> {
        if access == Access::Open {
            return Ok(Self { id: String::new(), name: "local".to_owned(), role: Role::Admin });
        }
        let help =
            "send `authorization: Bearer TOKEN`, or any name with the token as its password; `quiver token` makes one";
        let secret = headers.get(header::AUTHORIZATION).and_then(|value| secret(value.to_str().ok()?));
        let secret = secret.ok_or_else(|| Fault::unauthenticated("this call needs a token").help(help))?;
        match store.token(&secret).await? {
            Some(token) => Ok(Self { id: token.id, name: token.name, role: token.role }),
            None => Err(Fault::unauthenticated("this token is unknown, expired or revoked").help(help)),
        }
    }

    /// Who makes this call: found out before it came to whoever answers it.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::Unauthenticated`] if it came another way.
    pub fn known<T>(request: &tonic::Request<T>) -> Result<Self, Fault> {
        request.extensions().get::<Self>().cloned().ok_or_else(|| Fault::unauthenticated("nobody is known to call"))
    }

    /// Whether their role reaches as far.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::Denied`] when it does not.
    pub fn may(&self, needed: Role) -> Result<(), Fault> {
        if self.role >= needed {
            return Ok(());
        }
        let (name, role, needed) = (&self.name, self.role.name(), needed.name());
        Err(Fault::denied(format!("the token {name} has the role {role}; this needs {needed}"))
            .help("ask an admin for another token"))
    }
}

/// The token in a header: of `Bearer`, or the password of `Basic`.
pub(crate) fn secret(value: &str) -> Option<String> {
    let (scheme, rest) = value.trim().split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.trim().to_owned());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = BASE64.decode(rest.trim()).ok()?;
    let (_, password) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    Some(password.to_owned())
}

/// Refuses what a browser was made to send by a web page of somebody else, be it by a name that was bound to this
/// address meanwhile.
///
/// # Errors
/// [`flight_common::FaultKind::Denied`] for that.
pub(crate) fn not_by_a_page(access: Access, headers: &HeaderMap, uri: &Uri) -> Result<(), Fault> {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let (host, authority) = (text(header::HOST), uri.authority().map(Authority::as_str));
    let hosts = headers.get_all(header::HOST).iter().map(|value| value.to_str().unwrap_or_default()).chain(authority);
    let host = host.or(authority);
    if access == Access::Open && (host.is_none() || !hosts.into_iter().all(is_loopback)) {
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
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
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
    fn without_tokens_every_name_that_is_given_must_be_of_this_machine() {
        let called = |hosts: &[&'static str], uri: &'static str| {
            let hosts = hosts.iter().map(|host| (header::HOST, HeaderValue::from_static(host)));
            not_by_a_page(Access::Open, &hosts.collect(), &Uri::from_static(uri)).is_ok()
        };
        assert!(called(&["localhost"], "/live") && called(&[], "http://127.0.0.1:1/live"));
        assert!(!called(&[], "/live"));
        assert!(!called(&["localhost", "example.org"], "/live"));
        assert!(!called(&["localhost"], "http://example.org/live"));
    }

    #[test]
    fn a_token_comes_by_bearer_or_as_a_password() {
        assert_eq!(secret("Bearer abc").as_deref(), Some("abc"));
        assert_eq!(secret("basic YW5uOmFiYw==").as_deref(), Some("abc"));
        assert_eq!(secret("Basic not base64"), None);
        assert_eq!(secret("bearer  x").as_deref(), Some("x"));
        assert_eq!(secret("abc"), None);
    }

    #[test]
    fn a_password_comes_with_padding_or_without() {
        // The text of `o:abc`, `op:abc` and `opp:abc`.
        for header in ["bzphYmM=", "bzphYmM", "b3A6YWJj", "b3BwOmFiYw==", "b3BwOmFiYw"] {
            assert_eq!(secret(&format!("Basic {header}")).as_deref(), Some("abc"), "{header}");
        }
    }
}
