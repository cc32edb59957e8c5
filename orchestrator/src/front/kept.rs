//! Kept outputs, as Flight shows them: listed, described, read as often as one likes until they expire.

use super::{Inner, PATIENCE};
use crate::access::Caller;
use crate::service::Service;
use crate::store::{KeptOutput, RunFilter, RunRow, StoreError};
use arrow::datatypes::SchemaRef;
use arrow_flight::{FlightData, FlightDescriptor, FlightEndpoint, FlightInfo, Ticket};
use bytes::Bytes;
use flight_common::queue::{QueueSender, byte_queue};
use flight_common::wire::{Frame, FrameStream, encode_stream, outward_schema, read_frames, schema_to_bytes};
use flight_common::{BatchStream, Fault, FaultKind, MemoryBudget, OUTPUT, Parcel, compute};
use futures::{Stream, StreamExt, stream};
use prost_types::Timestamp;
use std::fs::File;
use std::io::BufReader;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;
use tokio::time::timeout;
use tonic::Status;
use tracing::Instrument;

/// Runs whose outputs are listed, from the youngest.
const LISTED_RUNS: usize = 1000;

/// Downloads at a time: each has a file open, and some messages in memory.
pub const DOWNLOADS: usize = 64;
/// Bytes of messages that wait for a slow client, and the part of the memory that those of all clients may take.
const AHEAD: usize = 4 << 20;
const SHARE: usize = 8;

/// Whether a ticket is one for a kept output.
pub fn is_ticket(bytes: &[u8]) -> bool {
    bytes.starts_with(b"runs/")
}

/// A kept output by its path: `runs/<id>/<step>`, or `runs/<id>/<step>/<output>` for a further one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The run.
    pub run: String,
    /// The step.
    pub step: String,
    /// The output; nothing means the main one.
    pub output: Option<String>,
}

impl Place {
    /// The place that a descriptor's path names.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::BadParams`] for a path that is none.
    pub fn of_path(path: &[String]) -> Result<Self, Fault> {
        // Some clients send the whole path as one part.
        let joined = path.join("/");
        let parts: Vec<&str> = joined.split('/').collect();
        match parts.as_slice() {
            ["runs", run, step] => Ok(Self { run: (*run).to_owned(), step: (*step).to_owned(), output: None }),
            ["runs", run, step, output] => {
                Ok(Self { run: (*run).to_owned(), step: (*step).to_owned(), output: Some((*output).to_owned()) })
            }
            _ => Err(Fault::bad_params(format!("\"{joined}\" is no path of a kept output"))
                .help("it is runs/<id>/<step>, or runs/<id>/<step>/<output>")),
        }
    }

    /// The place that a ticket names.
    ///
    /// # Errors
    /// As [`Place::of_path`].
    pub fn of_ticket(bytes: &[u8]) -> Result<Self, Fault> {
        let text = std::str::from_utf8(bytes).map_err(|_| Fault::bad_params("this ticket is no text"))?;
        Self::of_path(&[text.to_owned()])
    }
}

fn path_of(kept: &KeptOutput) -> Vec<String> {
    let mut path = vec!["runs".to_owned(), kept.run_id.clone(), kept.step.clone()];
    if kept.output != OUTPUT[0] {
        path.push(kept.output.clone());
    }
    path
}

impl Inner {
    /// The kept output at a place.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::NotFound`] with what there is instead.
    pub async fn kept(&self, place: &Place) -> Result<KeptOutput, Fault> {
        let store = self.service.store();
        store.run(&place.run).await?;
        let kept = store.kept(&place.run).await?;
        let fits = |one: &&KeptOutput| {
            one.step == place.step && place.output.as_ref().is_none_or(|output| *output == one.output)
        };
        let main = kept.iter().filter(fits).min_by_key(|one| one.output != OUTPUT[0]);
        main.cloned().ok_or_else(|| {
            let known: Vec<String> = kept.iter().map(|one| path_of(one).join("/")).collect();
            let help = match known.is_empty() {
                true => KeptOutput::NONE.to_owned(),
                false => format!("there are {}", known.join(", ")),
            };
            Fault::not_found(format!("run {} has kept no such output of {}", place.run, place.step)).help(help)
        })
    }

    /// The rows of a kept output as messages, read a little ahead of whoever takes them. Whoever takes nothing for long is cut
    /// off, and keeps no place from others.
    ///
    /// # Errors
    /// Why its file cannot be read; [`flight_common::FaultKind::Busy`] if too many are under way.
    pub async fn download(
        &self,
        kept: &KeptOutput,
        caller: &Caller,
    ) -> Result<impl Stream<Item = Result<FlightData, Status>> + Send + 'static, Fault> {
        let seat = self.downloads.take(&caller.id)?;
        let rows = rows_of(&self.service, kept, &self.memory).await?;
        let most = AHEAD.min(self.memory.limit() / SHARE / DOWNLOADS);
        let (sender, ahead) = byte_queue::<Frame>(most, &self.memory, rows.schema());
        let (taken, ahead) = cuttable(ahead);
        let reading = async move {
            let _seat = seat;
            match pushed(encode_stream(rows, true), &sender, PATIENCE).await {
                // What was read ahead goes too: nobody takes it.
                Err(fault) if fault.kind() == FaultKind::TimedOut => taken.cut(fault),
                end => sender.finish(end).await,
            }
        };
        tokio::spawn(reading.in_current_span());
        Ok(ahead.map(|frame| frame.map(FlightData::from).map_err(Status::from)))
    }

    /// The columns of a kept output, as clients see them.
    ///
    /// # Errors
    /// Why its file cannot be read.
    pub async fn columns(&self, kept: &KeptOutput) -> Result<SchemaRef, Fault> {
        columns_of(&self.service, kept, &self.memory).await
    }

    /// What Flight says of an output that this run has kept.
    ///
    /// # Errors
    /// As [`Inner::rows`].
    pub async fn info(&self, run: &RunRow, kept: &KeptOutput) -> Result<FlightInfo, Fault> {
        let schema = self.columns(kept).await?;
        let keep_for = i64::try_from(self.service.settings().keep_for.as_millis()).unwrap_or(i64::MAX);
        // While it runs, and may be resumed, nothing of it goes.
        let expires = run.ended_at.map(|ended| ended.saturating_add(keep_for));
        let path = path_of(kept);
        let ticket = Ticket { ticket: path.join("/").into() };
        let endpoint = FlightEndpoint {
            ticket: Some(ticket),
            // Without a location: read it where you asked.
            location: Vec::new(),
            expiration_time: expires.map(timestamp),
            app_metadata: Bytes::new(),
        };
        Ok(FlightInfo {
            schema: schema_to_bytes(&schema)?,
            flight_descriptor: Some(FlightDescriptor::new_path(path)),
            endpoint: vec![endpoint],
            total_records: kept.rows,
            total_bytes: kept.bytes,
            ordered: true,
            app_metadata: Bytes::new(),
        })
    }

    /// Every kept output, from the youngest run on; those of one run, or of the runs of one pipeline, if that is named.
    ///
    /// # Errors
    /// Why the store cannot be read.
    pub async fn list(&self, wanted: &str) -> Result<Vec<FlightInfo>, Fault> {
        let store = self.service.store();
        let run = wanted.strip_prefix("runs/").map(|rest| rest.split('/').next().unwrap_or_default().to_owned());
        let runs = match run {
            Some(run) => match store.run(&run).await {
                Err(StoreError::NotFound(_)) => Vec::new(),
                found => vec![found?],
            },
            None => {
                let pipeline = Some(wanted.to_owned()).filter(|name| !name.is_empty());
                let filter = RunFilter { pipeline, ..RunFilter::default() };
                store.runs(&filter, None, LISTED_RUNS).await?.items
            }
        };
        let mut listed = Vec::new();
        for run in runs {
            listed.extend(self.of_run(&run).await?);
        }
        Ok(listed)
    }

    /// What Flight says of each output that a run has kept.
    ///
    /// # Errors
    /// Why the store cannot be read.
    pub async fn of_run(&self, run: &RunRow) -> Result<Vec<FlightInfo>, Fault> {
        let mut found = Vec::new();
        for kept in self.service.store().kept(&run.id).await? {
            match self.info(run, &kept).await {
                Ok(info) => found.push(info),
                // It may have expired meanwhile.
                Err(fault) => tracing::debug!(path = kept.path, fault = %fault, "a kept output cannot be shown"),
            }
        }
        Ok(found)
    }
}

/// A stream that its writer can end at any time, whether or not anybody reads it.
struct Cuttable(Arc<Mutex<Cut>>);

/// The stream, or what is told at the end that it has come to.
type Cut = Result<FrameStream, Option<Fault>>;

fn cuttable(frames: FrameStream) -> (Cuttable, impl Stream<Item = Result<Frame, Fault>> + Send + 'static) {
    let state = Arc::new(Mutex::new(Cut::Ok(frames)));
    let read = state.clone();
    let frames = stream::poll_fn(move |context| match &mut *read.lock().unwrap_or_else(PoisonError::into_inner) {
        Ok(frames) => frames.poll_next_unpin(context),
        Err(fault) => Poll::Ready(fault.take().map(Err)),
    });
    (Cuttable(state), frames)
}

impl Cuttable {
    /// Ends it with this fault, and lets go of what waits in it.
    fn cut(self, fault: Fault) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Err(Some(fault));
    }
}

/// Hands on what comes for as long as somebody takes it.
async fn pushed(
    frames: impl Stream<Item = Result<Frame, Fault>>,
    taken: &QueueSender<Frame>,
    patience: Duration,
) -> Result<(), Fault> {
    let mut frames = pin!(frames);
    while let Some(frame) = frames.next().await.transpose()? {
        match timeout(patience, taken.push(frame)).await {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(_) => {
                let late = format!("nothing of the output was read for {patience:?}");
                return Err(Fault::timed_out(late).help("ask again, and read on"));
            }
        }
    }
    Ok(())
}

/// The rows of a kept output, which are what was kept.
///
/// # Errors
/// Why its file cannot be read.
pub async fn rows_of(service: &Service, kept: &KeptOutput, memory: &MemoryBudget) -> Result<BatchStream, Fault> {
    read(service.kept_file(kept).await?, memory).await
}

/// The columns of a kept output, as clients see them.
///
/// # Errors
/// Why its file cannot be read.
pub async fn columns_of(service: &Service, kept: &KeptOutput, memory: &MemoryBudget) -> Result<SchemaRef, Fault> {
    Ok(outward_schema(&read(service.kept_head(kept).await?, memory).await?.schema()))
}

async fn read(file: File, memory: &MemoryBudget) -> Result<BatchStream, Fault> {
    let memory = memory.clone();
    let frames = compute::run(move || read_frames(BufReader::with_capacity(1 << 20, file), &memory));
    Ok(arrow::array::RecordBatch::from_stream(frames.await?))
}

/// Rows as Flight messages that every client reads.
pub fn messages(rows: BatchStream) -> impl Stream<Item = Result<FlightData, Status>> + Send + 'static {
    encode_stream(rows, true).map(|frame| frame.map(FlightData::from).map_err(Status::from))
}

/// Milliseconds since 1970, as protobuf has it.
pub fn timestamp(millis: i64) -> Timestamp {
    let nanos = i32::try_from(millis.rem_euclid(1000) * 1_000_000).unwrap_or(0);
    Timestamp { seconds: millis.div_euclid(1000), nanos }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flight_common::batch;

    #[tokio::test]
    async fn whoever_takes_nothing_is_cut_off_and_told_so() {
        let rows = batch!("n" => Int64Array [Some(1), Some(2)]);
        let memory = MemoryBudget::default();
        let (sender, taken) = byte_queue::<Frame>(1, &memory, rows.schema());
        let (ahead, taken) = cuttable(taken);
        let many = stream::iter(std::iter::repeat_n(Ok(rows.clone()), 3));
        let reading = async move {
            let rows = encode_stream(BatchStream::new(rows.schema(), many), true);
            let late = pushed(rows, &sender, Duration::from_millis(50)).await.expect_err("nobody reads");
            ahead.cut(late);
        };
        // Nobody reads meanwhile.
        tokio::spawn(reading).await.expect("it ends");
        assert_eq!(memory.used(), 0, "what nobody takes is not kept");
        let told: Vec<_> = taken.collect().await;
        assert!(matches!(&told[..], [Err(fault)] if fault.kind() == FaultKind::TimedOut), "{told:?}");
    }

    #[test]
    fn a_path_names_a_step_of_a_run() {
        let split = |path: &str| path.split('/').map(str::to_owned).collect::<Vec<_>>();
        let place = Place::of_path(&split("runs/1/read")).expect("a path");
        assert_eq!(place, Place { run: "1".to_owned(), step: "read".to_owned(), output: None });
        assert_eq!(Place::of_ticket(b"runs/1/read/rejected").expect("a ticket").output.as_deref(), Some("rejected"));
        for wrong in ["", "runs", "runs/1", "runs/1/a/b/c", "jobs/1/a"] {
            assert!(Place::of_path(&split(wrong)).is_err(), "{wrong}");
        }
    }
}
