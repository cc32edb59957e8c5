//! A server that keeps what it is sent.

use axum::Router;
use axum::body::Bytes;
use axum::response::Response;
use axum::routing::post;
use http::HeaderMap;
use serde_json::Value;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// No test waits longer than this for what must come.
pub const SOON: Duration = Duration::from_secs(30);

/// What came to a receiver.
#[derive(Clone, Debug)]
pub struct Received {
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Received {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }
}

/// A server that keeps what it is sent, and answers each path in its own way.
pub struct Receiver {
    pub url: String,
    received: Arc<Mutex<Vec<Received>>>,
    _serving: tokio_util::task::AbortOnDropHandle<()>,
}

impl Receiver {
    /// One that answers a path, asked for the `before`-th time, by `answer`.
    pub async fn start<A>(answer: fn(String, usize) -> A) -> Self
    where
        A: Future<Output = Response> + Send + 'static,
    {
        let received: Arc<Mutex<Vec<Received>>> = Arc::default();
        let kept = received.clone();
        let take = move |uri: http::Uri, headers: HeaderMap, body: Bytes| {
            let path = uri.path().to_owned();
            let before = {
                let mut kept = kept.lock().expect("not poisoned");
                let before = kept.iter().filter(|one| one.path == path).count();
                kept.push(Received { path: path.clone(), headers, body });
                before
            };
            answer(path, before)
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let router = Router::new().route("/{*path}", post(take));
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.expect("it serves") });
        Self { url, received, _serving: tokio_util::task::AbortOnDropHandle::new(serving) }
    }

    pub fn received(&self) -> Vec<Received> {
        self.received.lock().expect("not poisoned").clone()
    }

    pub async fn until(&self, enough: impl Fn(&[Received]) -> bool) -> Vec<Received> {
        let waiting = async {
            loop {
                let received = self.received();
                if enough(&received) {
                    return received;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(SOON, waiting).await.expect("they come")
    }
}
