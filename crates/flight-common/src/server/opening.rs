//! How a call begins: the command that it names, and the schema of what it brings.

use crate::command::{Form, StepCommand};
use crate::fault::Fault;
use crate::stream::BatchStream;
use crate::wire::{Decoder, Frame, FrameReader, Gather, decode_stream};
use arrow_flight::Ticket;
use futures::StreamExt;
use prost::Message;
use std::time::Duration;
use tokio::time::timeout;
use tonic::body::Body;

/// A call whose command has been read.
pub(super) struct Opening {
    pub command: StepCommand,
    pub form: Form,
    /// The message that held the command, if it also held a schema.
    first: Option<Frame>,
    reader: FrameReader,
}

impl Opening {
    /// Reads the first message of a stream. Python and C++ send the descriptor alone, Rust sends it with the schema.
    pub async fn read(request: Body, patience: Duration) -> Result<Self, Fault> {
        let mut reader = FrameReader::request(request, Gather::Aligned);
        let frame = next_in_time(&mut reader, patience).await?;
        let Some(mut frame) = frame else {
            return Err(Fault::bad_params("the stream ended before it named a step"));
        };
        let Some(descriptor) = frame.descriptor.take() else {
            return Err(Fault::bad_params("the first message has no descriptor")
                .help("begin with FlightDescriptor.for_command(…) that holds the step command"));
        };
        let (command, form) = StepCommand::read(&descriptor.cmd)?;
        let first = Some(frame).filter(|frame| !frame.header.is_empty());
        Ok(Self { command, form, first, reader })
    }

    /// The rows that the call brings.
    pub async fn input(mut self, patience: Duration) -> Result<BatchStream, Fault> {
        let schema = match self.first.take() {
            Some(frame) => Some(frame),
            None => next_in_time(&mut self.reader, patience).await?,
        };
        let schema = schema.ok_or_else(|| {
            Fault::bad_params("the stream ended before its schema")
                .help("send the schema even if there are no rows: `writer.begin(schema)`")
        })?;
        Ok(decode_stream(Decoder::from_schema_frame(&schema)?, self.reader))
    }
}

async fn next_in_time(reader: &mut FrameReader, patience: Duration) -> Result<Option<Frame>, Fault> {
    let frame = timeout(patience, reader.next()).await.map_err(|_| {
        Fault::timed_out(format!("nothing came for {} s after the call began", patience.as_secs()))
            .help("send the descriptor and the schema first; the output schema comes back as soon as it is planned")
    })?;
    frame.transpose()
}

/// Reads the one message of `DoGet`.
pub(super) async fn read_ticket(request: Body, patience: Duration) -> Result<(StepCommand, Form), Fault> {
    const LARGEST: usize = 16 << 20;
    let limited = http_body_util::Limited::new(request, LARGEST);
    let collected = timeout(patience, http_body_util::BodyExt::collect(limited)).await;
    let bytes = match collected {
        Err(_) => return Err(Fault::timed_out("no ticket came")),
        Ok(Err(error)) => return Err(Fault::bad_params(format!("no readable ticket: {error}"))),
        Ok(Ok(body)) => body.to_bytes(),
    };
    let message = bytes.get(5..).unwrap_or_default();
    let ticket = Ticket::decode(message).map_err(|error| Fault::bad_params(format!("no readable ticket: {error}")))?;
    StepCommand::read(&ticket.ticket)
}
