//! `DoPut` to `datasets/<path>`: rows become a file under the data root, seen once it is whole.

use super::{Inner, PATIENCE};
use crate::access::Caller;
use crate::format::{Format, RowWriter};
use arrow::datatypes::Schema;
use arrow_flight::{FlightData, PutResult};
use flight_common::wire::decode_messages;
use flight_common::{Fault, FaultKind, compute};
use formats::json::duplicate;
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::json;
use tokio::time::timeout;
use tonic::{Code, Status, Streaming};

/// Uploads at a time: each has some rows in memory.
pub const UPLOADS: usize = 8;

impl Inner {
    /// Writes the rows of a stream to the file that its descriptor names.
    ///
    /// # Errors
    /// Why the file cannot be written; then nothing is seen of it.
    pub async fn upload(&self, mut messages: Streaming<FlightData>, caller: &Caller) -> Result<PutResult, Fault> {
        let _seat = self.uploads.take(&caller.id)?;
        let first = messages.message().await.map_err(|status| Fault::from_status(&status))?;
        let first = first.ok_or_else(|| Fault::bad_params("no rows came"))?;
        let path = first.flight_descriptor.as_ref().map(|descriptor| descriptor.path.join("/")).unwrap_or_default();
        let Some(file_path) = path.strip_prefix("datasets/").map(str::to_owned) else {
            return Err(Fault::bad_params(format!("\"{path}\" is no place to put rows"))
                .help("put them to datasets/<path>, as in datasets/in/orders.parquet"));
        };
        let place = self.service.data_root().locate_upload(&file_path, "path")?;
        // What is there is replaced, and may be a link that leads away: then it is not a file of this place.
        let (root, there) = (self.service.data_root().clone(), file_path.clone());
        match compute::run(move || root.identity_of(&there, "path")).await {
            Err(fault) if fault.kind() != FaultKind::NotFound => return Err(fault),
            _ => {}
        }
        let format = Format::of(&file_path).ok_or_else(|| {
            Fault::bad_params(format!("{file_path} does not say what it should be"))
                .help("end its name with .parquet, .arrow, .csv, .json or .jsonl")
        })?;
        let messages = stream::iter([Ok(first)]).chain(messages.map_err(in_words));
        let rows = timeout(PATIENCE, decode_messages(messages));
        let mut rows = rows.await.map_err(|_| silent())??;
        let (root, schema) = (self.service.data_root().clone(), rows.schema());
        refuse_twice(&schema)?;
        let begun = {
            let place = place.clone();
            compute::run(move || RowWriter::begin(format, &schema, root.new_file(&place)?, "the file"))
        };
        let mut writer = begun.await?;
        let mut count = 0;
        while let Some(batch) = timeout(PATIENCE, rows.next()).await.map_err(|_| silent())? {
            let batch = batch?;
            count += batch.num_rows();
            let written = compute::run(move || writer.write(batch).map(|()| writer));
            writer = written.await?;
        }
        let file = compute::run(move || writer.finish()).await?;
        {
            let _turn = self.service.publishing(&place).await;
            compute::run(move || file.commit()).await?;
        }
        let receipt = json!({"path": file_path, "format": format.extension(), "rows": count});
        Ok(PutResult { app_metadata: serde_json::to_vec(&receipt).map_err(Fault::internal)?.into() })
    }
}

/// Of two columns of one name no step could say which is meant, in whatever format they were written.
fn refuse_twice(schema: &Schema) -> Result<(), Fault> {
    match duplicate(schema.fields().iter().map(|field| field.name().as_str())) {
        None => Ok(()),
        Some(name) => Err(Fault::bad_schema(format!("two columns are called \"{name}\""))
            .column(name)
            .help("rename one of them: no step would read the file")),
    }
}

fn silent() -> Fault {
    Fault::timed_out(format!("no rows came for {} s", PATIENCE.as_secs())).help("nothing of it is kept: send it again")
}

/// Why a message does not come, with what to try where it is too large: `tonic` tells how large.
fn in_words(status: Status) -> Status {
    match status.message().split_once("message length too large: ") {
        Some((_, sizes)) if status.code() == Code::OutOfRange => {
            Fault::bad_data(format!("a message of rows is too large: {sizes}"))
                .help("send fewer rows in each batch (in pyarrow: max_chunksize)")
                .into()
        }
        _ => status,
    }
}
