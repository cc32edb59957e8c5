//! Text in other encodings as UTF-8.

use encoding_rs::{Decoder, DecoderResult, Encoding};
use std::fmt;
use std::io::{self, ErrorKind, Read};

/// The encoding of that name, as browsers know it or as Python does.
pub fn by_name(name: &str) -> Option<&'static Encoding> {
    let name = name.trim().to_lowercase().replace('_', "-");
    let name = name.strip_suffix("-sig").unwrap_or(&name);
    let known = |name: &str| Encoding::for_label(name.as_bytes());
    known(name).or_else(|| known(&name.replace('-', "_"))).or_else(|| known(&name.replace('-', "")))
}

/// Reads text as UTF-8.
pub struct Transcoder<R> {
    source: R,
    decoder: Decoder,
    /// Bytes read and not decoded yet.
    raw: Box<[u8]>,
    raw_from: usize,
    raw_to: usize,
    /// Text decoded and not handed out yet.
    text: Box<[u8]>,
    text_from: usize,
    text_to: usize,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Reading,
    /// The source has ended.
    Ending,
    Ended,
    /// The next bytes are no text.
    Broken,
}

const PIECE: usize = 64 * 1024;

impl<R: Read> Transcoder<R> {
    /// What `source` says in this encoding. A byte order mark has been taken off.
    pub fn new(source: R, encoding: &'static Encoding) -> Self {
        let piece = || vec![0; PIECE].into_boxed_slice();
        let decoder = encoding.new_decoder_without_bom_handling();
        let (raw, text) = (piece(), piece());
        Self { source, decoder, raw, raw_from: 0, raw_to: 0, text, text_from: 0, text_to: 0, state: State::Reading }
    }

    fn decode_more(&mut self) -> io::Result<()> {
        if self.raw_from == self.raw_to && self.state == State::Reading {
            self.raw_from = 0;
            self.raw_to = self.source.read(&mut self.raw)?;
            if self.raw_to == 0 {
                self.state = State::Ending;
            }
        }
        let raw = &self.raw[self.raw_from..self.raw_to];
        let last = self.state == State::Ending;
        let (result, read, written) = self.decoder.decode_to_utf8_without_replacement(raw, &mut self.text, last);
        self.raw_from += read;
        (self.text_from, self.text_to) = (0, written);
        match result {
            DecoderResult::InputEmpty if last => self.state = State::Ended,
            DecoderResult::InputEmpty | DecoderResult::OutputFull => {}
            DecoderResult::Malformed(..) => self.state = State::Broken,
        }
        Ok(())
    }
}

impl<R: Read> Read for Transcoder<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.text_from == self.text_to {
            match self.state {
                State::Ended => return Ok(0),
                State::Broken => {
                    let damage = NotText(self.decoder.encoding().name());
                    return Err(io::Error::new(ErrorKind::InvalidData, damage));
                }
                State::Reading | State::Ending => self.decode_more()?,
            }
        }
        let count = into.len().min(self.text_to - self.text_from);
        into[..count].copy_from_slice(&self.text[self.text_from..self.text_from + count]);
        self.text_from += count;
        Ok(count)
    }
}

/// Bytes that mean nothing in this encoding. It travels within an [`io::Error`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotText(pub &'static str);

impl fmt::Display for NotText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not {}", self.0)
    }
}

impl std::error::Error for NotText {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings_are_known_by_their_common_names() {
        for (name, wanted) in [
            ("UTF-8", "UTF-8"),
            ("utf_8_sig", "UTF-8"),
            ("latin-1", "windows-1252"),
            ("cp1252", "windows-1252"),
            ("utf-16", "UTF-16LE"),
            ("Shift_JIS", "Shift_JIS"),
        ] {
            assert_eq!(by_name(name).map(Encoding::name), Some(wanted), "{name}");
        }
        assert!(by_name("klingon").is_none());
    }

    #[test]
    fn text_is_transcoded_across_the_borders_of_pieces() {
        let text = "añb€\u{1F600}\n".repeat(30_000);
        let raw: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let mut read = String::new();
        let mut transcoder = Transcoder::new(raw.as_slice(), encoding_rs::UTF_16LE);
        transcoder.read_to_string(&mut read).expect("good text");
        assert!(read == text);
    }

    #[test]
    fn what_is_no_text_is_an_error_after_the_text_before_it() {
        let mut transcoder = Transcoder::new(&b"ab\x81\x20cd"[..], encoding_rs::SHIFT_JIS);
        let mut read = Vec::new();
        let error = transcoder.read_to_end(&mut read).expect_err("not text");
        assert_eq!(read, b"ab");
        assert!(error.get_ref().is_some_and(|source| source.is::<NotText>()));
    }
}
