//! `DoPut` to `datasets/<path>`: rows become a file under the data root, seen once it is whole.

use super::Inner;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::FlightError;
use arrow_flight::{FlightData, PutResult};
use flight_common::{Fault, NewFile, compute};
use futures::{StreamExt, TryStreamExt};
use serde_json::json;
use std::io::Write;
use tonic::{Status, Streaming};

impl Inner {
    /// Writes the rows of a stream to the file that its descriptor names.
    ///
    /// # Errors
    /// Why the file cannot be written; then nothing is seen of it.
    pub async fn upload(&self, mut messages: Streaming<FlightData>) -> Result<PutResult, Fault> {
        let unreadable = |status: Status| Fault::from_status(&status);
        let first = messages.message().await.map_err(unreadable)?;
        let first = first.ok_or_else(|| Fault::bad_params("no rows came"))?;
        let path = first.flight_descriptor.as_ref().map(|descriptor| descriptor.path.join("/")).unwrap_or_default();
        let Some(file_path) = path.strip_prefix("datasets/").map(str::to_owned) else {
            return Err(Fault::bad_params(format!("\"{path}\" is no place to put rows"))
                .help("put them to datasets/<path>, as in datasets/in/orders.parquet"));
        };
        let place = self.service.data_root().locate(&file_path, "path")?;
        let kind = Kind::of(&file_path)?;
        let all = futures::stream::once(async { Ok(first) }).chain(messages).map_err(FlightError::from);
        let mut rows = FlightRecordBatchStream::new_from_flight_data(all);
        let root = self.service.data_root().clone();
        let mut file = Some(compute::run(move || root.new_file(&place)).await?);
        let mut writer: Option<Writer> = None;
        let mut count = 0;
        while let Some(batch) = rows.next().await {
            let batch = batch.map_err(fault_of)?;
            count += batch.num_rows();
            let (taken, fresh) = (writer.take(), file.take());
            let written = compute::run(move || {
                let mut writer = match (taken, fresh) {
                    (Some(writer), _) => writer,
                    (None, Some(file)) => Writer::begin(kind, file, batch.schema())?,
                    (None, None) => return Err(Fault::internal("a file that was begun twice")),
                };
                writer.write(&batch)?;
                Ok(writer)
            });
            writer = Some(written.await?);
        }
        let schema = rows.schema().cloned();
        compute::run(move || {
            let writer = match (writer, file, schema) {
                (Some(writer), ..) => writer,
                (None, Some(file), Some(schema)) => Writer::begin(kind, file, schema)?,
                _ => return Err(Fault::bad_params("no schema came, and no rows")),
            };
            writer.finish()?.commit()
        })
        .await?;
        let receipt = json!({"path": file_path, "format": kind.name(), "rows": count});
        Ok(PutResult { app_metadata: serde_json::to_vec(&receipt).map_err(Fault::internal)?.into() })
    }
}

/// What is wrong with rows that a client sends.
pub fn fault_of(error: FlightError) -> Fault {
    match error {
        FlightError::Tonic(status) => Fault::from_status(&status),
        other => Fault::bad_data(format!("the rows cannot be read: {other}")),
    }
}

/// What a file's name asks for.
#[derive(Clone, Copy)]
enum Kind {
    Csv,
    Arrow,
    Parquet,
}

impl Kind {
    fn of(path: &str) -> Result<Self, Fault> {
        match path.rsplit_once('.').map(|(_, end)| end.to_ascii_lowercase()).as_deref() {
            Some("csv") => Ok(Self::Csv),
            Some("arrow") => Ok(Self::Arrow),
            Some("parquet") => Ok(Self::Parquet),
            _ => Err(Fault::bad_params(format!("{path} does not say what it should be"))
                .help("end its name with .parquet, .arrow or .csv")),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Arrow => "arrow",
            Self::Parquet => "parquet",
        }
    }
}

enum Writer {
    Csv(Box<arrow::csv::Writer<NewFile>>),
    Arrow(Box<arrow::ipc::writer::StreamWriter<NewFile>>),
    Parquet(Box<parquet::arrow::ArrowWriter<NewFile>>),
}

impl Writer {
    fn begin(kind: Kind, file: NewFile, schema: SchemaRef) -> Result<Self, Fault> {
        Ok(match kind {
            Kind::Csv => {
                let mut writer = arrow::csv::WriterBuilder::new().with_header(true).build(file);
                writer.write(&RecordBatch::new_empty(schema))?;
                Self::Csv(Box::new(writer))
            }
            Kind::Arrow => Self::Arrow(Box::new(arrow::ipc::writer::StreamWriter::try_new(file, &schema)?)),
            Kind::Parquet => {
                let writer = parquet::arrow::ArrowWriter::try_new(file, schema, None).map_err(unfit)?;
                Self::Parquet(Box::new(writer))
            }
        })
    }

    fn write(&mut self, batch: &RecordBatch) -> Result<(), Fault> {
        match self {
            Self::Csv(writer) => Ok(writer.write(batch)?),
            Self::Arrow(writer) => Ok(writer.write(batch)?),
            Self::Parquet(writer) => {
                writer.write(batch).map_err(unfit)?;
                if writer.in_progress_size() > 64 << 20 {
                    writer.flush().map_err(unfit)?;
                }
                Ok(())
            }
        }
    }

    fn finish(self) -> Result<NewFile, Fault> {
        let mut file = match self {
            Self::Csv(writer) => writer.into_inner(),
            Self::Arrow(writer) => writer.into_inner()?,
            Self::Parquet(writer) => writer.into_inner().map_err(unfit)?,
        };
        file.flush().map_err(|error| Fault::io("the file", &error))?;
        Ok(file)
    }
}

fn unfit(error: parquet::errors::ParquetError) -> Fault {
    Fault::bad_data(format!("Parquet cannot hold it: {error}"))
}
