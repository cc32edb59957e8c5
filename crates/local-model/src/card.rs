//! What a model is, by its header alone: its measures, whether it is whole, and how much memory it will want.
//!
//! All that candle relies on is checked here, so that a file that will not do is refused when a pipeline is planned.

use crate::flaw::Flaw;
use crate::gguf::{Header, Lists, tensor_bytes};
use candle_core::quantized::GgmlDType;
use candle_core::quantized::gguf_file::{Content, TensorInfo, Value, VersionedMagic};
use std::collections::HashMap;
use std::fs::File;

/// Tokens of a prompt and its answer together, whatever a file says: candle's tables for llama end here.
pub const MOST_CONTEXT: usize = 4096;

/// The tokens of a prompt that are computed at a time.
pub(crate) const CHUNK: usize = 32;

const FLOAT: usize = size_of::<f32>();

/// The kinds of models that are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Architecture {
    /// Llama, Mistral, TinyLlama, SmolLM and others that are built alike.
    Llama,
    /// Qwen 2 and 2.5.
    Qwen2,
    /// Qwen 3, without experts.
    Qwen3,
}

impl Architecture {
    fn of(name: &str) -> Result<Self, Flaw> {
        match name {
            "llama" => Ok(Self::Llama),
            "qwen2" => Ok(Self::Qwen2),
            "qwen3" => Ok(Self::Qwen3),
            _ => Err(Flaw::unsupported(format!(
                "models of the kind \"{name}\" are not known; llama, qwen2 and qwen3 are"
            ))),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Llama => "llama",
            Self::Qwen2 => "qwen2",
            Self::Qwen3 => "qwen3",
        }
    }
}

/// What a model is.
#[derive(Clone, Debug, PartialEq)]
pub struct Card {
    /// Its kind.
    pub architecture: Architecture,
    /// Tokens that it knows.
    pub vocabulary: usize,
    /// Tokens of a prompt and its answer together.
    pub context: usize,
    layers: usize,
    embedding: usize,
    heads: usize,
    kv_heads: usize,
    head: usize,
    epsilon: f32,
    frequency: f32,
    header_bytes: u64,
    weight_bytes: u64,
}

impl Card {
    /// Reads it from a file. Only the header is looked at.
    ///
    /// # Errors
    /// [`Flaw::Malformed`] for a file that is cut or contradicts itself, [`Flaw::Unsupported`] for a kind of model, of
    /// tokenizer or of weights that is not known.
    pub fn read(file: &mut File) -> Result<Self, Flaw> {
        Self::of(&Header::read(file, Lists::Counted)?)
    }

    pub(crate) fn of(header: &Header) -> Result<Self, Flaw> {
        let name = header.text("general.architecture");
        let architecture = Architecture::of(name.ok_or_else(|| Flaw::malformed("it does not say what kind it is"))?)?;
        let key = |name: &str| format!("{}.{name}", architecture.name());
        let measure = |name: &str, most: u64| {
            let found = header.count(&key(name)).ok_or_else(|| Flaw::malformed(format!("{} is missing", key(name))))?;
            match found == 0 || found > most {
                true => Err(Flaw::malformed(format!("{} cannot be {found}", key(name)))),
                false => usize::try_from(found).map_err(Flaw::failed),
            }
        };
        let (embedding, heads) = (measure("embedding_length", 1 << 16)?, measure("attention.head_count", 1 << 10)?);
        let kv_heads = match header.count(&key("attention.head_count_kv")) {
            Some(_) => measure("attention.head_count_kv", 1 << 10)?,
            None => heads,
        };
        let head = match architecture {
            Architecture::Qwen3 => measure("attention.key_length", 1 << 10)?,
            Architecture::Llama | Architecture::Qwen2 => embedding / heads,
        };
        let card = Self {
            architecture,
            vocabulary: vocabulary(header)?,
            context: measure("context_length", u64::MAX)?.min(MOST_CONTEXT),
            layers: measure("block_count", 1 << 10)?,
            embedding,
            heads,
            kv_heads,
            head,
            epsilon: header.number(&key("attention.layer_norm_rms_epsilon")).unwrap_or(1e-5),
            frequency: header.number(&key("rope.freq_base")).unwrap_or(1e4),
            header_bytes: header.bytes,
            weight_bytes: 0,
        };
        if heads % kv_heads != 0 || head < 2 || !head.is_multiple_of(2) {
            return Err(Flaw::malformed(format!("{embedding} values cannot have {heads} and {kv_heads} heads")));
        }
        let rope = header.count(&key("rope.dimension_count")).unwrap_or(head as u64);
        if architecture == Architecture::Llama && rope != head as u64 {
            return Err(Flaw::unsupported(format!("positions in {rope} of {head} values of a head are not known")));
        }
        if header.count(&key("expert_count")).is_some_and(|experts| experts > 0) {
            return Err(Flaw::unsupported("models made of several experts are not known"));
        }
        card.check_tensors(&header.tensors)?;
        Ok(Self { weight_bytes: weight_bytes(&header.tensors), ..card })
    }

    /// Whether every tensor is there, in the shape that the measures ask for.
    fn check_tensors(&self, tensors: &HashMap<String, TensorInfo>) -> Result<(), Flaw> {
        let found = |name: &str| {
            let missing = || Flaw::malformed(format!("tensor {name} is missing"));
            tensors.get(name).map(|tensor| tensor.shape.dims()).ok_or_else(missing)
        };
        let check = |name: &str, expected: &[usize]| match found(name)? {
            dims if dims == expected => Ok(()),
            dims => Err(Flaw::malformed(format!("tensor {name} has the shape {dims:?}, and must have {expected:?}"))),
        };
        let (queries, keys) = (self.heads * self.head, self.kv_heads * self.head);
        let rows = found("token_embd.weight")?.first().copied().unwrap_or_default();
        check("token_embd.weight", &[rows, self.embedding])?;
        if rows < self.vocabulary {
            return Err(Flaw::malformed(format!("{rows} rows are too few for {} tokens", self.vocabulary)));
        }
        if tensors.contains_key("output.weight") {
            check("output.weight", &[rows, self.embedding])?;
        }
        check("output_norm.weight", &[self.embedding])?;
        for layer in 0..self.layers {
            let name = |part: &str| format!("blk.{layer}.{part}");
            let forward = found(&name("ffn_gate.weight"))?.first().copied().unwrap_or_default();
            for (part, shape) in [
                ("attn_q.weight", [queries, self.embedding]),
                ("attn_k.weight", [keys, self.embedding]),
                ("attn_v.weight", [keys, self.embedding]),
                ("attn_output.weight", [self.embedding, queries]),
                ("ffn_gate.weight", [forward, self.embedding]),
                ("ffn_up.weight", [forward, self.embedding]),
                ("ffn_down.weight", [self.embedding, forward]),
            ] {
                check(&name(part), &shape)?;
            }
            let further: &[(&str, usize)] = match self.architecture {
                Architecture::Llama => &[],
                Architecture::Qwen2 => &[("attn_q.bias", queries), ("attn_k.bias", keys), ("attn_v.bias", keys)],
                Architecture::Qwen3 => &[("attn_q_norm.weight", self.head), ("attn_k_norm.weight", self.head)],
            };
            let norms = [("attn_norm.weight", self.embedding), ("ffn_norm.weight", self.embedding)];
            for (part, length) in norms.iter().chain(further) {
                check(&name(part), &[*length])?;
            }
        }
        Ok(())
    }

    /// Bytes of memory that the model takes once it is loaded, and while it is.
    pub fn memory(&self) -> usize {
        let tables = 4 * self.context * self.head * FLOAT;
        // For Qwen 3 candle has a cache ready from the beginning.
        let cache = match self.architecture {
            Architecture::Qwen3 => self.layers * self.keys_and_values(MOST_CONTEXT),
            Architecture::Llama | Architecture::Qwen2 => 0,
        };
        let weights = usize::try_from(self.weight_bytes).unwrap_or(usize::MAX);
        weights.saturating_add(tables + cache).saturating_add(self.tokenizer_memory())
    }

    /// Bytes of memory that its tokenizer alone takes, with what it takes to make it: as measured for vocabularies of 32,000
    /// to 150,000 tokens, rounded up.
    pub fn tokenizer_memory(&self) -> usize {
        let texts = usize::try_from(self.header_bytes).unwrap_or(usize::MAX).saturating_mul(8);
        texts.saturating_add(self.vocabulary.saturating_mul(800))
    }

    /// Bytes of memory that it takes to answer, when prompt and answer have so many tokens.
    pub fn answer_memory(&self, tokens: usize) -> usize {
        let tokens = tokens.min(self.context);
        // Those of all layers; and those of one, once more for each head, and copied when a token is added.
        let layer = self.keys_and_values(tokens);
        let cache = self.layers * layer + 2 * layer * (self.heads / self.kv_heads);
        // The attention of a part of the prompt, the masks for all parts, the logits, and what is between layers.
        let attention = 3 * self.heads * CHUNK * tokens * FLOAT;
        let masks = 2 * tokens * tokens;
        let rest = (4 * self.vocabulary + 16 * CHUNK * self.embedding) * FLOAT;
        cache + attention + masks + rest
    }

    fn keys_and_values(&self, tokens: usize) -> usize {
        2 * self.kv_heads * self.head * tokens * FLOAT
    }

    /// The header as candle wants it: what it reads of it, in the widths in which it reads it.
    pub(crate) fn content(&self, header: Header) -> Content {
        let name = self.architecture.name();
        let measures = [
            ("attention.head_count", self.heads),
            ("attention.head_count_kv", self.kv_heads),
            ("attention.key_length", self.head),
            ("block_count", self.layers),
            ("embedding_length", self.embedding),
            ("context_length", self.context),
            ("rope.dimension_count", self.head),
        ];
        let number = |value: usize| Value::U32(u32::try_from(value).unwrap_or(u32::MAX));
        let mut metadata: HashMap<_, _> =
            measures.into_iter().map(|(key, value)| (format!("{name}.{key}"), number(value))).collect();
        metadata.insert("general.architecture".to_owned(), Value::String(name.to_owned()));
        // Positions in full width.
        metadata.insert("general.dtype".to_owned(), Value::U32(0));
        metadata.insert(format!("{name}.attention.layer_norm_rms_epsilon"), Value::F32(self.epsilon));
        metadata.insert(format!("{name}.rope.freq_base"), Value::F32(self.frequency));
        Content {
            magic: VersionedMagic::GgufV3,
            metadata,
            tensor_infos: header.tensors,
            tensor_data_offset: header.data,
        }
    }
}

fn vocabulary(header: &Header) -> Result<usize, Flaw> {
    match header.lengths.get("tokenizer.ggml.tokens").copied().unwrap_or_default() {
        0 => Err(Flaw::malformed("it has no tokenizer: tokenizer.ggml.tokens is missing")),
        tokens => usize::try_from(tokens).map_err(Flaw::failed),
    }
}

/// Bytes that the weights take in memory. Those that are not quantised are held as floats of 4 bytes; of some others candle
/// keeps a copy in the order that suits the processor, at most a quarter larger. The embedding is held as floats too. The
/// largest tensor is there once more while it is read.
fn weight_bytes(tensors: &HashMap<String, TensorInfo>) -> u64 {
    let on_disk = |tensor: &TensorInfo| tensor_bytes(tensor).unwrap_or(u64::MAX);
    let held = |(name, tensor): (&String, &TensorInfo)| {
        let floats = tensor.shape.elem_count() as u64 * 4;
        let computed = match tensor.ggml_dtype {
            GgmlDType::F32 | GgmlDType::F16 | GgmlDType::BF16 => floats,
            GgmlDType::Q4_0 | GgmlDType::Q8_0 | GgmlDType::Q4K | GgmlDType::Q5K | GgmlDType::Q6K => {
                on_disk(tensor).saturating_mul(9) / 4
            }
            _ => on_disk(tensor),
        };
        if name == "token_embd.weight" { computed.saturating_add(floats) } else { computed }
    };
    let all = tensors.iter().map(held).fold(0, u64::saturating_add);
    all.saturating_add(tensors.values().map(on_disk).max().unwrap_or_default())
}
