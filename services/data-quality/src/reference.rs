//! The referential check: values that must occur in a column of a file.
//!
//! The file's column is read before the first row, and the hashes of its distinct values are kept, 32 bytes for each.
//! They are looked up for each row, so they stay in memory; a file with more of them than there is memory for is refused.

use crate::hash::{Keys, can_hash};
use crate::missing::present;
use crate::params::{Reference, Rules};
use crate::plan::{Plan, Wrong, bad_params, pointer};
use crate::types::value_type;
use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::buffer::BooleanBuffer;
use arrow::compute::cast;
use arrow::csv::ReaderBuilder;
use arrow::csv::reader::Format;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use flight_common::{DataRoot, Fault, Reservation, StepContext, columns};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::collections::HashSet;
use std::fs::File;
use std::sync::Arc;

/// The name of the rule.
pub const REFERENCE: &str = "check_reference";
/// What a hash takes in a set: itself, and its share of free places.
const ENTRY: usize = 32;

/// A column whose values must occur in a file.
pub struct ReferenceCheck {
    /// The column's place.
    pub place: usize,
    /// The file, and its column.
    pub asked: Reference,
    /// The column's place in the file.
    theirs: usize,
    /// The type that both columns are compared in.
    plain: DataType,
}

/// The values of each reference.
#[derive(Default)]
pub struct References {
    sets: Vec<HashSet<u128>>,
    _memory: Option<Reservation>,
}

/// The columns with a reference.
pub fn references(rules: &Rules, schema: &SchemaRef, root: &DataRoot, wrong: &mut Wrong) -> Vec<ReferenceCheck> {
    let check = |(name, asked): (&String, &Reference)| {
        let pointer = pointer(REFERENCE, name);
        let place = wrong.note(columns::find(schema, name, &pointer))?;
        let plain = value_type(schema.field(place).data_type()).clone();
        let their_name = asked.column.as_deref().unwrap_or(name);
        let theirs = schema_of(asked, &pointer, root)
            .and_then(|found| columns::find(&found, their_name, &format!("{pointer}/column")));
        let theirs = wrong.note(theirs)?;
        let asked = Reference { file_path: asked.file_path.clone(), column: Some(their_name.to_owned()) };
        let fits = can_hash(&plain) && !plain.is_nested();
        let wrong_type = || columns::wrong_type(name, &plain, "of a type whose values can be compared", &pointer);
        wrong.note(fits.then_some(()).ok_or_else(wrong_type))?;
        Some(ReferenceCheck { place, asked, theirs, plain })
    };
    rules.check_reference.iter().filter_map(check).collect()
}

fn open(asked: &Reference, pointer: &str, root: &DataRoot) -> Result<File, Fault> {
    let param = format!("{}/file_path", pointer.trim_start_matches('/'));
    Ok(root.open_file(&asked.file_path, &param)?.into_std())
}

fn is_parquet(asked: &Reference) -> bool {
    asked.file_path.to_lowercase().ends_with(".parquet")
}

fn unreadable(asked: &Reference, error: impl std::fmt::Display) -> Fault {
    Fault::bad_data(format!("{} cannot be read: {error}", asked.file_path))
        .help("a reference is a CSV file with a header line, or a file that ends in .parquet")
}

/// The columns of the file. Those of CSV are texts, which are read as the column asks.
fn schema_of(asked: &Reference, pointer: &str, root: &DataRoot) -> Result<Schema, Fault> {
    let file = open(asked, pointer, root)?;
    let explain = |fault: Fault| {
        let message = fault.message().to_owned();
        bad_params(format!("{pointer}/file_path"), message, fault.help_text().unwrap_or_default())
    };
    if is_parquet(asked) {
        let builder =
            ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| explain(unreadable(asked, error)))?;
        return Ok(builder.schema().as_ref().clone());
    }
    let inferred = Format::default().with_header(true).infer_schema(file, Some(0));
    let (schema, _) = inferred.map_err(|error| explain(unreadable(asked, error)))?;
    Ok(Schema::new(
        schema.fields().iter().map(|field| Field::new(field.name(), DataType::Utf8, true)).collect::<Vec<_>>(),
    ))
}

impl References {
    /// Reads the files.
    ///
    /// # Errors
    /// Why one cannot be read; [`flight_common::FaultKind::Busy`] for one whose values do not fit in memory.
    pub async fn load(plan: &Plan, keys: &Keys, context: &StepContext) -> Result<Self, Fault> {
        let mut memory = context.budget().reservation();
        let mut sets = Vec::new();
        for check in &plan.references {
            sets.push(check.load(keys, &mut memory, context).await?);
        }
        Ok(Self { sets, _memory: Some(memory) })
    }

    /// For each reference, the rows whose value does not occur there. Nulls are not looked for.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::Internal`] if an encoded column cannot be decoded.
    pub fn failing(&self, plan: &Plan, keys: &Keys, batch: &RecordBatch) -> Result<Vec<BooleanBuffer>, Fault> {
        let failing = |(check, set): (&ReferenceCheck, &HashSet<u128>)| {
            let column = batch.column(check.place);
            let hashes = keys.hash_rows(std::slice::from_ref(column), batch.num_rows())?;
            let astray = BooleanBuffer::collect_bool(hashes.len(), |row| !set.contains(&hashes[row]));
            Ok(match present(column)? {
                Some(present) => &astray & present.inner(),
                None => astray,
            })
        };
        plan.references.iter().zip(&self.sets).map(failing).collect()
    }
}

impl ReferenceCheck {
    /// What is wrong with a row that breaks it, to follow "it is".
    pub fn offence(&self) -> String {
        format!("not in \"{}\" of {}", self.asked.column.as_deref().unwrap_or_default(), self.asked.file_path)
    }

    /// Why a row is turned away.
    pub fn reason(&self, plan: &Plan) -> String {
        format!("{REFERENCE} of \"{}\": {}", plan.name(self.place), self.offence())
    }

    async fn load(&self, keys: &Keys, memory: &mut Reservation, context: &StepContext) -> Result<HashSet<u128>, Fault> {
        let mut set = HashSet::new();
        for batch in self.batches(&context.env.data_root)? {
            let batch = batch.map_err(|error| unreadable(&self.asked, error))?;
            let column: ArrayRef = cast(batch.column(0), &self.plain)?;
            let hashes = keys.hash_rows(std::slice::from_ref(&column), column.len())?;
            let there = present(&column)?;
            for (row, hash) in hashes.into_iter().enumerate() {
                let is_there = there.as_ref().is_none_or(|there| there.is_valid(row));
                if is_there && set.insert(hash) && !memory.try_grow(ENTRY) {
                    let message = format!("{} holds more values than there is memory for", self.asked.file_path);
                    return Err(Fault::new(flight_common::FaultKind::Busy, message)
                        .help("allow more memory, or join the rows with the file instead"));
                }
            }
            tokio::task::yield_now().await;
        }
        Ok(set)
    }

    /// The file's column, batch by batch.
    fn batches(
        &self,
        root: &DataRoot,
    ) -> Result<Box<dyn Iterator<Item = Result<RecordBatch, ArrowError>> + Send>, Fault> {
        let pointer = format!("/rules/{REFERENCE}");
        let file = open(&self.asked, &pointer, root)?;
        if is_parquet(&self.asked) {
            let builder =
                ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| unreadable(&self.asked, error))?;
            let one = ProjectionMask::roots(builder.parquet_schema(), [self.theirs]);
            let reader = builder.with_projection(one).build().map_err(|error| unreadable(&self.asked, error))?;
            return Ok(Box::new(reader));
        }
        let schema = Arc::new(schema_of(&self.asked, &pointer, root)?);
        let reader = ReaderBuilder::new(schema).with_header(true).with_projection(vec![self.theirs]);
        Ok(Box::new(reader.build(file).map_err(|error| unreadable(&self.asked, error))?))
    }
}
