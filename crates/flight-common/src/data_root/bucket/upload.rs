//! A file, sent to a bucket: as one object, or in parts that become one. A bucket shows an object whole or not at all.

use super::Bucket;
use super::blocking::{blocking, wait};
use super::fault::{fault, lacks_bucket};
use crate::farewell::Farewell;
use crate::fault::{Fault, FaultKind};
use crate::permission::{Holds, Permission};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::aws::AmazonS3;
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path as Key;
use object_store::{Error, MultipartId, ObjectStoreExt};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// Files up to this are sent by the request that shows them, which has little time: for as long as the permission to commit
/// holds.
const WHOLE: u64 = 1 << 20;
/// Bytes of a part, at least.
const PART: u64 = 8 << 20;
/// More parts than an upload may have: parts of larger files are larger.
const MOST_PARTS: u64 = 10_000;
/// Bytes of parts that are held in memory to be sent, unless one part alone is larger.
const IN_FLIGHT: u64 = 4 * PART;
/// The pauses between tries to show a file, in milliseconds.
const PAUSES: [u64; 5] = [250, 1000, 3000, 5000, 5000];

/// Where a file goes once it is whole.
#[derive(Clone)]
pub struct Upload {
    pub(super) bucket: Arc<Bucket>,
    pub(super) key: Key,
    pub(super) shown: String,
}

impl Upload {
    /// Sends the file, so that it is all there and nobody sees it.
    ///
    /// # Errors
    /// Why it could not be sent; then nothing is left of it.
    pub fn send(self, file: File) -> Result<Sent, Fault> {
        blocking(|| wait(async move { self.run(&file).await }))
    }

    async fn run(self, file: &File) -> Result<Sent, Fault> {
        let size = file.metadata().map_err(|error| self.unreadable(&error))?.len();
        if size > WHOLE {
            return self.in_parts(file, size).await;
        }
        // It is there by the request that shows it.
        let bytes = self.read(file, 0, size)?;
        Ok(Sent { upload: self, content: Content::Whole(bytes), _farewell: None })
    }

    async fn in_parts(self, file: &File, size: u64) -> Result<Sent, Fault> {
        // Parts stay in a bucket until somebody removes them, also those of a process that was interrupted.
        let farewell = Farewell::default();
        let begun = self.store().create_multipart(&self.key).await;
        let id = begun.map_err(|error| self.failed(&error))?;
        let sent = tokio::select! {
            sent = self.all_parts(file, size, &id) => sent,
            () = farewell.due() => Err(Fault::cancelled("the process ends")),
        };
        match sent {
            Ok(parts) => {
                let content = Content::Parts(id, parts, size);
                Ok(Sent { upload: self, content, _farewell: Some(farewell) })
            }
            Err(fault) => {
                self.abort(&id).await;
                Err(fault)
            }
        }
    }

    async fn all_parts(&self, file: &File, size: u64, id: &MultipartId) -> Result<Vec<PartId>, Fault> {
        let length = PART.max(size.div_ceil(MOST_PARTS));
        let at_once = usize::try_from(IN_FLIGHT / length).unwrap_or(usize::MAX).max(1);
        let parts = stream::iter(0..size.div_ceil(length)).map(|part| {
            let start = part * length;
            self.part(file, start, length.min(size - start), part, id)
        });
        parts.buffered(at_once).try_collect().await
    }

    /// Removes what was sent. Returns whether there was anything, as far as that is known.
    async fn abort(&self, id: &MultipartId) -> bool {
        match self.store().abort_multipart(&self.key, id).await {
            Ok(()) => true,
            Err(Error::NotFound { .. }) => false,
            Err(error) => {
                let why = self.failed(&error);
                tracing::warn!(key = %self.key, %why, "parts of a failed upload stay in the bucket, unseen");
                true
            }
        }
    }

    /// Whether a file of this length is seen.
    async fn shows_as_long(&self, size: u64) -> bool {
        self.store().head(&self.key).await.is_ok_and(|found| found.size == size)
    }

    /// Whether a file with this content is seen.
    async fn shows(&self, bytes: &Bytes) -> bool {
        match self.store().get(&self.key).await {
            Ok(found) if found.meta.size == bytes.len() as u64 => {
                found.bytes().await.is_ok_and(|found| found == *bytes)
            }
            _ => false,
        }
    }

    async fn part(&self, file: &File, start: u64, length: u64, part: u64, id: &MultipartId) -> Result<PartId, Fault> {
        let bytes = self.read(file, start, length)?;
        let place = usize::try_from(part).map_err(Fault::internal)?;
        self.store().put_part(&self.key, id, place, bytes.into()).await.map_err(|error| self.failed(&error))
    }

    fn read(&self, file: &File, start: u64, length: u64) -> Result<Bytes, Fault> {
        let mut bytes = vec![0; usize::try_from(length).map_err(Fault::internal)?];
        file.read_exact_at(&mut bytes, start).map_err(|error| self.unreadable(&error))?;
        Ok(bytes.into())
    }

    fn store(&self) -> &AmazonS3 {
        &self.bucket.store
    }

    fn failed(&self, error: &Error) -> Fault {
        let fault = fault(self.bucket.url(), &self.shown, error);
        match fault.kind() {
            // Of what is written, only what was sent for it can be missing.
            FaultKind::NotFound if !lacks_bucket(error) => {
                Fault::upstream(format!("{} has lost what was sent of {}", self.bucket.url(), self.shown))
                    .help("run it again; do others remove unfinished uploads there?")
            }
            _ => fault,
        }
    }

    fn unreadable(&self, error: &std::io::Error) -> Fault {
        Fault::io(format!("what is to be sent to {}", self.shown), error)
    }
}

/// A file that was sent, and is not seen yet. Dropped, nothing is left of it.
pub struct Sent {
    upload: Upload,
    content: Content,
    /// The end of the process waits for what has parts.
    _farewell: Option<Farewell>,
}

enum Content {
    /// All of a small one: the request that sends it shows it too.
    Whole(Bytes),
    /// The parts of an upload, which become one object of so many bytes.
    Parts(MultipartId, Vec<PartId>, u64),
    /// None any more.
    Gone,
}

impl Sent {
    /// Makes it seen, whole: tries it, for as long as the permission holds, and asks for that anew before each further try. A try
    /// that was not answered may have done it; so whether it did is looked up before this fails.
    ///
    /// # Errors
    /// Why it could not be; then nothing is seen of it, as far as can be found out.
    pub fn publish(mut self, holds: Holds, permission: &Permission) -> Result<(), Fault> {
        let permission = permission.clone();
        blocking(|| wait(async move { self.run(holds, &permission).await }))
    }

    async fn run(&mut self, mut holds: Holds, permission: &Permission) -> Result<(), Fault> {
        let mut unanswered = false;
        let mut pauses = PAUSES.into_iter();
        let failed = loop {
            let answer = match holds {
                None => Ok(self.show().await),
                Some(left) => timeout(left, self.show()).await,
            };
            let failed = match answer {
                Ok(Ok(())) => {
                    self.content = Content::Gone;
                    return Ok(());
                }
                // What a try before may have made of it.
                Ok(Err(error @ Error::NotFound { .. })) if unanswered => break self.upload.failed(&error),
                Ok(Err(error)) => self.upload.failed(&error),
                Err(_) => {
                    let late = format!("{} did not take {} in time", self.upload.bucket.url(), self.upload.shown);
                    Fault::timed_out(late).help("run again when it answers sooner; a longer --lease gives it more time")
                }
            };
            let Some(pause) = pauses.next().filter(|_| failed.kind().retryable()) else { break failed };
            unanswered = true;
            tokio::time::sleep(Duration::from_millis(pause)).await;
            match permission.obtain().await {
                Ok(left) => holds = left,
                Err(refused) => break refused,
            }
        };
        // Nothing of it can be seen from here on that is not there yet.
        let is_seen = match std::mem::replace(&mut self.content, Content::Gone) {
            Content::Parts(id, _, size) => {
                !self.upload.abort(&id).await && unanswered && self.upload.shows_as_long(size).await
            }
            Content::Whole(bytes) => unanswered && self.upload.shows(&bytes).await,
            Content::Gone => false,
        };
        if !is_seen {
            return Err(failed);
        }
        tracing::warn!(key = %self.upload.key, %failed, "it is in the bucket, and the answer that said so was lost");
        Ok(())
    }

    /// Asks once to show it.
    async fn show(&self) -> Result<(), Error> {
        let (store, key) = (&self.upload.bucket.once, &self.upload.key);
        match &self.content {
            Content::Whole(bytes) => store.put(key, bytes.clone().into()).await.map(drop),
            Content::Parts(id, parts, _) => store.complete_multipart(key, id, parts.clone()).await.map(drop),
            Content::Gone => Ok(()),
        }
    }
}

impl Drop for Sent {
    fn drop(&mut self) {
        if let Content::Parts(id, ..) = std::mem::replace(&mut self.content, Content::Gone) {
            let upload = self.upload.clone();
            blocking(|| {
                wait(async move {
                    upload.abort(&id).await;
                    Ok(())
                })
                .ok()
            });
        }
    }
}
