//! An answer cut into records as it comes, whatever pieces it comes in.
//!
//! What a record says is read later, in parallel; here only its end is found. A record that is not complete waits for
//! the next piece.

mod csv;
mod gathered;
mod inside;
mod json;
mod lines;
mod whole;

pub use gathered::Records;

use crate::failure::Failure;
use crate::fetch::Head;
use crate::options::Options;
use crate::params::Format;
use csv::CsvSplitter;
use flight_common::Fault;
use json::JsonSplitter;
use lines::LineSplitter;
use serde_json::Value;

/// Cuts one page.
pub enum Splitter {
    /// A JSON document.
    Json(JsonSplitter),
    /// A record per line.
    Lines(LineSplitter),
    /// Rows of fields.
    Csv(Box<CsvSplitter>),
}

impl Splitter {
    /// For an answer with these headers.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::BadData`] for an answer in none of the forms.
    pub fn new(options: &Options, head: &Head) -> Result<Self, Fault> {
        Ok(match options.format.map_or_else(|| format_of(head), Ok)? {
            Format::Json => Self::Json(JsonSplitter::new(&options.path)),
            Format::Ndjson => Self::Lines(LineSplitter::default()),
            Format::Csv => Self::Csv(Box::new(CsvSplitter::new(options.delimiter))),
        })
    }

    /// Takes the next piece of the answer.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn push(&mut self, piece: &[u8]) -> Result<(), Fault> {
        match self {
            Self::Json(splitter) => splitter.push(piece),
            Self::Lines(splitter) => splitter.push(piece),
            Self::Csv(splitter) => splitter.push(piece),
        }
    }

    /// Ends the page, and gives what was around its records.
    ///
    /// # Errors
    /// As [`Splitter::push`]; one that another try may mend if the answer ends before it is whole.
    pub fn end(&mut self) -> Result<Value, Failure> {
        match self {
            Self::Json(splitter) => splitter.end(),
            Self::Lines(splitter) => splitter.end().map(|()| Value::Null),
            Self::Csv(splitter) => splitter.end().map(|()| Value::Null).map_err(Failure::from),
        }
    }

    /// Bytes that it holds until records are whole.
    pub fn kept(&self) -> usize {
        match self {
            Self::Json(splitter) => splitter.kept(),
            Self::Lines(splitter) => splitter.gathered.kept(),
            Self::Csv(splitter) => splitter.kept(),
        }
    }

    /// The next records, once there are enough of them; at the end of the page, the rest.
    pub fn take(&mut self) -> Option<Records> {
        match self {
            Self::Json(splitter) => splitter.gathered.take(),
            Self::Lines(splitter) => splitter.gathered.take(),
            Self::Csv(splitter) => splitter.gathered.take(),
        }
    }
}

/// The form that an answer says it has.
fn format_of(head: &Head) -> Result<Format, Fault> {
    let path = head.url.path().to_lowercase();
    match head.content_type.as_str() {
        "application/x-ndjson"
        | "application/ndjson"
        | "application/jsonl"
        | "application/x-jsonlines"
        | "application/jsonlines"
        | "application/x-json-stream" => Ok(Format::Ndjson),
        "text/csv" | "application/csv" => Ok(Format::Csv),
        "application/json" | "text/json" => Ok(Format::Json),
        other if other.ends_with("+json") => Ok(Format::Json),
        _ if path.ends_with(".csv") => Ok(Format::Csv),
        _ if path.ends_with(".ndjson") || path.ends_with(".jsonl") => Ok(Format::Ndjson),
        _ if path.ends_with(".json") => Ok(Format::Json),
        "" => {
            Err(Fault::bad_data("the answer does not say which form it has").help("set `format`: json, ndjson or csv"))
        }
        other => Err(Fault::bad_data(format!("the answer is {other}, neither JSON nor CSV"))
            .help("check the address, or set `format` if it is JSON or CSV indeed")),
    }
}

/// The fault for an answer that ends before it is whole.
fn cut_short() -> Failure {
    Failure::passing(Fault::upstream("the answer was cut short: it ends within a record or a list"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::{StatusCode, Url};

    #[test]
    fn the_form_is_told_by_the_answer_or_the_end_of_its_address() {
        let format = |content_type: &str, path: &str| {
            let url = Url::parse(&format!("http://h/{path}")).expect("a URL");
            format_of(&Head { status: StatusCode::OK, url, content_type: content_type.into(), links: Vec::new() }).ok()
        };
        assert_eq!(format("application/geo+json", ""), Some(Format::Json));
        assert_eq!(format("application/x-ndjson", "a.json"), Some(Format::Ndjson));
        assert_eq!(format("text/plain", "a.CSV"), Some(Format::Csv));
        assert_eq!(format("application/octet-stream", "a.jsonl"), Some(Format::Ndjson));
        assert_eq!(format("text/html", "a"), None);
        assert_eq!(format("", "a"), None);
    }
}
