//! Tokens: made, listed, revoked.

use super::Api;
use super::auth::Admin;
use super::extract::{Json, Path};
use super::problem::{ApiError, ProblemDetails};
use crate::store::{Role, Token, TokenName};
use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list, make)).routes(routes!(revoke))
}

/// A token to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenRequest {
    /// Whose it is, or what for.
    name: String,
    /// What its bearer may do.
    role: Role,
    /// For how long it is good, in seconds; for ever if that is not said.
    #[serde(default)]
    good_for_seconds: Option<u64>,
}

/// A token, with its secret.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct NewToken {
    /// The token.
    #[serde(flatten)]
    pub token: Token,
    /// What to send as `authorization: Bearer …`. It is shown this once.
    pub secret: String,
}

/// All tokens, without their secrets.
#[utoipa::path(get, path = "/tokens", tag = "tokens", responses((status = 200, body = [Token])))]
async fn list(_: Admin, State(api): State<Api>) -> Result<Json<Vec<Token>>, ApiError> {
    Ok(Json(api.service().store().tokens().await?))
}

/// Makes a token. Its secret is in this answer, and nowhere else.
#[utoipa::path(post, path = "/tokens", tag = "tokens", request_body = TokenRequest, responses(
    (status = 201, body = NewToken),
    (status = 400, body = ProblemDetails),
))]
async fn make(
    _: Admin,
    State(api): State<Api>,
    Json(request): Json<TokenRequest>,
) -> Result<(StatusCode, Json<NewToken>), ApiError> {
    let name: TokenName = request.name.parse().map_err(|why: String| ApiError::bad_request(why))?;
    let good_for = request.good_for_seconds.map(Duration::from_secs);
    let (token, secret) = api.service().store().make_token(&name, request.role, good_for).await?;
    Ok((StatusCode::CREATED, Json(NewToken { token, secret })))
}

/// Makes a token useless.
#[utoipa::path(delete, path = "/tokens/{id}", tag = "tokens", params(("id" = String, Path)), responses(
    (status = 204),
    (status = 404, body = ProblemDetails),
))]
async fn revoke(_: Admin, State(api): State<Api>, Path(id): Path<String>) -> Result<StatusCode, ApiError> {
    api.service().store().revoke_token(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}
