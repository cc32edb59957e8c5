//! When a failed run is tried again. Pure, but for the dice.

use crate::pipeline::RetryRules;
use flight_common::Fault;
use rand::Rng;
use std::time::Duration;

/// The longest that a server may let a run wait, unless its own pauses are longer: a schedule waits with its run.
const HOUR: Duration = Duration::from_secs(3600);

/// How often, and after which time.
#[derive(Clone, Debug, PartialEq)]
pub struct RetryPolicy {
    /// Attempts in all.
    pub attempts: u32,
    /// The pause after the first one. Each further pause is twice as long.
    pub first: Duration,
    /// The longest pause.
    pub longest: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { attempts: 3, first: Duration::from_secs(1), longest: Duration::from_secs(300) }
    }
}

impl RetryPolicy {
    /// This policy, changed by what a pipeline says.
    pub fn ruled(&self, rules: &RetryRules) -> Self {
        Self {
            attempts: rules.attempts.unwrap_or(self.attempts),
            first: rules.first.unwrap_or(self.first),
            longest: rules.longest.unwrap_or(self.longest),
        }
    }

    /// The pause before the next attempt, after `tries` that failed; nothing if there is to be none.
    ///
    /// Half of the pause is left to chance, so that what failed together does not come back together. A fault that
    /// names a delay is given at least that; one whose delay is too long has none, since before that it would come again.
    pub fn pause(&self, fault: &Fault, tries: u32) -> Option<Duration> {
        self.pause_with(fault, tries, rand::rng().random_range(0.5..=1.0))
    }

    fn pause_with(&self, fault: &Fault, tries: u32, chance: f64) -> Option<Duration> {
        if !fault.kind().retryable() || tries >= self.attempts {
            return None;
        }
        let doubled = self.first.saturating_mul(1 << tries.saturating_sub(1).min(20));
        let pause = doubled.min(self.longest).mul_f64(chance);
        let asked = fault.retry_delay().unwrap_or_default();
        (asked <= HOUR.max(self.longest)).then_some(pause.max(asked))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn pauses_double_up_to_the_longest() {
        let policy = RetryPolicy { attempts: 6, first: SECOND, longest: 5 * SECOND };
        let fault = Fault::upstream("down");
        let pauses: Vec<_> = (1..=6).map(|tries| policy.pause_with(&fault, tries, 1.0)).collect();
        assert_eq!(
            pauses,
            [Some(SECOND), Some(2 * SECOND), Some(4 * SECOND), Some(5 * SECOND), Some(5 * SECOND), None]
        );
        assert_eq!(policy.pause_with(&fault, 2, 0.5), Some(SECOND));
    }

    #[test]
    fn what_would_fail_again_is_not_tried_again() {
        let policy = RetryPolicy::default();
        assert_eq!(policy.pause(&Fault::bad_data("ragged"), 1), None);
        assert_eq!(policy.pause(&Fault::cancelled("asked"), 1), None);
    }

    #[test]
    fn a_told_delay_is_waited_for() {
        let fault = Fault::busy("full").retry_after(60 * SECOND);
        assert_eq!(RetryPolicy::default().pause(&fault, 1), Some(60 * SECOND));
    }

    #[test]
    fn no_server_lets_a_run_wait_beyond_an_hour_unless_its_longest_pause_does() {
        let asked = |hours| Fault::busy("full").retry_after(hours * HOUR);
        let policy = |longest| RetryPolicy { longest, ..RetryPolicy::default() };
        assert_eq!(policy(SECOND).pause(&asked(1), 1), Some(HOUR));
        assert_eq!(policy(SECOND).pause(&asked(2), 1), None, "the run fails, and says why");
        assert_eq!(policy(2 * HOUR).pause(&asked(2), 1), Some(2 * HOUR));
    }
}
