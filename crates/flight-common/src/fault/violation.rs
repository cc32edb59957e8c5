//! One thing that is wrong with the parameters of a call, and where.

use serde::{Deserialize, Serialize};

/// One thing that is wrong with the parameters of a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// JSON pointer to the value, from the parameters' root: `/rules/min_rows`. Empty: the parameters as a whole.
    pub pointer: String,
    /// What is wrong.
    pub message: String,
    /// What to try.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// Where in the value, if that is a long text: a query.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<TextPlace>,
}

/// A character of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextPlace {
    /// Its line, from 1.
    pub line: u64,
    /// Which character of the line it is, from 1.
    pub column: u64,
}

impl TextPlace {
    /// The place of the character that begins at this byte of a text; that of the end for a byte behind it.
    pub fn of(text: &str, byte: usize) -> Self {
        let before = text.get(..byte).unwrap_or(text);
        let line = before.rfind('\n').map_or(0, |end| end + 1);
        Self { line: before.matches('\n').count() as u64 + 1, column: before[line..].chars().count() as u64 + 1 }
    }
}

impl Violation {
    /// Something wrong at this pointer.
    pub fn new(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), message: message.into(), help: None, place: None }
    }

    /// Says where in the text that the pointer leads to.
    pub fn place(mut self, place: Option<TextPlace>) -> Self {
        self.place = place;
        self
    }

    /// Says what to try.
    pub fn help(mut self, help: impl Into<Option<String>>) -> Self {
        self.help = help.into();
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_counted_in_lines_and_characters() {
        let text = "é,\n  x";
        let places = [(0, 1, 1), (2, 1, 2), (4, 2, 1), (6, 2, 3), (99, 2, 4)];
        for (byte, line, column) in places {
            assert_eq!(TextPlace::of(text, byte), TextPlace { line, column }, "{byte}");
        }
    }
}
