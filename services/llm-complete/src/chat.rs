//! What travels: the request and the answer of `POST /chat/completions`. Pure.
//!
//! Servers agree on little beyond what is named here, so an answer may lack everything that is not needed, and may hold
//! more.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use std::sync::Arc;

/// Fields of a request that are not for `options` to set.
pub const OWN_FIELDS: [&str; 5] = ["model", "messages", "max_tokens", "stream", "n"];

/// What is the same in all requests of a run.
#[derive(Clone, Debug)]
pub struct Manner {
    /// The model.
    pub model: String,
    /// What it is told first.
    pub system: Option<String>,
    /// Tokens that an answer may have.
    pub max_tokens: u32,
    /// Further fields.
    pub options: Map<String, Value>,
}

impl Manner {
    /// The body of a request with this prompt.
    ///
    /// # Errors
    /// None: texts and numbers are always JSON.
    pub fn body(&self, prompt: &str) -> Result<Vec<u8>, serde_json::Error> {
        let system = self.system.as_deref().map(|content| Message { role: "system", content });
        let user = Message { role: "user", content: prompt };
        let limited_otherwise = self.options.contains_key("max_completion_tokens");
        serde_json::to_vec(&Request {
            model: &self.model,
            messages: system.into_iter().chain([user]).collect(),
            max_tokens: (!limited_otherwise).then_some(self.max_tokens),
            stream: false,
            options: &self.options,
        })
    }

    /// Tokens that an answer has at most.
    pub fn most_tokens(&self) -> u64 {
        let other = self.options.get("max_completion_tokens").and_then(Value::as_u64);
        other.unwrap_or_else(|| self.max_tokens.into())
    }
}

#[derive(Serialize)]
struct Request<'a> {
    model: &'a str,
    messages: Vec<Message<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    stream: bool,
    #[serde(flatten)]
    options: &'a Map<String, Value>,
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    content: &'a str,
}

/// An answer, or what a server says instead of one.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Answer {
    choices: Vec<Choice>,
    #[serde(deserialize_with = "told")]
    usage: Option<Usage>,
    /// Why there is none.
    pub error: Option<Complaint>,
}

#[derive(Debug, Deserialize)]
struct Choice {
    message: Said,
    #[serde(default)]
    finish_reason: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Said {
    content: Option<String>,
    refusal: Option<String>,
}

/// The tokens that are paid for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Usage {
    /// Of the prompt.
    pub prompt_tokens: u64,
    /// Of the answer.
    pub completion_tokens: u64,
}

/// A usage that is none is not told: the answer has been paid for nonetheless.
fn told<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Usage>, D::Error> {
    Ok(Usage::deserialize(Value::deserialize(deserializer)?).ok())
}

/// What is wrong, in a server's words.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Complaint {
    /// As most say it.
    Full {
        /// For people.
        #[serde(default)]
        message: String,
        /// For programs: a word, or a number.
        #[serde(default)]
        code: Value,
    },
    /// A text alone.
    Text(String),
}

impl Complaint {
    /// What is wrong, for people.
    pub fn message(&self) -> &str {
        match self {
            Self::Full { message, .. } | Self::Text(message) => message,
        }
    }

    /// What is wrong, for programs.
    pub fn code(&self) -> &str {
        match self {
            Self::Full { code, .. } => code.as_str().unwrap_or_default(),
            Self::Text(_) => "",
        }
    }
}

/// The words of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completion {
    /// Without white space around them.
    pub words: Arc<str>,
    /// Whether they were cut off at `max_tokens`.
    pub cut_off: bool,
}

impl Answer {
    /// What it cost, if it says so.
    pub fn usage(&self) -> Option<Usage> {
        self.usage
    }

    /// Its words, or why there are none.
    ///
    /// # Errors
    /// What it holds instead.
    pub fn completion(self) -> Result<Completion, String> {
        if let Some(complaint) = &self.error {
            return Err(format!("the model server says: {}", complaint.message()));
        }
        let Some(choice) = self.choices.into_iter().next() else {
            return Err("the answer holds no choice".to_owned());
        };
        let cut_off = choice.finish_reason.as_deref() == Some("length");
        let words = choice.message.content.unwrap_or_default();
        words_of(&words, cut_off).map_err(|why| match (choice.message.refusal, choice.finish_reason.as_deref()) {
            (Some(refusal), _) if !refusal.is_empty() => format!("the model refused: {refusal}"),
            (_, Some("content_filter")) => "the answer was held back by a content filter".to_owned(),
            _ => why,
        })
    }
}

/// The words of an answer, if there are any.
///
/// # Errors
/// Why there are none.
pub fn words_of(words: &str, cut_off: bool) -> Result<Completion, String> {
    match (words.trim(), cut_off) {
        ("", true) => Err("no word of the answer came before max_tokens".to_owned()),
        ("", false) => Err("the answer is empty".to_owned()),
        (words, _) => Ok(Completion { words: words.into(), cut_off }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn completion(answer: Value) -> Result<Completion, String> {
        serde_json::from_value::<Answer>(answer).expect("an answer").completion()
    }

    #[test]
    fn a_request_holds_what_was_set_and_nothing_else() {
        let mut manner = Manner { model: "m".to_owned(), system: None, max_tokens: 5, options: Map::new() };
        let body = |manner: &Manner| -> Value {
            serde_json::from_slice(&manner.body("hi \"you\"").expect("JSON")).expect("JSON")
        };
        let messages = json!([{"role": "user", "content": "hi \"you\""}]);
        assert_eq!(body(&manner), json!({"model": "m", "messages": messages, "max_tokens": 5, "stream": false}));
        manner.system = Some("be brief".to_owned());
        manner.options = json!({"seed": 7, "max_completion_tokens": 9}).as_object().expect("an object").clone();
        let body = body(&manner);
        assert_eq!(body["messages"][0], json!({"role": "system", "content": "be brief"}));
        assert_eq!((&body["seed"], &body["max_completion_tokens"]), (&json!(7), &json!(9)));
        assert!(body.get("max_tokens").is_none());
        assert_eq!(manner.most_tokens(), 9);
    }

    #[test]
    fn an_answer_may_lack_what_is_not_needed() {
        let answer = json!({"choices": [{"message": {"content": " yes\n"}}], "more": 1});
        assert_eq!(completion(answer), Ok(Completion { words: "yes".into(), cut_off: false }));
        let answer = json!({"choices": [{"message": {"content": "ye"}, "finish_reason": "length"}]});
        assert!(completion(answer).expect("words").cut_off);
    }

    #[test]
    fn a_usage_that_is_none_costs_no_answer() {
        let told = |usage: Value| {
            let answer = json!({"choices": [{"message": {"content": "yes"}}], "usage": usage});
            let answer: Answer = serde_json::from_value(answer).expect("an answer");
            (answer.usage(), answer.completion().is_ok())
        };
        let usage = Usage { prompt_tokens: 3, completion_tokens: 0 };
        assert_eq!(told(json!({"prompt_tokens": 3, "total_tokens": 4})), (Some(usage), true));
        for wrong in [json!({"prompt_tokens": -1}), json!({"completion_tokens": "2"}), json!("free"), json!(null)] {
            assert_eq!(told(wrong.clone()), (None, true), "{wrong}");
        }
    }

    #[test]
    fn an_answer_without_words_says_why() {
        for (answer, why) in [
            (json!({}), "no choice"),
            (json!({"choices": []}), "no choice"),
            (json!({"error": "overloaded"}), "overloaded"),
            (json!({"error": {"message": "too long", "code": 400}}), "too long"),
            (json!({"choices": [{"message": {"content": null, "refusal": "I cannot"}}]}), "I cannot"),
            (json!({"choices": [{"message": {"content": "  "}, "finish_reason": "length"}]}), "max_tokens"),
            (json!({"choices": [{"message": {}, "finish_reason": "content_filter"}]}), "filter"),
            (json!({"choices": [{"message": {"content": ""}}]}), "empty"),
        ] {
            let told = completion(answer.clone()).expect_err("no words");
            assert!(told.contains(why), "{answer}: {told}");
        }
    }
}
