//! Who answers a prompt: a server, or a local model.

use crate::chat::{Completion, Usage};
use crate::client::Client;
use crate::local::Local;
use crate::trouble::Trouble;

/// Whom to ask.
pub enum Answerer {
    /// A model server.
    Server(Box<Client>),
    /// A model in this process.
    Local(Box<Local>),
}

impl Answerer {
    /// Asks once. The tokens of an answer are told also if there are no words in it.
    ///
    /// # Errors
    /// Why there is no completion.
    pub async fn ask(&self, prompt: &str) -> (Option<Option<Usage>>, Result<Completion, Trouble>) {
        match self {
            Self::Server(client) => client.ask(prompt).await,
            Self::Local(local) => local.ask(prompt).await,
        }
    }
}
