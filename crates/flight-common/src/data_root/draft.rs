//! A file without a name, which gets one once it is whole.

use super::databases::{Look, Replaced};
use crate::fault::Fault;
use cap_std::fs::{Dir, MetadataExt};
use cap_tempfile::TempFile;
use rustix::fs::{AtFlags, CWD, linkat};
use std::ffi::OsStr;
use std::fs::{File, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use uuid::Uuid;

self_cell::self_cell!(
    /// A folder, and the unnamed file in it that is being written.
    struct Cell {
        owner: Dir,
        #[not_covariant]
        dependent: Unnamed,
    }
);

/// The file, as the library holds it, and a handle of the same file that is no library's.
struct Held<'dir> {
    temporary: TempFile<'dir>,
    file: File,
}

type Unnamed<'dir> = Option<Held<'dir>>;

/// An unnamed file.
pub(super) struct Draft(Cell);

impl Draft {
    /// An empty one, which will be in this folder.
    pub fn begin(dir: Dir) -> io::Result<Self> {
        let cell = Cell::try_new(dir, |dir| {
            let temporary = TempFile::new(dir)?;
            let file = temporary.as_file().try_clone()?.into_std();
            io::Result::Ok(Some(Held { temporary, file }))
        });
        cell.map(Self)
    }

    /// Works with it.
    pub fn with_file<R>(&self, work: impl FnOnce(&File) -> io::Result<R>) -> io::Result<R> {
        self.0.with_dependent(|_, held| match held {
            Some(held) => work(&held.file),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        })
    }

    /// Puts all of it on disk, with the mode of another file of the name that it is to have.
    pub fn settle(&self, name: &OsStr) -> io::Result<()> {
        self.0.with_dependent(|dir, held| {
            let held = held.as_ref().ok_or(io::ErrorKind::BrokenPipe)?;
            // Who may not read the one that was there may not read this one either.
            if let Ok(there) = dir.metadata(name)
                && (there.mode() ^ held.file.metadata()?.permissions().mode()) & 0o777 != 0
            {
                held.file.set_permissions(Permissions::from_mode(there.mode() & 0o777))?;
            }
            held.file.sync_all()
        })
    }

    /// Holds the file of this name, whose place it takes.
    pub fn hold_replaced(&self, name: &OsStr) -> Result<Replaced, Fault> {
        self.0.with_dependent(|dir, held| Replaced::hold(dir, name, held.as_ref().map(|held| &held.file)))
    }

    /// Gives it this name, in place of another file of that name. It is settled.
    pub fn publish(mut self, name: &OsStr) -> io::Result<()> {
        self.0.with_dependent_mut(|dir, held| {
            let held = held.take().ok_or(io::ErrorKind::BrokenPipe)?;
            let found = held.temporary.as_file().metadata()?;
            // SQLite, if it is a database, opens it once these handles of it are closed.
            let look = Look::begin((found.dev(), found.ino()));
            match link(&held.file, dir, name) {
                Ok(()) => drop(held),
                Err(_) => replace(held, dir, name)?,
            }
            drop(look);
            // The name itself lasts only once its folder is on disk.
            dir.open(".")?.sync_all()
        })
    }
}

/// Puts the file in the place of another one, by way of a name that no list and no pattern sees: a kill at that moment leaves
/// it behind. Where files always have names, the library's is used.
fn replace(held: Held, dir: &Dir, name: &OsStr) -> io::Result<()> {
    let passing = format!(".quiver-{}", Uuid::new_v4().simple());
    if link(&held.file, dir, passing.as_ref()).is_err() {
        return held.temporary.replace(name);
    }
    let renamed = dir.rename(&passing, dir, name);
    if renamed.is_err() {
        // Why it could not be renamed counts.
        let _ = dir.remove_file(&passing);
    }
    renamed
}

/// Gives a file a name that is free.
fn link(file: &File, dir: &Dir, name: &OsStr) -> io::Result<()> {
    let unnamed = format!("/proc/self/fd/{}", file.as_raw_fd());
    Ok(linkat(CWD, unnamed, dir, name, AtFlags::SYMLINK_FOLLOW)?)
}
