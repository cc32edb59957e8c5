//! Sockets, HTTP/2 settings, health, and an end that drains.

use super::mux::Mux;
use super::{Limits, Service};
use crate::fault::Fault;
use crate::registry::Registry;
use crate::step::StepEnv;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::Sleep;
use tokio_util::sync::CancellationToken;
use tonic::transport::server::Connected;

/// HTTP/2 settings that both ends of the mesh use. Frames of 1 MiB are the largest single gain over the defaults, and
/// windows matter only together with them.
pub(crate) mod http2 {
    pub const FRAME: u32 = 1 << 20;
    pub const STREAM_WINDOW: u32 = 8 << 20;
    pub const CONNECTION_WINDOW: u32 = 16 << 20;
    /// The largest that the protocol knows (RFC 9113, 6.9.1).
    pub const LARGEST_WINDOW: u32 = (1 << 31) - 1;
    pub const KEEP_ALIVE: std::time::Duration = std::time::Duration::from_secs(10);
}

/// What a server is made of.
pub struct Settings {
    /// Its steps.
    pub registry: Registry,
    /// Where files, memory and disk are.
    pub env: StepEnv,
    /// What protects it.
    pub limits: Limits,
    /// How long calls under way may take once it was told to stop.
    pub drain: Duration,
}

/// An open port, or socket file, that nobody is served on yet.
#[derive(Default)]
pub struct Listener {
    tcp: Option<TcpListener>,
    unix: Option<UnixListener>,
    local: Option<UnboundedReceiver<UnixStream>>,
    address: Option<SocketAddr>,
    socket: Option<PathBuf>,
}

/// The way to a [`Listener`] of this process: pairs of sockets that have no name, so that nobody else finds them.
#[derive(Clone, Debug)]
pub struct LocalConnector(UnboundedSender<UnixStream>);

impl LocalConnector {
    /// A connection.
    ///
    /// # Errors
    /// That the listener is gone, or that there are too many open files.
    pub(crate) fn connect(&self) -> std::io::Result<UnixStream> {
        let (ours, theirs) = UnixStream::pair()?;
        self.0.send(theirs).map_err(|_| std::io::Error::from(std::io::ErrorKind::ConnectionRefused))?;
        Ok(ours)
    }
}

impl Listener {
    /// Opens a TCP port. Port 0 takes a free one.
    ///
    /// # Errors
    /// Why the port cannot be had, and what to do.
    pub async fn tcp(address: SocketAddr) -> Result<Self, Fault> {
        let failed = |error: std::io::Error| {
            Fault::upstream(format!("cannot listen on {address}: {error}"))
                .help("choose another address; port 0 takes a free one")
        };
        let tcp = TcpListener::bind(address).await.map_err(failed)?;
        let address = tcp.local_addr().map_err(failed)?;
        Ok(Self { tcp: Some(tcp), address: Some(address), ..Self::default() })
    }

    /// One that only this process can call.
    pub fn local() -> (Self, LocalConnector) {
        let (connector, local) = unbounded_channel();
        (Self { local: Some(local), ..Self::default() }, LocalConnector(connector))
    }

    /// Opens a Unix socket as well: the shorter way for callers on the same machine.
    ///
    /// # Errors
    /// Why the socket cannot be made.
    pub fn and_unix(mut self, path: &Path) -> Result<Self, Fault> {
        self.unix = Some(UnixListener::bind(path).map_err(|error| Fault::io(path.display(), &error))?);
        self.socket = Some(path.to_owned());
        Ok(self)
    }

    /// The TCP address it got.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// A server with the HTTP/2 settings that Flight needs, for services other than steps.
    pub fn server(&self) -> tonic::transport::Server {
        tonic::transport::Server::builder()
            .max_frame_size(http2::FRAME)
            .initial_stream_window_size(http2::STREAM_WINDOW)
            .initial_connection_window_size(http2::CONNECTION_WINDOW)
            .http2_keepalive_interval(Some(http2::KEEP_ALIVE))
    }

    /// The connections that come.
    pub fn connections(self) -> BoxStream<'static, std::io::Result<Socket>> {
        let tcp = stream::unfold(self.tcp, |listener| async move {
            let Some(open) = &listener else { return std::future::pending().await };
            let accepted = open.accept().await.and_then(|(socket, _)| {
                socket.set_nodelay(true)?;
                Ok(Socket::new(Kind::Tcp(socket)))
            });
            Some((paced(accepted).await, listener))
        });
        let unix = stream::unfold(self.unix, |listener| async move {
            let Some(open) = &listener else { return std::future::pending().await };
            let accepted = open.accept().await.map(|(socket, _)| Socket::new(Kind::Unix(socket)));
            Some((paced(accepted).await, listener))
        });
        let local = stream::unfold(self.local, |listener| async move {
            let Some(mut open) = listener else { return std::future::pending().await };
            // Whoever could connect may be gone; then the server waits only for its own end.
            let Some(socket) = open.recv().await else { return std::future::pending().await };
            Some((Ok(Socket::new(Kind::Unix(socket))), Some(open)))
        });
        stream::select_all([tcp.boxed(), unix.boxed(), local.boxed()]).boxed()
    }
}

/// What was accepted. A failure is told, and followed by a pause: where files have run out, the next one comes at once.
async fn paced(accepted: std::io::Result<Socket>) -> std::io::Result<Socket> {
    const PAUSE: Duration = Duration::from_millis(100);
    if let Err(error) = &accepted {
        tracing::warn!(%error, "a connection could not be taken");
        tokio::time::sleep(PAUSE).await;
    }
    accepted
}

/// A server under way. Dropped, it takes no more calls, and those under way fail.
pub struct Server {
    stop: CancellationToken,
    _cut_off: tokio_util::sync::DropGuard,
    done: tokio_util::task::AbortOnDropHandle<Result<(), Fault>>,
    drain: Duration,
    socket: Option<PathBuf>,
}

impl Server {
    /// Serves the steps on this listener, in the background.
    pub async fn start(settings: Settings, listener: Listener) -> Self {
        let Settings { registry, env, limits, drain } = settings;
        let (reporter, health) = tonic_health::server::health_reporter();
        let serving = tonic_health::ServingStatus::Serving;
        reporter.set_service_status("", serving).await;
        for step in registry.iter() {
            reporter.set_service_status(&step.description().name, serving).await;
        }
        let cut_off = CancellationToken::new();
        let service = Arc::new(Service::new(registry, env, limits, cut_off.clone()));
        let watched = Arc::downgrade(&service);
        crate::telemetry::metrics::watch_exchanges(move || watched.upgrade().map_or(0, |service| service.active()));
        crate::telemetry::metrics::watch_memory(service.env.space.budget());
        let stop = CancellationToken::new();
        let socket = listener.socket.clone();
        let asked = stop.clone();
        let router = listener.server().add_service(health).add_service(Mux::new(service));
        let serving = async move {
            let stopping = async move {
                asked.cancelled().await;
                // Load balancers see it and send no more.
                reporter.set_service_status("", tonic_health::ServingStatus::NotServing).await;
            };
            let served = router.serve_with_incoming_shutdown(listener.connections(), stopping).await;
            served.map_err(|error| Fault::upstream(format!("the server failed: {error}")))
        };
        let done = tokio_util::task::AbortOnDropHandle::new(tokio::spawn(serving));
        Self { stop, _cut_off: cut_off.drop_guard(), done, drain, socket }
    }

    /// Takes no more calls, lets those under way end, and returns when they have, or when the drain time is over.
    ///
    /// # Errors
    /// [`crate::FaultKind::TimedOut`] when calls had to be cut off.
    pub async fn stop(mut self) -> Result<(), Fault> {
        self.stop.cancel();
        let ended = tokio::time::timeout(self.drain, &mut self.done).await;
        match ended {
            Ok(Ok(result)) => result,
            Ok(Err(error)) => Err(Fault::internal(error)),
            Err(_) => {
                Err(Fault::timed_out(format!("calls still ran after {} s and were cut off", self.drain.as_secs())))
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(socket) = &self.socket {
            // It may be gone already.
            let _ = std::fs::remove_file(socket);
        }
    }
}

/// How long a connection may say nothing, or less than every HTTP/2 client says at once: it would only take a file.
const SILENCE: Duration = Duration::from_secs(10);
/// What a client says at once: the preface of HTTP/2 (RFC 9113, 3.4). To begin TLS takes more.
const PREFACE: usize = 24;

/// A connection of either kind. One that does not begin in time cannot be read.
pub struct Socket {
    kind: Kind,
    beginning: Option<Beginning>,
}

enum Kind {
    /// By TCP.
    Tcp(TcpStream),
    /// By a Unix socket, with a name or without.
    Unix(UnixStream),
}

struct Beginning {
    missing: usize,
    deadline: Pin<Box<Sleep>>,
}

impl Socket {
    fn new(kind: Kind) -> Self {
        let deadline = Box::pin(tokio::time::sleep(SILENCE));
        Self { kind, beginning: Some(Beginning { missing: PREFACE, deadline }) }
    }
}

impl Connected for Socket {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        let Self { kind, beginning } = self.get_mut();
        let before = buf.filled().len();
        let read = match kind {
            Kind::Tcp(socket) => Pin::new(socket).poll_read(cx, buf),
            Kind::Unix(socket) => Pin::new(socket).poll_read(cx, buf),
        };
        let Some(begins) = beginning else { return read };
        begins.missing = begins.missing.saturating_sub(buf.filled().len() - before);
        if begins.missing == 0 {
            *beginning = None;
        } else if read.is_pending() && begins.deadline.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(std::io::ErrorKind::TimedOut.into()));
        }
        read
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        match &mut self.get_mut().kind {
            Kind::Tcp(socket) => Pin::new(socket).poll_write(cx, buf),
            Kind::Unix(socket) => Pin::new(socket).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        match &mut self.get_mut().kind {
            Kind::Tcp(socket) => Pin::new(socket).poll_write_vectored(cx, bufs),
            Kind::Unix(socket) => Pin::new(socket).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match &mut self.get_mut().kind {
            Kind::Tcp(socket) => Pin::new(socket).poll_flush(cx),
            Kind::Unix(socket) => Pin::new(socket).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match &mut self.get_mut().kind {
            Kind::Tcp(socket) => Pin::new(socket).poll_shutdown(cx),
            Kind::Unix(socket) => Pin::new(socket).poll_shutdown(cx),
        }
    }
}
