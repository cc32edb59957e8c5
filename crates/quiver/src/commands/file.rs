//! A pipeline file, read: what `run`, `plan` and `validate` begin with.

use flight_common::Fault;
use orchestrator::pipeline::Source;
use std::io::Read;
use std::path::Path;

/// A pipeline, with the name to show for it. Whoever waits for it may give it up: a pipe may never end.
///
/// # Errors
/// Why the file cannot be read.
pub async fn read(file: &Path) -> Result<Source, Fault> {
    let file = file.to_owned();
    tokio::task::spawn_blocking(move || read_now(&file)).await.map_err(Fault::internal)?
}

/// The text of a pipeline that is sent on.
///
/// # Errors
/// Why the file cannot be read, also that it is no text.
pub async fn text(file: &Path) -> Result<String, Fault> {
    let source = read(file).await?;
    match source.no_text() {
        None => Ok(source.text().to_owned()),
        Some((span, _)) => {
            let place = format!("{}:{}:{}", source.name(), span.line, span.column);
            Err(Fault::bad_params(format!("{place} is no text: a pipeline is YAML in UTF-8")).help("save it as UTF-8"))
        }
    }
}

fn read_now(file: &Path) -> Result<Source, Fault> {
    if file == Path::new("-") {
        let mut bytes = Vec::new();
        std::io::stdin().read_to_end(&mut bytes).map_err(|error| Fault::io("standard input", &error))?;
        return Ok(Source::of_bytes("standard input", bytes));
    }
    let shown = file.display().to_string();
    let bytes = std::fs::read(file).map_err(|error| Fault::io(&shown, &error))?;
    Ok(Source::of_bytes(shown, bytes))
}
