//! The input in small portions: few rows each, numbered, with those that are asked for.
//!
//! Rows are chosen here, one portion after the other, so that it does not hang on how rows were cut into batches which
//! ones `max_rows` lets through.

use crate::bill::Bill;
use crate::work::Work;
use arrow::array::RecordBatch;
use async_stream::try_stream;
use flight_common::wire::row_bytes;
use flight_common::{BatchStream, Fault};
use futures::{Stream, StreamExt};
use std::sync::Arc;

/// Rows of a portion at most. Enough of them are under way at a time to keep all requests busy.
const ROWS: usize = 256;

/// Some rows.
pub struct Portion {
    /// The rows, in order.
    pub rows: RecordBatch,
    /// The number of the first one, counted from 0.
    pub first: u64,
    /// Those to ask for.
    pub wanted: Vec<usize>,
}

impl Portion {
    /// Bytes that it takes while it is under way: the rows, their prompts and their answers.
    pub fn bytes(&self, most_tokens: u64) -> usize {
        row_bytes(&self.rows).saturating_mul(2).saturating_add(self.answer_bytes(most_tokens))
    }

    /// Bytes of its answers, if they are as most are.
    pub fn answer_bytes(&self, most_tokens: u64) -> usize {
        const TOKEN: usize = 4;
        let answer = usize::try_from(most_tokens).unwrap_or(usize::MAX).saturating_mul(TOKEN);
        self.wanted.len().saturating_mul(answer)
    }

    /// Takes off the rows from the wanted one with this number on, if there is one.
    pub fn split_off(&mut self, number: usize) -> Option<Self> {
        let start = *self.wanted.get(number)?;
        let wanted = self.wanted.split_off(number).into_iter().map(|row| row - start).collect();
        let rest = self.rows.slice(start, self.rows.num_rows() - start);
        self.rows = self.rows.slice(0, start);
        Some(Self { rows: rest, first: self.first + start as u64, wanted })
    }
}

/// Cuts the input. Of the rows that want an answer the first `max_rows` are asked for.
pub fn portions(
    mut input: BatchStream,
    work: Arc<Work>,
    max_rows: u64,
    bill: Arc<Bill>,
) -> impl Stream<Item = Result<Portion, Fault>> + Send {
    try_stream! {
        let (mut first, mut left) = (0u64, max_rows);
        while let Some(batch) = input.next().await {
            let batch = batch?;
            for start in (0..batch.num_rows()).step_by(ROWS) {
                let rows = batch.slice(start, ROWS.min(batch.num_rows() - start));
                let mut wanted = work.wanted(&rows)?;
                let allowed = wanted.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                bill.count("rows_beyond_limit", (wanted.len() - allowed) as u64);
                wanted.truncate(allowed);
                left -= allowed as u64;
                let count = rows.num_rows() as u64;
                yield Portion { rows, first, wanted };
                first += count;
            }
        }
    }
}
