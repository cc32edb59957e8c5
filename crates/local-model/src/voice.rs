//! How a model is spoken to: its chat template and its tokenizer, which are there without its weights.

use crate::chat::Chat;
use crate::flaw::Flaw;
use crate::gguf::{Header, Lists};
use crate::tokens::Tokens;
use std::fs::File;

/// Makes tokens of prompts, and words of tokens.
pub struct Voice {
    tokens: Tokens,
    chat: Chat,
}

impl Voice {
    /// Reads it from a file. It takes [`crate::Card::tokenizer_memory`].
    ///
    /// # Errors
    /// As [`crate::Card::read`]; also [`Flaw::Unsupported`] for a chat template that cannot be read.
    pub fn read(file: &mut File) -> Result<Self, Flaw> {
        Self::of(&Header::read(file, Lists::Kept)?)
    }

    pub(crate) fn of(header: &Header) -> Result<Self, Flaw> {
        Ok(Self { tokens: Tokens::of(header)?, chat: Chat::read(header.text("tokenizer.chat_template"))? })
    }

    /// The tokens of a prompt, in the form in which the model was taught to read it. Marks of the model in it mean nothing.
    ///
    /// # Errors
    /// [`Flaw::Unsupported`] for a chat template that fails, [`Flaw::Prompt`] for what no context has room for.
    pub fn prompt(&self, system: Option<&str>, prompt: &str) -> Result<Vec<u32>, Flaw> {
        self.tokens.encode(&self.chat.render(system, prompt, &self.tokens)?)
    }

    /// The words of an answer.
    ///
    /// # Errors
    /// [`Flaw::Failed`] for tokens that are none.
    pub fn words(&self, tokens: &[u32]) -> Result<String, Flaw> {
        self.tokens.decode(tokens)
    }

    /// Whether an answer ends with this token.
    pub(crate) fn ends(&self, token: u32) -> bool {
        self.tokens.ends(token)
    }
}
