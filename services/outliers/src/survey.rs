//! The first pass: rows are spooled while their columns are measured, and then each column has its borders.
//!
//! The mean of all rows is worked out as they go by. Quartiles, medians and everything by group need sorted values; by
//! group, what is then found beyond a border is sorted again by row, so that the last pass meets it in row order.

use crate::border::{Border, Unit};
use crate::groups::Groups;
use crate::moments::{Moments, numbers};
use crate::params::Method;
use crate::plan::Plan;
use crate::quantile::{deviation, from_key, quantile, to_key};
use crate::sorter::{Reader, Record, Sorted, Sorter, let_others};
use arrow::array::{Array, Float64Array, RecordBatch};
use flight_common::{BatchStream, Fault, Spool, SpoolWriter, StepContext};
use futures::StreamExt;
use serde_json::{Value, json};
use std::ops::Range;

/// Scales the median absolute deviation so that it is the standard deviation where values are normally distributed
/// (B. Iglewicz and D. C. Hoaglin, *How to Detect and Handle Outliers*, ASQC 1993: 0.6745 is the third quartile of the
/// standard normal distribution).
const NORMAL_QUARTILE: f64 = 0.6745;

/// What is known after the first pass.
pub struct Survey {
    /// The rows.
    pub rows: Spool<RecordBatch>,
    /// What was found in each measured column.
    pub findings: Vec<Finding>,
    /// The figures of each measured column; nothing by group.
    pub figures: Vec<Option<Value>>,
}

/// The outliers of a column.
pub enum Finding {
    /// What lies beyond this border; nothing without one.
    Border(Option<Border>),
    /// These: `major` is the row, `minor` the bits of the nearest value that is no outlier.
    Rows(Sorted),
}

/// Reads the whole input.
///
/// # Errors
/// The input's fault; [`flight_common::FaultKind::Busy`] when memory and disk are full.
pub async fn survey(mut input: BatchStream, plan: &Plan, context: &StepContext) -> Result<Survey, Fault> {
    let groups = Groups::new(&plan.groups, &input.schema())?;
    let mut rows = SpoolWriter::new(context.space(), input.schema());
    let mut measures: Vec<Measure> = plan.places.iter().map(|_| Measure::new(plan, context)).collect();
    let mut row = 0;
    while let Some(batch) = input.next().await {
        let batch = batch?;
        let groups = groups.as_ref().map(|groups| groups.of(&batch)).transpose()?;
        for (measure, place) in measures.iter_mut().zip(&plan.places) {
            measure.add(&numbers(&batch, *place)?, groups.as_deref(), row)?;
        }
        row += batch.num_rows() as u64;
        rows.push(batch)?;
    }
    let (mut findings, mut figures) = (Vec::new(), Vec::new());
    for measure in measures {
        let (finding, figure) = measure.finish(plan, context).await?;
        findings.push(finding);
        figures.push(figure);
    }
    Ok(Survey { rows: rows.finish(), findings, figures })
}

/// What is gathered of a column.
enum Measure {
    /// The figures of all rows.
    Moments(Moments),
    /// By group, then by row: `rest` is the value.
    ByRow(Sorter),
    /// By group, then by value: `rest` is the row.
    ByValue(Sorter),
}

impl Measure {
    fn new(plan: &Plan, context: &StepContext) -> Self {
        let sorter = || Sorter::new(context.space(), plan.places.len() - 1);
        match (plan.method, plan.groups.is_empty()) {
            (Method::ZScore, true) => Self::Moments(Moments::default()),
            (Method::ZScore, false) => Self::ByRow(sorter()),
            (Method::Iqr | Method::Mad, _) => Self::ByValue(sorter()),
        }
    }

    /// Takes in a batch's column, whose first row is the `row`-th of all. Nulls and NaN are left out.
    fn add(&mut self, values: &Float64Array, groups: Option<&[u128]>, row: u64) -> Result<(), Fault> {
        let place = |place: usize| (groups.map_or(0, |groups| groups[place]), row + place as u64);
        match self {
            Self::Moments(moments) => moments.add(values),
            Self::ByRow(sorter) => {
                for (at, value) in present(values) {
                    let (major, minor) = place(at);
                    sorter.push(Record { major, minor, rest: value.to_bits() })?;
                }
            }
            Self::ByValue(sorter) => {
                for (at, value) in present(values) {
                    let (major, rest) = place(at);
                    sorter.push(Record { major, minor: to_key(value), rest })?;
                }
            }
        }
        Ok(())
    }

    async fn finish(self, plan: &Plan, context: &StepContext) -> Result<(Finding, Option<Value>), Fault> {
        let (sorter, by_row) = match self {
            Self::Moments(moments) => {
                let (border, figures) = spread(&moments, plan.threshold);
                return Ok((Finding::Border(border), Some(figures)));
            }
            Self::ByRow(sorter) => (sorter, true),
            Self::ByValue(sorter) => (sorter, false),
        };
        let sorted = sorter.finish().await?;
        if plan.groups.is_empty() {
            let (mut left, mut right) = (sorted.reader(), sorted.reader());
            let (border, figures) = measured(&mut left, &mut right, &(0..sorted.len()), plan).await?;
            return Ok((Finding::Border(border), Some(figures)));
        }
        let found = beyond(&sorted, by_row, plan, context).await?;
        Ok((Finding::Rows(found), None))
    }
}

fn present(values: &Float64Array) -> impl Iterator<Item = (usize, f64)> + '_ {
    let present = (0..values.len()).filter(|row| values.is_valid(*row)).map(|row| (row, values.value(row)));
    present.filter(|(_, value)| !value.is_nan())
}

fn spread(moments: &Moments, threshold: f64) -> (Option<Border>, Value) {
    let (mean, deviation) = (moments.mean(), moments.deviation());
    let border = mean.zip(deviation).and_then(|(mean, deviation)| Border::distance(mean, deviation, threshold));
    (border, json!({"mean": mean, "sd": deviation.map(Unit::reported)}))
}

/// The border of the values in a range of sorted records, and their figures.
async fn measured(
    left: &mut Reader,
    right: &mut Reader,
    range: &Range<u64>,
    plan: &Plan,
) -> Result<(Option<Border>, Value), Fault> {
    match plan.method {
        Method::ZScore => {
            let (mut moments, mut turn) = (Moments::default(), 0);
            for place in range.clone() {
                moments.add_one(f64::from_bits(left.get(place)?.rest));
                let_others(&mut turn).await;
            }
            Ok(spread(&moments, plan.threshold))
        }
        Method::Iqr if range.is_empty() => Ok((None, json!({"q1": null, "q3": null}))),
        Method::Iqr => {
            let (first, third) = (quantile(left, range, 1)?, quantile(left, range, 3)?);
            Ok((Border::fences(first, third, plan.threshold), json!({"q1": first, "q3": third})))
        }
        Method::Mad if range.is_empty() => Ok((None, json!({"median": null, "mad": null}))),
        Method::Mad => {
            let median = quantile(left, range, 2)?;
            let mad = match median.is_finite() {
                true => deviation(left, right, range, median).await?,
                false => f64::NAN,
            };
            let unit = Unit::new(|part| mad * part / NORMAL_QUARTILE);
            let border = Border::distance(median, unit, plan.threshold);
            Ok((border, json!({"median": median, "mad": mad})))
        }
    }
}

/// What lies beyond the border of its group, in row order.
async fn beyond(sorted: &Sorted, by_row: bool, plan: &Plan, context: &StepContext) -> Result<Sorted, Fault> {
    let mut found = Sorter::new(context.space(), plan.places.len() - 1);
    let (mut left, mut right, mut turn) = (sorted.reader(), sorted.reader(), 0);
    let mut start = 0;
    while start < sorted.len() {
        let (group, mut end) = (left.get(start)?.major, start + 1);
        while end < sorted.len() && left.get(end)?.major == group {
            end += 1;
            let_others(&mut turn).await;
        }
        let range = start..end;
        let (border, _) = measured(&mut left, &mut right, &range, plan).await?;
        if let Some(border) = border {
            for place in range {
                let record = left.get(place)?;
                let (row, value) = match by_row {
                    true => (record.minor, f64::from_bits(record.rest)),
                    false => (record.rest, from_key(record.minor)),
                };
                if let Some(nearest) = border.nearest(value) {
                    found.push(Record { major: row.into(), minor: nearest.to_bits(), rest: 0 })?;
                }
                let_others(&mut turn).await;
            }
        }
        start = end;
    }
    found.finish().await
}
