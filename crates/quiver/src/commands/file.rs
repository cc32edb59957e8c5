//! A pipeline file, read: what `run`, `plan` and `validate` begin with.

use flight_common::Fault;
use orchestrator::pipeline::Source;
use std::io::Read;
use std::path::Path;

/// The text of a pipeline, with the name to show for it. Whoever waits for it may give it up: a pipe may never end.
///
/// # Errors
/// Why the file cannot be read.
pub async fn read(file: &Path) -> Result<Source, Fault> {
    let file = file.to_owned();
    tokio::task::spawn_blocking(move || read_now(&file)).await.map_err(Fault::internal)?
}

fn read_now(file: &Path) -> Result<Source, Fault> {
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
