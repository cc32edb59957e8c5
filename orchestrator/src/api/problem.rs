//! What went wrong, as RFC 9457 has it: `application/problem+json`.

use super::guard::LARGEST_BODY;
use crate::pipeline::{Problem, Problems};
use crate::service::Refused;
use crate::store::StoreError;
use axum::extract::rejection::{BytesRejection, JsonRejection, PathRejection, QueryRejection};
use axum::response::{IntoResponse, Response};
use flight_common::{Fault, FaultKind};
use http::{HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use utoipa::ToSchema;

/// Its media type.
pub(super) const PROBLEM: &str = "application/problem+json";

/// The body of every answer that is no success.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ProblemDetails {
    /// The kind of problem: `urn:quiver:problem:` and its code.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind, in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened.
    pub detail: String,
    /// The kind, for programs: `bad_params`.
    pub code: String,
    /// What to try.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// All that is wrong with a pipeline, in the order of its text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<PipelineProblem>,
}

/// One thing that is wrong with a pipeline.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct PipelineProblem {
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1.
    pub column: usize,
    /// A short name for programs: `unknown-service`.
    pub code: String,
    /// What is wrong.
    pub message: String,
    /// What to try.
    pub help: Option<String>,
}

impl From<&Problem> for PipelineProblem {
    fn from(problem: &Problem) -> Self {
        Self {
            line: problem.line,
            column: problem.column,
            code: problem.code.to_owned(),
            message: problem.message.clone(),
            help: problem.help.clone(),
        }
    }
}

/// A call that did not succeed.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    details: Box<ProblemDetails>,
    retry_after: Option<Duration>,
}

impl ApiError {
    /// One of this status and code.
    pub fn new(status: StatusCode, code: &str, detail: impl Into<String>) -> Self {
        let details = ProblemDetails {
            kind: format!("urn:quiver:problem:{code}"),
            title: status.canonical_reason().unwrap_or("Error").to_owned(),
            status: status.as_u16(),
            detail: detail.into(),
            code: code.to_owned(),
            help: None,
            errors: Vec::new(),
        };
        Self { status, details: Box::new(details), retry_after: None }
    }

    /// Something in the call that cannot be taken.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, FaultKind::BadParams.name(), detail)
    }

    /// More bytes than are taken.
    pub fn too_large(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail)
    }

    /// A body of more than [`LARGEST_BODY`] bytes.
    pub fn large_body() -> Self {
        Self::too_large(format!("the body has more than {LARGEST_BODY} bytes"))
            .help("a pipeline is a text; data goes to PUT /api/v1/datasets/{path}")
    }

    /// A body of another kind than is taken.
    pub fn unsupported(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail)
    }

    /// Somebody else changed it first.
    pub fn precondition_failed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::PRECONDITION_FAILED, "precondition_failed", detail)
    }

    /// Says what to try.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.details.help = Some(help.into());
        self
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, axum::Json(self.details)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM));
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(delay) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(delay.as_secs().max(1)));
        }
        response
    }
}

impl From<Fault> for ApiError {
    fn from(fault: Fault) -> Self {
        let status = StatusCode::from_u16(fault.kind().http()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut error = Self::new(status, fault.kind().name(), fault.to_string());
        error.details.help = fault.help_text().map(str::to_owned);
        error.retry_after = fault.retry_delay();
        error
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        let conflict = |code| {
            let mut answer = Self::new(StatusCode::CONFLICT, code, error.to_string());
            answer.details.help = Fault::from(error.clone()).help_text().map(str::to_owned);
            answer
        };
        match &error {
            StoreError::Conflict(_) | StoreError::KeyTaken { .. } => conflict("conflict"),
            StoreError::Illegal { .. } => conflict("illegal_move"),
            StoreError::LeaseLost(_) => conflict("lease_lost"),
            StoreError::Stale(_) => {
                Self::precondition_failed(error.to_string()).help("look at what there is now, and send its ETag")
            }
            StoreError::Unavailable(_) => {
                Self { retry_after: Some(Duration::from_secs(2)), ..Fault::from(error).into() }
            }
            StoreError::NotFound(_)
            | StoreError::Unaddressed(_)
            | StoreError::NoFolder(_)
            | StoreError::OtherVersion(_)
            | StoreError::Corrupt(_) => Fault::from(error).into(),
        }
    }
}

impl From<Problems> for ApiError {
    fn from(problems: Problems) -> Self {
        let count = problems.len();
        let first = problems.iter().next().map(|first| format!("line {}: {}", first.line, first.message));
        let detail = match count {
            1 => first.unwrap_or_default(),
            _ => format!("{count} things are wrong; {}", first.unwrap_or_default()),
        };
        let passing = problems.iter().all(|problem| problem.transient().is_some());
        let mut error = match passing {
            true => Self {
                retry_after: Some(Duration::from_secs(2)),
                ..Self::new(StatusCode::SERVICE_UNAVAILABLE, FaultKind::Upstream.name(), detail)
            },
            false => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_pipeline", detail),
        };
        error.details.errors = problems.iter().map(PipelineProblem::from).collect();
        error
    }
}

impl From<Refused> for ApiError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Request(fault) => fault.into(),
            Refused::Wrong(problems) => problems.into(),
            Refused::Store(error) => error.into(),
        }
    }
}

macro_rules! rejections {
    ($($rejection:ty),*) => {$(
        impl From<$rejection> for ApiError {
            fn from(rejection: $rejection) -> Self {
                match rejection.status() {
                    StatusCode::PAYLOAD_TOO_LARGE => Self::large_body(),
                    StatusCode::UNSUPPORTED_MEDIA_TYPE => {
                        Self::unsupported(rejection.body_text()).help("send it as application/json")
                    }
                    _ => Self::bad_request(rejection.body_text()),
                }
            }
        }
    )*};
}

rejections!(JsonRejection, QueryRejection, PathRejection, BytesRejection);
