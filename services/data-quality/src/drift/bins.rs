//! The bins of a column, and its values counted into them. Nulls and NaN have a bin of their own, the last one.

use super::Kind;
use super::categories::Categories;
use super::sample::Sample;
use super::scale::Scale;
use arrow::array::{Array, ArrayRef, AsArray, Float64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};
use flight_common::Fault;
use flight_common::cells::plain;

/// The bins of a column.
#[derive(Clone, Debug)]
pub enum Bins {
    /// Of numbers, or of times as numbers of the column's unit.
    Numbers(Scale),
    /// Of texts.
    Texts(Categories),
}

/// Bins in the making.
pub enum Draft {
    /// Of numbers or times.
    Numbers(Sample<f64>),
    /// Of texts.
    Texts(Sample<Box<str>>),
}

impl Draft {
    /// Nothing seen yet, in a sample of these bytes.
    pub fn new(kind: Kind, bytes: usize) -> Self {
        match kind {
            Kind::Number | Kind::Time => Self::Numbers(Sample::new(bytes)),
            Kind::Category => Self::Texts(Sample::new(bytes)),
        }
    }

    /// Takes in some values of the file.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::Internal`] if they are not of the planned type.
    pub fn add(&mut self, column: &ArrayRef) -> Result<(), Fault> {
        match self {
            Self::Numbers(sample) => {
                each_number(&numbers(column)?, |value| value.into_iter().for_each(|value| sample.add(|| value)));
            }
            Self::Texts(sample) => {
                let texts = texts(column)?;
                let texts = texts.as_string::<i64>().iter().flatten();
                texts.for_each(|text| sample.add(|| text.into()));
            }
        }
        Ok(())
    }

    /// The bins.
    pub fn finish(self, bins: usize) -> Bins {
        match self {
            Self::Numbers(sample) => Bins::Numbers(Scale::of(sample.into_values().collect(), bins)),
            Self::Texts(sample) => Bins::Texts(Categories::of(sample.into_values())),
        }
    }
}

impl Bins {
    /// Counts of nothing.
    pub fn nothing(&self) -> Vec<u64> {
        let values = match self {
            Self::Numbers(scale) => scale.len(),
            Self::Texts(categories) => categories.len(),
        };
        vec![0; values + 1]
    }

    /// Adds the values of a column to the counts.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::Internal`] if they are not of the planned type.
    pub fn count(&self, column: &ArrayRef, counts: &mut [u64]) -> Result<(), Fault> {
        let null = counts.len() - 1;
        match self {
            Self::Numbers(scale) => each_number(&numbers(column)?, |value| {
                counts[value.map_or(null, |value| scale.place(value))] += 1;
            }),
            Self::Texts(categories) => {
                for text in texts(column)?.as_string::<i64>() {
                    counts[text.map_or(null, |text| categories.place(text))] += 1;
                }
            }
        }
        Ok(())
    }
}

/// Numbers as floats; times as numbers of their unit. What rounding is in it moves no value past another.
fn numbers(column: &ArrayRef) -> Result<Float64Array, Fault> {
    let column = plain(column)?;
    let column = match column.data_type() {
        number if number.is_numeric() || number.is_null() => column,
        _ => cast(&column, &DataType::Int64)?,
    };
    Ok(cast(&column, &DataType::Float64)?.as_primitive::<Float64Type>().clone())
}

fn texts(column: &ArrayRef) -> Result<ArrayRef, Fault> {
    Ok(cast(&plain(column)?, &DataType::LargeUtf8)?)
}

fn each_number(values: &Float64Array, mut see: impl FnMut(Option<f64>)) {
    values.iter().for_each(|value| see(value.filter(|value| !value.is_nan())));
}
