//! The `llm-complete` step: texts completed by a language model.
//!
//! | where | what |
//! |---|---|
//! | [`params`](Params), [`Operator`], `hidden`, `plan` | the knobs, and what they become |
//! | `work`, `template` | which rows are asked for, what, and where answers go: no I/O |
//! | `portion`, `room`, `rows`, `flow` | rows in and out, in order, within memory |
//! | `asker`, `memo`, `pace` | prompts asked once, at a pace, and again |
//! | `answerer` | whom is asked |
//! | `client`, `chat`, `trouble` | one request to a server, and what its answer means |
//! | `local` | models in this process (feature `local`) |
//! | `bill`, `dry`, `estimate` | what it costs, or would cost |

mod answerer;
mod asker;
mod bill;
mod chat;
mod client;
mod dry;
mod estimate;
mod flow;
mod hidden;
#[cfg(feature = "local")]
mod local;
#[cfg(not(feature = "local"))]
#[path = "local_absent.rs"]
mod local;
mod memo;
mod operator;
mod pace;
mod params;
mod plan;
mod portion;
mod room;
mod rows;
mod template;
mod trouble;
mod work;

pub use hidden::Hidden;
pub use operator::Operator;
pub use params::{OnError, Params, Prices};
pub use plan::Run;

use crate::local::Shelf;
use flight_common::{
    Effects, Fault, INPUT, InputSchemas, Inputs, OUTPUT, Outputs, Planned, Step, StepContext, StepEnv, StepKind,
    StepSpec,
};
use std::time::Duration;

/// Completes texts by a language model.
#[derive(Clone, Debug, Default)]
pub struct LlmComplete {
    operator: Operator,
    shelf: Shelf,
}

impl LlmComplete {
    /// As an operator has set it.
    pub fn new(operator: Operator) -> Self {
        Self { operator, ..Self::default() }
    }

    /// Keeps local models that nobody uses loaded for so long, in place of a minute.
    pub fn keeping_models_for(self, time: Duration) -> Self {
        Self { shelf: Shelf::keeping(time), ..self }
    }

    /// As the environment of this process has it.
    pub fn from_env() -> Self {
        Self::new(Operator::from_env())
    }
}

impl Step for LlmComplete {
    type Params = Params;
    type Run = Run;

    fn spec(&self) -> StepSpec {
        StepSpec {
            name: "llm-complete",
            version: env!("CARGO_PKG_VERSION"),
            kind: StepKind::Transform,
            summary: "Lets a language model fill gaps in texts, or answer a prompt for each row.",
            manual: include_str!("manual.md"),
            inputs: INPUT,
            outputs: OUTPUT,
            effects: Effects::External,
            keeps_order: true,
            aliases: &["text_completion_llm"],
            examples: &[
                (
                    "A gap in a text",
                    r#"{"text_column": "description", "missing_placeholder": "___", "model": "gpt-4o-mini", "api_key": "secret://llm-key"}"#,
                ),
                (
                    "A new column; rows that fail get no answer",
                    r#"{"prompt": "Is this review positive? Answer yes or no.\n\n{review}", "output_column": "positive", "max_tokens": 3, "options": {"temperature": 0}, "on_error": "null", "requests_per_minute": 300}"#,
                ),
                (
                    "A model that runs where the step runs",
                    r#"{"prompt": "Which language is this? One word. {text}", "output_column": "language", "model_file": "models/qwen2.5-0.5b-instruct-q8_0.gguf", "max_tokens": 5}"#,
                ),
                (
                    "What it would cost",
                    r#"{"prompt": "Translate into English: {text}", "output_column": "english", "max_tokens": 200, "prices": {"input": 0.15, "output": 0.6}, "dry_run": true}"#,
                ),
            ],
        }
    }

    async fn plan(&self, params: Params, inputs: &InputSchemas, env: &StepEnv) -> Result<Planned<Run>, Fault> {
        let chosen = match &params.model_file {
            Some(path) => Some(local::choose(path, &params, env).await),
            None => None,
        };
        let run = plan::run(params, &self.operator, &env.http_allow, chosen, inputs.only())?;
        let source = match &run.whom {
            Some(plan::Whom::Local(chosen)) => Some(chosen.source()),
            _ => None,
        };
        // Who asks nobody, or a model of their own, pays nothing and may ask again.
        let effects = match (&run.whom, run.dry_run) {
            (Some(plan::Whom::Server(..)), false) => Effects::External,
            _ => Effects::None,
        };
        let planned = Planned::new(run.schema.clone(), run).effects(effects);
        Ok(Planned { source, ..planned })
    }

    fn process(&self, run: Run, inputs: Inputs, context: &StepContext) -> Result<Outputs, Fault> {
        Ok(Outputs::main(flow::completed(inputs.only()?, run, self.shelf.clone(), context)?))
    }
}
