//! The plan: a look into the file.

use crate::layout;
use crate::options::Options;
use crate::read::Run;
use crate::source::Source;
use flight_common::{DataRoot, Dataset, Fault, FaultKind, Planned};
use std::sync::Arc;

/// Opens the file and finds out what it holds.
///
/// # Errors
/// What is wrong with its start, said of the parameter `file_path` unless it speaks of another.
pub fn plan(options: Options, root: &DataRoot) -> Result<Planned<Run>, Fault> {
    look(options, root).map_err(|fault| {
        if !fault.violations().is_empty() || fault.kind() == FaultKind::Internal {
            return fault;
        }
        let message = fault.message().to_owned();
        fault.violation("/file_path", message)
    })
}

fn look(options: Options, root: &DataRoot) -> Result<Planned<Run>, Fault> {
    let source = Source::open(root, &options.path)?;
    let layout = Arc::new(layout::look(source.text(&options)?, &options)?);
    let identity = source.identity;
    let planned = identity.to_string();
    let dataset = Dataset::file(root, &root.locate(&options.path, "file_path")?);
    Ok(Planned::new(layout.schema.clone(), Run { options, layout, identity }).source(planned).dataset(dataset))
}
