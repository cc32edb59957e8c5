//! Runs that do not end well: an input that fails, and a reader that leaves.

use super::Breaches;
use super::lab::{DEADLINE, Lab, check_given_back};
use super::runs::told;
use crate::compute;
use crate::fault::{Fault, FaultKind};
use crate::stream::BatchStream;
use crate::testing::slices;
use arrow::array::RecordBatch;
use futures::{StreamExt, future, stream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, oneshot};
use tokio::task::coop::consume_budget;

const FAULT: &str = "the source went away, as the contract check had it do";
/// Batches of an endless input that are read before its reader leaves.
const BATCHES_BEFORE: usize = 20;
const STOPS: &str = "stops-when-dropped";
const STOPS_WITHIN: Duration = Duration::from_secs(1);
/// A machine that is busy with something else may be late, but not so often.
const TRIES: usize = 3;

pub(super) async fn check(lab: &Lab, found: &mut Breaches) {
    for (place, name) in lab.input_names().into_iter().flatten().enumerate() {
        let name = name.as_str();
        check_fault(lab, place, name, 3, found).await;
        check_fault(lab, place, name, 0, found).await;
    }
    check_dropped(lab, "while it computes", usize::MAX, found).await;
    check_dropped(lab, "while it waits for input", BATCHES_BEFORE, found).await;
}

/// Fails one input after some of its rows. After the fault it neither ends nor goes on: a step that asks it again waits
/// for ever.
async fn check_fault(lab: &Lab, failing: usize, name: &str, batches: usize, found: &mut Breaches) {
    const RULE: &str = "passes-faults-on";
    let files = lab.files();
    let inputs = lab.case.inputs.iter().enumerate().map(|(place, input)| {
        let rows = slices(input, (input.num_rows() / 4).max(1));
        if place != failing {
            return rows;
        }
        let fault = stream::once(async { Err(Fault::upstream(FAULT)) });
        BatchStream::new(input.schema(), rows.take(batches).chain(fault).chain(stream::pending()))
    });
    let bench = lab.bench();
    let what = format!("after a fault in {name}, which had given {batches} batches");
    match lab.run_streams(&bench, inputs.collect()).await {
        Ok(ran) => found.add(RULE, format!("{what}, it ended well with {} rows", ran.rows().num_rows())),
        Err(fault) => found.expect(RULE, fault.kind() == FaultKind::Upstream && fault.message() == FAULT, || {
            format!("{what}, it failed with {}", told(&fault))
        }),
    }
    found.expect("leaves-nothing-behind", lab.files() == files, || format!("{what}, a file is left"));
    check_given_back(&bench.env.space, &what, found).await;
}

/// Lets the reader of the output leave, and looks whether every input is let go.
async fn check_dropped(lab: &Lab, when: &str, batches: usize, found: &mut Breaches) {
    for _ in 0..TRIES {
        if stops(lab, when, batches, found).await {
            return;
        }
    }
    found.add(STOPS, format!("dropped {when}, it still holds an input after {} s", STOPS_WITHIN.as_secs()));
}

/// Whether it lets go of every input in time once the reader of its output has left, if it comes so far. What else is
/// wrong is told.
async fn stops(lab: &Lab, when: &str, batches: usize, found: &mut Breaches) -> bool {
    let files = lab.files();
    let bench = lab.bench().memory(lab.case.memory);
    let flow = Arc::new(Flow::default());
    let (inputs, dropped): (Vec<_>, Vec<_>) =
        lab.case.inputs.iter().map(|input| endless(input, batches, flow.clone())).unzip();
    let mut driven = match bench.start(&*lab.step, &lab.case.params, inputs).await {
        Ok((_, driven)) => driven,
        Err(fault) => {
            found.add(STOPS, format!("it does not start: {}", told(&fault)));
            return true;
        }
    };
    let outputs = driven.outputs.drain(..).flatten();
    let mut readers: Vec<_> = outputs.map(|output| compute::spawn(read(output))).collect();
    let under_way = async {
        if !lab.case.inputs.is_empty() {
            flow.reached.notified().await;
        }
    };
    tokio::select! {
        () = under_way => {}
        // A step that has had enough of its input has nothing left to stop.
        _ = &mut readers[0] => {}
        () = tokio::time::sleep(DEADLINE) => {
            found.add(STOPS, format!("it read less than {BATCHES_BEFORE} batches in {} s", DEADLINE.as_secs()));
            return true;
        }
    }
    drop(readers);
    let stopped = tokio::time::timeout(STOPS_WITHIN, future::join_all(dropped)).await;
    drop(driven);
    found.expect("leaves-nothing-behind", lab.files() == files, || format!("dropped {when}, it left a file"));
    check_given_back(&bench.env.space, &format!("dropped {when}"), found).await;
    stopped.is_ok()
}

async fn read(mut output: BatchStream) {
    while let Some(Ok(_)) = output.next().await {}
}

/// Counts what the endless inputs have given.
#[derive(Default)]
struct Flow {
    given: AtomicUsize,
    reached: Notify,
}

/// The case's rows over and over, up to this many batches, and no end after them. The receiver hears when the stream is
/// dropped.
fn endless(input: &RecordBatch, batches: usize, flow: Arc<Flow>) -> (BatchStream, oneshot::Receiver<()>) {
    let (alive, dropped) = oneshot::channel::<()>();
    let schema = input.schema();
    let start = (input.clone(), flow, alive, 0usize);
    let items = stream::unfold(start, move |(input, flow, alive, number)| async move {
        // Like every queue of Tokio, so that a step that only computes is interrupted here.
        consume_budget().await;
        if number >= batches {
            future::pending::<()>().await;
        }
        if flow.given.fetch_add(1, Ordering::Relaxed) + 1 == BATCHES_BEFORE {
            flow.reached.notify_one();
        }
        Some((Ok(input.clone()), (input, flow, alive, number + 1)))
    });
    (BatchStream::new(schema, items), dropped)
}
