//! A file in the making: seen once it is whole, and not before.

use super::bucket::{Sent, Upload};
use super::draft::Draft;
use crate::fault::Fault;
use crate::permission::Permission;
use cap_std::fs::Dir;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};

/// A file in the making. It has no name until it is committed, so that a crash at any point leaves nothing behind. In a
/// bucket the same holds: it is written on this machine, and its commit is what sends it there.
pub struct NewFile(Place);

enum Place {
    Folder { draft: Draft, name: OsString },
    Bucket { file: File, upload: Upload },
}

impl NewFile {
    pub(super) fn in_folder(dir: Dir, name: OsString) -> io::Result<Self> {
        Ok(Self(Place::Folder { draft: Draft::begin(dir)?, name }))
    }

    pub(super) fn in_bucket(file: File, upload: Upload) -> Self {
        Self(Place::Bucket { file, upload })
    }

    fn with_file<R>(&mut self, work: impl FnOnce(&mut &File) -> io::Result<R>) -> io::Result<R> {
        match &mut self.0 {
            Place::Folder { draft, .. } => draft.with_file(|mut file| work(&mut file)),
            Place::Bucket { file, .. } => work(&mut &*file),
        }
    }

    /// Makes the file seen under its name, whole, in place of one that was there. May block for as long as sending it to
    /// a bucket takes.
    ///
    /// # Errors
    /// Why it could not be written; then nothing is seen, and a file that was there stays.
    pub fn commit(self) -> Result<(), Fault> {
        match self.settle()? {
            Settled::Folder { draft, name } => publish(draft, &name),
            Settled::Bucket(sent) => sent.publish(),
        }
    }

    /// As [`NewFile::commit`], for a step: once all of it is on disk, or in the bucket, it asks whether it may be seen.
    ///
    /// # Errors
    /// As [`NewFile::commit`]; that it may not be seen.
    pub async fn commit_permitted(self, permission: &Permission) -> Result<(), Fault> {
        let settled = self.settle()?;
        let holds = permission.obtain().await?;
        match settled {
            Settled::Folder { draft, name } => publish(draft, &name),
            Settled::Bucket(sent) => sent.publish_permitted(holds, permission).await,
        }
    }

    /// Puts all of it where it is going to be, unseen.
    fn settle(self) -> Result<Settled, Fault> {
        match self.0 {
            Place::Folder { draft, name } => {
                draft.settle(&name).map_err(|error| Fault::io(name.to_string_lossy(), &error))?;
                Ok(Settled::Folder { draft, name })
            }
            Place::Bucket { file, upload } => Ok(Settled::Bucket(upload.send(file)?)),
        }
    }
}

/// A whole file that is not seen yet. Dropped, nothing is left of it.
enum Settled {
    Folder { draft: Draft, name: OsString },
    Bucket(Sent),
}

fn publish(draft: Draft, name: &OsStr) -> Result<(), Fault> {
    let _replaced = draft.hold_replaced(name)?;
    draft.publish(name).map_err(|error| Fault::io(name.to_string_lossy(), &error))
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.with_file(|file| file.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.with_file(|file| file.flush())
    }
}

impl Seek for NewFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.with_file(|file| file.seek(to))
    }
}
