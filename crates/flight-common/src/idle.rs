//! How long a step had nothing to do: an input had nothing for it, and no thread worked for it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A clock that goes while a step is idle.
#[derive(Debug, Default)]
pub(crate) struct IdleClock(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// The latest poll of an input found nothing.
    starved: bool,
    /// Work handed to the compute pool and not yet done.
    jobs: usize,
    /// Since when it goes, if it does.
    since: Option<Instant>,
    total: Duration,
}

impl IdleClock {
    /// Says whether the latest poll of an input found nothing.
    pub fn starved(&self, starved: bool) {
        self.change(|state| state.starved = starved);
    }

    /// Says that work is under way on other threads until the guard is dropped.
    pub fn job(&self) -> impl Drop + '_ {
        struct Guard<'a>(&'a IdleClock);
        impl Drop for Guard<'_> {
            fn drop(&mut self) {
                self.0.change(|state| state.jobs -= 1);
            }
        }
        self.change(|state| state.jobs += 1);
        Guard(self)
    }

    /// What it has counted up to now.
    pub fn counted(&self) -> Duration {
        let state = self.state();
        state.total + state.since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state();
        change(&mut state);
        match (state.since, state.starved && state.jobs == 0) {
            (None, true) => state.since = Some(Instant::now()),
            (Some(since), false) => {
                state.total += since.elapsed();
                state.since = None;
            }
            _ => {}
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread::sleep;

    #[test]
    fn it_goes_only_while_an_input_has_nothing_and_nobody_works() {
        const WHILE: Duration = Duration::from_millis(5);
        let clock = IdleClock::default();
        sleep(WHILE);
        assert_eq!(clock.counted(), Duration::ZERO);
        // Before it begins to count: what it has counted is no more than has passed, wherever this thread is held up.
        let begun = Instant::now();
        clock.starved(true);
        sleep(WHILE);
        let job = clock.job();
        let (least, most) = (WHILE, begun.elapsed());
        let counted = clock.counted();
        assert!((least..=most).contains(&counted), "{counted:?}");
        sleep(WHILE);
        assert_eq!(clock.counted(), counted, "somebody works");
        drop(job);
        sleep(WHILE);
        clock.starved(false);
        let counted = clock.counted();
        assert!(counted >= WHILE * 2, "{counted:?}");
        sleep(WHILE);
        assert_eq!(clock.counted(), counted, "there was something");
    }
}
