//! Rows as one text. The drivers take longer for each value of each row than the databases for putting all of them together.
//!
//! Between values is ASCII's unit separator, between rows its record separator: no name may have a control character in it, and
//! in JSON they are escaped. What is null is an empty value.

use super::{StoreError, parsed};
use memchr::Memchr;

/// What is between values.
pub(super) const BETWEEN_VALUES: char = '\u{1f}';
/// What is between rows.
pub(super) const BETWEEN_ROWS: char = '\u{1e}';

/// The rows in a text.
pub(super) fn rows(text: &str) -> impl DoubleEndedIterator<Item = Values<'_>> {
    text.split(BETWEEN_ROWS).map(Values::of)
}

/// The values of a row, one after the other.
pub(super) struct Values<'a> {
    row: &'a str,
    /// Where the next value begins, if there is one.
    at: Option<usize>,
    ends: Memchr<'a>,
}

impl<'a> Values<'a> {
    pub fn of(row: &'a str) -> Self {
        // Half the time of `str::split`, which searches values of a few bytes as if they were long.
        Self { row, at: Some(0), ends: memchr::memchr_iter(BETWEEN_VALUES as u8, row.as_bytes()) }
    }

    pub fn text(&mut self) -> Result<&'a str, StoreError> {
        // The others may be secrets.
        let first = || self.row.split(BETWEEN_VALUES).next().unwrap_or_default();
        let begin =
            self.at.ok_or_else(|| StoreError::Corrupt(format!("the row of {:?} has too few values", first())))?;
        let end = self.ends.next();
        self.at = end.map(|end| end + 1);
        Ok(&self.row[begin..end.unwrap_or(self.row.len())])
    }

    pub fn text_or_none(&mut self) -> Result<Option<&'a str>, StoreError> {
        Ok(Some(self.text()?).filter(|text| !text.is_empty()))
    }

    pub fn number(&mut self) -> Result<i64, StoreError> {
        number(self.text()?)
    }

    pub fn number_or_none(&mut self) -> Result<Option<i64>, StoreError> {
        self.text_or_none()?.map(number).transpose()
    }

    /// What the JSON in this column is.
    pub fn json<T: serde::de::DeserializeOwned>(&mut self, column: &str) -> Result<T, StoreError> {
        parsed(column, self.text()?)
    }

    /// What the JSON in this column is, if there is any.
    pub fn json_or_none<T: serde::de::DeserializeOwned>(&mut self, column: &str) -> Result<Option<T>, StoreError> {
        self.text_or_none()?.map(|text| parsed(column, text)).transpose()
    }
}

fn number(text: &str) -> Result<i64, StoreError> {
    text.parse().map_err(|_| StoreError::Corrupt(format!("{text:?} is no number")))
}
