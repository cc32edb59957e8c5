//! Rows printed as lines of text: one for each, tabs between values, `\N` for null, a backslash before what means something
//! else. PostgreSQL's `COPY` (its manual, *COPY*, Text Format) and `LOAD DATA` of MariaDB and MySQL read the same form; how a
//! value is spelled differs, and is the business of each.

use crate::ledger::Rows;
use crate::plain::Plain;
use crate::target::Target;
use arrow::array::{ArrayRef, RecordBatch};
use flight_common::{BatchStream, Fault, Parcel, StepContext};
use futures::{Stream, StreamExt, stream};
use std::fmt::{self, Write};
use std::pin::pin;

/// What to try with a value that cannot be written.
pub const MEND: &str = "mend the value, or leave the row out";
/// Bytes of arrays that are printed at once.
const PIECE: usize = 2 << 20;

/// Lines, and what is known of their rows.
pub struct Lines {
    /// The text.
    pub text: Vec<u8>,
    /// The rows.
    pub rows: Rows,
}

/// The text under way. What is written to it is taken as it is.
pub struct Text(Vec<u8>);

impl Write for Text {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        self.0.extend_from_slice(part.as_bytes());
        Ok(())
    }
}

impl Text {
    /// Adds a value, with what has a meaning escaped. `nul` is how a NUL is spelled.
    ///
    /// # Errors
    /// What is wrong with the value: a NUL, where there is no spelling of it.
    pub fn escaped(&mut self, value: &[u8], nul: Option<&[u8]>) -> Result<(), String> {
        let mut rest = value;
        while let Some(place) = rest.iter().position(|byte| matches!(byte, b'\\' | b'\n' | b'\r' | b'\t' | 0)) {
            self.0.extend_from_slice(&rest[..place]);
            self.0.extend_from_slice(match rest[place] {
                b'\\' => b"\\\\",
                b'\n' => b"\\n",
                b'\r' => b"\\r",
                b'\t' => b"\\t",
                _ => nul.ok_or_else(|| "a NUL in a text, which the database does not hold".to_owned())?,
            });
            rest = &rest[place + 1..];
        }
        self.0.extend_from_slice(rest);
        Ok(())
    }
}

/// The values of a column, spelled for one database.
pub trait Cells {
    /// Whether the value of a row is null.
    fn is_null(&self, row: usize) -> bool;

    /// What to try when a value of it cannot be written.
    fn help(&self) -> &'static str {
        MEND
    }

    /// Adds the value of a row that is not null.
    ///
    /// # Errors
    /// What is wrong with it.
    fn push(&self, row: usize, text: &mut Text) -> Result<(), String>;
}

/// So many rows as lines.
///
/// # Errors
/// [`flight_common::FaultKind::BadData`] for a value that has no spelling, with its row from 1 and its column.
pub fn lines(cells: &[impl Cells], names: &[String], count: usize) -> Result<Lines, Fault> {
    let (mut text, mut rows) = (Text(Vec::with_capacity(count * cells.len() * 8)), Rows::default());
    for row in 0..count {
        let begin = text.0.len();
        for (place, cells) in cells.iter().enumerate() {
            if place > 0 {
                text.0.push(b'\t');
            }
            if cells.is_null(row) {
                text.0.extend_from_slice(b"\\N");
                continue;
            }
            cells.push(row, &mut text).map_err(|what| {
                let fault = Fault::bad_data(format!("column \"{}\": {what}", names[place]));
                fault.column(&names[place]).row(row as u64 + 1).help(cells.help())
            })?;
        }
        text.0.push(b'\n');
        rows.add(&text.0[begin..]);
    }
    Ok(Lines { text: text.0, rows })
}

/// The input, once some of it has come. Until then nothing is held at a server.
///
/// # Errors
/// The input's.
pub async fn begun(mut input: BatchStream) -> Result<BatchStream, Fault> {
    let first = input.next().await.transpose()?;
    Ok(input.wrap(|rest| stream::iter(first.map(Ok)).chain(rest)))
}

/// The rows of the input printed on all cores, in order. `print` is given plain columns and their names.
pub fn printed(
    input: BatchStream,
    target: &Target,
    plain: &Plain,
    context: &StepContext,
    print: impl Fn(&[ArrayRef], &[String]) -> Result<Lines, Fault> + Clone + Send + Sync + 'static,
) -> impl Stream<Item = Result<Lines, Fault>> + Send + 'static {
    let parts = input.flat_map(|batch| {
        let parts =
            batch.map(|batch| parts(&batch).into_iter().map(Ok).collect()).unwrap_or_else(|fault| vec![Err(fault)]);
        stream::iter(parts)
    });
    let (names, plain) = (target.columns.clone(), plain.clone());
    let printed = context.map_parallel(parts, move |batch: RecordBatch| {
        let lines = plain.apply(&batch).and_then(|columns| print(&columns, &names));
        Ok((batch.num_rows() as u64, lines))
    });
    let mut before = 0;
    printed.map(move |printed| {
        let (rows, lines) = printed?;
        let fault = |fault: Fault| match fault.row_number() {
            Some(row) => fault.row(before + row),
            None => fault,
        };
        let lines = lines.map_err(fault);
        before += rows;
        lines
    })
}

fn parts(batch: &RecordBatch) -> Vec<RecordBatch> {
    let rows = batch.num_rows();
    let each = rows.div_ceil(batch.bytes().div_ceil(PIECE).clamp(1, rows.max(1))).max(1);
    (0..rows).step_by(each).map(|start| batch.slice(start, each.min(rows - start))).collect()
}

/// All that is left of the input, without writing it.
///
/// # Errors
/// The input's.
pub async fn counted(lines: impl Stream<Item = Result<Lines, Fault>>) -> Result<Rows, Fault> {
    let (mut lines, mut rows) = (pin!(lines), Rows::default());
    while let Some(piece) = lines.next().await {
        rows.merge(piece?.rows);
    }
    Ok(rows)
}
