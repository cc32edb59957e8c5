//! Where fields end: the one place that knows what a quote means.
//!
//! A quote opens a quoted field when it is the first character of a field; anywhere else outside of quotes it is a
//! character like others (`5" pipe`). Within quotes, two stand for one, and one closes. 64 bytes are looked at in one
//! go: the parity of the quotes so far says what lies within quotes. That reading is right as long as every quote that
//! opens stands where one may, which is checked; if one does not, that word is walked quote by quote.

use crate::dialect::Dialect;
use crate::mask::{LANES, equal, odd_so_far};

/// The state between two words of 64 bytes.
#[derive(Clone, Copy, Debug)]
pub struct Scanner {
    dialect: Dialect,
    /// All ones within quotes, else zero.
    within: u64,
    /// One when a quote at the next byte would open a field (or go on with one, as the second of two).
    may_open: u64,
}

/// What ends in 64 bytes: a bit for each byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// Bytes that end a field: delimiters and line breaks outside of quotes.
    pub fields: u64,
    /// Those of them that end a record.
    pub records: u64,
    /// All line breaks, within quotes too.
    pub lines: u64,
}

impl Scanner {
    /// At the start of a record.
    pub fn new(dialect: Dialect) -> Self {
        Self { dialect, within: 0, may_open: 1 }
    }

    /// Whether a quoted field is open.
    pub fn is_within_quotes(&self) -> bool {
        self.within != 0
    }

    /// Goes on past text without quotes that ends in `last`.
    pub fn pass(&mut self, last: u8) {
        self.may_open = u64::from(!self.is_within_quotes() && (last == b'\n' || last == self.dialect.delimiter));
    }

    /// Looks at the next 64 bytes, of which only the first `count` are text.
    #[inline]
    pub fn step(&mut self, bytes: &[u8; LANES], count: usize) -> Ends {
        let text = if count < LANES { (1 << count) - 1 } else { u64::MAX };
        let lines = equal(bytes, b'\n') & text;
        let fields = equal(bytes, self.dialect.delimiter) & text | lines;
        let quotes = self.dialect.quote.map_or(0, |quote| equal(bytes, quote) & text);
        if quotes == 0 {
            let outside = !self.within;
            self.may_open = (fields & outside) >> 63;
            return Ends { fields: fields & outside, records: lines & outside, lines };
        }
        self.quoted(quotes, fields, lines)
    }

    fn quoted(&mut self, quotes: u64, fields: u64, lines: u64) -> Ends {
        let mut within = odd_so_far(quotes) ^ self.within;
        let opening = quotes & within;
        // A quote that follows a closing one makes a pair, which stands for one quote: as if it opened again.
        let before = ((fields | quotes) & !within) << 1 | self.may_open;
        if opening & !before != 0 {
            within = self.walk(quotes, fields);
        }
        // A quote closes if the byte before it lies within; a literal one does not.
        let closing = quotes & !within & (within << 1 | self.within & 1);
        self.may_open = (fields & !within | closing) >> 63;
        self.within = if within >> 63 == 1 { u64::MAX } else { 0 };
        Ends { fields: fields & !within, records: lines & !within, lines }
    }

    /// Which bytes lie within quotes, found quote by quote.
    fn walk(&self, quotes: u64, fields: u64) -> u64 {
        let (mut rest, mut toggles) = (quotes, 0u64);
        let mut inside = self.is_within_quotes();
        let mut closed_at = None;
        while rest != 0 {
            let at = rest.trailing_zeros();
            rest &= rest - 1;
            let before = match at {
                0 => self.may_open == 1,
                _ => fields >> (at - 1) & 1 == 1 || closed_at == Some(at - 1),
            };
            if inside {
                closed_at = Some(at);
            } else if !before {
                continue;
            }
            inside = !inside;
            toggles |= 1 << at;
        }
        odd_so_far(toggles) ^ self.within
    }
}

/// Where the quoted field begins that is still open at the end of `text`, which starts with a record.
pub fn open_quote(text: &[u8], dialect: Dialect) -> Option<usize> {
    let quote = dialect.quote?;
    let (mut opened, mut inside, mut may_open, mut pair) = (0, false, true, false);
    for (at, &byte) in text.iter().enumerate() {
        if inside {
            inside = byte != quote;
            (may_open, pair) = (!inside, !inside);
        } else if byte == quote && may_open {
            inside = true;
            opened = if pair { opened } else { at };
        } else {
            may_open = byte == b'\n' || byte == dialect.delimiter;
            pair = false;
        }
    }
    inside.then_some(opened)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Ends found by the scanner, 64 bytes at a time.
    fn scanned(text: &[u8]) -> (Vec<usize>, bool) {
        let mut scanner = Scanner::new(Dialect::default());
        let mut ends = Vec::new();
        for at in (0..text.len()).step_by(LANES) {
            let count = LANES.min(text.len() - at);
            let mut word = [b','; LANES];
            word[..count].copy_from_slice(&text[at..at + count]);
            let found = scanner.step(&word, count);
            assert_eq!(found.records & !found.fields, 0);
            ends.extend((0..LANES).filter(|bit| found.fields >> bit & 1 == 1).map(|bit| at + bit));
        }
        (ends, scanner.is_within_quotes())
    }

    /// The same, one byte after the other.
    fn walked(text: &[u8]) -> (Vec<usize>, bool) {
        let (mut inside, mut may_open) = (false, true);
        let mut ends = Vec::new();
        for (at, &byte) in text.iter().enumerate() {
            let separates = !inside && matches!(byte, b',' | b'\n');
            if separates {
                ends.push(at);
            }
            let toggles = byte == b'"' && (inside || may_open);
            may_open = separates || toggles && inside;
            inside ^= toggles;
        }
        (ends, inside)
    }

    proptest! {
        #[test]
        fn words_are_read_as_bytes_are(text in r#"[ab,"\n]{0,300}"#) {
            prop_assert_eq!(scanned(text.as_bytes()), walked(text.as_bytes()));
        }

        #[test]
        fn an_open_quote_is_found(text in r#"[ab,"\n]{0,300}"#) {
            let opened = open_quote(text.as_bytes(), Dialect::default());
            prop_assert_eq!(opened.is_some(), walked(text.as_bytes()).1);
            if let Some(at) = opened {
                prop_assert!(!walked(&text.as_bytes()[..at]).1);
            }
        }
    }

    #[test]
    fn a_quote_within_an_unquoted_field_is_a_character() {
        assert_eq!(scanned(b"5\" pipe,\"a,b\"\n").0, [7, 13]);
    }
}
