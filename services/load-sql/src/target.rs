//! What is written: a table, the columns of the input, and how they meet the rows that are there. Pure.

use crate::ledger::{Entry, Rows};
use crate::params::{Mode, Params};
use crate::plain::Plain;
use arrow::datatypes::{DataType, Schema};
use databases::quote;
use flight_common::params::did_you_mean;
use flight_common::{Fault, Meter, columns};

/// A load, as far as it hangs on no database.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// The schema of the table, if it was named.
    pub schema: Option<String>,
    /// The table.
    pub table: String,
    /// What becomes of the rows that are there.
    pub mode: Mode,
    /// The columns that are written, in their order.
    pub columns: Vec<String>,
    /// The columns that tell rows apart, for an upsert.
    pub keys: Vec<String>,
}

impl Target {
    /// Checks the parameters against each other and against the input.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::BadParams`] and [`flight_common::FaultKind::BadSchema`], each with the parameter or the
    /// column.
    pub fn new(params: &Params, input: &Schema) -> Result<Self, Fault> {
        let (schema, table) = match params.table.split_once('.') {
            Some((schema, table)) => (Some(schema.to_owned()), table),
            None => (None, params.table.as_str()),
        };
        let empty = table.is_empty() || schema.as_deref() == Some("");
        if empty || table.contains('.') || params.table.contains('\0') {
            let message = format!("table: {:?} is no name of a table", params.table);
            let help = "write orders, or with its schema sales.orders";
            return Err(Fault::bad_params(message.clone()).help(help).violation("/table", message));
        }
        let columns = names(input)?;
        check_keys(params, input)?;
        let keys = params.keys.clone();
        Ok(Self { schema, table: table.to_owned(), mode: params.mode, columns, keys })
    }

    /// The table's name in SQL.
    pub fn quoted(&self) -> String {
        let schema = self.schema.as_deref().map(|schema| format!("{}.", quote::double(schema))).unwrap_or_default();
        schema + &quote::double(&self.table)
    }

    /// The table's name as it is told.
    pub fn shown(&self) -> String {
        let schema = self.schema.as_deref().map(|schema| format!("{schema}.")).unwrap_or_default();
        schema + &self.table
    }

    /// The columns that are written, in SQL.
    pub fn column_list(&self) -> String {
        list(&self.columns)
    }

    /// The keys, in SQL.
    pub fn key_list(&self) -> String {
        list(&self.keys)
    }

    /// What an upsert does with the rows of a staging table: PostgreSQL and SQLite write it alike.
    pub fn upsert_from(&self, staging: &str) -> String {
        let others = self.columns.iter().filter(|column| !self.keys.contains(column));
        let set: Vec<String> =
            others.map(|column| quote::double(column)).map(|column| format!("{column} = excluded.{column}")).collect();
        let action = if set.is_empty() { "NOTHING".to_owned() } else { format!("UPDATE SET {}", set.join(", ")) };
        format!(
            "INSERT INTO {table} ({columns}) SELECT {columns} FROM {staging} WHERE true ON CONFLICT ({keys}) DO {action}",
            table = self.quoted(),
            columns = self.column_list(),
            keys = self.key_list()
        )
    }

    /// A query for keys that an upsert cannot take: null, or those of several rows. It gives at most one row, of one text,
    /// which is the type `text` there.
    pub fn bad_keys(&self, staging: &str, text: &str) -> String {
        let shown: Vec<String> =
            self.keys.iter().map(|key| format!("coalesce(CAST({} AS {text}), 'null')", quote::double(key))).collect();
        let null: Vec<String> = self.keys.iter().map(|key| format!("{} IS NULL", quote::double(key))).collect();
        format!(
            "SELECT {shown} FROM {staging} GROUP BY {keys} HAVING count(*) > 1 OR {null} LIMIT 1",
            shown = shown.join(" || ', ' || "),
            keys = self.key_list(),
            null = null.join(" OR ")
        )
    }

    /// The fault of keys that such a query has found.
    pub fn bad_keys_fault(&self, found: &str) -> Fault {
        let keys = self.keys.join(", ");
        let null = found.split(", ").any(|part| part == "null");
        let (what, help) = match null {
            true => ("a null", "leave rows without keys out, or give them some"),
            false => (
                "more than one row",
                "leave one row of each, as the database compares them (to MariaDB a and A are one, unless the column's collation \
                 tells them apart): SELECT DISTINCT ON in the step sql",
            ),
        };
        Fault::bad_data(format!("keys ({keys}): the rows hold {what} for ({found})")).help(help)
    }

    /// Checks the names of the columns against a database: two that it takes for one, by how it compares names, and one that
    /// is none there, of which `wrong` says why.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::BadSchema`] with the column.
    pub fn check_names(
        &self,
        database: &str,
        same: fn(&str, &str) -> bool,
        wrong: fn(&str) -> Option<String>,
    ) -> Result<(), Fault> {
        for (place, name) in self.columns.iter().enumerate() {
            let twin = self.columns[..place].iter().find(|other| same(other, name));
            let twin = twin.map(|twin| format!("it is \"{twin}\" in other letters, which is the same there"));
            if let Some(wrong) = twin.or_else(|| wrong(name)) {
                let message = format!("column \"{name}\" cannot be written to {database}: {wrong}");
                return Err(Fault::bad_schema(message).column(name).help("rename it first, in the step sql"));
            }
        }
        Ok(())
    }

    /// The fault of a name that no table has there. `help` says what names are like.
    pub fn bad_name(&self, database: &str, help: String) -> Fault {
        let message = format!("table: {:?} is no name of a table for {database}", self.shown());
        Fault::bad_params(message.clone()).help(help).violation("/table", message)
    }

    /// The fault of a column that the table does not have.
    pub fn no_column(&self, column: &str, there: &[&str]) -> Fault {
        Fault::bad_schema(format!("table {} has no column \"{column}\"", self.shown()))
            .column(column)
            .help(did_you_mean(column, there.iter().copied()))
            .violation("/table", format!("it has no column \"{column}\""))
    }

    /// The fault of a column for which a database has no type.
    pub fn not_held(column: &str, data_type: &DataType, database: &str) -> Fault {
        let message = format!("column \"{column}\" cannot be written to {database}: it is {data_type}");
        let help = "make a text of it, or leave it out, before: SELECT … in the step sql";
        Fault::bad_schema(message).column(column).help(help)
    }

    /// The fault of a column that the table wants and the input does not have.
    pub fn column_wanted(&self, column: &str) -> Fault {
        let message = format!("table {} wants a value for column \"{column}\", and the input has none", self.shown());
        Fault::bad_schema(message.clone())
            .help("give the input this column, or the table a default for it")
            .violation("/table", message)
    }

    /// The fault of what has the name of the table and is none.
    pub fn no_table(&self) -> Fault {
        let what = format!("{} is no table", self.shown());
        Fault::bad_params(what.clone()).help("a view is not written to").violation("/table", what)
    }

    /// The fault of an upsert without an index on its keys.
    pub fn keys_not_unique(&self) -> Fault {
        let keys = self.keys.join(", ");
        let message = format!("table {} has no primary key or unique index on ({keys})", self.shown());
        let help = format!("CREATE UNIQUE INDEX {}_keys ON {} ({keys}), or name other keys", self.table, self.shown());
        Fault::bad_schema(message.clone()).help(help).violation("/keys", message)
    }

    /// Refuses a table that is another one than when the load was planned. One that has come into being since takes rows that
    /// are added: another step of the run may have made it.
    ///
    /// # Errors
    /// [`Target::changed`]
    pub fn check_unchanged(&self, is_same: bool, was_there: bool) -> Result<(), Fault> {
        let is_new = !was_there && self.mode == Mode::Append;
        if is_same || is_new { Ok(()) } else { Err(self.changed()) }
    }

    /// The fault of a table that is another one than when it was planned.
    pub fn changed(&self) -> Fault {
        Fault::upstream(format!("table {} has changed since the load was planned", self.shown()))
            .help("run the pipeline again")
    }

    /// What becomes of an attempt that finds what an earlier one of its run has written, and brings these rows: how many
    /// there are. The report tells that they were there.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::BadData`] for other rows, and if the table is gone.
    pub fn repeated(&self, before: &Entry, rows: &Rows, is_there: bool, meter: &Meter) -> Result<u64, Fault> {
        if !is_there {
            let message =
                format!("this run has appended rows to {} before, and there is no such table any more", self.shown());
            return Err(Fault::bad_data(message).help("begin a new run"));
        }
        if Entry::of(rows)? == *before {
            meter.count("rows_loaded_before", rows.count);
            meter.warn(format!("an earlier attempt has loaded these {} rows into {}", rows.count, self.shown()));
            return Ok(rows.count);
        }
        let message = format!("this run has appended other rows to {} before", self.shown());
        Err(Fault::bad_data(message)
            .help("begin a new run; take out the rows of this one first if they are not wanted"))
    }

    /// The fault of an attempt that another one of the same run has overtaken.
    pub fn written_meanwhile(&self) -> Fault {
        Fault::upstream(format!("another attempt of this run has just written {}", self.shown()))
    }

    /// The statement that makes the table. `declared` is the type of a column, by its name and what it is.
    pub fn create(&self, plain: &Plain, declared: impl Fn(&str, &DataType) -> String) -> String {
        let columns = self.columns.iter().zip(plain.types());
        let columns = columns.map(|(name, plain)| format!("{} {}", quote::double(name), declared(name, plain)));
        let mut parts: Vec<String> = columns.collect();
        if self.mode == Mode::Upsert {
            parts.push(format!("PRIMARY KEY ({})", self.key_list()));
        }
        format!("CREATE TABLE {} ({})", self.quoted(), parts.join(", "))
    }
}

fn list(names: &[String]) -> String {
    names.iter().map(|name| quote::double(name)).collect::<Vec<_>>().join(", ")
}

fn names(input: &Schema) -> Result<Vec<String>, Fault> {
    let mut names: Vec<String> = Vec::with_capacity(input.fields().len());
    for field in input.fields() {
        let name = field.name();
        let wrong = match () {
            () if name.is_empty() => "a column without a name",
            () if name.contains('\0') => "a column with a NUL in its name",
            () if names.contains(name) => "two columns of one name",
            () => {
                names.push(name.clone());
                continue;
            }
        };
        let message = format!("the input has {wrong}: {name:?}");
        return Err(Fault::bad_schema(message).column(name).help("rename it first, in the step sql"));
    }
    match names.is_empty() {
        true => Err(Fault::bad_schema("there is no column to write").help("leave at least one column in the input")),
        false => Ok(names),
    }
}

fn check_keys(params: &Params, input: &Schema) -> Result<(), Fault> {
    let refuse = |message: &str, help: &str| Err(Fault::bad_params(message).help(help).violation("/keys", message));
    match (params.mode, params.keys.as_slice()) {
        (Mode::Upsert, []) => return refuse("keys: an upsert has at least one", "name them: keys: [id]"),
        (Mode::Append | Mode::Replace, [_, ..]) => {
            return refuse("keys mean something for an upsert only", "set mode: upsert, or leave keys out");
        }
        _ => {}
    }
    for (place, key) in params.keys.iter().enumerate() {
        columns::find(input, key, &format!("/keys/{place}"))?;
        if params.keys[..place].contains(key) {
            return refuse("keys: one is named twice", "name each once");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::{DataType, Field};
    use serde_json::{Value, json};

    fn target(more: Value) -> Result<Target, Fault> {
        let mut params = json!({"connection": "c", "table": "t"});
        if let (Some(params), Some(more)) = (params.as_object_mut(), more.as_object()) {
            params.extend(more.clone());
        }
        let input =
            Schema::new(vec![Field::new("id", DataType::Int64, true), Field::new("a\"b", DataType::Utf8, true)]);
        Target::new(&serde_json::from_value(params).expect("parameters"), &input)
    }

    #[test]
    fn names_are_quoted_and_a_schema_is_told_apart() {
        let target = target(json!({"table": "sales.orders"})).expect("good");
        assert_eq!(target.quoted(), r#""sales"."orders""#);
        assert_eq!(target.column_list(), r#""id", "a""b""#);
        for bad in ["", ".t", "s.", "a.b.c"] {
            assert_eq!(self::target(json!({"table": bad})).expect_err(bad).violations()[0].pointer, "/table");
        }
    }

    #[test]
    fn an_upsert_has_keys_and_nothing_else_has() {
        let pointer = |more| target(more).expect_err("refused").violations()[0].pointer.clone();
        assert_eq!(pointer(json!({"mode": "upsert"})), "/keys");
        assert_eq!(pointer(json!({"keys": ["id"]})), "/keys");
        assert_eq!(pointer(json!({"mode": "upsert", "keys": ["id", "id"]})), "/keys");
        assert_eq!(pointer(json!({"mode": "upsert", "keys": ["ident"]})), "/keys/0");
        let sql = target(json!({"mode": "upsert", "keys": ["id"]})).expect("good").upsert_from("s");
        assert!(sql.ends_with(r#"ON CONFLICT ("id") DO UPDATE SET "a""b" = excluded."a""b""#), "{sql}");
    }
}
