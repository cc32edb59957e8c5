//! The report for people: one page of HTML that needs nothing else. All that comes from the data is escaped.

use crate::check::Check;
use crate::drift::Figures;
use crate::params::OnFailure;
use crate::tally::Verdict;
use serde_json::Value;
use std::fmt::Write as _;

/// Items of a list that are shown.
const LISTED: usize = 20;

const STYLE: &str = "body { font: 15px sans-serif; margin: 2em; }
table { border-collapse: collapse; }
th, td { border: 1px solid #ccc; padding: 0.3em 0.6em; text-align: left; vertical-align: top; overflow-wrap: anywhere; }
.passed { background: #e9f7ec; } .failed { background: #fde8e8; } .warned { background: #fff6db; }";

/// The page.
pub fn html(verdict: &Verdict, run_id: &str) -> String {
    let checks = &verdict.checks;
    let failed = checks.iter().filter(|check| !check.passed).count();
    let rows: String = checks.iter().map(row_of).collect();
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>Data quality</title>\n<style>\n\
         {STYLE}\n</style>\n</head>\n<body>\n<h1>Data quality</h1>\n<p>Run {}: {failed} of {} checks failed.</p>\n<table>\n\
         <tr><th>check</th><th>column</th><th>outcome</th><th>found</th><th>expected</th><th>reason</th></tr>\n\
         {rows}</table>\n{}</body>\n</html>\n",
        escaped(run_id),
        checks.len(),
        distributions(&verdict.drift),
    )
}

fn row_of(check: &Check) -> String {
    let (class, outcome) = match (check.passed, check.on_failure) {
        (true, _) => ("passed", "passed"),
        (false, OnFailure::Fail) => ("failed", "failed"),
        (false, OnFailure::Warn) => ("warned", "failed (warning)"),
        (false, OnFailure::Reject) => ("warned", "failed (rows rejected)"),
    };
    let column = check.column.as_deref().unwrap_or_default();
    let reason = if check.passed { "" } else { check.sentence() };
    let cells = [
        escaped(check.rule),
        escaped(column),
        escaped(outcome),
        details(&check.actual),
        details(&check.expected),
        escaped(reason),
    ];
    row(class, &cells)
}

/// What a check has found, or asks for: a value, or a line for each part of it.
fn details(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Object(parts) => {
            let lines = parts.iter().map(|(name, part)| format!("{}: {}", name.replace('_', " "), plain(part)));
            lines.map(|line| escaped(&line)).collect::<Vec<_>>().join("<br>")
        }
        other => escaped(&plain(other)),
    }
}

/// A value as people write it.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            let mut shown: Vec<String> = items.iter().take(LISTED).map(plain).collect();
            if items.len() > LISTED {
                shown.push(format!("and {} more", items.len() - LISTED));
            }
            shown.join(", ")
        }
        other => other.to_string(),
    }
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
            text.push_str(&row("", &[escaped(&share.bin), percent(share.reference), percent(share.data)]));
        }
        text.push_str("</table>\n");
    }
    text
}

/// A row of cells that are HTML.
fn row(class: &str, cells: &[String]) -> String {
    let cells: String = cells.iter().map(|cell| format!("<td>{cell}</td>")).collect();
    format!("<tr class=\"{class}\">{cells}</tr>\n")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn details_are_lines_of_names_and_values() {
        assert_eq!(details(&json!({"failing": 2, "first_row": null})), "failing: 2<br>first row: none");
        assert_eq!(
            (details(&json!("utf8")), details(&json!(0.5)), details(&Value::Null)),
            ("utf8".into(), "0.5".into(), String::new())
        );
        let many: Vec<usize> = (0..25).collect();
        assert!(details(&json!(many)).ends_with("18, 19, and 5 more"));
    }

    #[test]
    fn what_comes_from_the_data_is_escaped_wherever_it_stands() {
        let bad = "<b a=\"1\" c='2'>&";
        let good = "&lt;b a=&quot;1&quot; c=&#39;2&#39;&gt;&amp;";
        assert_eq!(details(&json!({bad: [bad]})), format!("{good}: {good}"));
        assert_eq!(details(&json!(bad)), good);
    }
}
