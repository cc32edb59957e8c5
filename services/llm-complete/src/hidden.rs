//! A key: a text that is shown to nobody.

use schemars::JsonSchema;
use serde::Deserialize;
use std::fmt;

/// A text that may be a secret. Its `Debug` does not tell it.
#[derive(Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
pub struct Hidden(String);

impl Hidden {
    /// The text, for the request that it belongs to.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// A text of somebody else, without this one in it.
    pub fn struck_out_of(&self, text: &str) -> String {
        match self.0.is_empty() {
            true => text.to_owned(),
            false => text.replace(&self.0, "***"),
        }
    }
}

impl From<&str> for Hidden {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_neither_shown_nor_quoted() {
        let key = Hidden::from("sk-1");
        assert_eq!(format!("{:?}", Some(&key)), "Some(***)");
        assert_eq!(key.struck_out_of("no such key: sk-1."), "no such key: ***.");
        assert_eq!(Hidden::from("").struck_out_of("as it is"), "as it is");
    }
}
