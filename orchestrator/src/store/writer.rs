//! Who writes, and when what was written is on the disk.
//!
//! SQLite has one writer, and each transaction ends with a wait for the disk. Callers who write at the same time share a
//! transaction, and so wait once: the first one begins it, the others write behind savepoints, and it is committed by the
//! first of them to get the turn again, when all who stood behind it have had theirs. Nobody is answered before: neither
//! who has written, nor who was refused, perhaps because of what another had just written.
//!
//! PostgreSQL has many writers, and gathers their commits itself.

use super::dialect::Dialect;
use super::news::{News, Touched};
use super::statements::Statements;
use super::{PATIENCE, StoreError};
use sqlx::any::AnyRow;
use sqlx::{Any, AnyConnection, AnyPool, Transaction};
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use tokio::sync::{Mutex, OwnedMutexGuard, oneshot};
use tokio::time::timeout;

/// Where transactions that write begin and end. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Writer {
    pool: AnyPool,
    dialect: Dialect,
    /// Whoever holds it has the turn. Of use where there is one writer.
    turn: Arc<Mutex<Turn>>,
    /// Whoever waits for what this process writes of a run need not ask again and again.
    news: News,
}

#[derive(Debug, Default)]
struct Turn {
    open: Option<Shared>,
    /// Transactions there were so far.
    count: u64,
}

/// A transaction that several callers share.
#[derive(Debug)]
struct Shared {
    transaction: Transaction<'static, Any>,
    /// Those who have had their turn, and wait to hear that it is on the disk.
    waiting: Vec<oneshot::Sender<Result<(), StoreError>>>,
    /// Callers who have begun to write into it.
    members: usize,
    /// Whether the last one gave up behind its savepoint.
    given_up: bool,
}

/// The words for a savepoint.
#[derive(Clone, Copy)]
struct Savepoint {
    begin: &'static str,
    release: &'static str,
    undo: &'static str,
}

/// The savepoints: each caller's is in the place of the last one's, so that one whose statement was never sent is not taken for
/// the other.
const SAVEPOINTS: [Savepoint; 2] = [
    Savepoint { begin: "SAVEPOINT even", release: "RELEASE even", undo: "ROLLBACK TO even" },
    Savepoint { begin: "SAVEPOINT odd", release: "RELEASE odd", undo: "ROLLBACK TO odd" },
];

impl Shared {
    /// The savepoint of the last one who began; nothing for the first of all.
    fn savepoint(&self) -> Option<Savepoint> {
        (self.members > 1).then(|| SAVEPOINTS[self.members % 2])
    }
}

/// What one caller writes: dropped without [`Writer::end`], nothing.
pub(super) struct Tx {
    place: Place,
    touched: Touched,
}

enum Place {
    Own(Transaction<'static, Any>),
    /// Nothing while another task has it, and for good if that has not come back.
    Shared(Option<Member>),
}

impl Tx {
    fn of(place: Place) -> Self {
        Self { place, touched: Touched::default() }
    }

    /// Where a statement of this caller goes.
    pub async fn at(&mut self) -> Result<&mut AnyConnection, StoreError> {
        match &mut self.place {
            Place::Own(own) => Ok(own),
            Place::Shared(member) => {
                if member.as_ref().is_some_and(|member| !member.begun) {
                    begin_with(member, None).await?;
                }
                Ok(member.as_mut().ok_or_else(lost)?)
            }
        }
    }

    /// Does all of these, none of which reads what another one writes, other than by `{changed}`. Returns the rows that the
    /// main one returns. Whoever waits for a run to which something happens by them is told once it is on the disk.
    pub async fn change(&mut self, statements: Statements) -> Result<Vec<AnyRow>, StoreError> {
        match &mut self.place {
            Place::Own(own) => {
                self.touched.add_all(statements.touched);
                Ok(statements.in_one_statement(own).await?)
            }
            Place::Shared(_) => {
                let main = statements.main();
                Ok(self.each(statements).await?.into_iter().nth(main).unwrap_or_default())
            }
        }
    }

    /// Does each of these, in none of which there is `{changed}`. Returns the rows that each returns.
    pub async fn each(&mut self, statements: Statements) -> Result<Vec<Vec<AnyRow>>, StoreError> {
        self.touched.add_all(statements.touched);
        match &mut self.place {
            Place::Own(own) => Ok(statements.one_by_one(own).await?),
            Place::Shared(Some(member)) if member.begun => Ok(statements.in_one_text(&[], member).await?),
            Place::Shared(member) => begin_with(member, Some(statements)).await,
        }
    }
}

/// Begins to write, with these. To the end, even if the caller goes away: where its savepoint is not in the place of the last
/// one's, nobody can undo what it has written.
async fn begin_with(
    member: &mut Option<Member>,
    statements: Option<Statements>,
) -> Result<Vec<Vec<AnyRow>>, StoreError> {
    let mut own = member.take().ok_or_else(lost)?;
    let (own, done) = apart(async move {
        let begin = own.begin();
        let statements = statements.unwrap_or_else(|| Statements::of(Dialect::Sqlite));
        let done = statements.in_one_text(&begin, &mut own).await;
        Ok((own, done))
    })
    .await?;
    *member = Some(own);
    Ok(done?)
}

/// A caller whose turn it is to write into a shared transaction.
struct Member {
    turn: OwnedMutexGuard<Turn>,
    /// Whether a savepoint was asked for, or the transaction is its own so far.
    begun: bool,
    over: bool,
}

impl Writer {
    pub fn new(pool: AnyPool, dialect: Dialect) -> Self {
        Self { pool, dialect, turn: Arc::default(), news: News::new() }
    }

    /// Who is told of what is written.
    pub fn news(&self) -> &News {
        &self.news
    }

    /// Begins to write, perhaps among others who do.
    pub async fn begin(&self) -> Result<Tx, StoreError> {
        if self.dialect.writers() > 1 {
            return self.own().await;
        }
        let mut turn = self.turn().await?;
        if turn.open.as_ref().is_some_and(|shared| shared.given_up) {
            turn = apart(async move {
                turn.tidy().await;
                Ok(turn)
            })
            .await?;
        }
        if turn.open.is_none() {
            return self.first(turn).await;
        }
        Ok(Tx::of(Place::Shared(Some(Member { turn, begun: false, over: false }))))
    }

    /// Begins to write when all that was written is on the disk: for a caller who changes more than the database by what it
    /// reads, or takes long.
    pub async fn begin_alone(&self) -> Result<Tx, StoreError> {
        if self.dialect.writers() > 1 {
            return self.own().await;
        }
        let mut turn = self.turn().await?;
        let turn = apart(async move {
            turn.commit().await;
            Ok(turn)
        });
        self.first(turn.await?).await
    }

    /// Does all of these, as [`Tx::change`] does, and nothing else: if the main one changes nothing, nothing is written. PostgreSQL
    /// asks for no more than the one statement, in which what others write must come from `{changed}`, unless it does no harm.
    pub async fn at_once(&self, mut statements: Statements) -> Result<Vec<AnyRow>, StoreError> {
        if self.dialect.writers() > 1 {
            let (pool, news) = (self.pool.clone(), self.news.clone());
            let done = async move {
                let touched = std::mem::take(&mut statements.touched);
                let rows = statements.in_one_statement(&mut *pool.acquire().await?).await?;
                if !rows.is_empty() {
                    news.tell(touched);
                }
                Ok(rows)
            };
            return apart(done).await;
        }
        let mut tx = self.begin().await?;
        let done = tx.change(statements).await;
        self.over(tx, done.as_ref().is_ok_and(|rows| !rows.is_empty())).await?;
        done
    }

    /// Commits what went well, and undoes what did not. Returns when all that the caller wrote and saw is on the disk.
    pub async fn end<T>(&self, tx: Tx, done: Result<T, StoreError>) -> Result<T, StoreError> {
        self.over(tx, done.is_ok()).await?;
        done
    }

    async fn over(&self, tx: Tx, good: bool) -> Result<(), StoreError> {
        let news = self.news.clone();
        let ended = async move {
            match tx.place {
                Place::Own(own) if good => own.commit().await?,
                Place::Own(own) => own.rollback().await?,
                Place::Shared(member) => member.ok_or_else(lost)?.end(good).await?,
            }
            if good {
                news.tell(tx.touched);
            }
            Ok(())
        };
        apart(ended).await
    }

    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// A transaction of the caller's own. Begun to the end, even if the caller goes away: sqlx takes one for begun when it is told so,
    /// and would give away a connection on which it is, without anybody to end it.
    async fn own(&self) -> Result<Tx, StoreError> {
        let (pool, words) = (self.pool.clone(), self.dialect.begin());
        let begun = apart(async move { Ok(pool.begin_with(words).await?) });
        Ok(Tx::of(Place::Own(begun.await?)))
    }

    async fn turn(&self) -> Result<OwnedMutexGuard<Turn>, StoreError> {
        let turn = timeout(PATIENCE, Arc::clone(&self.turn).lock_owned()).await;
        Ok(turn.map_err(|_| sqlx::Error::PoolTimedOut)?)
    }

    async fn first(&self, mut turn: OwnedMutexGuard<Turn>) -> Result<Tx, StoreError> {
        turn.open = Some(Shared {
            transaction: self.pool.begin_with(self.dialect.begin()).await?,
            waiting: Vec::new(),
            members: 1,
            given_up: false,
        });
        turn.count += 1;
        Ok(Tx::of(Place::Shared(Some(Member { turn, begun: true, over: false }))))
    }
}

impl Turn {
    /// Undoes what was given up. Where that fails, the database has undone the whole transaction, as on a full disk.
    async fn tidy(&mut self) {
        let Some(shared) = self.open.as_mut().filter(|shared| shared.given_up) else { return };
        let undo = shared.savepoint().map_or("", |last| last.undo);
        if let Err(error) = sqlx::query(undo).execute(&mut *shared.transaction).await {
            tracing::warn!(%error, "a transaction was lost");
            return self.lose();
        }
        shared.given_up = false;
    }

    async fn commit(&mut self) {
        self.tidy().await;
        if let Some(Shared { transaction, waiting, .. }) = self.open.take() {
            let outcome = transaction.commit().await.map_err(StoreError::from);
            tell(waiting, &outcome);
        }
    }

    fn lose(&mut self) {
        if let Some(shared) = self.open.take() {
            tell(shared.waiting, &Err(lost()));
        }
    }
}

impl Member {
    /// What it writes first: nothing once it has begun.
    fn begin(&mut self) -> Vec<&'static str> {
        let Some(shared) = self.turn.open.as_mut().filter(|_| !self.begun) else { return Vec::new() };
        self.begun = true;
        let release = shared.savepoint().map(|of_the_last| of_the_last.release);
        shared.members += 1;
        let begin = shared.savepoint().map(|own| own.begin);
        release.into_iter().chain(begin).collect()
    }

    /// As [`Writer::end`].
    async fn end(mut self, good: bool) -> Result<(), StoreError> {
        if !good {
            self.give_up();
            if self.turn.open.is_none() {
                // Nobody else has written: it is undone.
                self.over = true;
                return Ok(());
            }
            self.turn.tidy().await;
        }
        self.over = true;
        let (tell, mut told) = oneshot::channel();
        match &mut self.turn.open {
            Some(shared) => shared.waiting.push(tell),
            None => return Err(lost()),
        }
        let (queue, count) = (Arc::clone(OwnedMutexGuard::mutex(&self.turn)), self.turn.count);
        drop(self);
        tokio::select! {
            biased;
            outcome = &mut told => return outcome.unwrap_or_else(|_| Err(lost())),
            // Who waited for the turn has it before this.
            mut turn = queue.lock() => {
                if turn.count == count {
                    turn.commit().await;
                }
            }
        }
        told.await.unwrap_or_else(|_| Err(lost()))
    }

    fn give_up(&mut self) {
        if !self.begun {
            return;
        }
        match &mut self.turn.open {
            Some(shared) if shared.savepoint().is_some() => shared.given_up = true,
            // It is rolled back.
            open => *open = None,
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        if !self.over {
            self.give_up();
        }
    }
}

impl Deref for Member {
    type Target = AnyConnection;

    fn deref(&self) -> &AnyConnection {
        &self.turn.open.as_ref().expect("it is open while a caller writes").transaction
    }
}

impl DerefMut for Member {
    fn deref_mut(&mut self) -> &mut AnyConnection {
        &mut self.turn.open.as_mut().expect("it is open while a caller writes").transaction
    }
}

/// Does it to its end, even if the caller goes away: others depend on it.
async fn apart<T: Send + 'static>(
    work: impl Future<Output = Result<T, StoreError>> + Send + 'static,
) -> Result<T, StoreError> {
    tokio::spawn(work).await.unwrap_or_else(|_| Err(lost()))
}

fn tell(waiting: Vec<oneshot::Sender<Result<(), StoreError>>>, outcome: &Result<(), StoreError>) {
    for tell in waiting {
        // Whoever no longer listens has gone away.
        tell.send(outcome.clone()).ok();
    }
}

fn lost() -> StoreError {
    StoreError::Unavailable("the database gave up a transaction; it can be tried again".to_owned())
}

#[cfg(test)]
mod tests;
