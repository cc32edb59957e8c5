//! Planning and actions: the calls that move no rows.

use super::Service;
use super::asking::{Answer, PERMIT};
use crate::command::{Form, StepCommand};
use crate::dataset::{Dataset, ReadFile, Written};
use crate::describe::Effects;
use crate::fault::Fault;
use crate::registry::PlannedStep;
use crate::step::InputSchemas;
use crate::wire::{outward_schema, schema_to_bytes};
use arrow::datatypes::SchemaRef;
use arrow_flight::flight_service_server::FlightService;
use arrow_flight::{
    Action, ActionType, CancelFlightInfoRequest, CancelFlightInfoResult, CancelStatus, Criteria, Empty, FlightData,
    FlightDescriptor, FlightEndpoint, FlightInfo, HandshakeRequest, HandshakeResponse, PollInfo, PutResult,
    SchemaResult, Ticket,
};
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use prost::Message;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use tonic::{Request, Response, Status, Streaming};

/// The action that tells what steps there are.
pub const DESCRIBE: &str = "describe";
/// The action that ends an exchange.
pub const CANCEL: &str = "CancelFlightInfo";

/// What planning says beside the schema: the application metadata of `GetFlightInfo`, as JSON.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PlanDetails {
    /// The schema of each named output.
    pub outputs: BTreeMap<String, crate::command::SchemaBytes>,
    /// What identifies the source of an extract.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The data outside the pipeline that the step reads or writes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub datasets: Vec<Dataset>,
    /// The files that the step reads.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reads: Vec<ReadFile>,
    /// What the step writes, each file and table by itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub writes: Vec<Written>,
    /// What the step does to the world with these parameters; where a server does not say, what its description says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effects: Option<Effects>,
}

/// `tonic`'s face of a server. The streaming calls never reach it: see [`super::mux`].
#[derive(Clone)]
pub(super) struct Unary(pub(super) Arc<Service>);

type Answers<T> = BoxStream<'static, Result<T, Status>>;

impl Unary {
    async fn plan(&self, descriptor: &FlightDescriptor) -> Result<(StepCommand, PlannedStep), Fault> {
        let (command, _) = StepCommand::read(&descriptor.cmd)?;
        let service = &self.0;
        let spec = service.registry.find(&command.step)?.spec();
        let names = match spec.takes_any_inputs() && command.inputs.is_empty() {
            true => command.input_schemas.keys().cloned().collect(),
            false => command.inputs.clone(),
        };
        let names = spec.input_names(&names)?;
        let inputs = names.iter().map(|name| command.input_schema(name)).collect::<Result<Vec<SchemaRef>, _>>()?;
        let inputs = InputSchemas::new(inputs).called(&names);
        let planned = service.registry.plan(&command, &inputs, &service.env).await?;
        Ok((command, planned))
    }
}

/// The place of a named output; the empty name is the main one.
fn output_place(planned: &PlannedStep, name: &str) -> Result<usize, Fault> {
    if name.is_empty() {
        return Ok(0);
    }
    let names = planned.spec.outputs;
    names.iter().position(|output| *output == name).ok_or_else(|| {
        Fault::not_found(format!("{} has no output \"{name}\"", planned.spec.name))
            .help(crate::params::did_you_mean(name, names.iter().copied()))
    })
}

fn schema_result<T>(request: &Request<T>, schema: &SchemaRef) -> Result<Bytes, Fault> {
    let mesh = request.metadata().contains_key(super::MESH_HEADER);
    schema_to_bytes(&if mesh { schema.clone() } else { outward_schema(schema) })
}

#[tonic::async_trait]
impl FlightService for Unary {
    type HandshakeStream = Answers<HandshakeResponse>;
    type ListFlightsStream = Answers<FlightInfo>;
    type DoGetStream = Answers<FlightData>;
    type DoPutStream = Answers<PutResult>;
    type DoExchangeStream = Answers<FlightData>;
    type DoActionStream = Answers<arrow_flight::Result>;
    type ListActionsStream = Answers<ActionType>;

    async fn get_schema(&self, request: Request<FlightDescriptor>) -> Result<Response<SchemaResult>, Status> {
        let (command, planned) = self.plan(request.get_ref()).await?;
        let place = output_place(&planned, &command.output)?;
        let schema = schema_result(&request, &planned.outputs[place])?;
        Ok(Response::new(SchemaResult { schema }))
    }

    async fn get_flight_info(&self, request: Request<FlightDescriptor>) -> Result<Response<FlightInfo>, Status> {
        let (command, planned) = self.plan(request.get_ref()).await?;
        let place = output_place(&planned, &command.output)?;
        let mut details = PlanDetails {
            outputs: BTreeMap::new(),
            source: planned.source.clone(),
            datasets: planned.datasets.clone(),
            reads: planned.reads.clone(),
            writes: planned.writes.clone(),
            effects: Some(planned.effects),
        };
        for (name, schema) in planned.spec.outputs.iter().zip(&planned.outputs) {
            let bytes = schema_result(&request, schema)?;
            details.outputs.insert((*name).to_owned(), crate::command::SchemaBytes(bytes));
        }
        let details = serde_json::to_vec(&details).map_err(|error| Status::from(Fault::internal(error)))?;
        let mut info = FlightInfo {
            schema: schema_result(&request, &planned.outputs[place])?,
            flight_descriptor: Some(request.get_ref().clone()),
            total_records: -1,
            total_bytes: -1,
            ordered: planned.spec.keeps_order,
            app_metadata: details.into(),
            ..FlightInfo::default()
        };
        if planned.spec.inputs.is_empty() {
            // Read it where you planned it: an endpoint without a location.
            let ticket = Ticket { ticket: command.to_json().into() };
            info.endpoint = vec![FlightEndpoint { ticket: Some(ticket), ..FlightEndpoint::default() }];
        }
        Ok(Response::new(info))
    }

    async fn do_action(&self, request: Request<Action>) -> Result<Response<Self::DoActionStream>, Status> {
        let Action { r#type, body } = request.into_inner();
        let results = match r#type.as_str() {
            DESCRIBE => self.0.describe(&body)?,
            CANCEL => vec![self.0.cancel_flight(&body)?],
            PERMIT => {
                self.0.permit(Answer::read(&body)?)?;
                Vec::new()
            }
            other => {
                return Err(Fault::not_found(format!("no action \"{other}\""))
                    .help(crate::params::did_you_mean(other, [DESCRIBE, CANCEL, PERMIT]))
                    .into());
            }
        };
        let results = results.into_iter().map(|body| Ok(arrow_flight::Result { body }));
        Ok(Response::new(stream::iter(results).boxed()))
    }

    async fn list_actions(&self, _request: Request<Empty>) -> Result<Response<Self::ListActionsStream>, Status> {
        let actions = [
            (DESCRIBE, "What steps there are. Body: a step's name, or nothing for all. One JSON result for each."),
            (CANCEL, "Ends an exchange. Body: a CancelFlightInfoRequest whose descriptor names the exchange_id."),
            (
                PERMIT,
                "Lets a step commit that has asked. Body: {\"step\", \"exchange_id\", \"ask\", \"holds_ms\"} as JSON.",
            ),
        ];
        let actions = actions.map(|(name, text)| Ok(ActionType { r#type: name.into(), description: text.into() }));
        Ok(Response::new(stream::iter(actions).boxed()))
    }

    async fn list_flights(&self, _request: Request<Criteria>) -> Result<Response<Self::ListFlightsStream>, Status> {
        // A step keeps nothing to be listed; what it can do is told by `describe`.
        Ok(Response::new(stream::empty().boxed()))
    }

    async fn handshake(
        &self,
        _request: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Self::HandshakeStream>, Status> {
        Err(Status::unimplemented("this service asks for no credentials"))
    }

    async fn poll_flight_info(&self, _request: Request<FlightDescriptor>) -> Result<Response<PollInfo>, Status> {
        Err(Status::unimplemented("a step has nothing to poll: call GetFlightInfo"))
    }

    async fn do_get(&self, _request: Request<Ticket>) -> Result<Response<Self::DoGetStream>, Status> {
        Err(Status::internal("DoGet takes the fast path"))
    }

    async fn do_put(&self, _request: Request<Streaming<FlightData>>) -> Result<Response<Self::DoPutStream>, Status> {
        Err(Status::internal("DoPut takes the fast path"))
    }

    async fn do_exchange(
        &self,
        _request: Request<Streaming<FlightData>>,
    ) -> Result<Response<Self::DoExchangeStream>, Status> {
        Err(Status::internal("DoExchange takes the fast path"))
    }
}

impl Service {
    /// The descriptions asked for. The body is a name, a command in either form, or nothing for all steps.
    fn describe(&self, body: &Bytes) -> Result<Vec<Bytes>, Fault> {
        let plain = std::str::from_utf8(body).ok().map(str::trim);
        let is_name = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
        let (name, form) = match plain {
            Some("") => (None, Form::Json),
            Some(text) if is_name(text) => (Some(text.to_owned()), Form::Json),
            _ => StepCommand::read(body).map(|(command, form)| (Some(command.step), form))?,
        };
        let steps = match name {
            Some(name) => vec![self.registry.find(&name)?],
            None => self.registry.iter().cloned().collect(),
        };
        Ok(steps.iter().map(|step| step.description().to_bytes(form)).collect())
    }

    fn cancel_flight(&self, body: &Bytes) -> Result<Bytes, Fault> {
        let unreadable = |error| Fault::bad_params(format!("no CancelFlightInfoRequest: {error}"));
        let request = CancelFlightInfoRequest::decode(&body[..]).map_err(unreadable)?;
        let descriptor = request.info.and_then(|info| info.flight_descriptor);
        let descriptor = descriptor.ok_or_else(|| Fault::bad_params("the request has no descriptor"))?;
        let (command, _) = StepCommand::read(&descriptor.cmd)?;
        let status = match self.cancel(&self.exchange_key(&command)?) {
            true => CancelStatus::Cancelled,
            false => CancelStatus::NotCancellable,
        };
        Ok(CancelFlightInfoResult { status: status.into() }.encode_to_vec().into())
    }
}
