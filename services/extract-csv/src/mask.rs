//! Where a character stands within 64 bytes, as a bit for each byte.
//!
//! Searching byte by byte costs more than all the rest of reading CSV. x86-64 always has SSE2, which compares 16 bytes
//! at once: several times as fast as the plain integer arithmetic, eight bytes at a time, that is used elsewhere.

/// How many bytes a mask speaks of.
pub const LANES: usize = 64;

/// The bytes equal to `wanted`: bit `i` for byte `i`.
#[inline]
pub fn equal(bytes: &[u8; LANES], wanted: u8) -> u64 {
    #[cfg(target_arch = "x86_64")]
    #[expect(
        unsafe_code,
        reason = "the compiler asks for it at the border to SSE2, which every x86-64 processor has"
    )]
    // SAFETY: SSE2 is part of x86-64 itself.
    return unsafe { sse2(bytes, wanted) };
    #[cfg(not(target_arch = "x86_64"))]
    return portable(bytes, wanted);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "sse2")]
#[inline]
fn sse2(bytes: &[u8; LANES], wanted: u8) -> u64 {
    use std::arch::x86_64::{_mm_cmpeq_epi8, _mm_movemask_epi8, _mm_set_epi64x, _mm_set1_epi8};
    let wanted = _mm_set1_epi8(wanted.cast_signed());
    let (lanes, _) = bytes.as_chunks::<16>();
    let mut mask = 0;
    for (place, lane) in lanes.iter().enumerate() {
        let (halves, _) = lane.as_chunks::<8>();
        let lane = _mm_set_epi64x(i64::from_le_bytes(halves[1]), i64::from_le_bytes(halves[0]));
        let found = _mm_movemask_epi8(_mm_cmpeq_epi8(lane, wanted)).cast_unsigned();
        mask |= u64::from(found) << (place * 16);
    }
    mask
}

#[cfg(any(test, not(target_arch = "x86_64")))]
fn portable(bytes: &[u8; LANES], wanted: u8) -> u64 {
    const LOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;
    let wanted = u64::from(wanted) * 0x0101_0101_0101_0101;
    let (lanes, _) = bytes.as_chunks::<8>();
    let mut mask = 0;
    for (place, lane) in lanes.iter().enumerate() {
        let differing = u64::from_le_bytes(*lane) ^ wanted;
        // The top bit of each byte that is zero, and no other: no carry leaves its byte.
        let zero = !(((differing & LOW) + LOW) | differing | LOW);
        // Gathers the eight top bits in one byte.
        let gathered = (zero >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56;
        mask |= gathered << (place * 8);
    }
    mask
}

/// For each bit, whether the number of bits set up to it, itself included, is odd: within quotes, given the quotes.
#[inline]
pub fn odd_so_far(mut bits: u64) -> u64 {
    for shift in [1, 2, 4, 8, 16, 32] {
        bits ^= bits << shift;
    }
    bits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_find_each_byte_wherever_it_stands() {
        let mut bytes = [0u8; LANES];
        for (place, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::try_from(place * 37 % 11).expect("small") * 25;
        }
        for wanted in 0..=u8::MAX {
            let plain = (0..LANES).filter(|&place| bytes[place] == wanted).fold(0, |mask, place| mask | 1u64 << place);
            assert_eq!(equal(&bytes, wanted), plain, "{wanted}");
            assert_eq!(portable(&bytes, wanted), plain, "{wanted}");
        }
    }

    #[test]
    fn quotes_open_and_close() {
        assert_eq!(odd_so_far(0b0010_0100), 0b0001_1100);
        assert_eq!(odd_so_far(1), u64::MAX);
    }
}
