//! The REST API of an orchestrator, called.

mod config;

pub use config::RemoteOptions;

use bytes::Bytes;
use flight_common::{Fault, FaultKind};
use futures::{Stream, StreamExt};
use orchestrator::api::ProblemDetails;
use reqwest::{Certificate, Client, Method, RequestBuilder, Response, StatusCode, Url};
use rustls::{CertificateError, Error as TlsError};
use serde::de::DeserializeOwned;
use std::error::Error;
use std::io;
use std::path::Path;
use std::time::Duration;

/// Time for a connection to come about.
const CONNECT: Duration = Duration::from_secs(5);
/// Time between two pieces of an answer: longer than an orchestrator thinks about any.
const SILENCE: Duration = Duration::from_secs(90);

/// An orchestrator that is called.
pub struct Remote {
    http: Client,
    url: Url,
    token: Option<String>,
}

impl Remote {
    /// The orchestrator at this URL, whose certificate may be signed by those of a file.
    ///
    /// # Errors
    /// [`FaultKind::BadParams`] for what is no URL, what can be no token, and a file that holds no certificates.
    pub fn new(url: &str, token: Option<String>, ca_cert: Option<&Path>) -> Result<Self, Fault> {
        let wrong = |why: String| Fault::bad_params(why).help("write it as in http://localhost:8080");
        let parsed = Url::parse(url).map_err(|error| wrong(format!("\"{url}\" is no URL: {error}")))?;
        if !matches!(parsed.scheme(), "http" | "https") || parsed.host_str().is_none() {
            return Err(wrong(format!("\"{url}\" is no URL of an orchestrator")));
        }
        if !parsed.username().is_empty() || parsed.password().is_some() {
            return Err(Fault::bad_params(
                "the URL of an orchestrator has a user or a password in it, which would be shown",
            )
            .help("leave them out; --token or QUIVER_TOKEN says who calls"));
        }
        // An empty variable is as good as none.
        let token = token.filter(|token| !token.is_empty());
        if token.as_ref().is_some_and(|token| !token.bytes().all(|byte| byte.is_ascii_graphic())) {
            return Err(Fault::bad_params("the token holds what no token holds, such as a space or the end of a line")
                .help(
                    "it is the one word that `quiver token create` shows: look at --token, QUIVER_TOKEN or the context",
                ));
        }
        // Another part of the process may have chosen it already: it is the same one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = Client::builder()
            .connect_timeout(CONNECT)
            .read_timeout(SILENCE)
            .user_agent(concat!("quiver/", env!("CARGO_PKG_VERSION")));
        let http = match ca_cert {
            Some(file) => http.tls_certs_merge(certificates(file)?),
            None => http,
        };
        let http = http.build().map_err(|error| match ca_cert {
            Some(file) => no_certificate(file),
            None => Fault::internal(chain(&error)),
        })?;
        Ok(Self { http, url: parsed, token })
    }

    /// Where it is.
    pub fn url(&self) -> &str {
        self.url.as_str().trim_end_matches('/')
    }

    /// A call. The parts of the path may hold any character.
    pub fn call(&self, method: Method, path: &[&str]) -> RequestBuilder {
        let mut url = self.url.clone();
        if let Ok(mut parts) = url.path_segments_mut() {
            parts.pop_if_empty().extend(path);
        }
        let request = self.http.request(method, url);
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// A call of the versioned API.
    pub fn api(&self, method: Method, path: &[&str]) -> RequestBuilder {
        self.call(method, &[&["api", "v1"], path].concat())
    }

    /// Sends a call.
    ///
    /// # Errors
    /// What the orchestrator says against it; [`FaultKind::Upstream`] when it is not reachable.
    pub async fn send(&self, request: RequestBuilder) -> Result<Response, Fault> {
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        match response.status().is_success() {
            true => Ok(response),
            false => Err(self.refused(response).await),
        }
    }

    /// Sends a call, and reads its answer.
    ///
    /// # Errors
    /// As [`Remote::send`].
    pub async fn read<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, Fault> {
        let response = self.send(request).await?;
        response.json().await.map_err(|error| {
            Fault::upstream(format!("{} answered what is not understood: {}", self.url(), chain(&error)))
                .help("is it an orchestrator of the same version?")
        })
    }

    /// The pieces of an answer as they come.
    pub fn pieces(&self, response: Response) -> impl Stream<Item = Result<Bytes, Fault>> {
        let url = self.url().to_owned();
        response
            .bytes_stream()
            .map(move |piece| piece.map_err(|error| Fault::upstream(format!("{url} broke off: {}", chain(&error)))))
    }

    /// Why no answer came, and what to try.
    pub fn unreachable(&self, error: &reqwest::Error) -> Fault {
        let encrypted = self.url.scheme() == "https";
        let help = match tls_error(error) {
            Some(error) => trust(error),
            // A server that wants TLS hangs up on anything else, or answers in it.
            None if !encrypted && !error.is_connect() => "does it speak TLS? then its URL begins with https",
            None => "is it running? `quiver up` starts one on this machine; --url names another",
        };
        Fault::upstream(format!("{} is not reachable: {}", self.url(), chain(error))).help(help)
    }

    async fn refused(&self, response: Response) -> Fault {
        let status = response.status();
        let Ok(problem) = response.json::<ProblemDetails>().await else {
            return Fault::upstream(format!("{} answered {status}", self.url())).help("is it an orchestrator?");
        };
        let known = FaultKind::from_name(&problem.code);
        let kind = known.unwrap_or(match status {
            StatusCode::NOT_FOUND => FaultKind::NotFound,
            status if status.is_client_error() => FaultKind::BadParams,
            _ => FaultKind::Upstream,
        });
        let mut message = problem.detail;
        if problem.errors.len() > 1 {
            message = format!("{} things are wrong with the pipeline", problem.errors.len());
            for error in &problem.errors {
                message += &format!("\n  line {}, column {}: {}", error.line, error.column, error.message);
                message.extend(error.help.iter().map(|help| format!("\n    help: {help}")));
            }
        }
        let help = match (status, &problem.errors[..]) {
            (StatusCode::UNAUTHORIZED, _) => Some("name a token with --token, or in QUIVER_TOKEN".to_owned()),
            (_, [only]) => problem.help.or_else(|| only.help.clone()),
            _ => problem.help,
        };
        let fault = Fault::new(kind, message);
        let fault = if known.is_some() { fault } else { fault.code(problem.code) };
        match help {
            Some(help) => fault.help(help),
            None => fault,
        }
    }
}

fn certificates(file: &Path) -> Result<Vec<Certificate>, Fault> {
    let text = std::fs::read(file).map_err(|error| Fault::io(file.display(), &error))?;
    let found = Certificate::from_pem_bundle(&text).unwrap_or_default();
    match found.is_empty() {
        false => Ok(found),
        true => Err(no_certificate(file)),
    }
}

fn no_certificate(file: &Path) -> Fault {
    Fault::bad_params(format!("{} holds no certificate", file.display()))
        .help("it is text with `-----BEGIN CERTIFICATE-----` in it: PEM")
}

/// What to do about what TLS says against a server.
fn trust(error: &TlsError) -> &'static str {
    let TlsError::InvalidCertificate(why) = error else { return "does it speak TLS? if not, its URL begins with http" };
    match why {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "its certificate has expired, or this machine's clock is wrong: renew it, and start the orchestrator again"
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "its certificate is not valid yet, or this machine's clock is wrong"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "call it by a name that its certificate is for, or make one for this name"
        }
        // What is no error of its own.
        CertificateError::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => {
            "its certificate is one for an authority: make one for a server, which has `basicConstraints=CA:FALSE`"
        }
        _ => "name the authority that signed its certificate by --ca-cert FILE",
    }
}

/// What TLS says, among the causes of an error.
fn tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a TlsError> {
    if let Some(found) = error.downcast_ref() {
        return Some(found);
    }
    // What is within an error of the operating system's kind is not told as its cause.
    let within = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    match within {
        Some(inner) => tls_error(inner),
        None => tls_error(error.source()?),
    }
}

/// An error with what caused it, in one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}
