//! The catalog: which steps there are, what they take, and whether they answer.

use super::Api;
use super::auth::Viewer;
use super::extract::{Json, Path};
use super::problem::{ApiError, ProblemDetails};
use axum::extract::State;
use flight_common::{Fault, StepDescription, params};
use serde::Serialize;
use serde_json::Value;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(get)).routes(routes!(schema))
}

/// A step, and whether it answers.
#[derive(Debug, Serialize)]
struct Listed {
    #[serde(flatten)]
    step: Arc<StepDescription>,
    ok: bool,
    /// Why not.
    reason: Option<String>,
}

/// All steps, as they describe themselves: name, version, kind, inputs, outputs, the JSON Schema of their parameters; and
/// whether each answers now (`ok`), with the `reason` why not.
#[utoipa::path(get, path = "/steps", tag = "steps", responses((status = 200, body = [Object])))]
async fn list(_: Viewer, State(api): State<Api>) -> Result<Json<Vec<Listed>>, ApiError> {
    let planner = api.service().runner().planner();
    let (steps, health) = (planner.catalog().await?, planner.health().await);
    let why = |name: &str| match health.iter().find(|(of, _)| of == name) {
        Some((_, answer)) => answer.as_ref().err().map(ToString::to_string),
        None => Some("it is not known whether it answers".to_owned()),
    };
    let listed = steps.into_iter().map(|step| {
        let reason = why(&step.name);
        Listed { ok: reason.is_none(), reason, step }
    });
    Ok(Json(listed.collect()))
}

/// A step, as it describes itself, by its name or an alias.
#[utoipa::path(get, path = "/steps/{name}", tag = "steps", params(("name" = String, Path)), responses(
    (status = 200, body = Object),
    (status = 404, body = ProblemDetails),
))]
async fn get(
    _: Viewer,
    State(api): State<Api>,
    Path(name): Path<String>,
) -> Result<Json<Arc<StepDescription>>, ApiError> {
    let catalog = api.service().runner().planner().catalog().await?;
    match catalog.iter().find(|step| step.answers_to(&name)) {
        Some(step) => Ok(Json(step.clone())),
        None => {
            let known = catalog.iter().map(|step| step.name.as_str());
            Err(Fault::not_found(format!("there is no step {name}")).help(params::did_you_mean(&name, known)).into())
        }
    }
}

/// The JSON Schema of pipeline files, with the parameters of these steps: for editors.
#[utoipa::path(get, path = "/schema", tag = "steps", responses((status = 200, body = Object)))]
async fn schema(_: Viewer, State(api): State<Api>) -> Result<Json<Value>, ApiError> {
    let catalog = api.service().runner().planner().catalog().await?;
    Ok(Json(crate::pipeline::json_schema(&catalog)))
}
