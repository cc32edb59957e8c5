//! A file that data are compared with: CSV with a header line, compressed or not, or Parquet.
//!
//! It is read as often as need be, some columns at a time and batch by batch, in the types that are asked for. Texts of CSV
//! are read strictly: what is no value of the type is a fault, and not a null.

use crate::marked::{MARK, Marked};
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, StringArray};
use arrow::buffer::NullBuffer;
use arrow::compute::kernels::cmp::distinct;
use arrow::compute::{and, can_cast_types, cast, is_not_null};
use arrow::csv::ReaderBuilder;
use arrow::csv::reader::Format;
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use arrow::error::ArrowError;
use arrow::util::display::array_value_to_string;
use flight_common::cells::plain_type;
use flight_common::params::{bad_param, did_you_mean};
use flight_common::values::types;
use flight_common::{DataRoot, Fault, FileIdentity, ReadFile, Violation, peek, uncompressed};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use regex::Regex;
use std::collections::HashSet;
use std::fmt::Display;
use std::fs::File;
use std::io::Read;
use std::sync::{Arc, LazyLock};

/// Characters of a value that are shown.
const SHOWN: usize = 60;
/// Nulls of CSV, as they are marked.
static NULLS: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(&format!("^{}$", regex::escape(MARK))).expect("escaped words are a pattern"));

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

/// A column that is wanted.
#[derive(Clone)]
pub struct Wanted {
    /// Its name.
    pub name: String,
    /// The type that it is read in.
    pub data_type: DataType,
    /// Whether a value that this type does not hold is a fault, and not rounded.
    pub exact: bool,
}

type Batches = Box<dyn Iterator<Item = Result<RecordBatch, ArrowError>> + Send>;

impl ReferenceFile {
    /// Looks into a file. `pointer` is that of the parameter that names it.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub fn look(root: &DataRoot, path: &str, pointer: &str) -> Result<Self, Fault> {
        let param = pointer.trim_start_matches('/').to_owned();
        let file = root.open_file(path, &param)?;
        let identity = FileIdentity::of(&file, path)?;
        let file = file.into_std();
        let looked = if is_parquet(path) { look_parquet(file) } else { look_csv(file) };
        let (schema, is_empty) = looked.map_err(|error| {
            let fault = unreadable(path, error);
            bad_param(pointer, fault.message().to_owned(), fault.help_text().unwrap_or_default())
        })?;
        Ok(Self { path: path.to_owned(), identity, is_empty, param, schema })
    }

    /// The file, as one that is read.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::Denied`] for a path that leads out.
    pub fn read_of(&self, root: &DataRoot) -> Result<Vec<ReadFile>, Fault> {
        ReadFile::file(root, &self.path, &self.param)
    }

    /// The type of its column of this name. Texts of CSV may become anything: they are of the null type.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::BadSchema`] for a column that it does not have.
    pub fn type_of(&self, name: &str, pointer: &str) -> Result<&DataType, Fault> {
        if let Some((_, field)) = self.schema.column_with_name(name) {
            return Ok(field.data_type());
        }
        let message = format!("{} has no column \"{name}\"", self.path);
        let help = did_you_mean(name, self.schema.fields().iter().map(|field| field.name().as_str()));
        let violation = Violation::new(pointer, message.as_str()).help(help.clone());
        Err(Fault::bad_schema(message).column(name).help(help).with_violations(vec![violation]))
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
        let file = root.open_file(&self.path, &self.param)?;
        self.identity.check(&file, "since it was planned")?;
        let watched = file.again().map_err(|error| Fault::io(&self.path, &error))?;
        let file = file.into_std();
        let batches = if is_parquet(&self.path) { self.parquet(file, wanted) } else { self.csv(file, wanted) };
        let mut rows = 0;
        for batch in batches.map_err(|error| unreadable(&self.path, error))? {
            let batch = batch.map_err(|error| unreadable(&self.path, error))?;
            let columns = wanted.iter().map(|wanted| self.typed(&batch, rows, wanted));
            take(columns.collect::<Result<_, _>>()?)?;
            rows += batch.num_rows();
            tokio::task::yield_now().await;
        }
        self.identity.check(&watched, "while it was read")
    }

    fn places(&self, wanted: &[Wanted]) -> Vec<usize> {
        let place = |wanted: &Wanted| self.schema.index_of(&wanted.name).ok();
        wanted.iter().filter_map(place).collect()
    }

    fn parquet(&self, file: File, wanted: &[Wanted]) -> Result<Batches, ArrowError> {
        let builder = ParquetRecordBatchReaderBuilder::try_new(file)?;
        let some = ProjectionMask::roots(builder.parquet_schema(), self.places(wanted));
        Ok(Box::new(builder.with_projection(some).build()?))
    }

    fn csv(&self, file: File, wanted: &[Wanted]) -> Result<Batches, ArrowError> {
        let texts = self.schema.fields().iter().map(|field| Field::new(field.name(), DataType::Utf8, true));
        let schema = Arc::new(Schema::new(texts.collect::<Vec<_>>()));
        let reader = ReaderBuilder::new(schema)
            .with_header(true)
            .with_null_regex(NULLS.clone())
            .with_projection(self.places(wanted));
        Ok(Box::new(reader.build(text_of(file)?)?))
    }

    /// A column of a batch, before which there are so many rows.
    fn typed(&self, batch: &RecordBatch, rows: usize, wanted: &Wanted) -> Result<ArrayRef, Fault> {
        let Wanted { name, data_type, exact } = wanted;
        let column = batch.column_by_name(name).ok_or_else(|| Fault::internal(format!("{name} was not read")))?;
        let column = trimmed(column, data_type);
        let typed = cast(&column, data_type)?;
        // What cannot be cast has become a null.
        let (before, after) = (column.logical_nulls(), typed.logical_nulls());
        let is_null = |nulls: &Option<NullBuffer>, row| nulls.as_ref().is_some_and(|nulls| nulls.is_null(row));
        let rounded = if *exact { rounded(&column, &typed)? } else { None };
        let is_rounded = |row| rounded.as_ref().is_some_and(|rounded| rounded.value(row));
        match (0..typed.len()).find(|&row| is_null(&after, row) && !is_null(&before, row) || is_rounded(row)) {
            None => Ok(typed),
            Some(row) => Err(self.wrong_value(&array_value_to_string(&column, row)?, rows + row + 1, name, data_type)),
        }
    }

    fn wrong_value(&self, value: &str, row: usize, name: &str, wanted: &DataType) -> Fault {
        let (value, wanted): (String, _) = (value.chars().take(SHOWN).collect(), types::name(wanted));
        Fault::bad_data(format!("{}, row {row}, column \"{name}\": \"{value}\" is not {wanted}", self.path))
            .column(name)
            .help("the data's column holds such values: correct the file, or compare with another column")
    }
}

/// The rows whose values have become others; nothing where that cannot be: a float is as near as it can be to what is no whole
/// number.
fn rounded(column: &ArrayRef, typed: &ArrayRef) -> Result<Option<BooleanArray>, Fault> {
    let (from, to) = (plain_type(column.data_type()), plain_type(typed.data_type()));
    let common = common(from, to);
    let is_free = common.is_string() || to.is_string() || (to.is_floating() && !from.is_integer());
    if is_free || common == *to || !can_cast_types(to, &common) {
        return Ok(None);
    }
    let (before, after) = (cast(column, &common)?, cast(typed, &common)?);
    Ok(Some(and(&distinct(&before, &after)?, &is_not_null(&before)?)?))
}

/// The type in which values are compared with what they have become. One text has many spellings of a value, and is read with
/// all its digits.
fn common(from: &DataType, to: &DataType) -> DataType {
    use DataType::{Date32, Date64, Timestamp};
    match (from, to) {
        (_, to) if from.is_string() && to.is_decimal() => DataType::Decimal256(76, 38),
        (_, Date32 | Date64) if from.is_string() => Timestamp(TimeUnit::Microsecond, None),
        (_, Timestamp(_, zone)) if from.is_string() => Timestamp(TimeUnit::Microsecond, zone.clone()),
        // Back from one zone into another, two hours of autumn would be one.
        (Timestamp(unit, _), Timestamp(_, zone)) => Timestamp(*unit, zone.clone()),
        _ => from.clone(),
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

fn look_csv(file: File) -> Result<(Schema, bool), ArrowError> {
    let (schema, rows) = Format::default().with_header(true).infer_schema(text_of(file)?, Some(1))?;
    let mut names = HashSet::new();
    if let Some(twice) = schema.fields().iter().find(|field| !names.insert(field.name())) {
        return Err(ArrowError::CsvError(format!("two columns are called \"{}\"", twice.name())));
    }
    let fields = schema.fields().iter().map(|field| Field::new(field.name(), DataType::Null, true));
    Ok((Schema::new(fields.collect::<Vec<_>>()), rows == 0))
}

/// The text of a CSV file, uncompressed, with its nulls marked. A byte order mark is no part of the first name.
fn text_of(file: File) -> std::io::Result<Box<dyn Read + Send>> {
    let (first, mut text) = peek::<3>(uncompressed(file)?)?;
    if first == b"\xef\xbb\xbf" {
        text.read_exact(&mut [0; 3])?;
    }
    Ok(Box::new(Marked::new(text)))
}

fn unreadable(path: &str, error: impl Display) -> Fault {
    Fault::bad_data(format!("{path} cannot be read: {error}"))
        .help("a reference is a CSV file with a header line, or a file that ends in .parquet")
}
