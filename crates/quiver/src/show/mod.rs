//! What people see on the terminal: errors with the line they are about, progress, tables.

mod catalog;
mod compare;
mod numbers;
mod problems;
mod progress;
mod report;
mod runs;

pub use catalog::{catalog, step};
pub use compare::comparison;
pub use problems::{fault, problems};
pub use progress::progress;
pub use report::report;
pub use runs::{audit, event, log_line, occurrences, run, runs, schedules, tokens, when};

use serde_json::Value;
use std::fmt::Display;
use std::io::Write;

/// Says something on standard error. That nobody reads it changes neither the run nor how the command ends.
pub fn tell(text: impl Display) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Where a load wrote, by its receipt.
fn written(receipt: &Value) -> Option<&str> {
    receipt["path"].as_str().or(receipt["table"].as_str())
}

/// Columns of the terminal; 100 where there is none.
pub fn width() -> usize {
    comfy_table::Table::new().width().map_or(100, usize::from).clamp(40, 200)
}

/// A table whose cells are wrapped to the terminal. Without one nothing is, and a row is a line for programs that read it.
fn table(preset: &str) -> comfy_table::Table {
    let mut table = comfy_table::Table::new();
    table.load_preset(preset).set_content_arrangement(comfy_table::ContentArrangement::Dynamic);
    if table.width().is_some() {
        table.set_width(u16::try_from(width()).unwrap_or(u16::MAX));
    }
    table
}
