//! The report of the checks as files: one for programs, one for people.

use crate::drift::Figures;
use crate::params::OnFailure;
use crate::tally::Verdict;
use flight_common::{DataRoot, Fault, StepContext};
use serde_json::json;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// The parameter that names it.
const REPORT: &str = "report";

/// Writes `path`.json and `path`.html under the data root. Each is seen whole or not at all.
///
/// # Errors
/// Why one cannot be written.
pub fn write(path: &str, verdict: &Verdict, context: &StepContext) -> Result<(), Fault> {
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
    write_file(&json_file, &json, context)?;
    write_file(&html_file, &html(verdict, &context.run_id), context)
}

/// The files of a report: JSON and HTML.
///
/// # Errors
/// As [`DataRoot::locate`] and [`DataRoot::check_new_file`].
pub fn files(path: &str, root: &DataRoot) -> Result<[PathBuf; 2], Fault> {
    let file = |ending| {
        let file = root.locate(&format!("{path}.{ending}"), REPORT)?;
        root.check_new_file(&file, REPORT).map(|()| file)
    };
    Ok([file("json")?, file("html")?])
}

fn write_file(path: &Path, text: &str, context: &StepContext) -> Result<(), Fault> {
    let mut file = context.env.data_root.new_file(path)?;
    file.write_all(text.as_bytes()).map_err(|error| Fault::io(path.display(), &error))?;
    file.commit()
}

/// One page that needs nothing else.
fn html(verdict: &Verdict, run_id: &str) -> String {
    let checks = &verdict.checks;
    let failed = checks.iter().filter(|check| !check.passed).count();
    let mut rows = String::new();
    for check in checks {
        let (class, verdict) = match (check.passed, check.on_failure) {
            (true, _) => ("passed", "passed"),
            (false, OnFailure::Fail) => ("failed", "failed"),
            (false, OnFailure::Warn) => ("warned", "failed (warning)"),
            (false, OnFailure::Reject) => ("warned", "failed (rows rejected)"),
        };
        let cells = [
            check.rule.to_owned(),
            check.column.clone().unwrap_or_default(),
            verdict.to_owned(),
            check.actual.to_string(),
            check.expected.to_string(),
        ];
        rows.push_str(&row(class, &cells));
    }
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>Data quality</title>\n<style>\n\
         body {{ font: 15px sans-serif; margin: 2em; }}\ntable {{ border-collapse: collapse; }}\n\
         th, td {{ border: 1px solid #ccc; padding: 0.3em 0.6em; text-align: left; overflow-wrap: anywhere; }}\n\
         .passed {{ background: #e9f7ec; }} .failed {{ background: #fde8e8; }} .warned {{ background: #fff6db; }}\n\
         </style>\n</head>\n<body>\n<h1>Data quality</h1>\n<p>Run {}: {failed} of {} checks failed.</p>\n<table>\n\
         <tr><th>rule</th><th>column</th><th>verdict</th><th>actual</th><th>expected</th></tr>\n{rows}</table>\n{drift}\
         </body>\n</html>\n",
        escaped(run_id),
        checks.len(),
        drift = distributions(&verdict.drift),
    )
}

/// A table of the bins of each column that must be distributed as in a file.
fn distributions(drift: &[Figures]) -> String {
    let mut text = String::new();
    let figure = |figure: Option<f64>| figure.map_or_else(|| "none".to_owned(), |figure| format!("{figure:.4}"));
    let percent = |part: f64| format!("{:.2} %", part * 100.0);
    for column in drift {
        let (psi, ks) = (figure(column.psi), figure(column.ks));
        let name = escaped(&column.column);
        let _ = write!(
            text,
            "<h2>Distribution of {name}</h2>\n<p>Stability index {psi}, distance {ks}.</p>\n<table>\n\
             <tr><th>bin</th><th>reference</th><th>data</th></tr>\n"
        );
        for share in &column.bins {
            let cells = [share.bin.clone(), percent(share.reference), percent(share.data)];
            text.push_str(&row("", &cells));
        }
        text.push_str("</table>\n");
    }
    text
}

fn row(class: &str, cells: &[String]) -> String {
    let cells: String = cells.iter().map(|cell| format!("<td>{}</td>", escaped(cell))).collect();
    format!("<tr class=\"{class}\">{cells}</tr>\n")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
