//! The `extract-api` step: what an HTTP API answers, as record batches.
//!
//! | where | what |
//! |---|---|
//! | [`params`](Params), `options`, `kind`, `hidden` | the knobs, and what they become |
//! | `target`, `redirect`, `turn`, `failure` | which request comes next, and what an answer means: no I/O |
//! | `fetch` | requests on the wire, within their limits |
//! | `split` | an answer cut into records as it comes |
//! | `pages` | all pages, and when one is asked for again |
//! | `sniff`, `layout`, `found` | names and types, from the first records or from the user |
//! | `fields`, `fill`, `decode`, `trouble` | records as Arrow arrays, or what is wrong with them |

mod decode;
mod failure;
mod fetch;
mod fields;
mod fill;
mod found;
mod hidden;
mod kind;
mod layout;
mod options;
mod pages;
mod params;
mod plan;
mod redirect;
mod run;
mod sniff;
mod split;
mod target;
mod trouble;
mod turn;

pub use hidden::{Hidden, Payload, QueryValue};
pub use params::{Auth, Format, KeyPlace, LegacyAuth, Method, Pagination, Params, UnknownFields};
pub use run::Run;

use flight_common::{
    Effects, Fault, InputSchemas, Inputs, OUTPUT, Outputs, Planned, Step, StepContext, StepEnv, StepKind, StepSpec,
    compute,
};
use found::Found;
use std::sync::Arc;

/// Reads rows from an HTTP API.
#[derive(Default)]
pub struct ExtractApi {
    found: Arc<Found>,
}

impl Step for ExtractApi {
    type Params = Params;
    type Run = Run;

    fn spec(&self) -> StepSpec {
        StepSpec {
            name: "extract-api",
            version: env!("CARGO_PKG_VERSION"),
            kind: StepKind::Extract,
            summary: "Reads rows from an HTTP API: JSON, NDJSON or CSV, on one page or many.",
            manual: include_str!("manual.md"),
            inputs: &[],
            outputs: OUTPUT,
            effects: Effects::None,
            keeps_order: true,
            aliases: &["api_extract"],
            examples: &[
                (
                    "A list within the answer, page by page",
                    r#"{"url": "https://api.example.org/v1/orders", "params": {"limit": 100}, "auth": {"type": "bearer", "token": "secret://orders-token"}, "records_path": "/data", "pagination": {"type": "cursor", "path": "/meta/next", "param": "cursor"}}"#,
                ),
                (
                    "Columns instead of records",
                    r#"{"url": "https://weather.example.org/forecast?hourly=temperature", "records_path": "/hourly"}"#,
                ),
                (
                    "A POST: columns are told, and nothing is sent when planning",
                    r#"{"url": "https://api.example.org/search", "body": {"query": "status:open"}, "records_path": "/hits", "types": {"id": "int64", "user.name": "string", "tags": "json"}}"#,
                ),
                (
                    "As the system before called it",
                    r#"{"api_url": "https://api.example.org/users", "api_params": {"country": "de"}, "auth_type": "bearer", "auth_value": "secret://users-token"}"#,
                ),
            ],
        }
    }

    async fn plan(&self, params: Params, _inputs: &InputSchemas, env: &StepEnv) -> Result<Planned<Run>, Fault> {
        let plan = plan::plan(params, env.clone(), self.found.clone());
        compute::spawn(plan).await.map_err(Fault::internal)?
    }

    fn process(&self, run: Run, _inputs: Inputs, context: &StepContext) -> Result<Outputs, Fault> {
        self.found.used(&run.layout);
        Ok(Outputs::main(run.batches(context)?))
    }
}
