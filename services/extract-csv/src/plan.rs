//! The plan: a look into the file, or into each of several, which then make one table.

use crate::layout::{self, Layout};
use crate::options::Options;
use crate::read::{Part, Run};
use crate::source::{PARAM, Source};
use flight_common::{DataRoot, Dataset, Fault, FaultKind, FileIdentity, Planned, ReadFile, files_of};
use std::sync::Arc;

/// Opens the files and finds out what they hold.
///
/// # Errors
/// What is wrong with their start, said of the parameter `file_path` unless it speaks of another.
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
    let mut files = Vec::new();
    let mut whole: Option<(Arc<str>, Layout)> = None;
    let paths = files_of(root, &options.path, PARAM)?;
    for (path, file) in paths.iter().zip(root.open_files(&paths, PARAM)) {
        let path: Arc<str> = path.as_str().into();
        let source = Source::of(file?, &path)?;
        let options = Options { path: path.clone(), ..options.clone() };
        let layout = layout::look(source.text(&options)?, &options)?;
        files.push(Part { path: path.clone(), identity: source.identity, body: layout.body, lines: layout.lines });
        match &mut whole {
            Some((first, whole)) => whole.join(&layout, (first, &path))?,
            None => whole = Some((path, layout)),
        }
    }
    let (_, layout) = whole.ok_or_else(|| Fault::internal("a path means at least one file"))?;
    let identities: Vec<FileIdentity> = files.iter().map(|file| file.identity.clone()).collect();
    let places = files.iter().map(|file| root.locate(&file.path, PARAM));
    let dataset = Dataset::files(root, &places.collect::<Result<Vec<_>, _>>()?);
    let reads = ReadFile::of(root, &options.path, files.iter().map(|file| &*file.path), PARAM)?;
    let (schema, source) = (layout.schema.clone(), FileIdentity::of_all(&identities));
    let planned = Planned::new(schema, Run { options, layout: Arc::new(layout), files });
    Ok(planned.source(source).dataset(dataset).reads(reads))
}
