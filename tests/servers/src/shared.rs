//! One server for all tests of a process: started by the first, stopped when the last lets go of it.

use std::sync::{Arc, Mutex, PoisonError, Weak};

/// The place where such a server is found.
pub struct Shared<T>(Mutex<Weak<T>>);

impl<T> Shared<T> {
    /// Nobody has asked yet.
    pub const fn new() -> Self {
        Self(Mutex::new(Weak::new()))
    }

    /// The server; `start` starts it if it is not there.
    pub fn get(&self, start: impl FnOnce() -> T) -> Arc<T> {
        let mut shared = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let started = Arc::new(start());
            *shared = Arc::downgrade(&started);
            started
        })
    }
}
