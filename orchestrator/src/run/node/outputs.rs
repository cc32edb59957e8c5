//! What a step gives: its outputs handed to whoever reads them, and their ends.

use super::NodeTask;
use crate::mesh::Mesh;
use crate::run::keep::keep;
use crate::run::tee::{read_ahead, tee};
use crate::run::watch::{closed_by, watch};
use flight_common::report::first_row;
use flight_common::wire::Decoder;
use flight_common::{EdgeStream, Fault, NewFile, Parcel, StepKind};
use futures::StreamExt;
use serde_json::Value;
use std::sync::atomic::Ordering;
use tokio::sync::oneshot;

/// How a main output ended; nothing if nobody read it to its end.
pub(super) type MainEnd = Option<Result<(), Fault>>;

/// How an output ended by itself, whatever became of the others.
pub(super) type OwnEnd = oneshot::Receiver<Result<(), Fault>>;

impl<M: Mesh> NodeTask<M> {
    /// A further output: read as fast as it comes, and ended only after the main one. What a step has to say of its rows, it
    /// says at the end of that, and whoever reads this one is not to be heard before.
    pub(super) fn further(
        &self,
        stream: EdgeStream<M::Item>,
        main: impl Future<Output = MainEnd> + Send + 'static,
    ) -> (EdgeStream<M::Item>, OwnEnd) {
        let (stream, own_end) = watch(stream, None, self.shared.broken[self.place].clone(), |_, _| {});
        let stream = closed_by(read_ahead(stream, &self.shared.space), |end| async {
            match main.await {
                Some(Ok(())) => end,
                _ => Err(Fault::cancelled("the step did not end well")),
            }
        });
        (stream, own_end)
    }

    /// The further outputs that somebody reads now: none whose readers need not run again.
    pub(super) fn claimed(&self) -> Vec<String> {
        let wanted = |name: &&String| self.node.checkpoint || self.readers.contains_key(*name);
        self.node.claimed.iter().filter(wanted).cloned().collect()
    }

    /// The main output, counted, and within the time that the step may take.
    pub(super) fn watched(&self, stream: EdgeStream<M::Item>) -> (EdgeStream<M::Item>, OwnEnd) {
        let (shared, place) = (self.shared.clone(), self.place);
        watch(stream, self.node.timeout, self.shared.broken[self.place].clone(), move |rows, bytes| {
            let progress = shared.progress.step(place);
            progress.rows_out.fetch_add(rows, Ordering::Relaxed);
            progress.bytes_out.fetch_add(bytes as u64, Ordering::Relaxed);
        })
    }

    /// Gives an output to its readers, one of which may be a file. Returns it if there are none, and of what a load has written
    /// one more: that is noted whoever reads it.
    pub(super) fn hand_out(
        &mut self,
        name: &str,
        stream: EdgeStream<M::Item>,
    ) -> Result<Option<EdgeStream<M::Item>>, Fault> {
        let file = self.shared.attendant.keep(&self.node.id, name)?;
        Ok(self.share(name, stream, file, self.node.kind == StepKind::Load))
    }

    /// Gives an output to its readers, and to a file. Returns it if there is none of either, or if it is read here too.
    pub(super) fn share(
        &mut self,
        name: &str,
        stream: EdgeStream<M::Item>,
        file: Option<NewFile>,
        here: bool,
    ) -> Option<EdgeStream<M::Item>> {
        let readers = self.readers.remove(name).unwrap_or_default();
        let count = readers.len() + usize::from(file.is_some());
        if count == 0 {
            return Some(stream);
        }
        let mut branches = tee(stream, count + usize::from(here), &self.shared.space).into_iter();
        for (reader, branch) in readers.into_iter().zip(&mut branches) {
            // A reader that is gone has ended already, and says why.
            let _ = reader.send(branch);
        }
        if let (Some(file), Some(branch)) = (file, branches.next()) {
            let attendant = self.shared.attendant.clone();
            self.keeping.push(keep(branch, file, attendant, self.node.id.clone(), name.to_owned()));
        }
        branches.next()
    }
}

/// Waits for the end of a step's main output, reading it where nobody else does.
pub(super) async fn follow<T: Parcel>(
    unread: Option<EdgeStream<T>>,
    end: impl Future<Output = MainEnd>,
    is_load: bool,
) -> (Option<Result<(), Fault>>, Option<Value>) {
    let mut receipt = None;
    if let Some(mut stream) = unread {
        let mut decoder = is_load.then(|| Decoder::new(stream.schema()));
        while let Some(Ok(item)) = stream.next().await {
            if let Some(decoder) = &mut decoder {
                receipt = read_receipt(decoder, &item).or(receipt);
            }
        }
    }
    (end.await, receipt)
}

fn read_receipt<T: Parcel>(decoder: &mut Decoder, item: &T) -> Option<Value> {
    let frames = item.to_frames().ok()?;
    let batch = frames.into_iter().find_map(|frame| decoder.decode(frame).ok().flatten())?;
    first_row(&batch).ok()
}
