//! Texts that are shown to nobody: keys, passwords, and whatever may hold one.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Number, Value};
use std::fmt;

/// A text that may be a secret. Its `Debug` does not tell it.
#[derive(Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
pub struct Hidden(String);

impl Hidden {
    /// The text, for the request that it belongs to.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Hidden {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

/// The value of a query parameter: a text, a number or a boolean.
#[derive(Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub enum QueryValue {
    /// `"de"`
    Text(String),
    /// `10`
    Number(Number),
    /// `true`
    Boolean(bool),
}

impl QueryValue {
    /// As it is written in an address.
    pub fn reveal(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Number(number) => number.to_string(),
            Self::Boolean(boolean) => boolean.to_string(),
        }
    }
}

/// What a request carries: any JSON, or a text that is sent as it is.
#[derive(Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
pub struct Payload(pub Value);

macro_rules! hidden {
    ($($name:ident),*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("***")
            }
        }
    )*};
}
hidden!(Hidden, QueryValue, Payload);
