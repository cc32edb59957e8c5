//! A growing text, made for many short pieces.
//!
//! Most cells are a few bytes long, and for those a call of `memcpy` costs more than the copy. So short pieces are
//! copied in blocks of fixed length, which compile to a load and a store; what is too much is overwritten by the next.
//!
//! There are two ways to write. `put…` makes room and moves the end: for all. `…_at` does neither, for loops that make
//! room once for many pieces and keep the end in a register.

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

    /// Where the text ends.
    #[inline(always)]
    pub fn end(&self) -> usize {
        self.end
    }

    /// The text from there on.
    pub fn since(&self, start: usize) -> &[u8] {
        &self.bytes[start..self.end]
    }

    /// Says where the text ends, after pieces were put in place by the functions whose names end in `_at`.
    #[inline(always)]
    pub fn set_end(&mut self, end: usize) {
        self.end = end;
    }

    /// Makes room for this many bytes beyond the end.
    #[inline(always)]
    pub fn ensure(&mut self, more: usize) {
        if self.bytes.len() - self.end < more {
            self.grow(more);
        }
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self, more: usize) {
        let wanted = (self.end + more).max(self.bytes.len() * 2).max(4096);
        // What was given to be used again has room beyond its length.
        self.bytes.resize(wanted.max(self.bytes.capacity()), 0);
    }

    #[inline(always)]
    fn block_at<const N: usize>(&mut self, at: usize, block: [u8; N]) {
        self.bytes[at..at + N].copy_from_slice(&block);
    }

    #[inline]
    fn room<const N: usize>(&mut self) -> &mut [u8; N] {
        self.ensure(N);
        let room = self.bytes[self.end..].first_chunk_mut();
        room.expect("there is room for N bytes more")
    }

    /// Adds one byte.
    #[inline]
    pub fn push(&mut self, byte: u8) {
        self.room::<1>()[0] = byte;
        self.end += 1;
    }

    /// Puts one byte at `at`, and tells where it ends.
    #[inline(always)]
    pub fn byte_at(&mut self, at: usize, byte: u8) -> usize {
        self.bytes[at] = byte;
        at + 1
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
        self.ensure(piece.len());
        self.bytes[self.end..self.end + piece.len()].copy_from_slice(piece);
        self.end += piece.len();
    }

    /// What [`Out::part_at`] takes at most for a part of this length.
    pub const fn most_for_part(length: usize) -> usize {
        if length < BLOCK { BLOCK } else { length }
    }

    /// Puts `source[start..end]` at `at`, and tells where it ends.
    #[inline(always)]
    pub fn part_at(&mut self, at: usize, source: &[u8], start: usize, end: usize) -> usize {
        let length = end - start;
        match source[start..].first_chunk::<BLOCK>() {
            Some(block) if length <= BLOCK => self.block_at(at, *block),
            _ => self.bytes[at..at + length].copy_from_slice(&source[start..end]),
        }
        at + length
    }

    /// Adds a number below 100 as two digits.
    #[inline]
    pub fn put_pair(&mut self, number: u32) {
        *self.room() = PAIRS[number as usize];
        self.end += 2;
    }

    /// Adds a whole number.
    pub fn put_u64(&mut self, number: u64) {
        self.ensure(Self::MOST_FOR_NUMBER);
        self.end = self.u64_at(self.end, number);
    }

    /// Adds a whole number with its sign.
    pub fn put_i64(&mut self, number: i64) {
        self.ensure(Self::MOST_FOR_NUMBER);
        self.end = self.i64_at(self.end, number);
    }

    /// What a whole number takes at most.
    pub const MOST_FOR_NUMBER: usize = 20;

    /// Puts a whole number with its sign at `at`, and tells where it ends.
    #[inline(always)]
    pub fn i64_at(&mut self, at: usize, number: i64) -> usize {
        let at = if number < 0 { self.byte_at(at, b'-') } else { at };
        self.u64_at(at, number.unsigned_abs())
    }

    #[inline(always)]
    fn u64_at(&mut self, at: usize, number: u64) -> usize {
        if number >= 100_000_000 {
            return self.large_at(at, number);
        }
        let digits = eight_digits(number);
        // A zero in front of the last digit is none.
        let zeros = (digits | 1).leading_zeros() / 8;
        let text = (digits << (8 * zeros)) | u64::from_ne_bytes([b'0'; 8]);
        self.block_at(at, text.to_be_bytes());
        at + 8 - zeros as usize
    }

    #[inline(never)]
    fn large_at(&mut self, at: usize, number: u64) -> usize {
        let mut buffer = itoa::Buffer::new();
        let digits = buffer.format(number).as_bytes();
        self.bytes[at..at + digits.len()].copy_from_slice(digits);
        at + digits.len()
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
            out.ensure(Out::most_for_part(end - start));
            let end_of_part = out.part_at(out.end(), &source, start, end);
            out.set_end(end_of_part);
            assert_eq!(out.into_bytes(), [&[7], &source[start..end]].concat());
        }
    }
}
