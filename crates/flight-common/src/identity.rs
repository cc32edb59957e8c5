//! Which files a path means, and what tells one from another, so that one that changes between plan and run, or while it is read, is an error.

use crate::data_root::{DataFile, DataRoot};
use crate::fault::Fault;
use chrono::{DateTime, SecondsFormat, Utc};
use sha2::{Digest, Sha256};
use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::time::SystemTime;

/// More files than one step reads.
const MOST_FILES: usize = 10_000;

/// The files that a user's path means: the one of that name; or, where it holds `*` or `?`, all that it matches as a
/// pattern, in the order of their paths (see [`DataRoot::matching`]). `param` is named in errors.
///
/// # Errors
/// [`crate::FaultKind::NotFound`] when nothing matches; otherwise as [`DataRoot::matching`].
pub fn files_of(root: &DataRoot, given: &str, param: &str) -> Result<Vec<String>, Fault> {
    if !is_pattern(given) {
        return Ok(vec![given.to_owned()]);
    }
    let found = root.matching(given, param, MOST_FILES)?;
    if found.is_empty() {
        let message = format!("no file matches {given}");
        let help = format!("patterns are looked up beneath the data root {root}");
        return Err(Fault::not_found(message.clone()).help(help).violation(format!("/{param}"), message));
    }
    Ok(found)
}

/// Whether a user's path stands for all files that match it.
pub(crate) fn is_pattern(given: &str) -> bool {
    given.contains(['*', '?'])
}

/// What identifies the content of a file. As text it holds what replicas that share a file system agree on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileIdentity {
    path: String,
    size: u64,
    version: Version,
}

/// What tells files of one name and size apart.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Version {
    File {
        changed: Option<SystemTime>,
        /// Device and inode: another file of the same name, size and time is another file.
        place: (u64, u64),
    },
    /// An object of a bucket says it itself. Which copy of it was opened does not matter.
    Object(String),
}

impl FileIdentity {
    /// That of an open file, which a user called `path`.
    ///
    /// # Errors
    /// [`crate::FaultKind::BadParams`] if it is a folder or the like.
    pub fn of(file: &DataFile, path: &str) -> Result<Self, Fault> {
        let found = file.metadata().map_err(|error| Fault::io(path, &error))?;
        if !found.is_file() {
            return Err(Fault::bad_params(format!("{path} is not a regular file")));
        }
        let version = match file.version() {
            Some(version) => Version::Object(version.to_owned()),
            None => Version::File { changed: found.modified().ok(), place: (found.dev(), found.ino()) },
        };
        Ok(Self { path: path.to_owned(), size: found.len(), version })
    }

    /// That of a file of so many bytes, at this device and inode.
    pub(crate) fn of_found(path: &str, size: u64, changed: Option<SystemTime>, place: (u64, u64)) -> Self {
        Self { path: path.to_owned(), size, version: Version::File { changed, place } }
    }

    /// That of an object of a bucket.
    pub(crate) fn of_object(path: &str, size: u64, version: String) -> Self {
        Self { path: path.to_owned(), size, version: Version::Object(version) }
    }

    /// A short text that tells this content of the file from others: 32 hexadecimal digits. Two files that were written one
    /// after the other may have one time and size.
    pub fn tag(&self) -> String {
        let inode = match self.version {
            Version::File { place: (_, inode), .. } => inode,
            Version::Object(_) => 0,
        };
        shortened(Sha256::digest(format!("{self}, {inode}")))
    }

    /// That of several files together, as text: of one as it is, of more their number, their bytes and a checksum.
    pub fn of_all(files: &[Self]) -> String {
        if let [only] = files {
            return only.to_string();
        }
        let mut sum = Sha256::new();
        files.iter().for_each(|file| sum.update(format!("{file}\n")));
        let bytes: u64 = files.iter().map(Self::size).sum();
        format!("{} files of {bytes} bytes, {}", files.len(), shortened(sum.finalize()))
    }

    /// The path, as the user wrote it or a pattern found it.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Its size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Refuses a file that is no longer this one; `when` says since when.
    ///
    /// # Errors
    /// [`crate::FaultKind::BadData`] with both.
    pub fn check(&self, file: &DataFile, when: &str) -> Result<(), Fault> {
        let now = Self::of(file, &self.path)?;
        if now == *self {
            return Ok(());
        }
        let message = format!("the source changed {when}: it was {self}, it is {now}");
        let replaced = if now.to_string() == self.to_string() { " (another file in its place)" } else { "" };
        Err(Fault::bad_data(message + replaced).help("run the pipeline again, when nobody writes to the source"))
    }
}

/// The first half of a checksum, in hexadecimal digits.
fn shortened(sum: impl AsRef<[u8]>) -> String {
    sum.as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

impl fmt::Display for FileIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} bytes", self.path, self.size)?;
        match &self.version {
            Version::File { changed: Some(time), .. } => {
                let time = DateTime::<Utc>::from(*time).to_rfc3339_opts(SecondsFormat::Nanos, true);
                write!(f, ", changed {time}")
            }
            Version::File { changed: None, .. } => Ok(()),
            Version::Object(version) => write!(f, ", {version}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> (tempfile::TempDir, DataRoot) {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["b.csv", "a.csv"] {
            std::fs::write(folder.path().join(name), name).expect("written");
        }
        let root = DataRoot::open(folder.path()).expect("a root");
        (folder, root)
    }

    #[test]
    fn a_path_is_itself_and_a_pattern_is_what_it_matches() {
        let (_folder, root) = root();
        assert_eq!(files_of(&root, "a[1].csv", "p").expect("itself"), ["a[1].csv"]);
        assert_eq!(files_of(&root, "*.csv", "p").expect("both"), ["a.csv", "b.csv"]);
        assert_eq!(files_of(&root, "?.csv", "p").expect("both").len(), 2);
        let fault = files_of(&root, "*.txt", "p").expect_err("none");
        assert_eq!((fault.kind(), fault.violations()[0].pointer.as_str()), (crate::FaultKind::NotFound, "/p"));
    }

    #[test]
    fn several_files_are_others_when_one_of_them_is() {
        let (folder, root) = root();
        let both = || {
            let identity = |path: &str| FileIdentity::of(&root.open_file(path, "p").expect("open"), path);
            ["a.csv", "b.csv"].map(|path| identity(path).expect("a file"))
        };
        let before = FileIdentity::of_all(&both());
        assert!(before.starts_with("2 files of 10 bytes, "), "{before}");
        assert_eq!(before, FileIdentity::of_all(&both()));
        std::fs::write(folder.path().join("b.csv"), "longer than it was").expect("written");
        assert_ne!(before, FileIdentity::of_all(&both()));
        let [only, _] = both();
        assert_eq!(FileIdentity::of_all(std::slice::from_ref(&only)), only.to_string());
    }
}
