//! A file, sent to a bucket: as one object, or in parts that become one. A bucket shows an object whole or not at all.

use super::Bucket;
use super::blocking::{blocking, wait};
use super::fault::fault;
use crate::fault::Fault;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::aws::AmazonS3;
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path as Key;
use object_store::{MultipartId, ObjectStoreExt};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// Files up to this are sent by one request.
const WHOLE: u64 = 16 << 20;
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
        Ok(Sent { upload: self, content: Content::Whole(bytes) })
    }

    async fn in_parts(self, file: &File, size: u64) -> Result<Sent, Fault> {
        let begun = self.store().create_multipart(&self.key).await;
        let id = begun.map_err(|error| self.failed(&error))?;
        match self.all_parts(file, size, &id).await {
            Ok(parts) => Ok(Sent { upload: self, content: Content::Parts(id, parts) }),
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

    async fn abort(&self, id: &MultipartId) {
        if let Err(error) = self.store().abort_multipart(&self.key, id).await {
            let why = self.failed(&error);
            tracing::warn!(key = %self.key, %why, "parts of a failed upload stay in the bucket, unseen");
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

    fn failed(&self, error: &object_store::Error) -> Fault {
        fault(self.bucket.url(), &self.shown, error)
    }

    fn unreadable(&self, error: &std::io::Error) -> Fault {
        Fault::io(format!("what is to be sent to {}", self.shown), error)
    }
}

/// A file that was sent, and is not seen yet. Dropped, nothing is left of it.
pub struct Sent {
    upload: Upload,
    content: Content,
}

enum Content {
    /// All of a small one: the request that sends it shows it too.
    Whole(Bytes),
    /// The parts of an upload, which become one object.
    Parts(MultipartId, Vec<PartId>),
    /// None any more.
    Gone,
}

impl Sent {
    /// Makes it seen, whole.
    ///
    /// # Errors
    /// Why it could not be; then nothing is seen of it.
    pub fn publish(mut self) -> Result<(), Fault> {
        blocking(|| wait(async move { self.run().await }))
    }

    async fn run(&mut self) -> Result<(), Fault> {
        let upload = &self.upload;
        let shown = match std::mem::replace(&mut self.content, Content::Gone) {
            Content::Whole(bytes) => upload.store().put(&upload.key, bytes.into()).await.map(drop),
            Content::Parts(id, parts) => {
                let shown = upload.store().complete_multipart(&upload.key, &id, parts).await;
                if shown.is_err() {
                    upload.abort(&id).await;
                }
                shown.map(drop)
            }
            Content::Gone => Ok(()),
        };
        shown.map_err(|error| upload.failed(&error))
    }
}

impl Drop for Sent {
    fn drop(&mut self) {
        if let Content::Parts(id, _) = std::mem::replace(&mut self.content, Content::Gone) {
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
