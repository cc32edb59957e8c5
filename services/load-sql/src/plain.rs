//! Columns made plain before they are written: one type of text, one unit of time, no dictionaries. Nothing is rounded.

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, RecordBatch};
use arrow::compute::{CastOptions, can_cast_types, cast_with_options};
use arrow::datatypes::{
    DataType, DurationNanosecondType, Field, Float32Type, Float64Type, Int64Type, IntervalMonthDayNanoType,
    IntervalUnit, Schema, Time64NanosecondType, TimeUnit, TimestampNanosecondType,
};
use flight_common::{Fault, Meter};
use std::sync::Arc;

/// How instants are written.
const UTC: &str = "+00:00";

/// Counts the values of plain columns that are NaN, for a database that takes them as null.
pub fn count_nans(columns: &[ArrayRef], meter: &Meter) {
    fn of<T: ArrowPrimitiveType<Native: PartialEq>>(column: &ArrayRef) -> usize {
        // NaN is equal to nothing, not even to itself.
        #[allow(clippy::eq_op, reason = "see above")]
        column.as_primitive::<T>().iter().flatten().filter(|value| value != value).count()
    }
    let found = columns.iter().map(|column| match column.data_type() {
        DataType::Float32 => of::<Float32Type>(column),
        DataType::Float64 => of::<Float64Type>(column),
        _ => 0,
    });
    let found: usize = found.sum();
    if found > 0 {
        meter.count("nan_written_as_null", found as u64);
    }
}

/// The types that columns are made.
#[derive(Clone, Debug)]
pub struct Plain(Arc<[DataType]>);

impl Plain {
    /// Works out the plain types of these columns.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::BadSchema`] for a column of a type that no table holds.
    pub fn new(schema: &Schema) -> Result<Self, Fault> {
        let types = schema.fields().iter().map(|field| {
            let from = field.data_type();
            let to = plain(from, false).filter(|to| from == to || can_cast_types(from, to));
            to.ok_or_else(|| {
                Fault::bad_schema(format!("column \"{}\" cannot be written to a table: it is {from}", field.name()))
                    .column(field.name())
                    .help("take its parts, or leave it out, before: SELECT … in the step sql")
            })
        });
        Ok(Self(types.collect::<Result<_, _>>()?))
    }

    /// The plain type of each column.
    pub fn types(&self) -> &[DataType] {
        &self.0
    }

    /// The columns of a batch, made plain.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::BadData`] for a time with nanoseconds, or outside of what 64 bits of microseconds hold.
    /// Rows are counted from the batch's first.
    pub fn apply(&self, batch: &RecordBatch) -> Result<Vec<ArrayRef>, Fault> {
        let schema = batch.schema_ref();
        let columns = batch.columns().iter().zip(schema.fields()).zip(&*self.0);
        columns.map(|((column, field), to)| apply(column, field, to)).collect()
    }
}

fn apply(column: &ArrayRef, field: &Field, to: &DataType) -> Result<ArrayRef, Fault> {
    if let Some(row) = too_fine(column) {
        return Err(Fault::bad_data(format!("column \"{}\": a time with nanoseconds", field.name()))
            .column(field.name())
            .row(row)
            .help(
                "a table holds microseconds: round it before, such as date_trunc('microsecond', x) in the step sql",
            ));
    }
    if column.data_type() == to {
        return Ok(column.clone());
    }
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(column, to, &strict).map_err(|error| {
        Fault::bad_data(format!("column \"{}\" cannot be written to a table: {error}", field.name()))
            .column(field.name())
    })
}

/// The first row, from 1, whose time is no whole number of microseconds.
fn too_fine(column: &ArrayRef) -> Option<u64> {
    let nanos = match column.data_type() {
        DataType::Interval(IntervalUnit::MonthDayNano) => {
            let column = column.as_primitive::<IntervalMonthDayNanoType>();
            column.unary::<_, Int64Type>(|span| span.nanoseconds)
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            column.as_primitive::<TimestampNanosecondType>().reinterpret_cast::<Int64Type>()
        }
        DataType::Time64(TimeUnit::Nanosecond) => {
            column.as_primitive::<Time64NanosecondType>().reinterpret_cast::<Int64Type>()
        }
        DataType::Duration(TimeUnit::Nanosecond) => {
            column.as_primitive::<DurationNanosecondType>().reinterpret_cast::<Int64Type>()
        }
        _ => return None,
    };
    let place = nanos.iter().position(|value| value.is_some_and(|nanos| nanos % 1000 != 0))?;
    Some(place as u64 + 1)
}

/// The plain type of a column; nothing for one that no table holds.
fn plain(from: &DataType, nested: bool) -> Option<DataType> {
    Some(match from {
        DataType::Null
        | DataType::Boolean
        | DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::UInt8
        | DataType::UInt16
        | DataType::UInt32
        | DataType::UInt64
        | DataType::Float32
        | DataType::Float64
        | DataType::Date32
        | DataType::Decimal128(..)
        | DataType::Decimal256(..) => from.clone(),
        DataType::Decimal32(precision, scale) | DataType::Decimal64(precision, scale) => {
            DataType::Decimal128(*precision, *scale)
        }
        DataType::Float16 => DataType::Float32,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8View,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            DataType::BinaryView
        }
        DataType::Date64 => DataType::Date32,
        // Within a list nobody would see what is cut off.
        DataType::Time64(TimeUnit::Nanosecond)
        | DataType::Timestamp(TimeUnit::Nanosecond, _)
        | DataType::Duration(TimeUnit::Nanosecond)
        | DataType::Interval(IntervalUnit::MonthDayNano)
            if nested =>
        {
            return None;
        }
        DataType::Interval(_) => from.clone(),
        DataType::Time32(_) | DataType::Time64(_) => DataType::Time64(TimeUnit::Microsecond),
        DataType::Timestamp(_, None) => DataType::Timestamp(TimeUnit::Microsecond, None),
        DataType::Timestamp(_, Some(_)) => DataType::Timestamp(TimeUnit::Microsecond, Some(UTC.into())),
        DataType::Duration(_) => DataType::Duration(TimeUnit::Microsecond),
        DataType::Dictionary(_, values) => plain(values, nested)?,
        DataType::RunEndEncoded(_, values) => plain(values.data_type(), nested)?,
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::FixedSizeList(item, _)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
            if !nested =>
        {
            DataType::List(Arc::new(Field::new_list_field(plain(item.data_type(), true)?, true)))
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{IntervalMonthDayNanoArray, TimestampNanosecondArray};
    use arrow::datatypes::IntervalMonthDayNano;

    fn nanos(values: Vec<i64>) -> RecordBatch {
        let column: ArrayRef = Arc::new(TimestampNanosecondArray::from(values));
        RecordBatch::try_from_iter([("t", column)]).expect("a batch")
    }

    #[test]
    fn nanoseconds_are_refused_and_not_cut_off() {
        let plain = Plain::new(&nanos(vec![]).schema()).expect("plain");
        let column = plain.apply(&nanos(vec![-1000, 2000])).expect("whole microseconds").remove(0);
        assert_eq!(column.data_type(), &DataType::Timestamp(TimeUnit::Microsecond, None));
        let fault = plain.apply(&nanos(vec![1000, 1001])).expect_err("too fine");
        assert_eq!(fault.row_number(), Some(2));
    }

    #[test]
    fn an_interval_is_as_fine_as_a_time() {
        let spans = |nanos| IntervalMonthDayNanoArray::from(vec![IntervalMonthDayNano::new(1, 2, nanos)]);
        let batch = |nanos| RecordBatch::try_from_iter([("t", Arc::new(spans(nanos)) as ArrayRef)]).expect("a batch");
        let plain = Plain::new(&batch(0).schema()).expect("plain");
        assert!(plain.apply(&batch(5000)).is_ok());
        assert_eq!(plain.apply(&batch(5001)).expect_err("too fine").row_number(), Some(1));
    }

    #[test]
    fn what_no_table_holds_is_refused() {
        let item = Arc::new(Field::new_list_field(DataType::Int64, true));
        let nested = DataType::List(Arc::new(Field::new_list_field(DataType::List(item.clone()), true)));
        let schema = |data_type| Schema::new(vec![Field::new("a", data_type, true)]);
        assert!(Plain::new(&schema(DataType::List(item))).is_ok());
        let record = DataType::Struct(vec![Field::new("x", DataType::Int64, true)].into());
        for refused in [nested, record] {
            assert_eq!(Plain::new(&schema(refused)).expect_err("refused").column_name(), Some("a"));
        }
    }
}
