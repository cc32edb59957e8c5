//! A value from the nearest row above, or below, in place of what is missing.
//!
//! What a batch needs to know of the others is one value for each column, its *carry*. Working carries out is quick and
//! goes batch by batch; filling takes longer, and each batch with its carry can then be filled on any core.

use crate::column::{Target, one_row, replace};
use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::buffer::NullBuffer;
use arrow::compute::interleave;
use flight_common::Fault;
use flight_common::cells::{plain, present};

/// The value, as one row, that enters a batch in each target from where the values come; none if there is none yet.
pub type Carry = Vec<Option<ArrayRef>>;

/// Where values come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Neighbour {
    /// The last row above that has one.
    Above,
    /// The next row below that has one.
    Below,
}

impl Neighbour {
    /// The row of a batch whose value goes on into the next batch.
    fn last_met(self, present: Option<&NullBuffer>, rows: usize) -> Option<usize> {
        let is_there = |row: &usize| present.is_none_or(|present| present.is_valid(*row));
        match self {
            Self::Above => (0..rows).rev().find(is_there),
            Self::Below => (0..rows).find(is_there),
        }
    }

    /// What this batch hands on in each target, if anything.
    pub fn handed_on(self, batch: &RecordBatch, targets: &[Target]) -> Result<Carry, Fault> {
        let hand_on = |target: &Target| {
            let column = batch.column(target.place);
            let row = self.last_met(present(column)?.as_ref(), column.len());
            row.map(|row| one_row(column, row)).transpose()
        };
        targets.iter().map(hand_on).collect()
    }

    /// The batch with all filled in that can be, and how many values were. The rest stays as it is.
    pub fn fill(self, batch: RecordBatch, carry: &Carry, targets: &[Target]) -> Result<(RecordBatch, u64), Fault> {
        let mut filled = 0;
        let mut new = Vec::new();
        for (target, carried) in targets.iter().zip(carry) {
            let column = batch.column(target.place);
            let Some(present) = present(column)? else { continue };
            let (sources, found) = self.sources(&present, carried.is_some());
            if found == 0 {
                continue;
            }
            filled += found;
            let own = plain(column)?;
            let carried = carried.as_ref().unwrap_or(&own);
            new.push((target.place, interleave(&[carried, &own], &sources)?));
        }
        match new.is_empty() {
            true => Ok((batch, 0)),
            false => Ok((replace(&batch, new)?, filled)),
        }
    }

    /// Where each row takes its value from, (0, 0) being the carry and (1, n) row n of the batch itself, and how many
    /// take another row's.
    fn sources(self, present: &NullBuffer, carried: bool) -> (Vec<(usize, usize)>, u64) {
        const CARRY: (usize, usize) = (0, 0);
        let rows = present.len();
        let mut sources = vec![CARRY; rows];
        let mut last = carried.then_some(CARRY);
        let mut found = 0;
        let mut visit = |row: usize| {
            if present.is_valid(row) {
                last = Some((1, row));
            } else {
                found += u64::from(last.is_some());
            }
            sources[row] = last.unwrap_or((1, row));
        };
        match self {
            Self::Above => (0..rows).for_each(&mut visit),
            Self::Below => (0..rows).rev().for_each(&mut visit),
        }
        (sources, found)
    }
}

/// What was met last: the newer carry, and the older one where that has nothing.
pub fn newer(newer: Carry, older: Carry) -> Carry {
    newer.into_iter().zip(older).map(|(newer, older)| newer.or(older)).collect()
}
