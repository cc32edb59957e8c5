//! For whom a thread computes.
//!
//! DataFusion calls a function without a word on the query that it belongs to. But each query has threads of its own, and so has
//! each that is planned: the thread knows for whom it computes, whether anybody still waits for that, and whose memory it takes.

use crate::faults::into_error;
use arrow::array::{Array, ArrayData, ArrayRef, RecordBatch};
use arrow::buffer::Buffer;
use datafusion::common::{Result, exec_err};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation, UnboundedMemoryPool};
use datafusion::logical_expr::ColumnarValue;
use datafusion_execution::memory_pool::arrow::ArrowMemoryPool;
use flight_common::Fault;
use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::sync::{Arc, LazyLock, Weak};

/// The most that one call makes, for all rows of a batch together.
pub(crate) const MOST_BYTES: usize = 64 << 20;
/// The most that all constants of a query come to which are computed while it is planned: each may be copied for many rows.
const MOST_CONSTANTS: usize = 1 << 20;
/// What is smaller is not in the books.
pub(crate) const WORTH_BOOKING: usize = 64 << 10;

thread_local! {
    static HERE: RefCell<Option<Errand>> = const { RefCell::new(None) };
    static CONSTANTS: Cell<usize> = const { Cell::new(0) };
}

/// What a thread computes for.
#[derive(Clone)]
pub(crate) struct Errand {
    /// Gone when nobody waits any more.
    caller: Weak<()>,
    kind: Kind,
}

#[derive(Clone)]
enum Kind {
    Planning,
    Running { memory: Arc<dyn MemoryPool> },
}

impl Errand {
    /// Planning a query for whoever holds this.
    pub fn planning(caller: &Arc<()>) -> Self {
        Self { caller: Arc::downgrade(caller), kind: Kind::Planning }
    }

    /// Running one, with what it makes in this memory.
    pub fn running(caller: &Arc<()>, memory: Arc<dyn MemoryPool>) -> Self {
        Self { caller: Arc::downgrade(caller), kind: Kind::Running { memory } }
    }

    /// Makes it the errand of this thread, for good.
    pub fn begin(self) {
        HERE.set(Some(self));
    }
}

/// An error if nobody waits any more for what this thread computes.
pub(crate) fn wanted() -> Result<()> {
    HERE.with_borrow(|errand| match errand {
        Some(errand) if errand.caller.strong_count() == 0 => {
            Err(into_error(Fault::cancelled("nobody reads the query's rows any more")))
        }
        _ => Ok(()),
    })
}

/// Holds what a call has made for so many rows against what there is, and books it for as long as it is there.
///
/// What it was given, and has put into what it has made, is not its own.
pub(crate) fn made(what: &str, value: &ColumnarValue, given: &[ColumnarValue], rows: usize) -> Result<()> {
    let (bytes, all) = match value {
        ColumnarValue::Array(values) if values.get_array_memory_size() < WORTH_BOOKING => return Ok(()),
        ColumnarValue::Array(values) => own_bytes(values, given),
        // Whoever reads it may write it out for each row.
        ColumnarValue::Scalar(value) => (value.size().saturating_mul(rows), false),
    };
    hold(what, bytes)?;
    if bytes < WORTH_BOOKING {
        return Ok(());
    }
    HERE.with_borrow(|errand| match (errand.as_ref().map(|errand| &errand.kind), value) {
        (Some(Kind::Planning), _) => {
            CONSTANTS.set(CONSTANTS.get() + bytes);
            match CONSTANTS.get() > MOST_CONSTANTS {
                true => exec_err!("the constants of the query come to more than {MOST_CONSTANTS} bytes"),
                false => Ok(()),
            }
        }
        (Some(Kind::Running { memory }), ColumnarValue::Array(values)) if all => {
            let consumer = MemoryConsumer::new(format!("what {what} makes"));
            // Who may have it has it for a moment twice.
            consumer.clone_with_new_id().register(memory).try_grow(bytes)?;
            values.claim(&ArrowMemoryPool::new(memory.clone(), consumer));
            Ok(())
        }
        _ => Ok(()),
    })
}

/// Books what something keeps that lives on, of the query that this thread runs.
pub(crate) fn book(what: &str) -> Option<MemoryReservation> {
    HERE.with_borrow(|errand| match errand.as_ref().map(|errand| &errand.kind) {
        Some(Kind::Running { memory }) => Some(MemoryConsumer::new(what.to_owned()).register(memory)),
        _ => None,
    })
}

/// The bytes of what is behind these values and was not given, and whether nothing was.
fn own_bytes(values: &ArrayRef, given: &[ColumnarValue]) -> (usize, bool) {
    let mut known = HashSet::new();
    for value in given {
        if let ColumnarValue::Array(values) = value {
            buffers(&values.to_data(), &mut |buffer| {
                known.insert(buffer.data_ptr());
            });
        }
    }
    let (mut bytes, mut all) = (0, true);
    buffers(&values.to_data(), &mut |buffer| match known.contains(&buffer.data_ptr()) {
        true => all = false,
        false => bytes += buffer.capacity(),
    });
    (bytes, all)
}

fn buffers(data: &ArrayData, see: &mut dyn FnMut(&Buffer)) {
    data.buffers().iter().chain(data.nulls().map(|nulls| nulls.buffer())).for_each(&mut *see);
    data.child_data().iter().for_each(|child| buffers(child, see));
}

/// Takes rows that leave a query out of its books: whoever has them now has them in its own.
pub(crate) fn let_go(rows: &RecordBatch) {
    static NOBODYS: LazyLock<ArrowMemoryPool> = LazyLock::new(|| {
        ArrowMemoryPool::new(Arc::new(UnboundedMemoryPool::default()), MemoryConsumer::new("rows that have left"))
    });
    let booked = rows.columns().iter().filter(|column| column.get_array_memory_size() >= WORTH_BOOKING);
    booked.for_each(|column| column.claim(&*NOBODYS));
}

/// Whether one call may make so much.
pub(crate) fn hold(what: &str, bytes: usize) -> Result<()> {
    match bytes > MOST_BYTES {
        true => exec_err!("{what} would make {bytes} bytes at once, and {MOST_BYTES} is the most"),
        false => Ok(()),
    }
}
