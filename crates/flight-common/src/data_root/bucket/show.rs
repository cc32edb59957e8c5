//! What was sent to a bucket, made seen: whole, or not at all, and for no longer than it may be.

use super::blocking::{blocking, wait};
use super::upload::Upload;
use crate::farewell::Farewell;
use crate::fault::{Fault, FaultKind};
use crate::permission::{Holds, Permission};
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use object_store::multipart::{MultipartStore, PartId};
use object_store::{Error, MultipartId, ObjectMeta, ObjectStoreExt};
use std::time::Duration;
use tokio::time::timeout;

/// The pauses between tries to show a file, in milliseconds.
const PAUSES: [u64; 5] = [250, 1000, 3000, 5000, 5000];

/// A file that was sent, and is not seen yet. Dropped, nothing is left of it.
pub struct Sent {
    upload: Upload,
    content: Content,
    /// Whether a try to show it was not answered, and may have done it.
    unanswered: bool,
    /// The end of the process waits for what has parts.
    _farewell: Option<Farewell>,
}

pub(super) enum Content {
    /// All of a small one: the request that sends it shows it too.
    Whole(Bytes),
    /// The parts of an upload, which become one object.
    Parts(Parts),
    /// None any more.
    Gone,
}

/// Parts that were sent, and what they are to become.
pub(super) struct Parts {
    /// The upload that they belong to.
    pub upload: MultipartId,
    /// They, in order.
    pub ids: Vec<PartId>,
    /// Bytes of all of them.
    pub size: u64,
    /// What is seen in the place of the object before it is there, if that is known.
    pub before: Result<Option<ObjectMeta>, ()>,
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
    /// What was sent of this upload; the end of the process waits for what has a farewell to say.
    pub(super) fn new(upload: Upload, content: Content, farewell: Option<Farewell>) -> Self {
        Self { upload, content, unanswered: false, _farewell: farewell }
    }

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
        let Err(Refused { why: failed, is_lost }) = self.ask(holds)? else {
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
