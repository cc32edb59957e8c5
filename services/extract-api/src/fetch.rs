//! Requests on the wire: sent to addresses that may be reached, redirects followed with open eyes, and each answer read
//! within its limits of bytes and time.

use crate::failure::Failure;
use crate::options::{Limits, Options};
use crate::redirect::follow;
use crate::target::{Ask, Target, host};
use bytes::Bytes;
use flate2::write::MultiGzDecoder;
use flight_common::outbound::{self, AllowList, TRUST, cause, is_distrusted, reason, refusal};
use flight_common::{Fault, Meter};
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, LINK, LOCATION};
use reqwest::{Client, Response, StatusCode, Url};
use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::time::{Instant, timeout_at};

/// Redirects of one request.
const REDIRECTS: usize = 10;

/// Compressed bytes to unpack at once: a piece that unpacks to a thousand times its size is still small.
const PACKED: usize = 16 << 10;

/// Sends requests.
pub struct Fetcher {
    client: Client,
    allowed: AllowList,
    target: Target,
    limits: Limits,
    /// When all of it must have ended; it counts from the first request.
    deadline: Option<Instant>,
    /// Bytes of answers so far.
    bytes: u64,
    meter: Option<Arc<Meter>>,
}

/// An answer that is being read.
pub struct Answer {
    response: Response,
    gzip: Option<MultiGzDecoder<Vec<u8>>>,
    /// Compressed bytes that were received and not unpacked yet.
    packed: Bytes,
    /// What its headers say.
    pub head: Head,
}

/// What the headers of an answer say.
pub struct Head {
    /// What kind of success it is.
    pub status: StatusCode,
    /// Where it came from, after redirects.
    pub url: Url,
    /// Its form, without parameters, in lower case.
    pub content_type: String,
    /// The `Link` headers.
    pub links: Vec<String>,
}

impl Fetcher {
    /// Sends what `options` say, to what `allowed` admits; a run counts with its meter.
    ///
    /// # Errors
    /// Why no request can be sent from this machine.
    pub fn new(options: &Options, allowed: &AllowList, meter: Option<Arc<Meter>>) -> Result<Self, Fault> {
        let client = outbound::client(allowed).build();
        let client = client.map_err(|error| Fault::upstream(format!("no request can be sent: {}", reason(&error))))?;
        Ok(Self {
            client,
            allowed: allowed.clone(),
            target: options.target.clone(),
            limits: options.limits,
            deadline: None,
            bytes: 0,
            meter,
        })
    }

    /// When all of it must have ended.
    pub fn deadline(&mut self) -> Instant {
        *self.deadline.get_or_insert_with(|| Instant::now() + self.limits.timeout)
    }

    /// Sends a request, and gives the answer, which is a success.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn open(&mut self, ask: &Ask) -> Result<Answer, Failure> {
        let mut ask = ask.clone();
        for _ in 0..=REDIRECTS {
            let response = self.send(&ask).await?;
            let status = response.status();
            let Some(location) = text(response.headers(), &LOCATION).filter(|_| redirects(status)) else {
                return self.accept(response, ask.url);
            };
            ask = follow(&ask, status, location)?;
        }
        Err(Fault::upstream(format!("{} redirects more than {REDIRECTS} times", host(&ask.url))).into())
    }

    async fn send(&mut self, ask: &Ask) -> Result<Response, Failure> {
        outbound::check(&ask.url, &self.allowed).map_err(|refused| not_allowed(&refused.to_string()))?;
        self.count("requests", 1);
        let request = self.target.request(&self.client, ask);
        let place = host(&ask.url);
        match self.within(request.send(), &place).await? {
            Ok(response) => Ok(response),
            Err(error) => match refusal(&error) {
                Some(refused) => Err(not_allowed(&refused.to_string()).into()),
                None if error.is_builder() => {
                    Err(Fault::bad_params(format!("{place}: the request cannot be made")).into())
                }
                None => {
                    let fault = Fault::upstream(format!("{place}: {}", reason(&error)));
                    Err(if is_distrusted(&error) { fault.help(TRUST).into() } else { Failure::passing(fault) })
                }
            },
        }
    }

    fn accept(&self, response: Response, url: Url) -> Result<Answer, Failure> {
        let (place, status) = (host(&url), response.status());
        if !status.is_success() {
            return Err(Failure::of_answer(&place, status, response.headers(), SystemTime::now()));
        }
        let headers = response.headers();
        let gzip = match text(headers, &CONTENT_ENCODING).unwrap_or_default().trim().to_lowercase().as_str() {
            "" | "identity" => None,
            "gzip" | "x-gzip" => Some(MultiGzDecoder::new(Vec::new())),
            other => {
                return Err(Fault::bad_data(format!(
                    "{place} answers in the encoding {other}, which was not asked for"
                ))
                .into());
            }
        };
        if response.content_length().is_some_and(|length| length > self.limits.max_bytes.saturating_sub(self.bytes)) {
            return Err(self.too_large(&place).into());
        }
        let content_type = text(headers, &CONTENT_TYPE).unwrap_or_default();
        let content_type = content_type.split(';').next().unwrap_or_default().trim().to_lowercase();
        let links = headers.get_all(LINK).iter().filter_map(|link| link.to_str().ok().map(str::to_owned)).collect();
        Ok(Answer { gzip, packed: Bytes::new(), head: Head { status, url, content_type, links }, response })
    }

    /// The next bytes of an answer, uncompressed; nothing at its end.
    ///
    /// # Errors
    /// Why there is neither. A connection that was cut is told from the end of the answer, where its length is known.
    pub async fn read(&mut self, answer: &mut Answer) -> Result<Option<Bytes>, Failure> {
        let place = host(&answer.head.url);
        loop {
            if answer.packed.is_empty() {
                let cut = |error| {
                    Failure::passing(Fault::upstream(format!("{place} cut its answer short: {}", cause(&error))))
                };
                match self.within(answer.response.chunk(), &place).await?.map_err(cut)? {
                    Some(bytes) => answer.packed = bytes,
                    None => return self.last(answer, &place),
                }
            }
            let unpacked = answer.unpack().map_err(|error| damaged(&place, &error))?;
            if !unpacked.is_empty() {
                self.take(unpacked.len(), &place)?;
                return Ok(Some(unpacked));
            }
        }
    }

    /// What a decompressor still held.
    fn last(&mut self, answer: &mut Answer, place: &str) -> Result<Option<Bytes>, Failure> {
        let Some(gzip) = answer.gzip.take() else { return Ok(None) };
        // An answer without bytes is no archive either.
        let rest = match gzip.finish() {
            Ok(rest) => rest,
            Err(error) => return Err(damaged(place, &error)),
        };
        self.take(rest.len(), place)?;
        Ok((!rest.is_empty()).then(|| rest.into()))
    }

    fn take(&mut self, bytes: usize, place: &str) -> Result<(), Failure> {
        self.bytes += bytes as u64;
        self.count("bytes_read", bytes as u64);
        if self.bytes > self.limits.max_bytes { Err(self.too_large(place).into()) } else { Ok(()) }
    }

    fn too_large(&self, place: &str) -> Fault {
        let message = format!("{place}: the answers have more than {} bytes", self.limits.max_bytes);
        Fault::bad_data(message).help("raise `max_bytes`, or ask for less")
    }

    /// What comes of a request, within its time.
    async fn within<T>(&mut self, work: impl Future<Output = T>, place: &str) -> Result<T, Failure> {
        let (deadline, idle) = (self.deadline(), Instant::now() + self.limits.idle);
        match timeout_at(deadline.min(idle), work).await {
            Ok(done) => Ok(done),
            Err(_) if idle < deadline => {
                let seconds = self.limits.idle.as_secs();
                let fault = Fault::upstream(format!("{place} sent nothing for {seconds} s"));
                Err(Failure::passing(fault.help("raise `idle_timeout_seconds`, or ask for smaller pages")))
            }
            Err(_) => Err(self.out_of_time().into()),
        }
    }

    /// The fault when all the time is used up.
    pub fn out_of_time(&self) -> Fault {
        let message = format!("{} did not give all within {} s", host(&self.target.url), self.limits.timeout.as_secs());
        Fault::timed_out(message).help("raise `timeout_seconds`, or ask for less")
    }

    /// Counts for the report, if this is a run.
    pub fn count(&self, name: &'static str, number: u64) {
        if let Some(meter) = &self.meter {
            meter.count(name, number);
        }
    }

    /// Tells something that does not stop the run.
    pub fn warn(&self, sentence: String) {
        if let Some(meter) = &self.meter {
            meter.warn(sentence);
        }
    }
}

impl Answer {
    fn unpack(&mut self) -> std::io::Result<Bytes> {
        let Some(gzip) = &mut self.gzip else { return Ok(std::mem::take(&mut self.packed)) };
        let piece = self.packed.split_to(self.packed.len().min(PACKED));
        gzip.write_all(&piece)?;
        Ok(std::mem::take(gzip.get_mut()).into())
    }
}

fn damaged(place: &str, error: &std::io::Error) -> Failure {
    Failure::passing(Fault::upstream(format!("{place}: the compressed answer is damaged or cut short: {error}")))
}

fn not_allowed(what: &str) -> Fault {
    Fault::denied(what)
        .help("the operator allows hosts and networks that are not public with --http-allow (QUIVER_HTTP_ALLOW)")
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// A pause, unless it would outlast the deadline.
pub async fn wait(delay: Duration, deadline: Instant) -> bool {
    let end = Instant::now() + delay;
    if end >= deadline {
        return false;
    }
    tokio::time::sleep_until(end).await;
    true
}

/// Whether an answer of this kind sends on to another address. Others may name one too, and mean something else by it.
fn redirects(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}
