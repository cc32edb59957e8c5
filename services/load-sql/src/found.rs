//! A table that is there, as far as it decides whether rows fit it. Pure.

use crate::params::Mode;
use crate::plain::Plain;
use crate::target::Target;
use arrow::datatypes::DataType;
use flight_common::Fault;

/// A table as it was found. `T` is what its database knows of a type.
#[derive(Clone, Debug, PartialEq)]
pub struct Found<T> {
    /// Its columns.
    pub columns: Vec<Column<T>>,
    /// The columns of each unique index that can decide an upsert.
    pub unique: Vec<Vec<String>>,
}

/// A column of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Column<T> {
    /// Its name.
    pub name: String,
    /// Its type, as the database writes it.
    pub shown: String,
    /// Its type.
    pub data_type: T,
    /// Whether each row must bring a value.
    pub wanted: bool,
    /// Whether the database computes it.
    pub computed: bool,
}

impl<T> Found<T> {
    /// The column that this database means by a name. `same` is how it compares names.
    pub fn column(&self, name: &str, same: fn(&str, &str) -> bool) -> Option<&Column<T>> {
        self.columns.iter().find(|column| same(&column.name, name))
    }

    /// Checks whether the rows fit. `fits` says what to do about a type that does not.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::BadSchema`] with the column.
    pub fn check(
        &self,
        target: &Target,
        plain: &Plain,
        same: fn(&str, &str) -> bool,
        fits: impl Fn(&DataType, &T) -> Result<(), String>,
    ) -> Result<(), Fault> {
        for (name, data_type) in target.columns.iter().zip(plain.types()) {
            let Some(column) = self.column(name, same) else {
                let there: Vec<&str> = self.columns.iter().map(|column| column.name.as_str()).collect();
                return Err(target.no_column(name, &there));
            };
            let refuse = |what: String, help: String| {
                let message = format!("column \"{name}\" of table {}: {what}", target.shown());
                Fault::bad_schema(message.clone()).column(name).help(help).violation("/table", message)
            };
            if column.computed {
                return Err(refuse("the database computes it".to_owned(), "leave it out of the input".to_owned()));
            }
            fits(data_type, &column.data_type).map_err(|help| {
                refuse(format!("it is {}, and the input's column is {data_type}", column.shown), help)
            })?;
        }
        let given = |column: &Column<T>| target.columns.iter().any(|name| same(&column.name, name));
        if let Some(column) = self.columns.iter().find(|column| column.wanted && !given(column)) {
            return Err(target.column_wanted(&column.name));
        }
        match target.mode == Mode::Upsert && !self.unique.iter().any(|columns| are_keys(columns, target, same)) {
            true => Err(target.keys_not_unique()),
            false => Ok(()),
        }
    }
}

/// Whether these columns of an index are the keys of an upsert, in any order.
pub fn are_keys(columns: &[String], target: &Target, same: fn(&str, &str) -> bool) -> bool {
    let has = |key: &String| columns.iter().any(|column| same(column, key));
    columns.len() == target.keys.len() && target.keys.iter().all(has)
}

/// The names of unique indexes with their columns, from the name and each of the columns in their order. A column without a name
/// is no plain column, and its index decides nothing.
pub fn unique(rows: impl Iterator<Item = (String, Option<String>)>) -> impl Iterator<Item = (String, Vec<String>)> {
    let mut indexes: Vec<(String, Vec<Option<String>>)> = Vec::new();
    for (index, column) in rows {
        match indexes.last_mut().filter(|(name, _)| *name == index) {
            Some((_, columns)) => columns.push(column),
            None => indexes.push((index, vec![column])),
        }
    }
    indexes.into_iter().filter_map(|(name, columns)| Some((name, columns.into_iter().collect::<Option<_>>()?)))
}
