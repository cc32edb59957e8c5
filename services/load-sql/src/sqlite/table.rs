//! The table as it is, and whether the rows fit it; the table as it is made.

use super::types::{self, Type};
use crate::found::{self, Column, Found};
use crate::plain::Plain;
use crate::target::Target;
use arrow::datatypes::DataType;
use databases::{Address, quote, sqlite};
use flight_common::{DataRoot, Fault, FaultKind};
use rusqlite::{Connection, Error};

/// What it is called where a fault tells of it.
const DATABASE: &str = "SQLite";
/// How the names of its own tables begin.
const RESERVED: &str = "sqlite_";

/// A table as it was found; nothing for one that is not there.
#[derive(Clone, Debug, PartialEq)]
pub struct Table(Option<Found<Type>>);

/// Looks at the table, and checks whether the rows fit it. Blocks: call it on the compute pool.
///
/// # Errors
/// Why the file cannot be opened; [`FaultKind::BadSchema`] for rows that do not fit.
pub fn plan(address: &Address, target: &Target, plain: &Plain, root: &DataRoot) -> Result<Table, Fault> {
    if let Some(schema) = &target.schema {
        let what = format!("SQLite has no schema \"{schema}\"");
        return Err(Fault::bad_params(what.clone()).help("write the table alone: orders").violation("/table", what));
    }
    target.check_names(DATABASE, str::eq_ignore_ascii_case, |_| None)?;
    for (name, data_type) in target.columns.iter().zip(plain.types()) {
        if types::made(data_type).is_none() {
            return Err(Target::not_held(name, data_type, DATABASE));
        }
    }
    let table = match sqlite::open_for_reading(root, address) {
        Ok(connection) => Table::find(&connection, "main", address, target)?,
        Err(fault) if fault.kind() == FaultKind::NotFound => Table(None),
        Err(fault) => return Err(fault),
    };
    if !table.is_there() && is_reserved(&target.table) {
        return Err(target.bad_name(DATABASE, format!("names that begin with {RESERVED} are its own")));
    }
    table.check(target, plain)?;
    Ok(table)
}

/// Whether SQLite makes no table of this name for others.
fn is_reserved(table: &str) -> bool {
    table.get(..RESERVED.len()).is_some_and(|start| start.eq_ignore_ascii_case(RESERVED))
}

impl Table {
    /// The table as it is now, in the database that the connection knows by this name.
    ///
    /// # Errors
    /// What SQLite says; [`FaultKind::BadParams`] for what is no table.
    pub fn find(connection: &Connection, database: &str, address: &Address, target: &Target) -> Result<Self, Fault> {
        Self::read(connection, database, target).map_err(|error| sqlite::fault(&error, address))?
    }

    fn read(connection: &Connection, database: &str, target: &Target) -> Result<Result<Self, Fault>, Error> {
        let kind = format!(
            "SELECT type FROM {}.sqlite_schema WHERE lower(name) = lower(?1) AND type IN ('table', 'view')",
            quote::double(database)
        );
        let kind: Option<String> = match connection.query_row(&kind, [&target.table], |row| row.get(0)) {
            Err(Error::QueryReturnedNoRows) => None,
            found => Some(found?),
        };
        match kind.as_deref() {
            None => return Ok(Ok(Self(None))),
            Some("table") => {}
            Some(_) => return Ok(Err(target.no_table())),
        }
        let strict = "SELECT strict FROM pragma_table_list WHERE schema = ?2 AND lower(name) = lower(?1)";
        let is_strict = connection.query_row(strict, [&*target.table, database], |row| row.get(0))?;
        let sql =
            "SELECT name, \"notnull\", dflt_value IS NOT NULL, pk, hidden, lower(type) FROM pragma_table_xinfo(?1, ?2)";
        let mut statement = connection.prepare(sql)?;
        let rows = statement.query_map([&*target.table, database], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?))
        })?;
        let rows: Vec<(String, bool, bool, i64, i64, String)> = rows.collect::<Result<_, _>>()?;
        let mut keys: Vec<(i64, String)> =
            rows.iter().filter(|row| row.3 > 0).map(|row| (row.3, row.0.clone())).collect();
        keys.sort();
        let columns = rows.into_iter().map(|(name, not_null, default, key, hidden, declared)| {
            // An `INTEGER PRIMARY KEY` numbers rows by itself.
            let wanted = not_null && !default && !(key > 0 && declared == "integer");
            let data_type = Type::of(&declared, is_strict);
            Column { name, shown: declared, data_type, wanted, computed: hidden > 1 }
        });
        let mut unique = Self::indexes(connection, database, target)?;
        unique.extend((!keys.is_empty()).then(|| keys.into_iter().map(|(_, name)| name).collect()));
        Ok(Ok(Self(Some(Found { columns: columns.collect(), unique }))))
    }

    fn indexes(connection: &Connection, database: &str, target: &Target) -> Result<Vec<Vec<String>>, Error> {
        let sql = "SELECT l.name, i.name FROM pragma_index_list(?1, ?2) AS l, pragma_index_info(l.name, ?2) AS i
            WHERE l.\"unique\" AND NOT l.partial ORDER BY l.name, i.seqno";
        let mut statement = connection.prepare(sql)?;
        let rows = statement.query_map([&*target.table, database], |row| Ok((row.get(0)?, row.get(1)?)))?;
        // A column without a name is an expression.
        let rows: Vec<(String, Option<String>)> = rows.collect::<Result<_, _>>()?;
        Ok(found::unique(rows.into_iter()).map(|(_, columns)| columns).collect())
    }

    /// Whether it is there.
    pub fn is_there(&self) -> bool {
        self.0.is_some()
    }

    /// Checks whether the rows fit it, if it is there.
    ///
    /// # Errors
    /// [`FaultKind::BadSchema`] with the column.
    pub fn check(&self, target: &Target, plain: &Plain) -> Result<(), Fault> {
        let fits = |found: &Found<Type>| found.check(target, plain, str::eq_ignore_ascii_case, types::fits);
        self.0.as_ref().map_or(Ok(()), fits)
    }

    /// The statement that makes the table, if it is not there.
    pub fn make(&self, target: &Target, plain: &Plain) -> Option<String> {
        let declared = |_: &str, plain: &DataType| types::made(plain).unwrap_or_default();
        self.0.is_none().then(|| target.create(plain, declared))
    }
}
