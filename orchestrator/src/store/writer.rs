//! Who writes, and when what was written is on the disk.
//!
//! SQLite has one writer, and each transaction ends with a wait for the disk. Callers who write at the same time share a
//! transaction, and so wait once: the first one begins it, the others write within savepoints, and it is committed by the
//! first of them to get the turn again, when all who stood behind it have had theirs. Nobody is told of success before.
//!
//! PostgreSQL has many writers, and gathers their commits itself.

use super::dialect::Dialect;
use super::{PATIENCE, StoreError};
use sqlx::{Any, AnyConnection, AnyPool, Transaction};
use std::mem;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use tokio::sync::{Mutex, OwnedMutexGuard, oneshot};
use tokio::time::timeout;

/// Where transactions that write begin. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Writer {
    pool: AnyPool,
    dialect: Dialect,
    /// Whoever holds it has the turn. Of use where there is one writer.
    turn: Arc<Mutex<Shared>>,
}

/// A transaction that several callers share.
#[derive(Debug, Default)]
struct Shared {
    open: Option<Transaction<'static, Any>>,
    /// How many there were.
    number: u64,
    /// Those who have written, and wait to hear that it is on the disk.
    waiting: Vec<oneshot::Sender<Result<(), StoreError>>>,
    /// Whether the last one gave up within its savepoint.
    given_up: bool,
}

/// What one caller writes: dropped without [`Tx::commit`], nothing.
pub(super) enum Tx {
    Own(Transaction<'static, Any>),
    Shared(Member),
}

/// A caller whose turn it is to write into a shared transaction.
pub(super) struct Member {
    shared: OwnedMutexGuard<Shared>,
    /// The one who began it needs none.
    savepoint: bool,
    over: bool,
}

impl Writer {
    pub fn new(pool: AnyPool, dialect: Dialect) -> Self {
        Self { pool, dialect, turn: Arc::default() }
    }

    pub async fn begin(&self) -> Result<Tx, StoreError> {
        if self.dialect.writers() > 1 {
            return Ok(Tx::Own(self.pool.begin_with(self.dialect.begin()).await?));
        }
        let turn = timeout(PATIENCE, Arc::clone(&self.turn).lock_owned()).await;
        let mut shared = turn.map_err(|_| sqlx::Error::PoolTimedOut)?;
        shared.tidy().await;
        if shared.open.is_none() {
            shared.open = Some(self.pool.begin_with(self.dialect.begin()).await?);
            shared.number += 1;
            return Ok(Tx::Shared(Member { shared, savepoint: false, over: false }));
        }
        let mut member = Member { shared, savepoint: true, over: false };
        sqlx::query("SAVEPOINT member").execute(&mut *member).await?;
        Ok(Tx::Shared(member))
    }

    pub async fn close(&self) {
        self.pool.close().await;
    }
}

impl Tx {
    /// Returns when it is on the disk.
    pub async fn commit(self) -> Result<(), StoreError> {
        match self {
            Self::Own(own) => Ok(own.commit().await?),
            // In a task of its own: others depend on it, even if this caller goes away.
            Self::Shared(member) => tokio::spawn(member.commit()).await.unwrap_or_else(|_| Err(lost())),
        }
    }

    /// Undoes what was written. Returns when all that was seen is on the disk: others may have written it just before.
    pub async fn undo(self) -> Result<(), StoreError> {
        match self {
            Self::Own(own) => Ok(own.rollback().await?),
            Self::Shared(member) => tokio::spawn(member.undo()).await.unwrap_or_else(|_| Err(lost())),
        }
    }
}

impl Member {
    async fn commit(mut self) -> Result<(), StoreError> {
        if self.savepoint {
            sqlx::query("RELEASE member").execute(&mut *self).await?;
        }
        self.written().await
    }

    async fn undo(mut self) -> Result<(), StoreError> {
        if !self.savepoint {
            return Ok(());
        }
        self.shared.given_up = true;
        self.shared.tidy().await;
        self.written().await
    }

    /// Waits for the end of the transaction.
    async fn written(mut self) -> Result<(), StoreError> {
        self.over = true;
        let (tell, told) = oneshot::channel();
        self.shared.waiting.push(tell);
        let (turn, number) = (Arc::clone(OwnedMutexGuard::mutex(&self.shared)), self.shared.number);
        drop(self);
        // Who waited for the turn has it before this.
        let mut shared = turn.lock().await;
        if shared.number == number {
            shared.commit().await;
        }
        drop(shared);
        told.await.unwrap_or_else(|_| Err(lost()))
    }
}

impl Shared {
    /// Undoes what was given up. Where that fails, the database has undone the whole transaction, as on a full disk.
    async fn tidy(&mut self) {
        let Some(open) = self.open.as_mut().filter(|_| mem::take(&mut self.given_up)) else { return };
        for undo in ["ROLLBACK TO member", "RELEASE member"] {
            if let Err(error) = sqlx::query(undo).execute(&mut **open).await {
                self.open = None;
                return self.tell(&Err(error.into()));
            }
        }
    }

    async fn commit(&mut self) {
        self.tidy().await;
        let outcome = match self.open.take() {
            Some(open) => open.commit().await.map_err(StoreError::from),
            None => Err(lost()),
        };
        self.tell(&outcome);
    }

    fn tell(&mut self, outcome: &Result<(), StoreError>) {
        for tell in self.waiting.drain(..) {
            // Whoever no longer listens has gone away.
            tell.send(outcome.clone()).ok();
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        match self.savepoint {
            true => self.shared.given_up = true,
            // Nobody else has written yet: it is rolled back.
            false => self.shared.open = None,
        }
    }
}

impl Deref for Member {
    type Target = AnyConnection;

    fn deref(&self) -> &AnyConnection {
        self.shared.open.as_ref().expect("it is open while a caller writes")
    }
}

impl DerefMut for Member {
    fn deref_mut(&mut self) -> &mut AnyConnection {
        self.shared.open.as_mut().expect("it is open while a caller writes")
    }
}

impl Deref for Tx {
    type Target = AnyConnection;

    fn deref(&self) -> &AnyConnection {
        match self {
            Self::Own(own) => own,
            Self::Shared(member) => member,
        }
    }
}

impl DerefMut for Tx {
    fn deref_mut(&mut self) -> &mut AnyConnection {
        match self {
            Self::Own(own) => own,
            Self::Shared(member) => member,
        }
    }
}

fn lost() -> StoreError {
    StoreError::Unavailable("the transaction was lost".to_owned())
}
