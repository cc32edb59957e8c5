//! Files that SQLite opens in this process, which nobody may open as ordinary files.
//!
//! A process that closes a file gives up all its locks on it, those too that SQLite holds by another descriptor
//! (<https://www.sqlite.org/howtocorrupt.html>, 2.2). Another process would then take the journal of a load that writes for one
//! that was left, and undo half of what it writes. So what SQLite has open is not opened otherwise, and what begins like a
//! database is looked at, and let go of before SQLite may have it. (An empty file may become a database while it is read as what it
//! is: nothing tells it from others.)

use crate::fault::Fault;
use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// How a database begins: <https://www.sqlite.org/fileformat.html>, 1.3.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

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

    /// Whether it is the file at this place that is looked at, and not one that was there before.
    pub fn is_at(&self, place: Place) -> bool {
        place == self.0
    }

    /// The file, unless it is a database.
    pub fn end(self, file: File) -> Option<File> {
        let mut begin = [0; MAGIC.len()];
        // What cannot be read is told by who reads it.
        let is_database = file.read_exact_at(&mut begin, 0).is_ok() && begin == *MAGIC;
        (!is_database).then_some(file)
    }
}

impl Drop for Look {
    fn drop(&mut self) {
        change(self.0, |uses| uses.looks -= 1);
        LOOKED.notify_all();
    }
}

/// The fault of a file that is SQLite's.
pub(super) fn is_a_database(given: &str) -> Fault {
    Fault::bad_params(format!("{given} is a database of SQLite"))
        .help(format!("read its tables with extract-sql, db_url: \"sqlite:{given}\""))
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
