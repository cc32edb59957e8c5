//! Tiny models, made where they are needed: two layers, 32 wide, 64 tokens, and answers that are known beforehand.
//!
//! The codes of the tokens are orthogonal (or opposite), the layers hardly change them, and the output knows which code
//! follows which. So the last token of a prompt decides what is said, one token after the other:
//!
//! | the prompt ends with | the answer |
//! |---|---|
//! | `?` | `yes` |
//! | `!` | `no no no …`, without end |
//! | `.` | nothing: it ends at once |
//! | anything else | the same token without end |

use candle_core::quantized::gguf_file;
pub use candle_core::quantized::gguf_file::Value;
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};
use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::Path;

const WIDTH: usize = 32;
const TOKENS: usize = 64;
const FORWARD: usize = 64;
const LAYERS: usize = 2;
const HEADS: usize = 4;
const KV_HEADS: usize = 2;
const HEAD: usize = WIDTH / HEADS;
/// Tokens of prompt and answer together.
pub const CONTEXT: usize = 128;

/// A model as a file will have it. Change what a test wants to be wrong.
pub struct Tiny {
    /// Values of the header.
    pub values: BTreeMap<String, Value>,
    /// Weights.
    pub tensors: BTreeMap<String, QTensor>,
}

impl Tiny {
    /// A llama with SentencePiece's tokenizer.
    pub fn llama() -> Self {
        let pieces: Vec<String> = ["<unk>", "<s>", "</s>", "▁", "▁y", "▁ye", "▁yes", "▁n", "▁no"]
            .into_iter()
            .map(str::to_owned)
            .chain(('a'..='z').chain("?!.,:[]{}<>|/_0123456789\n".chars()).map(String::from))
            .collect();
        let tiny = Self::of("llama", &pieces, "▁yes", "▁no", "</s>");
        let scores = (0..TOKENS).map(|token| Value::F32(-(token as f32))).collect();
        let truth = |key: &str| (format!("tokenizer.ggml.{key}"), Value::Bool(true));
        tiny.set("tokenizer.ggml.model", Value::String("llama".to_owned()))
            .set("tokenizer.ggml.scores", Value::Array(scores))
            .set("tokenizer.ggml.unknown_token_id", Value::U32(0))
            .set("tokenizer.ggml.bos_token_id", Value::U32(1))
            .set("tokenizer.ggml.eos_token_id", Value::U32(2))
            .with([truth("add_bos_token"), truth("add_space_prefix")])
            .steering(&[0, 1, 2])
    }

    /// A Qwen 2 with a byte-level tokenizer.
    pub fn qwen2() -> Self {
        let mut tiny = Self::byte_level("qwen2");
        for layer in 0..LAYERS {
            for (part, length) in [("attn_q", WIDTH), ("attn_k", KV_HEADS * HEAD), ("attn_v", KV_HEADS * HEAD)] {
                tiny.put(&format!("blk.{layer}.{part}.bias"), &noise(&[length], 7, 0.01), GgmlDType::F32);
            }
        }
        tiny
    }

    /// A Qwen 3 with a byte-level tokenizer.
    pub fn qwen3() -> Self {
        let mut tiny = Self::byte_level("qwen3").set("qwen3.attention.key_length", Value::U32(HEAD as u32));
        for layer in 0..LAYERS {
            for part in ["attn_q_norm", "attn_k_norm"] {
                tiny.put(&format!("blk.{layer}.{part}.weight"), &ones(HEAD), GgmlDType::F32);
            }
        }
        tiny
    }

    /// Makes the answers unforeseeable: all tokens of a prompt have a say, by weights of chance.
    pub fn scrambled(mut self) -> Self {
        for layer in 0..LAYERS {
            for (number, part) in ["attn_q", "attn_k", "attn_v", "attn_output"].into_iter().enumerate() {
                let name = format!("blk.{layer}.{part}.weight");
                let rows = if matches!(part, "attn_k" | "attn_v") { KV_HEADS * HEAD } else { WIDTH };
                self.put(&name, &noise(&[rows, WIDTH], 100 + (10 * layer + number) as u64, 1.0), GgmlDType::Q8_0);
            }
        }
        self
    }

    fn byte_level(architecture: &str) -> Self {
        let pieces: Vec<String> = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "Ġ", "Ċ", "ye", "yes", "no", "Ġno"]
            .into_iter()
            .map(str::to_owned)
            .chain(('a'..='z').chain("?!.,:[]{}<>|/_0123456789".chars()).map(String::from))
            .collect();
        let merges = ["y e", "ye s", "n o", "Ġ no"].map(|merge| Value::String(merge.to_owned()));
        Self::of(architecture, &pieces, "yes", "Ġno", "<|im_end|>")
            .set("tokenizer.ggml.model", Value::String("gpt2".to_owned()))
            .set("tokenizer.ggml.pre", Value::String("qwen2".to_owned()))
            .set("tokenizer.ggml.merges", Value::Array(merges.to_vec()))
            .set("tokenizer.ggml.eos_token_id", Value::U32(2))
            .steering(&[0, 1, 2])
    }

    fn of(architecture: &str, pieces: &[String], yes: &str, no: &str, end: &str) -> Self {
        let mut tokens = pieces.to_vec();
        tokens.extend((tokens.len()..TOKENS).map(|number| format!("<{number}>")));
        let place = |piece: &str| tokens.iter().position(|token| token == piece).unwrap_or_default();
        let mut follows: Vec<usize> = (0..TOKENS).collect();
        for (token, next) in [("?", yes), (yes, end), ("!", no), (".", end)] {
            follows[place(token)] = place(next);
        }
        let mut tiny = Self { values: BTreeMap::new(), tensors: BTreeMap::new() };
        let codes: Vec<f32> = (0..TOKENS).flat_map(code).collect();
        tiny.put("token_embd.weight", &tensor(codes, &[TOKENS, WIDTH]), GgmlDType::Q8_0);
        tiny.put("output.weight", &tensor(output(&follows), &[TOKENS, WIDTH]), GgmlDType::F32);
        tiny.put("output_norm.weight", &ones(WIDTH), GgmlDType::F32);
        (0..LAYERS).for_each(|layer| tiny.put_layer(layer));
        let texts = tokens.into_iter().map(Value::String).collect();
        let measures = [
            ("block_count", LAYERS),
            ("embedding_length", WIDTH),
            ("feed_forward_length", FORWARD),
            ("context_length", CONTEXT),
            ("attention.head_count", HEADS),
            ("attention.head_count_kv", KV_HEADS),
        ];
        tiny.with(measures.map(|(key, value)| (format!("{architecture}.{key}"), Value::U32(value as u32))))
            .set(&format!("{architecture}.attention.layer_norm_rms_epsilon"), Value::F32(1e-6))
            .set("general.architecture", Value::String(architecture.to_owned()))
            .set("tokenizer.ggml.tokens", Value::Array(texts))
    }

    fn put_layer(&mut self, layer: usize) {
        let keys = KV_HEADS * HEAD;
        let parts = [
            ("attn_q", [WIDTH, WIDTH]),
            ("attn_k", [keys, WIDTH]),
            ("attn_v", [keys, WIDTH]),
            ("attn_output", [WIDTH, WIDTH]),
            ("ffn_gate", [FORWARD, WIDTH]),
            ("ffn_up", [FORWARD, WIDTH]),
            ("ffn_down", [WIDTH, FORWARD]),
        ];
        for (number, (part, shape)) in parts.into_iter().enumerate() {
            let chance = noise(&shape, (10 * layer + number) as u64, 0.02);
            self.put(&format!("blk.{layer}.{part}.weight"), &chance, GgmlDType::Q8_0);
        }
        for part in ["attn_norm", "ffn_norm"] {
            self.put(&format!("blk.{layer}.{part}.weight"), &ones(WIDTH), GgmlDType::F32);
        }
    }

    /// With this value in the header.
    pub fn set(mut self, key: &str, value: Value) -> Self {
        self.values.insert(key.to_owned(), value);
        self
    }

    /// With this chat template.
    pub fn template(self, template: &str) -> Self {
        self.set("tokenizer.chat_template", Value::String(template.to_owned()))
    }

    fn with(mut self, values: impl IntoIterator<Item = (String, Value)>) -> Self {
        self.values.extend(values);
        self
    }

    fn steering(self, tokens: &[usize]) -> Self {
        let kind = |token| Value::I32(if tokens.contains(&token) { 3 } else { 1 });
        self.set("tokenizer.ggml.token_type", Value::Array((0..TOKENS).map(kind).collect()))
    }

    /// Puts a tensor in the place of one, or beside the others.
    ///
    /// # Panics
    /// If it cannot be quantised so.
    pub fn put(&mut self, name: &str, tensor: &Tensor, quantization: GgmlDType) {
        let quantized = QTensor::quantize(tensor, quantization).expect("its rows are whole blocks");
        self.tensors.insert(name.to_owned(), quantized);
    }

    /// The file.
    ///
    /// # Panics
    /// If a list of the header holds several types.
    pub fn bytes(&self) -> Vec<u8> {
        let values: Vec<_> = self.values.iter().map(|(key, value)| (key.as_str(), value)).collect();
        let tensors: Vec<_> = self.tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
        let mut file = Cursor::new(Vec::new());
        gguf_file::write(&mut file, &values, &tensors).expect("memory takes it");
        file.into_inner()
    }

    /// Writes the file.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn write(&self, path: &Path) {
        std::fs::write(path, self.bytes()).expect("a folder that takes it");
    }
}

/// Of the 64 rows: 32 orthogonal ones, and their opposites.
fn code(token: usize) -> impl Iterator<Item = f32> {
    let (row, sign) = (token % WIDTH, if token < WIDTH { 1.0 } else { -1.0 });
    (0..WIDTH).map(move |column| if (row & column).count_ones() % 2 == 0 { sign } else { -sign })
}

/// For each token the codes of those that it follows.
fn output(follows: &[usize]) -> Vec<f32> {
    let mut rows = vec![0.0; TOKENS * WIDTH];
    for (token, next) in follows.iter().enumerate() {
        rows[next * WIDTH..][..WIDTH].iter_mut().zip(code(token)).for_each(|(sum, value)| *sum += value);
    }
    rows
}

fn tensor(values: Vec<f32>, shape: &[usize]) -> Tensor {
    Tensor::from_vec(values, shape, &Device::Cpu).expect("as many values as the shape has")
}

fn ones(length: usize) -> Tensor {
    tensor(vec![1.0; length], &[length])
}

/// Numbers of chance, the same for the same seed.
fn noise(shape: &[usize], seed: u64, size: f32) -> Tensor {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(1);
    let values = (0..shape.iter().product::<usize>()).map(|_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 40) as f32 / (1u32 << 23) as f32 - 1.0) * size
    });
    tensor(values.collect(), shape)
}
