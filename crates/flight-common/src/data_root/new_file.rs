//! A file in the making: seen once it is whole, and not before.

use super::bucket::Upload;
use super::draft::Draft;
use crate::fault::Fault;
use crate::permission::Permission;
use cap_std::fs::Dir;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};

/// A file in the making. It has no name until it is committed, so that a crash at any point leaves nothing behind. In a
/// bucket the same holds: it is written on this machine, and its commit is what sends it there.
pub struct NewFile {
    place: Place,
    permission: Permission,
}

enum Place {
    Folder { draft: Draft, name: OsString },
    Bucket { file: File, upload: Upload },
}

impl NewFile {
    pub(super) fn in_folder(dir: Dir, name: OsString) -> io::Result<Self> {
        Ok(Self::at(Place::Folder { draft: Draft::begin(dir)?, name }))
    }

    pub(super) fn in_bucket(file: File, upload: Upload) -> Self {
        Self::at(Place::Bucket { file, upload })
    }

    fn at(place: Place) -> Self {
        Self { place, permission: Permission::default() }
    }

    /// It is committed only for as long as this permission holds.
    pub(crate) fn permitted(self, permission: Permission) -> Self {
        Self { permission, ..self }
    }

    fn with_file<R>(&mut self, work: impl FnOnce(&mut &File) -> io::Result<R>) -> io::Result<R> {
        match &mut self.place {
            Place::Folder { draft, .. } => draft.with_file(|mut file| work(&mut file)),
            Place::Bucket { file, .. } => work(&mut &*file),
        }
    }

    /// Makes the file seen under its name, whole, in place of one that was there. May block for as long as sending it to
    /// a bucket takes.
    ///
    /// # Errors
    /// Why it could not be written, or may not be any more; then nothing is seen, and a file that was there stays.
    pub fn commit(self) -> Result<(), Fault> {
        match self.place {
            Place::Folder { draft, name } => {
                let failed = |error| Fault::io(name.to_string_lossy(), &error);
                draft.settle(&name).map_err(failed)?;
                self.permission.check()?;
                draft.publish(&name).map_err(failed)
            }
            Place::Bucket { file, upload } => upload.send(file, self.permission),
        }
    }
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
