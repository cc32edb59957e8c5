//! The plan: what the user says the columns are, or a look at the first page.

use crate::layout::Layout;
use crate::options::Options;
use crate::pages::Pages;
use crate::run::Run;
use crate::sniff::Sample;
use flight_common::{Fault, FaultKind, Planned, StepEnv};
use std::sync::Arc;

/// Bytes to look at, at most.
const SAMPLE_BYTES: usize = 16 << 20;

/// Finds out which columns there are. Faults are said of the parameter with the address unless they speak of another.
///
/// # Errors
/// What is wrong with the parameters, or with the answer.
pub async fn plan(options: Options, env: StepEnv) -> Result<Planned<Run>, Fault> {
    let pointer = options.pointer;
    look(options, &env).await.map_err(|fault| {
        if !fault.violations().is_empty() || fault.kind() == FaultKind::Internal {
            return fault;
        }
        let message = fault.message().to_owned();
        fault.violation(pointer, message)
    })
}

async fn look(options: Options, env: &StepEnv) -> Result<Planned<Run>, Fault> {
    let options = Arc::new(options);
    let layout = match options.sample_rows {
        0 => Layout::of_types(&options)?,
        _ => sniff(&options, env).await?,
    };
    Ok(Planned::new(layout.schema.clone(), Run { options, layout: Arc::new(layout) }))
}

async fn sniff(options: &Arc<Options>, env: &StepEnv) -> Result<Layout, Fault> {
    let mut pages = Pages::new(options.clone(), &env.http_allow, env.space.budget(), None)?.eager();
    let (mut sample, mut bytes) = (Sample::default(), 0);
    while let Some(block) = pages.next_of_page().await? {
        sample.look(&block.records, options)?;
        bytes += block.records.bytes.len();
        if sample.rows() >= options.sample_rows || bytes >= SAMPLE_BYTES {
            break;
        }
    }
    sample.layout(options)
}
