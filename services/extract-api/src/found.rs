//! What planning found, for a moment: a pipeline is planned before it runs, and again as it begins. An API that counts its
//! requests is asked for its first page by one of the two.

use crate::layout::Layout;
use crate::params::Params;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// For how long what was found is taken for what the API would answer.
pub const FRESH: Duration = Duration::from_secs(10);

/// How many are kept.
const MOST: usize = 64;

/// The layouts of the last plans, each until a run uses it.
#[derive(Default)]
pub struct Found(Mutex<Vec<Look>>);

struct Look {
    params: Params,
    layout: Arc<Layout>,
    at: Instant,
}

impl Found {
    /// What these parameters led to a moment ago.
    pub fn layout(&self, params: &Params) -> Option<Arc<Layout>> {
        let looks = self.fresh();
        looks.iter().find(|look| look.params == *params).map(|look| look.layout.clone())
    }

    /// Keeps what they led to.
    pub fn keep(&self, params: Params, layout: Arc<Layout>) {
        let mut looks = self.fresh();
        looks.retain(|look| look.params != params);
        if looks.len() == MOST {
            looks.remove(0);
        }
        looks.push(Look { params, layout, at: Instant::now() });
    }

    /// Forgets a layout: a run reads by it, and the next one is to look anew.
    pub fn used(&self, layout: &Arc<Layout>) {
        self.fresh().retain(|look| !Arc::ptr_eq(&look.layout, layout));
    }

    /// Forgets what is no longer fresh.
    pub fn forget(&self) {
        drop(self.fresh());
    }

    fn fresh(&self) -> impl std::ops::DerefMut<Target = Vec<Look>> + '_ {
        let mut looks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        looks.retain(|look| look.at.elapsed() < FRESH);
        looks
    }
}
