//! Whether a step may still commit. A run belongs to whoever has its lease. Who stood still for so long that the lease may be
//! over, a process that was stopped or a machine that slept, does not know it when it goes on: the run may have been taken up
//! elsewhere meanwhile, and what it would commit may be older than what is there.

use crate::fault::Fault;
use rustix::time::{ClockId, clock_gettime};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio_util::task::AbortOnDropHandle;

/// How often it is looked at the clock.
const LOOKS: std::ops::RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(1);

/// A step's permission to commit, which lapses when its process stands still for too long. Clones are the same one.
#[derive(Clone, Default)]
pub struct Permission(Option<Arc<Watch>>);

struct Watch {
    stillness: Arc<Mutex<Stillness>>,
    _looking: AbortOnDropHandle<()>,
}

impl Permission {
    /// For a step of a run whose lease lasts so long, and is renewed when a third of that has passed. Without a lease it never
    /// lapses.
    pub(crate) fn under(lease: Option<Duration>) -> Self {
        let Some(lease) = lease else { return Self::default() };
        let stillness = Stillness { most: lease * 2 / 3, longest: Duration::ZERO, seen: now() };
        let pause = (stillness.most / 8).clamp(*LOOKS.start(), *LOOKS.end());
        let stillness = Arc::new(Mutex::new(stillness));
        let looked_at = stillness.clone();
        let looking = tokio::spawn(async move {
            loop {
                tokio::time::sleep(pause).await;
                held(&looked_at).look(now());
            }
        });
        Self(Some(Arc::new(Watch { stillness, _looking: AbortOnDropHandle::new(looking) })))
    }

    /// Asked at the last moment before a commit.
    ///
    /// # Errors
    /// [`crate::FaultKind::TimedOut`] when this process stood still for more than two thirds of the lease since the step began.
    pub fn check(&self) -> Result<(), Fault> {
        let Some(watch) = &self.0 else { return Ok(()) };
        held(&watch.stillness).judge(now())
    }
}

fn held(stillness: &Mutex<Stillness>) -> MutexGuard<'_, Stillness> {
    stillness.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The time since the machine started. It goes on while the machine sleeps.
fn now() -> Duration {
    let now = clock_gettime(ClockId::Boottime);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or(0))
}

/// How long a process stood still: the longest time between two looks at the clock.
struct Stillness {
    most: Duration,
    longest: Duration,
    seen: Duration,
}

impl Stillness {
    fn look(&mut self, now: Duration) {
        self.longest = self.longest.max(now.saturating_sub(self.seen));
        self.seen = now;
    }

    fn judge(&mut self, now: Duration) -> Result<(), Fault> {
        self.look(now);
        if self.longest <= self.most {
            return Ok(());
        }
        let (stood, most) = (self.longest.as_secs_f32(), self.most.as_secs_f32());
        Err(Fault::timed_out(format!(
            "it commits nothing: its server stood still for {stood:.1} s, and after {most:.1} s another orchestrator may have the run"
        ))
        .help("the run is tried again; if machines sleep or are stopped for so long, give the orchestrator a longer --lease"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::FaultKind;

    const SECOND: Duration = Duration::from_secs(1);

    fn begun() -> Stillness {
        Stillness { most: 20 * SECOND, longest: Duration::ZERO, seen: 100 * SECOND }
    }

    #[test]
    fn who_looks_often_may_commit_after_any_time() {
        let mut stillness = begun();
        (101..10_000).for_each(|second| stillness.look(second * SECOND));
        stillness.judge(10_000 * SECOND).expect("it never stood still");
    }

    #[test]
    fn who_stood_still_may_not_whenever_that_was() {
        for looks in [&[][..], &[121], &[110, 131], &[121, 122, 123, 139]] {
            let mut stillness = begun();
            looks.iter().for_each(|second| stillness.look(*second * SECOND));
            let fault = stillness.judge(140 * SECOND).expect_err("it stood still");
            assert_eq!(fault.kind(), FaultKind::TimedOut);
        }
        let mut stillness = begun();
        stillness.judge(120 * SECOND).expect("no longer than it may");
    }

    #[tokio::test]
    async fn without_a_lease_it_does_not_lapse_and_under_one_the_clock_is_looked_at() {
        Permission::under(None).check().expect("it may");
        Permission::under(Some(3600 * SECOND)).check().expect("it did not stand still");
        Permission::under(Some(Duration::from_nanos(1))).check().expect_err("any time is longer");
        let short = Permission::under(Some(SECOND / 100));
        let watch = short.0.as_ref().expect("a watch");
        let begun = held(&watch.stillness).seen;
        let looked = async {
            while held(&watch.stillness).seen == begun {
                tokio::time::sleep(*LOOKS.start()).await;
            }
        };
        tokio::time::timeout(60 * SECOND, looked).await.expect("somebody looks");
    }
}
