//! A file, sent to a bucket: as one object, or in parts that become one. A bucket shows an object whole or not at all.

use super::Bucket;
use super::blocking::{blocking, wait};
use super::fault::{fault, lacks_bucket};
use crate::farewell::Farewell;
use crate::fault::{Fault, FaultKind};
use crate::permission::{Holds, Permission};
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use object_store::aws::AmazonS3;
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path as Key;
use object_store::{Error, MultipartId, ObjectMeta, ObjectStoreExt};
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
        Ok(Sent { upload: self, content: Content::Whole(bytes), unanswered: false, _farewell: None })
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
                Ok(Sent { upload: self, content, unanswered: false, _farewell: Some(farewell) })
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

    async fn abort(&self, id: &MultipartId) {
        match self.store().abort_multipart(&self.key, id).await {
            Ok(()) | Err(Error::NotFound { .. }) => {}
            Err(error) => {
                let why = self.failed(&error);
                tracing::warn!(key = %self.key, %why, "parts of a failed upload stay in the bucket, unseen");
            }
        }
    }

    /// The file that is seen, if there is one.
    async fn seen(&self) -> Result<Option<ObjectMeta>, Error> {
        match self.store().head(&self.key).await {
            Ok(found) => Ok(Some(found)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
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

/// A file that was sent, and is not seen yet. Dropped, nothing is left of it.
pub struct Sent {
    upload: Upload,
    content: Content,
    /// Whether a try to show it was not answered, and may have done it.
    unanswered: bool,
    /// The end of the process waits for what has parts.
    _farewell: Option<Farewell>,
}

enum Content {
    /// All of a small one: the request that sends it shows it too.
    Whole(Bytes),
    /// The parts of an upload, which become one object.
    Parts(Parts),
    /// None any more.
    Gone,
}

struct Parts {
    upload: MultipartId,
    ids: Vec<PartId>,
    /// Bytes of all of them.
    size: u64,
    /// What is seen in the place of the object before it is there, if that is known.
    before: Result<Option<ObjectMeta>, ()>,
}

/// Why a try did not show a file, and whether that is since nothing is there of it any more.
struct Refused {
    why: Fault,
    is_lost: bool,
}

/// What became of a try to show a file.
enum Tried {
    Shown,
    /// It did not, as far as is known, and another try may.
    Failed(Fault),
}

impl Sent {
    /// Makes it seen, whole.
    ///
    /// # Errors
    /// Why it could not be; then nothing is seen of it, as far as can be found out.
    pub fn publish(mut self) -> Result<(), Fault> {
        for pause in PAUSES {
            match self.show(None)? {
                Tried::Shown => return Ok(()),
                Tried::Failed(_) => std::thread::sleep(Duration::from_millis(pause)),
            }
        }
        match self.show(None)? {
            Tried::Shown => Ok(()),
            Tried::Failed(fault) => self.give_up(fault),
        }
    }

    /// The same, for as long as the permission to commit holds: it is asked for anew before each further try. A try is not
    /// broken off by whoever waits for this, between two of them it is.
    ///
    /// # Errors
    /// As [`Sent::publish`]; that it may not be seen any more.
    pub async fn publish_permitted(mut self, mut holds: Holds, permission: &Permission) -> Result<(), Fault> {
        let mut pauses = PAUSES.into_iter();
        loop {
            let failed = match self.show(holds)? {
                Tried::Shown => return Ok(()),
                Tried::Failed(fault) => fault,
            };
            let Some(pause) = pauses.next() else { return self.give_up(failed) };
            tokio::time::sleep(Duration::from_millis(pause)).await;
            // Whoever runs the step answers while this waits: no thread may be held for it.
            match permission.obtain().await {
                Ok(left) => holds = left,
                Err(refused) => return self.give_up(refused),
            }
        }
    }

    /// Asks once to show it, for so long at most. May block.
    fn show(&mut self, holds: Holds) -> Result<Tried, Fault> {
        let asked = self.ask(holds);
        let Err(Refused { why: failed, is_lost }) = asked? else {
            self.content = Content::Gone;
            return Ok(Tried::Shown);
        };
        let may_pass = failed.kind().retryable() && !is_lost;
        // A try that was not answered may have done it. So may one that finds nothing any more of what was sent.
        if (self.unanswered && (may_pass || is_lost) || failed.kind() == FaultKind::TimedOut) && self.is_seen() {
            tracing::warn!(key = %self.upload.key, %failed, "it is in the bucket, and the answer that said so was lost");
            self.content = Content::Gone;
            return Ok(Tried::Shown);
        }
        if !may_pass {
            return Err(failed);
        }
        self.unanswered = true;
        Ok(Tried::Failed(failed))
    }

    fn ask(&self, holds: Holds) -> Result<Result<(), Refused>, Fault> {
        let upload = self.upload.clone();
        let asked: BoxFuture<'static, Result<(), Error>> = match &self.content {
            Content::Whole(bytes) => {
                let (upload, bytes) = (upload.clone(), bytes.clone());
                async move { upload.bucket.once.put(&upload.key, bytes.into()).await.map(drop) }.boxed()
            }
            Content::Parts(parts) => {
                let (upload, id, ids) = (upload.clone(), parts.upload.clone(), parts.ids.clone());
                async move { upload.bucket.once.complete_multipart(&upload.key, &id, ids).await.map(drop) }.boxed()
            }
            Content::Gone => return Ok(Ok(())),
        };
        blocking(|| {
            wait(async move {
                let answer = match holds {
                    None => Ok(asked.await),
                    Some(left) => timeout(left, asked).await,
                };
                Ok(match answer {
                    Ok(answer) => answer.map_err(|error| Refused {
                        why: upload.failed(&error),
                        is_lost: matches!(error, Error::NotFound { .. }),
                    }),
                    Err(_) => {
                        let late = format!("{} did not take {} in time", upload.bucket.url(), upload.shown);
                        let help = "run again when it answers sooner; a longer --lease gives it more time";
                        Err(Refused { why: Fault::timed_out(late).help(help), is_lost: false })
                    }
                })
            })
        })
    }

    /// Whether the file that is seen is this one, as far as that can be found out. May block.
    fn is_seen(&self) -> bool {
        let upload = self.upload.clone();
        let seen: BoxFuture<'static, bool> = match &self.content {
            Content::Whole(bytes) => {
                let bytes = bytes.clone();
                async move { upload.shows(&bytes).await }.boxed()
            }
            Content::Parts(Parts { size, before, .. }) => {
                let (size, Ok(before)) = (*size, before.clone()) else { return false };
                let is_other = move |now: &ObjectMeta| {
                    before.is_none_or(|before| (&before.e_tag, before.last_modified) != (&now.e_tag, now.last_modified))
                };
                let is_it = move |now: &ObjectMeta| now.size == size && is_other(now);
                async move { matches!(upload.seen().await, Ok(Some(now)) if is_it(&now)) }.boxed()
            }
            Content::Gone => return true,
        };
        blocking(|| wait(async move { Ok(seen.await) })).unwrap_or(false)
    }

    /// Removes what was sent, so that it can be seen no more; unless it is seen already. May block.
    fn give_up(mut self, why: Fault) -> Result<(), Fault> {
        if let Content::Parts(parts) = &self.content {
            let (upload, id) = (self.upload.clone(), parts.upload.clone());
            let aborted = blocking(|| {
                wait(async move {
                    upload.abort(&id).await;
                    Ok(())
                })
            });
            aborted?;
        }
        let is_seen = self.unanswered && self.is_seen();
        self.content = Content::Gone;
        if !is_seen {
            return Err(why);
        }
        tracing::warn!(key = %self.upload.key, %why, "it is in the bucket, and the answer that said so was lost");
        Ok(())
    }
}

impl Drop for Sent {
    fn drop(&mut self) {
        if let Content::Parts(parts) = std::mem::replace(&mut self.content, Content::Gone) {
            let upload = self.upload.clone();
            blocking(|| {
                wait(async move {
                    upload.abort(&parts.upload).await;
                    Ok(())
                })
                .ok()
            });
        }
    }
}
