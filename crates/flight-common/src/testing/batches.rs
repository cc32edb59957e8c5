//! Batches written as literals.

/// A batch written as a literal: `batch!("n" => Int64Array [1, 2], "s" => StringArray [Some("a"), None])`.
///
/// Every column is nullable. The values are whatever the array type can be made from.
#[macro_export]
macro_rules! batch {
    ($($name:expr => $array:ident $values:expr),* $(,)?) => {
        $crate::testing::make_batch(vec![$((
            $name,
            std::sync::Arc::new(arrow::array::$array::from($values.to_vec())) as arrow::array::ArrayRef,
        )),*])
    };
}

pub use batch;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{Field, Schema};
use std::sync::Arc;

/// A batch of named columns, all nullable.
pub fn make_batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    let fields: Vec<Field> =
        columns.iter().map(|(name, column)| Field::new(*name, column.data_type().clone(), true)).collect();
    let columns = columns.into_iter().map(|(_, column)| column).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).expect("columns of one length")
}
