//! An exchange as its caller sees it.

use super::{StepClient, mesh_headers};
use crate::command::StepCommand;
use crate::fault::Fault;
use crate::permission::Permission;
use crate::report::StepReport;
use crate::server::{Answer, Question};
use crate::stream::until_closed;
use crate::wire::{Decoder, Ending, Frame, FrameBody, FrameReader, FrameStream, Gather};
use arrow::datatypes::SchemaRef;
use arrow_flight::Ticket;
use arrow_ipc::MessageHeader;
use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use http::{HeaderValue, Method, Request, Response, Uri, header};
use prost::Message;
use serde_json::json;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::body::Body;
use tower::{Service, ServiceExt};

const EXCHANGE: &str = "/arrow.flight.protocol.FlightService/DoExchange";
const GET: &str = "/arrow.flight.protocol.FlightService/DoGet";
const PUT: &str = "/arrow.flight.protocol.FlightService/DoPut";

/// A step that runs behind Flight: its output, and at the end of that its report.
pub struct Exchange {
    /// The schema message and the batches, as they come from the wire. It ends well only after the report has come.
    pub frames: FrameStream,
    /// The step's figures, once `frames` has ended well, and perhaps when it has not.
    pub report: Arc<OnceLock<StepReport>>,
}

impl StepClient {
    /// Runs a step on these frames (the schema message first), and returns as soon as its output schema is known.
    /// `None` for a step without inputs. The output must be read while the input is written.
    ///
    /// # Errors
    /// The step's fault from planning, or [`crate::FaultKind::Upstream`].
    pub async fn exchange(
        &self,
        command: &StepCommand,
        input: Option<FrameStream>,
        gather: Gather,
        limit: Option<Duration>,
    ) -> Result<Exchange, Fault> {
        self.exchange_permitting(command, input, gather, limit, Permission::default()).await
    }

    /// As [`StepClient::exchange`]. A step that is about to commit is let only if this permission is given; if it is refused,
    /// the output ends with the reason, and the exchange with it. The command has an `exchange_id`.
    ///
    /// # Errors
    /// As [`StepClient::exchange`].
    pub async fn exchange_permitting(
        &self,
        command: &StepCommand,
        input: Option<FrameStream>,
        gather: Gather,
        limit: Option<Duration>,
        permission: Permission,
    ) -> Result<Exchange, Fault> {
        let command = StepCommand { ask_before_commit: permission.is_asked_for(), ..command.clone() };
        let open = CancellationToken::new();
        let closing = open.clone().drop_guard();
        let response = self.call(EXCHANGE, &command, input, limit, open).await?;
        let asked = Asked { client: self.clone(), step: command.step, exchange_id: command.exchange_id, permission };
        self.opened(response, gather, Some(asked), closing).await
    }

    /// Fetches a further output of an exchange that has begun: `command` names its `exchange_id` and the `output`, which the
    /// exchange has claimed in its `outputs`.
    ///
    /// # Errors
    /// [`crate::FaultKind::NotFound`] for one that does not wait there, or [`crate::FaultKind::Upstream`].
    pub async fn output(
        &self,
        command: &StepCommand,
        gather: Gather,
        limit: Option<Duration>,
    ) -> Result<Exchange, Fault> {
        let ticket = Ticket { ticket: command.to_json().into() }.encode_to_vec();
        let length = u32::try_from(ticket.len()).map_err(Fault::internal)?;
        let message = [&[0][..], &length.to_be_bytes(), &ticket].concat();
        let response = self.send(GET, Body::new(http_body_util::Full::new(Bytes::from(message))), limit).await?;
        self.opened(response, gather, None, ()).await
    }

    /// The answer of a call that streams rows, once its schema has come. It holds `held` until its end.
    async fn opened(
        &self,
        response: Response<Body>,
        gather: Gather,
        asked: Option<Asked>,
        held: impl Send + Sync + 'static,
    ) -> Result<Exchange, Fault> {
        let mut frames = FrameReader::response(response.into_body(), gather);
        let first = match frames.next().await {
            Some(first) => first?,
            None => return Err(Fault::upstream(format!("{} sent no schema", self.peer()))),
        };
        if first.kind()? != MessageHeader::Schema {
            return Err(Fault::upstream(format!("{} did not begin with a schema", self.peer())));
        }
        let schema: SchemaRef = Decoder::from_schema_frame(&first)?.schema();
        let report = Arc::new(OnceLock::new());
        let rest = until_report(frames, asked, report.clone()).map(move |frame| {
            let _held = &held;
            frame
        });
        let frames = FrameStream::new(schema, stream::once(async { Ok(first) }).chain(rest));
        Ok(Exchange { frames, report })
    }

    /// Sends the frames of a named input ahead of, or beside, the exchange that takes it.
    ///
    /// # Errors
    /// The input's fault, or [`crate::FaultKind::Upstream`].
    pub async fn stage(&self, command: &StepCommand, input: FrameStream) -> Result<(), Fault> {
        let open = CancellationToken::new();
        let _closing = open.clone().drop_guard();
        let response = self.call(PUT, command, Some(input), None, open).await?;
        let mut results = FrameReader::response(response.into_body(), Gather::Aligned);
        while let Some(result) = results.next().await {
            result?;
        }
        Ok(())
    }

    /// Calls a streaming method. Cancelling `closed` resets the request: by itself HTTP/2 does not stop sending when
    /// nobody reads the answer any more, and a stream that stands still would never notice.
    async fn call(
        &self,
        path: &'static str,
        command: &StepCommand,
        input: Option<FrameStream>,
        limit: Option<Duration>,
        closed: CancellationToken,
    ) -> Result<Response<Body>, Fault> {
        let descriptor = stream::once({
            let first = Frame::describing(command.to_json());
            async { Ok(first) }
        });
        let body = match input {
            Some(input) => {
                let given_up = || Fault::cancelled("the exchange was given up");
                let frames = descriptor.chain(until_closed(input, closed, given_up));
                Body::new(FrameBody::new(frames, Ending::Reset))
            }
            None => Body::new(FrameBody::new(descriptor, Ending::Reset)),
        };
        self.send(path, body, limit).await
    }

    async fn send(&self, path: &'static str, body: Body, limit: Option<Duration>) -> Result<Response<Body>, Fault> {
        let mut request = Request::new(body);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = Uri::from_static(path);
        *request.version_mut() = http::Version::HTTP_2;
        let headers = request.headers_mut();
        *headers = mesh_headers(&tracing::Span::current());
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
        if let Some(limit) = limit {
            headers.insert("grpc-timeout", HeaderValue::try_from(grpc_timeout(limit)).map_err(Fault::internal)?);
        }
        let mut channel = self.channel.clone();
        let unreachable = |error: tonic::transport::Error| self.explain(&Status::from_error(Box::new(error)));
        let response = channel.ready().await.map_err(unreachable)?.call(request).await.map_err(unreachable)?;
        match Status::from_header_map(response.headers()) {
            Some(status) if status.code() != tonic::Code::Ok => Err(Fault::from_status(&status)),
            _ if response.status() != http::StatusCode::OK => {
                Err(Fault::upstream(format!("{} answered HTTP {}", self.peer(), response.status())))
            }
            _ => Ok(response),
        }
    }
}

/// What the protocol has for a limit: at most eight digits, in the smallest unit that holds it, and never less than it.
fn grpc_timeout(limit: Duration) -> String {
    const MOST: u128 = 99_999_999;
    let millis = limit.as_nanos().div_ceil(1_000_000);
    let units = [("m", 1), ("S", 1000), ("M", 60_000), ("H", 3_600_000)];
    let counts = units.map(|(unit, length)| (millis.div_ceil(length), unit));
    let (count, unit) = counts.into_iter().find(|&(count, _)| count <= MOST).unwrap_or((MOST, "H"));
    format!("{count}{unit}")
}

/// Who answers a step that asks whether it may commit.
struct Asked {
    client: StepClient,
    step: String,
    exchange_id: String,
    permission: Permission,
}

impl Asked {
    async fn answer(&self, question: Question) -> Result<(), Fault> {
        let holds = self.permission.ask().await?;
        let holds_ms = holds.map(|holds| u64::try_from(holds.as_millis()).unwrap_or(u64::MAX));
        let (step, exchange_id) = (self.step.clone(), self.exchange_id.clone());
        self.client.permit(&Answer { step, exchange_id, ask: question.ask, holds_ms }).await
    }
}

/// The frames up to the report, which is kept apart. A stream that ends without one ends with a fault. What the step asks is
/// answered on the way.
fn until_report(
    mut frames: FrameReader,
    asked: Option<Asked>,
    report: Arc<OnceLock<StepReport>>,
) -> impl Stream<Item = Result<Frame, Fault>> + Send {
    async_stream::try_stream! {
        while let Some(frame) = frames.next().await {
            let frame = frame?;
            if !frame.header.is_empty() {
                yield frame;
            } else if let (Some(asked), Some(question)) = (&asked, Question::read(&frame.app_metadata)) {
                asked.answer(question).await?;
            } else if let Some(found) = StepReport::from_json(&frame.app_metadata) {
                let _ = report.set(found);
            }
        }
        if report.get().is_none() {
            Err(Fault::upstream("the step ended without its report, so that it cannot be told whether it is done"))?;
        }
    }
}

/// What a load gave, from the frames of its output: `{"receipt": {…}, "report": {…}}` as JSON.
///
/// # Errors
/// The stream's fault.
pub async fn collect_receipt(mut frames: FrameStream) -> Result<Bytes, Fault> {
    let mut decoder: Option<Decoder> = None;
    let mut receipt = serde_json::Value::Null;
    let mut report = None;
    while let Some(frame) = frames.next().await {
        let frame = frame?;
        match &mut decoder {
            _ if frame.header.is_empty() => report = StepReport::from_json(&frame.app_metadata).or(report),
            None => decoder = Some(Decoder::from_schema_frame(&frame)?),
            Some(decoder) => {
                if let Some(batch) = decoder.decode(frame)? {
                    receipt = crate::report::first_row(&batch)?;
                }
            }
        }
    }
    let answer = json!({"receipt": receipt, "report": report});
    Ok(serde_json::to_vec(&answer).map_err(Fault::internal)?.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_told_in_the_smallest_unit_that_holds_it_and_never_shortened() {
        for (limit, told) in [
            (Duration::from_millis(1500), "1500m"),
            (Duration::from_micros(1), "1m"),
            (Duration::from_millis(99_999_999), "99999999m"),
            (Duration::from_millis(100_000_001), "100001S"),
            (Duration::from_secs(30 * 24 * 3600), "2592000S"),
            (Duration::from_secs(99_999_999 * 60), "99999999M"),
            (Duration::from_secs(99_999_999 * 60 + 1), "1666667H"),
            (Duration::MAX, "99999999H"),
        ] {
            assert_eq!(grpc_timeout(limit), told);
        }
    }
}
