//! Where a redirect leads, and whether it is followed. Pure.

use crate::target::{Ask, host, same_origin};
use flight_common::Fault;
use reqwest::{Method, StatusCode, Url};

/// The request to which an answer leads.
///
/// # Errors
/// [`flight_common::FaultKind::Denied`] for one that would lose what the first one had: from https to http, or a body to
/// another origin; [`flight_common::FaultKind::Upstream`] for one that leads nowhere.
pub fn follow(from: &Ask, status: StatusCode, location: &str) -> Result<Ask, Fault> {
    let url = next_address(&from.url, location)?;
    // As browsers do: only 307 and 308 keep a POST a POST.
    let keeps_method = matches!(status, StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT);
    let method = if keeps_method { from.method.clone() } else { Method::GET };
    if method == Method::POST && !same_origin(&from.url, &url) {
        let message =
            format!("{} redirects a POST to {}: what it carries is not sent there", host(&from.url), host(&url));
        return Err(Fault::denied(message).help("ask that address itself, if it is the right one"));
    }
    Ok(Ask { url, method })
}

/// The address that an answer from `from` names: of a redirect, or of the next page.
///
/// # Errors
/// As [`follow`].
pub fn next_address(from: &Url, location: &str) -> Result<Url, Fault> {
    let url = from
        .join(location)
        .map_err(|error| Fault::upstream(format!("{} leads to what is no address: {error}", host(from))))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(Fault::denied(format!("{} leads to another scheme: {}", host(from), url.scheme())));
    }
    if from.scheme() == "https" && url.scheme() == "http" {
        let message = format!("{} leads from https to http, to {}", host(from), host(&url));
        return Err(Fault::denied(message).help("what is read there could be read and changed by anybody on the way"));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flight_common::FaultKind;

    fn followed(method: Method, status: u16, location: &str) -> Result<(Method, String), FaultKind> {
        let from = Ask { url: Url::parse("https://api.example/a/b").expect("a URL"), method };
        let status = StatusCode::from_u16(status).expect("a status");
        follow(&from, status, location).map(|ask| (ask.method, ask.url.to_string())).map_err(|fault| fault.kind())
    }

    #[test]
    fn a_redirect_is_followed_as_browsers_do() {
        assert_eq!(followed(Method::GET, 302, "../c?d=1"), Ok((Method::GET, "https://api.example/c?d=1".into())));
        assert_eq!(followed(Method::POST, 303, "/c"), Ok((Method::GET, "https://api.example/c".into())));
        assert_eq!(followed(Method::POST, 308, "/c"), Ok((Method::POST, "https://api.example/c".into())));
        assert_eq!(followed(Method::GET, 301, "https://b.example/"), Ok((Method::GET, "https://b.example/".into())));
    }

    #[test]
    fn what_would_give_something_away_is_denied() {
        assert_eq!(followed(Method::GET, 302, "http://api.example/"), Err(FaultKind::Denied));
        assert_eq!(followed(Method::POST, 307, "https://b.example/"), Err(FaultKind::Denied));
        for location in ["file:///etc/passwd", "gopher://x/", "data:text/plain,x"] {
            assert_eq!(followed(Method::GET, 302, location), Err(FaultKind::Denied), "{location}");
        }
        assert_eq!(followed(Method::GET, 302, "https://"), Err(FaultKind::Upstream));
    }
}
