//! What a file holds: names and types of its columns, and where its rows begin. Found by looking at its first rows.

use crate::column::{self, BadField, Column, ColumnPlan};
use crate::cut::{CutError, Cutter, RECORD_LIMIT};
use crate::guess;
use crate::header::{self, Record};
use crate::options::Options;
use crate::rows::{Block, Rows};
use crate::source::unreadable;
use crate::text::{Text, View};
use crate::trouble::{About, Trouble, What, lines};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use flight_common::Fault;
use flight_common::values::{Seen, check_commas, types};
use std::io::Read;
use std::sync::Arc;

/// Bytes to read at once while looking.
const PIECE: usize = 256 * 1024;
/// Bytes to look at, at most.
const SAMPLE_BYTES: u64 = 16 << 20;

/// What a file holds.
#[derive(Clone, Debug)]
pub struct Layout {
    /// Its schema. Every column may hold nulls.
    pub schema: SchemaRef,
    /// The names of its columns.
    pub names: Vec<String>,
    /// Their types.
    pub columns: Vec<ColumnPlan>,
    /// Bytes of text before the first row.
    pub body: u64,
    /// Lines before the first row.
    pub lines: u64,
    /// Bytes of a row, on average.
    pub row_bytes: usize,
    /// What values its columns were seen to have.
    seen: Vec<Seen>,
}

impl Layout {
    /// Takes in what a further file holds, so that the types hold the values of both. Where rows begin stays that of
    /// this one.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::BadData`] for other columns; `paths` are those of the first file and of that one.
    pub fn join(&mut self, other: &Self, paths: (&str, &str)) -> Result<(), Fault> {
        if self.names != other.names {
            return Err(header::other_columns(paths, &self.names, &other.names));
        }
        for (place, column) in self.columns.iter_mut().enumerate() {
            self.seen[place].merge(other.seen[place]);
            if !column.given {
                column.data_type = self.seen[place].data_type();
            }
            column.mean_length = column.mean_length.max(other.columns[place].mean_length);
        }
        self.schema = schema(&self.names, &self.columns);
        self.row_bytes = self.row_bytes.max(other.row_bytes);
        Ok(())
    }
}

fn schema(names: &[String], columns: &[ColumnPlan]) -> SchemaRef {
    let fields = names.iter().zip(columns).map(|(name, plan)| Field::new(name, plan.data_type.clone(), true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// Looks at the first rows of a text.
///
/// # Errors
/// [`flight_common::FaultKind::BadData`] for what is wrong with them, [`flight_common::FaultKind::BadSchema`] for a
/// type that is given for a column that is not there.
pub fn look(text: Box<dyn Read + Send>, options: &Options) -> Result<Layout, Fault> {
    let mut cutter = Cutter::new(text, options.rules.dialect, PIECE, RECORD_LIMIT);
    let skipped = cutter.skip_lines(options.skip_lines).map_err(|error| unreadable(&options.path, &error))?;
    let mut sample = Sample { options, names: Vec::new(), columns: Vec::new(), lines: options.skip_lines };
    let (piece, record) = sample.first_record(&mut cutter)?;
    let names = sample.names(record.fields, record.start, &piece)?;
    // Without a header a blank line at the start is a row, in a table of one column.
    let body = if options.header { record.end } else { 0 };
    let mut columns = Looked::columns(&names, options)?;
    sample.columns = columns.iter().map(|column| column.plan.clone()).collect();
    sample.names = names;

    let begins_at = (skipped + body as u64, sample.lines + lines(&piece.view().text()[..body]));
    let mut seen = Figures::default();
    sample.look(piece.view(), body, &mut columns, &mut seen)?;
    sample.lines += lines(piece.view().text());
    drop(piece);
    while seen.rows < options.sample_rows && seen.bytes < SAMPLE_BYTES {
        let Some(piece) = sample.next_piece(&mut cutter)? else { break };
        sample.look(piece.view(), 0, &mut columns, &mut seen)?;
        sample.lines += lines(piece.view().text());
    }
    let values = columns.iter().map(|column| column.seen).collect();
    let columns: Vec<ColumnPlan> = columns.into_iter().map(|column| column.planned(seen.rows)).collect();
    let row_bytes = usize::try_from(seen.bytes).unwrap_or(usize::MAX) / seen.rows.max(1);
    let schema = schema(&sample.names, &columns);
    let (body, lines) = begins_at;
    Ok(Layout { schema, names: sample.names, columns, body, lines, row_bytes, seen: values })
}

/// How much has been looked at.
#[derive(Default)]
struct Figures {
    rows: usize,
    bytes: u64,
}

/// The look at a file, and what is needed to tell what is wrong with it.
struct Sample<'a> {
    options: &'a Options,
    names: Vec<String>,
    columns: Vec<ColumnPlan>,
    /// Lines before the piece that is looked at.
    lines: u64,
}

impl Sample<'_> {
    fn fault(&self, trouble: Trouble) -> Fault {
        let (path, forms) = (&*self.options.path, &*self.options.forms);
        About { path, names: &self.names, columns: &self.columns, forms }.explain(trouble, self.lines, 0)
    }

    /// The next piece. All of it is UTF-8.
    fn next_piece(&self, cutter: &mut Cutter<Box<dyn Read + Send>>) -> Result<Option<Text>, Fault> {
        let piece = match cutter.next_piece() {
            Ok(Some(piece)) => piece,
            Ok(None) => return Ok(None),
            Err(CutError::Trouble(trouble)) => return Err(self.fault(trouble)),
            Err(CutError::Io(error)) => return Err(unreadable(&self.options.path, &error)),
        };
        let text = piece.view().text();
        if let Err(error) = std::str::from_utf8(text) {
            let at = error.valid_up_to();
            let what = What::NotUtf8 { byte: text[at] };
            return Err(self.fault(Trouble { line: lines(&text[..at]), row: None, what }));
        }
        Ok(Some(piece))
    }

    /// The first record and the piece that it is in. Blank lines before it are gone over.
    fn first_record(&mut self, cutter: &mut Cutter<Box<dyn Read + Send>>) -> Result<(Text, Record), Fault> {
        let Some(piece) = self.next_piece(cutter)? else {
            return Err(header::empty(&self.options.path, self.options.header));
        };
        match header::first_record(piece.view(), &self.options.rules) {
            Ok(Some(record)) => Ok((piece, record)),
            Ok(None) => Err(header::empty(&self.options.path, self.options.header)),
            Err((start, _)) => {
                let text = piece.view().text();
                let value = text[start..].split(|&byte| byte == b'\n').next().unwrap_or_default();
                let bad = BadField { row: 0, wrong: column::Wrong::Quote, value: value.to_vec() };
                Err(self.fault(Trouble { row: None, ..Trouble::field(text, start, 0, 0, bad) }))
            }
        }
    }

    fn names(&self, fields: Vec<String>, start: usize, piece: &Text) -> Result<Vec<String>, Fault> {
        let options = self.options;
        let line = self.lines + lines(&piece.view().text()[..start]) + 1;
        let place = format!("{}, line {line}", options.path);
        header::check_characters(&fields, &place)?;
        if options.header && !options.delimiter_given {
            check_commas(&fields, &place)?;
        }
        match options.header {
            true => header::names(fields, options.duplicates, &place),
            false => Ok(header::numbered(fields.len())),
        }
    }

    /// Looks at the rows of a text from `start` on.
    fn look(&self, text: View<'_>, start: usize, columns: &mut [Looked], seen: &mut Figures) -> Result<(), Fault> {
        let view = text.from(start);
        let mut rows = Rows::new(view, columns.len(), self.options.rules.dialect);
        let shift = |trouble: Trouble| Trouble { line: trouble.line + lines(&text.text()[..start]), ..trouble };
        let mut here = 0;
        while seen.rows < self.options.sample_rows {
            let block = match rows.next_block() {
                Ok(Some(block)) => block.first(self.options.sample_rows - seen.rows),
                Ok(None) => break,
                Err(ragged) => {
                    let trouble = Trouble::ragged(view.text(), seen.rows, ragged);
                    return Err(self.fault(shift(trouble)));
                }
            };
            for (place, column) in columns.iter_mut().enumerate() {
                if let Err(bad) = column.look(&block, place, self.options) {
                    let row_start = block.starts().nth(bad.row).unwrap_or_default() as usize;
                    let trouble = Trouble::field(view.text(), row_start, seen.rows + bad.row, place, bad);
                    return Err(self.fault(shift(trouble)));
                }
            }
            seen.rows += block.rows();
            seen.bytes += (block.end() - here) as u64;
            here = block.end();
        }
        Ok(())
    }
}

/// A column as it is looked at.
struct Looked {
    plan: ColumnPlan,
    seen: Seen,
    bytes: usize,
    /// Tries the type that was given.
    trial: Option<Box<dyn Column>>,
}

impl Looked {
    /// The columns of these names.
    fn columns(names: &[String], options: &Options) -> Result<Vec<Self>, Fault> {
        let guessed = |_| Self {
            plan: ColumnPlan { data_type: DataType::Utf8, given: false, mean_length: 0 },
            seen: Seen::default(),
            bytes: 0,
            trial: None,
        };
        let mut columns: Vec<Self> = names.iter().map(guessed).collect();
        if options.types.is_empty() {
            return Ok(columns);
        }
        let schema = Schema::new(names.iter().map(|name| Field::new(name, DataType::Utf8, true)).collect::<Vec<_>>());
        for (place, (_, data_type)) in types::places(&schema, &options.types)?.into_iter().zip(&options.types) {
            let column = &mut columns[place];
            column.plan = ColumnPlan { data_type: data_type.clone(), given: true, mean_length: 0 };
            column.trial = Some(column::new(&column.plan, &options.rules, &options.forms));
        }
        Ok(columns)
    }

    fn look(&mut self, block: &Block<'_>, place: usize, options: &Options) -> Result<(), BadField> {
        self.bytes += block.column(place).map(|(start, end)| end - start).sum::<usize>();
        match &mut self.trial {
            None => guess::look(&mut self.seen, block, place, &options.rules, &options.forms),
            Some(column) => {
                column.append(block, place)?;
                column.finish().map(drop)
            }
        }
    }

    fn planned(self, rows: usize) -> ColumnPlan {
        let data_type = if self.plan.given { self.plan.data_type } else { self.seen.data_type() };
        ColumnPlan { data_type, mean_length: self.bytes.div_ceil(rows.max(1)), ..self.plan }
    }
}
