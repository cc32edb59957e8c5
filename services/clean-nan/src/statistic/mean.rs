//! The sum of a column, such that the way in which rows are cut into batches cannot show in it.
//!
//! Integers and decimals are added exactly. Floats are added one by one in row order, with the error of each addition
//! kept beside the sum (A. Neumaier, *Rundungsfehleranalyse einiger Verfahren zur Summation endlicher Summen*, ZAMM 54,
//! 1974), so that the mean is as good as if it had been added with twice the digits. A sum beyond all floats goes on in
//! larger units.

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
    Float(Floats),
    Decimal(i256),
}

/// A sum of floats.
struct Floats {
    sum: f64,
    /// What additions have rounded off.
    lost: f64,
    /// The part of a value that is added: all of it, or [`Floats::SMALL`] of it once sums are beyond all floats.
    part: f64,
}

impl Floats {
    /// 2⁻⁶⁴: so small that no 2⁶⁴ values reach the end, and a power of two, which costs large values no digit.
    const SMALL: f64 = 1.0 / 18_446_744_073_709_551_616.0;

    const EMPTY: Self = Self { sum: 0.0, lost: 0.0, part: 1.0 };

    fn add(&mut self, value: f64) {
        let part = value * self.part;
        let next = self.sum + part;
        if next.is_infinite() && self.sum.is_finite() && part.is_finite() {
            let Self { sum, lost, .. } = *self;
            *self = Self { sum: sum * Self::SMALL, lost: lost * Self::SMALL, part: Self::SMALL };
            return self.add(value);
        }
        self.lost += if self.sum.abs() >= part.abs() { (self.sum - next) + part } else { (part - next) + self.sum };
        self.sum = next;
    }

    /// Finite if all values are.
    fn mean(&self, count: u64) -> f64 {
        let (count, total) = (count as f64, self.sum + self.lost);
        // What was rounded off near the largest float may take the sum beyond it.
        let mean = match total.is_infinite() && self.sum.is_finite() {
            true => self.sum / count + self.lost / count,
            false => total / count,
        };
        // The mean of the largest floats may be rounded to more than those.
        if mean.is_finite() { (mean / self.part).clamp(f64::MIN, f64::MAX) } else { mean }
    }
}

impl Sum {
    /// An empty sum of values of this type; none if they are no numbers.
    pub fn of(plain: &DataType) -> Option<Self> {
        let width = Width::of(plain)?;
        let total = match width {
            Width::Signed | Width::Unsigned => Total::Whole(0),
            Width::Float => Total::Float(Floats::EMPTY),
            Width::Decimal(_) => Total::Decimal(i256::ZERO),
        };
        Some(Self { width, total })
    }

    /// Adds a batch's column.
    pub fn add(&mut self, column: &ArrayRef, present: Option<&NullBuffer>) -> Result<(), Fault> {
        match (self.width.widen(column)?, &mut self.total) {
            (Numbers::Signed(values), Total::Whole(sum)) => each(&values, present, |value| *sum += i128::from(value)),
            (Numbers::Unsigned(values), Total::Whole(sum)) => each(&values, present, |value| *sum += i128::from(value)),
            (Numbers::Float(values), Total::Float(floats)) => each(&values, present, |value| floats.add(value)),
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
            (Total::Float(floats), _) => float_row(floats.mean(count), plain),
            (Total::Decimal(sum), Width::Decimal(scale)) => decimal_row(*sum, count, scale, plain).map(Some),
            (Total::Decimal(_), _) => Err(Fault::internal("a sum of decimals without a scale")),
        }
    }
}
