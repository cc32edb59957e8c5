//! A file that data are compared with: CSV with a header line, or Parquet.
//!
//! It is read as often as need be, some columns at a time and batch by batch, in the types that are asked for. Texts of CSV
//! are read strictly: what is no value of the type is a fault, and not a null.

use crate::wrong::bad_params;
use arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::compute::{CastOptions, can_cast_types, cast_with_options};
use arrow::csv::ReaderBuilder;
use arrow::csv::reader::Format;
use arrow::datatypes::{DataType, Field, Schema};
use arrow::error::ArrowError;
use flight_common::values::USUAL_NULLS;
use flight_common::{DataRoot, Fault, FileIdentity, columns};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use regex::Regex;
use std::fmt::Display;
use std::fs::File;
use std::io::{Read, Seek};
use std::sync::{Arc, LazyLock};

/// Nulls of CSV, spelled as `extract-csv` reads them.
static NULLS: LazyLock<Regex> = LazyLock::new(|| {
    let words: Vec<String> = USUAL_NULLS.iter().map(|word| regex::escape(word)).collect();
    Regex::new(&format!("^({})$", words.join("|"))).expect("escaped words are a pattern")
});

/// A file, as it was when it was looked into.
pub struct ReferenceFile {
    /// Its path, as the user wrote it.
    pub path: String,
    /// What tells it from another.
    pub identity: FileIdentity,
    /// Whether it holds no row.
    pub is_empty: bool,
    /// The parameter that names it.
    param: String,
    schema: Schema,
}

/// A column that is wanted, by its name, in this type.
pub type Wanted = (String, DataType);

type Batches = Box<dyn Iterator<Item = Result<RecordBatch, ArrowError>> + Send>;

impl ReferenceFile {
    /// Looks into a file. `pointer` is that of the parameter that names it.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub fn look(root: &DataRoot, path: &str, pointer: &str) -> Result<Self, Fault> {
        let param = pointer.trim_start_matches('/').to_owned();
        let mut file = root.open_file(path, &param)?.into_std();
        let identity = FileIdentity::of(&file, path)?;
        let looked = if is_parquet(path) { look_parquet(file) } else { look_csv(&mut file) };
        let (schema, is_empty) = looked.map_err(|error| {
            let fault = unreadable(path, error);
            bad_params(pointer, fault.message().to_owned(), fault.help_text().unwrap_or_default())
        })?;
        Ok(Self { path: path.to_owned(), identity, is_empty, param, schema })
    }

    /// The type of its column of this name. Texts of CSV may become anything: they are of the null type.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::BadSchema`] for a column that it does not have.
    pub fn type_of(&self, name: &str, pointer: &str) -> Result<&DataType, Fault> {
        Ok(self.schema.field(columns::find(&self.schema, name, pointer)?).data_type())
    }

    /// Whether its column of this name can be read in this type.
    ///
    /// # Errors
    /// As [`ReferenceFile::type_of`]; or for a column of another type.
    pub fn offers(&self, name: &str, wanted: &DataType, pointer: &str) -> Result<(), Fault> {
        let found = self.type_of(name, pointer)?;
        if found.is_null() || can_cast_types(found, wanted) {
            return Ok(());
        }
        let message = format!("column \"{name}\" of {} is {found}, and the data's is {wanted}", self.path);
        Err(Fault::bad_schema(message.clone()).column(name).violation(pointer, message))
    }

    /// Shows the wanted columns to `take`, batch by batch, in the order in which they are wanted.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::BadData`] for a file that changed, is damaged, or holds a value that is not of the wanted
    /// type; what `take` says.
    pub async fn read(
        &self,
        root: &DataRoot,
        wanted: &[Wanted],
        mut take: impl FnMut(Vec<ArrayRef>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let file = root.open_file(&self.path, &self.param)?.into_std();
        self.identity.check(&file, "since it was planned")?;
        let watched = file.try_clone().map_err(|error| Fault::io(&self.path, &error))?;
        let batches = if is_parquet(&self.path) { self.parquet(file, wanted) } else { self.csv(file, wanted) };
        for batch in batches.map_err(|error| unreadable(&self.path, error))? {
            let batch = batch.map_err(|error| unreadable(&self.path, error))?;
            let columns = wanted.iter().map(|(name, data_type)| self.typed(&batch, name, data_type));
            take(columns.collect::<Result<_, _>>()?)?;
            tokio::task::yield_now().await;
        }
        self.identity.check(&watched, "while it was read")
    }

    fn places(&self, wanted: &[Wanted]) -> Vec<usize> {
        let place = |(name, _): &Wanted| self.schema.index_of(name).ok();
        wanted.iter().filter_map(place).collect()
    }

    fn parquet(&self, file: File, wanted: &[Wanted]) -> Result<Batches, ArrowError> {
        let builder = ParquetRecordBatchReaderBuilder::try_new(file)?;
        let some = ProjectionMask::roots(builder.parquet_schema(), self.places(wanted));
        Ok(Box::new(builder.with_projection(some).build()?))
    }

    fn csv(&self, mut file: File, wanted: &[Wanted]) -> Result<Batches, ArrowError> {
        skip_mark(&mut file)?;
        let texts = self.schema.fields().iter().map(|field| Field::new(field.name(), DataType::Utf8, true));
        let schema = Arc::new(Schema::new(texts.collect::<Vec<_>>()));
        let reader = ReaderBuilder::new(schema)
            .with_header(true)
            .with_null_regex(NULLS.clone())
            .with_projection(self.places(wanted));
        Ok(Box::new(reader.build(file)?))
    }

    fn typed(&self, batch: &RecordBatch, name: &str, wanted: &DataType) -> Result<ArrayRef, Fault> {
        let column = batch.column_by_name(name).ok_or_else(|| Fault::internal(format!("{name} was not read")))?;
        let strict = CastOptions { safe: false, ..CastOptions::default() };
        cast_with_options(&trimmed(column, wanted), wanted, &strict).map_err(|error| {
            let why = match error {
                ArrowError::CastError(why) | ArrowError::ParseError(why) => why,
                other => other.to_string(),
            };
            Fault::bad_data(format!("{}, column \"{name}\": {why}", self.path))
                .column(name)
                .help(format!("the data's column is {wanted}: correct the file, or compare with another column"))
        })
    }
}

/// Spaces around a value do not count, but in texts.
fn trimmed(column: &ArrayRef, wanted: &DataType) -> ArrayRef {
    match column.as_string_opt::<i32>() {
        Some(texts) if !wanted.is_string() => {
            Arc::new(texts.iter().map(|text| text.map(str::trim)).collect::<StringArray>())
        }
        _ => column.clone(),
    }
}

fn is_parquet(path: &str) -> bool {
    path.to_lowercase().ends_with(".parquet")
}

fn look_parquet(file: File) -> Result<(Schema, bool), ArrowError> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(file)?;
    Ok((builder.schema().as_ref().clone(), builder.metadata().file_metadata().num_rows() == 0))
}

fn look_csv(file: &mut File) -> Result<(Schema, bool), ArrowError> {
    skip_mark(file)?;
    let (schema, rows) = Format::default().with_header(true).infer_schema(file, Some(1))?;
    let fields = schema.fields().iter().map(|field| Field::new(field.name(), DataType::Null, true));
    Ok((Schema::new(fields.collect::<Vec<_>>()), rows == 0))
}

/// A byte order mark is no part of the first name.
fn skip_mark(file: &mut File) -> Result<(), ArrowError> {
    let mut first = Vec::with_capacity(3);
    file.by_ref().take(3).read_to_end(&mut first)?;
    if first != b"\xef\xbb\xbf" {
        file.rewind()?;
    }
    Ok(())
}

fn unreadable(path: &str, error: impl Display) -> Fault {
    Fault::bad_data(format!("{path} cannot be read: {error}"))
        .help("a reference is a CSV file with a header line, or a file that ends in .parquet")
}
