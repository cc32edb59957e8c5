//! Types that the user gives to columns of JSON, where they are not to be guessed.
//!
//! A value of such a column is read as it is written, text, number or boolean, and becomes one of its type by the rules
//! that all extracts of text share.

use crate::params::Format;
use arrow::array::{ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use flight_common::Fault;
use flight_common::params::{bad_param, bad_params};
use flight_common::values::{Column, Forms, column, types};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Characters of a value that are shown.
const SHOWN: usize = 60;

/// Types by the names of columns.
#[derive(Clone, Debug, Default)]
pub struct Given(Arc<Vec<(String, DataType)>>);

impl Given {
    /// Reads the parameter `types`.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::BadParams`] with all that is no type.
    pub fn new(named: BTreeMap<String, String>) -> Result<Self, Fault> {
        let mut wrong = Vec::new();
        let given = types::given(named, &mut wrong);
        if wrong.is_empty() { Ok(Self(Arc::new(given))) } else { Err(bad_params(wrong)) }
    }

    fn of(&self, name: &str) -> Option<&DataType> {
        self.0.iter().find(|(column, _)| column == name).map(|(_, data_type)| data_type)
    }

    /// Whether types can be given to columns of a file.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::BadParams`] for a format whose files say of what types they are.
    pub fn check_format(&self, path: &str, format: Format) -> Result<(), Fault> {
        match (self.0.first(), format) {
            (None, _) | (_, Format::Json | Format::Ndjson) => Ok(()),
            (Some((column, data_type)), Format::Parquet | Format::Arrow | Format::Avro) => {
                let message = format!("types: {path} is no JSON, and says itself of what types its columns are");
                let help = format!("cast in the step `sql`: CAST(\"{column}\" AS …) for {}", types::name(data_type));
                Err(bad_param("/types", message, help))
            }
        }
    }

    /// Whether a column has a given type.
    pub fn names(&self, column: &str) -> bool {
        self.of(column).is_some()
    }

    /// The columns that types are given to: those of files without any record.
    pub fn columns(&self) -> SchemaRef {
        let fields = self.0.iter().map(|(name, data_type)| Field::new(name, data_type.clone(), true));
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }

    /// The columns of a file, in the given types.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::BadParams`] for a column of lists or records.
    pub fn applied(&self, path: &str, schema: SchemaRef) -> Result<SchemaRef, Fault> {
        if self.0.is_empty() {
            return Ok(schema);
        }
        let field = |field: &FieldRef| match (self.of(field.name()), field.data_type()) {
            (None, _) => Ok(field.clone()),
            (Some(_), DataType::Struct(_) | DataType::List(_)) => {
                let name = field.name();
                let message = format!("types.{name}: the column \"{name}\" of {path} holds lists or records");
                Err(bad_param(
                    types::pointer(name),
                    message,
                    "leave it out of `types`, and take it apart in the step `sql`",
                ))
            }
            (Some(data_type), _) => Ok(Arc::new(Field::clone(field).with_data_type(data_type.clone()))),
        };
        let fields = schema.fields().iter().map(field).collect::<Result<Vec<_>, Fault>>()?;
        Ok(Arc::new(Schema::new(fields)))
    }

    /// Whether there are the columns that types are given to. `made` are those of folders.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::BadSchema`] with the nearest name, [`flight_common::FaultKind::BadParams`] for a column
    /// that folders make.
    pub fn check_columns(&self, own: &Schema, made: &[Field]) -> Result<(), Fault> {
        let is_made = |name: &str| made.iter().any(|made| made.name() == name);
        if let Some((name, _)) = self.0.iter().find(|(name, _)| is_made(name)) {
            let message = format!("types.{name}: the column \"{name}\" is made by folders");
            return Err(bad_param(types::pointer(name), message, "set `partition_types`"));
        }
        types::places(own, &self.0).map(drop)
    }

    /// Those of these columns that have a given type.
    pub fn wanted(&self, columns: &[FieldRef]) -> Vec<(String, DataType)> {
        let is_wanted = |name: &str| columns.iter().any(|field| field.name() == name);
        self.0.iter().filter(|(name, _)| is_wanted(name)).cloned().collect()
    }

    /// These columns as they are decoded.
    pub fn as_texts(&self, columns: &[FieldRef]) -> Vec<FieldRef> {
        let as_text = |field: &FieldRef| match self.of(field.name()) {
            Some(_) => Arc::new(Field::clone(field).with_data_type(DataType::Utf8)),
            None => field.clone(),
        };
        columns.iter().map(as_text).collect()
    }
}

/// The rows with values in these columns, which hold texts. `before` are the rows of the file before them.
///
/// # Errors
/// [`flight_common::FaultKind::BadData`] for a text that is no value of its type.
pub fn typed(rows: RecordBatch, given: &[(String, DataType)], path: &str, before: u64) -> Result<RecordBatch, Fault> {
    if given.is_empty() {
        return Ok(rows);
    }
    let schema = rows.schema();
    let (mut fields, mut arrays) = (schema.fields().to_vec(), rows.columns().to_vec());
    for (name, data_type) in given {
        let place = schema.index_of(name)?;
        arrays[place] = values(&arrays[place], data_type).map_err(|(row, text)| {
            let row = before + row as u64 + 1;
            let (shown, is) = (shown(&text), types::name(data_type));
            Fault::bad_data(format!("{path}, row {row}, column \"{name}\": {shown} is not {is}, as `types` says"))
                .help(format!("correct the value, or set `types: {{{name:?}: \"string\"}}`"))
                .column(name)
                .row(row)
        })?;
        fields[place] = Arc::new(Field::clone(&fields[place]).with_data_type(data_type.clone()));
    }
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?)
}

/// Values from texts, or the place and the text of the first that is none.
fn values(texts: &ArrayRef, data_type: &DataType) -> Result<ArrayRef, (usize, String)> {
    if *data_type == DataType::Utf8 {
        return Ok(texts.clone());
    }
    let mut column: Box<dyn Column> = column(data_type, true, &Arc::new(Forms::default()));
    for (row, text) in texts.as_string::<i32>().iter().enumerate() {
        match text {
            None => column.push_null(),
            Some(text) if column.push(text.trim()) => {}
            Some(text) => return Err((row, text.to_owned())),
        }
    }
    Ok(column.finish())
}

/// A value in quotes, cut short.
fn shown(value: &str) -> String {
    match value.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{:?}…", &value[..end]),
        None => format!("{value:?}"),
    }
}
