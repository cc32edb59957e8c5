//! A growing text, made for many short pieces.
//!
//! Most cells are a few bytes long, and for those a call of `memcpy` costs more than the copy. So short pieces are
//! copied in blocks of fixed length, which compile to a load and a store; what is too much is overwritten by the next.

/// Bytes written one after another.
#[derive(Default)]
pub struct Out {
    /// What lies before `end` is written. The rest is room.
    bytes: Vec<u8>,
    end: usize,
}

/// The length up to which a piece is copied as one block.
const BLOCK: usize = 16;

/// `00`, `01`, … `99`.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[b'0'; 2]; 100];
    let mut number = 0;
    while number < 100 {
        pairs[number] = [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8];
        number += 1;
    }
    pairs
};

/// The eight digits of a number below 10^8, one to a byte, the first in the highest.
///
/// All at once: the number is cut in halves of four digits, these in pairs, these in digits, and each cut is one
/// multiplication for all parts. A quotient comes from multiplying by the reciprocal: 10486 / 2^20 for 100 (exact up
/// to 9999), 103 / 2^10 for 10 (exact up to 99).
#[inline]
fn eight_digits(number: u64) -> u64 {
    let halves = number + ((1 << 32) - 10_000) * (number / 10_000);
    let hundreds = ((halves * 10_486) >> 20) & 0x7f_0000_007f;
    let pairs = halves + ((1 << 16) - 100) * hundreds;
    let tens = ((pairs * 103) >> 10) & 0x0f_000f_000f_000f;
    pairs + ((1 << 8) - 10) * tens
}

impl Out {
    /// Writes over what an earlier text left: its memory is used again.
    pub fn reuse(bytes: Vec<u8>) -> Self {
        Self { bytes, end: 0 }
    }

    /// The text.
    pub fn into_bytes(mut self) -> Vec<u8> {
        self.bytes.truncate(self.end);
        self.bytes
    }

    #[inline]
    fn room<const N: usize>(&mut self) -> &mut [u8; N] {
        if self.bytes.len() - self.end < N {
            self.grow(N);
        }
        let room = self.bytes[self.end..].first_chunk_mut();
        room.expect("grown to hold N bytes more")
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self, more: usize) {
        let wanted = (self.end + more).max(self.bytes.len() * 2).max(4096);
        // What was given to be used again has room beyond its length.
        self.bytes.resize(wanted.max(self.bytes.capacity()), 0);
    }

    /// Adds one byte.
    #[inline]
    pub fn push(&mut self, byte: u8) {
        self.room::<1>()[0] = byte;
        self.end += 1;
    }

    /// Takes the last byte back and puts this one in its place.
    #[inline]
    pub fn replace_last(&mut self, byte: u8) {
        if let Some(last) = self.bytes[..self.end].last_mut() {
            *last = byte;
        }
    }

    /// Adds bytes.
    #[inline]
    pub fn put(&mut self, piece: &[u8]) {
        if self.bytes.len() - self.end < piece.len() {
            self.grow(piece.len());
        }
        self.bytes[self.end..self.end + piece.len()].copy_from_slice(piece);
        self.end += piece.len();
    }

    /// Adds `source[start..end]`.
    #[inline]
    pub fn put_part(&mut self, source: &[u8], start: usize, end: usize) {
        let length = end - start;
        match source[start..].first_chunk::<BLOCK>() {
            Some(block) if length <= BLOCK => {
                *self.room() = *block;
                self.end += length;
            }
            _ => self.put(&source[start..end]),
        }
    }

    /// Adds a number below 100 as two digits.
    #[inline]
    pub fn put_pair(&mut self, number: u32) {
        *self.room() = PAIRS[number as usize];
        self.end += 2;
    }

    /// Adds a whole number.
    #[inline]
    pub fn put_u64(&mut self, number: u64) {
        if number >= 100_000_000 {
            return self.put(itoa::Buffer::new().format(number).as_bytes());
        }
        let digits = eight_digits(number);
        // A zero in front of the last digit is none.
        let zeros = (digits | 1).leading_zeros() / 8;
        let text = (digits << (8 * zeros)) | u64::from_ne_bytes([b'0'; 8]);
        *self.room() = text.to_be_bytes();
        self.end += 8 - zeros as usize;
    }

    /// Adds a whole number with its sign.
    #[inline]
    pub fn put_i64(&mut self, number: i64) {
        if number < 0 {
            self.push(b'-');
        }
        self.put_u64(number.unsigned_abs());
    }

    /// Adds a number with zeros in front, so that it has at least `width` digits.
    pub fn put_padded(&mut self, number: u64, width: usize) {
        let mut buffer = itoa::Buffer::new();
        let digits = buffer.format(number);
        (digits.len()..width).for_each(|_| self.push(b'0'));
        self.put(digits.as_bytes());
    }

    /// Adds bytes as hexadecimal digits.
    pub fn put_hex(&mut self, bytes: &[u8]) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        for byte in bytes {
            self.push(DIGITS[usize::from(byte >> 4)]);
            self.push(DIGITS[usize::from(byte & 15)]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_written_as_the_standard_library_writes_them() {
        let powers = (0..19).map(|power| 10_i64.pow(power)).flat_map(|power| [power - 1, power, power + 1]);
        let edges = powers.chain([(1 << 53) + 1, i64::MAX]).chain((0..100_000_000).step_by(997));
        for number in edges.flat_map(|edge| [edge, -edge]).chain([i64::MIN]) {
            let mut out = Out::default();
            out.put_i64(number);
            assert_eq!(out.into_bytes(), number.to_string().into_bytes());
        }
    }

    #[test]
    fn short_and_long_parts_come_out_whole_at_either_end_of_their_source() {
        let source: Vec<u8> = (0..100).collect();
        for (start, end) in [(0, 0), (0, 5), (0, 16), (3, 20), (95, 100), (84, 100), (0, 100), (100, 100)] {
            let mut out = Out::reuse(Vec::with_capacity(7));
            out.push(7);
            out.put_part(&source, start, end);
            assert_eq!(out.into_bytes(), [&[7], &source[start..end]].concat());
        }
    }
}
