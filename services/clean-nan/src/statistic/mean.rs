//! The sum of a column, such that the way in which rows are cut into batches cannot show in it.
//!
//! Integers and decimals are added exactly. Floats are added one by one in row order, with the error of each addition
//! kept beside the sum (A. Neumaier, *Rundungsfehleranalyse einiger Verfahren zur Summation endlicher Summen*, ZAMM 54,
//! 1974), so that the mean is as good as if it had been added with twice the digits.

use super::number::{Numbers, Width, decimal_row, each, float_row, whole_row};
use arrow::array::ArrayRef;
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, i256};
use flight_common::Fault;

/// A sum so far.
pub struct Sum {
    width: Width,
    total: Total,
}

enum Total {
    /// No 2^64 values of 64 bits reach its end.
    Whole(i128),
    Float {
        sum: f64,
        lost: f64,
    },
    Decimal(i256),
}

impl Sum {
    /// An empty sum of values of this type; none if they are no numbers.
    pub fn of(plain: &DataType) -> Option<Self> {
        let width = Width::of(plain)?;
        let total = match width {
            Width::Signed | Width::Unsigned => Total::Whole(0),
            Width::Float => Total::Float { sum: 0.0, lost: 0.0 },
            Width::Decimal(_) => Total::Decimal(i256::ZERO),
        };
        Some(Self { width, total })
    }

    /// Adds a batch's column.
    pub fn add(&mut self, column: &ArrayRef, present: Option<&NullBuffer>) -> Result<(), Fault> {
        match (self.width.widen(column)?, &mut self.total) {
            (Numbers::Signed(values), Total::Whole(sum)) => each(&values, present, |value| *sum += i128::from(value)),
            (Numbers::Unsigned(values), Total::Whole(sum)) => each(&values, present, |value| *sum += i128::from(value)),
            (Numbers::Float(values), Total::Float { sum, lost }) => each(&values, present, |value| {
                let next = *sum + value;
                *lost += if sum.abs() >= value.abs() { (*sum - next) + value } else { (value - next) + *sum };
                *sum = next;
            }),
            (Numbers::Decimal(values), Total::Decimal(sum)) => {
                let mut fits = true;
                each(&values, present, |value| match sum.checked_add(value) {
                    Some(next) => *sum = next,
                    None => fits = false,
                });
                if !fits {
                    return Err(Fault::bad_data("the sum of the column is beyond 76 digits")
                        .help("fill with the median, or round the column first"));
                }
            }
            _ => return Err(Fault::internal("a column changed its type")),
        }
        Ok(())
    }

    /// The mean of `count` values as one row, where it is finite. Integers and decimals: the nearest value of the type.
    pub fn mean(&self, count: u64, plain: &DataType) -> Result<Option<ArrayRef>, Fault> {
        match (&self.total, self.width) {
            (Total::Whole(sum), _) => whole_row(*sum, count, plain).map(Some),
            (Total::Float { sum, lost }, _) => float_row((sum + lost) / count as f64, plain),
            (Total::Decimal(sum), Width::Decimal(scale)) => decimal_row(*sum, count, scale, plain).map(Some),
            (Total::Decimal(_), _) => Err(Fault::internal("a sum of decimals without a scale")),
        }
    }
}
