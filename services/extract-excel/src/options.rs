//! The parameters, checked and in the form in which they are used. All that is wrong is told at once.

use crate::area::Area;
use crate::params::{DuplicateHeaders, ErrorCells, MergedCells, Params, SheetChoice};
use arrow::datatypes::DataType;
use flight_common::values::{NullWords, USUAL_NULLS, types};
use flight_common::{Fault, Violation, params::bad_params};
use std::sync::Arc;

/// How to read a sheet.
#[derive(Clone, Debug)]
pub struct Options {
    /// The workbook, as the user wrote it.
    pub path: Arc<str>,
    /// Which sheet.
    pub sheet: Option<SheetChoice>,
    /// Which part of it.
    pub area: Area,
    /// Whether a row holds names.
    pub header: bool,
    /// Which one, counted from 0, if the user said so.
    pub header_row: Option<u32>,
    /// What to do about two columns of one name.
    pub duplicates: DuplicateHeaders,
    /// Whether each of merged cells holds their value.
    pub merged: MergedCells,
    /// What to do about errors.
    pub errors: ErrorCells,
    /// Texts that are nulls.
    pub nulls: Arc<NullWords>,
    /// Types by the names of columns.
    pub types: Vec<(String, DataType)>,
    /// Rows to guess types from.
    pub sample_rows: u64,
    /// Bytes that the workbook may have.
    pub max_bytes: u64,
}

impl Options {
    /// Reads the parameters.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::BadParams`] with all that is wrong.
    pub fn new(params: Params) -> Result<Self, Fault> {
        let mut wrong = Vec::new();
        let area = params.range.as_deref().map_or(Some(Area::ALL), Area::parse).unwrap_or_else(|| {
            let range = params.range.as_deref().unwrap_or_default();
            wrong.push(violation(
                "range",
                format!("range: \"{range}\" is no part of a sheet"),
                "write it like \"B3:F200\", \"B:F\" or \"B3:\"",
            ));
            Area::ALL
        });
        let header_row = params.header_row.map(|row| row.saturating_sub(1));
        if let Some(row) = header_row {
            if !params.header {
                wrong.push(violation(
                    "header_row",
                    "header_row: there is none with `header: false`".into(),
                    "leave one of them out",
                ));
            } else if row > area.rows.1 {
                let message = format!("header_row: row {} lies behind the range", row + 1);
                wrong.push(violation("header_row", message, "it may lie in the range or before it"));
            }
        }
        if params.sheet == Some(SheetChoice::Place(0)) {
            wrong.push(violation("sheet", "sheet: they are counted from 1".into(), "write 1 for the first one"));
        }
        if params.error_cells.is_none() {
            wrong.push(violation(
                "error_cells",
                "error_cells: null without quotes is nothing, and no word".into(),
                "write \"null\" in quotes to take such cells for nulls, or leave it out to refuse them",
            ));
        }
        let nulls = match &params.nulls {
            Some(words) => NullWords::new(words.iter().map(String::as_str)),
            None => NullWords::new(USUAL_NULLS),
        };
        let given = types::given(params.types, &mut wrong);
        if !wrong.is_empty() {
            return Err(bad_params(wrong));
        }
        Ok(Self {
            path: params.file_path.into(),
            sheet: params.sheet,
            area,
            header: params.header,
            header_row,
            duplicates: params.duplicate_headers,
            merged: params.merged_cells,
            errors: params.error_cells.unwrap_or(ErrorCells::Refuse),
            nulls: Arc::new(nulls),
            types: given,
            sample_rows: params.sample_rows,
            max_bytes: params.max_bytes,
        })
    }
}

fn violation(param: &str, message: String, help: &str) -> Violation {
    Violation::new(format!("/{param}"), message).help(help.to_owned())
}
