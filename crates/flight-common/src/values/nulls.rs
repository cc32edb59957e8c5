//! Which fields are nulls.

/// How nulls are spelled unless told: as pandas reads them.
pub const USUAL_NULLS: [&str; 19] = [
    "", "NA", "N/A", "#N/A", "#N/A N/A", "#NA", "<NA>", "n/a", "NaN", "nan", "-NaN", "-nan", "null", "NULL", "None",
    "1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN",
];

/// Spellings of null, made to be told quickly from other text.
#[derive(Clone, Debug)]
pub struct NullWords {
    words: Vec<Vec<u8>>,
    /// Bit `i`: there is a word of `i` bytes. The last bit stands for all that are longer.
    lengths: u64,
    /// Whether a word begins with this byte.
    firsts: Box<[bool; 256]>,
}

impl NullWords {
    /// These spellings.
    pub fn new<'a>(words: impl IntoIterator<Item = &'a str>) -> Self {
        let words: Vec<Vec<u8>> = words.into_iter().map(|word| word.as_bytes().to_vec()).collect();
        let mut firsts = Box::new([false; 256]);
        let mut lengths = 0;
        for word in &words {
            lengths |= 1 << word.len().min(63);
            if let Some(&first) = word.first() {
                firsts[usize::from(first)] = true;
            }
        }
        Self { words, lengths, firsts }
    }

    /// Whether this is one.
    #[inline]
    pub fn contain(&self, value: &[u8]) -> bool {
        if self.lengths >> value.len().min(63) & 1 == 0 {
            return false;
        }
        match value.first() {
            Some(&first) if !self.firsts[usize::from(first)] => false,
            _ => self.words.iter().any(|word| word == value),
        }
    }

    /// The spellings.
    pub fn words(&self) -> impl Iterator<Item = &[u8]> {
        self.words.iter().map(Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_words_are_nulls() {
        let usual = NullWords::new(USUAL_NULLS);
        assert!(USUAL_NULLS.iter().all(|word| usual.contain(word.as_bytes())));
        for text in ["Non-Travel", "No", "Na", "N", "nul", "0", "-", " "] {
            assert!(!usual.contain(text.as_bytes()), "{text}");
        }
        let long = "x".repeat(100);
        assert!(NullWords::new([long.as_str()]).contain(long.as_bytes()));
        assert!(!NullWords::new([]).contain(b""));
    }
}
