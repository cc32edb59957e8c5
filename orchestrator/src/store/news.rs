//! Whoever waits for something to happen to a run is told when this process has written it.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use tokio::sync::watch;

/// Parts of all runs. Who waits for a run is also told of the others of its part, and of no more: many may listen while many
/// runs go by.
const PARTS: u64 = 64;

/// Who is told. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct News(Arc<[watch::Sender<()>]>);

/// Runs to which something happens: a bit for each part that one of them is of.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Touched(u64);

impl News {
    pub fn new() -> Self {
        Self((0..PARTS).map(|_| watch::Sender::new(())).collect())
    }

    /// Told of a run.
    pub fn of(&self, run: &str) -> watch::Receiver<()> {
        self.0[part(run)].subscribe()
    }

    pub fn tell(&self, touched: Touched) {
        let parts = self.0.iter().enumerate().filter(|(part, _)| touched.0 & (1 << part) != 0);
        parts.for_each(|(_, waiting)| waiting.send_replace(()));
    }
}

impl Touched {
    pub fn add_all(&mut self, others: Self) {
        self.0 |= others.0;
    }

    pub fn add(&mut self, run: &str) {
        self.0 |= 1 << part(run);
    }
}

fn part(run: &str) -> usize {
    let mut hasher = DefaultHasher::new();
    run.hash(&mut hasher);
    (hasher.finish() % PARTS) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_for_a_run_is_told_of_it_and_of_few_others() {
        let news = News::new();
        let stranger = (2..).map(|id| id.to_string()).find(|id| part(id) != part("1")).expect("there are more parts");
        let (mut one, mut other) = (news.of("1"), news.of(&stranger));
        let mut touched = Touched::default();
        touched.add("1");
        news.tell(touched);
        assert!(one.has_changed().expect("open"));
        assert!(!other.has_changed().expect("open"));
        touched.add(&stranger);
        one.mark_unchanged();
        news.tell(touched);
        assert!(one.has_changed().expect("open") && other.has_changed().expect("open"));
        other.mark_unchanged();
        news.tell(Touched::default());
        assert!(!other.has_changed().expect("open"));
    }
}
