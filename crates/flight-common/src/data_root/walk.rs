//! What is beneath a data root that is a folder: each file, or those of one part, in order.

use super::listing::Part;
use super::local::Folder;
use super::{FileEntry, is_hidden};
use crate::fault::Fault;
use cap_std::fs::Metadata;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

impl Folder {
    /// Shows each file beneath a folder, in no particular order, for as long as `see` says so. What begins with a dot is
    /// left out, and so are `lost+found`, and links to folders, which may lead in circles. Links to files are shown, also
    /// those that lead to nothing or out of here: whoever opens one is told. What cannot be looked at is told to `missed`,
    /// which says whether to go on without it; what has vanished meanwhile is not missed, and the root always is.
    pub fn walk(
        &self,
        from: PathBuf,
        mut see: impl FnMut(FileEntry) -> bool,
        mut missed: impl FnMut(&Path, Fault) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let mut miss = |path: &Path, error: &io::Error| match error.kind() {
            _ if path.as_os_str().is_empty() => Err(Fault::io(self.path().display(), error)),
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Ok(()),
            _ => missed(path, self.no_folder(path, error)),
        };
        let mut folders = vec![from];
        while let Some(folder) = folders.pop() {
            let entries = match folder.as_os_str().is_empty() {
                true => self.dir.entries(),
                false => self.dir.read_dir(&folder),
            };
            let entries = match entries {
                Ok(entries) => entries,
                Err(error) => {
                    miss(&folder, &error)?;
                    continue;
                }
            };
            for entry in entries {
                let (name, found) = match entry {
                    Ok(entry) => (entry.file_name(), entry.metadata()),
                    Err(error) => (OsString::new(), Err(error)),
                };
                if is_hidden(&name.to_string_lossy()) {
                    continue;
                }
                let path = folder.join(name);
                match found {
                    Err(error) => miss(&path, &error)?,
                    Ok(found) if found.is_dir() => folders.push(path),
                    Ok(found) => {
                        if self.shown(path, found).is_some_and(|file| !see(file)) {
                            return Ok(());
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// The files beneath a folder that are wanted, by path. What cannot be looked at is left out, but for the root.
    pub fn part(&self, from: &Path, part: Part<'_>) -> Result<Vec<FileEntry>, Fault> {
        let mut found = Vec::new();
        // What is still to be looked at, the first one last: folders by their paths with a slash, as files in them have it.
        let mut left = vec![(String::new(), from.to_owned(), true)];
        while let Some((_, path, is_folder)) = left.pop() {
            if !is_folder {
                found.extend(self.dir.symlink_metadata(&path).ok().and_then(|about| self.shown(path, about)));
                if found.len() == part.most {
                    break;
                }
                continue;
            }
            let is_root = path.as_os_str().is_empty();
            let entries = match if is_root { self.dir.entries() } else { self.dir.read_dir(&path) } {
                Ok(entries) => entries,
                Err(error) if is_root => return Err(Fault::io(self.path().display(), &error)),
                Err(_) => continue,
            };
            let known = left.len();
            for entry in entries.flatten().filter(|entry| !is_hidden(&entry.file_name().to_string_lossy())) {
                let Ok(kind) = entry.file_type() else { continue };
                let path = path.join(entry.file_name());
                let mut name = path.to_string_lossy().into_owned();
                if kind.is_dir() {
                    name.push('/');
                }
                if if kind.is_dir() { part.leads_to(&name) } else { part.has(&name) } {
                    left.push((name, path, kind.is_dir()));
                }
            }
            left[known..].sort_unstable_by(|(a, ..), (b, ..)| b.cmp(a));
        }
        Ok(found)
    }

    /// The file at this path, of which a folder says so much; nothing if it is no file.
    fn shown(&self, path: PathBuf, found: Metadata) -> Option<FileEntry> {
        let found = match found.is_symlink() {
            true => self.dir.metadata(&path).unwrap_or(found),
            false => found,
        };
        let modified = found.modified().ok().map(cap_std::time::SystemTime::into_std);
        (found.is_file() || found.is_symlink()).then(|| FileEntry { path, bytes: found.len(), modified })
    }
}
