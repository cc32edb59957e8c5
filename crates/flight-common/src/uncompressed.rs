//! Files that may be compressed as a whole. Their first bytes say so, whatever they are called: gzip and zstd.

use flate2::read::MultiGzDecoder;
use std::io::{self, Cursor, ErrorKind, Read};
use thiserror::Error;

/// Compressed data that are cut short or wrong. It travels within an [`io::Error`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the {form} data are damaged or cut short ({why})")]
pub struct DamagedData {
    form: &'static str,
    why: String,
}

/// What a file holds, uncompressed if it is compressed.
///
/// # Errors
/// Why its first bytes cannot be read. What is found to be damaged later is an error with [`DamagedData`] in it.
pub fn uncompressed(source: impl Read + Send + 'static) -> io::Result<Box<dyn Read + Send>> {
    let (first, bytes) = peek::<4>(source)?;
    Ok(match first.as_slice() {
        [0x1f, 0x8b, ..] => Box::new(Watched { form: "gzip", bytes: MultiGzDecoder::new(bytes) }),
        [0x28, 0xb5, 0x2f, 0xfd] => Box::new(Watched { form: "zstd", bytes: zstd::Decoder::new(bytes)? }),
        _ => Box::new(bytes),
    })
}

/// Looks at the first bytes, of which there may be fewer, and gives a reader that starts with them.
///
/// # Errors
/// Why they cannot be read.
pub fn peek<const N: usize>(mut source: impl Read + Send) -> io::Result<(Vec<u8>, impl Read + Send)> {
    let mut first = Vec::with_capacity(N);
    source.by_ref().take(N as u64).read_to_end(&mut first)?;
    Ok((first.clone(), Cursor::new(first).chain(source)))
}

/// Says which compressed data are damaged.
struct Watched<R> {
    form: &'static str,
    bytes: R,
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.bytes.read(into).map_err(|error| match error.raw_os_error() {
            Some(_) => error,
            None => io::Error::new(ErrorKind::InvalidData, DamagedData { form: self.form, why: error.to_string() }),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text).expect("in memory");
        encoder.finish().expect("in memory")
    }

    fn read(bytes: Vec<u8>) -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        uncompressed(Cursor::new(bytes))?.read_to_end(&mut text)?;
        Ok(text)
    }

    #[test]
    fn every_form_gives_the_same_text_and_short_files_are_themselves() {
        let text = b"some text, and more of it".repeat(5000);
        let in_parts = [gzip(&text[..999]), gzip(&text[999..])].concat();
        let zstd = zstd::encode_all(text.as_slice(), 1).expect("in memory");
        for bytes in [text.clone(), gzip(&text), in_parts, zstd] {
            assert!(read(bytes).expect("readable") == text);
        }
        for short in [&b""[..], b"\x1f", b"a", b"\x28\xb5\x2f"] {
            assert_eq!(read(short.to_vec()).expect("itself"), short);
        }
    }

    #[test]
    fn what_is_cut_short_is_told_by_its_form() {
        let whole = gzip(&b"text".repeat(5000));
        let error = read(whole[..whole.len() - 9].to_vec()).expect_err("cut short");
        let damage = error.get_ref().and_then(|inner| inner.downcast_ref::<DamagedData>());
        assert!(damage.is_some_and(|damage| damage.to_string().starts_with("the gzip data are damaged")), "{error}");
    }
}
