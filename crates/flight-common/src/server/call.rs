//! What every streaming call has: who calls, until when, under which trace; and how it is answered.

use crate::fault::Fault;
use crate::telemetry;
use crate::wire::{Ending, FrameBody};
use http::{HeaderMap, HeaderValue, Response};
use std::time::Duration;
use tonic::Status;
use tonic::body::Body;

/// Sent by callers that belong to the mesh: they read while they write, so plain backpressure is enough, and they know
/// every Arrow type, so nothing is cast.
pub const MESH_HEADER: &str = "quiver-mesh";

/// What the headers of a call say.
pub(super) struct Caller {
    /// Whether it belongs to the mesh.
    pub mesh: bool,
    /// How long it is going to wait.
    pub deadline: Option<Duration>,
    /// The span it calls from.
    pub parent: opentelemetry::Context,
}

impl Caller {
    pub fn of(headers: &HeaderMap) -> Self {
        Self {
            mesh: headers.contains_key(MESH_HEADER),
            deadline: headers.get("grpc-timeout").and_then(|value| timeout(value.to_str().ok()?)),
            parent: telemetry::extract(headers),
        }
    }
}

/// A `grpc-timeout`: up to eight digits and a unit.
fn timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let count: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(count.saturating_mul(3600)),
        "M" => Duration::from_secs(count.saturating_mul(60)),
        "S" => Duration::from_secs(count),
        "m" => Duration::from_millis(count),
        "u" => Duration::from_micros(count),
        "n" => Duration::from_nanos(count),
        _ => return None,
    })
}

/// The answer of a call that streams.
pub(super) fn streaming(body: FrameBody) -> Response<Body> {
    let mut response = Response::new(Body::new(body));
    response.headers_mut().insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}

/// The answer of a call that failed before it could stream.
pub(super) fn failed(fault: Fault) -> Response<Body> {
    Status::from(fault).into_http()
}

/// A body of these frames that closes with a status.
pub(super) fn body(
    frames: impl futures::Stream<Item = Result<crate::wire::Frame, Fault>> + Send + 'static,
) -> FrameBody {
    FrameBody::new(frames, Ending::Status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_read_in_every_unit() {
        for (text, seconds) in [("2H", 7200), ("99999999M", 5_999_999_940), ("5S", 5)] {
            assert_eq!(timeout(text), Some(Duration::from_secs(seconds)));
        }
        assert_eq!(timeout("250m"), Some(Duration::from_millis(250)));
        assert_eq!(timeout("7u"), Some(Duration::from_micros(7)));
        assert_eq!(timeout("9n"), Some(Duration::from_nanos(9)));
        assert_eq!(timeout("é"), None);
        assert_eq!(timeout(""), None);
        assert_eq!(timeout("5x"), None);
    }
}
