//! What is wrong with a record, where, and what to try.

use crate::fields::unescaped;
use crate::kind::Kind;
use crate::layout::ColumnPlan;
use flight_common::Fault;

/// Where a record stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct At {
    /// Its page, from 1 on.
    pub page: u64,
    /// Its number on the page, from 1 on.
    pub record: u64,
    /// Its number in all, from 1 on.
    pub row: u64,
}

impl At {
    /// The record that comes `number` records later on the page.
    pub fn plus(self, number: usize) -> Self {
        Self { record: self.record + number as u64, row: self.row + number as u64, ..self }
    }
}

/// What is wrong with a record.
#[derive(Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It is not UTF-8.
    NotUtf8,
    /// It is not JSON.
    NotJson(String),
    /// A value is not of the type of its column.
    WrongType { name: String, kind: Kind, given: bool, value: String },
    /// A value stands where the first records have an object.
    NoObject { name: String, value: String },
    /// A field is no column.
    Unknown { name: String, value: String },
    /// A column gets two values.
    Twice { name: String },
    /// A column of a table is not there.
    Missing { name: String },
}

impl Trouble {
    /// A value that is not of the type of its column.
    pub fn wrong_type(column: &ColumnPlan, value: &str) -> Self {
        let (name, kind) = (column.name.clone(), column.kind.clone());
        Self::WrongType { name, kind, given: column.given, value: value.to_owned() }
    }

    /// The fault.
    pub fn explain(self, at: At) -> Fault {
        let place = format!("page {}, record {}", at.page, at.record);
        let fault = match self {
            Self::NotUtf8 => Fault::bad_data(format!("{place}: it is not UTF-8")),
            Self::NotJson(what) => Fault::bad_data(format!("{place}: it is not JSON: {what}")),
            Self::WrongType { name, kind, given, value } => {
                let (shown, is) = (shown(&value), kind.name());
                let why = if given { "as `types` says" } else { "the type guessed from the first records" };
                let wider = match value.starts_with(['{', '[']) {
                    true => "json",
                    false => "string",
                };
                let help = match given {
                    true => format!("set `types: {{{name:?}: {wider}}}`"),
                    false => format!("set `types: {{{name:?}: {wider}}}`, or raise `sample_rows`"),
                };
                Fault::bad_data(format!("{place}, field \"{name}\": {shown} is not {is}, {why}"))
                    .column(name)
                    .help(help)
            }
            Self::NoObject { name, value } => {
                let shown = shown(&value);
                let help = format!("set `types: {{{name:?}: json}}`, or raise `sample_rows`");
                let message =
                    format!("{place}, field \"{name}\": {shown} is no object, as the first records have there");
                Fault::bad_data(message).column(name).help(help)
            }
            Self::Unknown { name, .. } => {
                let help = format!(
                    "raise `sample_rows`, name it in `types: {{{name:?}: …}}`, or set `unknown_fields: ignore`"
                );
                let message = format!("{place}: the field \"{name}\" is not among the columns of the first records");
                Fault::bad_data(message).column(name).help(help)
            }
            Self::Twice { name } => {
                let message = format!("{place}: two fields have the name \"{name}\"");
                Fault::bad_data(message).column(name).help("keep the object around one of them as `json`, by `types`")
            }
            Self::Missing { name } => {
                Fault::bad_data(format!("page {}: there is no column \"{name}\" in the header", at.page)).column(name)
            }
        };
        fault.row(at.row)
    }
}

/// A value in quotes, cut short.
fn shown(value: &str) -> String {
    const LONGEST: usize = 60;
    let text = match value.starts_with('"') {
        true => unescaped(value).unwrap_or(value.into()),
        false => value.into(),
    };
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}
