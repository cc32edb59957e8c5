//! Posts to addresses that somebody else has chosen: hooks.
//!
//! What may be reached, and how, is [`flight_common::outbound`]'s. Redirects are not followed, nothing of an answer is
//! read but its status, and all of it has a deadline.

use flight_common::outbound::{self, AllowList, NotPublic, reason};
use flight_common::{Fault, FaultKind};
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Client, StatusCode, Url};
use std::time::Duration;

/// Posts to addresses of others.
pub(crate) struct Outbound {
    /// Or why there is none: no certificates on this machine, say.
    client: Result<Client, String>,
    allowed: AllowList,
}

/// Why something was not accepted.
#[derive(Debug)]
pub(crate) struct Rejected {
    /// What the other side answered, if it did.
    pub status: Option<u16>,
    /// The particulars. Its kind says whether another try may do better.
    pub fault: Fault,
}

impl Outbound {
    /// Requests that take no longer than `deadline`; to private addresses too if `private`.
    pub fn new(private: bool, deadline: Duration) -> Self {
        let allowed = if private { AllowList::everything() } else { AllowList::default() };
        let client = outbound::client(&allowed).timeout(deadline).pool_max_idle_per_host(0).build();
        Self { client: client.map_err(|error| reason(&error)), allowed }
    }

    /// Posts, and returns the status of an answer that accepts.
    pub async fn post(&self, url: &str, headers: HeaderMap, body: String) -> Result<u16, Rejected> {
        let silent = |fault| Rejected { status: None, fault };
        let client =
            self.client.as_ref().map_err(|why| silent(Fault::upstream(format!("no request can be sent: {why}"))))?;
        let url = Url::parse(url).map_err(|error| silent(Fault::bad_params(format!("it is no address: {error}"))))?;
        outbound::check(&url, &self.allowed).map_err(|refused| silent(not_public(&refused)))?;
        let answer =
            client.post(url).headers(headers).body(body).send().await.map_err(|error| silent(failed(&error)))?;
        let status = answer.status();
        match status.is_success() {
            true => Ok(status.as_u16()),
            false => Err(Rejected { status: Some(status.as_u16()), fault: refused(status, answer.headers()) }),
        }
    }
}

fn refused(status: StatusCode, headers: &HeaderMap) -> Fault {
    let fault = match status {
        StatusCode::GONE => return Fault::denied("it answered 410 Gone: it wants no more"),
        _ if status.is_redirection() => {
            Fault::upstream(format!("it answered {status}, and redirects are not followed"))
                .help("name the address to which it leads")
        }
        _ => Fault::upstream(format!("it answered {status}")),
    };
    let seconds = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse::<u64>().ok());
    match seconds {
        Some(seconds) => fault.retry_after(Duration::from_secs(seconds.min(LONGEST_DELAY))),
        None => fault,
    }
}

/// The longest delay that the other side may ask for, in seconds.
const LONGEST_DELAY: u64 = 3600;

fn failed(error: &reqwest::Error) -> Fault {
    if let Some(refused) = outbound::refusal(error) {
        return not_public(refused);
    }
    let kind = if error.is_timeout() { FaultKind::TimedOut } else { FaultKind::Upstream };
    Fault::new(kind, reason(error))
}

fn not_public(refused: &NotPublic) -> Fault {
    Fault::denied(refused.to_string()).help("the operator allows private addresses with --allow-private-hooks")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_private_address_is_refused_in_every_spelling() {
        let outbound = Outbound::new(false, Duration::from_secs(5));
        let spellings = [
            "http://127.0.0.1:1/",
            "http://2130706433:1/",
            "http://0x7f.1:1/",
            "http://0177.0.0.1:1/",
            "http://[::1]:1/",
            "http://[::ffff:127.0.0.1]:1/",
            "http://localhost:1/",
            "http://169.254.169.254/",
        ];
        for url in spellings {
            let rejected = outbound.post(url, HeaderMap::new(), String::new()).await.expect_err("refused");
            assert_eq!((rejected.fault.kind(), rejected.status), (FaultKind::Denied, None), "{url}: {rejected:?}");
        }
    }
}
