//! Memory of message bodies, used again.
//!
//! A stream of large messages asks for a few megabytes and gives them back, over and over. What is given back to the
//! operating system comes again as pages that it must clear first, and that is a good part of what a message costs. So a
//! few bodies of usual size are kept.

use arrow::buffer::{Buffer, MutableBuffer};
use bytes::Bytes;
use std::sync::{Mutex, PoisonError};

/// Bytes that a process keeps at most.
const KEPT: usize = 8 << 20;
/// Smaller bodies come cheaply from the allocator.
const SMALLEST: usize = 128 << 10;

static SHELF: Mutex<Vec<MutableBuffer>> = Mutex::new(Vec::new());

/// An empty buffer with room for this many bytes, and at most twice as many.
pub(super) fn buffer(capacity: usize) -> MutableBuffer {
    let fits = |kept: &MutableBuffer| kept.capacity() >= capacity && kept.capacity() / 2 <= capacity;
    let found = match capacity >= SMALLEST {
        true => {
            let mut shelf = SHELF.lock().unwrap_or_else(PoisonError::into_inner);
            shelf.iter().position(fits).map(|place| shelf.swap_remove(place))
        }
        false => None,
    };
    found.unwrap_or_else(|| MutableBuffer::with_capacity(capacity))
}

/// The bytes of a buffer, whose memory is used again when nobody needs them any more.
pub(super) fn bytes(buffer: MutableBuffer) -> Bytes {
    Bytes::from_owner(Lent(buffer.into()))
}

struct Lent(Buffer);

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        self.0.as_slice()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        // Memory of another kind, or still in use: it goes its own way.
        let Ok(mut memory) = std::mem::take(&mut self.0).into_mutable() else { return };
        if memory.capacity() < SMALLEST {
            return;
        }
        let mut shelf = SHELF.lock().unwrap_or_else(PoisonError::into_inner);
        let kept: usize = shelf.iter().map(MutableBuffer::capacity).sum();
        if kept + memory.capacity() <= KEPT {
            memory.clear();
            shelf.push(memory);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_comes_again_empty_once_nobody_reads_it() {
        let mut first = buffer(1 << 20);
        first.extend_from_slice(&[7; 1 << 20]);
        let place = first.as_ptr();
        let bytes = bytes(first);
        let part = bytes.slice(5..9);
        drop(bytes);
        assert_ne!(buffer(1 << 20).as_ptr(), place, "somebody still reads it");
        drop(part);
        // Other tests may take it first; then they give another one back.
        let again = buffer(1 << 20);
        assert!(again.is_empty() && again.capacity() >= 1 << 20);
        assert!(buffer(100).capacity() < SMALLEST);
    }
}
