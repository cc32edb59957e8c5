//! The knobs of `llm-complete`.

use crate::hidden::Hidden;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

/// Lets a language model complete texts.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The column whose texts have gaps, each marked by `missing_placeholder`: `description`. The words for a gap take its
    /// place; a text without a gap stays as it is. This, or `prompt`, must be given.
    #[serde(default)]
    pub text_column: Option<String>,

    /// With `text_column`: what marks a gap, `[MISSING]` unless told. Example: `"___"`.
    #[serde(default)]
    pub missing_placeholder: Option<String>,

    /// What to ask for each row, with columns in braces: `"Is this review positive? Answer yes or no. {review}"`. A row in
    /// which one of these columns is null is not asked. A brace that means itself is `\{`.
    #[serde(default)]
    pub prompt: Option<String>,

    /// With `prompt`: the new column that takes the answers: `positive`.
    #[serde(default)]
    pub output_column: Option<String>,

    /// What the model is told before each prompt: `"You are a terse librarian."`. With `text_column` it replaces the
    /// request to answer with nothing but the words for the gap.
    #[serde(default)]
    pub system: Option<String>,

    /// Where the API begins, if not at the server that the operator has set (`QUIVER_LLM_BASE_URL`):
    /// `https://api.openai.com/v1`. It must be a public address, or one that the operator allows (`QUIVER_HTTP_ALLOW`). The
    /// operator's key and model belong to the operator's server, and are not used with it.
    #[serde(default)]
    pub base_url: Option<String>,

    /// The model, as the server calls it: `gpt-4o-mini`. Unless told it is the one that the operator has set
    /// (`QUIVER_LLM_MODEL`).
    #[serde(default)]
    pub model: Option<String>,

    /// A model that runs where the step runs, in place of a server: a GGUF file under the data root,
    /// `models/qwen2.5-0.5b-instruct-q8_0.gguf`. It is loaded when it is first asked, and answers one prompt at a time. Of
    /// `options` it knows `temperature` (0 unless told: the likeliest words), `top_p` and `seed`. The build must have local
    /// models (`--features local-model`).
    #[serde(default)]
    pub model_file: Option<String>,

    /// The key, by reference: `secret://llm-key`. Unless told it is the operator's (`QUIVER_LLM_API_KEY`), if there is one.
    #[serde(default)]
    pub api_key: Option<Hidden>,

    /// Tokens that an answer may have. One that is longer is cut off, and counted as such.
    #[serde(default = "twenty")]
    #[schemars(range(min = 1))]
    pub max_tokens: u32,

    /// Rows to complete at most: `100`. Those that follow stay as they are, or get no answer.
    #[serde(default)]
    pub max_rows: Option<u64>,

    /// Further fields of each request, as the server knows them: `{temperature: 0, seed: 7}`. With
    /// `max_completion_tokens`, which some models want in its place, `max_tokens` is not sent.
    #[serde(default)]
    pub options: Map<String, Value>,

    /// What becomes of a row whose request fails although it was repeated: `fail` ends the run, `null` makes the text
    /// null, `keep` leaves it with its gap (with `text_column` only). Refused keys, unknown models and a server that is
    /// not there always end the run.
    #[serde(default, deserialize_with = "null_is_a_word")]
    #[schemars(with = "Option<OnError>")]
    pub on_error: OnError,

    /// Requests under way at a time.
    #[serde(default = "four")]
    #[schemars(range(min = 1, max = 256))]
    pub concurrency: u16,

    /// Requests to begin per minute at most, evenly spaced: `60`. Repeated ones count.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub requests_per_minute: Option<u32>,

    /// How often a request is repeated that may do better later: no connection, no answer in time, 408, 409, 425, 429, 5xx,
    /// or an answer that was cut short. The pause doubles each time, or is what the server asks for (`Retry-After`).
    #[serde(default = "retries")]
    #[schemars(range(max = 20))]
    pub retries: u32,

    /// Seconds that a request may take.
    #[serde(default = "sixty")]
    #[schemars(range(min = 1, max = 3600))]
    pub timeout_seconds: u64,

    /// What a million tokens cost, for the cost in the report: `{input: 0.15, output: 0.60}`.
    #[serde(default)]
    pub prices: Option<Prices>,

    /// Asks nothing: rows stay as they are (answers are null), and the report tells how many prompts there are, and an
    /// estimate of their tokens and cost. Needs neither server nor key.
    #[serde(default)]
    pub dry_run: bool,
}

/// What a million tokens cost, in a currency of the user's choice.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Prices {
    /// Of prompts: `0.15`.
    #[schemars(range(min = 0.0))]
    pub input: f64,
    /// Of answers: `0.60`.
    #[schemars(range(min = 0.0))]
    pub output: f64,
}

impl Prices {
    /// What these tokens cost.
    pub fn of(&self, prompt_tokens: u64, completion_tokens: u64) -> f64 {
        (prompt_tokens as f64 * self.input + completion_tokens as f64 * self.output) / 1e6
    }
}

/// What becomes of a row whose request fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnError {
    /// The run fails.
    #[default]
    Fail,
    /// The text is null.
    Null,
    /// The text keeps its gap.
    Keep,
}

fn twenty() -> u32 {
    20
}

fn four() -> u16 {
    4
}

fn retries() -> u32 {
    4
}

fn sixty() -> u64 {
    60
}

/// In YAML, `null` without quotes is no text. It means the same here.
fn null_is_a_word<'de, D: Deserializer<'de>>(deserializer: D) -> Result<OnError, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(OnError::Null))
}
