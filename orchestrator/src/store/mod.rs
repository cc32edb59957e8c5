//! What outlives the process: pipelines and their versions, runs, attempts, events, kept outputs, tokens.
//!
//! One set of statements serves SQLite (a file under the data root) and PostgreSQL (shared by several replicas); the few
//! words in which they differ are in [`dialect`].
//!
//! | file | what |
//! |---|---|
//! | [`state`] | what a run may become: pure |
//! | [`pipelines`] | pipelines by name, and their versions |
//! | [`submit`] | a run enters, once |
//! | [`limits`] | how many runs may be under way: pure |
//! | [`choose`] | which queued runs are next: pure |
//! | [`queue`], [`lease`] | replicas take runs, with leases |
//! | [`moves`] | what becomes of a run |
//! | [`read`] | runs and attempts as they are shown |
//! | [`events`] | what happens to runs, numbered |
//! | [`kept`] | outputs kept on the data root, and what was committed |
//! | [`outbox`] | what is to be told of the ends of runs |
//! | [`audit`] | what ran, step by step |
//! | [`schedules`] | what runs by itself, and when it is due |
//! | [`tokens`] | who may call |
//! | [`statements`] | statements that go to the database together |
//! | [`packed`] | rows that come from it as one text |
//! | [`expected`] | what is there as a caller thinks it is: pure |
//! | [`forget`] | runs that ended long ago go |
//! | [`dialect`], [`error`] | what the two databases have apart; what can go wrong |
//! | [`writer`] | who writes, and when it is on the disk |
//! | [`news`] | who is told of what was written |

mod audit;
mod choose;
mod dialect;
mod error;
mod events;
mod expected;
mod forget;
mod kept;
mod lease;
mod limits;
mod moves;
mod news;
mod outbox;
mod packed;
mod pipelines;
mod queue;
mod read;
mod schedules;
pub mod state;
mod statements;
mod submit;
mod tokens;
mod writer;

pub use audit::AuditRecord;
pub use dialect::{check_file, file_of};
pub use error::StoreError;
pub use events::EventRow;
pub use expected::Expected;
pub use kept::{Committed, KeptOutput, Over, Told};
pub use lease::Lease;
pub use limits::Limits;
pub use moves::{Changed, Ending, Ruled};
pub use outbox::{Message, Sent};
pub use pipelines::{Definition, Pipeline, PipelineVersion, Stored};
pub use queue::{Claim, Taken};
pub use read::{AttemptRow, Cursor, Page, RunFilter, RunRow};
pub use schedules::Schedule;
pub use state::{Move, RunState};
pub use submit::{NewRun, Submitted};
pub use tokens::{Role, Token, TokenName};

use choose::Turns;
use dialect::Dialect;
use flight_common::{DataRoot, OpenDatabase, passwords};
use sqlx::any::{AnyPoolOptions, AnyRow};
use sqlx::{AnyConnection, AnyPool, AssertSqlSafe, Connection, Row};
use statements::Statements;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::timeout;
use writer::{Tx, Writer};

/// How long a call waits for a connection.
const PATIENCE: Duration = Duration::from_secs(10);

/// For so long a connection that nobody uses is taken to be there still.
const SURE: Duration = Duration::from_secs(1);

/// The store. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    dialect: Dialect,
    writer: Writer,
    reader: AnyPool,
    /// Whose turn it is where several pipelines wait.
    turns: Arc<Mutex<Turns>>,
    /// Of a store in SQLite, its file. It goes last.
    _kept: Option<Arc<OpenDatabase>>,
}

impl Store {
    /// Opens the store at this address, makes it if it is a SQLite file that is not there, and brings its tables up to
    /// date: `sqlite:///folder/quiver.db`, `postgres://user@host/database`.
    ///
    /// # Errors
    /// [`StoreError::Unaddressed`] for what is no address, [`StoreError::NoFolder`] for a file that can be nowhere,
    /// [`StoreError::Unavailable`] when it cannot be reached or used.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        let dialect = Dialect::of(url)?;
        check_file(url)?;
        let address = dialect.address(url);
        // A pool tries until its patience is over, and then does not tell why.
        let there = timeout(PATIENCE, connect(dialect, &address)).await.unwrap_or(Err(sqlx::Error::PoolTimedOut));
        there.map_err(|error| StoreError::Unavailable(format!("{}: {error}", passwords::hidden(url))))?;
        // From here on nobody in this process opens it otherwise, not by any name.
        let file = file_of(url).and_then(|file| file.metadata().ok());
        let kept = file.map(|found| Arc::new(OpenDatabase::new(&found)));
        let writer = pool(dialect, &address, dialect.writers())?;
        let reader = if dialect.writers() == 1 { pool(dialect, &address, 4)? } else { writer.clone() };
        migrate(dialect, &address).await.map_err(StoreError::migrating)?;
        Ok(Self { dialect, writer: Writer::new(writer, dialect), reader, turns: Arc::default(), _kept: kept })
    }

    /// What kind it is: `sqlite` or `postgres`.
    pub fn kind(&self) -> &'static str {
        self.dialect.name()
    }

    /// The id of the data root that runs read and write: this one, unless the store has been used with another.
    ///
    /// # Errors
    /// As [`Store::ping`].
    pub async fn data_root(&self, id: &str) -> Result<String, StoreError> {
        self.write(async |tx| {
            let first = "INSERT INTO data_root (one, id) VALUES (1, $1) ON CONFLICT (one) DO NOTHING";
            sqlx::query(first).bind(id).execute(tx.at().await?).await?;
            let row = sqlx::query("SELECT id FROM data_root").fetch_one(tx.at().await?).await?;
            Ok(row.try_get(0)?)
        })
        .await
    }

    /// Whether several orchestrators may share it.
    pub fn is_shared(&self) -> bool {
        self.dialect.writers() > 1
    }

    /// Told whenever this process has written something that happened to this run; now and then also of others.
    pub fn changes(&self, run: &str) -> watch::Receiver<()> {
        self.writer.news().of(run)
    }

    /// Whether it answers, and can be written.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] with the reason.
    pub async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query("SELECT 1").execute(&self.reader).await?;
        let mut tx = self.writer.begin().await?;
        // Of no run: it only asks for the right.
        sqlx::query("UPDATE runs SET fence = fence WHERE id = ''").execute(tx.at().await?).await?;
        drop(tx);
        // It is not asked of the disk before something is written.
        let Some(file) = self.dialect.file() else { return Ok(()) };
        let file: String = sqlx::query_scalar(file).fetch_one(&self.reader).await?;
        let Some(folder) = Path::new(&file).parent().filter(|_| !file.is_empty()) else { return Ok(()) };
        let room = DataRoot::open(folder).and_then(|folder| folder.check());
        room.map_err(|fault| StoreError::Unavailable(fault.to_string()))
    }

    /// Closes every connection.
    pub async fn close(&self) {
        self.writer.close().await;
        self.reader.close().await;
    }

    /// A statement in the words of this database.
    fn sql(&self, text: &str) -> AssertSqlSafe<String> {
        AssertSqlSafe(self.dialect.words(text))
    }

    /// Statements in the words of this database: none yet.
    fn statements(&self) -> Statements {
        Statements::of(self.dialect)
    }

    /// Writes what this work writes, all of it; nothing if it is refused.
    async fn write<T>(&self, work: impl AsyncFnOnce(&mut Tx) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let mut tx = self.writer.begin().await?;
        let done = work(&mut tx).await;
        self.writer.end(tx, done).await
    }
}

/// Whether the database takes a connection.
async fn connect(dialect: Dialect, address: &str) -> Result<(), sqlx::Error> {
    let mut connection = AnyConnection::connect(address).await?;
    prepare(dialect, &mut connection).await?;
    connection.close().await
}

/// Brings the tables up to date, by a connection that may take its time: a large table is long in getting an index.
async fn migrate(dialect: Dialect, address: &str) -> Result<(), sqlx::migrate::MigrateError> {
    let mut connection = AnyConnection::connect(address).await?;
    prepare(dialect, &mut connection).await?;
    for setting in dialect.settings_to_migrate() {
        sqlx::query(*setting).execute(&mut connection).await?;
    }
    sqlx::migrate!("src/store/migrations").run(&mut connection).await?;
    Ok(connection.close().await?)
}

async fn prepare(dialect: Dialect, connection: &mut AnyConnection) -> Result<(), sqlx::Error> {
    for setting in dialect.settings() {
        sqlx::query(*setting).execute(&mut *connection).await?;
    }
    Ok(())
}

/// Up to `size` connections to the database at this address.
fn pool(dialect: Dialect, address: &str, size: u32) -> Result<AnyPool, sqlx::Error> {
    AnyPoolOptions::new()
        .max_connections(size)
        .acquire_timeout(PATIENCE)
        .after_connect(move |connection, _| Box::pin(prepare(dialect, connection)))
        // Each was asked when it was given back.
        .test_before_acquire(false)
        .before_acquire(|connection, known| {
            Box::pin(async move {
                let there = known.idle_for <= SURE || connection.ping().await.is_ok();
                // A full disk may leave one to SQLite within a transaction that is over; nobody could begin another one.
                Ok(there && !connection.is_in_transaction())
            })
        })
        .connect_lazy(address)
}

/// A column that holds JSON.
fn json<T: serde::de::DeserializeOwned>(row: &AnyRow, column: &str) -> Result<T, StoreError> {
    parsed(column, &row.try_get::<String, _>(column)?)
}

/// The JSON that a column holds.
fn parsed<T: serde::de::DeserializeOwned>(column: &str, text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| StoreError::Corrupt(format!("{column}: {error}")))
}

/// A column that holds JSON or nothing.
fn json_or_none<T: serde::de::DeserializeOwned>(row: &AnyRow, column: &str) -> Result<Option<T>, StoreError> {
    let text: Option<String> = row.try_get(column)?;
    text.map(|text| parsed(column, &text)).transpose()
}

/// A thousand years: longer than anybody means, and still a time when it is added to one.
const AGES: i64 = 1000 * 365 * 24 * 3600 * 1000;

/// Milliseconds for the database.
fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX).min(AGES)
}
