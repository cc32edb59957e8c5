//! A model in memory, and how it answers: one token after the other.

use crate::card::{Architecture, CHUNK, Card};
use crate::flaw::{Flaw, guarded};
use crate::gguf::{Header, Lists};
use crate::voice::Voice;
use candle_core::{Device, IndexOp, Tensor};
use candle_transformers::generation::{LogitsProcessor, Sampling};
use candle_transformers::models::{quantized_llama as llama, quantized_qwen2 as qwen2, quantized_qwen3 as qwen3};
use std::fs::File;
use std::sync::{Mutex, PoisonError};

/// How an answer is chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Manner {
    /// Tokens that an answer may have.
    pub max_tokens: usize,
    /// How freely: 0 always takes the likeliest token.
    pub temperature: f64,
    /// Of the likeliest tokens, so many as have this share of the likelihood together.
    pub top_p: f64,
    /// Where chance begins: the same seed gives the same answer to the same prompt.
    pub seed: u64,
}

/// What a model said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its words.
    pub words: String,
    /// Tokens of the answer, with the one that ended it.
    pub tokens: usize,
    /// Whether it was cut off: at `max_tokens`, or where the context ends.
    pub cut_off: bool,
}

/// A model that is loaded.
pub struct Model {
    card: Card,
    voice: Voice,
    weights: Mutex<Weights>,
}

enum Weights {
    Llama(llama::ModelWeights),
    Qwen2(qwen2::ModelWeights),
    Qwen3(qwen3::ModelWeights),
}

impl Model {
    /// Loads a file. It takes [`Card::memory`].
    ///
    /// # Errors
    /// As [`Card::read`] and [`Voice::read`]; [`Flaw::Failed`] for weights that nobody can compute with.
    pub fn load(file: &mut File) -> Result<Self, Flaw> {
        let header = Header::read(file, Lists::Kept)?;
        let card = Card::of(&header)?;
        let voice = Voice::of(&header)?;
        let content = card.content(header);
        let weights = guarded(|| {
            let loaded = match card.architecture {
                Architecture::Llama => llama::ModelWeights::from_gguf(content, file, &Device::Cpu).map(Weights::Llama),
                Architecture::Qwen2 => qwen2::ModelWeights::from_gguf(content, file, &Device::Cpu).map(Weights::Qwen2),
                Architecture::Qwen3 => qwen3::ModelWeights::from_gguf(content, file, &Device::Cpu).map(Weights::Qwen3),
            };
            loaded.map_err(Flaw::failed)
        })?;
        Ok(Self { card, voice, weights: Mutex::new(weights) })
    }

    /// What it is.
    pub fn card(&self) -> &Card {
        &self.card
    }

    /// What makes tokens of prompts.
    pub fn voice(&self) -> &Voice {
        &self.voice
    }

    /// The answer to a prompt, which is given in tokens. It takes [`Card::answer_memory`], and the time that it takes: not
    /// for threads on which others wait. `watch` is asked between tokens whether to go on. One prompt is answered at a time.
    ///
    /// # Errors
    /// [`Flaw::Prompt`] for a prompt that leaves no room for an answer, that of `watch`, and [`Flaw::Failed`].
    pub fn answer(
        &self,
        prompt: &[u32],
        manner: &Manner,
        watch: &dyn Fn() -> Result<(), Flaw>,
    ) -> Result<Answer, Flaw> {
        self.check(prompt)?;
        let mut weights = self.weights.lock().unwrap_or_else(PoisonError::into_inner);
        let said = guarded(|| self.say(&mut weights, prompt, manner, watch));
        weights.forget();
        let (tokens, cut_off) = said?;
        let words = self.voice.words(&tokens)?;
        // The last letter may have lost a part of itself.
        let words = if cut_off { words.trim_end_matches('\u{fffd}').to_owned() } else { words };
        Ok(Answer { words, tokens: tokens.len(), cut_off })
    }

    fn check(&self, prompt: &[u32]) -> Result<(), Flaw> {
        let (tokens, room) = (prompt.len(), self.card.context);
        if tokens == 0 {
            return Err(Flaw::Prompt("the prompt is empty".to_owned()));
        }
        if tokens >= room {
            let message =
                format!("the prompt has {tokens} tokens, and prompt and answer have room for {room} together");
            return Err(Flaw::Prompt(message));
        }
        Ok(())
    }

    fn say(
        &self,
        weights: &mut Weights,
        prompt: &[u32],
        manner: &Manner,
        watch: &dyn Fn() -> Result<(), Flaw>,
    ) -> Result<(Vec<u32>, bool), Flaw> {
        let mut choice = LogitsProcessor::from_sampling(manner.seed, manner.sampling());
        let mut logits = None;
        let mut place = 0;
        for part in parts(prompt) {
            watch()?;
            logits = Some(weights.forward(part, place)?);
            place += part.len();
        }
        let most = manner.max_tokens.min(self.card.context - prompt.len());
        let mut said = Vec::new();
        while let Some(next) = logits.take() {
            let next = self.choose(&mut choice, &next)?;
            said.push(next);
            if self.voice.ends(next) {
                return Ok((said, false));
            }
            if said.len() >= most {
                break;
            }
            watch()?;
            logits = Some(weights.forward(&[next], place)?);
            place += 1;
        }
        Ok((said, true))
    }

    /// The next token. Rows of the weights beyond the vocabulary are padding.
    fn choose(&self, choice: &mut LogitsProcessor, logits: &Tensor) -> Result<u32, Flaw> {
        let known = logits.i(0).and_then(|logits| logits.i(..self.card.vocabulary)).map_err(Flaw::failed)?;
        choice.sample(&known).map_err(Flaw::failed)
    }
}

impl Manner {
    fn sampling(&self) -> Sampling {
        match self.temperature {
            temperature if temperature <= 0.0 => Sampling::ArgMax,
            temperature if self.top_p >= 1.0 => Sampling::All { temperature },
            temperature => Sampling::TopP { p: self.top_p, temperature },
        }
    }
}

impl Weights {
    /// The logits after these tokens, the first of which stands at this place.
    fn forward(&mut self, tokens: &[u32], place: usize) -> Result<Tensor, Flaw> {
        let input = Tensor::new(tokens, &Device::Cpu).and_then(|tokens| tokens.unsqueeze(0)).map_err(Flaw::failed)?;
        let logits = match self {
            Self::Llama(weights) => weights.forward(&input, place),
            Self::Qwen2(weights) => weights.forward(&input, place),
            Self::Qwen3(weights) => weights.forward(&input, place),
        };
        logits.map_err(Flaw::failed)
    }

    /// Drops what is known of the last prompt.
    fn forget(&mut self) {
        match self {
            Self::Llama(weights) => weights.clear_kv_cache(),
            Self::Qwen2(weights) => weights.clear_kv_cache(),
            Self::Qwen3(weights) => weights.clear_kv_cache(),
        }
    }
}

/// A prompt in parts: so long that matrices are worth it, so short that their attention needs little memory and that it can
/// be stopped. Their lengths are powers of two, and they stand at multiples of them: candle remembers a mask for each pair
/// of length and place that it ever saw, and so there are few of them.
fn parts(prompt: &[u32]) -> impl Iterator<Item = &[u32]> {
    let mut rest = prompt;
    std::iter::from_fn(move || {
        let length = CHUNK.min(1 << rest.len().checked_ilog2()?);
        let (part, after) = rest.split_at(length);
        rest = after;
        Some(part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_is_cut_into_powers_of_two_and_nothing_is_lost() {
        let prompt: Vec<u32> = (0..77).collect();
        let lengths: Vec<usize> = parts(&prompt).map(<[u32]>::len).collect();
        assert_eq!(lengths, [32, 32, 8, 4, 1]);
        assert_eq!(parts(&prompt).collect::<Vec<_>>().concat(), prompt);
        assert_eq!(parts(&[]).count(), 0);
    }
}
