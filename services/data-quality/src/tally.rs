//! What all batches tell together, and the verdict on it.

use crate::check::{Check, completeness};
use crate::distinct::{Distinct, Part};
use crate::drift::Figures;
use crate::extent::Extent;
use crate::observe::{Known, Observation};
use crate::row_rule::Offences;
use flight_common::{Fault, StepContext};
use futures::{TryStreamExt, stream};
use serde_json::json;
use std::time::SystemTime;

/// What came of it.
pub struct Verdict {
    /// The result of each check, in the order of the manual.
    pub checks: Vec<Check>,
    /// The figures of columns that must be distributed as in a file.
    pub drift: Vec<Figures>,
}

/// The sum of all observations so far.
pub struct Tally {
    rows: u64,
    missing: Vec<u64>,
    duplicates: Option<Distinct>,
    unique: Vec<(u64, Distinct)>,
    extents: Vec<Extent>,
    offences: Vec<Offences>,
    drift: Vec<Vec<u64>>,
    newest: Vec<Extent>,
    rejected: u64,
}

impl Tally {
    /// Nothing seen yet.
    pub fn new(known: &Known, context: &StepContext) -> Self {
        let plan = &known.plan;
        let sets = plan.unique.len() + usize::from(plan.duplicates);
        let distinct = || Distinct::new(context.space(), sets - 1);
        Self {
            rows: 0,
            missing: vec![0; if plan.counts_nulls() { plan.schema.fields().len() } else { 0 }],
            duplicates: plan.duplicates.then(distinct),
            unique: plan.unique.iter().map(|_| (0, distinct())).collect(),
            extents: vec![Extent::default(); plan.ranges.len()],
            offences: vec![Offences::default(); plan.row_rules.len() + plan.references.len()],
            drift: known.drifts.nothing(),
            newest: vec![Extent::default(); plan.freshness.len()],
            rejected: 0,
        }
    }

    /// Takes in what the next batch told.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::Busy`] when neither memory nor disk can take the hashes.
    pub fn add(&mut self, seen: Observation) -> Result<(), Fault> {
        for (sum, more) in self.missing.iter_mut().zip(&seen.missing) {
            *sum += more;
        }
        for (sum, more) in self.extents.iter_mut().zip(&seen.extents) {
            sum.add(more, self.rows);
        }
        for (sum, more) in self.newest.iter_mut().zip(&seen.newest) {
            sum.add(more, self.rows);
        }
        for (sum, more) in self.drift.iter_mut().flatten().zip(seen.drift.iter().flatten()) {
            *sum += more;
        }
        for (sum, more) in self.offences.iter_mut().zip(&seen.offences) {
            sum.add(more, self.rows);
        }
        self.rejected += seen.rejected.map_or(0, |rows| rows.num_rows() as u64);
        if let Some(distinct) = &mut self.duplicates {
            distinct.add(seen.hashes)?;
        }
        for ((values, distinct), hashes) in self.unique.iter_mut().zip(seen.unique) {
            *values += hashes.len() as u64;
            distinct.add(hashes)?;
        }
        self.rows += seen.rows;
        Ok(())
    }

    /// The result of each check. Records the completeness of columns and how they are distributed, if asked.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::Busy`] when neither memory nor disk suffices to find repeats.
    pub async fn verdict(self, known: &Known, context: &StepContext) -> Result<Verdict, Fault> {
        let (plan, rows) = (&*known.plan, self.rows);
        let (mut checks, mut drift) = (Vec::new(), Vec::new());
        if let Some(least) = plan.min_rows {
            checks.push(Check::min_rows(rows, least));
        }
        if let Some(most) = plan.max_rows {
            checks.push(Check::max_rows(rows, most));
        }
        if let Some(threshold) = plan.null_ratio {
            let cells = rows * plan.schema.fields().len() as u64;
            checks.push(Check::null_ratio(self.missing.iter().sum(), cells, threshold));
        }
        if let Some(distinct) = self.duplicates {
            checks.push(Check::duplicates(rows - count(distinct, context).await?));
        }
        checks.extend(plan.types.iter().map(Check::column_type));
        for (place, (values, distinct)) in plan.unique.iter().zip(self.unique) {
            checks.push(Check::unique(plan.name(*place), count(distinct, context).await?, values));
        }
        for (range, extent) in plan.ranges.iter().zip(&self.extents) {
            checks.push(Check::range(range, extent, plan.schema.field(range.place))?);
        }
        for (rule, offences) in plan.row_rules.iter().zip(&self.offences) {
            checks.push(Check::row_rule(rule, offences, plan.name(rule.place)));
        }
        for (check, offences) in plan.references.iter().zip(&self.offences[plan.row_rules.len()..]) {
            checks.push(Check::reference(check, offences, plan.name(check.place)));
        }
        let now = SystemTime::now();
        for (fresh, newest) in plan.freshness.iter().zip(&self.newest) {
            checks.push(Check::freshness(fresh, newest, plan.schema.field(fresh.place), now)?);
        }
        if let Some(check) = &plan.drift {
            let figures = known.drifts.figures(plan.drift.as_ref(), &plan.schema, &self.drift)?;
            checks.extend(figures.iter().map(|figures| Check::drift(&check.asked, figures)));
            context.meter.detail("drift", json!(figures));
            drift = figures;
        }
        if plan.completeness {
            let report = completeness(&plan.schema, &self.missing, rows);
            checks.push(Check::completeness(&report));
            context.meter.detail("completeness", report);
        }
        if plan.failures.reject() {
            context.meter.count("rows_rejected", self.rejected);
        }
        checks.iter_mut().for_each(|check| check.on_failure = plan.failures.of(check.rule));
        Ok(Verdict { checks, drift })
    }
}

/// Counts the parts on all cores.
async fn count(distinct: Distinct, context: &StepContext) -> Result<u64, Fault> {
    let parts = stream::iter(distinct.finish().map(Ok));
    context.map_parallel(parts, Part::count).try_fold(0, |sum, more| async move { Ok(sum + more) }).await
}
