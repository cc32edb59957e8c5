//! The only way to a file.
//!
//! Every path that a user names is opened beneath the data root, and nothing leads out of it: the operating system holds
//! it there, so that neither `..` nor a symbolic link does, not even one that is swapped in while a run is under way. The
//! root is a folder, or a place in a bucket of an object store, where there are neither links nor `..`.

mod bucket;
mod data_file;
mod databases;
mod draft;
mod listing;
mod local;
mod located;
mod new_file;
mod options;
mod walk;

use crate::fault::Fault;
use crate::identity::FileIdentity;
pub use bucket::AwsSettings;
use bucket::Bucket;
use cap_std::fs::MetadataExt;
pub use data_file::DataFile;
pub use databases::OpenDatabase;
use local::Folder;
pub(crate) use located::WITHIN_FOLDERS;
pub use new_file::NewFile;
pub use options::RootOptions;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where the system that Quiver succeeds kept its files. Paths under it are read as paths under the data root.
pub const LEGACY_ROOT: &str = "/app/data";

/// The orchestrator's own folder in the data root. No path of a pipeline leads into it.
pub const OWN_FOLDER: &str = ".quiver";

/// At the top of a disk, for who repairs it; nobody else may read it.
const LOST_AND_FOUND: &str = "lost+found";

/// What is said of a path that a link leads astray.
const LEADS_OUT: &str = "leads outside the data root";

/// Where all files of pipelines lie: a folder, or a place in a bucket.
#[derive(Clone, Debug)]
pub struct DataRoot(Place);

#[derive(Clone, Debug)]
enum Place {
    Folder(Arc<Folder>),
    Bucket(Arc<Bucket>),
}

impl DataRoot {
    /// The folder at `path`. [`RootOptions::open`] opens a bucket as well.
    ///
    /// # Errors
    /// Why the folder cannot be opened.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Fault> {
        Ok(Self(Place::Folder(Arc::new(Folder::open(path.as_ref())?))))
    }

    /// Its absolute path; of a bucket, its URL, which no file can be opened by.
    pub fn path(&self) -> &Path {
        match &self.0 {
            Place::Folder(folder) => folder.path(),
            Place::Bucket(bucket) => Path::new(bucket.url()),
        }
    }

    /// Whether its files are objects of a bucket, and what is opened are copies of them.
    pub fn is_bucket(&self) -> bool {
        matches!(self.0, Place::Bucket(_))
    }

    /// Whether it is there now, a folder with room for more. May block.
    ///
    /// # Errors
    /// Why it cannot be reached, or that its disk is full.
    pub fn check(&self) -> Result<(), Fault> {
        match &self.0 {
            Place::Folder(folder) => folder.check(),
            Place::Bucket(bucket) => bucket.check(),
        }
    }

    /// The orchestrator's own folder, made if it is not there: a root of its own, in this one or, for a bucket, on this
    /// machine.
    ///
    /// # Errors
    /// Why it cannot be made.
    pub fn own_folder(&self) -> Result<Self, Fault> {
        match &self.0 {
            Place::Folder(folder) => Ok(Self(Place::Folder(Arc::new(folder.own_folder()?)))),
            Place::Bucket(bucket) => Self::open(bucket.own_folder()?),
        }
    }

    /// Where [`DataRoot::own_folder`] is or would be.
    pub fn own_path(&self) -> PathBuf {
        match &self.0 {
            Place::Folder(folder) => folder.path().join(OWN_FOLDER),
            Place::Bucket(bucket) => bucket.own_path(),
        }
    }

    /// What a file at this path is called among all data: a namespace, and a name in it.
    pub(crate) fn name_of(&self, relative: &Path) -> (String, String) {
        match &self.0 {
            Place::Folder(folder) => ("file".to_owned(), folder.named(relative).to_string_lossy().into_owned()),
            Place::Bucket(bucket) => bucket.name_of(relative),
        }
    }

    /// What the file that a link at this path leads to is called among all data; nothing if there is no link.
    pub(crate) fn followed(&self, relative: &Path) -> Option<(String, String)> {
        match &self.0 {
            Place::Folder(folder) => {
                let file = folder.followed(relative)?;
                Some(("file".to_owned(), file.to_string_lossy().into_owned()))
            }
            Place::Bucket(_) => None,
        }
    }

    /// Removes a file of an own folder. One that is not there is removed already.
    ///
    /// # Errors
    /// Why it cannot be removed.
    pub fn remove_file(&self, relative: &Path) -> Result<(), Fault> {
        self.folder("removed")?.remove_file(relative)
    }

    /// The names in a folder of an own folder, in no particular order; none if there is no such folder.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub fn names(&self, relative: &Path) -> Result<Vec<OsString>, Fault> {
        self.folder("listed by name")?.names(relative)
    }

    /// Removes a folder of an own folder, if nothing is in it.
    ///
    /// # Errors
    /// Why it cannot be removed.
    pub fn remove_empty(&self, relative: &Path) -> Result<(), Fault> {
        self.folder("removed")?.remove_empty(relative)
    }

    /// Adds to the end of a file of an own folder, which is made if it is not there.
    ///
    /// # Errors
    /// Why it cannot be written.
    pub fn append(&self, relative: &Path, bytes: &[u8]) -> Result<(), Fault> {
        self.folder("added to")?.append(relative, bytes)
    }

    /// Makes an empty file, if nothing is there, and opens none.
    ///
    /// # Errors
    /// Why it cannot be made.
    pub fn make_file(&self, relative: &Path) -> Result<(), Fault> {
        self.folder("made empty")?.make_file(relative)
    }

    fn folder(&self, done: &str) -> Result<&Folder, Fault> {
        match &self.0 {
            Place::Folder(folder) => Ok(folder),
            Place::Bucket(_) => Err(Fault::denied(format!("objects of {self} are written whole, and not {done}"))),
        }
    }

    /// Opens a user's file for reading. Of a bucket it is a copy of the object as it is now, which is fetched if it is not
    /// there; that may block for long.
    ///
    /// # Errors
    /// As [`DataRoot::locate`]; otherwise why the file cannot be opened.
    pub fn open_file(&self, given: &str, param: &str) -> Result<DataFile, Fault> {
        let path = self.locate(given, param)?;
        match &self.0 {
            Place::Folder(folder) => Ok(DataFile::new(folder.open_file(&path, given, param)?)),
            Place::Bucket(bucket) => bucket.open_file(&path, given, param),
        }
    }

    /// Opens users' files, in this order, as [`DataRoot::open_file`] does. Of a bucket, the next are fetched while one is
    /// looked at.
    pub fn open_files<'a>(
        &self,
        files: &'a [String],
        param: &'static str,
    ) -> Box<dyn Iterator<Item = Result<DataFile, Fault>> + 'a> {
        let root = self.clone();
        let open = files.iter().map(move |given| {
            let (root, given) = (root.clone(), given.clone());
            move || root.open_file(&given, param)
        });
        match &self.0 {
            Place::Folder(_) => Box::new(open.map(|open| open())),
            Place::Bucket(_) => Box::new(bucket::ahead(open)),
        }
    }

    /// What identifies the content of a user's file, which is not opened, and of which nothing is fetched.
    ///
    /// # Errors
    /// As [`DataRoot::open_file`]; [`crate::FaultKind::BadParams`] if it is a folder or the like.
    pub fn identity_of(&self, given: &str, param: &str) -> Result<FileIdentity, Fault> {
        let path = self.locate(given, param)?;
        match &self.0 {
            Place::Folder(folder) => {
                let found = folder.found(&path, given, param)?;
                let changed = found.modified().ok().map(cap_std::time::SystemTime::into_std);
                Ok(FileIdentity::of_found(given, found.len(), changed, (found.dev(), found.ino())))
            }
            Place::Bucket(bucket) => bucket.identity_of(&path, given, param),
        }
    }

    /// Shows each file beneath a folder, in no particular order, for as long as `see` says so. What begins with a dot is
    /// left out. What cannot be looked at is told to `missed`, which says whether to go on without it.
    fn walk(
        &self,
        from: PathBuf,
        see: impl FnMut(FileEntry) -> bool,
        missed: impl FnMut(&Path, Fault) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        match &self.0 {
            Place::Folder(folder) => folder.walk(from, see, missed),
            Place::Bucket(bucket) => bucket.walk(&from, see),
        }
    }

    /// Whether such a file could be begun, as far as that can be seen without it: for who plans to. `param` names it.
    ///
    /// # Errors
    /// As [`DataRoot::new_file`].
    pub fn check_new_file(&self, relative: &Path, param: &str) -> Result<(), Fault> {
        let checked = match &self.0 {
            Place::Folder(folder) => folder.check_new_file(relative),
            Place::Bucket(bucket) => bucket.check_new_file(relative),
        };
        checked.map_err(|fault| {
            let message = fault.message().to_owned();
            fault.violation(format!("/{param}"), message)
        })
    }

    /// Begins a file that is seen only once it is whole: see [`NewFile::commit`].
    ///
    /// # Errors
    /// Why the folder cannot be made or written to, or the bucket not be reached.
    pub fn new_file(&self, relative: &Path) -> Result<NewFile, Fault> {
        match &self.0 {
            Place::Folder(folder) => folder.new_file(relative),
            Place::Bucket(bucket) => bucket.new_file(relative),
        }
    }
}

impl fmt::Display for DataRoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path().display().fmt(f)
    }
}

/// Whether files and folders of this name are left out of lists.
fn is_hidden(name: &str) -> bool {
    name.starts_with('.') || name == LOST_AND_FOUND
}

/// What to try where no file was found.
fn looked_up(near: Option<&str>, root: &Path) -> String {
    let root = root.display();
    match near {
        Some(near) => format!("did you mean \"{near}\"? (looked beneath {root})"),
        None => format!("paths are looked up beneath the data root {root}; set another with --data-root"),
    }
}

fn is_a_folder(shown: &str) -> Fault {
    Fault::bad_params(format!("{shown} is a folder, not a file")).help("move the folder away, or choose another name")
}

/// A file beneath the data root.
#[derive(Clone, Debug)]
pub struct FileEntry {
    /// Its path, relative to the root.
    pub path: PathBuf,
    /// Its length.
    pub bytes: u64,
    /// When it was last written.
    pub modified: Option<std::time::SystemTime>,
}

#[cfg(test)]
mod tests;
