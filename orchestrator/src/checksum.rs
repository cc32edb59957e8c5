//! SHA-256 in hexadecimal: what texts, kept outputs and tokens are told apart by.

use sha2::{Digest, Sha256};
use std::io::{self, Read};

/// A checksum in the making.
#[derive(Default)]
pub struct Checksum(Sha256);

impl Checksum {
    /// Takes these bytes in.
    pub fn add(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Takes a part of a list in. With its length, no two lists of parts look alike.
    pub fn add_part(&mut self, part: &str) {
        self.add(&(part.len() as u64).to_le_bytes());
        self.add(part.as_bytes());
    }

    /// The checksum, as 64 hexadecimal digits.
    pub fn finish(self) -> String {
        hex(&self.0.finalize())
    }
}

/// The checksum of these bytes.
pub fn checksum(bytes: &[u8]) -> String {
    let mut sum = Checksum::default();
    sum.add(bytes);
    sum.finish()
}

/// The checksum of what is left to read.
///
/// # Errors
/// Why it could not be read.
pub fn checksum_of(mut source: impl Read) -> io::Result<String> {
    let mut sum = Checksum::default();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match source.read(&mut buffer) {
            Ok(0) => return Ok(sum.finish()),
            Ok(read) => sum.add(&buffer[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Bytes in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_sha_256() {
        // FIPS 180-4, appendix: the message "abc".
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(checksum(b"abc"), expected);
        assert_eq!(checksum_of(&b"abc"[..]).expect("read"), expected);
    }
}
