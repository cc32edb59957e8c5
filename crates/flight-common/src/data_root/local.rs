//! A data root that is a folder: the operating system holds every path beneath it.

use super::databases::{Looked, Replaced};
use super::{LEADS_OUT, NewFile, OWN_FOLDER};
use crate::fault::Fault;
use cap_std::ambient_authority;
use cap_std::fs::{Dir, DirBuilder, DirBuilderExt, Metadata, MetadataExt, Permissions, PermissionsExt};
use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A disk with fewer free bytes counts as full.
const LEAST_ROOM: u64 = 1 << 20;
/// Bytes of a name, in most file systems.
const LONGEST_NAME: usize = 255;
/// The mode of a new folder, as far as the process's mask lets it.
const MODE: u32 = 0o777;
/// The same of a new file.
const FILE_MODE: u32 = 0o666;
/// The mode of the orchestrator's own folder.
const OWN_MODE: u32 = 0o700;

/// An open folder, and where it is.
#[derive(Debug)]
pub(super) struct Folder {
    pub(super) dir: Dir,
    path: PathBuf,
}

impl Folder {
    pub fn open(path: &Path) -> Result<Self, Fault> {
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => Fault::not_found(format!("there is no folder {} for data", path.display()))
                .help("make it, or set another one with --data-root"),
            _ => Fault::io(format!("the data root {}", path.display()), &error),
        };
        let full = path.canonicalize().map_err(failed)?;
        let dir = Dir::open_ambient_dir(&full, ambient_authority()).map_err(failed)?;
        Ok(Self { dir, path: full })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The absolute path of a file that may not be there yet, by which it is told from all others: folders that are links
    /// are taken for what they lead to.
    pub fn named(&self, relative: &Path) -> PathBuf {
        let whole = self.path.join(relative);
        let resolved = whole.ancestors().skip(1).find_map(|folder| {
            let found = folder.canonicalize().ok()?;
            Some(found.join(whole.strip_prefix(folder).ok()?))
        });
        resolved.filter(|path| path.starts_with(&self.path)).unwrap_or(whole)
    }

    /// The absolute path of the file beneath the root that a link at this path leads to.
    pub fn followed(&self, relative: &Path) -> Option<PathBuf> {
        self.dir.symlink_metadata(relative).ok().filter(Metadata::is_symlink)?;
        let whole = self.path.join(relative);
        // Where it leads to nothing yet, somebody may make that.
        let unmade = || {
            let target = whole.parent()?.join(self.dir.read_link_contents(relative).ok()?);
            Some(target.parent()?.canonicalize().ok()?.join(target.file_name()?))
        };
        whole.canonicalize().ok().or_else(unmade).filter(|path| path.starts_with(&self.path))
    }

    /// Whether it is there, with room for more.
    pub fn check(&self) -> Result<(), Fault> {
        let shown = self.path.display();
        if !self.path.is_dir() {
            return Err(Fault::not_found(format!("{shown} is gone")));
        }
        let disk = rustix::fs::fstatvfs(&self.dir).map_err(|error| Fault::io(self.path.display(), &error.into()))?;
        let left = disk.f_bavail.saturating_mul(disk.f_frsize);
        if left < LEAST_ROOM {
            return Err(Fault::busy(format!("the disk of {shown} is full: {left} bytes are left"))
                .help("free some disk space; nothing can be written until then, not even what becomes of a run"));
        }
        Ok(())
    }

    /// The orchestrator's own folder in it. What it keeps there, a pipeline with a password perhaps, is for nobody else.
    pub fn own_folder(&self) -> Result<Self, Fault> {
        let path = self.path.join(OWN_FOLDER);
        let opened = self.make_folder(Path::new(OWN_FOLDER), OWN_MODE).and_then(|dir| {
            let found = dir.dir_metadata()?;
            let is_mine = found.uid() == rustix::process::geteuid().as_raw();
            if is_mine && found.mode() & 0o777 != OWN_MODE {
                // Some file systems know no modes.
                let _ = dir.set_permissions(".", Permissions::from_mode(OWN_MODE));
            }
            Ok(dir)
        });
        let dir = opened.map_err(|error| Fault::io(path.display(), &error))?;
        Ok(Self { dir, path })
    }

    pub fn remove_file(&self, relative: &Path) -> Result<(), Fault> {
        match self.dir.remove_file(relative) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Fault::io(relative.display(), &error)),
            _ => Ok(()),
        }
    }

    pub fn names(&self, relative: &Path) -> Result<Vec<OsString>, Fault> {
        let entries = match self.dir.read_dir(relative) {
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(Vec::new());
            }
            entries => entries,
        };
        let names = entries.and_then(|entries| entries.map(|entry| Ok(entry?.file_name())).collect());
        names.map_err(|error| Fault::io(relative.display(), &error))
    }

    pub fn remove_empty(&self, relative: &Path) -> Result<(), Fault> {
        use io::ErrorKind::{DirectoryNotEmpty, NotFound};
        match self.dir.remove_dir(relative) {
            Err(error) if !matches!(error.kind(), NotFound | DirectoryNotEmpty) => {
                Err(Fault::io(relative.display(), &error))
            }
            _ => Ok(()),
        }
    }

    /// What is known of the file at `path`, which a user calls `given`. It is not opened.
    pub fn found(&self, path: &Path, given: &str, param: &str) -> Result<Metadata, Fault> {
        let found = self.dir.metadata(path).map_err(|error| self.explain(given, param, path, &error))?;
        if !found.is_file() {
            let what = if found.is_dir() { "a folder" } else { "a pipe or a device" };
            return Err(refused(Fault::bad_params(format!("{given} is {what}, not a file")), param));
        }
        Ok(found)
    }

    /// Opens the file at `path`, which a user calls `given`.
    pub fn open_file(&self, path: &Path, given: &str, param: &str) -> Result<std::fs::File, Fault> {
        self.found(path, given, param)?;
        // SQLite keeps its locks on a database in a file beside it, too.
        let real = self.followed(path).and_then(|real| Some(real.strip_prefix(&self.path).ok()?.to_owned()));
        let real = real.as_deref().unwrap_or(path);
        let database = real.to_str().and_then(|path| path.strip_suffix("-shm")).map(Path::new);
        let is_index = database.is_some_and(|database| matches!(self.open_unless_database(database), Ok(None)));
        let opened = if is_index { Ok(None) } else { self.open_unless_database(path) };
        let file = opened.map_err(|error| self.explain(given, param, path, &error))?;
        file.ok_or_else(|| refused(super::databases::is_a_database(given), param))
    }

    /// Opens a file; nothing if it is SQLite's.
    fn open_unless_database(&self, path: &Path) -> io::Result<Option<std::fs::File>> {
        Ok(Looked::open(&self.dir, path)?.and_then(Looked::unless_database))
    }

    fn explain(&self, given: &str, param: &str, path: &Path, error: &io::Error) -> Fault {
        let pointer = format!("/{param}");
        if leads_out(error) {
            return Fault::denied(format!("{given} leads outside the data root {}", self.path.display()))
                .help("a symbolic link may only point to files beneath the data root")
                .violation(pointer, format!("{given} {LEADS_OUT}"));
        }
        if let Some(target) = self.dangling(path, error) {
            let message = format!("{given} is a symbolic link that leads nowhere: to {}", target.display());
            return Fault::not_found(message.clone())
                .help("put a file where it leads to, or remove the link")
                .violation(pointer, message);
        }
        let fault = Fault::io(given, error);
        let message = fault.message().to_owned();
        let fault = fault.violation(pointer, message);
        if error.kind() != io::ErrorKind::NotFound {
            return fault;
        }
        let near = self.nearest_name(path);
        fault.help(super::looked_up(near.as_deref(), &self.path))
    }

    /// Where a link leads that leads to nothing.
    fn dangling(&self, path: &Path, error: &io::Error) -> Option<PathBuf> {
        let is_missing = error.kind() == io::ErrorKind::NotFound;
        is_missing.then(|| self.dir.read_link_contents(path).ok()).flatten()
    }

    fn nearest_name(&self, path: &Path) -> Option<String> {
        let folder = path.parent().unwrap_or(Path::new(""));
        let wanted = path.file_name()?.to_str()?;
        let entries = if folder.as_os_str().is_empty() { self.dir.entries() } else { self.dir.read_dir(folder) };
        let names: Vec<String> =
            entries.ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).take(1000).collect();
        let near = crate::params::nearest(wanted, names.iter().map(String::as_str))?;
        Some(folder.join(near).to_string_lossy().into_owned())
    }

    /// Makes an empty file, if nothing is there. None is opened: whoever closed one that SQLite has locked meanwhile would
    /// undo that.
    pub fn make_file(&self, relative: &Path) -> Result<(), Fault> {
        use rustix::fs::{FileType, Mode, mknodat};
        let (folder, name) = parts(relative)?;
        let dir = if folder.as_os_str().is_empty() { self.dir.try_clone() } else { self.make_folder(folder, MODE) };
        let dir = dir.map_err(|error| self.no_folder(folder, &error))?;
        match mknodat(&dir, name, FileType::RegularFile, Mode::from_raw_mode(FILE_MODE), 0) {
            Ok(()) => Ok(()),
            // A link that leads to where nothing is yet.
            Err(rustix::io::Errno::EXIST) if self.dangling(relative, &io::ErrorKind::NotFound.into()).is_some() => {
                self.append(relative, b"")
            }
            Err(rustix::io::Errno::EXIST) => Ok(()),
            Err(error) => Err(Fault::io(relative.display(), &error.into())),
        }
    }

    pub fn append(&self, relative: &Path, bytes: &[u8]) -> Result<(), Fault> {
        let shown = relative.display();
        let folder = relative.parent().unwrap_or(Path::new(""));
        let dir = if folder.as_os_str().is_empty() { self.dir.try_clone() } else { self.make_folder(folder, MODE) };
        let name = relative.file_name().ok_or_else(|| Fault::bad_params(format!("{shown} has no file name")))?;
        let written = dir.and_then(|dir| {
            let mut options = cap_std::fs::OpenOptions::new();
            dir.open_with(name, options.append(true).create(true))?.write_all(bytes)
        });
        written.map_err(|error| Fault::io(shown, &error))
    }

    pub fn new_file(&self, relative: &Path) -> Result<NewFile, Fault> {
        let (folder, name) = parts(relative)?;
        let dir = if folder.as_os_str().is_empty() { self.dir.try_clone() } else { self.make_folder(folder, MODE) };
        let dir = dir.map_err(|error| self.no_folder(folder, &error))?;
        check_replaced(&dir, name, relative)?;
        self.check_beside(relative)?;
        // What cannot take its place is told before it is written.
        Replaced::hold(&dir, name, None)?;
        NewFile::in_folder(dir, name.to_owned()).map_err(|error| Fault::io(relative.display(), &error))
    }

    /// Whether such a file could be begun, as far as that can be seen without it.
    pub fn check_new_file(&self, relative: &Path) -> Result<(), Fault> {
        let (folder, name) = parts(relative)?;
        // The nearest folder that is there.
        for near in folder.ancestors() {
            let dir = if near.as_os_str().is_empty() { self.dir.try_clone() } else { self.dir.open_dir(near) };
            let dir = match dir {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                dir => dir.map_err(|error| self.no_folder(near, &error))?,
            };
            if near == folder {
                check_replaced(&dir, name, relative)?;
                self.check_beside(relative)?;
            }
            let wanted = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
            let may = rustix::fs::accessat(&dir, ".", wanted, rustix::fs::AtFlags::EACCESS);
            return may.map_err(|error| Fault::io(self.path.join(near).display(), &error.into()));
        }
        Ok(())
    }

    /// Refuses a file that SQLite would take for what it keeps beside a database, and undo with it what is in that.
    fn check_beside(&self, relative: &Path) -> Result<(), Fault> {
        let name = relative.to_str().unwrap_or_default();
        let database = ["-journal", "-wal", "-shm"].iter().find_map(|suffix| name.strip_suffix(suffix));
        match database.map(|database| (database, self.open_unless_database(Path::new(database)))) {
            Some((database, Ok(None))) => {
                Err(Fault::denied(format!("{name} is SQLite's own, beside the database {database}"))
                    .help("choose another name"))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn no_folder(&self, folder: &Path, error: &io::Error) -> Fault {
        match leads_out(error) {
            true => Fault::denied(format!("{} leads outside the data root {}", folder.display(), self.path.display()))
                .help("a symbolic link may only point to folders beneath the data root"),
            false => Fault::io(folder.display(), error),
        }
    }

    /// Opens before it makes: making a folder in the place of a file, or of a link that leads out, only says that
    /// something is there.
    fn make_folder(&self, folder: &Path, mode: u32) -> io::Result<Dir> {
        match self.dir.open_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.dir.create_dir_with(folder, DirBuilder::new().recursive(true).mode(mode))?;
                self.dir.open_dir(folder)
            }
            opened => opened,
        }
    }
}

/// The fault, said of the parameter that names the file.
fn refused(fault: Fault, param: &str) -> Fault {
    let message = fault.message().to_owned();
    fault.violation(format!("/{param}"), message)
}

/// The folder and the name of a file.
fn parts(relative: &Path) -> Result<(&Path, &OsStr), Fault> {
    let shown = relative.display();
    let long = relative.iter().map(OsStr::len).max().unwrap_or(0);
    if long > LONGEST_NAME {
        return Err(Fault::bad_params(format!("{shown}: a name of {long} bytes, and {LONGEST_NAME} is the most"))
            .help("choose a shorter one"));
    }
    let name = relative.file_name().ok_or_else(|| Fault::bad_params(format!("{shown} has no file name")))?;
    Ok((relative.parent().unwrap_or(Path::new("")), name))
}

/// Refuses to put a file into the place of anything but a file.
fn check_replaced(dir: &Dir, name: &OsStr, relative: &Path) -> Result<(), Fault> {
    let shown = relative.display();
    match dir.metadata(name) {
        Ok(found) if found.is_dir() => Err(super::is_a_folder(&shown.to_string())),
        Ok(found) if !found.is_file() => Err(Fault::bad_params(format!("{shown} is a pipe or a device, not a file"))
            .help("choose another name, or remove it")),
        _ => Ok(()),
    }
}

/// cap-std refuses what leads out of the root with an error of its own.
fn leads_out(error: &io::Error) -> bool {
    error.raw_os_error().is_none() && error.kind() == io::ErrorKind::PermissionDenied
}
