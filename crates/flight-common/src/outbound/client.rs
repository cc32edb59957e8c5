//! An HTTP client that reaches public addresses, and what an operator allows.

use super::AllowList;
use futures::future::BoxFuture;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, Url};
use std::error::Error;
use std::io;
use std::iter::successors;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// How names are looked up: as the system does, or as a test wants it.
pub type Lookup = Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync>;

/// A host that stands for no address that may be reached.
#[derive(Debug, thiserror::Error)]
#[error("{0} is no public address")]
pub struct NotPublic(String);

/// A client that connects to what `allowed` admits, follows no redirect and uses no proxy. An address that is written in
/// numbers is not looked up: [`check`] it first.
pub fn client(allowed: &AllowList) -> ClientBuilder {
    client_with(allowed, system_lookup())
}

/// As [`client`], with names looked up in this way.
pub fn client_with(allowed: &AllowList, lookup: Lookup) -> ClientBuilder {
    // The process has one provider; another part of it may have named it already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .user_agent(concat!("quiver/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .no_proxy()
        .dns_resolver(Arc::new(Resolver { allowed: allowed.clone(), lookup }))
}

/// Names as the system looks them up.
pub fn system_lookup() -> Lookup {
    Arc::new(|name| Box::pin(async move { Ok(tokio::net::lookup_host((name, 0)).await?.collect()) }))
}

/// Refuses an address in numbers that may not be reached. A name passes: it is looked up when it is connected to.
///
/// # Errors
/// What may not be reached.
pub fn check(url: &Url, allowed: &AllowList) -> Result<(), NotPublic> {
    match literal(url) {
        Some(address) if !allowed.admits(&address.to_string(), address) => Err(NotPublic(address.to_string())),
        _ => Ok(()),
    }
}

fn literal(url: &Url) -> Option<IpAddr> {
    url.host_str()?.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

/// The host that was refused, if that is why a request failed.
pub fn refusal(error: &reqwest::Error) -> Option<&NotPublic> {
    causes(error).find_map(|cause| cause.downcast_ref())
}

/// Whether a request failed because nobody whom this machine trusts vouches for the server's certificate. Another try will
/// fail as well.
pub fn is_distrusted(error: &reqwest::Error) -> bool {
    causes(error).any(|cause| matches!(cause.downcast_ref(), Some(rustls::Error::InvalidCertificate(_))))
}

/// What to try then.
pub const TRUST: &str = "is it the right server? name the authority that its certificate is of by SSL_CERT_FILE";

/// An error and what lies below it. What an I/O error holds is not its source but stands in its place.
fn causes<'a>(error: &'a reqwest::Error) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    successors(Some(error as &'a (dyn Error + 'static)), |&cause| {
        let held = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        held.map(|held| held as &(dyn Error + 'static)).or_else(|| cause.source())
    })
}

/// Why a request has no answer.
pub fn reason(error: &reqwest::Error) -> String {
    let cause = cause(error);
    match error.source() {
        _ if error.is_timeout() => "it did not answer in time".to_owned(),
        Some(_) if error.is_connect() => format!("it cannot be reached: {cause}"),
        Some(_) => format!("its answer cannot be read: {cause}"),
        None => "the request cannot be made".to_owned(),
    }
}

/// What went wrong at the bottom. The address, which may be a secret, is in the top alone.
pub fn cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    match error.source() {
        Some(_) => cause.to_string(),
        None => "the request cannot be made".to_owned(),
    }
}

struct Resolver {
    allowed: AllowList,
    lookup: Lookup,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (allowed, found) = (self.allowed.clone(), (self.lookup)(name.as_str().to_owned()));
        Box::pin(async move {
            let mut found = found.await?;
            found.retain(|address| allowed.admits(name.as_str(), address.ip()));
            match found.is_empty() {
                true => Err(Box::new(NotPublic(name.as_str().to_owned())) as Box<dyn Error + Send + Sync>),
                false => Ok(Box::new(found.into_iter()) as Addrs),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    /// Answers each request with these words.
    async fn answering(listener: TcpListener, words: &'static str) {
        while let Ok((mut socket, _)) = listener.accept().await {
            // One read holds a request as small as those here.
            let _ = socket.read(&mut [0; 4096]).await;
            let length = words.len();
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{words}");
            let _ = socket.write_all(answer.as_bytes()).await;
        }
    }

    /// Two servers at one port: at 127.0.0.2, which the list of the test allows, and at 127.0.0.1, which it does not.
    async fn two_servers() -> u16 {
        let inner = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = inner.local_addr().expect("an address").port();
        let outer = TcpListener::bind(("127.0.0.2", port)).await.expect("the same port");
        tokio::spawn(answering(inner, "inner"));
        tokio::spawn(answering(outer, "outer"));
        port
    }

    /// A name server that answers each question with the next of these.
    fn fickle(answers: Vec<Vec<&'static str>>) -> (Lookup, Arc<Mutex<usize>>) {
        let asked = Arc::new(Mutex::new(0));
        let count = asked.clone();
        let lookup: Lookup = Arc::new(move |_| {
            let mut number = count.lock().expect("no panic");
            let answer = answers[*number].iter().map(|ip| SocketAddr::new(ip.parse().expect("an address"), 0));
            *number += 1;
            let answer = answer.collect();
            Box::pin(async move { Ok(answer) })
        });
        (lookup, asked)
    }

    async fn get(client: &Client, port: u16) -> Result<String, reqwest::Error> {
        client.get(format!("http://rebind.example:{port}/")).send().await?.text().await
    }

    #[tokio::test]
    async fn a_name_that_changes_its_meaning_is_connected_to_as_it_was_checked() {
        let port = two_servers().await;
        let allowed: AllowList = "127.0.0.2".parse().expect("a list");
        let (lookup, asked) = fickle(vec![vec!["127.0.0.2"], vec!["127.0.0.1"]]);
        let client = client_with(&allowed, lookup).pool_max_idle_per_host(0).build().expect("a client");
        assert_eq!(get(&client, port).await.expect("allowed"), "outer");
        assert_eq!(*asked.lock().expect("no panic"), 1, "looked up once: to check is to connect");
        let refused = get(&client, port).await.expect_err("the name now stands for another address");
        assert!(refusal(&refused).is_some(), "{refused:?}");
    }

    #[tokio::test]
    async fn of_several_addresses_only_those_that_are_admitted_are_tried() {
        let port = two_servers().await;
        let allowed: AllowList = "127.0.0.2".parse().expect("a list");
        let (lookup, _) = fickle(vec![vec!["127.0.0.1", "::ffff:127.0.0.1", "127.0.0.2"]]);
        let client = client_with(&allowed, lookup).build().expect("a client");
        assert_eq!(get(&client, port).await.expect("allowed"), "outer");
    }

    /// A server whose certificate nobody vouches for.
    async fn distrusted() -> u16 {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        let key = rustls::pki_types::PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|config| config.with_no_client_auth().with_single_cert(vec![made.cert.into()], key.into()));
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config.expect("a configuration")));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                assert!(acceptor.accept(socket).await.is_err(), "the client believes it");
            }
        });
        port
    }

    #[tokio::test]
    async fn a_certificate_that_nobody_vouches_for_is_told_from_what_may_pass() {
        let client = client(&AllowList::everything()).build().expect("a client");
        let port = distrusted().await;
        let error = client.get(format!("https://localhost:{port}/")).send().await.expect_err("distrusted");
        assert!(is_distrusted(&error) && refusal(&error).is_none(), "{error:?}");
        let error = client.get(format!("http://localhost:{port}/")).send().await.expect_err("no HTTP without TLS");
        assert!(!is_distrusted(&error), "{error:?}");
    }

    #[tokio::test]
    async fn a_redirect_is_shown_and_not_followed() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.expect("a caller");
            let _ = socket.read(&mut [0; 4096]).await;
            let answer = "HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n";
            let _ = socket.write_all(answer.as_bytes()).await;
        });
        let client = client(&AllowList::everything()).build().expect("a client");
        let answer = client.get(format!("http://127.0.0.1:{port}/")).send().await.expect("answered");
        assert_eq!(answer.status(), 302);
    }

    #[test]
    fn addresses_in_numbers_are_checked_in_every_spelling() {
        let public = AllowList::default();
        for url in ["http://127.0.0.1/", "http://2130706433/", "http://0x7f.1/", "http://[::ffff:7f00:1]/"] {
            let url = Url::parse(url).expect("a URL");
            assert!(check(&url, &public).is_err(), "{url}");
            assert!(check(&url, &"127.0.0.0/8".parse().expect("a list")).is_ok(), "{url}");
        }
        assert!(check(&Url::parse("http://1.1.1.1/").expect("a URL"), &public).is_ok());
        assert!(check(&Url::parse("http://localhost/").expect("a URL"), &public).is_ok(), "looked up later");
    }
}
