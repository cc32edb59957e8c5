//! Places for those whose answers take long: event streams, uploads, downloads, queries.

use crate::access::Access;
use flight_common::Fault;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// So many places, of which no caller has more than some.
#[derive(Clone)]
pub(crate) struct Seats(Arc<Room>);

struct Room {
    what: &'static str,
    all: usize,
    each: usize,
    taken: Mutex<HashMap<String, usize>>,
}

/// A place, until it is dropped.
pub struct Seat {
    room: Arc<Room>,
    caller: String,
}

impl Seats {
    /// `all` places for these, of which a caller may have half. Without tokens nobody is told from others.
    pub fn new(what: &'static str, all: usize, access: Access) -> Self {
        let each = if access == Access::Open { all } else { all.div_ceil(2) };
        Self(Arc::new(Room { what, all, each, taken: Mutex::default() }))
    }

    /// A place for this caller.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::Busy`] if none is left, or the caller has enough of them.
    pub fn take(&self, caller: &str) -> Result<Seat, Fault> {
        let mut taken = self.0.taken();
        let own = taken.get(caller).copied().unwrap_or(0);
        if own >= self.0.each || taken.values().sum::<usize>() >= self.0.all {
            let whose = if own >= self.0.each { " of this caller" } else { "" };
            return Err(Fault::busy(format!("too many {}{whose} are under way", self.0.what))
                .help("come back soon")
                .retry_after(Duration::from_secs(5)));
        }
        taken.insert(caller.to_owned(), own + 1);
        Ok(Seat { room: self.0.clone(), caller: caller.to_owned() })
    }
}

impl Room {
    fn taken(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.room.taken();
        match taken.get_mut(&self.caller) {
            Some(own) if *own > 1 => *own -= 1,
            _ => drop(taken.remove(&self.caller)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_takes_the_places_of_all_others() {
        let seats = Seats::new("queries", 3, Access::Tokens);
        let (first, _second) = (seats.take("ann").expect("free"), seats.take("ann").expect("free"));
        assert!(seats.take("ann").err().is_some_and(|fault| fault.message().contains("of this caller")));
        let _third = seats.take("bob").expect("free");
        assert!(seats.take("eve").is_err(), "none is left");
        drop(first);
        seats.take("eve").expect("free again");
        seats.take("ann").expect("free again");
    }
}
