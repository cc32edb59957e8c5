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
    /// Whether they passed while nobody was there, and are all to be caught up with.
    pub missed: bool,
    /// When it is due next.
    pub next: Option<i64>,
}

/// The times that are due: `first` is the time it was due next when it was looked at last, and a run begins `late` after
/// its time. No run begins so late that the next time has come before.
pub fn due(timing: &Timing, catch_up: CatchUp, late: impl Fn(i64) -> i64, first: i64, now: i64) -> Due {
    let last_until = |until| timing.last_until(until).map_or(first, |last| last.max(first));
    let newest = last_until(now);
    let until = if newest + late(newest) > now { newest - 1 } else { now };
    if first > until {
        return Due { times: Vec::new(), missed: false, next: Some(first) };
    }
    let is_missed = |time: i64| now - time - late(time) > LATE;
    let last = last_until(until);
    match catch_up {
        CatchUp::All => {
            let times = all(timing, first, until);
            let (missed, next) =
                (times.len() > 1 || is_missed(first), times.last().and_then(|at| timing.next_after(*at)));
            Due { times, missed, next }
        }
        CatchUp::None if is_missed(last) => Due { times: Vec::new(), missed: false, next: timing.next_after(until) },
        _ => Due { times: vec![last], missed: false, next: timing.next_after(until) },
    }
}

/// The times from the first on, as many as are caught up with at once. One alone is not left: nobody would see any more
/// that it was missed.
fn all(timing: &Timing, first: i64, until: i64) -> Vec<i64> {
    let mut times = vec![first];
    times.extend(timing.between(first, until, MOST + 1));
    if times.len() > MOST + 1 {
        times.truncate(MOST);
    }
    times
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

    fn at_once(catch_up: CatchUp, first: i64, now: i64) -> Due {
        due(&hourly(), catch_up, |_| 0, first, now)
    }

    #[test]
    fn what_is_not_due_waits() {
        let waits = Due { times: vec![], missed: false, next: Some(HOUR) };
        assert_eq!(at_once(CatchUp::Last, HOUR, HOUR - 1), waits);
    }

    #[test]
    fn what_is_due_runs_once() {
        let once = Due { times: vec![HOUR], missed: false, next: Some(2 * HOUR) };
        for catch_up in [CatchUp::None, CatchUp::Last, CatchUp::All] {
            assert_eq!(at_once(catch_up, HOUR, HOUR + 500), once);
        }
    }

    #[test]
    fn what_was_missed_is_caught_up_with_as_was_asked() {
        let now = 4 * HOUR + HOUR / 2;
        let of = |catch_up| at_once(catch_up, HOUR, now).times;
        assert_eq!(of(CatchUp::None), Vec::<i64>::new());
        assert_eq!(of(CatchUp::Last), [4 * HOUR]);
        let all = Due { times: vec![HOUR, 2 * HOUR, 3 * HOUR, 4 * HOUR], missed: true, next: Some(5 * HOUR) };
        assert_eq!(at_once(CatchUp::All, HOUR, now), all);
        assert!(at_once(CatchUp::All, HOUR, HOUR + LATE + 1).missed, "also one alone");
    }

    #[test]
    fn a_long_absence_is_caught_up_with_in_parts() {
        let (mut first, mut times) = (HOUR, Vec::new());
        // The last time has just come: it passed while nobody was there, as all before.
        let now = 301 * HOUR + 500;
        while first <= now {
            let part = at_once(CatchUp::All, first, now);
            assert!(part.missed && part.times.len() <= MOST + 1);
            times.extend(part.times);
            first = part.next.expect("a time");
        }
        assert_eq!(times, (1..=301).map(|hour| hour * HOUR).collect::<Vec<_>>());
    }

    #[test]
    fn a_run_that_begins_late_is_not_missed_and_takes_the_place_of_none() {
        const HALF: i64 = HOUR / 2;
        for catch_up in [CatchUp::None, CatchUp::Last, CatchUp::All] {
            let of = |first, now| due(&hourly(), catch_up, |_| HALF, first, now);
            assert_eq!(of(HOUR, HOUR + HALF - 1), Due { times: vec![], missed: false, next: Some(HOUR) });
            assert_eq!(of(HOUR, HOUR + HALF), Due { times: vec![HOUR], missed: false, next: Some(2 * HOUR) });
            assert_eq!(of(2 * HOUR, 3 * HOUR - 1).next, Some(3 * HOUR));
        }
        let late = due(&hourly(), CatchUp::Last, |_| HALF, HOUR, 3 * HOUR + 1);
        assert_eq!((late.times, late.next), (vec![2 * HOUR], Some(3 * HOUR)));
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
