//! The models that are loaded, once each for all steps of the process that use them.
//!
//! A model that nobody uses stays for a while, since loading takes long; it makes room at once when another one wants its
//! memory.

use super::{Chosen, fault, shown};
use flight_common::{DataRoot, Fault, FileIdentity, MemoryBudget, Reservation, compute};
use local_model::Model;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::{OnceCell, Semaphore};
use tokio_util::task::AbortOnDropHandle;

/// How long a model stays that nobody uses, unless told.
const KEPT_FOR: Duration = Duration::from_secs(60);

/// The models that are loaded.
#[derive(Clone)]
pub struct Shelf(Arc<Inner>);

struct Inner {
    kept_for: Duration,
    places: Mutex<Vec<Place>>,
    /// Clears the shelf of what nobody uses, later.
    clearing: Mutex<Option<AbortOnDropHandle<()>>>,
}

struct Place {
    identity: FileIdentity,
    model: Arc<OnceCell<Arc<Loaded>>>,
}

/// A model with what it takes.
pub struct Loaded {
    /// The model.
    pub model: Model,
    /// Who has it answers a prompt: one at a time, which keeps all cores busy.
    pub turn: Arc<Semaphore>,
    _memory: Reservation,
}

/// A model in use.
pub struct Lease {
    loaded: Option<Arc<Loaded>>,
    shelf: Arc<Inner>,
}

impl Lease {
    /// The model.
    pub fn loaded(&self) -> Option<&Loaded> {
        self.loaded.as_deref()
    }

    /// Memory for an answer; models that nobody uses make room for it.
    pub fn memory(&self, bytes: usize, budget: &MemoryBudget) -> Option<Reservation> {
        self.shelf.reserve(bytes, budget)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.loaded = None;
        Inner::clear_later(&self.shelf);
    }
}

impl Shelf {
    /// An empty shelf that keeps what nobody uses for so long.
    pub fn keeping(kept_for: Duration) -> Self {
        Self(Arc::new(Inner { kept_for, places: Mutex::default(), clearing: Mutex::default() }))
    }

    /// The model that was chosen, loaded unless it is.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::Busy`] without memory for it; otherwise why it cannot be loaded.
    pub async fn lease(&self, chosen: &Chosen, root: &DataRoot, budget: &MemoryBudget) -> Result<Lease, Fault> {
        let cell = self.0.place(&chosen.identity);
        let loaded = cell.get_or_try_init(|| self.load(chosen, root, budget)).await.cloned();
        drop(cell);
        if loaded.is_err() {
            self.0.clear();
        }
        Ok(Lease { loaded: Some(loaded?), shelf: self.0.clone() })
    }

    async fn load(&self, chosen: &Chosen, root: &DataRoot, budget: &MemoryBudget) -> Result<Arc<Loaded>, Fault> {
        let needed = chosen.card.memory();
        let memory = self.0.reserve(needed, budget).ok_or_else(|| {
            let message = format!("there is no memory for {} now: it needs {}", chosen.path(), shown(needed));
            Fault::busy(message).help("set a larger --memory-limit where the step runs")
        })?;
        let (chosen, root) = (chosen.clone(), root.clone());
        let loading = tokio::task::spawn_blocking(move || {
            let file = chosen.open(&root)?;
            let mut plain = file.again().map_err(|error| Fault::io(chosen.path(), &error))?.into_std();
            let model = Model::load(&mut plain).map_err(|flaw| fault(chosen.path(), &flaw))?;
            chosen.identity.check(&file, "while it was loaded")?;
            Ok(Arc::new(Loaded { model, turn: Arc::new(Semaphore::new(1)), _memory: memory }))
        });
        loading.await.map_err(Fault::internal)?
    }
}

impl Default for Shelf {
    fn default() -> Self {
        Self::keeping(KEPT_FOR)
    }
}

impl fmt::Debug for Shelf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places = self.0.places.lock().unwrap_or_else(PoisonError::into_inner);
        f.debug_list().entries(places.iter().map(|place| place.identity.path())).finish()
    }
}

impl Inner {
    fn place(&self, identity: &FileIdentity) -> Arc<OnceCell<Arc<Loaded>>> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = places.iter().find(|place| place.identity == *identity) {
            return place.model.clone();
        }
        let model = Arc::default();
        places.push(Place { identity: identity.clone(), model: Arc::clone(&model) });
        model
    }

    fn reserve(&self, bytes: usize, budget: &MemoryBudget) -> Option<Reservation> {
        budget.try_reserve(bytes).or_else(|| {
            self.clear();
            budget.try_reserve(bytes)
        })
    }

    /// Drops what nobody uses, and places of models that are neither loaded nor being loaded.
    fn clear(&self) {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        places.retain(|place| match place.model.get() {
            Some(loaded) => Arc::strong_count(loaded) > 1,
            None => Arc::strong_count(&place.model) > 1,
        });
    }

    fn clear_later(this: &Arc<Self>) {
        if this.kept_for.is_zero() {
            return this.clear();
        }
        let (shelf, kept_for): (Weak<Self>, _) = (Arc::downgrade(this), this.kept_for);
        let later = compute::spawn(async move {
            tokio::time::sleep(kept_for).await;
            if let Some(shelf) = shelf.upgrade() {
                shelf.clear();
            }
        });
        *this.clearing.lock().unwrap_or_else(PoisonError::into_inner) = Some(later);
    }
}
