//! Where kept items lie: in memory with a reservation, or in an unnamed spill file.
//!
//! An item on disk is its IPC messages one after another, each body on a 64-byte border so that arrays read back need
//! no copy to be aligned. Lengths are kept in memory, so that any item can be read at any time, also while others are
//! written. What was taken is given back to the disk chunk by chunk, so that a file holds what waits and not what went by.

use super::SpillSpace;
use super::scratch::ScratchFile;
use crate::fault::Fault;
use crate::memory::Reservation;
use crate::parcel::Parcel;
use crate::wire::Frame;
use arrow::buffer::{Buffer, MutableBuffer};
use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::{Mutex, PoisonError};

const ALIGNMENT: u64 = 64;
/// What a spill file gives back at a time: many blocks of any file system.
const CHUNK: u64 = 4 << 20;

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
    file: ScratchFile,
    /// How many items are still wanted of each chunk that has some. Without any, the file starts over.
    wanted: BTreeMap<u64, usize>,
}

impl Place {
    /// The chunks in which it lies.
    fn chunks(&self) -> impl Iterator<Item = u64> {
        self.offset / CHUNK..(self.offset + self.length).div_ceil(CHUNK)
    }
}

impl SpillFile {
    fn keep(&mut self, place: &Place) {
        for chunk in place.chunks() {
            *self.wanted.entry(chunk).or_default() += 1;
        }
    }

    fn forget(&mut self, place: &Place) {
        for chunk in place.chunks() {
            let Some(wanted) = self.wanted.get_mut(&chunk) else { continue };
            *wanted -= 1;
            if *wanted > 0 {
                continue;
            }
            self.wanted.remove(&chunk);
            // What comes next may still lie in the last one.
            if (chunk + 1) * CHUNK <= self.file.end() {
                self.file.give_back(chunk * CHUNK, CHUNK);
            }
        }
        if self.wanted.is_empty() {
            self.file.clear();
        }
    }
}

impl<T: Parcel> Shelf<T> {
    pub(super) fn new(space: SpillSpace, schema: SchemaRef) -> Self {
        Self { space, schema, file: Mutex::new(None), items: PhantomData }
    }

    pub(super) fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    /// Puts an item away. One that is to stay does not keep more memory taken than is booked for it.
    pub(super) fn put(&self, item: T, to_stay: bool) -> Result<Kept<T>, Fault> {
        match self.space.budget.try_reserve(item.bytes()) {
            Some(memory) => Ok(Kept::Memory { item: if to_stay { item.apart()? } else { item }, _memory: memory }),
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
            none => none.insert(SpillFile { file: ScratchFile::new(&self.space)?, wanted: BTreeMap::new() }),
        };
        let offset = spill.file.end();
        let mut messages = Vec::with_capacity(frames.len());
        for frame in &frames {
            spill.file.append(&frame.header)?;
            spill.file.append(&frame.app_metadata)?;
            spill.file.align(ALIGNMENT);
            for piece in &frame.body {
                spill.file.append(piece)?;
            }
            messages.push(Lengths {
                header: frame.header.len(),
                app_metadata: frame.app_metadata.len(),
                body: frame.body_len(),
            });
        }
        spill.file.align(ALIGNMENT);
        let place = Place { offset, length: spill.file.end() - offset, messages };
        spill.keep(&place);
        Ok(place)
    }

    fn read(&self, place: &Place) -> Result<T, Fault> {
        let length = usize::try_from(place.length).map_err(Fault::internal)?;
        let mut blob = MutableBuffer::from_len_zeroed(length);
        {
            let guard = self.file.lock().unwrap_or_else(PoisonError::into_inner);
            let spill = guard.as_ref().ok_or_else(|| Fault::internal("a spilled item without a spill file"))?;
            // The last item of the file may end in padding that was never written.
            spill.file.read_at(&mut blob, place.offset)?;
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
        if let Some(spill) = &mut *guard {
            spill.forget(place);
        }
    }
}

/// Lets `Bytes` own an Arrow buffer, and so pass for one without a copy.
pub(crate) struct OwnedBuffer(pub(crate) Buffer);

impl AsRef<[u8]> for OwnedBuffer {
    fn as_ref(&self) -> &[u8] {
        self.0.as_slice()
    }
}
