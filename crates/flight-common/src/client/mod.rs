//! Calls of steps behind Flight: planning, and exchanges whose frames are not decoded.

mod exchange;

pub use exchange::{Exchange, collect_receipt};

use crate::command::StepCommand;
use crate::dataset::{Dataset, ReadFile, Written};
use crate::describe::{Effects, StepDescription};
use crate::fault::Fault;
use crate::server::{Answer, CANCEL, DESCRIBE, LocalConnector, MESH_HEADER, PERMIT, PlanDetails, http2};
use crate::telemetry;
use crate::wire::schema_from_bytes;
use arrow::datatypes::SchemaRef;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::{Action, CancelFlightInfoRequest, FlightDescriptor, FlightInfo, SchemaResult};
use futures::TryStreamExt;
use http::{HeaderMap, Uri};
use hyper_util::rt::TokioIo;
use prost::Message;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tonic::body::Body;
use tonic::metadata::MetadataMap;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tower::{Service, ServiceExt, service_fn};

/// Time for a connection to come about.
const CONNECT: Duration = Duration::from_secs(5);
/// Time for a call that moves no rows.
const UNARY: Duration = Duration::from_secs(60);
/// Time for a server to say that it is well.
const CHECK: Duration = Duration::from_secs(2);
/// Time for a peer to answer a ping: one that was killed, or cut off, is found out after at most
/// [`http2::KEEP_ALIVE`] and this.
const PING: Duration = Duration::from_secs(5);

/// What a server answers when it is asked to plan a step.
#[derive(Debug)]
pub struct RemotePlan {
    /// The schema of each output, by its name.
    pub outputs: BTreeMap<String, SchemaRef>,
    /// What identifies the source of an extract, or what a load writes.
    pub source: Option<String>,
    /// The data outside the pipeline that the step reads or writes.
    pub datasets: Vec<Dataset>,
    /// The files that the step reads.
    pub reads: Vec<ReadFile>,
    /// What the step writes, each file and table by itself.
    pub writes: Vec<Written>,
    /// What the step does to the world with these parameters, where the server says it.
    pub effects: Option<Effects>,
}

/// A connection to a server of steps. Cheap to clone; its calls share one HTTP/2 connection.
#[derive(Clone)]
pub struct StepClient {
    endpoint: Endpoint,
    /// The way, if the server is in this process.
    local: Option<LocalConnector>,
    channel: Channel,
    peer: Arc<str>,
}

impl StepClient {
    /// A client for a TCP address, `host:port` or a URL. It connects at its first call, and again when it must.
    ///
    /// # Errors
    /// [`crate::FaultKind::BadParams`] for what is no address.
    pub fn tcp(address: &str) -> Result<Self, Fault> {
        let url =
            if address.contains("://") { address.replace("grpc://", "http://") } else { format!("http://{address}") };
        let has_port = url.parse::<Uri>().is_ok_and(|url| url.port().is_some());
        match has_port {
            true => Self::lazy(&url, address),
            false => Err(no_address(address, "it names no port")),
        }
    }

    /// A client for a Unix socket.
    ///
    /// # Errors
    /// [`crate::FaultKind::BadParams`] for what is no path.
    pub fn unix(socket: &Path) -> Result<Self, Fault> {
        let path = socket.display().to_string();
        Self::lazy(&format!("unix://{path}"), &path)
    }

    /// A client for a server in this process.
    pub fn local(connector: LocalConnector) -> Self {
        Self::over(Endpoint::from_static("http://localhost"), Some(connector), "this process")
    }

    fn lazy(url: &str, shown: &str) -> Result<Self, Fault> {
        let endpoint = Endpoint::from_shared(url.to_owned()).map_err(|error| no_address(shown, error))?;
        Ok(Self::over(endpoint, None, shown))
    }

    fn over(endpoint: Endpoint, local: Option<LocalConnector>, shown: &str) -> Self {
        let endpoint = endpoint
            .connect_timeout(CONNECT)
            .tcp_nodelay(true)
            .max_frame_size(http2::FRAME)
            .initial_stream_window_size(http2::STREAM_WINDOW)
            .initial_connection_window_size(http2::CONNECTION_WINDOW)
            .http2_keep_alive_interval(http2::KEEP_ALIVE)
            // A connection whose only call is waiting for its answer, and that nobody else can use, counts as idle.
            .keep_alive_while_idle(true)
            .keep_alive_timeout(PING);
        Self { channel: connect(&endpoint, local.as_ref()), endpoint, local, peer: shown.into() }
    }

    /// The same server by a connection of its own, on which this many answers may stand still without holding up the others.
    pub fn on_its_own_connection(&self, answers: u32) -> Self {
        let window = http2::STREAM_WINDOW.saturating_mul(answers.saturating_add(1)).min(http2::LARGEST_WINDOW);
        let endpoint = self.endpoint.clone().initial_connection_window_size(window);
        Self { channel: connect(&endpoint, self.local.as_ref()), ..self.clone() }
    }

    /// Where it calls, for messages.
    pub fn peer(&self) -> &str {
        &self.peer
    }

    /// What the steps of the server say of themselves.
    ///
    /// # Errors
    /// [`crate::FaultKind::Upstream`] when the server is not reachable.
    pub async fn describe(&self) -> Result<Vec<StepDescription>, Fault> {
        let action = Action { r#type: DESCRIBE.into(), body: Default::default() };
        let results = self.flight().do_action(self.request(action)).await.map_err(|status| self.explain(&status))?;
        let bodies: Vec<arrow_flight::Result> =
            results.into_inner().try_collect().await.map_err(|status| self.explain(&status))?;
        let read = |result: &arrow_flight::Result| serde_json::from_slice(&result.body);
        bodies.iter().map(read).collect::<Result<_, _>>().map_err(|error| {
            Fault::upstream(format!("{} described its steps in a way that is not understood: {error}", self.peer))
        })
    }

    /// Plans a step.
    ///
    /// # Errors
    /// The step's fault, or [`crate::FaultKind::Upstream`].
    pub async fn plan(&self, command: &StepCommand) -> Result<RemotePlan, Fault> {
        let descriptor = FlightDescriptor::new_cmd(command.to_json());
        let answered = self.flight().get_flight_info(self.request(descriptor)).await;
        let info = answered.map_err(|status| self.explain(&status))?.into_inner();
        let details: PlanDetails = serde_json::from_slice(&info.app_metadata)
            .map_err(|error| Fault::upstream(format!("{} answered no plan: {error}", self.peer)))?;
        let outputs = details.outputs.into_iter().map(|(name, bytes)| Ok((name, schema_from_bytes(&bytes.0)?)));
        let outputs = outputs.collect::<Result<_, Fault>>()?;
        let PlanDetails { source, datasets, reads, writes, effects, .. } = details;
        Ok(RemotePlan { outputs, source, datasets, reads, writes, effects })
    }

    /// Asks the server to end an exchange.
    ///
    /// # Errors
    /// [`crate::FaultKind::Upstream`] when the server is not reachable.
    pub async fn cancel(&self, command: &StepCommand) -> Result<(), Fault> {
        let flight_descriptor = Some(FlightDescriptor::new_cmd(command.to_json()));
        let info = Some(FlightInfo { flight_descriptor, ..FlightInfo::default() });
        let body = CancelFlightInfoRequest { info }.encode_to_vec().into();
        let action = Action { r#type: CANCEL.into(), body };
        self.flight().do_action(self.request(action)).await.map_err(|status| self.explain(&status))?;
        Ok(())
    }

    /// Lets a step commit that has asked.
    ///
    /// # Errors
    /// [`crate::FaultKind::NotFound`] if it has ended; [`crate::FaultKind::Upstream`] when the server is not reachable.
    pub(crate) async fn permit(&self, answer: &Answer) -> Result<(), Fault> {
        let body = serde_json::to_vec(answer).map_err(Fault::internal)?.into();
        let action = Action { r#type: PERMIT.into(), body };
        self.flight().do_action(self.request(action)).await.map_err(|status| self.explain(&status))?;
        Ok(())
    }

    /// Whether the server answers and takes calls.
    ///
    /// # Errors
    /// [`crate::FaultKind::Upstream`] when it does not.
    pub async fn check(&self) -> Result<(), Fault> {
        let mut request = self.request(HealthCheckRequest { service: String::new() });
        request.set_timeout(CHECK);
        let answered = HealthClient::new(self.channel.clone()).check(request).await;
        match answered.map_err(|status| self.explain(&status))?.into_inner().status() {
            ServingStatus::Serving => Ok(()),
            _ => Err(Fault::upstream(format!("{} takes no more calls: it is going down", self.peer))),
        }
    }

    /// Hands a call of somebody else on as it is, and returns the answer as it comes. The caller sees to it that the body of
    /// the call ends in a fault when the answer is given up, and that the connection is none that others need: see
    /// [`StepClient::on_its_own_connection`].
    ///
    /// # Errors
    /// [`crate::FaultKind::Upstream`] when the server is not reachable.
    pub async fn relay(&self, call: http::Request<Body>) -> Result<http::Response<Body>, Fault> {
        let mut channel = self.channel.clone();
        let unreachable = |error: tonic::transport::Error| self.explain(&tonic::Status::from_error(Box::new(error)));
        channel.ready().await.map_err(unreachable)?.call(call).await.map_err(unreachable)
    }

    /// What the server says of a step to somebody else who asks, as they ask it.
    ///
    /// # Errors
    /// The step's fault, or [`crate::FaultKind::Upstream`].
    pub async fn relay_flight_info(&self, descriptor: FlightDescriptor) -> Result<FlightInfo, Fault> {
        let answered = self.flight().get_flight_info(relayed(descriptor)).await;
        answered.map(Response::into_inner).map_err(|status| self.explain(&status))
    }

    /// As [`StepClient::relay_flight_info`], for the schema alone.
    ///
    /// # Errors
    /// As [`StepClient::relay_flight_info`].
    pub async fn relay_schema(&self, descriptor: FlightDescriptor) -> Result<SchemaResult, Fault> {
        let answered = self.flight().get_schema(relayed(descriptor)).await;
        answered.map(Response::into_inner).map_err(|status| self.explain(&status))
    }

    /// The results of an action that somebody else asks for.
    ///
    /// # Errors
    /// As [`StepClient::relay_flight_info`].
    pub async fn relay_action(&self, action: Action) -> Result<Vec<arrow_flight::Result>, Fault> {
        let answered = self.flight().do_action(relayed(action)).await.map_err(|status| self.explain(&status))?;
        answered.into_inner().try_collect().await.map_err(|status| self.explain(&status))
    }

    /// `tonic`'s face of the server, for calls that move no rows.
    fn flight(&self) -> FlightServiceClient<Channel> {
        FlightServiceClient::new(self.channel.clone()).max_decoding_message_size(64 << 20)
    }

    fn request<T>(&self, message: T) -> Request<T> {
        in_time(message, mesh_headers(&tracing::Span::current()))
    }

    fn explain(&self, status: &tonic::Status) -> Fault {
        // What tonic says of an answer that is none of gRPC.
        let foreign = ["protocol error: received message", "grpc-status header missing"];
        if foreign.iter().any(|said| status.message().starts_with(said)) {
            return Fault::bad_params(format!("{} is no Flight server", self.peer))
                .help("give the address of a step or of the orchestrator's Flight front, not that of its REST API");
        }
        let fault = Fault::from_status(status);
        let Some(source) = std::error::Error::source(status) else { return fault };
        if source.is::<tonic::TimeoutExpired>() {
            return Fault::timed_out(format!("{} did not answer in time", self.peer)).help(Fault::LOOK_AT_THE_SERVER);
        }
        Fault::upstream(format!("{} is not reachable: {}", self.peer, fault.message()))
            .help("is it running, and is the address right?")
    }
}

/// A channel that connects at its first call.
fn connect(endpoint: &Endpoint, local: Option<&LocalConnector>) -> Channel {
    let Some(local) = local.cloned() else { return endpoint.connect_lazy() };
    endpoint
        .connect_with_connector_lazy(service_fn(move |_: Uri| std::future::ready(local.connect().map(TokioIo::new))))
}

/// A call that moves no rows.
fn in_time<T>(message: T, headers: HeaderMap) -> Request<T> {
    let mut request = Request::new(message);
    *request.metadata_mut() = MetadataMap::from_headers(headers);
    request.set_timeout(UNARY);
    request
}

/// A call of somebody who is not of the mesh.
fn relayed<T>(message: T) -> Request<T> {
    let mut headers = HeaderMap::new();
    telemetry::inject(&tracing::Span::current(), &mut headers);
    in_time(message, headers)
}

fn mesh_headers(span: &tracing::Span) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(MESH_HEADER, http::HeaderValue::from_static("1"));
    telemetry::inject(span, &mut headers);
    headers
}

fn no_address(shown: &str, why: impl std::fmt::Display) -> Fault {
    Fault::bad_params(format!("\"{shown}\" is no address of a server: {why}"))
        .help("write host:port, as in localhost:8815")
}
