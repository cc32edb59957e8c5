//! Streaming calls of steps, handed on as they are: the first message tells which step is meant, and nothing is decoded
//! after it.

use super::exchanges::Tie;
use bytes::{Buf, Bytes, BytesMut};
use flight_common::client::StepClient;
use flight_common::{Fault, telemetry, until_closed};
use futures::{StreamExt, stream};
use http::{HeaderMap, HeaderValue, Request, Response, header};
use http_body::Frame;
use http_body_util::{BodyExt, BodyStream, StreamBody};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::body::Body;

/// The prefix of a gRPC message: whether it is compressed, and its length.
const PREFIX: usize = 5;
/// The largest first message: a command, a schema, and perhaps some rows.
const MOST: usize = 32 << 20;
/// How long a caller may take to send it.
const PATIENCE: Duration = Duration::from_secs(30);

/// The first message of a call, and its body as if nobody had looked.
pub struct Peeked {
    /// The message, without its prefix.
    pub first: Bytes,
    /// The whole body.
    pub body: Body,
}

/// Reads the first message of a call.
///
/// # Errors
/// [`flight_common::FaultKind::BadParams`] when there is none.
pub async fn peek(body: Body) -> Result<Peeked, Fault> {
    let read = tokio::time::timeout(PATIENCE, first_message(body)).await;
    read.unwrap_or_else(|_| Err(Fault::timed_out("no command came").help("send the descriptor first")))
}

async fn first_message(body: Body) -> Result<Peeked, Fault> {
    let mut frames = BodyStream::new(body);
    let mut seen = BytesMut::new();
    let missing = || Fault::bad_params("the call ended before it said what it is about");
    loop {
        if let Some(length) = message_length(&seen)? {
            let first = Bytes::copy_from_slice(&seen[PREFIX..PREFIX + length]);
            let replayed = stream::once(async { Ok(Frame::data(seen.freeze())) });
            return Ok(Peeked { first, body: Body::new(StreamBody::new(replayed.chain(frames))) });
        }
        let frame = frames.next().await.ok_or_else(missing)?.map_err(|status| Fault::from_status(&status))?;
        if let Ok(data) = frame.into_data() {
            seen.extend_from_slice(&data);
        }
    }
}

/// The length of the message at the beginning of these bytes, if it is all there.
fn message_length(seen: &[u8]) -> Result<Option<usize>, Fault> {
    let Some(mut prefix) = seen.get(..PREFIX) else { return Ok(None) };
    let compressed = prefix.get_u8();
    let length = prefix.get_u32() as usize;
    if compressed != 0 {
        return Err(Fault::bad_params("compressed gRPC messages are not read").help("compress record batches instead"));
    }
    if length > MOST {
        return Err(Fault::bad_params(format!("the first message has {length} bytes, more than {MOST}"))
            .help("send the descriptor first, and then the rows"));
    }
    Ok((seen.len() >= PREFIX + length).then_some(length))
}

/// Hands a call on to a step's server. When either side gives up, so does the other. It holds the tie to its exchange until
/// its end.
///
/// # Errors
/// [`flight_common::FaultKind::Upstream`] when the server is not reachable.
pub async fn relay(
    client: &StepClient,
    headers: &HeaderMap,
    path: &str,
    body: Body,
    mut tie: Option<Tie>,
) -> Result<Response<Body>, Fault> {
    let closed = CancellationToken::new();
    let closing = closed.clone().drop_guard();
    let given_up = || Status::cancelled("the call was given up");
    let frames = until_closed(BodyStream::new(body), closed, given_up);
    let mut call = Request::new(Body::new(StreamBody::new(frames)));
    *call.method_mut() = http::Method::POST;
    *call.uri_mut() = path.parse().map_err(Fault::internal)?;
    *call.version_mut() = http::Version::HTTP_2;
    let passed = call.headers_mut();
    for name in [header::CONTENT_TYPE, header::HeaderName::from_static("grpc-timeout")] {
        passed.extend(headers.get(&name).map(|value| (name, value.clone())));
    }
    passed.insert(header::TE, HeaderValue::from_static("trailers"));
    telemetry::inject(&tracing::Span::current(), passed);
    let answer = client.relay(call).await?;
    if answer.headers().contains_key(Status::GRPC_STATUS) {
        // The answer is its head alone, and must stay so: some clients do not read a fault that a body follows.
        return Ok(answer.map(|_| Body::empty()));
    }
    if let Some(tie) = &mut tie {
        tie.taken();
    }
    Ok(answer.map(|body| {
        let frames = BodyStream::new(body).map(move |frame| {
            let _until_its_end = (&closing, &tie);
            frame
        });
        Body::new(StreamBody::new(frames).map_err(|status: Status| status))
    }))
}
