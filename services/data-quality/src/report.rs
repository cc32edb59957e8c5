//! The report of the checks as files: one for programs, and one for people, which is `page`.

use crate::page::html;
use crate::tally::Verdict;
use flight_common::params::{bad_param, pointer};
use flight_common::{DataRoot, Fault, NewFile, StepContext};
use serde_json::json;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// The parameter that names it.
const REPORT: &str = "report";

/// Writes `path`.json and `path`.html under the data root. Each is seen whole or not at all.
///
/// # Errors
/// Why one cannot be written.
pub async fn write(path: &str, verdict: &Verdict, context: &StepContext) -> Result<(), Fault> {
    let Verdict { checks, drift } = verdict;
    let failed = checks.iter().filter(|check| !check.passed).count();
    let mut told = json!({
        "run_id": &*context.run_id,
        "checks_passed": checks.len() - failed,
        "checks_failed": failed,
        "checks": checks,
    });
    if !drift.is_empty() {
        told["drift"] = json!(drift);
    }
    let json = serde_json::to_string_pretty(&told).map_err(Fault::internal)? + "\n";
    let [json_file, html_file] = files(path, &context.env.data_root)?;
    let json = written(&json_file, &json, context)?;
    let html = written(&html_file, &html(verdict, &context.run_id), context)?;
    context.permission.obtain().await?;
    json.commit()?;
    html.commit()
}

/// The files of a report: JSON and HTML.
///
/// # Errors
/// [`flight_common::FaultKind::BadParams`] for a path that names no file; otherwise as [`DataRoot::locate`] and
/// [`DataRoot::check_new_file`].
pub fn files(path: &str, root: &DataRoot) -> Result<[PathBuf; 2], Fault> {
    if path.rsplit('/').next().is_none_or(|name| name.trim().is_empty()) {
        let help = "name it without an ending, such as reports/hr; leave it out for no report";
        return Err(bad_param(pointer([REPORT]), format!("\"{path}\" names no file"), help));
    }
    let file = |ending| {
        let file = root.locate(&format!("{path}.{ending}"), REPORT)?;
        root.check_new_file(&file, REPORT).map(|()| file)
    };
    Ok([file("json")?, file("html")?])
}

/// A file of this text, which is not seen yet.
fn written(path: &Path, text: &str, context: &StepContext) -> Result<NewFile, Fault> {
    let mut file = context.env.data_root.new_file(path)?;
    file.write_all(text.as_bytes()).map_err(|error| Fault::io(path.display(), &error))?;
    Ok(file)
}
