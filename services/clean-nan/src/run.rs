//! The streams of each strategy.

use crate::carried::{carried_down, carried_up};
use crate::column::Target;
use crate::fill::{Filler, complete_rows};
use crate::interpolate::interpolated;
use crate::neighbour::Neighbour;
use crate::plan::{Action, Plan, Stage};
use crate::report::{NULLS_FILLED, shown};
use crate::statistic::{Statistic, figures};
use async_stream::try_stream;
use flight_common::{BatchStream, Fault, StepContext};
use futures::{StreamExt, TryStreamExt};
use serde_json::{Map, Value};
use std::sync::{Arc, Mutex, PoisonError};

const ROWS_DROPPED: &str = "rows_dropped";
const NULLS_FOUND: &str = "nulls_found";

/// What figures were put into which columns, by all stages.
type FillValues = Arc<Mutex<Map<String, Value>>>;

/// The cleaned rows.
pub fn run(plan: Plan, input: BatchStream, context: &StepContext) -> BatchStream {
    let mut rows = match plan.nulls {
        Some(nulls) => {
            let (output, meter) = (plan.output, context.meter.clone());
            meter.count(NULLS_FOUND, 0);
            context.map_batches_parallel(input, output, move |batch| {
                let (batch, found) = nulls.apply(batch)?;
                meter.count(NULLS_FOUND, found);
                Ok(batch)
            })
        }
        None => input,
    };
    let fill_values = FillValues::default();
    for Stage { targets, action } in plan.stages {
        let targets: Arc<[Target]> = targets.into();
        context.meter.count(if matches!(action, Action::Drop) { ROWS_DROPPED } else { NULLS_FILLED }, 0);
        if targets.is_empty() {
            continue;
        }
        rows = match action {
            Action::Drop => without_incomplete(rows, targets, context),
            Action::Fill(values) => {
                filled(rows, Filler::new(targets.iter().map(|target| target.place).zip(values)), context)
            }
            Action::Forward => from_neighbour(rows, Neighbour::Above, targets, context),
            Action::Backward => from_neighbour(rows, Neighbour::Below, targets, context),
            Action::Interpolate => interpolated(rows, targets, context),
            Action::Statistic(statistic) => with_figures(rows, statistic, targets, fill_values.clone(), context),
        };
    }
    rows
}

fn without_incomplete(input: BatchStream, targets: Arc<[Target]>, context: &StepContext) -> BatchStream {
    let (schema, meter) = (input.schema(), context.meter.clone());
    let complete = context.map_batches_parallel(input, schema, move |batch| {
        let (rows, dropped) = complete_rows(batch, &targets)?;
        meter.count(ROWS_DROPPED, dropped);
        Ok(rows)
    });
    complete.wrap(|batches| batches.try_filter(|batch| std::future::ready(batch.num_rows() > 0)))
}

fn filled(input: BatchStream, filler: Filler, context: &StepContext) -> BatchStream {
    let (schema, meter) = (input.schema(), context.meter.clone());
    context.map_batches_parallel(input, schema, move |batch| {
        let (batch, count) = filler.fill(batch)?;
        meter.count(NULLS_FILLED, count);
        Ok(batch)
    })
}

fn with_figures(
    input: BatchStream,
    statistic: Statistic,
    targets: Arc<[Target]>,
    fill_values: FillValues,
    context: &StepContext,
) -> BatchStream {
    let context = context.clone();
    BatchStream::new(
        input.schema(),
        try_stream! {
            let figures = figures(statistic, input, &targets, &context).await?;
            let values = figures.values.iter().map(|(target, value)| Ok((target.name.clone(), shown(value)?)));
            let values = values.collect::<Result<Map<_, _>, Fault>>()?;
            context.meter.detail("fill_values", Value::Object(joined(&fill_values, values)));
            let filler = Filler::new(figures.values.into_iter().map(|(target, value)| (target.place, value)));
            let mut rows = filled(figures.rows.drain(), filler, &context);
            while let Some(batch) = rows.next().await {
                yield batch?;
            }
        },
    )
}

fn joined(all: &FillValues, more: Map<String, Value>) -> Map<String, Value> {
    let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
    all.extend(more);
    all.clone()
}

fn from_neighbour(
    input: BatchStream,
    neighbour: Neighbour,
    targets: Arc<[Target]>,
    context: &StepContext,
) -> BatchStream {
    let (schema, meter) = (input.schema(), context.meter.clone());
    let carried = match neighbour {
        Neighbour::Above => carried_down(input, targets.clone()).left_stream(),
        Neighbour::Below => carried_up(input, targets.clone(), context.clone()).right_stream(),
    };
    let filled = context.map_parallel(carried, move |(batch, carry)| {
        let (batch, count) = neighbour.fill(batch, &carry, &targets)?;
        meter.count(NULLS_FILLED, count);
        Ok(batch)
    });
    BatchStream::new(schema, filled)
}
