//! One memory budget for the process.
//!
//! Every spool, tee and join reserves from it before it keeps rows, and goes to disk when it is refused; nothing fails
//! for want of memory while there is disk. Queues between steps are bounded by their own size and only booked here, so
//! that they can never wait for memory that their own reader holds.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The memory that kept rows may take, shared by all that keep rows.
#[derive(Clone, Debug)]
pub struct MemoryBudget(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    limit: usize,
    used: AtomicUsize,
    peak: AtomicUsize,
    sharers: AtomicUsize,
}

impl MemoryBudget {
    /// A budget of `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self(Arc::new(Inner {
            limit,
            used: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
            sharers: AtomicUsize::new(0),
        }))
    }

    /// What a service takes if nobody says: 256 MiB.
    pub const DEFAULT_LIMIT: usize = 256 << 20;

    /// An empty reservation.
    pub fn reservation(&self) -> Reservation {
        Reservation { budget: self.clone(), bytes: 0 }
    }

    /// A reservation of `bytes`, or nothing if the budget would be exceeded.
    pub fn try_reserve(&self, bytes: usize) -> Option<Reservation> {
        let mut reservation = self.reservation();
        reservation.try_grow(bytes).then_some(reservation)
    }

    /// Joins those who divide what they take among them.
    pub fn share(&self) -> Share {
        self.0.sharers.fetch_add(1, Ordering::Relaxed);
        Share(self.clone())
    }

    /// The limit in bytes.
    pub fn limit(&self) -> usize {
        self.0.limit
    }

    /// The bytes reserved now.
    pub fn used(&self) -> usize {
        self.0.used.load(Ordering::Relaxed)
    }

    /// The most bytes that were reserved at once.
    pub fn peak(&self) -> usize {
        self.0.peak.load(Ordering::Relaxed)
    }
}

impl Default for MemoryBudget {
    fn default() -> Self {
        Self::new(Self::DEFAULT_LIMIT)
    }
}

/// A part in what several take from a [`MemoryBudget`]: the more there are, the less is for each.
#[derive(Debug)]
pub struct Share(MemoryBudget);

impl Share {
    /// An even part of so many bytes, by how many there are now.
    pub fn of(&self, bytes: usize) -> usize {
        bytes / self.0.0.sharers.load(Ordering::Relaxed).max(1)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.0.0.sharers.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Bytes taken from a [`MemoryBudget`], given back when dropped.
#[derive(Debug)]
pub struct Reservation {
    budget: MemoryBudget,
    bytes: usize,
}

impl Reservation {
    /// Takes `more` bytes if the budget has them.
    pub fn try_grow(&mut self, more: usize) -> bool {
        let inner = &self.budget.0;
        let taken = inner.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            used.checked_add(more).filter(|sum| *sum <= inner.limit)
        });
        if let Ok(before) = taken {
            inner.peak.fetch_max(before + more, Ordering::Relaxed);
            self.bytes += more;
        }
        taken.is_ok()
    }

    /// Books `more` bytes without asking: for what is already bounded by its own size.
    pub fn grow(&mut self, more: usize) {
        let inner = &self.budget.0;
        let before = inner.used.fetch_add(more, Ordering::Relaxed);
        inner.peak.fetch_max(before + more, Ordering::Relaxed);
        self.bytes += more;
    }

    /// Gives back `less` bytes, or all there are.
    pub fn shrink(&mut self, less: usize) {
        let less = less.min(self.bytes);
        self.budget.0.used.fetch_sub(less, Ordering::Relaxed);
        self.bytes -= less;
    }

    /// The bytes it holds.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.shrink(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_refuses_what_it_does_not_have_and_takes_back_what_is_dropped() {
        let budget = MemoryBudget::new(100);
        let first = budget.try_reserve(80);
        assert!(first.is_some());
        assert!(budget.try_reserve(21).is_none());
        drop(first);
        assert_eq!(budget.used(), 0);
        assert_eq!(budget.peak(), 80);
        assert!(budget.try_reserve(100).is_some());
    }

    #[test]
    fn those_who_share_get_even_parts() {
        let budget = MemoryBudget::new(100);
        let first = budget.share();
        assert_eq!(first.of(90), 90);
        let others = [budget.share(), budget.share()];
        assert_eq!((first.of(90), others[1].of(90)), (30, 30));
        drop(others);
        assert_eq!(first.of(90), 90);
    }
}
