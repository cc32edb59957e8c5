//! Language models that run in this process, from GGUF files. Candle computes; nothing here knows of steps.
//!
//! | where | what |
//! |---|---|
//! | `gguf` | the header of a file, none of which is believed |
//! | [`Card`] | what a model is, by its header: refused before it is loaded, or its memory counted |
//! | [`Voice`], `tokens`, `chat` | prompts to tokens, in the form that the model was taught |
//! | [`Model`] | weights in memory, and answers |
//! | [`Flaw`] | why not |
//! | `testing` (feature `testing`) | tiny models |

mod card;
mod chat;
mod flaw;
mod gguf;
mod model;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod tokens;
mod voice;

pub use card::{Architecture, Card, MOST_CONTEXT};
pub use flaw::Flaw;
pub use model::{Answer, Manner, Model};

pub use voice::Voice;
