//! A nameless file in the spill space: what spools write to, and what a library may that spills by itself.
//!
//! It has no name from the start, so that no crash leaves one behind. What it takes of the disk is booked, held against
//! the quota, and given back when it is emptied or dropped.

use super::SpillSpace;
use crate::fault::Fault;
use bytes::Bytes;
use rustix::fs::FallocateFlags;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// What to try when a disk is full.
const ROOM: &str = "free disk space, raise the memory limit, or set another folder for spill files";
/// What spill files leave of a disk to all others: this, or a twentieth of what would be free without them.
const LEFT_TO_OTHERS: u64 = 1 << 30;
/// Bytes after which a file looks again how much is left.
const LOOK: u64 = 16 << 20;

/// A nameless file that is written at its end and read anywhere.
#[derive(Debug)]
pub struct ScratchFile {
    space: SpillSpace,
    file: Arc<File>,
    end: u64,
    /// Bytes that are booked for it: those up to its end that were not given back.
    taken: u64,
    /// Where it looks again how much of the disk is left.
    look: u64,
}

impl ScratchFile {
    /// An empty file in this space.
    ///
    /// # Errors
    /// Why the folder cannot be written to.
    pub fn new(space: &SpillSpace) -> Result<Self, Fault> {
        let file = tempfile::tempfile_in(space.dir())
            .map_err(|error| Fault::io(format!("a spill file in {}", space.dir().display()), &error))?;
        Ok(Self { space: space.clone(), file: Arc::new(file), end: 0, taken: 0, look: 0 })
    }

    /// Its length.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Writes at the end. May block: call it on the compute pool.
    ///
    /// # Errors
    /// [`crate::FaultKind::Busy`] when the quota or the disk is full.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let length = bytes.len() as u64;
        let space = &self.space;
        if space.used.load(Ordering::Relaxed).saturating_add(length) > space.quota {
            return Err(Fault::busy(format!("the quota of {} bytes for spill files is used up", space.quota))
                .help("give the service more memory or a larger spill quota, or send less at once")
                .retry_after(Fault::RETRY_SOON));
        }
        if self.end >= self.look {
            self.look_at_the_disk()?;
            self.look = self.end + LOOK;
        }
        self.file
            .write_all_at(bytes, self.end)
            .map_err(|error| Fault::unwritten(format!("a spill file in {}", space.dir().display()), &error, ROOM))?;
        self.book(length);
        Ok(())
    }

    fn look_at_the_disk(&self) -> Result<(), Fault> {
        let dir = self.space.dir().display();
        let disk = rustix::fs::fstatvfs(&self.file).map_err(|error| Fault::io(&dir, &error.into()))?;
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        match is_left_to_others(free, self.space.used.load(Ordering::Relaxed)) {
            true => Err(Fault::busy(format!("spill files leave the last {free} bytes of the disk of {dir} to others"))
                .help(ROOM)
                .retry_after(Fault::RETRY_SOON)),
            false => Ok(()),
        }
    }

    /// Goes on at the next border of so many bytes. The gap is booked like what is written, since it is given back with it.
    pub fn align(&mut self, border: u64) {
        self.book(self.end.next_multiple_of(border) - self.end);
    }

    fn book(&mut self, length: u64) {
        self.end += length;
        self.taken += length;
        self.space.used.fetch_add(length, Ordering::Relaxed);
        self.space.spilled.fetch_add(length, Ordering::Relaxed);
    }

    /// Fills the buffer from this place on, as far as the file goes; what lies behind its end stays as it is.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub fn read_at(&self, buffer: &mut [u8], place: u64) -> Result<(), Fault> {
        read_up_to(&self.file, buffer, place).map(drop).map_err(|error| Fault::io("the spill file", &error))
    }

    /// Reads from the beginning, while others write on or the file itself is gone. Polled, it may block.
    pub fn reader(&self) -> ScratchReader {
        ScratchReader { file: self.file.clone(), place: 0 }
    }

    /// Lets go of a part before its end, which is not read again, and not given back again. Where the file system cannot
    /// do that it stays, and is booked on.
    pub(super) fn give_back(&mut self, place: u64, length: u64) {
        let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        if rustix::fs::fallocate(&self.file, hole, place, length).is_ok() {
            self.space.used.fetch_sub(length, Ordering::Relaxed);
            self.taken -= length;
        }
    }

    /// Lets go of all that is in it. Where that fails it stays, and is booked on.
    pub fn clear(&mut self) {
        if self.file.set_len(0).is_ok() {
            self.space.used.fetch_sub(self.taken, Ordering::Relaxed);
            (self.end, self.taken, self.look) = (0, 0, 0);
        }
    }
}

impl Drop for ScratchFile {
    fn drop(&mut self) {
        self.space.used.fetch_sub(self.taken, Ordering::Relaxed);
    }
}

/// Whether no more than this may be free of a disk of which spill files have taken so many bytes.
fn is_left_to_others(free: u64, taken: u64) -> bool {
    free < LEFT_TO_OTHERS.min(free.saturating_add(taken) / 20)
}

/// Reads a [`ScratchFile`] from its beginning.
#[derive(Debug)]
pub struct ScratchReader {
    file: Arc<File>,
    place: u64,
}

impl ScratchReader {
    /// The next bytes, `most` of them at most; none at the end as it is now.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub fn next(&mut self, most: usize) -> Result<Bytes, Fault> {
        let mut buffer = vec![0; most];
        let read =
            read_up_to(&self.file, &mut buffer, self.place).map_err(|error| Fault::io("the spill file", &error))?;
        buffer.truncate(read);
        self.place += read as u64;
        Ok(buffer.into())
    }
}

fn read_up_to(file: &File, buffer: &mut [u8], place: u64) -> std::io::Result<usize> {
    let mut done = 0;
    while done < buffer.len() {
        match file.read_at(&mut buffer[done..], place + done as u64)? {
            0 => break,
            read => done += read,
        }
    }
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FaultKind, MemoryBudget};

    fn space(quota: u64) -> SpillSpace {
        SpillSpace::new(MemoryBudget::new(0), std::env::temp_dir(), quota)
    }

    #[test]
    fn what_is_written_is_read_and_booked_until_it_is_dropped() {
        let space = space(u64::MAX);
        let mut file = ScratchFile::new(&space).expect("a file");
        file.append(b"first").expect("written");
        let mut reader = file.reader();
        assert_eq!(reader.next(3).expect("read"), "fir");
        file.append(b" second").expect("written");
        assert_eq!(reader.next(100).expect("read"), "st second");
        assert!(reader.next(100).expect("read").is_empty());
        assert_eq!((space.disk_used(), space.bytes_spilled()), (12, 12));
        drop(file);
        assert_eq!((space.disk_used(), space.bytes_spilled()), (0, 12));
    }

    #[test]
    fn what_is_given_back_takes_no_disk_and_is_given_back_once() {
        use std::os::unix::fs::MetadataExt;
        const PART: usize = 1 << 20;
        let space = space(u64::MAX);
        let mut file = ScratchFile::new(&space).expect("a file");
        for byte in 1..=4 {
            file.append(&[byte; PART]).expect("written");
        }
        file.give_back(PART as u64, 2 * PART as u64);
        assert_eq!(space.disk_used(), 2 * PART as u64);
        assert!(file.file.metadata().expect("its figures").blocks() * 512 < 3 * PART as u64);
        for (place, byte) in [(0, 1), (3, 4)] {
            let mut part = vec![0; PART];
            file.read_at(&mut part, place * PART as u64).expect("read");
            assert!(part.iter().all(|&read| read == byte));
        }
        file.clear();
        assert_eq!((file.end(), space.disk_used()), (0, 0));
        file.append(b"again").expect("written");
        drop(file);
        assert_eq!(space.disk_used(), 0);
    }

    #[test]
    fn the_last_of_a_disk_is_left_to_others_and_a_little_of_a_full_one_may_be_taken() {
        const MIB: u64 = 1 << 20;
        for (free, taken, left) in [
            (0, 0, false),
            (300 * MIB, 0, false),
            (16 * MIB, 284 * MIB, false),
            (14 * MIB, 286 * MIB, true),
            (1023 * MIB, 50_000 * MIB, true),
            (1024 * MIB, 50_000 * MIB, false),
        ] {
            assert_eq!(is_left_to_others(free, taken), left, "{free} free, {taken} taken");
        }
    }

    #[test]
    fn a_full_quota_is_told_and_leaves_the_file_as_it_was() {
        let space = space(8);
        let mut file = ScratchFile::new(&space).expect("a file");
        file.append(b"12345678").expect("just enough");
        assert_eq!(file.append(b"9").expect_err("too much").kind(), FaultKind::Busy);
        file.clear();
        assert_eq!((file.end(), space.disk_used()), (0, 0));
        file.append(b"again").expect("there is room");
    }
}
