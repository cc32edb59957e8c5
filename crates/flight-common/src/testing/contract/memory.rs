//! A run with far more rows than memory.

use super::Breaches;
use super::lab::{Lab, check_given_back};
use super::rows::difference;
use super::runs::told;
use crate::memory::MemoryBudget;
use crate::testing::slices;
use crate::wire::row_bytes;
use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::error::ArrowError;

const BATCH: usize = 256;
const TIMES: usize = 10;

pub(super) async fn check(lab: &Lab, found: &mut Breaches) {
    const RULE: &str = "stays-within-memory";
    let limit = lab.case.memory;
    let inputs = match larger(lab) {
        Ok(inputs) => inputs,
        Err(error) => return found.add(RULE, format!("the case cannot be made larger: {error}")),
    };
    let bytes: usize = inputs.iter().map(row_bytes).sum();
    found.expect(RULE, inputs.is_empty() || bytes >= TIMES * limit, || {
        format!("the case brings {bytes} bytes, which is not {TIMES} times the memory of {limit}")
    });
    let roomy = lab.bench().memory(MemoryBudget::DEFAULT_LIMIT);
    let tight = lab.bench().memory(limit);
    let runs = [
        lab.run(&roomy, &inputs, |input| slices(input, BATCH)).await,
        lab.run(&tight, &inputs, |input| slices(input, BATCH)).await,
    ];
    match &runs {
        [Ok(roomy), Ok(tight)] => {
            if let Some(difference) = difference(&lab.step.spec(), roomy, tight) {
                found.add(RULE, format!("with little memory the rows differ: {difference}"));
            }
        }
        [Err(fault), _] => found.add(RULE, format!("with {bytes} bytes it fails: {}", told(fault))),
        [_, Err(fault)] => found.add(RULE, format!("with {limit} bytes of memory it fails: {}", told(fault))),
    }
    // Queues of a bounded size are booked without asking, and may lie above.
    let peak = tight.env.space.budget().peak();
    found.expect(RULE, peak <= limit + limit / 4, || format!("it held {peak} bytes at once, and the limit is {limit}"));
    drop(runs);
    for bench in [roomy, tight] {
        check_given_back(&bench.env.space, "after a normal end", found).await;
    }
}

fn larger(lab: &Lab) -> Result<Vec<RecordBatch>, ArrowError> {
    if let Some(inputs) = &lab.case.larger {
        return Ok(inputs.clone());
    }
    let mut inputs = lab.case.inputs.clone();
    if let Some(first) = inputs.first_mut().filter(|first| first.num_rows() > 0) {
        while row_bytes(first) < TIMES * lab.case.memory {
            *first = concat_batches(&first.schema(), [&*first, &*first])?;
        }
    }
    Ok(inputs)
}
