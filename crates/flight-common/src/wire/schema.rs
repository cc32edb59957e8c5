//! Schemas as Arrow IPC messages: what `GetSchema` answers, and what a command gives for its inputs.

use super::encode::Encoder;
use super::frame::{caught, not_ipc};
use crate::fault::Fault;
use arrow::datatypes::{Schema, SchemaRef};
use arrow_ipc::convert::fb_to_schema;
use arrow_ipc::root_as_message;
use bytes::{BufMut, Bytes, BytesMut};
use std::sync::Arc;

const CONTINUATION: [u8; 4] = [0xff; 4];

/// A schema as an encapsulated IPC message.
///
/// # Errors
/// [`crate::FaultKind::BadSchema`] for a type that Arrow IPC cannot hold.
pub fn schema_to_bytes(schema: &SchemaRef) -> Result<Bytes, Fault> {
    let header = Encoder::schema_frame(schema)?.header;
    let mut message = BytesMut::with_capacity(header.len() + 8);
    message.put_slice(&CONTINUATION);
    message.put_u32_le(u32::try_from(header.len()).map_err(Fault::internal)?);
    message.put_slice(&header);
    Ok(message.freeze())
}

/// The schema in an IPC message, encapsulated or bare.
///
/// # Errors
/// [`crate::FaultKind::BadData`] when it is none.
pub fn schema_from_bytes(bytes: &[u8]) -> Result<SchemaRef, Fault> {
    let bare = match bytes.strip_prefix(&CONTINUATION) {
        Some(rest) => rest.get(4..).ok_or_else(|| not_ipc("it is cut short"))?,
        None => bytes,
    };
    // Flatbuffers want their alignment, which a slice need not have.
    let aligned = arrow::buffer::Buffer::from(bare);
    let message = root_as_message(&aligned).map_err(not_ipc)?;
    let schema = message
        .header_as_schema()
        .ok_or_else(|| not_ipc(format!("a {:?} where the schema was due", message.header_type())))?;
    let fields: Option<Schema> = caught(|| fb_to_schema(schema));
    fields.map(Arc::new).ok_or_else(|| not_ipc("its schema has types that there are not"))
}
