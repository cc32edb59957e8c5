//! What is wrong with a workbook, where, and what to try.

use crate::area::Address;
use crate::column::ColumnPlan;
use crate::value::Cell;
use flight_common::Fault;
use flight_common::values::{Forms, Seen, types};
use std::fmt;

/// The fault for a workbook that cannot be read.
pub fn damaged(path: &str, error: &dyn fmt::Display) -> Fault {
    Fault::bad_data(format!("{path} cannot be read as a workbook: {error}"))
        .help("is it whole, and an .xlsx, .xlsb, .xls or .ods file? Opening and saving it in a spreadsheet program may mend it")
}

/// A cell that cannot be a value.
pub fn no_value(place: &str, at: Address, cell: &Cell) -> Fault {
    let (what, help) = match cell {
        Cell::Uncalculated => (
            "a formula that was never calculated".to_owned(),
            "open and save the workbook in a spreadsheet program, or set `error_cells: \"null\"`".to_owned(),
        ),
        Cell::NoDate(0.0) => (
            "0, which among dates is a date that no calendar has".to_owned(),
            "correct it, or set the column to `string` in `types` if it is a time of day".to_owned(),
        ),
        Cell::NoNumber(number) => {
            (format!("{number}, which is no number that a workbook can hold"), "correct it".to_owned())
        }
        Cell::NoDate(number) => (
            format!("{number}, which is shown as a date that no calendar has"),
            "correct it, or give the cell another format".to_owned(),
        ),
        other => (
            format!("the error {}", text(other)),
            "correct its formula, or set `error_cells: \"null\"` to take such cells for nulls".to_owned(),
        ),
    };
    Fault::bad_data(format!("{place}, cell {at}: it holds {what}")).help(help)
}

/// A cell that is no value of its column.
pub fn wrong_type(place: &str, at: Address, plan: &ColumnPlan, cell: &Cell) -> Fault {
    let (shown, is, name) = (shown(cell), types::name(&plan.data_type), &plan.name);
    let setting = |data_type: &_| format!("types: {{{name:?}: {:?}}}", types::name(data_type));
    let place = format!("{place}, cell {at}, column \"{name}\"");
    if plan.given {
        let help = format!("correct the cell, or set `{}`", setting(&arrow::datatypes::DataType::Utf8));
        return Fault::bad_data(format!("{place}: {shown} is not {is}, as `types` says")).help(help);
    }
    let mut seen = Seen::of(&plan.data_type);
    match cell {
        Cell::Text(text) => seen.add_text(text.as_bytes(), &Forms::default()),
        other => seen.add(text(other).as_bytes(), &Forms::default()),
    }
    Fault::bad_data(format!("{place}: {shown} is not {is}, the type guessed from the first rows"))
        .help(format!("set `{}`, or raise `sample_rows`", setting(&seen.data_type())))
}

/// A cell beside the columns.
pub fn beside(place: &str, at: Address, cell: &Cell, named: &str, header: bool) -> Fault {
    let message = format!("{place}, cell {at}: {} stands beside the columns, which are {named}", shown(cell));
    let help = match header {
        true => {
            format!(
                "set `header_row` if the names stand further down, give it a name, or set `range: \"{named}\"` to leave out \
                 what is beside"
            )
        }
        false => {
            format!("set `range` to say which columns there are, or `range: \"{named}\"` to leave out what is beside")
        }
    };
    Fault::bad_data(message).help(help)
}

fn text(cell: &Cell) -> String {
    let mut text = String::new();
    cell.write(&mut text);
    text
}

/// A value, cut short.
fn shown(cell: &Cell) -> String {
    const LONGEST: usize = 60;
    let text = text(cell);
    let cut = text.char_indices().nth(LONGEST).map_or(&*text, |(end, _)| &text[..end]);
    let dots = if cut.len() < text.len() { "…" } else { "" };
    match cell {
        Cell::Text(_) => format!("the text {cut:?}{dots}"),
        _ => format!("{cut}{dots}"),
    }
}
