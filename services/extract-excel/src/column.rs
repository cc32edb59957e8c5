//! A column as it was planned.

use crate::value::Cell;
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
    /// Whether it holds dates, and no times of day.
    pub has_dates: bool,
}

impl ColumnPlan {
    /// What a 0 is that is shown as a date or a time: a date among dates, unless the user says that the column is none.
    pub fn zero(&self, from_1904: bool) -> Cell {
        let is_date = match self.data_type {
            DataType::Date32 | DataType::Timestamp(..) => true,
            DataType::Utf8 if self.given && !from_1904 => false,
            DataType::Time64(_) => false,
            _ => self.has_dates,
        };
        match is_date {
            true if from_1904 => Cell::Moment("1904-01-01".to_owned()),
            true => Cell::NoDate(0.0),
            false => Cell::Moment("00:00:00".to_owned()),
        }
    }
}
