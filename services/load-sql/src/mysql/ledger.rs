//! Which runs have written: see [`crate::ledger`].

use crate::ledger::{Entry, LEDGER, Rows, Writer};
use crate::target::Target;
use databases::mysql::Session;
use databases::quote;
use flight_common::{Fault, FaultKind};
use mysql_async::prelude::Queryable;
use mysql_async::{Error, Params, Value};

/// The columns, in the words of MariaDB and MySQL, which have no key over texts of any length.
const COLUMNS: &str = "\"run\" varchar(255) NOT NULL, \"loaded\" varchar(64) NOT NULL, \"rows\" bigint NOT NULL, \
                       \"digest\" varchar(32) NOT NULL, \"at\" timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP, \
                       PRIMARY KEY (\"run\", \"loaded\")";
/// A line that is there already.
const DUPLICATE: u16 = 1062;
/// A table, or a column of it, for which the user has no such right.
const DENIED: [u16; 2] = [1142, 1143];
/// Names that are looked for at once: a statement has 65,535 places.
const AT_ONCE: usize = 1000;

/// The ledger of a database.
pub struct Ledger<'a> {
    database: &'a str,
    name: String,
}

impl<'a> Ledger<'a> {
    /// That of this database.
    pub fn new(database: &'a str) -> Self {
        Self { database, name: format!("{}.{LEDGER}", quote::double(database)) }
    }

    /// Makes it, if it is not there. It stays when the load fails.
    ///
    /// # Errors
    /// What the server says.
    pub async fn make(&self, session: &mut Session) -> Result<(), Fault> {
        if self.is_there(session).await? {
            return Ok(());
        }
        let name = &self.name;
        let sql = format!(
            "CREATE TABLE IF NOT EXISTS {name} ({COLUMNS}) ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
        );
        session.run(&sql).await.map_err(|fault| match fault.kind() {
            FaultKind::Denied => fault.help(format!(
                "an append needs the table {LEDGER} to be safe to repeat: let the user make it, or make it for them and let \
                 them read and write it: {}",
                sql.replace('"', "`")
            )),
            _ => fault,
        })
    }

    /// Whether there is one.
    ///
    /// # Errors
    /// What the server says.
    pub async fn is_there(&self, session: &mut Session) -> Result<bool, Fault> {
        let sql = "SELECT 1 FROM information_schema.tables WHERE table_schema = ? AND table_name = ?";
        let found: Option<i64> =
            session.conn().exec_first(sql, (self.database, LEDGER)).await.map_err(|error| session.fault(&error))?;
        Ok(found.is_some())
    }

    /// What an earlier attempt of the run has written.
    ///
    /// # Errors
    /// What the server says.
    pub async fn written_before(
        &self,
        session: &mut Session,
        table: &str,
        writer: &Writer,
    ) -> Result<Option<Entry>, Fault> {
        let sql = format!(
            "SELECT \"rows\", \"digest\" FROM {} WHERE \"run\" IN (?, ?) AND \"loaded\" = ? ORDER BY \"run\" DESC LIMIT 1",
            self.name
        );
        let asked = session.conn().exec_first(sql, (&writer.name, &writer.run, table)).await;
        let found = asked.map_err(|error| session.fault(&error))?;
        Ok(found.map(|(rows, digest)| Entry { rows, digest }))
    }

    /// The lines that the load may have written under other names, those first that are likelier its own.
    ///
    /// # Errors
    /// What the server says.
    pub async fn former(&self, session: &mut Session, table: &str, writer: &Writer) -> Result<Vec<String>, Fault> {
        let mut found: Vec<String> = Vec::new();
        for names in writer.former.chunks(AT_ONCE) {
            let places = vec!["?"; names.len()].join(", ");
            let sql = format!("SELECT \"run\" FROM {} WHERE \"run\" IN ({places}) AND \"loaded\" = ?", self.name);
            let values: Vec<Value> = names.iter().map(Value::from).chain([table.into()]).collect();
            let mut lines: Vec<String> =
                session.conn().exec(sql, values).await.map_err(|error| session.fault(&error))?;
            lines.sort_by_key(|line| names.iter().position(|name| name == line));
            found.append(&mut lines);
        }
        Ok(found)
    }

    /// Calls one of these lines by the load's own name, if it tells of these rows: whether there was one. Of two loads at once
    /// that want the same line, the later one waits here, and does not get it when the first has committed.
    ///
    /// # Errors
    /// What the server says.
    pub async fn take_over(
        &self,
        session: &mut Session,
        target: &Target,
        writer: &Writer,
        former: &[String],
        brought: &Entry,
    ) -> Result<bool, Fault> {
        let sql = format!(
            "UPDATE {} SET \"run\" = ? WHERE \"run\" = ? AND \"loaded\" = ? AND \"rows\" = ? AND \"digest\" = ?",
            self.name
        );
        for line in former {
            let values = (&writer.name, line, &target.table, brought.rows, &brought.digest);
            let taken = session.conn().exec_drop(&sql, values).await;
            taken.map_err(|error| refused(session, target, &error))?;
            if session.conn().affected_rows() > 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Notes what a run has written into a table. Two attempts at once: the later one waits here, and fails when the first
    /// has committed.
    ///
    /// # Errors
    /// What the server says.
    pub async fn note(
        &self,
        session: &mut Session,
        target: &Target,
        table: &str,
        writer: &Writer,
        rows: &Rows,
    ) -> Result<(), Fault> {
        let sql = format!("INSERT INTO {} (\"run\", \"loaded\", \"rows\", \"digest\") VALUES (?, ?, ?, ?)", self.name);
        let Entry { rows, digest } = Entry::of(rows)?;
        let noted = session.conn().exec_drop(sql, (&writer.name, table, rows, digest)).await;
        noted.map_err(|error| refused(session, target, &error))
    }

    /// Whether it vouches for the rows of a table.
    ///
    /// # Errors
    /// What the server says.
    pub async fn vouches(&self, session: &mut Session, table: &str) -> Result<bool, Fault> {
        if !self.is_there(session).await? {
            return Ok(false);
        }
        let sql = format!("SELECT 1 FROM {} WHERE \"loaded\" = ? LIMIT 1", self.name);
        let found: Option<i64> =
            session.conn().exec_first(sql, (table,)).await.map_err(|error| session.fault(&error))?;
        Ok(found.is_some())
    }

    /// A table has got another name.
    ///
    /// # Errors
    /// What the server says.
    pub async fn renamed(&self, session: &mut Session, from: &str, to: &str) -> Result<(), Fault> {
        self.change(session, &format!("UPDATE {} SET \"loaded\" = ? WHERE \"loaded\" = ?", self.name), (to, from)).await
    }

    /// A table is gone before anybody saw it.
    ///
    /// # Errors
    /// What the server says.
    pub async fn forget(&self, session: &mut Session, table: &str) -> Result<(), Fault> {
        self.change(session, &format!("DELETE FROM {} WHERE \"loaded\" = ?", self.name), (table,)).await
    }

    /// A table has lost its rows: forgets its lines, in the same transaction. Those that this user may not delete stay.
    ///
    /// # Errors
    /// What the server says.
    pub async fn emptied(&self, session: &mut Session, table: &str) -> Result<(), Fault> {
        match self.forget_each(session, table).await {
            Err(Error::Server(said)) if DENIED.contains(&said.code) => Ok(()),
            done => done.map_err(|error| session.fault(&error)),
        }
    }

    /// Each line by its key: whatever a statement looks at is locked until the transaction ends, and others, which load other
    /// tables, could not note theirs.
    async fn forget_each(&self, session: &mut Session, table: &str) -> Result<(), Error> {
        let sql = format!("SELECT \"run\" FROM {} WHERE \"loaded\" = ?", self.name);
        let lines: Vec<String> = session.conn().exec(sql, (table,)).await?;
        let sql = format!("DELETE FROM {} WHERE \"run\" = ? AND \"loaded\" = ?", self.name);
        for line in &lines {
            session.conn().exec_drop(&sql, (line, table)).await?;
        }
        Ok(())
    }

    async fn change(&self, session: &mut Session, sql: &str, values: impl Into<Params> + Send) -> Result<(), Fault> {
        session.conn().exec_drop(sql, values).await.map_err(|error| session.fault(&error))
    }
}

fn refused(session: &Session, target: &Target, error: &Error) -> Fault {
    match error {
        Error::Server(said) if said.code == DUPLICATE => target.written_meanwhile(),
        _ => session.fault(error),
    }
}
