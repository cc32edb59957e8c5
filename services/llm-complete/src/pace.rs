//! When a request may begin: the rate that was set, the pause that a server asked for, and the pause before a repetition.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The longest pause of a server that is waited for.
pub const LONGEST_WAIT: Duration = Duration::from_secs(600);

/// Lets requests through one after the other, evenly spaced, and none while the server wants a pause.
#[derive(Debug)]
pub struct Gate {
    gap: Duration,
    times: Mutex<Times>,
}

#[derive(Debug)]
struct Times {
    next: Instant,
    closed_until: Instant,
}

impl Gate {
    /// A gate for so many requests a minute, or for any number.
    pub fn new(per_minute: Option<u32>, now: Instant) -> Self {
        let gap = per_minute.map_or(Duration::ZERO, |requests| Duration::from_secs(60) / requests.max(1));
        Self { gap, times: Mutex::new(Times { next: now, closed_until: now }) }
    }

    /// Closes the gate for all.
    pub fn close_until(&self, then: Instant) {
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        times.closed_until = times.closed_until.max(then);
    }

    /// Takes the next turn: the moment at which it is.
    fn turn(&self, now: Instant) -> Instant {
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = times.next.max(times.closed_until).max(now);
        times.next = turn + self.gap;
        turn
    }

    fn closed_until(&self) -> Instant {
        self.times.lock().unwrap_or_else(PoisonError::into_inner).closed_until
    }

    /// Waits for a turn. Who finds the gate closed when it has come takes another: else all would begin at once when it opens.
    pub async fn pass(&self) {
        loop {
            let turn = self.turn(Instant::now());
            tokio::time::sleep_until(turn.into()).await;
            if self.closed_until() <= turn {
                return;
            }
        }
    }
}

/// The pause before a repetition, the first being number 0: longer each time, and not the same for all who wait for the
/// same server. `chance` lies between 0 and 1.
pub fn pause(number: u32, chance: f64) -> Duration {
    const FIRST: f64 = 0.4;
    const LONGEST: f64 = 30.0;
    let whole = (FIRST * 2f64.powi(number.min(16).cast_signed())).min(LONGEST);
    Duration::from_secs_f64(whole * (0.75 + chance / 2.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::future::join_all;

    #[test]
    fn turns_are_evenly_spaced_and_none_is_saved_up() {
        let now = Instant::now();
        let gate = Gate::new(Some(120), now);
        let half = Duration::from_millis(500);
        assert_eq!([gate.turn(now), gate.turn(now), gate.turn(now)], [now, now + half, now + 2 * half]);
        let later = now + Duration::from_secs(60);
        assert_eq!([gate.turn(later), gate.turn(later)], [later, later + half]);
    }

    #[test]
    fn without_a_rate_all_may_begin_at_once_unless_the_server_wants_a_pause() {
        let now = Instant::now();
        let gate = Gate::new(None, now);
        assert_eq!([gate.turn(now), gate.turn(now)], [now, now]);
        let then = now + Duration::from_secs(9);
        gate.close_until(then);
        gate.close_until(now);
        assert_eq!([gate.turn(now), gate.turn(now)], [then, then]);
    }

    #[tokio::test]
    async fn those_who_wait_out_a_pause_begin_one_after_the_other() {
        let (begun, gap) = (Instant::now(), Duration::from_millis(50));
        let gate = Gate::new(Some(1200), begun);
        // Their turns come long after the gate is closed, and before it opens.
        gate.turn(begun + 10 * gap);
        let opens = begun + 15 * gap;
        let passes = (0..3).map(|_| async {
            gate.pass().await;
            Instant::now()
        });
        // They have their turns when it is closed.
        let (mut passed, ()) = tokio::join!(join_all(passes), async { gate.close_until(opens) });
        passed.sort();
        for (place, passed) in (0..).zip(passed) {
            assert!(passed >= opens + place * gap, "{place}: {:?} too early", opens + place * gap - passed);
        }
    }

    #[test]
    fn pauses_grow_up_to_a_limit_and_differ() {
        assert_eq!(pause(0, 0.5), Duration::from_millis(400));
        assert_eq!(pause(1, 0.5), Duration::from_millis(800));
        assert!(pause(0, 0.0) < pause(0, 1.0));
        assert_eq!(pause(40, 0.5), Duration::from_secs(30));
    }
}
