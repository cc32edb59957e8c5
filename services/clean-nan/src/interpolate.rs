//! Numbers on the straight line between the nearest ones above and below.
//!
//! A batch needs from its neighbours the value and the row number of the last value above and of the next one below.
//! Row numbers are carried like values: each target gets a companion column that holds the row number where the target
//! holds a value, and is cut off again at the end.

use crate::carried::carried_up;
use crate::column::{Target, replace};
use crate::neighbour::{Carry, Neighbour, newer};
use crate::report::NULLS_FILLED;
use crate::statistic::number::{Numbers, Width};
use arrow::array::{
    Array, ArrayRef, ArrowNativeTypeOp, ArrowPrimitiveType, AsArray, Int64Array, PrimitiveArray, RecordBatch,
};
use arrow::buffer::NullBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Int64Type, Schema, i256};
use async_stream::try_stream;
use flight_common::cells::{plain, present};
use flight_common::{BatchStream, Fault, StepContext};
use futures::{Stream, StreamExt};
use std::cmp::Ordering;
use std::pin::pin;
use std::sync::Arc;

/// The rows with numbers put in between others.
pub fn interpolated(input: BatchStream, targets: Arc<[Target]>, context: &StepContext) -> BatchStream {
    let (schema, meter) = (input.schema(), context.meter.clone());
    let width = schema.fields().len();
    let companion = |(number, target): (usize, &Target)| Target {
        place: width + number,
        name: target.name.clone(),
        plain: DataType::Int64,
    };
    let both: Arc<[Target]> = targets.iter().cloned().chain(targets.iter().enumerate().map(companion)).collect();
    let placed = placed(input, targets.clone(), both, context.clone());
    let filled = context.map_parallel(placed, move |placed| {
        let (batch, count) = placed.fill(&targets)?;
        meter.count(NULLS_FILLED, count);
        Ok(batch)
    });
    BatchStream::new(schema, filled)
}

/// A batch between its neighbours.
struct Placed {
    batch: RecordBatch,
    /// The number of its first row among all.
    first: i64,
    above: Carry,
    below: Carry,
}

fn placed(
    input: BatchStream,
    targets: Arc<[Target]>,
    both: Arc<[Target]>,
    context: StepContext,
) -> impl Stream<Item = Result<Placed, Fault>> + Send {
    try_stream! {
        let (columns, mut first): (Vec<usize>, i64) = ((0..input.schema().fields().len()).collect(), 0);
        let mut above: Carry = vec![None; both.len()];
        let mut waited = pin!(carried_up(numbered(input, targets), both.clone(), context));
        while let Some(next) = waited.next().await {
            let (batch, below) = next?;
            let handed_on = newer(Neighbour::Above.handed_on(&batch, &both)?, above.clone());
            let rows = batch.num_rows() as i64;
            yield Placed { batch: batch.project(&columns)?, first, above, below };
            above = handed_on;
            first += rows;
        }
    }
}

/// The rows with the companion columns.
fn numbered(input: BatchStream, targets: Arc<[Target]>) -> BatchStream {
    let companion = |target: &Target| Arc::new(Field::new(&target.name, DataType::Int64, true));
    let fields: Vec<_> = input.schema().fields().iter().cloned().chain(targets.iter().map(companion)).collect();
    let schema = Arc::new(Schema::new(fields));
    let (wide, mut first) = (schema.clone(), 0);
    input.map_batches(schema, move |batch| {
        let numbers = first..first + batch.num_rows() as i64;
        first = numbers.end;
        let numbers: Vec<i64> = numbers.collect();
        let mut columns = batch.columns().to_vec();
        for target in targets.iter() {
            let there = present(batch.column(target.place))?;
            columns.push(Arc::new(Int64Array::new(numbers.clone().into(), there)));
        }
        Ok(RecordBatch::try_new(wide.clone(), columns)?)
    })
}

impl Placed {
    /// The batch with all filled in that lies between two numbers, and how many were.
    fn fill(self, targets: &[Target]) -> Result<(RecordBatch, u64), Fault> {
        let (mut count, mut new) = (0, Vec::new());
        for (number, target) in targets.iter().enumerate() {
            let column = self.batch.column(target.place);
            let Some(there) = present(column)? else { continue };
            let width = Width::of(&target.plain).ok_or_else(|| Fault::internal("no column of numbers"))?;
            let carried = |carry: &Carry| carry[number].clone().zip(row_number(&carry[targets.len() + number]));
            let (above, below) = (carried(&self.above), carried(&self.below));
            let gaps = Gaps { there: &there, first: self.first, width, above, below };
            let (filled, more) = gaps.fill(&plain(column)?, &target.plain)?;
            if more > 0 {
                count += more;
                new.push((target.place, filled));
            }
        }
        if new.is_empty() { Ok((self.batch, 0)) } else { Ok((replace(&self.batch, new)?, count)) }
    }
}

fn row_number(carried: &Option<ArrayRef>) -> Option<i64> {
    carried.as_ref().map(|row| row.as_primitive::<Int64Type>().value(0))
}

/// A value as one row, and its row number.
type End = (ArrayRef, i64);

/// What a column misses, and the values beyond its ends.
struct Gaps<'a> {
    there: &'a NullBuffer,
    first: i64,
    width: Width,
    above: Option<End>,
    below: Option<End>,
}

impl Gaps<'_> {
    fn fill(&self, column: &ArrayRef, plain: &DataType) -> Result<(ArrayRef, u64), Fault> {
        let end = |end: &Option<End>| -> Result<Option<(Numbers, i64)>, Fault> {
            end.as_ref().map(|(row, at)| Ok((self.width.widen(row)?, *at))).transpose()
        };
        let ends = (end(&self.above)?, end(&self.below)?);
        macro_rules! fill {
            ($kind:ident, $values:expr, $between:expr) => {{
                let value = |end: &Option<(Numbers, i64)>| match end {
                    Some((Numbers::$kind(row), at)) => Some((row.value(0), *at)),
                    _ => None,
                };
                let (filled, count) = self.filled($values, value(&ends.0), value(&ends.1), $between);
                (Arc::new(filled) as ArrayRef, count)
            }};
        }
        let (wide, count) = match self.width.widen(column)? {
            Numbers::Signed(values) => fill!(Signed, &values, |from: i64, to: i64, part, parts| {
                let [from, to] = [from, to].map(|end| i256::from_i128(end.into()));
                exact(from, to, part, parts).to_i128().unwrap_or_default() as i64
            }),
            Numbers::Unsigned(values) => fill!(Unsigned, &values, |from: u64, to: u64, part, parts| {
                let [from, to] = [from, to].map(|end| i256::from_i128(end.into()));
                exact(from, to, part, parts).to_i128().unwrap_or_default() as u64
            }),
            Numbers::Float(values) => fill!(Float, &values, float),
            Numbers::Decimal(values) => fill!(Decimal, &values, exact),
        };
        Ok((if wide.data_type() == plain { wide } else { cast(&wide, plain)? }, count))
    }

    /// The values with those put in that lie between two others, and how many were.
    fn filled<T: ArrowPrimitiveType>(
        &self,
        values: &PrimitiveArray<T>,
        above: Option<(T::Native, i64)>,
        below: Option<(T::Native, i64)>,
        between: impl Fn(T::Native, T::Native, i64, i64) -> T::Native,
    ) -> (PrimitiveArray<T>, u64) {
        let rows = values.len();
        let (mut native, mut count) = (values.values().to_vec(), 0);
        let mut valid: Vec<bool> = (0..rows).map(|row| values.is_valid(row)).collect();
        let at = |row: usize| self.first + row as i64;
        let (mut last, mut row) = (above, 0);
        while row < rows {
            if self.there.is_valid(row) {
                last = Some((native[row], at(row)));
                row += 1;
                continue;
            }
            let end = (row..rows).find(|row| self.there.is_valid(*row)).unwrap_or(rows);
            let next = if end < rows { Some((native[end], at(end))) } else { below };
            if let (Some((from, start)), Some((to, stop))) = (last, next) {
                for gap in row..end {
                    native[gap] = between(from, to, at(gap) - start, stop - start);
                    valid[gap] = true;
                }
                count += (end - row) as u64;
            }
            row = end;
        }
        let filled = PrimitiveArray::<T>::new(native.into(), Some(valid.into()));
        (filled.with_data_type(values.data_type().clone()), count)
    }
}

/// `part` of `parts` steps from one number to another, to the nearest whole one, halves away from zero. The distance is
/// divided before it is multiplied, so that nothing is beyond 256 bits.
fn exact(from: i256, to: i256, part: i64, parts: i64) -> i256 {
    let [part, parts] = [part, parts].map(|number| i256::from_i128(number.into()));
    let distance = to.sub_wrapping(from);
    let rest = distance.mod_wrapping(parts).mul_wrapping(part);
    let (mut whole, mut over) = (rest.div_wrapping(parts), rest.mod_wrapping(parts));
    if over.is_negative() {
        (whole, over) = (whole.sub_wrapping(i256::ONE), over.add_wrapping(parts));
    }
    let below = from.add_wrapping(distance.div_wrapping(parts).mul_wrapping(part)).add_wrapping(whole);
    let up = match over.add_wrapping(over).cmp(&parts) {
        Ordering::Less => false,
        Ordering::Equal => !below.is_negative(),
        Ordering::Greater => true,
    };
    if up { below.add_wrapping(i256::ONE) } else { below }
}

/// The same between floats. Weighted, since the distance of large ones of both signs is beyond all floats.
fn float(from: f64, to: f64, part: i64, parts: i64) -> f64 {
    let share = part as f64 / parts as f64;
    let distance = to - from;
    if distance.is_finite() { from + distance * share } else { from * (1.0 - share) + to * share }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_rounded_to_the_nearest() {
        let wide = |number: i64| i256::from_i128(number.into());
        let between = |from, to, part, parts| exact(wide(from), wide(to), part, parts).to_i128();
        assert_eq!((between(0, 10, 1, 4), between(0, -10, 1, 4)), (Some(3), Some(-3)));
        assert_eq!((between(-10, 0, 1, 4), between(10, 0, 1, 4)), (Some(-8), Some(8)));
        assert_eq!((between(-10, 0, 2, 3), between(1, -1, 1, 2)), (Some(-3), Some(0)));
        assert_eq!(between(i64::MIN, i64::MAX, 1, 2), Some(-1));
        assert_eq!(between(1 << 53, (1 << 53) + 2, 1, 2), Some((1 << 53) + 1));
    }

    #[test]
    fn large_floats_of_both_signs_have_a_middle() {
        assert_eq!((float(-f64::MAX, f64::MAX, 1, 2), float(1.0, 2.0, 3, 4)), (0.0, 1.75));
    }
}
