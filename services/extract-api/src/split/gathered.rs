//! Records that have been found, one behind the other, and the one that has begun.

use flight_common::{BATCH_ROWS, Fault};
use std::collections::VecDeque;
use std::sync::Arc;

/// Bytes of records to hand on at once.
const BLOCK: usize = 1 << 20;

/// How long a record may be.
pub const RECORD_LIMIT: usize = 64 << 20;

/// Some whole records.
#[derive(Debug, Default)]
pub struct Records {
    /// Their bytes: JSON, or the fields of rows without delimiters.
    pub bytes: Vec<u8>,
    /// Where each value ends: a record, or a field of a row.
    pub ends: Vec<usize>,
    /// The names of the fields, for rows of fields.
    pub names: Option<Arc<[String]>>,
}

impl Records {
    /// How many values a record has.
    pub fn width(&self) -> usize {
        self.names.as_ref().map_or(1, |names| names.len())
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.ends.len() / self.width().max(1)
    }

    /// The same records, each a value, in parts of at most so many.
    pub fn parts(&self, records: usize) -> impl Iterator<Item = Self> {
        let mut start = 0;
        self.ends.chunks(records).map(move |ends| {
            let begun = std::mem::replace(&mut start, ends.last().copied().unwrap_or_default());
            let bytes = self.bytes[begun..start].to_vec();
            Self { bytes, ends: ends.iter().map(|end| end - begun).collect(), names: None }
        })
    }

    /// The values, one after the other.
    pub fn values(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, &end)| &self.bytes[start..end])
    }
}

/// Records as they are found.
#[derive(Debug, Default)]
pub struct Gathered {
    now: Records,
    full: VecDeque<Records>,
    ended: bool,
    /// Whether names are still to be handed on: a table without rows has columns too.
    owes_names: bool,
}

impl Gathered {
    /// The bytes that a record is written to, behind those of the records before it.
    pub fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.now.bytes
    }

    /// What has begun and not ended.
    pub fn begun(&self) -> &[u8] {
        &self.now.bytes[self.now.ends.last().copied().unwrap_or_default()..]
    }

    /// Forgets what has begun.
    pub fn forget(&mut self) {
        self.now.bytes.truncate(self.now.ends.last().copied().unwrap_or_default());
    }

    /// Names the fields of all records.
    pub fn name(&mut self, names: Arc<[String]>) {
        self.now.names = Some(names);
        self.owes_names = true;
    }

    /// The names of the fields, as far as they are known.
    #[cfg(test)]
    pub fn names(&self) -> Vec<String> {
        self.now.names.as_ref().map(|names| names.to_vec()).unwrap_or_default()
    }

    /// Ends a value.
    pub fn end_value(&mut self) {
        self.now.ends.push(self.now.bytes.len());
    }

    /// Ends several values at once, at these places.
    pub fn end_values(&mut self, ends: impl IntoIterator<Item = usize>) {
        self.now.ends.extend(ends);
    }

    /// Ends a record: nothing has begun.
    pub fn end_record(&mut self) {
        if self.now.bytes.len() >= BLOCK || self.now.len() >= BATCH_ROWS {
            let next = Records { names: self.now.names.clone(), ..Records::default() };
            self.full.push_back(std::mem::replace(&mut self.now, next));
        }
    }

    /// Refuses a record that grows too long.
    pub fn check_length(&self) -> Result<(), Fault> {
        if self.begun().len() <= RECORD_LIMIT { Ok(()) } else { Err(too_long()) }
    }

    /// Ends the page.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// The next records to hand on.
    pub fn take(&mut self) -> Option<Records> {
        let full = self.full.pop_front();
        let rest = || {
            let is_due = self.ended && (!self.now.ends.is_empty() || self.owes_names);
            is_due.then(|| std::mem::take(&mut self.now))
        };
        let taken = full.or_else(rest);
        self.owes_names &= taken.is_none();
        taken
    }

    /// Bytes that it holds.
    pub fn kept(&self) -> usize {
        self.now.bytes.capacity() + self.now.ends.capacity() * size_of::<usize>()
    }
}

/// The fault for a record that is too long.
pub fn too_long() -> Fault {
    Fault::bad_data(format!("a record is longer than {} MiB", RECORD_LIMIT >> 20))
        .help("is `records_path` the list of the records?")
}
