//! The plan: a look into the workbook.

use crate::book::Book;
use crate::fill::{Fill, Rules};
use crate::layout::{Look, read_area};
use crate::options::Options;
use crate::rows::each_row;
use crate::run::Run;
use flight_common::{DataRoot, Dataset, Fault, FaultKind, FileIdentity, MemoryBudget, Planned, ReadFile};

/// Opens the workbook and finds out what the sheet holds.
///
/// # Errors
/// What is wrong with its start, said of the parameter `file_path` unless it speaks of another.
pub fn plan(options: Options, root: &DataRoot, budget: &MemoryBudget) -> Result<Planned<Run>, Fault> {
    look(options, root, budget).map_err(|fault| {
        if !fault.violations().is_empty() || fault.kind() == FaultKind::Internal {
            return fault;
        }
        let message = fault.message().to_owned();
        fault.violation("/file_path", message)
    })
}

fn look(options: Options, root: &DataRoot, budget: &MemoryBudget) -> Result<Planned<Run>, Fault> {
    let file = root.open_file(&options.path, "file_path")?;
    let identity = FileIdentity::of(&file, &options.path)?;
    let mut book = Book::open(&file, &options, budget)?;
    let sheet = book.choose(options.sheet.as_ref())?;
    let place = format!("{}, sheet \"{sheet}\"", options.path);
    let merged = book.merged(&sheet, options.merged)?;
    let area = read_area(&options);
    let mut look = Look::new(&options, &place);
    each_row(&mut book, &sheet, area, merged.clone(), &mut look)?;
    let layout = look.layout()?;

    // The same rows once more, as the run will take them: what is wrong with them is told now.
    let rules = Rules { place, header: options.header, errors: options.errors, nulls: options.nulls.clone() };
    let mut drop_batch = |_| Ok(true);
    let mut fill = Fill::new(&layout, &rules, options.sample_rows, &mut drop_batch);
    if options.sample_rows > 0 {
        each_row(&mut book, &sheet, area, merged, &mut fill)?;
    }
    drop(fill);
    let (source, dataset) = (identity.to_string(), Dataset::file(root, &root.locate(&options.path, "file_path")?));
    let reads = ReadFile::file(root, &options.path, "file_path")?;
    let schema = layout.schema.clone();
    let planned = Planned::new(schema, Run { options, sheet, layout, rules, identity });
    Ok(planned.source(source).dataset(dataset).reads(reads))
}
