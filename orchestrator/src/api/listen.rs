//! The socket of the REST API, with TLS or without, and an end that drains.

use super::Api;
use crate::tls::Tls;
use axum_server::accept::NoDelayAcceptor;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use axum_server::{Handle, Server};
use flight_common::Fault;
use hyper_util::rt::TokioTimer;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;
use tokio::task::JoinHandle;

/// How long the head of a request may take: who sends it byte by byte only holds a connection.
const HEAD: Duration = Duration::from_secs(10);
/// How long answers under way may take at the end.
const DRAIN: Duration = Duration::from_secs(5);

/// A REST API that listens.
pub struct ApiServer {
    url: String,
    handle: Handle<SocketAddr>,
    serving: JoinHandle<std::io::Result<()>>,
}

impl ApiServer {
    /// Listens at this address; port 0 takes a free one.
    ///
    /// # Errors
    /// Why it cannot listen there.
    pub async fn start(api: &Api, address: SocketAddr, tls: Option<&Tls>) -> Result<Self, Fault> {
        let failed = |error: std::io::Error| match error.kind() {
            std::io::ErrorKind::AddrInUse => {
                Fault::busy(format!("{address} is taken")).help("choose another address; port 0 takes a free one")
            }
            _ => Fault::io(address, &error),
        };
        let listener = TcpListener::bind(address).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let handle = Handle::new();
        let routes = api.router().into_make_service();
        let server = axum_server::from_tcp(listener).map_err(failed)?;
        // An event is small, and the next one would wait until it is acknowledged.
        let at_once = NoDelayAcceptor::new();
        let serving = match tls {
            None => tokio::spawn(prompt(server.acceptor(at_once), &handle).serve(routes)),
            Some(tls) => {
                let acceptor = RustlsAcceptor::new(RustlsConfig::from_config(tls.config())).acceptor(at_once);
                tokio::spawn(prompt(server.acceptor(acceptor), &handle).serve(routes))
            }
        };
        let scheme = if tls.is_some() { "https" } else { "http" };
        Ok(Self { url: format!("{scheme}://{address}"), handle, serving })
    }

    /// Where it listens, as a URL.
    pub fn url(&self) -> String {
        self.url.clone()
    }

    /// Takes no more connections, and lets answers under way end, for a few seconds.
    pub async fn stop(self) {
        self.handle.graceful_shutdown(Some(DRAIN));
        if let Ok(Err(error)) = self.serving.await {
            tracing::warn!(%error, "the REST API ended badly");
        }
    }
}

/// A server for clients that say what they want, and answer when they are asked whether they are there.
fn prompt<A>(server: Server<SocketAddr, A>, handle: &Handle<SocketAddr>) -> Server<SocketAddr, A> {
    let mut server = server.handle(handle.clone()).first_request_timeout(HEAD);
    server.http_builder().http1().timer(TokioTimer::new()).header_read_timeout(HEAD);
    server.http_builder().http2().timer(TokioTimer::new()).keep_alive_interval(HEAD);
    server
}
