//! The plan: what the user says the columns are, or a look at the first page.

use crate::found::{FRESH, Found};
use crate::layout::Layout;
use crate::options::Options;
use crate::pages::Pages;
use crate::params::Params;
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
pub async fn plan(params: Params, env: StepEnv, found: Arc<Found>) -> Result<Planned<Run>, Fault> {
    let options = Arc::new(Options::new(params.clone())?);
    let pointer = options.pointer;
    let layout = match found.layout(&params) {
        Some(layout) => layout,
        None => {
            let layout = Arc::new(look(&options, &env).await.map_err(|fault| of_address(fault, pointer))?);
            found.keep(params, layout.clone());
            // What was found is known with all that was sent, keys among it.
            tokio::spawn(async move {
                tokio::time::sleep(FRESH).await;
                found.forget();
            });
            layout
        }
    };
    Ok(Planned::new(layout.schema.clone(), Run { options, layout }))
}

fn of_address(fault: Fault, pointer: &str) -> Fault {
    if !fault.violations().is_empty() || fault.kind() == FaultKind::Internal {
        return fault;
    }
    let message = fault.message().to_owned();
    fault.violation(pointer, message)
}

async fn look(options: &Arc<Options>, env: &StepEnv) -> Result<Layout, Fault> {
    match options.sample_rows {
        0 => Layout::of_types(options),
        _ => sniff(options, env).await,
    }
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
