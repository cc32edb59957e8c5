//! What is checked before the first row: the parameters against each other, the columns against the format.

use crate::csv::{self, Dialect};
use crate::json::{self, Layout};
use crate::params::Params;
use crate::plain::Plain;
use crate::target::{Form, Target};
use crate::{ipc, parquet, xlsx};
use arrow::datatypes::{Field, Schema};
use flight_common::{DataRoot, Fault};

/// A load, ready to run.
pub struct Load {
    /// Which file.
    pub target: Target,
    /// How it is written.
    pub style: Style,
    /// How batches become plain.
    pub plain: Plain,
}

/// How a file is written.
pub enum Style {
    /// CSV.
    Csv(Dialect),
    /// JSON.
    Json(Layout),
    /// An Excel workbook, with a line of names or without.
    Xlsx {
        /// Whether names come first.
        header: bool,
    },
    /// Parquet.
    Parquet,
    /// An Arrow IPC file.
    Arrow,
}

/// Checks everything.
///
/// # Errors
/// [`flight_common::FaultKind::BadParams`], [`flight_common::FaultKind::Denied`] and
/// [`flight_common::FaultKind::BadSchema`], each with the parameter or the column.
pub fn plan(params: &Params, input: &Schema, root: &DataRoot) -> Result<Load, Fault> {
    let target = Target::new(params, root)?;
    check_options(params, target.form)?;
    if input.fields().is_empty() {
        return Err(Fault::bad_schema("there is no column to write").help("leave at least one column in the input"));
    }
    let plain = Plain::new(input, |data_type| match target.form {
        Form::Parquet => parquet::instead(data_type),
        _ => None,
    })?;
    let style = match target.form {
        Form::Csv => Style::Csv(dialect(params, input)?),
        Form::Json => Style::Json(Layout::Array),
        Form::Jsonl => Style::Json(Layout::Lines),
        Form::Xlsx => Style::Xlsx { header: params.header.unwrap_or(true) },
        Form::Parquet => Style::Parquet,
        Form::Arrow => Style::Arrow,
    };
    check_names(plain.schema(), target.form)?;
    for field in plain.schema().fields() {
        check_column(field, target.form)?;
    }
    Ok(Load { target, style, plain })
}

fn check_options(params: &Params, form: Form) -> Result<(), Fault> {
    let csv = form == Form::Csv;
    let given = [
        ("delimiter", params.delimiter.is_some(), csv),
        ("null_value", params.null_value.is_some(), csv),
        ("header", params.header.is_some(), csv || form == Form::Xlsx),
    ];
    let wrong = given.into_iter().find(|(_, given, allowed)| *given && !allowed);
    wrong.map_or(Ok(()), |(name, ..)| {
        Err(refuse(name, format!("{name} means nothing for {}", form.name()), "leave it out"))
    })
}

fn refuse(param: &str, message: String, help: &str) -> Fault {
    Fault::bad_params(message.clone()).help(help).violation(format!("/{param}"), message)
}

fn dialect(params: &Params, input: &Schema) -> Result<Dialect, Fault> {
    let delimiter = match params.delimiter.as_deref().map(str::as_bytes) {
        None => b',',
        // What can stand in a number or a time would cut it in two.
        Some(&[byte]) if byte.is_ascii_punctuation() && !b"\"+-.:_".contains(&byte) => byte,
        Some(b"\t" | b" ") => params.delimiter.as_ref().map_or(b'\t', |text| text.as_bytes()[0]),
        Some(_) => {
            let given = params.delimiter.as_deref().unwrap_or_default();
            return Err(refuse(
                "delimiter",
                format!("delimiter: {given:?} cannot stand between fields"),
                "use one of , ; | or a tab (\"\\t\")",
            ));
        }
    };
    // A table of one column would have a blank line for a null, and most readers skip those.
    let usual = if input.fields().len() == 1 { "NA" } else { "" };
    let null = params.null_value.as_deref().unwrap_or(usual).as_bytes().to_vec();
    if null.iter().any(|&byte| byte == delimiter || matches!(byte, b'"' | b'\n' | b'\r')) {
        return Err(refuse(
            "null_value",
            "null_value: a null is never quoted, so it cannot hold the delimiter, a quote or a line break".to_owned(),
            "use a word such as NA, or leave it out",
        ));
    }
    Ok(Dialect { delimiter, header: params.header.unwrap_or(true), null })
}

fn check_names(schema: &Schema, form: Form) -> Result<(), Fault> {
    let names = schema.fields().iter().map(|field| field.name().as_str());
    if form == Form::Xlsx && schema.fields().len() > xlsx::MAX_COLUMNS {
        let message = format!("{} columns: an xlsx sheet has at most {}", schema.fields().len(), xlsx::MAX_COLUMNS);
        return Err(Fault::bad_schema(message).help("write csv, parquet or arrow, or delete columns first"));
    }
    match json::duplicate(names).filter(|_| matches!(form, Form::Json | Form::Jsonl)) {
        None => Ok(()),
        Some(name) => Err(Fault::bad_schema(format!("two columns are called \"{name}\": JSON records can hold one"))
            .column(name)
            .help("rename or delete one of them, or write csv, parquet or arrow")),
    }
}

fn check_column(field: &Field, form: Form) -> Result<(), Fault> {
    let (why, instead) = match form {
        Form::Csv | Form::Xlsx if csv::can_hold(field.data_type()) => return Ok(()),
        Form::Csv | Form::Xlsx => {
            (format!("it is {}, which is no single value", field.data_type()), "json, jsonl, parquet or arrow")
        }
        Form::Json | Form::Jsonl => match json::refusal(field) {
            None => return Ok(()),
            Some(why) => (why, "parquet or arrow"),
        },
        Form::Parquet => match parquet::refusal(field) {
            None => return Ok(()),
            Some(why) => (why, "arrow"),
        },
        Form::Arrow => match ipc::refusal(field) {
            None => return Ok(()),
            Some(why) => (why, "parquet"),
        },
    };
    let message = format!("column \"{}\" cannot be written to {}: {why}", field.name(), form.name());
    Err(Fault::bad_schema(message.clone())
        .column(field.name())
        .help(format!("write {instead}, or delete the column first"))
        .violation("/format", message))
}
