//! Streams kept for readers that come later: a fan-out, whose branches run at different speeds, and what feeds a step
//! that still waits.
//!
//! The source is read as long as *any* branch is hungry; branches that lag behind keep their items in memory, then on
//! disk. So a diamond, whose join reads one side to its end before it touches the other, cannot deadlock; and if all
//! branches lag, the source waits.

use flight_common::spool::{SpillSender, SpillSpace, spill_queue};
use flight_common::{EdgeStream, Fault, Parcel, compute};
use futures::StreamExt;
use futures::future::select_all;
use std::sync::Arc;

/// A branch with fewer bytes than this waiting in it is hungry.
const HUNGRY: usize = 4 << 20;

/// The same items for each of `branches` readers. One that is dropped is left out from then on.
pub fn tee<T: Parcel>(source: EdgeStream<T>, branches: usize, space: &SpillSpace) -> Vec<EdgeStream<T>> {
    if branches == 1 {
        return vec![source];
    }
    kept(source, branches, HUNGRY, space)
}

/// The same items, read as fast as the source gives them and kept for a reader that may come much later: a step that
/// waits for another must not hold back what feeds it, for the other may wait for that in turn.
pub fn read_ahead<T: Parcel>(source: EdgeStream<T>, space: &SpillSpace) -> EdgeStream<T> {
    kept(source, 1, usize::MAX, space).remove(0)
}

/// A queue for each branch, fed for as long as one of them holds less than `hungry` bytes.
fn kept<T: Parcel>(source: EdgeStream<T>, branches: usize, hungry: usize, space: &SpillSpace) -> Vec<EdgeStream<T>> {
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..branches).map(|_| spill_queue(space, source.schema())).unzip();
    let feeding = Arc::new(compute::spawn(feed(source, senders, hungry)));
    let streams = receivers.into_iter().map(|receiver| {
        let feeding = feeding.clone();
        receiver.into_stream().wrap(move |items| {
            items.map(move |item| {
                // The feeder ends with its last reader.
                let _owned = &feeding;
                item
            })
        })
    });
    streams.collect()
}

async fn feed<T: Parcel>(mut source: EdgeStream<T>, mut branches: Vec<SpillSender<T>>, hungry: usize) {
    let end = loop {
        if !any_hungry(&mut branches, hungry).await {
            return;
        }
        match source.next().await {
            Some(Ok(item)) => {
                if let Err(fault) = push_to_all(&mut branches, &item) {
                    break Err(fault);
                }
            }
            Some(Err(fault)) => break Err(fault),
            None => break Ok(()),
        }
    };
    for branch in branches {
        branch.finish(end.clone());
    }
}

/// Waits until a branch is hungry. False when no branch is left.
async fn any_hungry<T: Parcel>(branches: &mut Vec<SpillSender<T>>, hungry: usize) -> bool {
    loop {
        branches.retain(|branch| branch.waiting_bytes().is_some());
        if branches.is_empty() {
            return false;
        }
        if branches.iter().any(|branch| branch.waiting_bytes().is_some_and(|bytes| bytes < hungry)) {
            return true;
        }
        select_all(branches.iter().map(|branch| Box::pin(branch.taken()))).await;
    }
}

fn push_to_all<T: Parcel>(branches: &mut Vec<SpillSender<T>>, item: &T) -> Result<(), Fault> {
    let mut result = Ok(());
    branches.retain(|branch| match branch.push(item.clone()) {
        Ok(read) => read,
        Err(fault) => {
            result = Err(fault);
            true
        }
    });
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::RecordBatch;
    use flight_common::testing::{batch, slices};
    use flight_common::{BatchStream, MemoryBudget};
    use futures::TryStreamExt;

    fn small_space() -> SpillSpace {
        SpillSpace::new(MemoryBudget::new(1 << 20), std::env::temp_dir(), u64::MAX)
    }

    fn rows(count: i64) -> RecordBatch {
        let numbers: Vec<i64> = (0..count).collect();
        batch!("n" => Int64Array numbers)
    }

    #[tokio::test]
    async fn a_branch_read_to_its_end_before_the_other_begins_does_not_hang() {
        let whole = rows(2_000_000);
        let mut branches = tee(slices(&whole, 10_000), 2, &small_space());
        for branch in [branches.remove(1), branches.remove(0)] {
            let read = compute::spawn(branch.collect_rows()).await.expect("no panic").expect("a normal end");
            assert_eq!(read, whole);
        }
    }

    #[tokio::test]
    async fn a_fault_reaches_every_branch() {
        let whole = rows(10);
        let items = slices(&whole, 5).chain(futures::stream::once(async { Err(Fault::bad_data("broken")) }));
        let source = BatchStream::new(whole.schema(), items);
        for branch in tee(source, 3, &small_space()) {
            let fault = branch.try_collect::<Vec<_>>().await.expect_err("the fault");
            assert_eq!(fault.message(), "broken");
        }
    }

    #[tokio::test]
    async fn a_branch_that_is_dropped_does_not_hold_the_others_up() {
        let whole = rows(1_000_000);
        let mut branches = tee(slices(&whole, 10_000), 2, &small_space());
        drop(branches.remove(0));
        let read = branches.remove(0).collect_rows().await.expect("a normal end");
        assert_eq!(read.num_rows(), 1_000_000);
    }
}
