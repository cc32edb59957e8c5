//! The header of a GGUF file: what the model is, and where its tensors lie.
//!
//! A file comes from anywhere, so nothing in it is believed. Counts and lengths are held against limits and against the
//! length of the file before memory is taken for them, and every tensor must lie within the file. What passes is handed to
//! candle in its own form.

use crate::flaw::Flaw;
use candle_core::Shape;
use candle_core::quantized::GgmlDType;
use candle_core::quantized::gguf_file::{TensorInfo, Value};
use std::collections::HashMap;
use std::io::{BufReader, Read, Seek, SeekFrom};

/// Bytes that a header may have. That of a vocabulary of 262144 tokens has 16 MiB.
const MOST_BYTES: u64 = 64 << 20;
const MOST_ENTRIES: u64 = 4096;
const MOST_TENSORS: u64 = 16_384;
const MOST_DIMENSIONS: u32 = 4;
/// Bytes of a text: that of a chat template is the longest.
const MOST_TEXT: u64 = 1 << 20;
/// Elements of a list that is kept: tokens, and what comes beside them.
const MOST_ELEMENTS: u64 = 1 << 21;
const ALIGNMENT: u64 = 32;

/// The lists of a tokenizer. All others are passed over.
const LISTS: [&str; 4] =
    ["tokenizer.ggml.tokens", "tokenizer.ggml.scores", "tokenizer.ggml.token_type", "tokenizer.ggml.merges"];

/// Whether the lists of the tokenizer are wanted. They are most of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lists {
    /// Only their lengths.
    Counted,
    /// Their elements too.
    Kept,
}

/// What stands before the tensors.
#[derive(Debug)]
pub(crate) struct Header {
    /// Single values, and lists that are kept.
    pub values: HashMap<String, Value>,
    /// How many elements each list has, kept or not.
    pub lengths: HashMap<String, u64>,
    /// The tensors, with their places relative to [`Header::data`].
    pub tensors: HashMap<String, TensorInfo>,
    /// Where the tensors begin.
    pub data: u64,
    /// Bytes of the header.
    pub bytes: u64,
}

impl Header {
    /// Reads it from the beginning of a file.
    pub fn read<R: Read + Seek>(file: &mut R, lists: Lists) -> Result<Self, Flaw> {
        let file_bytes = file.seek(SeekFrom::End(0))?;
        file.seek(SeekFrom::Start(0))?;
        let mut reader = Reader { source: BufReader::with_capacity(1 << 16, file), read: 0, file_bytes };
        let (tensors, entries) = reader.beginning()?;
        let (mut values, mut lengths) = (HashMap::new(), HashMap::new());
        for _ in 0..entries {
            let key = reader.text()?;
            match reader.u32()? {
                LIST => {
                    let wanted = lists == Lists::Kept && LISTS.contains(&key.as_str());
                    let (count, elements) = reader.list(&key, wanted)?;
                    values.extend(elements.map(|elements| (key.clone(), Value::Array(elements))));
                    lengths.insert(key, count);
                }
                kind => drop(values.insert(key, reader.value(kind)?)),
            }
        }
        let mut places = HashMap::new();
        for _ in 0..tensors {
            let (name, place) = reader.tensor()?;
            if places.insert(name.clone(), place).is_some() {
                return Err(Flaw::malformed(format!("tensor {name} is there twice")));
            }
        }
        let data = reader.read.next_multiple_of(alignment(&values)?);
        let header = Self { values, lengths, tensors: places, data, bytes: reader.read };
        header.check_places(file_bytes)?;
        Ok(header)
    }

    /// A text, if there is one of this name.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.values.get(key).and_then(|value| value.to_string().ok()).map(String::as_str)
    }

    /// A number without sign, in whatever width it was written.
    pub fn count(&self, key: &str) -> Option<u64> {
        match self.values.get(key)? {
            Value::I8(number) => u64::try_from(*number).ok(),
            Value::I16(number) => u64::try_from(*number).ok(),
            Value::I32(number) => u64::try_from(*number).ok(),
            Value::I64(number) => u64::try_from(*number).ok(),
            Value::U64(number) => Some(*number),
            Value::Bool(_) => None,
            value => value.to_u64().ok(),
        }
    }

    /// A number with a fraction, in whatever width it was written.
    pub fn number(&self, key: &str) -> Option<f32> {
        match self.values.get(key)? {
            Value::F32(number) => Some(*number),
            Value::F64(number) => Some(*number as f32),
            _ => None,
        }
    }

    /// A truth.
    pub fn flag(&self, key: &str) -> Option<bool> {
        self.values.get(key).and_then(|value| value.to_bool().ok())
    }

    fn check_places(&self, file_bytes: u64) -> Result<(), Flaw> {
        for (name, place) in &self.tensors {
            let end = tensor_bytes(place).and_then(|bytes| self.data.checked_add(place.offset)?.checked_add(bytes));
            if end.is_none_or(|end| end > file_bytes) {
                let end = end.map_or_else(|| "beyond any file".to_owned(), |end| format!("at byte {end}"));
                return Err(Flaw::malformed(format!(
                    "the file is cut short: tensor {name} ends {end}, and the file has {file_bytes} bytes"
                )));
            }
        }
        Ok(())
    }
}

/// Bytes of a tensor in the file.
pub(crate) fn tensor_bytes(place: &TensorInfo) -> Option<u64> {
    let blocks = place.shape.elem_count() / place.ggml_dtype.block_size();
    u64::try_from(blocks.checked_mul(place.ggml_dtype.type_size())?).ok()
}

fn alignment(values: &HashMap<String, Value>) -> Result<u64, Flaw> {
    match values.get("general.alignment") {
        None => Ok(ALIGNMENT),
        Some(Value::U32(found)) if found.is_power_of_two() && *found <= 1 << 16 => Ok((*found).into()),
        Some(found) => Err(Flaw::malformed(format!("tensors cannot be aligned to {found:?}"))),
    }
}

/// The number of the type of lists.
const LIST: u32 = 9;

struct Reader<R> {
    source: BufReader<R>,
    read: u64,
    file_bytes: u64,
}

impl<R: Read> Reader<R> {
    /// Magic, version, and how many tensors and values follow.
    fn beginning(&mut self) -> Result<(u64, u64), Flaw> {
        if self.file_bytes < 4 || self.take::<4>()? != *b"GGUF" {
            return Err(Flaw::malformed("it is no GGUF file: it does not begin with GGUF"));
        }
        match self.u32()? {
            2 | 3 => {}
            version => return Err(Flaw::unsupported(format!("version {version} of GGUF is not known; 2 and 3 are"))),
        }
        let (tensors, entries) = (self.u64()?, self.u64()?);
        self.bounded(tensors, MOST_TENSORS, 24, "tensors")?;
        self.bounded(entries, MOST_ENTRIES, 13, "values")?;
        Ok((tensors, entries))
    }

    /// Holds a claim against a limit, and against what is left of the file if each element has as many bytes at least.
    fn bounded(&self, count: u64, most: u64, least_bytes: u64, what: &str) -> Result<(), Flaw> {
        let left = self.file_bytes.min(MOST_BYTES).saturating_sub(self.read);
        if count > most || count.saturating_mul(least_bytes) > left {
            return Err(Flaw::malformed(format!("the header claims {count} {what}, for which there is no room")));
        }
        Ok(())
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], Flaw> {
        let mut bytes = [0; N];
        self.source.read_exact(&mut bytes)?;
        self.advance(N as u64)?;
        Ok(bytes)
    }

    fn advance(&mut self, bytes: u64) -> Result<(), Flaw> {
        self.read += bytes;
        match self.read > MOST_BYTES {
            true => Err(Flaw::malformed("its header is longer than 64 MiB")),
            false => Ok(()),
        }
    }

    fn u32(&mut self) -> Result<u32, Flaw> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, Flaw> {
        self.take().map(u64::from_le_bytes)
    }

    /// A text. What is no UTF-8 is replaced: some vocabularies hold halves of letters.
    fn text(&mut self) -> Result<String, Flaw> {
        let length = self.u64()?;
        self.bounded(length, MOST_TEXT, 1, "bytes of a text")?;
        let mut bytes = vec![0; usize::try_from(length).map_err(Flaw::failed)?];
        self.source.read_exact(&mut bytes)?;
        self.advance(length)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn value(&mut self, kind: u32) -> Result<Value, Flaw> {
        Ok(match kind {
            0 => Value::U8(u8::from_le_bytes(self.take()?)),
            1 => Value::I8(i8::from_le_bytes(self.take()?)),
            2 => Value::U16(u16::from_le_bytes(self.take()?)),
            3 => Value::I16(i16::from_le_bytes(self.take()?)),
            4 => Value::U32(self.u32()?),
            5 => Value::I32(i32::from_le_bytes(self.take()?)),
            6 => Value::F32(f32::from_le_bytes(self.take()?)),
            7 => Value::Bool(self.take::<1>()? != [0]),
            8 => Value::String(self.text()?),
            10 => Value::U64(self.u64()?),
            11 => Value::I64(i64::from_le_bytes(self.take()?)),
            12 => Value::F64(f64::from_le_bytes(self.take()?)),
            LIST => return Err(Flaw::unsupported("lists of lists are not known")),
            _ => return Err(Flaw::malformed(format!("type {kind} of a value is not known"))),
        })
    }

    /// A list: how long it is, and its elements if they are wanted.
    fn list(&mut self, key: &str, wanted: bool) -> Result<(u64, Option<Vec<Value>>), Flaw> {
        let kind = self.u32()?;
        let count = self.u64()?;
        let least_bytes = match kind {
            0 | 1 | 7 => 1,
            2 | 3 => 2,
            8 | 10..=12 => 8,
            _ => 4,
        };
        let most = if wanted { MOST_ELEMENTS } else { MOST_BYTES };
        self.bounded(count, most, least_bytes, &format!("elements of {key}"))?;
        let mut elements = Vec::new();
        for _ in 0..count {
            let element = self.value(kind)?;
            if wanted {
                elements.push(element);
            }
        }
        Ok((count, wanted.then_some(elements)))
    }

    fn tensor(&mut self) -> Result<(String, TensorInfo), Flaw> {
        let name = self.text()?;
        let dimensions = self.u32()?;
        if dimensions == 0 || dimensions > MOST_DIMENSIONS {
            return Err(Flaw::malformed(format!("tensor {name} has {dimensions} dimensions")));
        }
        let mut shape = Vec::new();
        for _ in 0..dimensions {
            shape.push(usize::try_from(self.u64()?).map_err(Flaw::failed)?);
        }
        // Candle has the outermost first.
        shape.reverse();
        let ggml_dtype = quantization(self.u32()?, &name)?;
        let elements = shape.iter().try_fold(1usize, |product, length| product.checked_mul(*length));
        let inner = shape.last().copied().unwrap_or_default();
        if elements.is_none_or(|elements| elements == 0) || !inner.is_multiple_of(ggml_dtype.block_size()) {
            return Err(Flaw::malformed(format!("tensor {name} of {shape:?} cannot be {ggml_dtype:?}")));
        }
        Ok((name, TensorInfo { ggml_dtype, shape: Shape::from(shape), offset: self.u64()? }))
    }
}

/// The types of weights that can be computed with.
fn quantization(number: u32, tensor: &str) -> Result<GgmlDType, Flaw> {
    Ok(match number {
        0 => GgmlDType::F32,
        1 => GgmlDType::F16,
        2 => GgmlDType::Q4_0,
        3 => GgmlDType::Q4_1,
        6 => GgmlDType::Q5_0,
        7 => GgmlDType::Q5_1,
        8 => GgmlDType::Q8_0,
        10 => GgmlDType::Q2K,
        11 => GgmlDType::Q3K,
        12 => GgmlDType::Q4K,
        13 => GgmlDType::Q5K,
        14 => GgmlDType::Q6K,
        30 => GgmlDType::BF16,
        _ => {
            return Err(Flaw::unsupported(format!(
                "tensor {tensor} is quantised in a way that is not known (type {number}); Q4_0 to Q8_0, Q2_K to Q6_K, F16, \
                 BF16 and F32 are"
            )));
        }
    })
}
