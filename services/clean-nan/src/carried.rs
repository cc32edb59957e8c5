//! Each batch of a stream with what its neighbours hand on to it.

use crate::column::Target;
use crate::held::Held;
use crate::neighbour::{Carry, Neighbour, newer};
use arrow::array::RecordBatch;
use async_stream::try_stream;
use flight_common::{BatchStream, Fault, StepContext};
use futures::{Stream, StreamExt};
use std::sync::Arc;

/// Each batch with what the rows above hand on to it.
pub fn carried_down(
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
pub fn carried_up(
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
