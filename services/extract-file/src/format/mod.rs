//! The formats: what a file holds, and its rows.

mod avro;
mod ipc;
mod json;
pub mod parquet;

use crate::condition::Condition;
use crate::given::Given;
use crate::params::{Format, UnknownFields};
use crate::view::FolderValue;
use arrow::array::RecordBatch;
use arrow::datatypes::{FieldRef, Schema, SchemaRef};
use flight_common::{Fault, panics};
use std::collections::BTreeSet;
use std::fs::File;

/// Bytes to aim at in a batch.
const BATCH_BYTES: usize = 4 << 20;

/// The rows of a file, in batches.
pub type Batches = Box<dyn Iterator<Item = Result<RecordBatch, Fault>> + Send>;

/// An open file.
pub struct Opened {
    /// Its path, for faults.
    pub path: String,
    /// Itself.
    pub file: File,
    /// What it is.
    pub format: Format,
}

/// What a file holds.
pub struct Look {
    /// Its columns.
    pub schema: SchemaRef,
    /// The row groups of a Parquet file.
    pub row_groups: Option<usize>,
    /// Whether its types are a guess.
    pub is_guess: bool,
    /// Columns that were guessed to be numbers, and of which a float would hold all values that were looked at.
    pub numbers: BTreeSet<String>,
}

impl Look {
    fn at(schema: SchemaRef) -> Self {
        Self { schema, row_groups: None, is_guess: false, numbers: BTreeSet::new() }
    }

    /// The same, in the types that the user gave.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::BadParams`] for a type of a column of lists or records.
    pub fn typed(mut self, given: &Given, path: &str) -> Result<Self, Fault> {
        self.schema = given.applied(path, self.schema)?;
        self.numbers.retain(|name| !given.names(name));
        Ok(self)
    }
}

/// What is wanted of a file.
pub struct Wanted {
    /// The columns, in the types of the result. A file may lack some.
    pub columns: Vec<FieldRef>,
    /// Of JSON, all columns that there are, wanted or not.
    pub known: Vec<FieldRef>,
    /// Of JSON, the types that the user gave to columns.
    pub given: Given,
    /// Of JSON, what to do about other fields.
    pub unknown: UnknownFields,
    /// Of a Parquet file, which row group.
    pub row_group: Option<usize>,
    /// Of a Parquet file, the columns that leave: others are only looked at by the condition.
    pub selected: SchemaRef,
    /// The rows that are wanted. Only Parquet sees to that by itself.
    pub condition: Option<Condition>,
    /// What the folders of the file say.
    pub folders: Vec<FolderValue>,
}

impl Opened {
    /// What the file holds.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::BadData`] for a file that is not of its format.
    pub fn look(&self, sample_rows: usize) -> Result<Look, Fault> {
        let file = || self.file.try_clone().map_err(|error| Fault::io(&self.path, &error));
        guarded(&self.path, || match self.format {
            Format::Parquet => parquet::look(&self.path, &self.file),
            Format::Json | Format::Ndjson => json::look(&self.path, file()?, sample_rows),
            Format::Arrow => Ok(Look::at(ipc::look(&self.path, file()?)?)),
            Format::Avro => Ok(Look::at(avro::look(&self.path, file()?)?)),
        })
    }

    /// Its rows: the wanted columns that it has, and perhaps others.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::BadData`] for a file that is not of its format.
    pub fn batches(self, wanted: Wanted) -> Result<Batches, Fault> {
        let path = self.path.clone();
        let mut batches = guarded(&path, || match self.format {
            Format::Parquet => parquet::batches(&self.path, self.file, wanted),
            Format::Json | Format::Ndjson => json::batches(&self.path, self.file, wanted),
            Format::Arrow => ipc::batches(&self.path, self.file, &wanted.columns),
            Format::Avro => avro::batches(&self.path, self.file, &wanted.columns),
        })?;
        // After a fault there is nothing more.
        let mut over = false;
        Ok(Box::new(std::iter::from_fn(move || {
            let next = if over { None } else { guarded(&path, || batches.next().transpose()).transpose() };
            over = !matches!(next, Some(Ok(_)));
            next
        })))
    }
}

/// Decoders of files that somebody else wrote may panic where one is damaged; that is a matter of the file.
fn guarded<T>(path: &str, work: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    panics::caught(work).unwrap_or_else(|_| Err(damaged(path, "its decoder gave up")))
}

/// The fault for a file that cannot be read.
fn damaged(path: &str, why: impl std::fmt::Display) -> Fault {
    Fault::bad_data(format!("{path} cannot be read: {why}"))
        .help("is it damaged, cut short, or of another format? Make or fetch it again, or set `format`")
}

/// The places of the wanted columns in a file; of its first one if it has none of them, so that its rows are counted.
fn places(schema: &Schema, wanted: &[FieldRef]) -> Vec<usize> {
    let is_wanted = |place: &usize| wanted.iter().any(|field| field.name() == schema.field(*place).name());
    let places: Vec<usize> = (0..schema.fields().len()).filter(is_wanted).collect();
    if places.is_empty() && !schema.fields().is_empty() { vec![0] } else { places }
}
