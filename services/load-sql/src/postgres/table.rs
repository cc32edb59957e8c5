//! The table as it is, and whether the rows fit it; the table as it is made.

use super::types::{self, Type};
use crate::found::{Column, Found};
use crate::plain::Plain;
use crate::target::Target;
use databases::Address;
use databases::postgres::Session;
use flight_common::{Dataset, Fault};

/// What it is called where a fault tells of it.
const DATABASE: &str = "PostgreSQL";
/// Bytes of the longest name. What follows them the server would cut off without a word (its manual, *Identifiers and Key
/// Words*).
const LONGEST_NAME: usize = 63;

/// A table as it was found, and the number that the database knows it by; nothing for one that is not there.
#[derive(Clone, Debug, PartialEq)]
pub struct Table(Option<(u32, Found<Type>)>);

/// The table by its name, on the search path if it has no schema.
const FIND: &str = "SELECT c.oid, c.relkind::text FROM pg_class AS c WHERE c.oid = to_regclass($1)";

/// Its columns, domains taken for what they stand on.
const COLUMNS: &str = "WITH RECURSIVE base(oid, type, modifier) AS (
        SELECT a.attnum, a.atttypid, a.atttypmod FROM pg_attribute AS a
        WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped
      UNION ALL
        SELECT b.oid, t.typbasetype, CASE WHEN t.typtypmod >= 0 THEN t.typtypmod ELSE b.modifier END
        FROM base AS b JOIN pg_type AS t ON t.oid = b.type WHERE t.typtype = 'd')
    SELECT a.attname::text, format_type(a.atttypid, a.atttypmod), coalesce(e.typname, t.typname)::text, e.oid IS NOT NULL,
        b.modifier, a.attnotnull AND NOT a.atthasdef AND a.attidentity = '', a.attgenerated <> '' OR a.attidentity = 'a'
    FROM base AS b
    JOIN pg_attribute AS a ON a.attrelid = $1 AND a.attnum = b.oid
    JOIN pg_type AS t ON t.oid = b.type AND t.typtype <> 'd'
    LEFT JOIN pg_type AS e ON e.oid = t.typelem AND t.typcategory = 'A'
    ORDER BY a.attnum";

/// Its unique indexes on plain columns, over all rows, checked at once.
const UNIQUE: &str = "SELECT array_agg(a.attname::text) FROM pg_index AS i
    JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey[0:i.indnkeyatts - 1])
    WHERE i.indrelid = $1 AND i.indisunique AND i.indimmediate AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
    GROUP BY i.indexrelid ORDER BY i.indexrelid";

/// Looks at the table, and checks whether the rows fit it.
///
/// # Errors
/// Why the database cannot be reached; [`flight_common::FaultKind::BadSchema`] for rows that do not fit.
pub async fn plan(address: &Address, target: &Target, plain: &Plain) -> Result<(Table, Dataset), Fault> {
    check_names(target)?;
    let session = Session::open(address).await?;
    check_schema(&session, target).await?;
    let table = Table::find(&session, target).await?;
    table.check(target, plain)?;
    let named = "SELECT current_database()::text, coalesce((SELECT relnamespace::regnamespace::text FROM pg_class WHERE oid = $1),
                 $2, current_schema()::text)";
    let oid = table.0.as_ref().map(|(oid, _)| *oid);
    let row =
        session.client().query_one(named, &[&oid, &target.schema]).await.map_err(|error| session.fault(&error))?;
    let read = |place| row.try_get::<_, Option<String>>(place).map_err(Fault::internal);
    let (database, schema) = (read(0)?.unwrap_or_default(), read(1)?);
    session.close();
    let Some(schema) = schema else {
        let what = format!("no schema of the search path is there to make table {} in", target.shown());
        return Err(Fault::bad_params(what.clone()).help("name it: sales.orders").violation("/table", what));
    };
    Ok((table, Dataset::new(address.namespace(), format!("{database}.{schema}.{}", target.table))))
}

/// Names that the server would cut, and then take for others.
fn check_names(target: &Target) -> Result<(), Fault> {
    if target.table.len() > LONGEST_NAME || target.schema.as_ref().is_some_and(|schema| schema.len() > LONGEST_NAME) {
        return Err(target.bad_name(DATABASE, format!("a name has up to {LONGEST_NAME} bytes there")));
    }
    target.check_names(DATABASE, same, |name| {
        (name.len() > LONGEST_NAME)
            .then(|| format!("it has {} bytes, and a name up to {LONGEST_NAME} there", name.len()))
    })
}

/// A schema that is named must be there: only tables are made.
async fn check_schema(session: &Session, target: &Target) -> Result<(), Fault> {
    let Some(schema) = &target.schema else { return Ok(()) };
    let sql = "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)";
    let there = session.client().query_one(sql, &[schema]).await.map_err(|error| session.fault(&error))?;
    if there.get(0) {
        return Ok(());
    }
    let what = format!("there is no schema \"{schema}\"");
    Err(Fault::bad_params(what.clone()).help("name one that is there, or make it").violation("/table", what))
}

/// How names of columns are compared.
fn same(there: &str, name: &str) -> bool {
    there == name
}

impl Table {
    /// The table as it is now.
    ///
    /// # Errors
    /// What the server says; [`flight_common::FaultKind::BadParams`] for what is no table.
    pub async fn find(session: &Session, target: &Target) -> Result<Self, Fault> {
        let said = |error| session.fault(&error);
        let Some(row) = session.client().query_opt(FIND, &[&target.quoted()]).await.map_err(said)? else {
            return Ok(Self(None));
        };
        let (oid, kind): (u32, String) = (row.get(0), row.get(1));
        if !matches!(kind.as_str(), "r" | "p" | "f") {
            return Err(target.no_table());
        }
        let rows = session.client().query(COLUMNS, &[&oid]).await.map_err(said)?;
        let columns = rows.iter().map(|row| {
            let data_type = Type::new(row.get(2), row.get(3), row.get(4));
            Column { name: row.get(0), shown: row.get(1), data_type, wanted: row.get(5), computed: row.get(6) }
        });
        let columns = columns.collect();
        let rows = session.client().query(UNIQUE, &[&oid]).await.map_err(said)?;
        let unique = rows.iter().map(|row| row.get::<_, Vec<String>>(0)).collect();
        Ok(Self(Some((oid, Found { columns, unique }))))
    }

    /// Whether it is there.
    pub fn is_there(&self) -> bool {
        self.0.is_some()
    }

    /// Checks whether the rows fit it, if it is there.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::BadSchema`] with the column.
    pub fn check(&self, target: &Target, plain: &Plain) -> Result<(), Fault> {
        self.0.as_ref().map_or(Ok(()), |(_, found)| found.check(target, plain, same, types::fits))
    }

    /// The types of the columns that are written; none for a table that is not there.
    pub fn types(&self, target: &Target) -> Vec<Type> {
        let Some((_, found)) = &self.0 else { return Vec::new() };
        let held = |name: &String| found.column(name, same).map(|column| column.data_type.clone());
        target.columns.iter().map(|name| held(name).unwrap_or_default()).collect()
    }

    /// The statement that makes the table, if it is not there.
    pub fn make(&self, target: &Target, plain: &Plain) -> Option<String> {
        self.0.is_none().then(|| target.create(plain, |_, plain| types::made(plain)))
    }
}
