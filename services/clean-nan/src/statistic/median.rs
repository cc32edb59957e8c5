//! The middle of a column.

use super::number::{Numbers, Width, decimal_row, each, float_row, whole_row};
use super::select::Selection;
use super::{Survey, visit};
use arrow::array::{ArrayRef, ArrowNativeTypeOp, RecordBatch};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, i256};
use flight_common::{Fault, Spool, StepContext};

/// The median of each of these columns. Each pass over the rows narrows down where the middle values are.
pub async fn of(
    surveys: &[Survey],
    rows: &Spool<RecordBatch>,
    context: &StepContext,
) -> Result<Vec<Option<ArrayRef>>, Fault> {
    let mut medians: Vec<Median> = surveys.iter().filter_map(Median::new).collect();
    while medians.iter().any(|median| !median.is_found()) {
        medians.iter_mut().for_each(|median| median.begin(context));
        visit(&mut medians, surveys, rows, |median, column, present| median.see(column, present)).await?;
        medians.iter_mut().for_each(Median::end);
    }
    medians.iter().zip(surveys).map(|(median, survey)| median.row(&survey.target.plain)).collect()
}

struct Median {
    width: Width,
    middle: Middle,
}

/// The two middle values, or twice the same one; as keys in the order of the values.
enum Middle {
    Narrow(Selection<u64>),
    Wide(Selection<i256>),
}

impl Median {
    /// Nothing only for columns that hold no numbers, which are no targets.
    fn new(survey: &Survey) -> Option<Self> {
        let width = Width::of(&survey.target.plain)?;
        let ranks = [(survey.present - 1) / 2, survey.present / 2];
        let middle = match width {
            Width::Decimal(_) => Middle::Wide(Selection::new(ranks, survey.present)),
            _ => Middle::Narrow(Selection::new(ranks, survey.present)),
        };
        Some(Self { width, middle })
    }

    fn is_found(&self) -> bool {
        match &self.middle {
            Middle::Narrow(selection) => selection.found().is_some(),
            Middle::Wide(selection) => selection.found().is_some(),
        }
    }

    fn begin(&mut self, context: &StepContext) {
        match &mut self.middle {
            Middle::Narrow(selection) => selection.begin(context.budget()),
            Middle::Wide(selection) => selection.begin(context.budget()),
        }
    }

    fn see(&mut self, column: &ArrayRef, present: Option<&NullBuffer>) -> Result<(), Fault> {
        if self.is_found() {
            return Ok(());
        }
        match (self.width.widen(column)?, &mut self.middle) {
            (Numbers::Signed(values), Middle::Narrow(keys)) => {
                each(&values, present, |value| keys.see(signed_key(value)))
            }
            (Numbers::Unsigned(values), Middle::Narrow(keys)) => each(&values, present, |value| keys.see(value)),
            (Numbers::Float(values), Middle::Narrow(keys)) => {
                each(&values, present, |value| keys.see(float_key(value)))
            }
            (Numbers::Decimal(values), Middle::Wide(keys)) => each(&values, present, |value| keys.see(value)),
            _ => return Err(Fault::internal("a column changed its type")),
        }
        Ok(())
    }

    fn end(&mut self) {
        match &mut self.middle {
            Middle::Narrow(selection) => selection.end(),
            Middle::Wide(selection) => selection.end(),
        }
    }

    fn row(&self, plain: &DataType) -> Result<Option<ArrayRef>, Fault> {
        match (&self.middle, self.width) {
            (Middle::Narrow(selection), width) => {
                let Some([lower, upper]) = selection.found() else { return Ok(None) };
                match width {
                    Width::Signed => {
                        let sum = i128::from(signed_of(lower)) + i128::from(signed_of(upper));
                        whole_row(sum, 2, plain).map(Some)
                    }
                    Width::Unsigned => whole_row(i128::from(lower) + i128::from(upper), 2, plain).map(Some),
                    _ => float_row(float_of(lower).midpoint(float_of(upper)), plain),
                }
            }
            (Middle::Wide(selection), Width::Decimal(scale)) => {
                let Some([lower, upper]) = selection.found() else { return Ok(None) };
                // 76 digits twice are still within 256 bits.
                decimal_row(lower.add_wrapping(upper), 2, scale, plain).map(Some)
            }
            (Middle::Wide(_), _) => Err(Fault::internal("a decimal without a scale")),
        }
    }
}

const SIGN: u64 = 1 << 63;

fn signed_key(value: i64) -> u64 {
    value.cast_unsigned() ^ SIGN
}

fn signed_of(key: u64) -> i64 {
    (key ^ SIGN).cast_signed()
}

/// A float's bits, turned so that they sort as the float does: negative ones backwards, and below the others.
fn float_key(value: f64) -> u64 {
    let bits = value.to_bits();
    if bits & SIGN == 0 { bits | SIGN } else { !bits }
}

fn float_of(key: u64) -> f64 {
    f64::from_bits(if key & SIGN == 0 { !key } else { key & !SIGN })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_sort_as_their_values_do() {
        let floats = [f64::NEG_INFINITY, -1e300, -1.0, -1e-310, -0.0, 0.0, 1e-310, 1.0, 1e300, f64::INFINITY];
        assert!(floats.windows(2).all(|pair| float_key(pair[0]) < float_key(pair[1])));
        assert!(floats.iter().all(|value| float_of(float_key(*value)).to_bits() == value.to_bits()));
        let whole = [i64::MIN, -1, 0, 1, i64::MAX];
        assert!(whole.windows(2).all(|pair| signed_key(pair[0]) < signed_key(pair[1])));
        assert!(whole.iter().all(|value| signed_of(signed_key(*value)) == *value));
    }
}
