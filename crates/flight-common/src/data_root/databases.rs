//! Files that SQLite opens in this process, which nobody may open as ordinary files.
//!
//! A process that closes a file gives up all its locks on it, those too that SQLite holds by another descriptor
//! (<https://www.sqlite.org/howtocorrupt.html>, 2.2). Another process would then take the journal of a load that writes for one
//! that was left, and undo half of what it writes. So what SQLite has open is not opened otherwise, and what begins like a
//! database is looked at, and let go of before SQLite may have it. (An empty file may become a database while it is read as what it
//! is: nothing tells it from others.)

use crate::fault::Fault;
use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt};
use rustix::fs::{FlockOperation, OFlags, fcntl_lock};
use rustix::io::Errno;
use rustix::process::{Flock, FlockType, fcntl_getlk};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// How a database begins: <https://www.sqlite.org/fileformat.html>, 1.3.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";
/// How a log is called beside a database.
const LOG: &str = "-wal";
/// How files are called beside a database that are there while somebody writes to it, and what ends that.
const UNDER_WAY: [(&str, &str); 2] = [
    ("-journal", "let the write end; what one that was killed has left is undone when extract-sql reads {name} next"),
    (LOG, "let those end who use it; what they have left is written by `sqlite3 {name} 'PRAGMA wal_checkpoint'`"),
];
/// How often a file is opened anew that was replaced meanwhile.
const TRIES: usize = 10;

/// Device and inode.
pub(super) type Place = (u64, u64);

/// What this process does with a file.
#[derive(Default)]
struct Uses {
    /// How many connections of SQLite have it.
    databases: usize,
    /// How many look how it begins.
    looks: usize,
}

static USES: Mutex<BTreeMap<Place, Uses>> = Mutex::new(BTreeMap::new());
static LOOKED: Condvar = Condvar::new();

/// A file that SQLite may open, and has open until this is dropped: keep it for longer than the connection.
#[derive(Debug)]
pub struct OpenDatabase(Place);

impl OpenDatabase {
    /// The file of which this was found. Waits for who looks at it.
    #[must_use]
    pub fn new(found: &Metadata) -> Self {
        let place = (found.dev(), found.ino());
        let is_looked_at = |uses: &mut BTreeMap<Place, Uses>| uses.get(&place).is_some_and(|uses| uses.looks > 0);
        let mut uses = LOOKED.wait_while(uses(), is_looked_at).unwrap_or_else(PoisonError::into_inner);
        uses.entry(place).or_default().databases += 1;
        Self(place)
    }
}

impl Drop for OpenDatabase {
    fn drop(&mut self) {
        change(self.0, |uses| uses.databases -= 1);
    }
}

/// A look at how a file begins, for which SQLite waits.
pub(super) struct Look(Place);

impl Look {
    /// Begins to look at the file at this place, unless SQLite has it open.
    pub fn begin(place: Place) -> Option<Self> {
        let mut uses = uses();
        let uses = uses.entry(place).or_default();
        (uses.databases == 0).then(|| {
            uses.looks += 1;
            Self(place)
        })
    }
}

impl Drop for Look {
    fn drop(&mut self) {
        change(self.0, |uses| uses.looks -= 1);
        LOOKED.notify_all();
    }
}

/// A file that is looked at. It is closed before SQLite may open it.
pub(super) struct Looked {
    file: File,
    _look: Look,
}

impl Looked {
    /// Opens the file at this path, to look at it; nothing if SQLite has it open.
    pub fn open(dir: &Dir, path: &Path) -> io::Result<Option<Self>> {
        let mut options = OpenOptions::new();
        // A pipe without a writer would be waited for.
        options.read(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed());
        for _ in 0..TRIES {
            let Some(look) = Look::begin(place_of(&dir.metadata(path)?)) else { return Ok(None) };
            let file = dir.open_with(path, &options)?.into_std();
            let found = file.metadata()?;
            let place = (found.dev(), found.ino());
            if place == look.0 {
                return Ok(Some(Self { file, _look: look }));
            }
            match Look::begin(place) {
                Some(_look) => drop(file),
                // To close it would undo SQLite's locks.
                None => std::mem::forget(file),
            }
        }
        Err(io::Error::other("it was replaced, again and again, while it was opened"))
    }

    /// The file, unless it is a database.
    pub fn unless_database(self) -> Option<File> {
        (!self.is_database()).then_some(self.file)
    }

    fn is_database(&self) -> bool {
        is_database(&self.file)
    }

    /// Keeps SQLite, in whichever process, from beginning to write to it; false if it writes. Of a database with a log beside it,
    /// who reads may begin to write.
    fn lock(&self, has_log: bool) -> bool {
        // A lock of all of it is one of the bytes, too, that SQLite locks: <https://www.sqlite.org/lockingv3.html>.
        let is_open = || fcntl_getlk(&self.file, &Flock::from(FlockType::WriteLock)).is_ok_and(|lock| lock.is_some());
        let locked = fcntl_lock(&self.file, FlockOperation::NonBlockingLockShared);
        let is_written = matches!(locked, Err(Errno::AGAIN | Errno::ACCESS));
        !(is_written || has_log && is_open())
    }
}

fn is_database(file: &File) -> bool {
    let mut begin = [0; MAGIC.len()];
    // What cannot be read is told by who reads it.
    file.read_exact_at(&mut begin, 0).is_ok() && begin == *MAGIC
}

/// A file whose place another one takes, while SQLite does not write to it.
pub(super) struct Replaced(#[expect(dead_code, reason = "it is held until it is replaced")] Option<Looked>);

impl Replaced {
    /// Holds the file of this name, if there is one, for the one that takes its place, once that is there.
    ///
    /// # Errors
    /// That SQLite is at work on it; that it would bring into the new file what it has not written to the old one.
    pub fn hold(dir: &Dir, name: &OsStr, new: Option<&File>) -> Result<Self, Fault> {
        // A link is replaced, and not what it leads to.
        let is_file = dir.symlink_metadata(name).is_ok_and(|found| found.is_file());
        let held = match is_file.then(|| Looked::open(dir, name.as_ref())) {
            Some(Ok(None)) => return Err(at_work(name)),
            Some(Ok(looked)) => looked,
            // What may not be read may be replaced.
            Some(Err(_)) | None => None,
        };
        let database = held.as_ref().filter(|held| held.is_database());
        let has_log = || dir.symlink_metadata(beside(name, LOG)).is_ok();
        if database.is_some_and(|database| !database.lock(has_log())) {
            return Err(at_work(name));
        }
        if database.is_some() || new.is_some_and(is_database) {
            check_ended(dir, name)?;
        }
        Ok(Self(held))
    }
}

/// Refuses the name of a database to which a write has not ended.
fn check_ended(dir: &Dir, name: &OsStr) -> Result<(), Fault> {
    for (suffix, help) in UNDER_WAY {
        let beside = beside(name, suffix);
        if holds(dir, &beside) {
            let (name, beside) = (name.to_string_lossy(), beside.to_string_lossy());
            let message =
                format!("{name} cannot be replaced: SQLite would bring what {beside} holds into the new file");
            return Err(Fault::denied(message).help(help.replace("{name}", &name)));
        }
    }
    Ok(())
}

fn beside(name: &OsStr, suffix: &str) -> OsString {
    let mut beside = name.to_owned();
    beside.push(suffix);
    beside
}

/// Whether something is in a file that SQLite would bring into a database. What begins with a zero is no journal that has
/// begun, or one that has ended.
fn holds(dir: &Dir, beside: &OsStr) -> bool {
    let is_file = dir.symlink_metadata(beside).is_ok_and(|found| found.is_file() && found.len() > 0);
    let mut first = [1];
    let mut read = || dir.open(beside)?.into_std().read_at(&mut first, 0);
    is_file && (read().is_err() || first != [0])
}

fn at_work(name: &OsStr) -> Fault {
    let name = name.to_string_lossy();
    Fault::busy(format!("{name} is a database that SQLite is at work on"))
        .help("it can be replaced once nobody uses it: try again then")
}

/// The fault of a file that is SQLite's.
pub(super) fn is_a_database(given: &str) -> Fault {
    Fault::bad_params(format!("{given} is a database of SQLite"))
        .help(format!("read its tables with extract-sql, db_url: \"sqlite:{given}\""))
}

/// Device and inode.
fn place_of(found: &cap_std::fs::Metadata) -> Place {
    use cap_std::fs::MetadataExt;
    (found.dev(), found.ino())
}

fn uses() -> MutexGuard<'static, BTreeMap<Place, Uses>> {
    USES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Changes what is done with a file, of which nothing is noted any more if that is nothing.
fn change(place: Place, change: impl FnOnce(&mut Uses)) {
    let mut uses = uses();
    let Some(of_file) = uses.get_mut(&place) else { return };
    change(of_file);
    if of_file.databases == 0 && of_file.looks == 0 {
        uses.remove(&place);
    }
}
