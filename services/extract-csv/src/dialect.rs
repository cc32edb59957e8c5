//! How the text is cut into fields, as single bytes.

use flight_common::Violation;

/// The bytes that mean something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dialect {
    /// Between fields.
    pub delimiter: u8,
    /// Around fields that hold a delimiter, a line break or a quote. Nothing: no field is quoted.
    pub quote: Option<u8>,
}

impl Default for Dialect {
    fn default() -> Self {
        Self { delimiter: b',', quote: Some(b'"') }
    }
}

impl Dialect {
    /// Reads the parameters `delimiter` and `quote`.
    ///
    /// # Errors
    /// What is not one plain character.
    pub fn new(delimiter: Option<&str>, quote: &str) -> Result<Self, Violation> {
        let delimiter = delimiter.map_or(Ok(b','), |given| plain(given, "delimiter"))?;
        let quote = if quote.is_empty() { None } else { Some(plain(quote, "quote")?) };
        if quote == Some(delimiter) {
            return Err(refused("quote", "it is the same character as the delimiter", "choose two that differ"));
        }
        Ok(Self { delimiter, quote })
    }
}

fn plain(given: &str, param: &str) -> Result<u8, Violation> {
    match given.as_bytes() {
        br"\t" => Ok(b'\t'),
        [b'\n' | b'\r'] => Err(refused(param, "a line break ends a row", "choose another character")),
        [one] if one.is_ascii() => Ok(*one),
        _ => Err(refused(
            param,
            &format!("{given:?} is not one ASCII character"),
            r#"use one such as "," ";" "|", or "\t" for a tab"#,
        )),
    }
}

fn refused(param: &str, what: &str, help: &str) -> Violation {
    Violation::new(format!("/{param}"), format!("{param}: {what}")).help(help.to_owned())
}
