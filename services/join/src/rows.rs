//! A side's rows in the form in which they are joined.
//!
//! Dictionary and run-end encodings are undone on the way in and restored on the way out: batches bring dictionaries
//! of their own, and rows from many batches meet in one. Keys get an extra column where their values are not what is
//! compared: other encodings of one type, and floating-point numbers, where `-0.0` is `0.0` and every NaN is one value.
//! Batches are gathered or cut to a size that is worth a hash table's while and does not burst the memory.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, new_empty_array};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{ArrowPrimitiveType, DataType, Field, Float16Type, Float32Type, Float64Type, Schema, SchemaRef};
use flight_common::cells::plain_type;
use flight_common::wire::{row_bytes, split};
use flight_common::{BatchStream, Fault};
use futures::StreamExt;
use std::sync::Arc;

/// Batches with fewer rows wait for more.
const FEW_ROWS: usize = 8 * 1024;

/// How a side's batches are brought into the form in which they are joined.
#[derive(Clone, Debug)]
pub struct Form {
    schema: SchemaRef,
    keys: Vec<usize>,
    extra: Vec<(usize, KeyForm)>,
}

/// What is compared in place of a key's own values.
#[derive(Clone, Debug)]
enum KeyForm {
    /// The same values in another encoding.
    Cast(DataType),
    /// A floating-point number with one zero and one NaN.
    Float,
}

impl Form {
    /// The form of a side with these key columns, each to be compared with a column of the type beside it.
    pub fn new(side: &Schema, keys: &[(usize, &DataType)]) -> Self {
        let mut types: Vec<DataType> = side.fields().iter().map(|field| plain(field.data_type())).collect();
        let mut extra = Vec::new();
        let mut places = Vec::new();
        for (place, other) in keys {
            let own = types[*place].clone();
            match key_form(&own, &plain(other)) {
                None => places.push(*place),
                Some(form) => {
                    places.push(types.len());
                    types.push(match &form {
                        KeyForm::Cast(target) => target.clone(),
                        KeyForm::Float => own,
                    });
                    extra.push((*place, form));
                }
            }
        }
        // Names are places, since the engine wants each to be unlike the others, and anything may be missing.
        let fields =
            types.into_iter().enumerate().map(|(place, data_type)| Field::new(place.to_string(), data_type, true));
        Self { schema: Arc::new(Schema::new(fields.collect::<Vec<_>>())), keys: places, extra }
    }

    /// The schema of the rows in this form.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The places of what is compared.
    pub fn keys(&self) -> &[usize] {
        &self.keys
    }

    fn apply(&self, batch: &RecordBatch) -> Result<RecordBatch, Fault> {
        let mut columns = Vec::with_capacity(self.schema.fields().len());
        for (column, field) in batch.columns().iter().zip(self.schema.fields()) {
            columns.push(recoded(column, field.data_type())?);
        }
        for (place, form) in &self.extra {
            let column = match form {
                KeyForm::Cast(target) => cast(&columns[*place], target)?,
                KeyForm::Float => canonical(&columns[*place]),
            };
            columns.push(column);
        }
        Ok(RecordBatch::try_new(self.schema.clone(), columns)?)
    }

    /// A side's rows in this form, in batches of about `target` bytes. `seen` is told of the rows that pass.
    pub fn shape(self, mut input: BatchStream, target: usize, seen: impl Fn(u64) + Send + 'static) -> BatchStream {
        let schema = self.schema.clone();
        let rows_schema = schema.clone();
        let items = async_stream::try_stream! {
            let mut few = Few::default();
            while let Some(batch) = input.next().await {
                let batch = self.apply(&batch?)?;
                seen(batch.num_rows() as u64);
                few.push(batch);
                if few.reaches(FEW_ROWS, target) {
                    for part in few.take(&rows_schema, target)? {
                        yield part;
                    }
                }
            }
            for part in few.take(&rows_schema, target)? {
                yield part;
            }
        };
        BatchStream::new(schema, items)
    }
}

/// A target that cuts nothing: the batch is only rid of string data that belongs to other rows.
pub const WHOLE: usize = usize::MAX / 2;

/// Batches that wait for more rows.
#[derive(Default)]
pub struct Few {
    batches: Vec<RecordBatch>,
    rows: usize,
    bytes: usize,
}

impl Few {
    /// Adds a batch.
    pub fn push(&mut self, batch: RecordBatch) {
        if batch.num_rows() > 0 {
            self.rows += batch.num_rows();
            self.bytes += row_bytes(&batch);
            self.batches.push(batch);
        }
    }

    /// Whether so many rows or so many bytes wait.
    pub fn reaches(&self, rows: usize, bytes: usize) -> bool {
        self.rows >= rows || self.bytes >= bytes
    }

    /// What waits, in batches of about `target` bytes.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::Internal`] if the batches do not go together.
    pub fn take(&mut self, schema: &SchemaRef, target: usize) -> Result<Vec<RecordBatch>, Fault> {
        let Self { mut batches, rows, .. } = std::mem::take(self);
        match batches.len() {
            _ if rows == 0 => Ok(Vec::new()),
            1 => Ok(split(batches.remove(0), target)),
            _ => Ok(split(concat_batches(schema, &batches)?, target)),
        }
    }
}

/// The type of the values themselves, without the encodings that are undone.
pub fn plain(data_type: &DataType) -> DataType {
    let values = plain_type(data_type);
    if values == data_type {
        return data_type.clone();
    }
    // Asking for the cast itself, since the library promises more casts than it can do.
    let undone = cast(&new_empty_array(data_type), values);
    match undone.and_then(|empty| cast(&empty, data_type)) {
        Ok(_) => values.clone(),
        Err(_) => data_type.clone(),
    }
}

/// The same values in another encoding.
///
/// # Errors
/// A dictionary whose keys cannot count the values.
pub fn recoded(column: &ArrayRef, target: &DataType) -> Result<ArrayRef, arrow::error::ArrowError> {
    if column.data_type() == target { Ok(column.clone()) } else { cast(column, target) }
}

/// What to compare in place of values of the type `own` with values of the type `other`.
fn key_form(own: &DataType, other: &DataType) -> Option<KeyForm> {
    match own {
        DataType::Float16 | DataType::Float32 | DataType::Float64 => Some(KeyForm::Float),
        DataType::Null => Some(KeyForm::Cast(DataType::Boolean)),
        _ if own == other => None,
        DataType::Utf8 | DataType::Utf8View => Some(KeyForm::Cast(DataType::LargeUtf8)),
        DataType::Binary | DataType::BinaryView => Some(KeyForm::Cast(DataType::LargeBinary)),
        // Large already; no other type has several encodings.
        _ => None,
    }
}

/// Floating-point numbers with one zero and one NaN: the engine compares bits.
fn canonical(column: &ArrayRef) -> ArrayRef {
    fn unary<T: ArrowPrimitiveType>(column: &ArrayRef, one: impl Fn(T::Native) -> T::Native) -> ArrayRef {
        Arc::new(column.as_primitive::<T>().unary::<_, T>(one))
    }
    match column.data_type() {
        DataType::Float16 => {
            let (zero, nan) = (<Float16Type as ArrowPrimitiveType>::Native::ZERO, half_nan());
            unary::<Float16Type>(column, |value| {
                if value.is_nan() {
                    nan
                } else if value == zero {
                    zero
                } else {
                    value
                }
            })
        }
        DataType::Float32 => unary::<Float32Type>(column, |value| if value.is_nan() { f32::NAN } else { value + 0.0 }),
        DataType::Float64 => unary::<Float64Type>(column, |value| if value.is_nan() { f64::NAN } else { value + 0.0 }),
        _ => column.clone(),
    }
}

fn half_nan() -> <Float16Type as ArrowPrimitiveType>::Native {
    <Float16Type as ArrowPrimitiveType>::Native::NAN
}
