//! The table as it is, and whether the rows fit it; the table as it is made.

use super::types::{self, Type};
use crate::found::{self, Column, Found};
use crate::params::Mode;
use crate::plain::Plain;
use crate::target::Target;
use arrow::datatypes::DataType;
use databases::Address;
use databases::mysql::Session;
use flight_common::{Dataset, Fault};
use mysql_async::Row;
use mysql_async::prelude::Queryable;

/// What it is called where a fault tells of it.
const DATABASE: &str = "MariaDB or MySQL";
/// Characters of the longest name.
const LONGEST_NAME: usize = 64;

/// A table as it was found; nothing for one that is not there.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// The database that it lies in.
    pub database: String,
    found: Option<Found<Type>>,
}

/// What it is, and whether its engine has transactions.
const FIND: &str = "SELECT t.table_type, t.engine, e.transactions
    FROM information_schema.tables AS t LEFT JOIN information_schema.engines AS e ON e.engine = t.engine
    WHERE t.table_schema = ? AND t.table_name = ?";

/// Its columns.
const COLUMNS: &str = "SELECT column_name, column_type, data_type, numeric_scale, datetime_precision,
        is_nullable = 'NO' AND column_default IS NULL, extra LIKE '%auto_increment%',
        extra LIKE '%VIRTUAL GENERATED%' OR extra LIKE '%STORED GENERATED%', is_nullable = 'NO'
    FROM information_schema.columns WHERE table_schema = ? AND table_name = ? ORDER BY ordinal_position";

/// The columns of its unique indexes; no name for one of which only the first characters count. All else that the server knows
/// of them comes behind.
const UNIQUE: &str = "SELECT s.index_name, CASE WHEN s.sub_part IS NULL THEN s.column_name END, s.*
    FROM information_schema.statistics AS s WHERE s.table_schema = ? AND s.table_name = ? AND s.non_unique = 0
    ORDER BY s.index_name, s.seq_in_index";

/// Looks at the table, and checks whether the rows fit it.
///
/// # Errors
/// Why the database cannot be reached; [`flight_common::FaultKind::BadSchema`] for rows that do not fit.
pub async fn plan(address: &Address, target: &Target, plain: &Plain) -> Result<(Table, Dataset), Fault> {
    if target.shown().contains(is_beyond) {
        return Err(target.bad_name(DATABASE, "a name may not hold characters of four bytes there".to_owned()));
    }
    let mut session = Session::open(address).await?;
    check_local(&mut session).await?;
    let table = Table::find(&mut session, target).await?;
    session.close().await;
    target.check_names(DATABASE, same, wrong)?;
    match table.is_there() {
        true => table.check(target, plain)?,
        false => check_made(target, plain)?,
    }
    let dataset = Dataset::new(address.namespace(), format!("{}.{}", table.database, target.table));
    Ok((table, dataset))
}

/// Rows come by `LOAD DATA LOCAL`, which a server may refuse.
async fn check_local(session: &mut Session) -> Result<(), Fault> {
    let asked = session.conn().query_first("SELECT @@local_infile").await;
    let allowed: Option<bool> = asked.map_err(|error| session.fault(&error))?;
    match allowed {
        Some(false) => Err(Fault::denied("the server takes no rows by LOAD DATA LOCAL: local_infile is off")
            .help("switch it on there: SET GLOBAL local_infile = ON")),
        _ => Ok(()),
    }
}

/// Why the server would refuse the name of a column when the table is made.
fn wrong(name: &str) -> Option<String> {
    match () {
        () if name.chars().count() > LONGEST_NAME => Some(format!("a name has up to {LONGEST_NAME} characters there")),
        () if name.ends_with(is_space) => Some("a name may not end with white space there".to_owned()),
        () if name.chars().any(is_beyond) => Some("a name may not hold such a character there".to_owned()),
        () => None,
    }
}

fn is_space(character: char) -> bool {
    character.is_ascii_whitespace() || character == '\u{b}'
}

/// Whether it is a character that no name there holds.
fn is_beyond(character: char) -> bool {
    character > '\u{ffff}'
}

fn check_made(target: &Target, plain: &Plain) -> Result<(), Fault> {
    if target.table.chars().count() > LONGEST_NAME || target.table.ends_with(is_space) {
        let help = format!("a name has up to {LONGEST_NAME} characters there, and no white space at its end");
        return Err(target.bad_name(DATABASE, help));
    }
    let missing = target.columns.iter().zip(plain.types()).find(|(_, plain)| types::made(plain, None).is_none());
    match missing {
        Some((name, plain)) => Err(Target::not_held(name, plain, DATABASE)),
        None => Ok(()),
    }
}

/// How names of columns are compared.
fn same(there: &str, name: &str) -> bool {
    there.to_lowercase() == name.to_lowercase()
}

impl Table {
    /// The table as it is now.
    ///
    /// # Errors
    /// What the server says; [`flight_common::FaultKind::BadParams`] for what is no table, and for one whose rows cannot be
    /// taken back.
    pub async fn find(session: &mut Session, target: &Target) -> Result<Self, Fault> {
        let database = database(session, target).await?;
        let place = (&database, &target.table);
        let asked = session.conn().exec_first(FIND, place).await;
        let Some(kind) = asked.map_err(|error| session.fault(&error))? else {
            return Ok(Self { database, found: None });
        };
        check_kind(target, kind)?;
        let columns = session.conn().exec_map(COLUMNS, place, column).await.map_err(|error| session.fault(&error))?;
        let unique = unique(session, place).await?;
        let unique = found::unique(unique.iter().map(of_index)).map(|(_, columns)| columns).collect();
        let found = Some(Found { columns, unique });
        Ok(Self { database, found })
    }

    /// Whether it is there.
    pub fn is_there(&self) -> bool {
        self.found.is_some()
    }

    /// Checks whether the rows fit it, if it is there.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::BadSchema`] with the column.
    pub fn check(&self, target: &Target, plain: &Plain) -> Result<(), Fault> {
        self.found.as_ref().map_or(Ok(()), |found| found.check(target, plain, same, types::fits))
    }

    /// The name of a unique index on just the keys, if statements may name one.
    ///
    /// # Errors
    /// What the server says.
    pub async fn index(&self, session: &mut Session, target: &Target) -> Result<Option<String>, Fault> {
        let mut rows = unique(session, (&self.database, &target.table)).await?;
        // One that is ignored (MariaDB) or invisible (MySQL) keeps keys unique, and cannot be named.
        let says = |row: &Row, column: &str, word: &str| row.get::<String, _>(column).is_none_or(|said| said == word);
        rows.retain(|row| says(row, "IGNORED", "NO") && says(row, "IS_VISIBLE", "YES"));
        let mut indexes = found::unique(rows.iter().map(of_index));
        Ok(indexes.find(|(_, columns)| found::are_keys(columns, target, same)).map(|(name, _)| name))
    }

    /// The type of each column that is written; none if the table is made.
    pub fn types(&self, target: &Target) -> Vec<Type> {
        let Some(found) = &self.found else { return Vec::new() };
        let held = |name: &String| found.column(name, same).map(|column| column.data_type.clone());
        target.columns.iter().map(|name| held(name).unwrap_or_default()).collect()
    }

    /// The statement that makes it. `target` is where.
    pub fn make(target: &Target, plain: &Plain) -> String {
        let texts = target.columns.iter().zip(plain.types()).filter(|(name, plain)| {
            target.keys.contains(name) && matches!(plain, DataType::Utf8View | DataType::BinaryView | DataType::Null)
        });
        let texts = texts.count();
        let declared = |name: &str, plain: &DataType| {
            let key = target.mode == Mode::Upsert && target.keys.iter().any(|key| key == name);
            types::made(plain, key.then_some(texts)).unwrap_or_default()
        };
        target.create(plain, declared) + " ENGINE=InnoDB CHARACTER SET utf8mb4"
    }
}

/// The rows of [`UNIQUE`] for a table of a database.
async fn unique(session: &mut Session, place: (&String, &String)) -> Result<Vec<Row>, Fault> {
    let asked = session.conn().exec(UNIQUE, place).await;
    asked.map_err(|error| session.fault(&error))
}

/// The index of such a row, and its column.
fn of_index(row: &Row) -> (String, Option<String>) {
    (row.get(0).unwrap_or_default(), row.get(1).flatten())
}

/// The database of the table: the one that is named, or that of the address.
async fn database(session: &mut Session, target: &Target) -> Result<String, Fault> {
    let refuse = |what: String, help: &str| Err(Fault::bad_params(what.clone()).help(help).violation("/table", what));
    let Some(schema) = &target.schema else {
        return match session.database().await? {
            Some(database) => Ok(database),
            None => refuse(
                format!("it is not said which database holds the table {}", target.shown()),
                "name it: sales.orders, or in the address: mysql://user:password@host/sales",
            ),
        };
    };
    let sql = "SELECT schema_name FROM information_schema.schemata WHERE schema_name = ?";
    let found = session.conn().exec_first(sql, (schema,)).await.map_err(|error| session.fault(&error))?;
    match found {
        Some(found) => Ok(found),
        None => refuse(format!("there is no database \"{schema}\""), "name one that is there, or make it"),
    }
}

fn check_kind(target: &Target, kind: (String, Option<String>, Option<String>)) -> Result<(), Fault> {
    let (kind, engine, transactions) = kind;
    if !matches!(kind.as_str(), "BASE TABLE" | "SYSTEM VERSIONED") {
        return Err(target.no_table());
    }
    if transactions.as_deref() == Some("YES") {
        return Ok(());
    }
    let engine = engine.unwrap_or_default();
    let what = format!("table {} has the engine {engine}, which takes no row back when a load fails", target.shown());
    let help = format!("ALTER TABLE {} ENGINE = InnoDB", target.shown());
    Err(Fault::bad_params(what.clone()).help(help).violation("/table", what))
}

type Described = (String, String, String, Option<i64>, Option<u32>, bool, bool, bool, bool);

fn column((name, shown, data_type, scale, seconds, wanted, numbered, computed, filled): Described) -> Column<Type> {
    let members = Type::members(&shown);
    let stamped = filled && data_type == "timestamp";
    let data_type = Type { name: data_type, scale, seconds, members, numbered, stamped };
    Column { name, shown, data_type, wanted: wanted && !numbered && !computed, computed }
}
