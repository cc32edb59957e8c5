//! The run: pieces are cut on one thread, read on all, and put in order again.

use crate::cut::{CutError, Cutter, RECORD_LIMIT};
use crate::layout::Layout;
use crate::options::Options;
use crate::piece::{Parsed, PieceError, Reader};
use crate::source::{Source, unreadable};
use crate::text::Text;
use crate::trouble::{About, Trouble};
use arrow::array::RecordBatch;
use flight_common::{BATCH_ROWS, BatchStream, Fault, FileIdentity, Reservation, StepContext, compute};
use futures::{StreamExt, TryStreamExt, stream};
use std::io::Read;
use std::sync::Arc;

/// What was planned.
pub struct Run {
    /// How to read the files.
    pub options: Options,
    /// What they hold.
    pub layout: Arc<Layout>,
    /// The files, in their order.
    pub files: Vec<Part>,
}

/// A file among those that are read.
#[derive(Clone, Debug)]
pub struct Part {
    /// Its path.
    pub path: Arc<str>,
    /// What it was when it was planned.
    pub identity: FileIdentity,
    /// Bytes of text before its first row.
    pub body: u64,
    /// Lines before its first row.
    pub lines: u64,
}

impl Run {
    /// The rows.
    pub fn batches(self, context: &StepContext) -> BatchStream {
        let Self { options, layout, files } = self;
        let files: Arc<[Part]> = files.into();
        let reader = Reader { rules: options.rules.clone(), forms: options.forms.clone(), layout: layout.clone() };
        let mut order = Order {
            options: options.clone(),
            layout: layout.clone(),
            files: files.clone(),
            file: 0,
            lines: 0,
            rows: 0,
        };
        let schema = layout.schema.clone();
        let pieces = Pieces { context: context.clone(), options, layout, files, next: 0, state: State::Closed };
        let parsed = context.map_parallel(stream::iter(pieces), move |piece| {
            Ok(match piece {
                Piece::Begin(file) => Done::Begin(file),
                Piece::Text(text, _booked) => Done::Read(reader.read(&text)),
                Piece::Trouble(trouble) => Done::Read(Err(trouble.into())),
            })
        });
        let batches = parsed.map(move |done| order.next(done?));
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
    /// The pieces of the file at this place come next.
    Begin(usize),
    Text(Text, Reservation),
    /// No piece, since the text is wrong. It waits for those before it, to know its line.
    Trouble(Trouble),
}

/// A piece that was read.
enum Done {
    Begin(usize),
    Read(Result<Parsed, PieceError>),
}

/// Cuts the files, one after the other. Each is opened when its first piece is asked for.
struct Pieces {
    context: StepContext,
    options: Options,
    layout: Arc<Layout>,
    files: Arc<[Part]>,
    /// The place of the file that is opened next.
    next: usize,
    state: State,
}

enum State {
    Closed,
    Open(Box<Open>),
    Ended,
}

struct Open {
    file: Part,
    source: Source,
    cutter: Cutter<Box<dyn Read + Send>>,
    /// Bytes of the file that have been counted.
    counted: u64,
}

impl Iterator for Pieces {
    type Item = Result<Piece, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        let piece = self.next_piece();
        if !matches!(piece, Ok(Some(Piece::Text(..) | Piece::Begin(_)))) {
            self.state = State::Ended;
        }
        piece.transpose()
    }
}

impl Pieces {
    fn next_piece(&mut self) -> Result<Option<Piece>, Fault> {
        let open = match &mut self.state {
            State::Closed => return self.next_file(),
            State::Open(open) => open,
            State::Ended => return Ok(None),
        };
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
                open.source.check_unchanged(&open.file.identity, "while it was read")?;
                self.next_file()
            }
            Err(CutError::Trouble(trouble)) => Ok(Some(Piece::Trouble(trouble))),
            Err(CutError::Io(error)) => Err(unreadable(&open.file.path, &error)),
        }
    }

    fn next_file(&mut self) -> Result<Option<Piece>, Fault> {
        let place = self.next;
        let Some(file) = self.files.get(place) else { return Ok(None) };
        self.state = State::Open(Box::new(self.open(file.clone())?));
        self.next += 1;
        Ok(Some(Piece::Begin(place)))
    }

    fn open(&self, file: Part) -> Result<Open, Fault> {
        let source = Source::open(&self.context.env.data_root, &file.path)?;
        source.check_unchanged(&file.identity, "since it was planned")?;
        let text = source.text(&self.options)?;
        let target = piece_bytes(self.layout.row_bytes);
        let mut cutter = Cutter::new(text, self.options.rules.dialect, target, RECORD_LIMIT);
        cutter.skip_bytes(file.body).map_err(|error| unreadable(&file.path, &error))?;
        Ok(Open { file, source, cutter, counted: 0 })
    }
}

/// Adds up what the pieces do not know of each other.
struct Order {
    options: Options,
    layout: Arc<Layout>,
    files: Arc<[Part]>,
    /// The place of the file that the next piece is of.
    file: usize,
    lines: u64,
    rows: u64,
}

impl Order {
    fn next(&mut self, done: Done) -> Result<Vec<RecordBatch>, Fault> {
        match done {
            Done::Begin(file) => {
                (self.file, self.lines, self.rows) = (file, self.files[file].lines, 0);
                Ok(Vec::new())
            }
            Done::Read(Ok(parsed)) => {
                self.lines += parsed.lines;
                self.rows += parsed.rows;
                Ok(parsed.batches)
            }
            Done::Read(Err(PieceError::Fault(fault))) => Err(fault),
            Done::Read(Err(PieceError::Trouble(trouble))) => {
                let (path, forms) = (&*self.files[self.file].path, &*self.options.forms);
                let about = About { path, names: &self.layout.names, columns: &self.layout.columns, forms };
                Err(about.explain(trouble, self.lines, self.rows))
            }
        }
    }
}
