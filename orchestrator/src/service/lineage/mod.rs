//! Tells an OpenLineage consumer which jobs read and wrote which data.
//!
//! It is told on a best-effort basis, as all its producers do: events wait in a bounded queue, and one task posts them in
//! order. A consumer that is slow, hangs or is gone costs no run anything; what does not fit into the queue is dropped,
//! counted, and said once.

mod event;

pub(super) use event::{About, Touched, Turn, touched_by_all};

use flight_common::outbound::reason;
use flight_common::telemetry::metrics;
use flight_common::{Fault, FaultKind};
use http::HeaderValue;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use reqwest::{Client, StatusCode};
use serde_json::Value;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, mpsc};
use tokio_util::sync::CancellationToken;

/// Events that wait: some minutes of an outage, and a few megabytes.
const WAITING: usize = 2_000;
/// Tries of one event, with a pause before each further one.
const PAUSES: [Duration; 4] =
    [Duration::from_millis(250), Duration::from_secs(1), Duration::from_secs(4), Duration::from_secs(15)];
/// How long the last events may take once the replica goes down.
const LAST: Duration = Duration::from_secs(3);

/// Where lineage is told.
#[derive(Clone, Debug)]
pub struct LineageSettings {
    /// The address to which events are posted.
    pub url: String,
    /// The namespace of jobs.
    pub namespace: String,
    /// The value of the `authorization` header. It shows itself to nobody.
    pub authorization: Option<HeaderValue>,
    /// How long one request may take.
    pub deadline: Duration,
}

impl LineageSettings {
    /// Events to `endpoint` of the consumer at `url`, with a key if it asks for one.
    ///
    /// # Errors
    /// [`FaultKind::BadParams`] for what is no address, or no key.
    pub fn new(url: &str, endpoint: &str, namespace: &str, key: Option<&str>) -> Result<Self, Fault> {
        let url = format!("{}/{}", url.trim_end_matches('/'), endpoint.trim_start_matches('/'));
        let parsed = reqwest::Url::parse(&url);
        if !parsed.is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host()) {
            return Err(Fault::bad_params("the address for OpenLineage is none")
                .help("write http://host:5000, and its path as the endpoint"));
        }
        let bearer = |key: &str| {
            let value = HeaderValue::from_str(&format!("Bearer {key}"));
            value.map_err(|_| Fault::bad_params("the key for OpenLineage has characters that no header holds"))
        };
        let mut authorization = key.map(bearer).transpose()?;
        if let Some(value) = &mut authorization {
            value.set_sensitive(true);
        }
        Ok(Self { url, namespace: namespace.to_owned(), authorization, deadline: Duration::from_secs(5) })
    }
}

/// The queue of a replica.
pub(super) struct Lineage {
    settings: LineageSettings,
    sender: mpsc::Sender<Value>,
    waiting: Mutex<mpsc::Receiver<Value>>,
    /// Events that wait, and the one on its way.
    untold: AtomicUsize,
    dropping: AtomicBool,
}

impl Lineage {
    /// An empty queue.
    pub fn new(settings: LineageSettings) -> Self {
        let (sender, waiting) = mpsc::channel(WAITING);
        let waiting = Mutex::new(waiting);
        Self { settings, sender, waiting, untold: AtomicUsize::new(0), dropping: AtomicBool::new(false) }
    }

    /// The namespace of jobs.
    pub fn namespace(&self) -> &str {
        &self.settings.namespace
    }

    /// Lets an event wait to be told. Never waits itself.
    pub fn tell(&self, event: Value) {
        self.untold.fetch_add(1, Ordering::Relaxed);
        if self.sender.try_send(event).is_ok() {
            return;
        }
        self.untold.fetch_sub(1, Ordering::Relaxed);
        metrics::lineage_told("dropped");
        if !self.dropping.swap(true, Ordering::Relaxed) {
            tracing::warn!("lineage events are dropped: their consumer does not keep up");
        }
    }

    /// Posts what waits, until `stop` and then what still waits, as long as that may take.
    pub async fn deliver(&self, stop: CancellationToken) {
        let mut waiting = self.waiting.lock().await;
        let client = match client(self.settings.deadline) {
            Ok(client) => client,
            Err(fault) => return tracing::error!(%fault, "lineage is told to nobody"),
        };
        let posting = async {
            while let Some(event) = waiting.recv().await {
                self.post(&client, &event).await;
                self.untold.fetch_sub(1, Ordering::Relaxed);
            }
        };
        let over = async {
            stop.cancelled().await;
            let begun = Instant::now();
            while self.untold.load(Ordering::Relaxed) > 0 && begun.elapsed() < LAST {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::select! {
            () = posting => {}
            () = over => {}
        }
    }

    async fn post(&self, client: &Client, event: &Value) {
        for pause in PAUSES.into_iter().map(Some).chain([None]) {
            match self.try_post(client, event).await {
                Ok(()) => {
                    metrics::lineage_told("accepted");
                    if self.dropping.swap(false, Ordering::Relaxed) {
                        tracing::info!("lineage events are taken again");
                    }
                    return;
                }
                Err(fault) => match pause.filter(|_| fault.kind() == FaultKind::Upstream) {
                    Some(pause) => tokio::time::sleep(pause).await,
                    None => {
                        metrics::lineage_told("refused");
                        return tracing::warn!(%fault, "a lineage event was not taken");
                    }
                },
            }
        }
    }

    async fn try_post(&self, client: &Client, event: &Value) -> Result<(), Fault> {
        let mut request = client.post(&self.settings.url).header(CONTENT_TYPE, "application/json");
        if let Some(value) = &self.settings.authorization {
            request = request.header(AUTHORIZATION, value.clone());
        }
        let answer = request.body(event.to_string()).send().await;
        let status = answer.map_err(|error| Fault::upstream(reason(&error)))?.status();
        let again = matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS);
        match status {
            _ if status.is_success() => Ok(()),
            _ if status.is_server_error() || again => Err(Fault::upstream(format!("it was answered {status}"))),
            _ => Err(Fault::bad_data(format!("it was answered {status}"))),
        }
    }
}

/// The operator has chosen the address: it may be any, and a proxy may lead there.
fn client(deadline: Duration) -> Result<Client, Fault> {
    // The process has one provider; another part of it may have named it already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let agent = concat!("quiver/", env!("CARGO_PKG_VERSION"));
    Client::builder().user_agent(agent).timeout(deadline).build().map_err(Fault::internal)
}
