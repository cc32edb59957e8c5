//! A file, sent to a bucket: as one object, or in parts that become one. What was sent is seen when it is shown: [`super::show`].

use super::Bucket;
use super::blocking::{blocking, wait};
use super::fault::{fault, lacks_bucket};
use super::show::{Content, Parts, Sent};
use crate::farewell::Farewell;
use crate::fault::Fault;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::aws::AmazonS3;
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path as Key;
use object_store::{Error, MultipartId, ObjectMeta, ObjectStoreExt};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// Files up to this are sent by the request that shows them, which has little time: for as long as the permission to commit
/// holds.
const WHOLE: u64 = 1 << 20;
/// Bytes of a part, at least.
const PART: u64 = 8 << 20;
/// More parts than an upload may have: parts of larger files are larger.
const MOST_PARTS: u64 = 10_000;
/// Bytes of parts that are held in memory to be sent, unless one part alone is larger.
const IN_FLIGHT: u64 = 4 * PART;

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
        Ok(Sent::new(self, Content::Whole(bytes), None))
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
            Ok(ids) => {
                let before = self.seen().await.map_err(drop);
                let content = Content::Parts(Parts { upload: id, ids, size, before });
                Ok(Sent::new(self, content, Some(farewell)))
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

    pub(super) async fn abort(&self, id: &MultipartId) {
        match self.store().abort_multipart(&self.key, id).await {
            Ok(()) | Err(Error::NotFound { .. }) => {}
            Err(error) => {
                let why = self.failed(&error);
                tracing::warn!(key = %self.key, %why, "parts of a failed upload stay in the bucket, unseen");
            }
        }
    }

    /// The file that is seen, if there is one.
    pub(super) async fn seen(&self) -> Result<Option<ObjectMeta>, Error> {
        match self.store().head(&self.key).await {
            Ok(found) => Ok(Some(found)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether a file with this content is seen.
    pub(super) async fn shows(&self, bytes: &Bytes) -> bool {
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

    pub(super) fn failed(&self, error: &Error) -> Fault {
        match error {
            Error::NotFound { .. } if !lacks_bucket(error) => self.lost(),
            _ => fault(self.bucket.url(), &self.shown, error),
        }
    }

    /// Of what is written, only what was sent for it can be missing.
    fn lost(&self) -> Fault {
        Fault::upstream(format!("{} has lost what was sent of {}", self.bucket.url(), self.shown))
            .help("run it again; do others remove unfinished uploads there?")
    }

    fn unreadable(&self, error: &std::io::Error) -> Fault {
        Fault::io(format!("what is to be sent to {}", self.shown), error)
    }
}
