//! Requests to addresses that somebody else has chosen.
//!
//! A pipeline's writer must not reach through the orchestrator what he cannot reach himself. So a name is looked up here,
//! only public addresses are left of what it stands for, and the connection goes to one of these: there is no second
//! look-up that could answer something else. Redirects are not followed, no proxy is used, nothing of an answer is read
//! but its status, and all of it has a deadline.

use flight_common::{Fault, FaultKind};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode, Url};
use std::error::Error;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// Posts to addresses of others.
pub(crate) struct Outbound {
    /// Or why there is none: no certificates on this machine, say.
    client: Result<Client, String>,
    private: bool,
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
        // The process has one provider; another part of it may have named it already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .user_agent(concat!("quiver/", env!("CARGO_PKG_VERSION")))
            .timeout(deadline)
            .redirect(Policy::none())
            .no_proxy()
            .pool_max_idle_per_host(0)
            .dns_resolver(Arc::new(Resolver { private }))
            .build();
        Self { client: client.map_err(|error| reason(&error)), private }
    }

    /// Posts, and returns the status of an answer that accepts.
    pub async fn post(&self, url: &str, headers: HeaderMap, body: String) -> Result<u16, Rejected> {
        let silent = |fault| Rejected { status: None, fault };
        let client =
            self.client.as_ref().map_err(|why| silent(Fault::upstream(format!("no request can be sent: {why}"))))?;
        let url = Url::parse(url).map_err(|error| silent(Fault::bad_params(format!("it is no address: {error}"))))?;
        // An address in numbers is not looked up.
        if let Some(address) = literal(&url)
            && !self.private
            && !is_public(address)
        {
            return Err(silent(not_public(&NotPublic(address.to_string()))));
        }
        let answer =
            client.post(url).headers(headers).body(body).send().await.map_err(|error| silent(failed(&error)))?;
        let status = answer.status();
        match status.is_success() {
            true => Ok(status.as_u16()),
            false => Err(Rejected { status: Some(status.as_u16()), fault: refused(status, answer.headers()) }),
        }
    }
}

fn literal(url: &Url) -> Option<IpAddr> {
    url.host_str()?.trim_start_matches('[').trim_end_matches(']').parse().ok()
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
    let mut source: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(cause) = source {
        if let Some(refused) = cause.downcast_ref::<NotPublic>() {
            return not_public(refused);
        }
        source = cause.source();
    }
    let kind = if error.is_timeout() { FaultKind::TimedOut } else { FaultKind::Upstream };
    Fault::new(kind, reason(error))
}

/// What went wrong at the bottom. The address, which may be a secret, is in the top alone.
fn reason(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "it did not answer in time".to_owned();
    }
    let mut cause: &dyn Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    match error.source() {
        Some(_) => format!("it cannot be reached: {cause}"),
        None => "the request cannot be made".to_owned(),
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{0} is no public address")]
struct NotPublic(String);

fn not_public(refused: &NotPublic) -> Fault {
    Fault::denied(refused.to_string()).help("the operator allows private addresses with --allow-private-hooks")
}

struct Resolver {
    private: bool,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let private = self.private;
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let good: Vec<SocketAddr> =
                found.into_iter().filter(|address| private || is_public(address.ip())).collect();
            match good.is_empty() {
                true => Err(Box::new(NotPublic(name.as_str().to_owned())) as Box<dyn Error + Send + Sync>),
                false => Ok(Box::new(good.into_iter()) as Addrs),
            }
        })
    }
}

/// Whether an address is anybody's to reach, by the registries of special addresses (RFC 6890 and what came after).
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(mapped) => is_public_v4(mapped),
            None => is_public_v6(address),
        },
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    /// A network and the length of its prefix.
    const SPECIAL: [([u8; 4], u32); 16] = [
        ([0, 0, 0, 0], 8),
        ([10, 0, 0, 0], 8),
        ([100, 64, 0, 0], 10),
        ([127, 0, 0, 0], 8),
        // The host's own service of a cloud, beside 169.254.169.254.
        ([168, 63, 129, 16], 32),
        ([169, 254, 0, 0], 16),
        ([172, 16, 0, 0], 12),
        ([192, 0, 0, 0], 24),
        ([192, 0, 2, 0], 24),
        ([192, 88, 99, 0], 24),
        ([192, 168, 0, 0], 16),
        ([198, 18, 0, 0], 15),
        ([198, 51, 100, 0], 24),
        ([203, 0, 113, 0], 24),
        ([224, 0, 0, 0], 4),
        ([240, 0, 0, 0], 4),
    ];
    let within =
        |network: [u8; 4], length: u32| (u32::from(address) ^ u32::from_be_bytes(network)) >> (32 - length) == 0;
    !SPECIAL.iter().any(|(network, length)| within(*network, *length))
}

/// Only what is given out to be reached (2000::/3), without what holds an address of the older kind or is an example.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let [first, second, ..] = address.segments();
    let global = first & 0xe000 == 0x2000;
    let special = (first == 0x2001 && (second < 0x0200 || second == 0x0db8))
        || first == 0x2002
        || (first == 0x3fff && second < 0x1000);
    global && !special
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_public_is_known() {
        let private = [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "100.100.100.200",
            "100.127.255.255",
            "127.0.0.1",
            "127.9.9.9",
            "168.63.129.16",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.168.1.1",
            "198.19.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::7f00:1",
            "64:ff9b::7f00:1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "ff02::1",
            "2001:db8::1",
            "2001::1",
            "2002:7f00:1::",
            "3fff::1",
        ];
        for address in private {
            assert!(!is_public(address.parse().expect("an address")), "{address}");
        }
        let public = [
            "1.1.1.1",
            "100.63.255.255",
            "100.128.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "::ffff:8.8.8.8",
            "2606:4700::1111",
            "2001:4860:4860::8888",
        ];
        for address in public {
            assert!(is_public(address.parse().expect("an address")), "{address}");
        }
    }

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
