//! What handlers take from a request. Whatever does not fit is told as a problem.

use super::problem::ApiError;
use crate::service::RunRequest;
use axum::extract::{FromRequest, FromRequestParts, Request};
use bytes::Bytes;
use http::{HeaderMap, header};
use serde::de::DeserializeOwned;
use std::ops::RangeInclusive;

/// A JSON body, which is an object, and a JSON answer.
pub struct Json<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let body = Bytes::from_request(Request::from_parts(parts.clone(), body), state).await?;
        let request = Request::from_parts(parts, body.clone().into());
        let axum::Json(value) = axum::Json::from_request(request, state).await?;
        // An array would be taken for the fields in their order.
        match body.trim_ascii_start().first() {
            Some(b'{') => Ok(Self(value)),
            _ => Err(ApiError::bad_request("the body is no JSON object")),
        }
    }
}

impl<T: serde::Serialize> axum::response::IntoResponse for Json<T> {
    fn into_response(self) -> axum::response::Response {
        axum::Json(self.0).into_response()
    }
}

/// The query of the URL.
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Query), rejection(ApiError))]
pub struct Query<T>(pub T);

/// The parts of the path.
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Path), rejection(ApiError))]
pub struct Path<T>(pub T);

/// A body that is either JSON of type `T`, or a pipeline's text.
pub enum JsonOrYaml<T> {
    /// `application/json`.
    Json(T),
    /// `application/yaml`, `text/yaml`, `text/plain`, or no type at all.
    Yaml(String),
}

impl JsonOrYaml<RunRequest> {
    /// What is to be run.
    pub fn into_request(self) -> RunRequest {
        match self {
            Self::Json(request) => request,
            Self::Yaml(text) => RunRequest { yaml: Some(text), ..RunRequest::default() },
        }
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for JsonOrYaml<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        match media_type(request.headers(), header::CONTENT_TYPE).as_deref() {
            Some("application/json") => Ok(Self::Json(Json::from_request(request, state).await?.0)),
            _ => Ok(Self::Yaml(Yaml::from_request(request, state).await?.0)),
        }
    }
}

/// A pipeline's text.
pub struct Yaml(pub String);

impl<S: Send + Sync> FromRequest<S> for Yaml {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let kind = media_type(request.headers(), header::CONTENT_TYPE);
        match kind.as_deref() {
            None | Some("application/yaml" | "application/x-yaml" | "text/yaml" | "text/x-yaml" | "text/plain") => {}
            Some(other) => {
                let refused = ApiError::unsupported(format!("a pipeline is not {other}"));
                return Err(refused.help("send it as application/yaml"));
            }
        }
        let bytes = Bytes::from_request(request, state).await?;
        match String::from_utf8(bytes.to_vec()) {
            Ok(text) if !text.contains('\0') => Ok(Self(text)),
            _ => Err(ApiError::bad_request("the body is no text: a pipeline is YAML in UTF-8, without NUL characters")),
        }
    }
}

/// The media type in a header, without its parameters.
pub fn media_type(headers: &HeaderMap, name: header::HeaderName) -> Option<String> {
    let value = headers.get(name)?.to_str().ok()?;
    Some(value.split([';', ',']).next().unwrap_or_default().trim().to_ascii_lowercase())
}

/// A header that must be text.
///
/// # Errors
/// That it is not.
pub fn text_header(headers: &HeaderMap, name: &str) -> Result<Option<String>, ApiError> {
    Ok(text_lines(headers, name)?.into_iter().next())
}

/// All lines of a header that must be text.
///
/// # Errors
/// That one is not.
pub fn text_lines(headers: &HeaderMap, name: &str) -> Result<Vec<String>, ApiError> {
    let texts = headers.get_all(name).into_iter().map(|value| value.to_str().map(str::to_owned));
    texts.collect::<Result<_, _>>().map_err(|_| ApiError::bad_request(format!("the header {name} must be plain text")))
}

/// Items of a part of a list.
pub const ITEMS: RangeInclusive<usize> = 1..=10_000;

/// Refuses to tell too little or too much at a time; `usual` is the number if nothing is said.
///
/// # Errors
/// 400 for that.
pub fn check_limit(limit: usize, within: RangeInclusive<usize>, usual: usize) -> Result<(), ApiError> {
    if within.contains(&limit) {
        return Ok(());
    }
    let (least, most) = within.into_inner();
    Err(ApiError::bad_request(format!("limit is {least} to {most}")).help(format!("leave it out for {usual}")))
}
