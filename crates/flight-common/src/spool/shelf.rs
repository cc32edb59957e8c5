//! Where kept items lie: in memory with a reservation, or in an unnamed spill file.
//!
//! An item on disk is its IPC messages one after another, each body on a 64-byte border so that arrays read back need
//! no copy to be aligned. Lengths are kept in memory, so that any item can be read at any time, also while others are
//! written.

use super::SpillSpace;
use crate::fault::Fault;
use crate::memory::Reservation;
use crate::parcel::Parcel;
use crate::wire::Frame;
use arrow::buffer::{Buffer, MutableBuffer};
use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use std::fs::File;
use std::marker::PhantomData;
use std::os::unix::fs::FileExt;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};

const ALIGNMENT: u64 = 64;

/// Puts items away and brings them back.
pub(super) struct Shelf<T> {
    space: SpillSpace,
    schema: SchemaRef,
    file: Mutex<Option<SpillFile>>,
    items: PhantomData<fn(T)>,
}

/// An item put away.
pub(super) enum Kept<T> {
    Memory { item: T, _memory: Reservation },
    Disk(Place),
}

/// Where an item's messages lie in the spill file.
pub(super) struct Place {
    offset: u64,
    length: u64,
    messages: Vec<Lengths>,
}

struct Lengths {
    header: usize,
    app_metadata: usize,
    body: usize,
}

struct SpillFile {
    file: File,
    end: u64,
    /// Items in it that are still wanted. At zero the file starts over.
    wanted: usize,
}

impl<T: Parcel> Shelf<T> {
    pub(super) fn new(space: SpillSpace, schema: SchemaRef) -> Self {
        Self { space, schema, file: Mutex::new(None), items: PhantomData }
    }

    pub(super) fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    pub(super) fn put(&self, item: T) -> Result<Kept<T>, Fault> {
        match self.space.budget.try_reserve(item.bytes()) {
            Some(memory) => Ok(Kept::Memory { item, _memory: memory }),
            None => self.write(&item).map(Kept::Disk),
        }
    }

    pub(super) fn get(&self, kept: &Kept<T>) -> Result<T, Fault> {
        match kept {
            Kept::Memory { item, .. } => Ok(item.clone()),
            Kept::Disk(place) => self.read(place),
        }
    }

    pub(super) fn take(&self, kept: Kept<T>) -> Result<T, Fault> {
        match kept {
            Kept::Memory { item, .. } => Ok(item),
            Kept::Disk(place) => {
                let item = self.read(&place)?;
                self.forget(&place);
                Ok(item)
            }
        }
    }

    fn write(&self, item: &T) -> Result<Place, Fault> {
        let frames = item.to_frames()?;
        let mut guard = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let spill = match &mut *guard {
            Some(spill) => spill,
            none => none.insert(SpillFile::create(&self.space)?),
        };
        let offset = spill.end;
        let mut messages = Vec::with_capacity(frames.len());
        for frame in &frames {
            spill.append(&self.space, &frame.header)?;
            spill.append(&self.space, &frame.app_metadata)?;
            spill.align(&self.space);
            for piece in &frame.body {
                spill.append(&self.space, piece)?;
            }
            messages.push(Lengths {
                header: frame.header.len(),
                app_metadata: frame.app_metadata.len(),
                body: frame.body_len(),
            });
        }
        spill.align(&self.space);
        spill.wanted += 1;
        let length = spill.end - offset;
        self.space.spilled.fetch_add(length, Ordering::Relaxed);
        Ok(Place { offset, length, messages })
    }

    fn read(&self, place: &Place) -> Result<T, Fault> {
        let length = usize::try_from(place.length).map_err(Fault::internal)?;
        let mut blob = MutableBuffer::from_len_zeroed(length);
        {
            let guard = self.file.lock().unwrap_or_else(PoisonError::into_inner);
            let spill = guard.as_ref().ok_or_else(|| Fault::internal("a spilled item without a spill file"))?;
            // The last item of the file may end in padding that was never written.
            read_up_to(&spill.file, &mut blob, place.offset).map_err(|error| Fault::io("the spill file", &error))?;
        }
        let blob = Buffer::from(blob);
        let mut at = 0;
        let mut piece = |length: usize| {
            let bytes = Bytes::from_owner(OwnedBuffer(blob.slice_with_length(at, length)));
            at += length;
            bytes
        };
        let mut frames = Vec::with_capacity(place.messages.len());
        let mut offset = 0usize;
        for lengths in &place.messages {
            let header = piece(lengths.header);
            let app_metadata = piece(lengths.app_metadata);
            offset += lengths.header + lengths.app_metadata;
            let padding = offset.next_multiple_of(ALIGNMENT as usize) - offset;
            piece(padding);
            let body = piece(lengths.body);
            offset += padding + lengths.body;
            frames.push(Frame::new(header, app_metadata, vec![body]));
        }
        T::from_frames(frames, &self.schema)
    }

    fn forget(&self, place: &Place) {
        let mut guard = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(spill) = &mut *guard else { return };
        spill.wanted -= 1;
        debug_assert!(place.offset < spill.end);
        if spill.wanted == 0 && spill.file.set_len(0).is_ok() {
            self.space.used.fetch_sub(spill.end, Ordering::Relaxed);
            spill.end = 0;
        }
    }
}

impl<T> Drop for Shelf<T> {
    fn drop(&mut self) {
        if let Some(spill) = self.file.get_mut().unwrap_or_else(PoisonError::into_inner) {
            self.space.used.fetch_sub(spill.end, Ordering::Relaxed);
        }
    }
}

impl SpillFile {
    fn create(space: &SpillSpace) -> Result<Self, Fault> {
        let file = tempfile::tempfile_in(space.dir())
            .map_err(|error| Fault::io(format!("a spill file in {}", space.dir().display()), &error))?;
        Ok(Self { file, end: 0, wanted: 0 })
    }

    /// Goes on at the next border. The gap is booked like what is written, since it is given back with it.
    fn align(&mut self, space: &SpillSpace) {
        let aligned = self.end.next_multiple_of(ALIGNMENT);
        space.used.fetch_add(aligned - self.end, Ordering::Relaxed);
        self.end = aligned;
    }

    fn append(&mut self, space: &SpillSpace, bytes: &[u8]) -> Result<(), Fault> {
        let length = bytes.len() as u64;
        if space.used.load(Ordering::Relaxed).saturating_add(length) > space.quota {
            return Err(Fault::busy(format!("the quota of {} bytes for spill files is used up", space.quota))
                .help("give the service more memory or a larger spill quota, or send less at once")
                .retry_after(Fault::RETRY_SOON));
        }
        self.file.write_all_at(bytes, self.end).map_err(|error| {
            Fault::io(format!("a spill file in {}", space.dir().display()), &error)
                .help("free disk space, raise the memory limit, or set another folder for spill files")
        })?;
        self.end += length;
        space.used.fetch_add(length, Ordering::Relaxed);
        Ok(())
    }
}

fn read_up_to(file: &File, mut buffer: &mut [u8], mut offset: u64) -> std::io::Result<()> {
    while !buffer.is_empty() {
        match file.read_at(buffer, offset)? {
            0 => return Ok(()),
            read => {
                buffer = &mut buffer[read..];
                offset += read as u64;
            }
        }
    }
    Ok(())
}

/// Lets `Bytes` own an Arrow buffer, and so pass for one without a copy.
pub(crate) struct OwnedBuffer(pub(crate) Buffer);

impl AsRef<[u8]> for OwnedBuffer {
    fn as_ref(&self) -> &[u8] {
        self.0.as_slice()
    }
}
