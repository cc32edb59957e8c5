//! The run: a thread of its own reads the sheet, since reading borrows from the workbook from the first cell to the last,
//! and hands over batches.

use crate::book::Book;
use crate::fill::{Fill, Rules};
use crate::layout::{Layout, read_area};
use crate::options::Options;
use crate::rows::each_row;
use arrow::array::RecordBatch;
use flight_common::{BatchStream, Fault, FileIdentity, Reservation, StepContext};
use futures::{StreamExt, stream};
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::task::{JoinHandle, spawn_blocking};

/// What was planned.
pub struct Run {
    /// How to read the workbook.
    pub options: Options,
    /// The sheet.
    pub sheet: String,
    /// What it holds.
    pub layout: Layout,
    /// How its cells are taken.
    pub rules: Rules,
    /// What the file was when it was planned.
    pub identity: FileIdentity,
}

/// A batch, and the memory that it takes until somebody has it.
type Item = Result<(RecordBatch, Reservation), Fault>;

impl Run {
    /// The rows. Reading begins when the first of them is asked for.
    pub fn batches(self, context: &StepContext) -> BatchStream {
        let (schema, context) = (self.layout.schema.clone(), context.clone());
        let begun = async move {
            let (sender, receiver) = mpsc::channel(1);
            let thread = spawn_blocking(move || {
                if let Err(fault) = self.read(&context, &sender) {
                    let _ = sender.blocking_send(Err(fault));
                }
            });
            stream::unfold((receiver, Some(thread)), next)
        };
        BatchStream::new(schema, stream::once(begun).flatten())
    }

    fn read(&self, context: &StepContext, sender: &Sender<Item>) -> Result<(), Fault> {
        let file = context.env.data_root.open_file(&self.options.path, "file_path")?;
        self.identity.check(&file, "since it was planned")?;
        let mut book = Book::open(&file, &self.options, context.budget())?;
        context.meter.count("bytes_read", self.identity.size());
        let merged = book.merged(&self.sheet, self.options.merged)?;
        let mut job = Some(context.meter.job());
        let mut emit = |batch: RecordBatch| {
            let mut booked = context.budget().reservation();
            booked.grow(batch.get_array_memory_size());
            job = None;
            let sent = sender.blocking_send(Ok((batch, booked)));
            job = Some(context.meter.job());
            Ok(sent.is_ok())
        };
        let mut fill = Fill::new(&self.layout, &self.rules, u64::MAX, &mut emit);
        each_row(&mut book, &self.sheet, read_area(&self.options), merged, &mut fill)?;
        fill.finish()?;
        self.identity.check(&file, "while it was read")
    }
}

/// The next batch. The end is one only if the thread has ended well.
async fn next(
    (mut receiver, thread): (Receiver<Item>, Option<JoinHandle<()>>),
) -> Option<(Result<RecordBatch, Fault>, (Receiver<Item>, Option<JoinHandle<()>>))> {
    if let Some(item) = receiver.recv().await {
        return Some((item.map(|(batch, _booked)| batch), (receiver, thread)));
    }
    match thread?.await {
        Ok(()) => None,
        Err(error) => Some((Err(Fault::internal(error)), (receiver, None))),
    }
}
