//! The `llm-complete` step: texts completed by a language model.
//!
//! | where | what |
//! |---|---|
//! | [`params`](Params), [`Operator`], `hidden`, `plan` | the knobs, and what they become |
//! | `work`, `template` | which rows are asked for, what, and where answers go: no I/O |
//! | `portion`, `rows`, `flow` | rows in and out, in order, within memory |
//! | `asker`, `memo`, `pace` | prompts asked once, at a pace, and again |
//! | `client`, `chat`, `trouble` | one request, and what its answer means |
//! | `bill`, `dry`, `estimate` | what it costs, or would cost |

mod asker;
mod bill;
mod chat;
mod client;
mod dry;
mod estimate;
mod flow;
mod hidden;
mod memo;
mod operator;
mod pace;
mod params;
mod plan;
mod portion;
mod rows;
mod template;
mod trouble;
mod work;

pub use hidden::Hidden;
pub use operator::Operator;
pub use params::{OnError, Params, Prices};
pub use plan::Run;

use flight_common::{
    Effects, Fault, INPUT, InputSchemas, Inputs, OUTPUT, Outputs, Planned, Step, StepContext, StepEnv, StepKind,
    StepSpec,
};

/// Completes texts by a language model.
#[derive(Clone, Debug, Default)]
pub struct LlmComplete {
    operator: Operator,
}

impl LlmComplete {
    /// As an operator has set it.
    pub fn new(operator: Operator) -> Self {
        Self { operator }
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
                    "What it would cost",
                    r#"{"prompt": "Translate into English: {text}", "output_column": "english", "max_tokens": 200, "prices": {"input": 0.15, "output": 0.6}, "dry_run": true}"#,
                ),
            ],
        }
    }

    async fn plan(&self, params: Params, inputs: &InputSchemas, _env: &StepEnv) -> Result<Planned<Run>, Fault> {
        let run = plan::run(params, &self.operator, inputs.only())?;
        Ok(Planned::new(run.schema.clone(), run))
    }

    fn process(&self, run: Run, inputs: Inputs, context: &StepContext) -> Result<Outputs, Fault> {
        Ok(Outputs::main(flow::completed(inputs.only()?, run, context)?))
    }
}
