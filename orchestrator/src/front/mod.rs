//! The Flight front door: what any Flight client asks of the orchestrator.
//!
//! | call | what |
//! |---|---|
//! | `DoExchange`, `DoGet`, `DoPut` with a step's command | handed on to the step's server: [`relay`]; those of one exchange to one server: [`exchanges`] |
//! | `GetFlightInfo`, `GetSchema` with one | planned by the step's server |
//! | `GetFlightInfo`, `GetSchema`, `DoGet` of `runs/<id>/<step>`, `ListFlights` | kept outputs: [`kept`] |
//! | `PollFlightInfo` | submits a pipeline and follows its run, `CancelFlightInfo` ends it: [`submit`] |
//! | `DoPut` to `datasets/<path>` | a file under the data root: [`upload`] |
//! | Flight SQL | kept outputs as tables, read-only: [`sql`]. `DoPut` binds the values of a statement |

mod calls;
mod exchanges;
mod kept;
mod relay;
mod sql;
mod submit;
mod upload;

use crate::access::{Access, Caller, not_by_a_page};
use crate::mesh::FlightMesh;
use crate::seats::Seats;
use crate::service::Service;
use crate::tls::Tls;
use arrow_flight::flight_service_server::FlightServiceServer;
use arrow_flight::{FlightData, Ticket};
use bytes::Bytes;
use calls::Calls;
use exchanges::{Exchanges, Tie};
use flight_common::client::StepClient;
use flight_common::server::Listener;
use flight_common::wire::whole;
use flight_common::{Fault, MemoryBudget, SpillSpace, StepCommand, telemetry};
use futures::FutureExt;
use futures::future::BoxFuture;
use http::{Request, Response};
use prost::Message;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::transport::ServerTlsConfig;
use tracing::Instrument;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// How long calls under way may take at the end.
const DRAIN: Duration = Duration::from_secs(5);

/// How long a client may take to begin TLS.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// How long a client that sends rows, or reads them, may stand still: others wait for its place.
const PATIENCE: Duration = Duration::from_secs(60);

/// What all calls share.
pub(crate) struct Inner {
    service: Service,
    access: Access,
    steps: Arc<FlightMesh>,
    exchanges: Exchanges,
    memory: MemoryBudget,
    uploads: Seats,
    downloads: Seats,
    sql: sql::Engine,
}

/// The Flight service of an orchestrator.
#[derive(Clone)]
struct Front {
    inner: Arc<Inner>,
    calls: FlightServiceServer<Calls>,
}

/// Who answers a streaming call.
enum Answerer {
    /// The server of a step.
    Step(Box<StepCommand>),
    /// The engine of Flight SQL.
    Sql,
    /// The front door itself.
    Own,
}

/// In the request of a `DoPut`: it is one of Flight SQL.
#[derive(Clone)]
struct IsSql;

/// Who answers a call, as its first message says.
fn answerer(method: &str, first: &Bytes) -> Result<Answerer, Fault> {
    let unreadable = |error: prost::DecodeError| Fault::bad_params(format!("the first message is no Flight: {error}"));
    let bytes = match method {
        "DoGet" => Ticket::decode(first.clone()).map_err(unreadable)?.ticket,
        _ => {
            let message = FlightData::decode(first.clone()).map_err(unreadable)?;
            let descriptor = message.flight_descriptor.ok_or_else(|| {
                Fault::bad_params("the first message has no descriptor")
                    .help(r#"begin with FlightDescriptor.for_command('{"step": …}')"#)
            })?;
            if method == "DoPut" && !descriptor.path.is_empty() {
                return Ok(Answerer::Own);
            }
            descriptor.cmd
        }
    };
    if method != "DoExchange" && kept::is_ticket(&bytes) {
        return Ok(Answerer::Own);
    }
    if method != "DoExchange" && sql::is_command(&bytes) {
        return Ok(Answerer::Sql);
    }
    StepCommand::read(&bytes).map(|(command, _)| Answerer::Step(Box::new(command))).map_err(|fault| match method {
        "DoGet" => fault
            .help("a ticket is runs/<id>/<step>, or one that GetFlightInfo gave: of a kept output, or a query in SQL"),
        _ => fault,
    })
}

impl Inner {
    /// Which server a call of a step goes to, by which connection, and its hold on the exchange that it belongs to.
    async fn server_for(
        &self,
        method: &str,
        command: &StepCommand,
        caller: &Caller,
    ) -> Result<(StepClient, Option<Tie>), Fault> {
        let (step, client) = self.steps.server_of(&command.step).await?;
        if command.exchange_id.is_empty() {
            return Ok((client.on_its_own_connection(1), None));
        }
        let tie = match method == "DoGet" && !command.output.is_empty() {
            true => self.exchanges.rejoin(&step, command, &caller.id)?,
            false => self.exchanges.join(&step, command, &caller.id, &client)?,
        };
        Ok((tie.client.clone(), Some(tie)))
    }
}

impl Front {
    async fn streaming(mut self, method: &str, request: Request<Body>) -> Result<Response<Body>, Fault> {
        let (mut parts, body) = request.into_parts();
        let caller = Caller::of(&parts.headers, self.inner.access, self.inner.service.store()).await?;
        let peeked = relay::peek(body).await?;
        match answerer(method, &peeked.first)? {
            Answerer::Step(command) => {
                caller.may(crate::store::Role::Operator)?;
                let (client, tie) = self.inner.server_for(method, &command, &caller).await?;
                return relay::relay(&client, &parts.headers, parts.uri.path(), peeked.body, tie).await;
            }
            Answerer::Sql => drop(parts.extensions.insert(IsSql)),
            Answerer::Own => {}
        }
        parts.extensions.insert(caller);
        let answered = tower::Service::call(&mut self.calls, Request::from_parts(parts, peeked.body)).await;
        answered.map_err(|never| match never {})
    }

    async fn unary(mut self, method: &str, mut request: Request<Body>) -> Result<Response<Body>, Fault> {
        // Whoever shakes hands shows a token, and is told then whether it is good.
        if method != "Handshake" {
            let caller = Caller::of(request.headers(), self.inner.access, self.inner.service.store()).await?;
            request.extensions_mut().insert(caller);
        }
        tower::Service::call(&mut self.calls, request).await.map_err(|never| match never {})
    }
}

impl NamedService for Front {
    const NAME: &'static str = "arrow.flight.protocol.FlightService";
}

impl tower::Service<Request<Body>> for Front {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let front = self.clone();
        let request = request.map(whole);
        let method = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
        let span = tracing::info_span!("front", otel.name = %method, otel.kind = "server", rpc.method = %method);
        // Where nothing is exported there is no trace to join.
        let _ = span.set_parent(telemetry::extract(request.headers()));
        async move {
            let by_a_page = match front.inner.access {
                Access::Open => not_by_a_page(Access::Open, request.headers(), request.uri()),
                // No browser sends a token unasked.
                Access::Tokens => Ok(()),
            };
            let answered = match (by_a_page, method.as_str()) {
                (Err(refused), _) => Err(refused),
                (Ok(()), "DoExchange" | "DoGet" | "DoPut") => front.streaming(&method, request).await,
                (Ok(()), _) => front.unary(&method, request).await,
            };
            Ok(answered.unwrap_or_else(|fault| tonic::Status::from(fault).into_http()))
        }
        .instrument(span)
        .boxed()
    }
}

/// A front door that is open.
pub struct FrontServer {
    address: SocketAddr,
    stop: CancellationToken,
    serving: JoinHandle<Result<(), tonic::transport::Error>>,
}

impl FrontServer {
    /// Opens it at this address; port 0 takes a free one. As to who may call, it is as strict as the REST API.
    ///
    /// # Errors
    /// Why it cannot listen there.
    pub async fn start(
        service: Service,
        steps: Arc<FlightMesh>,
        space: SpillSpace,
        access: Access,
        address: SocketAddr,
        tls: Option<&Tls>,
    ) -> Result<Self, Fault> {
        let memory = space.budget().clone();
        let sql = sql::Engine::new(service.clone(), space, access)?;
        let inner = Arc::new(Inner {
            service,
            access,
            steps,
            exchanges: Exchanges::default(),
            memory,
            uploads: Seats::new("uploads", upload::UPLOADS, access),
            downloads: Seats::new("downloads", kept::DOWNLOADS, access),
            sql,
        });
        let calls = FlightServiceServer::new(Calls(inner.clone())).max_decoding_message_size(64 << 20);
        let front = Front { inner, calls };
        let listener = Listener::tcp(address).await?;
        let address = listener.address().ok_or_else(|| Fault::internal("a listener without an address"))?;
        let mut server = listener.server();
        if let Some(tls) = tls {
            let configured = server.tls_config(ServerTlsConfig::new().identity(tls.identity()).timeout(HANDSHAKE));
            server = configured.map_err(|error| Fault::bad_params(format!("no TLS for the front door: {error}")))?;
        }
        let stop = CancellationToken::new();
        let asked = stop.clone();
        let (_, health) = tonic_health::server::health_reporter();
        let router = server.add_service(health).add_service(front);
        let serving = tokio::spawn(async move {
            router.serve_with_incoming_shutdown(listener.connections(), asked.cancelled_owned()).await
        });
        Ok(Self { address, stop, serving })
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more calls, and lets those under way end, for a few seconds.
    pub async fn stop(mut self) {
        self.stop.cancel();
        match tokio::time::timeout(DRAIN, &mut self.serving).await {
            Ok(Ok(Ok(()))) => {}
            Ok(ended) => tracing::warn!(?ended, "the front door ended badly"),
            Err(_) => self.serving.abort(),
        }
    }
}
