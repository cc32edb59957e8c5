//! Permission to commit. A run belongs to whoever has its lease, and that may have changed while a step was at work: so at the
//! last moment before it commits, a step of a run asks whoever runs it. What was answered holds for a time that is counted from
//! the question on: whoever stood still after that, a process that was stopped or a machine that slept, asks again.

use crate::fault::Fault;
use futures::FutureExt;
use futures::future::BoxFuture;
use rustix::time::{ClockId, clock_gettime};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How long a permission holds; nothing if for ever.
pub type Holds = Option<Duration>;

/// A step's permission to commit. Clones are the same one. Who works for nobody's run has it from the beginning.
#[derive(Clone, Default)]
pub struct Permission(Option<Arc<Asker>>);

struct Asker {
    ask: Box<dyn Fn() -> BoxFuture<'static, Result<Holds, Fault>> + Send + Sync>,
    obtained: AtomicBool,
}

impl Permission {
    /// One that is asked for like this.
    pub fn by_asking<F>(ask: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Holds, Fault>> + Send + 'static,
    {
        Self(Some(Arc::new(Asker { ask: Box::new(move || ask().boxed()), obtained: AtomicBool::new(false) })))
    }

    /// Whether it has to be asked for.
    pub fn is_asked_for(&self) -> bool {
        self.0.is_some()
    }

    /// Asks, once.
    ///
    /// # Errors
    /// Why it is refused, or could not be asked for.
    pub async fn ask(&self) -> Result<Holds, Fault> {
        match &self.0 {
            Some(asker) => (asker.ask)().await,
            None => Ok(None),
        }
    }

    /// Asks at the last moment before a commit, until there is an answer that still holds. What is to be committed must be
    /// ready by then, and is committed at once: the answer is for how long it still holds.
    ///
    /// # Errors
    /// Why it is refused, or could not be asked for: then nothing may be committed.
    pub async fn obtain(&self) -> Result<Holds, Fault> {
        let Some(asker) = &self.0 else { return Ok(None) };
        loop {
            let asked = now();
            let holds = self.ask().await?;
            let left = holds.map(|holds| holds.saturating_sub(now().saturating_sub(asked)));
            if left.is_none_or(|left| !left.is_zero()) {
                asker.obtained.store(true, Ordering::Release);
                return Ok(left);
            }
            tracing::warn!("this process stood still after it was let commit; it asks again");
        }
    }

    /// Whether a step that has ended well has asked as it must.
    pub(crate) fn is_settled(&self) -> bool {
        self.0.as_ref().is_none_or(|asker| asker.obtained.load(Ordering::Acquire))
    }
}

impl fmt::Debug for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_asked_for() { "Permission(asked for)" } else { "Permission(given)" })
    }
}

/// The time since the machine started. It goes on while the machine sleeps.
fn now() -> Duration {
    let now = clock_gettime(ClockId::Boottime);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    #[tokio::test]
    async fn what_holds_no_more_is_asked_for_again() {
        let asked = Arc::new(AtomicUsize::new(0));
        let times = asked.clone();
        let permission = Permission::by_asking(move || {
            // The first two answers hold for no time at all.
            let time = times.fetch_add(1, Ordering::SeqCst);
            async move { Ok(Some(Duration::from_secs(if time < 2 { 0 } else { 3600 }))) }
        });
        assert!(!permission.is_settled());
        permission.obtain().await.expect("the third answer holds");
        assert_eq!(asked.load(Ordering::SeqCst), 3);
        assert!(permission.is_settled());
    }

    #[tokio::test]
    async fn a_refusal_is_the_end_and_who_need_not_ask_may() {
        let permission = Permission::by_asking(|| async { Err(Fault::cancelled("somebody else runs it")) });
        assert_eq!(permission.obtain().await.expect_err("refused").message(), "somebody else runs it");
        assert!(!permission.is_settled());
        Permission::default().obtain().await.expect("it has it");
        assert!(Permission::default().is_settled());
    }
}
