//! The parameters, checked and in the form in which they are used. All that is wrong is told at once.

use crate::decode;
use crate::dialect::Dialect;
use crate::field::Rules;
use crate::params::{DuplicateHeaders, Params};
use arrow::datatypes::DataType;
use encoding_rs::Encoding;
use flight_common::values::{Form, Forms, NullWords, USUAL_NULLS, types};
use flight_common::{Fault, Violation, params::bad_params};
use std::sync::Arc;

/// How to read a file.
#[derive(Clone, Debug)]
pub struct Options {
    /// The file, as the user wrote it.
    pub path: Arc<str>,
    /// The encoding of its text.
    pub encoding: &'static Encoding,
    /// How fields are read.
    pub rules: Arc<Rules>,
    /// Whether the user told the delimiter.
    pub delimiter_given: bool,
    /// How dates and timestamps are written.
    pub forms: Arc<Forms>,
    /// Whether the first line holds names.
    pub header: bool,
    /// What to do about two columns of one name.
    pub duplicates: DuplicateHeaders,
    /// Lines to leave out at the start.
    pub skip_lines: u64,
    /// Types by the names of columns.
    pub types: Vec<(String, DataType)>,
    /// Rows to guess types from.
    pub sample_rows: usize,
}

impl Options {
    /// Reads the parameters.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::BadParams`] with all that is wrong.
    pub fn new(params: Params) -> Result<Self, Fault> {
        let mut wrong = Vec::new();
        let dialect = Dialect::new(params.delimiter.as_deref(), &params.quote);
        let dialect = dialect.unwrap_or_else(|violation| {
            wrong.push(violation);
            Dialect::default()
        });
        let nulls = match &params.nulls {
            Some(words) => NullWords::new(words.iter().map(String::as_str)),
            None => NullWords::new(USUAL_NULLS),
        };
        let encoding = decode::by_name(&params.encoding).unwrap_or_else(|| {
            let message = format!("encoding: \"{}\" is not known", params.encoding);
            let help = "use utf-8, latin1, windows-1252, utf-16le, shift_jis, gb18030 or alike";
            wrong.push(Violation::new("/encoding", message).help(help.to_owned()));
            encoding_rs::UTF_8
        });
        let forms = Forms {
            date: form("date_format", "%d.%m.%Y", params.date_format.as_deref(), &mut wrong),
            timestamp: form("timestamp_format", "%d.%m.%Y %H:%M", params.timestamp_format.as_deref(), &mut wrong),
        };
        let given = types::given(params.types, &mut wrong);
        if !wrong.is_empty() {
            return Err(bad_params(wrong));
        }
        Ok(Self {
            path: params.file_path.into(),
            encoding,
            rules: Arc::new(Rules { dialect, nulls, quoted_nulls: params.quoted_nulls }),
            delimiter_given: params.delimiter.is_some(),
            forms: Arc::new(forms),
            header: params.header,
            duplicates: params.duplicate_headers,
            skip_lines: params.skip_lines,
            types: given,
            sample_rows: usize::try_from(params.sample_rows).unwrap_or(usize::MAX),
        })
    }
}

fn form(param: &str, example: &str, pattern: Option<&str>, wrong: &mut Vec<Violation>) -> Option<Form> {
    let pattern = pattern?;
    let form = Form::new(pattern);
    if form.is_none() {
        let message = format!("{param}: \"{pattern}\" is no strftime pattern");
        wrong.push(Violation::new(format!("/{param}"), message).help(format!("write it like \"{example}\"")));
    }
    form
}
