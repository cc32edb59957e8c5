//! A pipeline file, read: what `run`, `plan` and `validate` begin with.

use flight_common::Fault;
use orchestrator::pipeline::{LARGEST, Source};
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

/// Refuses to put a new file into the place of what is no file: a folder, a pipe, a device.
///
/// # Errors
/// [`flight_common::FaultKind::BadParams`] for what is there and no file.
pub fn check_target(path: &Path) -> Result<(), Fault> {
    match std::fs::metadata(path) {
        Ok(found) if found.is_dir() => Err(Fault::bad_params(format!("{} is a folder, not a file", path.display()))
            .help("add the name of a file, such as report.csv")),
        Ok(found) if !found.is_file() => {
            Err(Fault::bad_params(format!("{} is a pipe or a device, not a file", path.display()))
                .help("leave it out for standard output, and send that where it is to go"))
        }
        _ => Ok(()),
    }
}

fn read_now(file: &Path) -> Result<Source, Fault> {
    if file == Path::new("-") {
        return read_from(std::io::stdin(), "standard input".to_owned());
    }
    let shown = file.display().to_string();
    let open = std::fs::File::open(file).map_err(|error| Fault::io(&shown, &error))?;
    read_from(open, shown)
}

/// One byte more than a pipeline may have tells that it has too many: some files never end.
fn read_from(from: impl Read, shown: String) -> Result<Source, Fault> {
    let mut bytes = Vec::new();
    let read = from.take(LARGEST as u64 + 1).read_to_end(&mut bytes);
    read.map_err(|error| Fault::io(&shown, &error))?;
    Ok(Source::of_bytes(shown, bytes))
}
