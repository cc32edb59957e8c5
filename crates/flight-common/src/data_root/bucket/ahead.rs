//! Work for a bucket that is begun before its result is wanted: most of the time that a small object takes is the way there
//! and back.

use super::blocking::{blocking, runtime};
use crate::fault::Fault;
use std::collections::VecDeque;
use std::iter;
use std::sync::mpsc::{Receiver, sync_channel};

/// Pieces of work under way at a time.
const AT_ONCE: usize = 16;

/// The results of this work, in its order. What nobody waits for any more comes to its end by itself.
pub fn ahead<T, W>(work: impl Iterator<Item = W>) -> impl Iterator<Item = Result<T, Fault>>
where
    T: Send + 'static,
    W: FnOnce() -> Result<T, Fault> + Send + 'static,
{
    let mut work = work.fuse();
    let mut under_way: VecDeque<Receiver<Result<T, Fault>>> = VecDeque::with_capacity(AT_ONCE);
    iter::from_fn(move || {
        while under_way.len() < AT_ONCE
            && let Some(next) = work.next()
        {
            let (sender, receiver) = sync_channel(1);
            runtime().spawn_blocking(move || {
                // Whoever wanted it may be gone.
                let _ = sender.send(next());
            });
            under_way.push_back(receiver);
        }
        let first = under_way.pop_front()?;
        Some(blocking(|| first.recv()).unwrap_or_else(|_| Err(Fault::internal("a request to the bucket panicked"))))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Barrier};

    #[test]
    fn results_come_in_order_though_the_work_is_done_at_once() {
        let all = Arc::new(Barrier::new(AT_ONCE));
        let work = (0..AT_ONCE).map(|number| {
            let all = all.clone();
            move || {
                all.wait();
                if number == 3 { Err(Fault::upstream("gone")) } else { Ok(number) }
            }
        });
        let results: Vec<_> = ahead(work).collect();
        assert_eq!(results[3], Err(Fault::upstream("gone")));
        assert!((0..AT_ONCE).all(|number| number == 3 || results[number] == Ok(number)));
    }

    #[test]
    fn no_more_is_begun_than_is_at_work_at_once() {
        let mut begun = 0;
        let mut results = ahead((0..1000).map(|number| {
            begun += 1;
            move || Ok(number)
        }));
        assert_eq!(results.next(), Some(Ok(0)));
        drop(results);
        assert_eq!(begun, AT_ONCE);
    }
}
