//! The run: pieces are cut on one thread, read on all, and put in order again.

use crate::cut::{CutError, Cutter, RECORD_LIMIT};
use crate::layout::Layout;
use crate::options::Options;
use crate::piece::{Parsed, PieceError, Reader};
use crate::source::{Source, unreadable};
use crate::text::Text;
use crate::trouble::{About, Trouble};
use flight_common::{BATCH_ROWS, BatchStream, Fault, FileIdentity, Reservation, StepContext, compute};
use futures::{StreamExt, TryStreamExt, stream};
use std::io::Read;
use std::sync::Arc;

/// What was planned.
pub struct Run {
    /// How to read the file.
    pub options: Options,
    /// What it holds.
    pub layout: Arc<Layout>,
    /// What it was when it was planned.
    pub identity: FileIdentity,
}

impl Run {
    /// The rows.
    pub fn batches(self, context: &StepContext) -> BatchStream {
        let Self { options, layout, identity } = self;
        let reader = Reader { rules: options.rules.clone(), forms: options.forms.clone(), layout: layout.clone() };
        let mut order = Order { options: options.clone(), layout: layout.clone(), lines: layout.lines, rows: 0 };
        let schema = layout.schema.clone();
        let pieces = Pieces { context: context.clone(), options, layout, identity, state: State::Closed };
        let parsed = context.map_parallel(stream::iter(pieces), move |piece| {
            Ok(match piece {
                Piece::Text(text, _booked) => reader.read(&text),
                Piece::Trouble(trouble) => Err(trouble.into()),
            })
        });
        let batches = parsed.map(move |parsed| order.next(parsed?));
        BatchStream::new(schema, batches.map_ok(|batches| stream::iter(batches).map(Ok)).try_flatten())
    }
}

/// Bytes of a piece: as many as make a batch, within bounds that keep all pieces under way small.
fn piece_bytes(row_bytes: usize) -> usize {
    const SMALLEST: usize = 64 << 10;
    let largest = (16 << 20) / compute::workers().clamp(4, 16);
    // A little less than a batch, so that rows which are somewhat shorter do not leave a sliver behind.
    (row_bytes * (BATCH_ROWS - BATCH_ROWS / 8)).clamp(SMALLEST, largest)
}

/// A piece on its way to be read.
enum Piece {
    Text(Text, Reservation),
    /// No piece, since the text is wrong. It waits for those before it, to know its line.
    Trouble(Trouble),
}

/// Cuts the file. It is opened when the first piece is asked for.
struct Pieces {
    context: StepContext,
    options: Options,
    layout: Arc<Layout>,
    identity: FileIdentity,
    state: State,
}

enum State {
    Closed,
    Open(Box<Open>),
    Ended,
}

struct Open {
    source: Source,
    cutter: Cutter<Box<dyn Read + Send>>,
    /// Bytes of the file that have been counted.
    counted: u64,
}

impl Iterator for Pieces {
    type Item = Result<Piece, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        let piece = self.next_piece();
        if !matches!(piece, Ok(Some(Piece::Text(..)))) {
            self.state = State::Ended;
        }
        piece.transpose()
    }
}

impl Pieces {
    fn next_piece(&mut self) -> Result<Option<Piece>, Fault> {
        if let State::Closed = self.state {
            self.state = State::Open(Box::new(self.open()?));
        }
        let State::Open(open) = &mut self.state else { return Ok(None) };
        let piece = open.cutter.next_piece();
        let position = open.source.position();
        self.context.meter.count("bytes_read", position - open.counted);
        open.counted = position;
        match piece {
            Ok(Some(text)) => {
                let mut booked = self.context.budget().reservation();
                booked.grow(text.view().with_slack().len());
                Ok(Some(Piece::Text(text, booked)))
            }
            Ok(None) => {
                open.source.check_unchanged(&self.identity, "while it was read")?;
                Ok(None)
            }
            Err(CutError::Trouble(trouble)) => Ok(Some(Piece::Trouble(trouble))),
            Err(CutError::Io(error)) => Err(unreadable(&self.options.path, &error)),
        }
    }

    fn open(&self) -> Result<Open, Fault> {
        let source = Source::open(&self.context.env.data_root, &self.options.path)?;
        source.check_unchanged(&self.identity, "since it was planned")?;
        let text = source.text(&self.options)?;
        let target = piece_bytes(self.layout.row_bytes);
        let mut cutter = Cutter::new(text, self.options.rules.dialect, target, RECORD_LIMIT);
        cutter.skip_bytes(self.layout.body).map_err(|error| unreadable(&self.options.path, &error))?;
        Ok(Open { source, cutter, counted: 0 })
    }
}

/// Adds up what the pieces do not know of each other.
struct Order {
    options: Options,
    layout: Arc<Layout>,
    lines: u64,
    rows: u64,
}

impl Order {
    fn next(&mut self, parsed: Result<Parsed, PieceError>) -> Result<Vec<arrow::array::RecordBatch>, Fault> {
        match parsed {
            Ok(parsed) => {
                self.lines += parsed.lines;
                self.rows += parsed.rows;
                Ok(parsed.batches)
            }
            Err(PieceError::Fault(fault)) => Err(fault),
            Err(PieceError::Trouble(trouble)) => {
                let (path, forms) = (&*self.options.path, &*self.options.forms);
                let about = About { path, names: &self.layout.names, columns: &self.layout.columns, forms };
                Err(about.explain(trouble, self.lines, self.rows))
            }
        }
    }
}
