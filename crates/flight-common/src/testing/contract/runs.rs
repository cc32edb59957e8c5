//! Runs that end well: planned schemas, empty inputs, rows cut in other ways.

use super::Breaches;
use super::lab::Lab;
use super::rows::difference;
use crate::describe::StepKind;
use crate::fault::Fault;
use crate::step::InputSchemas;
use crate::stream::BatchStream;
use crate::testing::{Ran, slices};
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

/// Whether the case brings what the step takes; without it no run means anything.
pub(super) fn check_case(lab: &Lab, found: &mut Breaches) -> bool {
    let wanted = match lab.input_names() {
        Ok(names) => names.len(),
        Err(fault) => {
            found.add("runs", told(&fault));
            return false;
        }
    };
    let given = lab.case.inputs.len();
    found.expect("runs", given == wanted, || {
        format!("the case brings {given} inputs for a step of {wanted}: add them with .input(rows)")
    });
    given == wanted
}

/// The run that others are compared with.
pub(super) async fn check_plain_run(lab: &Lab, found: &mut Breaches) -> Option<Ran> {
    let planned = match (plan(lab, &lab.schemas()).await, plan(lab, &lab.schemas()).await) {
        (Ok(first), Ok(second)) => {
            found.expect("plans-the-same-twice", first == second, || {
                "the second plan differs from the first".to_owned()
            });
            first
        }
        (Err(fault), _) => {
            found.add("runs", format!("planning fails: {}", told(&fault)));
            return None;
        }
        (_, Err(fault)) => {
            found.add("plans-the-same-twice", format!("the second time it fails: {}", told(&fault)));
            return None;
        }
    };
    let whole = match lab.run(&lab.bench(), &lab.case.inputs, |input| slices(input, usize::MAX)).await {
        Ok(whole) => whole,
        Err(fault) => {
            // The kit ends a stream whose batches are not of the planned schema.
            found.add("runs", told(&fault));
            return None;
        }
    };
    let kept = planned.0.len() == lab.step.spec().outputs.len()
        && whole.batches.iter().all(|batch| batch.schema().fields() == planned.0[0].fields());
    found.expect("keeps-its-planned-schema", kept, || format!("planned {:?}, made {:?}", planned.0, whole.schema));
    Some(whole)
}

/// Schemas of the outputs, and what identifies the source.
type PlannedAs = (Vec<SchemaRef>, Option<String>);

async fn plan(lab: &Lab, inputs: &InputSchemas) -> Result<PlannedAs, Fault> {
    let planned = lab.step.plan(&lab.case.params, inputs, &lab.bench().env).await?;
    Ok((planned.outputs, planned.source))
}

pub(super) async fn check(lab: &Lab, whole: &Ran, found: &mut Breaches) {
    if let Some(apart) = &lab.case.apart
        && let Err(what) = apart(&lab.case.inputs, &whole.rows())
    {
        found.add("tells-values-apart", what);
    }
    if lab.case.inputs.is_empty() {
        return;
    }
    check_cuts(lab, whole, found).await;
    check_without_rows(lab, whole, found).await;
}

/// A way of making a stream of an input, and its name.
type Cut = (&'static str, fn(&RecordBatch) -> BatchStream);

async fn check_cuts(lab: &Lab, whole: &Ran, found: &mut Breaches) {
    const RULE: &str = "ignores-how-rows-are-cut";
    let cuts: [Cut; 2] = [("one-row batches", |input| slices(input, 1)), ("empty batches in between", gappy)];
    for (what, cut) in cuts {
        match lab.run_streams(&lab.bench(), lab.case.inputs.iter().map(cut).collect()).await {
            Ok(ran) => {
                if let Some(difference) = difference(&lab.step.spec(), whole, &ran) {
                    found.add(RULE, format!("with {what} the rows differ: {difference}"));
                }
            }
            Err(fault) => found.add(RULE, format!("with {what} it fails: {}", told(&fault))),
        }
    }
}

/// Batches of three rows, each between two of none.
fn gappy(input: &RecordBatch) -> BatchStream {
    let mut parts = vec![input.slice(0, 0)];
    for start in (0..input.num_rows()).step_by(3) {
        parts.push(input.slice(start, 3.min(input.num_rows() - start)));
        parts.push(input.slice(0, 0));
    }
    BatchStream::from_batches(input.schema(), parts)
}

async fn check_without_rows(lab: &Lab, whole: &Ran, found: &mut Breaches) {
    const RULE: &str = "ends-well-without-rows";
    let forms: [Cut; 2] = [
        ("no batch", |input| BatchStream::empty(input.schema())),
        ("one batch of no rows", |input| BatchStream::from_batches(input.schema(), vec![input.slice(0, 0)])),
    ];
    for (what, form) in forms {
        match lab.run_streams(&lab.bench(), lab.case.inputs.iter().map(form).collect()).await {
            Ok(ran) => {
                found
                    .expect(RULE, ran.schema == whole.schema, || format!("with {what} its schema is {:?}", ran.schema));
                let rows = ran.rows().num_rows();
                found.expect(RULE, lab.step.spec().kind != StepKind::Load || rows == 1, || {
                    format!("with {what} there are {rows} receipts")
                });
            }
            Err(fault) => found.add(RULE, format!("with {what} it fails: {}", told(&fault))),
        }
    }
}

/// A fault with all that it says.
pub(super) fn told(fault: &Fault) -> String {
    match fault.help_text() {
        Some(help) => format!("{}: {} ({help})", fault.kind(), fault.message()),
        None => format!("{}: {}", fault.kind(), fault.message()),
    }
}
