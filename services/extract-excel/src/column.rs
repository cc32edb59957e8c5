//! A column as it was planned.

use arrow::datatypes::DataType;

/// What a column is to be.
#[derive(Clone, Debug)]
pub struct ColumnPlan {
    /// Its name.
    pub name: String,
    /// Its type.
    pub data_type: DataType,
    /// Whether the user gave the type. A guessed one takes no value that would not come out as it went in.
    pub given: bool,
}
