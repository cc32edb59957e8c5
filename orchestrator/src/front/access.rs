//! Who may call: as the REST API has it, with the token in `authorization`.

use crate::api::Access;
use crate::store::{Role, Store};
use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use flight_common::Fault;
use http::{HeaderMap, header};

/// The driver of Go sends the text of `Basic` without padding, others with it.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Somebody who calls.
#[derive(Clone, Debug)]
pub struct Caller {
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
        let help = "send `authorization: Bearer TOKEN`, or authenticate with any name and the token as its password";
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
        Err(Fault::denied(format!("the token {name} is a {role}'s; this needs the role {needed}"))
            .help("ask an admin for another token"))
    }
}

/// The token in a header: of `Bearer`, or the password of `Basic`.
pub fn secret(value: &str) -> Option<String> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_comes_by_bearer_or_as_a_password() {
        assert_eq!(secret("Bearer abc").as_deref(), Some("abc"));
        assert_eq!(secret("basic YW5uOmFiYw==").as_deref(), Some("abc"));
        assert_eq!(secret("Basic not base64"), None);
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
