//! The referential check: values that must occur in a column of a file.
//!
//! The file's column is read before the first row, and the hashes of its distinct values are kept: between 20 and 40 bytes
//! for each, and half as much again while the table grows. They are looked up for each row, so they stay in memory; a file
//! with more of them than there is memory for is refused.

use crate::file::{ReferenceFile, Wanted};
use crate::hash::{Keys, can_hash};
use crate::hashes::Hashes;
use crate::names::REFERENCE;
use crate::params::{Reference, Rules};
use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{DataType, SchemaRef};
use flight_common::cells::{plain_type, present};
use flight_common::params::{Wrong, pointer};
use flight_common::{DataRoot, Fault, StepContext, columns};

/// A column whose values must occur in a file.
pub struct ReferenceCheck {
    /// The column's place.
    pub place: usize,
    /// The file, and its column.
    pub asked: Reference,
    /// The file, looked into.
    pub file: ReferenceFile,
    /// The name of its column.
    theirs: String,
    /// The type that both columns are compared in.
    plain: DataType,
}

/// The values of each reference.
pub struct References(Vec<Hashes>);

/// The columns with a reference.
pub fn references(rules: &Rules, schema: &SchemaRef, root: &DataRoot, wrong: &mut Wrong) -> Vec<ReferenceCheck> {
    let check = |(name, asked): (&String, &Reference)| {
        let pointer = pointer(["rules", REFERENCE, name]);
        let place = wrong.note(columns::find(schema, name, &pointer))?;
        let plain = plain_type(schema.field(place).data_type()).clone();
        let theirs = asked.column.clone().unwrap_or_else(|| name.clone());
        let file = wrong.note(ReferenceFile::look(root, &asked.file_path, &format!("{pointer}/file_path")))?;
        wrong.note(file.offers(&theirs, &plain, &format!("{pointer}/column")))?;
        let asked = Reference { file_path: asked.file_path.clone(), column: Some(theirs.clone()) };
        let fits = can_hash(&plain) && !plain.is_nested();
        let wrong_type = || columns::wrong_type(name, &plain, "of a type whose values can be compared", &pointer);
        wrong.note(fits.then_some(()).ok_or_else(wrong_type))?;
        Some(ReferenceCheck { place, asked, file, theirs, plain })
    };
    rules.check_reference.iter().filter_map(check).collect()
}

impl References {
    /// Reads the files.
    ///
    /// # Errors
    /// Why one cannot be read; [`flight_common::FaultKind::Busy`] for one whose values do not fit in memory.
    pub async fn load(checks: &[ReferenceCheck], keys: &Keys, context: &StepContext) -> Result<Self, Fault> {
        let mut known = Vec::new();
        for check in checks {
            known.push(check.load(keys, context).await?);
        }
        Ok(Self(known))
    }

    /// For each reference, the rows whose value does not occur there. Nulls are not looked for.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::Internal`] if an encoded column cannot be decoded.
    pub fn failing(
        &self,
        checks: &[ReferenceCheck],
        keys: &Keys,
        batch: &RecordBatch,
    ) -> Result<Vec<BooleanBuffer>, Fault> {
        let failing = |(check, known): (&ReferenceCheck, &Hashes)| {
            let column = batch.column(check.place);
            let hashes = keys.hash_rows(std::slice::from_ref(column), batch.num_rows())?;
            let astray = BooleanBuffer::collect_bool(hashes.len(), |row| !known.contains(hashes[row]));
            Ok(match present(column)? {
                Some(present) => &astray & present.inner(),
                None => astray,
            })
        };
        checks.iter().zip(&self.0).map(failing).collect()
    }
}

impl ReferenceCheck {
    /// What is wrong with a row that breaks it, to follow "it is".
    pub fn offence(&self) -> String {
        format!("not in \"{}\" of {}", self.theirs, self.file.path)
    }

    /// Why a row is turned away for its value in this column.
    pub fn reason(&self, column: &str) -> String {
        format!("{REFERENCE} of \"{column}\": {}", self.offence())
    }

    async fn load(&self, keys: &Keys, context: &StepContext) -> Result<Hashes, Fault> {
        let mut known = Hashes::new(context.budget());
        let wanted = [Wanted { name: self.theirs.clone(), data_type: self.plain.clone(), exact: true }];
        let take = |columns: Vec<ArrayRef>| {
            let hashes = keys.hash_rows(&columns, columns[0].len())?;
            let there = present(&columns[0])?;
            let is_there = |row: &usize| there.as_ref().is_none_or(|there| there.is_valid(*row));
            let all_known = (0..hashes.len()).filter(is_there).all(|row| known.insert(hashes[row]));
            all_known.then_some(()).ok_or_else(|| self.too_many(context))
        };
        self.file.read(&context.env.data_root, &wanted, take).await?;
        Ok(known)
    }

    fn too_many(&self, context: &StepContext) -> Fault {
        let limit = context.budget().limit();
        Fault::busy(format!(
            "\"{}\" of {} holds more different values than there is memory for: {limit} bytes in all, up to 40 for each",
            self.theirs, self.file.path
        ))
        .column(&self.theirs)
        .help("raise `--memory-limit`, or use the step join instead: a left join, and then check_not_null")
    }
}
