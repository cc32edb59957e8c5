//! The streams of each strategy.

use crate::column::Target;
use crate::fill::{Filler, complete_rows};
use crate::held::Held;
use crate::neighbour::{Carry, Neighbour, newer};
use crate::plan::{Action, Plan};
use crate::report::shown;
use crate::statistic::{Statistic, figures};
use arrow::array::RecordBatch;
use async_stream::try_stream;
use flight_common::{BatchStream, Fault, StepContext};
use futures::{Stream, StreamExt, TryStreamExt};
use serde_json::{Map, Value};
use std::sync::Arc;

const ROWS_DROPPED: &str = "rows_dropped";
const NULLS_FILLED: &str = "nulls_filled";

/// The cleaned rows.
pub fn run(plan: Plan, input: BatchStream, context: &StepContext) -> BatchStream {
    let targets: Arc<[Target]> = plan.targets.into();
    let counter = if matches!(plan.action, Action::Drop) { ROWS_DROPPED } else { NULLS_FILLED };
    context.meter.count(counter, 0);
    if targets.is_empty() {
        return input;
    }
    match plan.action {
        Action::Drop => without_incomplete(input, targets, context),
        Action::Fill(values) => {
            filled(input, Filler::new(targets.iter().map(|target| target.place).zip(values)), context)
        }
        Action::Forward => from_neighbour(input, Neighbour::Above, targets, context),
        Action::Backward => from_neighbour(input, Neighbour::Below, targets, context),
        Action::Statistic(statistic) => with_figures(input, statistic, targets, context),
    }
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
    context: &StepContext,
) -> BatchStream {
    let context = context.clone();
    BatchStream::new(
        input.schema(),
        try_stream! {
            let figures = figures(statistic, input, &targets, &context).await?;
            let values = figures.values.iter().map(|(target, value)| Ok((target.name.clone(), shown(value)?)));
            context.meter.detail("fill_values", Value::Object(values.collect::<Result<Map<_, _>, Fault>>()?));
            let filler = Filler::new(figures.values.into_iter().map(|(target, value)| (target.place, value)));
            let mut rows = filled(figures.rows.drain(), filler, &context);
            while let Some(batch) = rows.next().await {
                yield batch?;
            }
        },
    )
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

/// Each batch with what the rows above hand on to it.
fn carried_down(
    mut input: BatchStream,
    targets: Arc<[Target]>,
) -> impl Stream<Item = Result<(RecordBatch, Carry), Fault>> + Send {
    try_stream! {
        let mut carry: Carry = vec![None; targets.len()];
        while let Some(batch) = input.next().await {
            let batch = batch?;
            let next = newer(Neighbour::Above.handed_on(&batch, &targets)?, carry.clone());
            yield (batch, std::mem::replace(&mut carry, next));
        }
    }
}

/// Each batch with what the rows below hand on to it, once that is known.
fn carried_up(
    mut input: BatchStream,
    targets: Arc<[Target]>,
    context: StepContext,
) -> impl Stream<Item = Result<(RecordBatch, Carry), Fault>> + Send {
    try_stream! {
        let nothing: Carry = vec![None; targets.len()];
        let mut held = Held::new(context.space(), input.schema(), &targets);
        while let Some(batch) = input.next().await {
            let batch = batch?;
            let head = Neighbour::Below.handed_on(&batch, &targets)?;
            if held.is_answered_by(&head) {
                for await ready in held.release(head.clone())? {
                    yield ready?;
                }
            }
            held.push(batch, &head, &targets)?;
            if held.is_content() {
                for await ready in held.release(nothing.clone())? {
                    yield ready?;
                }
            }
        }
        for await ready in held.release(nothing)? {
            yield ready?;
        }
    }
}
