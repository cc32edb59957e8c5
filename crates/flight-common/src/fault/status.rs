//! Faults to gRPC statuses and back: the only mapping there is.
//!
//! Only codes that Flight itself knows are used. Java and pyarrow turn any other into an internal error, and the user
//! would blame the service for a mistake in the data. What the code cannot say rides in `google.rpc.ErrorInfo`
//! (`reason` is the fault's kind), `BadRequest` (one violation for each wrong parameter) and `RetryInfo`.

use super::{Fault, FaultKind, TextPlace, Violation};
use std::collections::HashMap;
use std::time::Duration;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt};

const DOMAIN: &str = "quiver";

/// A status travels in HTTP/2 trailers, and peers cut the stream where those grow past 8 KiB. Details repeat part of
/// the message, in base64.
const MAX_MESSAGE: usize = 2048;
const MAX_FIELD: usize = 256;
const MAX_VIOLATIONS: usize = 8;

impl FaultKind {
    /// Its gRPC code.
    pub fn code(self) -> Code {
        match self {
            Self::BadParams | Self::BadSchema | Self::BadData => Code::InvalidArgument,
            Self::Denied => Code::PermissionDenied,
            Self::Unauthenticated => Code::Unauthenticated,
            Self::NotFound => Code::NotFound,
            Self::Upstream => Code::Unavailable,
            Self::Busy => Code::ResourceExhausted,
            Self::Cancelled => Code::Cancelled,
            Self::TimedOut => Code::DeadlineExceeded,
            Self::Internal => Code::Internal,
        }
    }

    /// Its HTTP status.
    pub fn http(self) -> u16 {
        match self {
            Self::BadParams => 400,
            Self::BadSchema | Self::BadData => 422,
            Self::Unauthenticated => 401,
            Self::Denied => 403,
            Self::NotFound => 404,
            Self::Busy => 429,
            Self::Cancelled => 499,
            Self::Internal => 500,
            Self::Upstream => 503,
            Self::TimedOut => 504,
        }
    }

    /// The kind of a status that carries no [`DOMAIN`] details: one from a proxy, or from a foreign server.
    fn from_code(code: Code) -> Self {
        match code {
            Code::InvalidArgument | Code::OutOfRange => Self::BadData,
            Code::PermissionDenied => Self::Denied,
            Code::Unauthenticated => Self::Unauthenticated,
            Code::NotFound | Code::Unimplemented => Self::NotFound,
            Code::Unavailable | Code::Aborted => Self::Upstream,
            Code::ResourceExhausted => Self::Busy,
            Code::Cancelled => Self::Cancelled,
            Code::DeadlineExceeded => Self::TimedOut,
            _ => Self::Internal,
        }
    }
}

/// At most `limit` bytes of `text`, cut between characters.
pub(super) fn shortened(text: impl Into<String>, limit: usize) -> String {
    let text = text.into();
    if text.len() <= limit {
        return text;
    }
    let end = (0..=limit - 3).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    format!("{}…", &text[..end])
}

impl From<Fault> for Status {
    fn from(fault: Fault) -> Self {
        let mut metadata = HashMap::new();
        let mut put = |key: &str, value: Option<&str>| {
            if let Some(value) = value {
                metadata.insert(key.to_owned(), shortened(value, MAX_FIELD));
            }
        };
        put("step", fault.step_name());
        put("column", fault.column_name());
        put("row", fault.row_number().map(|row| row.to_string()).as_deref());
        put("help", fault.help_text());
        let mut details = ErrorDetails::with_error_info(fault.kind().name(), DOMAIN, metadata);
        if !fault.violations().is_empty() {
            let violations = fault.violations().iter().take(MAX_VIOLATIONS);
            details.set_bad_request(violations.map(field_violation).collect::<Vec<_>>());
        }
        if let Some(delay) = fault.retry_delay() {
            details.set_retry_info(Some(delay));
        }
        // What to try is part of the message for clients that show nothing else.
        let text = match fault.help_text() {
            Some(help) => format!("{fault} ({help})"),
            None => fault.to_string(),
        };
        Status::with_error_details(fault.kind().code(), shortened(text, MAX_MESSAGE), details)
    }
}

fn field_violation(violation: &Violation) -> FieldViolation {
    let text = match &violation.help {
        Some(help) => format!("{}\n{help}", violation.message),
        None => violation.message.clone(),
    };
    let mut field = shortened(violation.pointer.as_str(), MAX_FIELD);
    if let Some(TextPlace { line, column }) = violation.place {
        field += &format!("#{line}:{column}");
    }
    FieldViolation::new(field, shortened(text, MAX_FIELD))
}

impl Fault {
    /// Rebuilds the fault that a peer sent, so that it reads the same on both sides of the wire.
    pub fn from_status(status: &Status) -> Self {
        let details = status.get_error_details();
        let info = details.error_info().filter(|info| info.domain == DOMAIN);
        let Some(info) = info else { return Self::foreign(status) };
        let field = |key: &str| info.metadata.get(key).cloned();
        let kind = FaultKind::from_name(&info.reason).unwrap_or(FaultKind::from_code(status.code()));
        let mut message = status.message();
        let help = field("help");
        if let Some(help) = &help {
            message = message.strip_suffix(&format!(" ({help})")).unwrap_or(message);
        }
        if let Some(step) = field("step") {
            message = message.strip_prefix(&format!("{step}: ")).unwrap_or(message);
        }
        let mut fault = Self::new(kind, message);
        fault.0.step = field("step");
        fault.0.column = field("column");
        fault.0.row = field("row").and_then(|row| row.parse().ok());
        fault.0.help = help;
        fault.0.violations = details
            .bad_request()
            .map_or_else(Vec::new, |bad| bad.field_violations.iter().map(from_field_violation).collect());
        if let Some(delay) = details.retry_info().and_then(|info| info.retry_delay) {
            fault = fault.retry_after(delay);
        }
        fault
    }

    fn foreign(status: &Status) -> Self {
        let kind = FaultKind::from_code(status.code());
        let message = match status.message() {
            "" => format!("the peer answered {:?}", status.code()),
            text => text.to_owned(),
        };
        // A reset stream or a broken connection has no status from the peer: hyper makes one up as UNKNOWN or
        // INTERNAL, with the transport's error as its source. What lies deepest says why; the layers above, where it was met.
        let causes = std::iter::successors(std::error::Error::source(status), |cause| cause.source());
        if let Some(cause) = causes.last().filter(|_| kind == FaultKind::Internal) {
            return Self::upstream(format!("the connection broke: {cause}")).help(Self::LOOK_AT_THE_SERVER);
        }
        Self::new(kind, message)
    }

    /// What to try when a server is gone in the middle.
    pub(crate) const LOOK_AT_THE_SERVER: &str =
        "see whether the server still runs and what its log says last, and run again";

    /// The delay to tell a client that found the service busy.
    pub const RETRY_SOON: Duration = Duration::from_millis(500);
}

fn from_field_violation(violation: &FieldViolation) -> Violation {
    let (message, help) = match violation.description.split_once('\n') {
        Some((message, help)) => (message.to_owned(), Some(help.to_owned())),
        None => (violation.description.clone(), None),
    };
    let (pointer, place) = match violation.field.rsplit_once('#') {
        Some((pointer, place)) if text_place(place).is_some() => (pointer, text_place(place)),
        _ => (violation.field.as_str(), None),
    };
    Violation::new(pointer, message).help(help).place(place)
}

/// `3:14`
fn text_place(text: &str) -> Option<TextPlace> {
    let (line, column) = text.split_once(':')?;
    Some(TextPlace { line: line.parse().ok()?, column: column.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_survives_the_wire_in_every_part() {
        for kind in FaultKind::ALL {
            let fault = Fault::new(kind, "no column \"agee\"")
                .step("outliers")
                .column("agee")
                .row(7)
                .help("did you mean \"age\"?")
                .violation("/column#a", "unknown")
                .violation("/query", "no column")
                .in_text(TextPlace { line: 2, column: 14 })
                .violation("/column#3", "unknown");
            assert_eq!(Fault::from_status(&Status::from(fault.clone())), fault);
        }
    }

    #[test]
    fn a_long_message_stays_below_what_peers_take() {
        let fault = Fault::bad_data("é".repeat(40_000)).help("h".repeat(9_000));
        let status = Status::from(fault);
        assert!(status.message().len() <= MAX_MESSAGE);
        assert!(status.details().len() < 4096);
    }

    #[test]
    fn a_broken_connection_is_upstream_and_worth_a_retry() {
        let fault = Fault::from_status(&Status::from_error(Box::new(std::io::Error::other("broken pipe"))));
        assert_eq!(fault.kind(), FaultKind::Upstream);
    }
}
