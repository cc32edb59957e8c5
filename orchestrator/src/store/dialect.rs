//! The few words in which SQLite and PostgreSQL differ.

use super::StoreError;
use super::read::RUN;
use flight_common::passwords;
use sqlx::sqlite::SqliteConnectOptions;
use std::path::PathBuf;

/// Which database it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    Sqlite,
    Postgres,
}

impl Dialect {
    pub fn of(url: &str) -> Result<Self, StoreError> {
        match url.split(':').next() {
            Some("sqlite") => Ok(Self::Sqlite),
            Some("postgres" | "postgresql") => Ok(Self::Postgres),
            _ => Err(StoreError::Unaddressed(passwords::hidden(url))),
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        }
    }

    /// The address with what the driver must be told.
    pub fn address(self, url: &str) -> String {
        match self {
            Self::Sqlite if !url.contains('?') => format!("{url}?mode=rwc"),
            _ => url.to_owned(),
        }
    }

    /// Connections that may write at a time.
    pub fn writers(self) -> u32 {
        match self {
            Self::Sqlite => 1,
            Self::Postgres => 8,
        }
    }

    /// What each new connection is told. With a write-ahead log in `FULL` mode, what was committed outlives the power.
    pub fn settings(self) -> &'static [&'static str] {
        match self {
            Self::Sqlite => &[
                "PRAGMA busy_timeout = 10000",
                "PRAGMA journal_mode = WAL",
                "PRAGMA synchronous = FULL",
                "PRAGMA foreign_keys = ON",
            ],
            // A connection that stands still in a transaction would hold the queue up. Runs are read in the order of an index,
            // also before anybody has analyzed the table: with the cost of a disk that turns, it would be sorted anew.
            Self::Postgres => &[
                "SET statement_timeout = '30s'",
                "SET idle_in_transaction_session_timeout = '30s'",
                "SET random_page_cost = 1.1",
            ],
        }
    }

    /// What a connection is told besides that brings the tables up to date.
    pub fn settings_to_migrate(self) -> &'static [&'static str] {
        match self {
            Self::Sqlite => &[],
            Self::Postgres => &["SET statement_timeout = 0"],
        }
    }

    /// How a transaction that writes begins.
    pub fn begin(self) -> &'static str {
        match self {
            Self::Sqlite => "BEGIN IMMEDIATE",
            Self::Postgres => "BEGIN",
        }
    }

    /// Lets one replica at a time choose from the queue, so that limits hold; over at the end of the transaction. Until then
    /// PostgreSQL sorts nothing that an index has in order: with statistics from when nobody waited, it would read and sort the whole
    /// queue for each run that is taken.
    pub fn lock_queue(self) -> Option<&'static str> {
        match self {
            // `BEGIN IMMEDIATE` has done so.
            Self::Sqlite => None,
            Self::Postgres => {
                Some("SELECT CAST(pg_advisory_xact_lock(7309940828) AS TEXT), set_config('enable_sort', 'off', true)")
            }
        }
    }

    /// What tells the file that all is in, if it is one.
    pub fn file(self) -> Option<&'static str> {
        match self {
            Self::Sqlite => Some("SELECT file FROM pragma_database_list WHERE name = 'main'"),
            Self::Postgres => None,
        }
    }

    /// What keeps a row that is read as it is until the end of the transaction, as an update would: others may still write
    /// rows that refer to it.
    pub fn hold(self) -> &'static str {
        match self {
            // There is one writer.
            Self::Sqlite => "",
            Self::Postgres => "FOR NO KEY UPDATE",
        }
    }

    /// What lets several replicas take from a table at a time, none of them what another one takes.
    pub fn skip_locked(self) -> &'static str {
        match self {
            // There is one writer.
            Self::Sqlite => "",
            Self::Postgres => "FOR NO KEY UPDATE SKIP LOCKED",
        }
    }

    /// A statement with words of its own in it. `{now}` is the database's own clock, so that replicas need not agree on theirs.
    /// `{changed}` is the run `$1` as the main one among [`super::statements`] has changed or found it; in SQLite also if it has
    /// not, and then all of them are undone. `{along index}` after a table
    /// names the index to use: SQLite, which keeps no count of what a table holds, would not always find it. `{run}` is [`RUN`].
    pub fn words(self, text: &str) -> String {
        let (now, changed) = match self {
            Self::Sqlite => ("CAST(unixepoch('subsec') * 1000 AS INTEGER)", "runs WHERE id = $1"),
            Self::Postgres => ("CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)", "changed WHERE id = $1"),
        };
        let text = text.replace("{now}", now).replace("{changed}", changed).replace("{run}", RUN);
        let mut parts = text.split("{along ");
        let first = parts.next().unwrap_or_default().to_owned();
        parts.fold(first, |before, part| match (self, part.split_once('}')) {
            (Self::Sqlite, Some((index, after))) => before + "INDEXED BY " + index + after,
            (_, Some((_, after))) => before + after,
            (_, None) => before + part,
        })
    }
}

/// The file of the store at this address, if it is one. One in memory is none, and one without a name is gone once it is closed.
pub fn file_of(url: &str) -> Option<PathBuf> {
    let options = url.parse::<SqliteConnectOptions>().ok().filter(|_| url.starts_with("sqlite:"))?;
    let is_lasting =
        |file: &PathBuf| !file.as_os_str().is_empty() && !url.contains(":memory:") && !url.contains("mode=memory");
    Some(options.get_filename().to_owned()).filter(is_lasting)
}

/// Refuses the address of a file that nothing would be kept in, or whose folder is not there: nobody makes that.
///
/// # Errors
/// [`StoreError::Unaddressed`], [`StoreError::NoFolder`].
pub fn check_file(url: &str) -> Result<(), StoreError> {
    let file = match (file_of(url), url.starts_with("sqlite:")) {
        (Some(file), _) => file,
        (None, true) => return Err(StoreError::Unaddressed(url.to_owned())),
        (None, false) => return Ok(()),
    };
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    match folder.filter(|folder| folder.try_exists().is_ok_and(|there| !there)) {
        Some(folder) => Err(StoreError::NoFolder(folder.display().to_string())),
        None => Ok(()),
    }
}
