//! What is checked before the first row: the parameters against each other, the columns against the format.

use crate::params::Params;
use crate::target::Target;
use arrow::datatypes::Schema;
use flight_common::{DataRoot, Fault};
use formats::csv::Dialect;
use formats::json::Layout;
use formats::{Form, Plain, fitted};

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
    let plain = fitted(input, target.form)?;
    let style = match target.form {
        Form::Csv => Style::Csv(dialect(params, input)?),
        Form::Json => Style::Json(Layout::Array),
        Form::Jsonl => Style::Json(Layout::Lines),
        Form::Xlsx => Style::Xlsx { header: params.header.unwrap_or(true) },
        Form::Parquet => Style::Parquet,
        Form::Arrow => Style::Arrow,
    };
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
    let usual = Dialect::of(input);
    let delimiter = match params.delimiter.as_deref().map(str::as_bytes) {
        None => usual.delimiter,
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
    let null = params.null_value.as_deref().map_or(usual.null, |null| null.as_bytes().to_vec());
    if null.iter().any(|&byte| byte == delimiter || matches!(byte, b'"' | b'\n' | b'\r')) {
        return Err(refuse(
            "null_value",
            "null_value: a null is never quoted, so it cannot hold the delimiter, a quote or a line break".to_owned(),
            "use a word such as NA, or leave it out",
        ));
    }
    Ok(Dialect { delimiter, header: params.header.unwrap_or(usual.header), null })
}
