//! `tonic`'s face of the front door. Streaming calls of steps never reach it: see [`super::relay`].

use super::kept::{Place, is_ticket};
use super::submit::run_of;
use super::{Inner, IsSql, sql};
use crate::access::{Access, Caller, secret};
use crate::store::{Role, StoreError};
use arrow_flight::flight_service_server::FlightService;
use arrow_flight::{
    Action, ActionType, CancelFlightInfoRequest, CancelFlightInfoResult, CancelStatus, Criteria, Empty, FlightData,
    FlightDescriptor, FlightInfo, HandshakeRequest, HandshakeResponse, PollInfo, PutResult, SchemaResult, Ticket,
};
use flight_common::params::did_you_mean;
use flight_common::server::{CANCEL, DESCRIBE};
use flight_common::{Fault, StepCommand};
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use prost::Message;
use std::sync::Arc;
use tonic::{Request, Response, Status, Streaming};

/// The action that submits a run, for clients that do not poll.
const SUBMIT: &str = "quiver.submit";
/// The action that tells how a run goes on.
const RUN: &str = "quiver.run";

/// The calls of the front door.
#[derive(Clone)]
pub(super) struct Calls(pub(super) Arc<Inner>);

type Answers<T> = BoxStream<'static, Result<T, Status>>;

/// The step that a descriptor calls, to plan it.
fn command(descriptor: &FlightDescriptor, caller: &Caller) -> Result<StepCommand, Fault> {
    // Planning may touch sources.
    caller.may(Role::Operator)?;
    StepCommand::read(&descriptor.cmd).map(|(command, _)| command)
}

#[tonic::async_trait]
impl FlightService for Calls {
    type HandshakeStream = Answers<HandshakeResponse>;
    type ListFlightsStream = Answers<FlightInfo>;
    type DoGetStream = Answers<FlightData>;
    type DoPutStream = Answers<PutResult>;
    type DoExchangeStream = Answers<FlightData>;
    type DoActionStream = Answers<arrow_flight::Result>;
    type ListActionsStream = Answers<ActionType>;

    async fn handshake(
        &self,
        request: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Self::HandshakeStream>, Status> {
        let headers = request.metadata().clone().into_headers();
        Caller::of(&headers, self.0.access, self.0.service.store()).await?;
        let shown = headers.get(http::header::AUTHORIZATION).and_then(|value| secret(value.to_str().ok()?));
        let answer = HandshakeResponse { protocol_version: 0, payload: shown.clone().unwrap_or_default().into() };
        let mut response = Response::new(stream::iter([Ok(answer)]).boxed());
        if let (Access::Tokens, Some(token)) = (self.0.access, shown) {
            let bearer = format!("Bearer {token}").parse();
            let bearer = bearer.map_err(|_| Fault::unauthenticated("this token cannot be sent back"))?;
            response.metadata_mut().insert("authorization", bearer);
        }
        Ok(response)
    }

    async fn list_flights(&self, request: Request<Criteria>) -> Result<Response<Self::ListFlightsStream>, Status> {
        Caller::known(&request)?.may(Role::Viewer)?;
        let wanted = String::from_utf8(request.into_inner().expression.to_vec())
            .map_err(|_| Fault::bad_params("criteria are `runs/<id>`, the name of a pipeline, or nothing"))?;
        let listed = self.0.list(&wanted).await?;
        Ok(Response::new(stream::iter(listed.into_iter().map(Ok)).boxed()))
    }

    async fn get_flight_info(&self, request: Request<FlightDescriptor>) -> Result<Response<FlightInfo>, Status> {
        let caller = Caller::known(&request)?;
        if sql::is_command(&request.get_ref().cmd) {
            return self.0.sql.get_flight_info(request).await;
        }
        let descriptor = request.into_inner();
        if !descriptor.path.is_empty() {
            caller.may(Role::Viewer)?;
            let kept = self.0.kept(&Place::of_path(&descriptor.path)?).await?;
            let run = self.0.service.store().run(&kept.run_id).await.map_err(Fault::from)?;
            return Ok(Response::new(self.0.info(&run, &kept).await?));
        }
        let command = command(&descriptor, &caller)?;
        let (_, client) = self.0.steps.server_of(&command.step).await?;
        Ok(Response::new(client.relay_flight_info(descriptor).await?))
    }

    async fn get_schema(&self, request: Request<FlightDescriptor>) -> Result<Response<SchemaResult>, Status> {
        let caller = Caller::known(&request)?;
        if sql::is_command(&request.get_ref().cmd) {
            let schema = self.0.sql.get_flight_info(request).await?.into_inner().schema;
            return Ok(Response::new(SchemaResult { schema }));
        }
        let descriptor = request.into_inner();
        if !descriptor.path.is_empty() {
            caller.may(Role::Viewer)?;
            let kept = self.0.kept(&Place::of_path(&descriptor.path)?).await?;
            let schema = flight_common::wire::schema_to_bytes(&self.0.columns(&kept).await?)?;
            return Ok(Response::new(SchemaResult { schema }));
        }
        let command = command(&descriptor, &caller)?;
        let (_, client) = self.0.steps.server_of(&command.step).await?;
        Ok(Response::new(client.relay_schema(descriptor).await?))
    }

    async fn poll_flight_info(&self, request: Request<FlightDescriptor>) -> Result<Response<PollInfo>, Status> {
        let caller = Caller::known(&request)?;
        Ok(Response::new(self.0.poll(request.get_ref(), &caller).await?))
    }

    async fn do_get(&self, request: Request<Ticket>) -> Result<Response<Self::DoGetStream>, Status> {
        let caller = Caller::known(&request)?;
        caller.may(Role::Viewer)?;
        if !is_ticket(&request.get_ref().ticket) {
            return self.0.sql.do_get(request).await;
        }
        let kept = self.0.kept(&Place::of_ticket(&request.get_ref().ticket)?).await?;
        Ok(Response::new(self.0.download(&kept, &caller).await?.boxed()))
    }

    async fn do_put(&self, request: Request<Streaming<FlightData>>) -> Result<Response<Self::DoPutStream>, Status> {
        if request.extensions().get::<IsSql>().is_some() {
            Caller::known(&request)?.may(Role::Viewer)?;
            return self.0.sql.do_put(request).await;
        }
        let caller = Caller::known(&request)?;
        caller.may(Role::Operator)?;
        let receipt = self.0.upload(request.into_inner(), &caller).await?;
        Ok(Response::new(stream::iter([Ok(receipt)]).boxed()))
    }

    async fn do_exchange(
        &self,
        _request: Request<Streaming<FlightData>>,
    ) -> Result<Response<Self::DoExchangeStream>, Status> {
        Err(Status::internal("exchanges are handed on before they come here"))
    }

    async fn do_action(&self, request: Request<Action>) -> Result<Response<Self::DoActionStream>, Status> {
        let caller = Caller::known(&request)?;
        let results = match request.get_ref().r#type.as_str() {
            DESCRIBE => {
                caller.may(Role::Viewer)?;
                let steps = self.0.describe(&request.get_ref().body).await?;
                stream::iter(steps.into_iter().map(|body| Ok(arrow_flight::Result { body }))).boxed()
            }
            CANCEL => {
                caller.may(Role::Operator)?;
                self.cancel(request.into_inner(), &caller).await?
            }
            SUBMIT => answer(&self.0.submit(&request.get_ref().body, &caller).await?)?,
            RUN => {
                caller.may(Role::Viewer)?;
                let id = String::from_utf8_lossy(&request.get_ref().body).into_owned();
                answer(&self.0.service.store().run(id.trim()).await.map_err(Fault::from)?)?
            }
            _ => {
                caller.may(Role::Viewer)?;
                self.refuse_unknown(&request.get_ref().r#type).await?;
                return self.0.sql.do_action(request).await;
            }
        };
        Ok(Response::new(results))
    }

    async fn list_actions(&self, request: Request<Empty>) -> Result<Response<Self::ListActionsStream>, Status> {
        Caller::known(&request)?.may(Role::Viewer)?;
        let actions = self.actions().await?;
        Ok(Response::new(stream::iter(actions.into_iter().map(Ok)).boxed()))
    }
}

/// One result, as JSON.
fn answer(value: &impl serde::Serialize) -> Result<Answers<arrow_flight::Result>, Fault> {
    let body = serde_json::to_vec(value).map_err(Fault::internal)?.into();
    Ok(stream::iter([Ok(arrow_flight::Result { body })]).boxed())
}

impl Calls {
    /// Every action, and what it does: those of the front door, then those of Flight SQL.
    async fn actions(&self) -> Result<Vec<ActionType>, Status> {
        let own = [
            (
                SUBMIT,
                "Queues a run. Body: {\"yaml\": …} or {\"pipeline\": name} as JSON. The result is the run, as JSON.",
            ),
            (RUN, "How a run goes on. Body: its id. The result is the run, as JSON."),
            (DESCRIBE, "What steps there are. Body: a step's name, or nothing for all. One JSON result for each."),
            (
                CANCEL,
                "Ends a run (the descriptor's path is runs/<id>), or an exchange (its command names the exchange_id).",
            ),
        ];
        let own = own.map(|(name, text)| ActionType { r#type: name.into(), description: text.into() });
        let of_sql = self.0.sql.list_actions(Request::new(Empty {})).await?.into_inner();
        let of_sql: Vec<ActionType> = of_sql.try_collect().await?;
        Ok(own.into_iter().chain(of_sql.into_iter().filter(|action| action.r#type != CANCEL)).collect())
    }

    async fn refuse_unknown(&self, action: &str) -> Result<(), Status> {
        let actions = self.actions().await?;
        let known = actions.iter().map(|known| known.r#type.as_str());
        if known.clone().any(|known| known == action) {
            return Ok(());
        }
        Err(Fault::not_found(format!("no action \"{action}\"")).help(did_you_mean(action, known)).into())
    }

    async fn cancel(&self, action: Action, caller: &Caller) -> Result<Answers<arrow_flight::Result>, Status> {
        let unreadable = |error| Fault::bad_params(format!("no CancelFlightInfoRequest: {error}"));
        let asked = CancelFlightInfoRequest::decode(&action.body[..]).map_err(unreadable)?;
        let descriptor = asked.info.and_then(|info| info.flight_descriptor);
        let descriptor = descriptor.ok_or_else(|| Fault::bad_params("the request has no descriptor"))?;
        if descriptor.path.is_empty() {
            let (command, _) = StepCommand::read(&descriptor.cmd)?;
            let (step, client) = self.0.steps.server_of(&command.step).await?;
            let client = self.0.exchanges.server_of(&step, &command, &caller.id)?.unwrap_or(client);
            return Ok(stream::iter(client.relay_action(action).await?.into_iter().map(Ok)).boxed());
        }
        let status = match self.0.service.cancel(&run_of(&descriptor.path)?, &caller.name).await {
            Ok(row) if row.state.is_final() => CancelStatus::Cancelled,
            Ok(_) => CancelStatus::Cancelling,
            // It has ended already.
            Err(StoreError::Illegal { .. }) => CancelStatus::NotCancellable,
            Err(error) => return Err(Fault::from(error).into()),
        };
        let body = CancelFlightInfoResult { status: status.into() }.encode_to_vec().into();
        Ok(stream::iter([Ok(arrow_flight::Result { body })]).boxed())
    }
}

impl Inner {
    /// The descriptions asked for, as JSON.
    async fn describe(&self, body: &[u8]) -> Result<Vec<bytes::Bytes>, Fault> {
        let name = std::str::from_utf8(body).map(str::trim).unwrap_or_default();
        let planner = self.service.runner().planner();
        let steps = match name {
            "" => planner.catalog().await?,
            name => vec![self.steps.server_of(name).await?.0],
        };
        steps.iter().map(|step| Ok(serde_json::to_vec(step).map_err(Fault::internal)?.into())).collect()
    }
}
