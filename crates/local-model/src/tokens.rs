//! From text to tokens and back, by the tables in the file.
//!
//! Two families are known: byte-level BPE ("gpt2": Llama 3, Qwen, SmolLM) and SentencePiece's BPE ("llama": Llama 2,
//! Mistral, TinyLlama). The first is candle's reading of a file; the second is put together here.

use crate::card::MOST_CONTEXT;
use crate::flaw::{Flaw, guarded};
use crate::gguf::Header;
use candle_core::quantized::gguf_file::{Content, Value, VersionedMagic};
use candle_core::quantized::tokenizer::TokenizerFromGguf;
use std::collections::{HashMap, HashSet};
use tokenizers::decoders::DecoderWrapper;
use tokenizers::decoders::byte_fallback::ByteFallback;
use tokenizers::decoders::fuse::Fuse;
use tokenizers::decoders::sequence::Sequence as Decoders;
use tokenizers::decoders::strip::Strip;
use tokenizers::models::bpe::BPE;
use tokenizers::normalizers::{NormalizerWrapper, Prepend, Replace, Sequence as Normalizers};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence as PreTokenizers;
use tokenizers::{AddedToken, Tokenizer};

const TOKENS: &str = "tokenizer.ggml.tokens";
/// What SentencePiece writes for a space.
const SPACE: &str = "\u{2581}";
/// Of the types of tokens: one that steers, and is no text.
const CONTROL: i64 = 3;
/// A piece longer than this is not put together from all its halves.
const LONGEST_PIECE: usize = 256;

/// Bytes of a token, whatever a file says.
const LONGEST_TOKEN: usize = 1024;

/// Tokens that end an answer, beside those that the file names as such.
const ENDS: [&str; 6] = ["<|eot_id|>", "<|im_end|>", "<|end|>", "<|end_of_text|>", "<|endoftext|>", "<|eom_id|>"];

/// The tokenizer of a model.
pub(crate) struct Tokens {
    tokenizer: Tokenizer,
    /// Texts of tokens that steer the model.
    marks: Vec<String>,
    ends: HashSet<u32>,
    begin: Option<(u32, String)>,
    end_text: String,
    begins: bool,
    /// Bytes beyond which a text has more tokens than any context.
    most_bytes: usize,
}

impl Tokens {
    pub fn of(header: &Header) -> Result<Self, Flaw> {
        let texts = texts(header, TOKENS)?;
        let kind = header.text("tokenizer.ggml.model").unwrap_or_default().to_owned();
        let tokenizer = guarded(|| match kind.as_str() {
            "gpt2" => byte_level(header),
            "llama" => sentence_pieces(header, &texts),
            _ => Err(Flaw::unsupported(format!("the tokenizer \"{kind}\" is not known; \"gpt2\" and \"llama\" are"))),
        })?;
        let token = |name: &str| {
            let id = u32::try_from(header.count(&format!("tokenizer.ggml.{name}_token_id"))?).ok()?;
            Some((id, texts.get(usize::try_from(id).ok()?)?.clone()))
        };
        let controls = controls(header, &texts);
        let named = ENDS.iter().filter(|text| controls.iter().any(|control| control == *text));
        let ends = named.filter_map(|text| tokenizer.token_to_id(text));
        let ends = ends.chain(["eos", "eot", "eom"].iter().filter_map(|name| token(name)).map(|(id, _)| id)).collect();
        let begins = header.flag("tokenizer.ggml.add_bos_token").unwrap_or(kind == "llama");
        let end_text = token("eos").map(|(_, text)| text).unwrap_or_default();
        let longest = texts.iter().map(String::len).max().unwrap_or_default().min(LONGEST_TOKEN);
        let most_bytes = MOST_CONTEXT * longest;
        Ok(Self { tokenizer, marks: controls, ends, begin: token("bos"), end_text, begins, most_bytes })
    }

    /// The text of the token with which a text begins, or nothing.
    pub fn begin_text(&self) -> &str {
        self.begin.as_ref().map_or("", |(_, text)| text)
    }

    /// The text of the token with which a text ends, or nothing.
    pub fn end_text(&self) -> &str {
        &self.end_text
    }

    /// Whether an answer ends with this token.
    pub fn ends(&self, token: u32) -> bool {
        self.ends.contains(&token)
    }

    /// A text in which nothing steers the model: what looks like a mark of it is broken up by a space.
    pub fn without_marks(&self, text: &str) -> String {
        let mut plain = text.to_owned();
        for mark in self.marks.iter().filter(|mark| text.contains(mark.as_str())) {
            let first = mark.chars().next().map_or(0, char::len_utf8);
            plain = plain.replace(mark.as_str(), &format!("{} {}", &mark[..first], &mark[first..]));
        }
        plain
    }

    /// The tokens of a text, with the one for its beginning where the model wants it.
    ///
    /// # Errors
    /// [`Flaw::Prompt`] for one that is far too long to be cut at all.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, Flaw> {
        if text.len() > self.most_bytes {
            let message = format!("the prompt has {} bytes, and {MOST_CONTEXT} tokens have less", text.len());
            return Err(Flaw::Prompt(message));
        }
        let encoded = guarded(|| self.tokenizer.encode_fast(text, false).map_err(Flaw::failed))?;
        let tokens = encoded.get_ids();
        match &self.begin {
            Some((begin, _)) if self.begins && tokens.first() != Some(begin) => Ok([&[*begin], tokens].concat()),
            _ => Ok(tokens.to_vec()),
        }
    }

    /// The text of tokens, without those that steer.
    pub fn decode(&self, tokens: &[u32]) -> Result<String, Flaw> {
        guarded(|| self.tokenizer.decode(tokens, true).map_err(Flaw::failed))
    }
}

fn texts(header: &Header, key: &str) -> Result<Vec<String>, Flaw> {
    let missing = || Flaw::malformed(format!("it has no tokenizer: {key} is no list of texts"));
    let list = header.values.get(key).and_then(|value| value.to_vec().ok()).ok_or_else(missing)?;
    list.iter().map(|value| value.to_string().cloned().map_err(|_| missing())).collect()
}

/// Texts of tokens that steer the model. Empty ones are none.
fn controls(header: &Header, texts: &[String]) -> Vec<String> {
    let types = header.values.get("tokenizer.ggml.token_type").and_then(|value| value.to_vec().ok());
    let types = types.map(Vec::as_slice).unwrap_or_default();
    let steers = |kind: &Value| matches!(kind, Value::I32(kind) if i64::from(*kind) == CONTROL);
    let steering = texts.iter().zip(types).filter(|(text, kind)| !text.is_empty() && steers(kind));
    steering.map(|(text, _)| text.clone()).collect()
}

/// BPE over bytes. How texts are cut before it is told by a name, of which candle knows some.
fn byte_level(header: &Header) -> Result<Tokenizer, Flaw> {
    let given = header.text("tokenizer.ggml.pre").unwrap_or("default");
    let pre = match given {
        "default" | "gpt2" | "gpt-2" | "smollm" => "gpt2",
        "llama3" | "llama-bpe" | "llama-v3" => "llama3",
        "qwen2" | "deepseek-r1-qwen" => "qwen2",
        "smaug-bpe" => "smaug-bpe",
        _ => {
            return Err(Flaw::unsupported(format!("its tokenizer cuts texts in a way that is not known: \"{given}\"")));
        }
    };
    let mut metadata: HashMap<String, Value> = header.values.clone();
    metadata.retain(|key, _| key.starts_with("tokenizer.") && key != "tokenizer.ggml.pre");
    metadata.insert("tokenizer.ggml.pre".to_owned(), Value::String(pre.to_owned()));
    if pre == "llama3" {
        // A word that is a token is one, also if no merges lead there.
        metadata.insert("tokenizer.ggml.ignore_merges".to_owned(), Value::Bool(true));
    }
    let content =
        Content { magic: VersionedMagic::GgufV3, metadata, tensor_infos: HashMap::new(), tensor_data_offset: 0 };
    let wrong = |error| Flaw::malformed(format!("its tokenizer is none: {}", first_line(&error)));
    let mut tokenizer = Tokenizer::from_gguf(&content).map_err(wrong)?;
    if pre == "gpt2" {
        // Candle would put a space before the text, which these models do not want.
        let digits = (given == "smollm").then(|| Digits::new(true).into());
        let cuts = digits.into_iter().chain([ByteLevel::new(false, true, true).into()]);
        tokenizer.with_pre_tokenizer(Some(PreTokenizers::new(cuts.collect())));
    }
    Ok(tokenizer)
}

fn first_line(error: &candle_core::Error) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

/// SentencePiece's BPE. A file has no list of what is merged, but a score for each piece: of two that stand side by side
/// and make a piece together, those that make the one of the highest score are merged first.
fn sentence_pieces(header: &Header, texts: &[String]) -> Result<Tokenizer, Flaw> {
    let scores = header.values.get("tokenizer.ggml.scores").and_then(|value| value.to_vec().ok());
    let scores: Vec<f32> = scores.into_iter().flatten().filter_map(|score| score.to_f32().ok()).collect();
    if scores.len() != texts.len() {
        return Err(Flaw::malformed("it has no tokenizer: tokenizer.ggml.scores has no score for each token"));
    }
    let ids: HashMap<String, u32> = texts.iter().cloned().zip(0..).collect();
    let unknown = header.count("tokenizer.ggml.unknown_token_id").and_then(|id| texts.get(usize::try_from(id).ok()?));
    let mut builder = BPE::builder()
        .vocab_and_merges(
            ids.clone().into_iter().collect::<tokenizers::models::bpe::Vocab>(),
            merges(texts, &scores, &ids),
        )
        .fuse_unk(true)
        .byte_fallback(true);
    if let Some(unknown) = unknown {
        builder = builder.unk_token(unknown.clone());
    }
    let mut tokenizer = Tokenizer::new(builder.build().map_err(Flaw::failed)?);
    let spaces = NormalizerWrapper::Replace(Replace::new(" ", SPACE).map_err(Flaw::failed)?);
    let prefix = header.flag("tokenizer.ggml.add_space_prefix").unwrap_or(true);
    let prefix = prefix.then(|| NormalizerWrapper::Prepend(Prepend::new(SPACE.to_owned())));
    let normalizers: Vec<_> = prefix.into_iter().chain([spaces]).collect();
    tokenizer.with_normalizer(Some(Normalizers::new(normalizers))).map_err(Flaw::failed)?;
    tokenizer.with_decoder(Some(Decoders::new(vec![
        DecoderWrapper::Replace(Replace::new(SPACE, " ").map_err(Flaw::failed)?),
        DecoderWrapper::ByteFallback(ByteFallback::new()),
        DecoderWrapper::Fuse(Fuse::new()),
        DecoderWrapper::Strip(Strip::new(' ', 1, 0)),
    ])));
    let marks = controls(header, texts).into_iter().map(|text| AddedToken::from(text, true).normalized(false));
    tokenizer.add_special_tokens(marks.collect::<Vec<_>>()).map_err(Flaw::failed)?;
    Ok(tokenizer)
}

/// The pairs of pieces that make a piece, those of the highest score first.
fn merges(texts: &[String], scores: &[f32], ids: &HashMap<String, u32>) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    for (text, score) in texts.iter().zip(scores).filter(|(text, _)| text.len() <= LONGEST_PIECE) {
        for (place, _) in text.char_indices().skip(1) {
            let (left, right) = text.split_at(place);
            if let (Some(left_id), Some(right_id)) = (ids.get(left), ids.get(right)) {
                pairs.push((*score, *left_id, *right_id, left, right));
            }
        }
    }
    pairs.sort_by(|a, b| b.0.total_cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
    pairs.into_iter().map(|(.., left, right)| (left.to_owned(), right.to_owned())).collect()
}
