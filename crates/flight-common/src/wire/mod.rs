//! Record batches to Flight messages and back, with as few copies as the network allows.
//!
//! - [`Frame`]: one `FlightData`, its body as the pieces in which it lies in memory.
//! - [`Encoder`], [`Decoder`]: batches to frames and back, by Arrow IPC.
//! - [`FrameReader`], [`FrameBody`]: frames from and to an HTTP/2 body. [`whole`]: a request that was broken off has no end.
//! - [`FrameWriter`], [`read_frames`]: frames in a file.
//! - [`split`], [`outward`]: batches cut to the size of a message, and cast to what every client reads.
//!
//! `tonic`'s codec would copy each body into a buffer of its own on the way out and gather the network's pieces on the
//! way in. Here a body leaves as the Arrow buffers themselves, and arrives by one copy into one aligned buffer; or, in
//! a relay, by none.

mod body;
mod decode;
mod encode;
mod file;
mod flat;
mod frame;
mod outward;
mod read;
mod recycle;
mod schema;
mod split;
mod whole;

pub use body::{Ending, FrameBody};
pub use decode::{Decoder, decode_alone, decode_messages, decode_stream};
pub use encode::{Encoder, encode_stream};
pub use file::{FrameWriter, read_frames, write_stream};
pub use frame::Frame;
pub use outward::{outward, outward_schema};
pub use read::{FrameReader, Gather};
pub use schema::{schema_from_bytes, schema_to_bytes};
pub use split::{apart, held_bytes, row_bytes, split};
pub use whole::whole;

use crate::stream::EdgeStream;

/// A stream of undecoded messages on an edge between processes: the schema message first, then the batches.
pub type FrameStream = EdgeStream<Frame>;

/// Bytes to aim at in one message: large enough that its fixed costs vanish, small enough to flow.
pub const MESSAGE_BYTES: usize = 4 << 20;

/// The largest message body that is taken, also once it is decompressed. One row larger than this cannot travel.
pub const MAX_MESSAGE_BYTES: usize = 512 << 20;
