//! Copies of objects on this machine, so that what plans, maps into memory and reads by position sees a plain file, and
//! planning and running fetch it once.
//!
//! A copy is named by bucket, key and version: it never changes, and needs no rule for when it is stale. It gets its name
//! once it is whole. Several processes may use one folder; the worst that meets them is to fetch the same object twice. A
//! copy that is removed while somebody reads it stays readable for them.

use super::super::draft::Draft;
use crate::fault::Fault;
use cap_std::ambient_authority;
use cap_std::fs::Dir;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{DirBuilder, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::SystemTime;

/// One part of so many of what is free is taken without another look.
const TRUSTED: u64 = 8;

/// The folder of copies.
#[derive(Debug)]
pub struct Cache {
    folder: PathBuf,
    limit: u64,
    turns: Mutex<HashMap<String, Weak<Mutex<()>>>>,
    /// Bytes for which there is room, as far as was looked. Held while there is made room for a copy and it gets its name.
    room: Mutex<u64>,
}

impl Cache {
    /// Copies in this folder, of `limit` bytes in all.
    pub fn new(folder: PathBuf, limit: u64) -> Self {
        Self { folder, limit, turns: Mutex::default(), room: Mutex::default() }
    }

    /// The copy of this name and size, which `fill` writes if it is not there. May block.
    ///
    /// # Errors
    /// Those of `fill`, or why there can be no copy.
    pub fn open(&self, name: &str, size: u64, fill: impl FnOnce(File) -> Result<(), Fault>) -> Result<File, Fault> {
        if let Some(copy) = self.kept(name, size) {
            return Ok(copy);
        }
        // Whoever comes second finds what the first has fetched.
        let turn = self.turn(name);
        let _mine = locked(&turn);
        if let Some(copy) = self.kept(name, size) {
            return Ok(copy);
        }
        let failed = |error: io::Error| unwritable(&self.folder, &error);
        self.make_room(size, &mut locked(&self.room));
        let draft = Draft::begin(self.opened().map_err(failed)?).map_err(failed)?;
        fill(draft.with_file(File::try_clone).map_err(failed)?)?;
        let copy = draft.with_file(read_only).map_err(failed)?;
        if size <= self.limit {
            let mut room = locked(&self.room);
            self.make_room(size, &mut room);
            *room -= size;
            // A copy is known by its length: after a power cut one of that length could hold nothing.
            draft.settle(OsStr::new(name)).map_err(failed)?;
            draft.publish(OsStr::new(name)).map_err(failed)?;
        }
        Ok(copy)
    }

    /// Where the copies are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A file without a name, beside the copies.
    ///
    /// # Errors
    /// Why there can be none.
    pub fn scratch(&self) -> Result<File, Fault> {
        let made = make(&self.folder).and_then(|()| tempfile::tempfile_in(&self.folder));
        made.map_err(|error| unwritable(&self.folder, &error))
    }

    fn opened(&self) -> io::Result<Dir> {
        make(&self.folder)?;
        Dir::open_ambient_dir(&self.folder, ambient_authority())
    }

    fn kept(&self, name: &str, size: u64) -> Option<File> {
        let copy = File::open(self.folder.join(name)).ok()?;
        let whole = copy.metadata().is_ok_and(|found| found.len() == size);
        // It was used now. Where that cannot be noted, it merely goes sooner.
        let _ = copy.set_modified(SystemTime::now());
        whole.then_some(copy)
    }

    fn turn(&self, name: &str) -> Arc<Mutex<()>> {
        let mut turns = locked(&self.turns);
        turns.retain(|_, turn| turn.strong_count() > 0);
        if let Some(turn) = turns.get(name).and_then(Weak::upgrade) {
            return turn;
        }
        let turn = Arc::default();
        turns.insert(name.to_owned(), Arc::downgrade(&turn));
        turn
    }

    /// Removes the copies that were not used for the longest time until so many bytes more are within the limit. What
    /// would not fit at all makes no room. Others may use the folder too: of what is free, a part is trusted to stay so until
    /// it is used up, and no longer.
    fn make_room(&self, size: u64, room: &mut u64) {
        if size > self.limit || size <= *room {
            return;
        }
        let mut copies = copies(&self.folder).unwrap_or_default();
        copies.sort_by_key(|copy| copy.used);
        let mut total: u64 = copies.iter().map(|copy| copy.size).sum();
        for copy in copies {
            if total.saturating_add(size) <= self.limit {
                break;
            }
            // Another process may have removed it already.
            let _ = std::fs::remove_file(&copy.path);
            total -= copy.size;
        }
        *room = size.max(self.limit.saturating_sub(total) / TRUSTED);
    }
}

/// Makes a folder. What is in the bucket is not for everybody on this machine.
///
/// # Errors
/// The operating system's.
pub fn make(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// The fault for a folder of copies, or one beside it, that cannot be written to.
pub fn unwritable(folder: &Path, error: &io::Error) -> Fault {
    let shown = folder.display();
    let fault = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Fault::busy(format!("no space is left in {shown}, which holds copies of objects"))
        }
        io::ErrorKind::FileTooLarge => return Fault::io(format!("a copy of an object in {shown}"), error),
        _ => Fault::denied(format!("{shown}, which holds copies of objects, cannot be written: {error}")),
    };
    fault.help("free some disk space, or name another folder with --state-dir")
}

struct Copy {
    path: PathBuf,
    size: u64,
    used: Option<SystemTime>,
}

fn copies(folder: &Path) -> io::Result<Vec<Copy>> {
    let copy = |entry: io::Result<std::fs::DirEntry>| {
        let entry = entry.ok()?;
        let found = entry.metadata().ok().filter(std::fs::Metadata::is_file)?;
        Some(Copy { path: entry.path(), size: found.len(), used: found.modified().ok() })
    };
    Ok(std::fs::read_dir(folder)?.filter_map(copy).collect())
}

/// The same file once more, for reading alone and with a position of its own.
fn read_only(file: &File) -> io::Result<File> {
    File::open(Path::new("/proc/self/fd").join(file.as_raw_fd().to_string()))
}

/// A panic while it was held broke nothing: it guards no data that could be half changed.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    fn cache(limit: u64) -> (tempfile::TempDir, Cache) {
        let folder = tempfile::tempdir().expect("a folder");
        let cache = Cache::new(folder.path().join("copies"), limit);
        (folder, cache)
    }

    fn filled(cache: &Cache, name: &str, content: &str) -> String {
        let fill = |mut file: File| file.write_all(content.as_bytes()).map_err(|error| Fault::io(name, &error));
        let mut text = String::new();
        let copy = cache.open(name, content.len() as u64, fill);
        copy.expect("a copy").read_to_string(&mut text).expect("read");
        text
    }

    fn names(cache: &Cache) -> Vec<String> {
        let copies = copies(&cache.folder).expect("a folder");
        let mut names: Vec<_> =
            copies.iter().map(|copy| copy.path.file_name().expect("a name").to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    fn never(_: File) -> Result<(), Fault> {
        panic!("it is there already")
    }

    #[test]
    fn a_copy_is_fetched_once_even_if_many_want_it() {
        let (_folder, cache) = cache(100);
        let fetched = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let fill = |mut file: File| {
                        fetched.fetch_add(1, Ordering::Relaxed);
                        file.write_all(b"abc").map_err(|error| Fault::io("a", &error))
                    };
                    cache.open("a", 3, fill).map(drop).expect("a copy");
                });
            }
        });
        assert_eq!(fetched.into_inner(), 1);
        assert!(cache.open("a", 3, never).is_ok());
    }

    #[test]
    fn what_was_not_used_for_long_makes_room_and_stays_readable_for_its_reader() {
        let (_folder, cache) = cache(10);
        let mut oldest =
            cache.open("a", 4, |mut file| file.write_all(b"aaaa").map_err(|e| Fault::io("a", &e))).expect("a");
        assert_eq!(filled(&cache, "b", "bbbb"), "bbbb");
        let past = SystemTime::now() - Duration::from_secs(60);
        File::open(cache.folder.join("b")).and_then(|copy| copy.set_modified(past)).expect("aged");
        assert!(cache.open("a", 4, never).is_ok(), "used again");
        assert_eq!(filled(&cache, "c", "cccc"), "cccc");
        assert_eq!(names(&cache), ["a", "c"]);
        assert_eq!(filled(&cache, "d", "dddddddddd"), "dddddddddd");
        assert_eq!(names(&cache), ["d"]);
        let mut text = String::new();
        oldest.read_to_string(&mut text).expect("still there for us");
        assert_eq!(text, "aaaa");
    }

    #[test]
    fn what_is_larger_than_all_room_is_read_and_not_kept() {
        let (_folder, cache) = cache(10);
        assert_eq!(filled(&cache, "a", "aaaa"), "aaaa");
        assert_eq!(filled(&cache, "b", "0123456789X"), "0123456789X");
        assert_eq!(names(&cache), ["a"]);
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_named() {
        let cache = Cache::new("/proc/none/copies".into(), 100);
        for fault in [cache.scratch().expect_err("no folder"), cache.open("a", 4, never).expect_err("no folder")] {
            assert!(fault.message().contains("/proc/none/copies"), "{fault}");
            assert!(fault.help_text().is_some_and(|help| help.contains("--state-dir")), "{fault:?}");
        }
        let full = unwritable(Path::new("/copies"), &io::ErrorKind::StorageFull.into());
        assert_eq!(full.kind(), crate::FaultKind::Busy);
    }

    #[test]
    fn what_was_not_fetched_whole_is_no_copy() {
        let (_folder, cache) = cache(100);
        let broken = cache.open("a", 4, |mut file| {
            file.write_all(b"ab").map_err(|error| Fault::io("a", &error))?;
            Err(Fault::upstream("it broke off"))
        });
        assert!(broken.is_err());
        assert_eq!(names(&cache), [""; 0]);
        std::fs::write(cache.folder.join("a"), "cut").expect("written");
        assert_eq!(filled(&cache, "a", "whole"), "whole", "a copy of another length is none");
    }
}
