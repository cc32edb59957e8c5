//! Of the times that have come, those for which a schedule runs. Pure.

use super::{CatchUp, Timing};

/// A time that passed longer ago than this was missed.
const LATE: i64 = 60_000;
/// Times caught up with at once; the rest comes with the next look.
const MOST: usize = 100;

/// What is to be done about a schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// The times to run for, the oldest first.
    pub times: Vec<i64>,
    /// When it is due next.
    pub next: Option<i64>,
}

/// The times that are due: `first` is the time it was due next when it was looked at last.
pub fn due(timing: &Timing, catch_up: CatchUp, first: i64, now: i64) -> Due {
    if first > now {
        return Due { times: Vec::new(), next: Some(first) };
    }
    let times = match catch_up {
        CatchUp::All => {
            let mut times = vec![first];
            times.extend(timing.between(first, now, MOST - 1));
            times
        }
        _ => {
            let last = timing.last_until(now).map_or(first, |last| last.max(first));
            let missed = catch_up == CatchUp::None && now - last > LATE;
            if missed { Vec::new() } else { vec![last] }
        }
    };
    let seen = if catch_up == CatchUp::All { times.last().copied().unwrap_or(now) } else { now };
    Due { times, next: timing.next_after(seen) }
}

/// How much later a run begins: the same on every replica.
pub fn jitter(name: &str, time: i64, most: i64) -> i64 {
    if most <= 0 {
        return 0;
    }
    let mixed = crate::checksum::checksum(format!("{name} {time}").as_bytes());
    let number = i64::from_str_radix(&mixed[..12], 16).unwrap_or(0);
    number % (most + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;

    fn hourly() -> Timing {
        Timing::new("0 * * * *", "UTC").expect("a cron")
    }

    #[test]
    fn what_is_not_due_waits() {
        assert_eq!(due(&hourly(), CatchUp::Last, HOUR, HOUR - 1), Due { times: vec![], next: Some(HOUR) });
    }

    #[test]
    fn what_is_due_runs_once() {
        for catch_up in [CatchUp::None, CatchUp::Last, CatchUp::All] {
            assert_eq!(due(&hourly(), catch_up, HOUR, HOUR + 500), Due { times: vec![HOUR], next: Some(2 * HOUR) });
        }
    }

    #[test]
    fn what_was_missed_is_caught_up_with_as_was_asked() {
        let now = 4 * HOUR + HOUR / 2;
        let of = |catch_up| due(&hourly(), catch_up, HOUR, now).times;
        assert_eq!(of(CatchUp::None), Vec::<i64>::new());
        assert_eq!(of(CatchUp::Last), [4 * HOUR]);
        assert_eq!(of(CatchUp::All), [HOUR, 2 * HOUR, 3 * HOUR, 4 * HOUR]);
        assert_eq!(due(&hourly(), CatchUp::All, HOUR, now).next, Some(5 * HOUR));
    }

    #[test]
    fn a_long_absence_is_caught_up_with_in_parts() {
        let now = 1000 * HOUR;
        let first = due(&hourly(), CatchUp::All, HOUR, now);
        assert_eq!(first.times.len(), MOST);
        assert_eq!(first.next, Some(101 * HOUR));
    }

    #[test]
    fn jitter_is_spread_and_always_the_same() {
        let spread: Vec<i64> = (0..100).map(|time| jitter("a", time, 1000)).collect();
        assert!(spread.iter().all(|late| (0..=1000).contains(late)));
        assert!(spread.iter().max() > Some(&800) && spread.iter().min() < Some(&200));
        assert_eq!(jitter("a", 7, 1000), jitter("a", 7, 1000));
        assert_eq!(jitter("a", 7, 0), 0);
    }
}
