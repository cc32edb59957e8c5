//! One request on the wire, within its limits.

use crate::chat::{Answer, Completion, Manner, Usage};
use crate::hidden::Hidden;
use crate::trouble::{Reach, Trouble, shortened};
use flight_common::Fault;
use flight_common::outbound::{self, AllowList};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Response, Url};
use std::time::{Duration, SystemTime};

/// Bytes that an answer may have for each token that was asked for: far above any, also with the likelihoods of twenty others
/// (`logprobs`).
const TOKEN_BYTES: u64 = 2 << 10;
/// And those around them.
const FRAME_BYTES: usize = 64 << 10;
/// Bytes that it may have at most.
const MOST_BYTES: usize = 8 << 20;
/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(10);

/// Where to ask, and how.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Of the chat completions.
    pub url: Url,
    /// The key.
    pub key: Option<Hidden>,
    /// What all requests share.
    pub manner: Manner,
    /// What a request may take.
    pub deadline: Duration,
    /// What may be reached beyond public addresses; nothing is checked where the operator has chosen the address.
    pub allowed: Option<AllowList>,
}

/// Asks an endpoint.
pub struct Client {
    http: reqwest::Client,
    authorization: Option<HeaderValue>,
    endpoint: Endpoint,
}

impl Client {
    /// A client for this endpoint. Redirects are not followed: they would carry the prompts elsewhere.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::BadParams`] for a key that cannot be sent, [`flight_common::FaultKind::Upstream`] for a
    /// machine without certificates.
    pub fn new(endpoint: Endpoint) -> Result<Self, Fault> {
        let http = match &endpoint.allowed {
            Some(allowed) => outbound::client(allowed),
            None => trusting(),
        };
        // A server that takes no connection is told from one that takes its time.
        let http = http.timeout(endpoint.deadline).connect_timeout(CONNECT.min(endpoint.deadline / 2)).build();
        let http =
            http.map_err(|error| Fault::upstream(format!("no request can be sent: {}", outbound::cause(&error))))?;
        let authorization = endpoint.key.as_ref().map(bearer).transpose()?;
        Ok(Self { http, authorization, endpoint })
    }

    /// Asks once. The tokens of an answer are told also if there are no words in it.
    ///
    /// # Errors
    /// Why there is no completion.
    pub async fn ask(&self, prompt: &str) -> (Option<Option<Usage>>, Result<Completion, Trouble>) {
        match self.answer(prompt).await {
            Ok(answer) => {
                let usage = answer.usage();
                let completion = answer.completion().map_err(|why| {
                    Trouble::prompt(Fault::bad_data(shortened(&why)).help("look at what the prompt is for this row"))
                });
                (Some(usage), completion.map_err(|trouble| self.without_key(trouble)))
            }
            Err(trouble) => (None, Err(self.without_key(trouble))),
        }
    }

    async fn answer(&self, prompt: &str) -> Result<Answer, Trouble> {
        let body = self.endpoint.manner.body(prompt).map_err(|error| Trouble::all(Fault::internal(error)))?;
        let mut request = self.http.post(self.endpoint.url.clone()).header(CONTENT_TYPE, "application/json").body(body);
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization.clone());
        }
        let response = request.send().await.map_err(|error| failed(&error))?;
        let (status, headers) = (response.status(), response.headers().clone());
        let most_tokens = self.endpoint.manner.most_tokens();
        let body = bytes(response, most_bytes(most_tokens)).await?;
        if !status.is_success() {
            // What it says at such length is not for people, but the status is.
            return Err(Trouble::of_answer(status, &headers, &body.unwrap_or_default(), SystemTime::now()));
        }
        let body = body.ok_or_else(|| too_long(most_tokens))?;
        serde_json::from_slice(&body).map_err(|error| malformed(&error))
    }

    /// A server may quote the key that it refuses.
    fn without_key(&self, trouble: Trouble) -> Trouble {
        let Some(key) = &self.endpoint.key else { return trouble };
        let Trouble { fault, reach } = trouble;
        let message = key.struck_out_of(fault.message());
        let mut told = Fault::new(fault.kind(), message);
        if let Some(help) = fault.help_text() {
            told = told.help(help);
        }
        if let Some(delay) = fault.retry_delay() {
            told = told.retry_after(delay);
        }
        Trouble { fault: told, reach }
    }
}

/// A client for an address that the operator has chosen: it may be a private one, and it may lie behind a proxy.
fn trusting() -> reqwest::ClientBuilder {
    // The process has one provider; another part of it may have named it already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().user_agent(concat!("quiver/", env!("CARGO_PKG_VERSION"))).redirect(Policy::none())
}

/// The fault for an address that may not be reached.
pub fn not_allowed(refused: &outbound::NotPublic) -> Fault {
    let fault = Fault::denied(format!("the model server may not be reached: {refused}"));
    fault.help("whoever runs the step may allow it: QUIVER_HTTP_ALLOW")
}

/// The header of a key.
///
/// # Errors
/// [`flight_common::FaultKind::BadParams`] for one that no header can hold.
pub fn bearer(key: &Hidden) -> Result<HeaderValue, Fault> {
    let mut value = HeaderValue::try_from(format!("Bearer {}", key.reveal())).map_err(|_| {
        let message = "the key holds signs that no key has";
        Fault::bad_params(message).help("look for a line end within it").violation("/api_key", message)
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// Bytes that an answer of so many tokens may have.
fn most_bytes(tokens: u64) -> usize {
    let words = usize::try_from(tokens.saturating_mul(TOKEN_BYTES)).unwrap_or(MOST_BYTES);
    words.saturating_add(FRAME_BYTES).min(MOST_BYTES)
}

/// What is in an answer, if it has no more bytes than these.
async fn bytes(mut response: Response, most: usize) -> Result<Option<Vec<u8>>, Trouble> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| failed(&error))? {
        if body.len() + chunk.len() > most {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body))
}

fn too_long(most_tokens: u64) -> Trouble {
    let most = most_bytes(most_tokens) >> 10;
    let message =
        format!("the answer of the model server is longer than {most} KiB: far longer than max_tokens allows");
    let help = format!("{most_tokens} tokens were asked for: check that the address is that of its API");
    Trouble::prompt(Fault::bad_data(message).help(help))
}

/// No JSON, or one that ends too early: the connection may have been cut where nobody could see it.
fn malformed(error: &serde_json::Error) -> Trouble {
    match error.is_eof() {
        true => Trouble::passing(Fault::upstream("the answer of the model server was cut short")),
        false => Trouble::prompt(
            Fault::bad_data(shortened(&format!("the answer of the model server is none: {error}")))
                .help("check that the address is that of an OpenAI-compatible API"),
        ),
    }
}

fn failed(error: &reqwest::Error) -> Trouble {
    if let Some(refused) = outbound::refusal(error) {
        return Trouble::all(not_allowed(refused));
    }
    if error.is_timeout() && !error.is_connect() {
        let fault = Fault::timed_out("the model server did not answer in time");
        return Trouble::passing(fault.help("set a larger `timeout_seconds`, or less `concurrency`"));
    }
    let cause = outbound::cause(error);
    if outbound::is_distrusted(error) {
        let fault = Fault::upstream(format!("the model server cannot be reached: {cause}"));
        return Trouble::all(fault.help(outbound::TRUST));
    }
    match error.is_connect() {
        true => Trouble {
            fault: Fault::upstream(format!("the model server cannot be reached: {cause}"))
                .help("check its address, and that it runs"),
            reach: Reach::PassingForAll,
        },
        false => Trouble::passing(Fault::upstream(format!("the answer of the model server was cut short: {cause}"))),
    }
}
