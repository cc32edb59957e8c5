//! What a field says: its text without quotes, and whether it is a null.

use crate::dialect::Dialect;
use flight_common::values::NullWords;
use memchr::memchr;

/// How fields are read, the same for every column.
#[derive(Clone, Debug)]
pub struct Rules {
    /// How the text is cut.
    pub dialect: Dialect,
    /// How nulls are spelled.
    pub nulls: NullWords,
    /// Whether a quoted field of a text column may be a null.
    pub quoted_nulls: bool,
}

/// A field that goes on after its closing quote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadQuote;

impl Rules {
    /// Whether the field is quoted.
    #[inline]
    pub fn is_quoted(&self, raw: &[u8]) -> bool {
        raw.first().is_some_and(|&first| self.dialect.quote == Some(first))
    }

    /// The text of a field, without its quotes; `scratch` holds it if pairs of quotes had to be joined.
    ///
    /// # Errors
    /// If something follows the closing quote.
    #[inline]
    pub fn text<'a>(&self, raw: &'a [u8], scratch: &'a mut Vec<u8>) -> Result<&'a [u8], BadQuote> {
        match self.dialect.quote {
            Some(quote) if raw.first() == Some(&quote) => unquote(&raw[1..], quote, scratch),
            _ => Ok(raw),
        }
    }

    /// The text of a field in a column that is not text, without the spaces around it; nothing for a null. Nothing
    /// and a quoted nothing are both null here: they could be nothing else.
    ///
    /// # Errors
    /// As [`Rules::text`].
    #[inline]
    pub fn value<'a>(&self, raw: &'a [u8], scratch: &'a mut Vec<u8>) -> Result<Option<&'a [u8]>, BadQuote> {
        let value = self.text(raw, scratch)?.trim_ascii();
        Ok((!value.is_empty() && !self.nulls.contain(value)).then_some(value))
    }
}

/// `rest` is what follows the opening quote.
fn unquote<'a>(rest: &'a [u8], quote: u8, scratch: &'a mut Vec<u8>) -> Result<&'a [u8], BadQuote> {
    let closing = memchr(quote, rest).ok_or(BadQuote)?;
    if closing + 1 == rest.len() {
        return Ok(&rest[..closing]);
    }
    scratch.clear();
    let mut rest = rest;
    loop {
        let at = memchr(quote, rest).ok_or(BadQuote)?;
        scratch.extend_from_slice(&rest[..at]);
        match rest.get(at + 1) {
            None => return Ok(scratch),
            Some(&next) if next == quote => scratch.push(quote),
            Some(_) => return Err(BadQuote),
        }
        rest = &rest[at + 2..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flight_common::values::USUAL_NULLS;

    fn text(raw: &str) -> Result<String, BadQuote> {
        let rules = Rules { dialect: Dialect::default(), nulls: NullWords::new(USUAL_NULLS), quoted_nulls: false };
        let mut scratch = Vec::new();
        let text = rules.text(raw.as_bytes(), &mut scratch)?;
        Ok(String::from_utf8(text.to_vec()).expect("plain text"))
    }

    #[test]
    fn quotes_are_taken_off() {
        for (raw, wanted) in
            [("a", "a"), ("", ""), (r#""""#, ""), (r#""a,b""#, "a,b"), (r#""""a"" b""#, r#""a" b"#), (r#"5""#, r#"5""#)]
        {
            assert_eq!(text(raw).as_deref(), Ok(wanted), "{raw}");
        }
    }

    #[test]
    fn nothing_follows_a_closing_quote() {
        assert_eq!(text(r#""5" pipe""#), Err(BadQuote));
        assert_eq!(text(r#""a"b"#), Err(BadQuote));
    }
}
