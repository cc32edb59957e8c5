//! A pipeline file, read: what `run`, `plan` and `validate` begin with.

use flight_common::Fault;
use orchestrator::pipeline::Source;
use std::io::Read;
use std::path::Path;

/// The text of a pipeline, with the name to show for it.
///
/// # Errors
/// Why the file cannot be read.
pub fn read(file: &Path) -> Result<Source, Fault> {
    if file == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map_err(|error| Fault::io("standard input", &error))?;
        return Ok(Source::new("standard input", text));
    }
    let shown = file.display().to_string();
    let text = std::fs::read_to_string(file).map_err(|error| match error.kind() {
        std::io::ErrorKind::InvalidData => {
            Fault::bad_params(format!("{shown} is no text: a pipeline is YAML in UTF-8"))
        }
        _ => Fault::io(&shown, &error),
    })?;
    Ok(Source::new(shown, text))
}
