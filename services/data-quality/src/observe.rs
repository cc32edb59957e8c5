//! What one batch tells, and which of its rows may pass: a pure function, so that batches are looked at on all cores.

use crate::drift::Drifts;
use crate::extent::Extent;
use crate::hash::Keys;
use crate::names::{REFERENCE, VALUE_RANGE};
use crate::plan::Plan;
use crate::reference::References;
use crate::reject::Reasons;
use crate::row_rule::Offences;
use arrow::array::{ArrayRef, RecordBatch};
use flight_common::cells::present;
use flight_common::{Fault, StepContext};
use std::sync::Arc;

/// What one batch tells.
pub struct Observation {
    /// Its rows.
    pub rows: u64,
    /// The cells of each column without a value; empty if nobody asks.
    pub missing: Vec<u64>,
    /// The hash of each row; empty if nobody asks.
    pub hashes: Vec<u128>,
    /// For each unique column, the hash of each of its values.
    pub unique: Vec<Vec<u128>>,
    /// For each column with limits, how far it reaches.
    pub extents: Vec<Extent>,
    /// For each rule about single rows, what it found; then for each reference.
    pub offences: Vec<Offences>,
    /// For each column that must be distributed as in a file, how many values are in each of its bins.
    pub drift: Vec<Vec<u64>>,
    /// For each column that must be fresh, how far it reaches.
    pub newest: Vec<Extent>,
    /// The rows that pass.
    pub kept: RecordBatch,
    /// The others, with the reason.
    pub rejected: Option<RecordBatch>,
}

/// What is known before the first row.
pub struct Known {
    /// The checks.
    pub plan: Arc<Plan>,
    /// The secrets of hashes.
    pub keys: Keys,
    /// The values that must occur.
    pub references: References,
    /// How values must be distributed.
    pub drifts: Drifts,
}

impl Known {
    /// Reads the files that the data are compared with.
    ///
    /// # Errors
    /// Why one cannot be read, or does not fit in memory.
    pub async fn load(plan: Arc<Plan>, context: &StepContext) -> Result<Self, Fault> {
        let keys = Keys::random();
        let references = References::load(&plan.references, &keys, context).await?;
        let drifts = Drifts::load(plan.drift.as_ref(), context).await?;
        Ok(Self { plan, keys, references, drifts })
    }
}

/// Looks at a batch.
///
/// # Errors
/// [`flight_common::FaultKind::Internal`] for what planning should have refused.
pub fn observe(known: &Known, batch: &RecordBatch) -> Result<Observation, Fault> {
    let Known { plan, keys, references, drifts } = known;
    let (columns, rows) = (batch.columns(), batch.num_rows());
    let counted = if plan.counts_nulls() { columns } else { &[] };
    let hashes = if plan.duplicates { keys.hash_rows(columns, rows)? } else { Vec::new() };
    let unique = plan.unique.iter().map(|place| values(keys, batch, *place));
    let mut reasons = Reasons::default();
    let extents = plan.ranges.iter().map(|range| {
        let (column, rejects) = (batch.column(range.place), plan.failures.rejects(VALUE_RANGE));
        Extent::noting(column, &range.limits, &mut |row| {
            if rejects {
                reasons.add(row, || range.reason(plan.name(range.place)));
            }
        })
    });
    let extents = extents.collect::<Result<_, _>>()?;
    let mut offences = Vec::new();
    for rule in &plan.row_rules {
        let failing = rule.failing(batch)?;
        offences.push(Offences::of(&failing));
        if plan.failures.rejects(rule.name()) {
            failing.set_indices().for_each(|row| reasons.add(row, || rule.reason(plan.name(rule.place))));
        }
    }
    for (check, failing) in plan.references.iter().zip(references.failing(&plan.references, keys, batch)?) {
        offences.push(Offences::of(&failing));
        if plan.failures.rejects(REFERENCE) {
            failing.set_indices().for_each(|row| reasons.add(row, || check.reason(plan.name(check.place))));
        }
    }
    let newest = plan.freshness.iter().map(|fresh| Extent::of(batch.column(fresh.place), &fresh.limits));
    let newest = newest.collect::<Result<_, _>>()?;
    let (kept, rejected) = reasons.divide(batch, &plan.rejected)?;
    Ok(Observation {
        rows: rows as u64,
        missing: counted.iter().map(missing).collect::<Result<_, _>>()?,
        hashes,
        unique: unique.collect::<Result<_, _>>()?,
        extents,
        offences,
        drift: drifts.count(plan.drift.as_ref(), batch)?,
        newest,
        kept,
        rejected,
    })
}

/// How many cells of a column hold no value.
fn missing(column: &ArrayRef) -> Result<u64, Fault> {
    Ok(present(column)?.map_or(0, |present| present.null_count() as u64))
}

/// The hashes of a column's values, without nulls and NaN.
fn values(keys: &Keys, batch: &RecordBatch, place: usize) -> Result<Vec<u128>, Fault> {
    let column = batch.column(place);
    let hashes = keys.hash_rows(std::slice::from_ref(column), batch.num_rows())?;
    Ok(match present(column)? {
        Some(present) => present.valid_indices().map(|row| hashes[row]).collect(),
        None => hashes,
    })
}
