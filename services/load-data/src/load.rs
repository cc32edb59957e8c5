//! One load from its first row to its receipt.

use crate::csv::CsvWriter;
use crate::ipc::IpcWriter;
use crate::json::JsonWriter;
use crate::parquet::ParquetWriter;
use crate::plan::{Load, Style};
use crate::receipt::receipt;
use crate::sink::Sink;
use crate::writer::write;
use crate::xlsx::XlsxWriter;
use arrow::array::RecordBatch;
use flight_common::{BatchStream, Fault, StepContext};

/// Bytes of arrays that are printed at once: their text is about half as long, and still in the cache of a core when
/// it is written.
const TEXT_PIECE: usize = 2 << 20;

/// Bytes of arrays that are written at once to formats that hold columns.
const COLUMNS_PIECE: usize = 16 << 20;

/// Writes the file. It is seen only if the input ended well and everything was written; until then it has no name.
///
/// # Errors
/// The input's fault, or why the file could not be written. Then there is no file, or the one that was there before.
pub async fn load(load: Load, input: BatchStream, context: &StepContext) -> Result<RecordBatch, Fault> {
    let Load { target, style, plain } = load;
    let path = target.path(&context.run_id)?;
    let shown = path.to_string_lossy();
    let sink = Sink::new(context.env.data_root.new_file(&path)?, &shown);
    let (compression, plan) = (target.compression, plain.clone());
    let (sink, rows) = match style {
        Style::Csv(dialect) => {
            let writer = CsvWriter::begin(sink, compression, dialect, plan)?;
            write(writer, input, plain, TEXT_PIECE, context).await?
        }
        Style::Json(layout) => {
            let writer = JsonWriter::begin(sink, compression, layout, plan, context.meter.clone())?;
            write(writer, input, plain, TEXT_PIECE, context).await?
        }
        Style::Xlsx { header } => {
            let writer = XlsxWriter::begin(sink, &target.dataset, header, plan, context.space())?;
            write(writer, input, plain, TEXT_PIECE, context).await?
        }
        Style::Parquet => {
            let writer = ParquetWriter::begin(sink, compression, plan, context.budget())?;
            write(writer, input, plain, COLUMNS_PIECE, context).await?
        }
        Style::Arrow => {
            let writer = IpcWriter::begin(sink, compression, plan)?;
            write(writer, input, plain, COLUMNS_PIECE, context).await?
        }
    };
    let bytes = sink.commit(&context.permission).await?;
    context.meter.count("bytes_written", bytes);
    receipt(&shown, target.form.name(), rows, bytes)
}
