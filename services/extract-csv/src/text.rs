//! A piece of text in memory that is used again for the next piece.
//!
//! Behind the text there are always as many bytes as fit in a word, so that what reads ahead needs no care at the end.

use crate::mask::LANES;
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes behind the text that may be read, and are not text.
pub const SLACK: usize = 2 * LANES;

/// A piece of text. Its memory goes back to its shelf when it is dropped.
#[derive(Debug)]
pub struct Text {
    bytes: Vec<u8>,
    len: usize,
    shelf: Shelf,
}

impl Text {
    /// The text.
    pub fn view(&self) -> View<'_> {
        View { bytes: &self.bytes, len: self.len }
    }
}

impl Drop for Text {
    fn drop(&mut self) {
        self.shelf.put(std::mem::take(&mut self.bytes));
    }
}

/// A look at a text, with the slack behind it.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    bytes: &'a [u8],
    len: usize,
}

impl<'a> View<'a> {
    /// The text alone.
    pub fn text(&self) -> &'a [u8] {
        &self.bytes[..self.len]
    }

    /// The text and the slack.
    pub fn with_slack(&self) -> &'a [u8] {
        self.bytes
    }

    /// The text from `start` on.
    pub fn from(&self, start: usize) -> Self {
        Self { bytes: &self.bytes[start..], len: self.len - start }
    }

    /// 64 bytes from `at`, which lies within the text, and how many of them are text.
    #[inline]
    pub fn word(&self, at: usize) -> (&'a [u8; LANES], usize) {
        let word = self.bytes[at..].first_chunk().expect("there is slack behind the text");
        (word, (self.len - at).min(LANES))
    }
}

/// Memory waiting to be used again.
#[derive(Clone, Debug)]
pub struct Shelf {
    spare: Arc<Mutex<Vec<Vec<u8>>>>,
    size: usize,
}

/// How many pieces of memory wait at most.
const SPARE: usize = 4;

impl Shelf {
    /// A shelf of memory for pieces of `size` bytes.
    pub fn new(size: usize) -> Self {
        Self { spare: Arc::default(), size: size + SLACK }
    }

    /// Memory for a piece, filled with whatever it held before; none, if none waits.
    pub fn take(&self) -> Vec<u8> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    /// Makes a text of the first `len` bytes, behind which there is slack.
    pub fn text(&self, mut bytes: Vec<u8>, len: usize) -> Text {
        bytes.resize(bytes.len().max(len + SLACK), 0);
        Text { bytes, len, shelf: self.clone() }
    }

    /// Memory that grew for one long record is not kept.
    fn put(&self, bytes: Vec<u8>) {
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        if bytes.len() == self.size && spare.len() < SPARE {
            spare.push(bytes);
        }
    }
}
