//! Which columns there are: by the first records, by what the user says, or by both.

use crate::kind::Kind;
use crate::options::Options;
use crate::params::UnknownFields;
use arrow::datatypes::{Field, Schema, SchemaRef};
use flight_common::Fault;
use flight_common::params::pointer;
use flight_common::values::Forms;
use std::collections::HashMap;
use std::collections::hash_map::Entry as MapEntry;
use std::sync::Arc;

/// The columns, and where their values are in a record.
#[derive(Clone, Debug)]
pub struct Layout {
    /// The schema. Every column may hold nulls.
    pub schema: SchemaRef,
    /// The columns.
    pub columns: Vec<ColumnPlan>,
    /// What stands for a field, by its name with the names of the objects around it: `user.address.city`.
    pub places: HashMap<String, Place>,
    /// What to do about a field that stands for nothing.
    pub unknown: UnknownFields,
    /// How dates and timestamps are written.
    pub forms: Arc<Forms>,
}

/// A column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnPlan {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub kind: Kind,
    /// Whether the user said so.
    pub given: bool,
}

/// What stands for a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// This column.
    Column(usize),
    /// The columns of the fields in it.
    Inside,
}

impl Layout {
    /// The columns that the user gave, and no others.
    ///
    /// # Errors
    /// As [`Layout::new`].
    pub fn of_types(options: &Options) -> Result<Self, Fault> {
        Self::new(Vec::new(), Vec::new(), options)
    }

    /// Columns that were seen, with objects that have columns of their own; those that the user gave and that were not
    /// seen come behind them.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::BadData`] for two fields that become one column, or for none.
    pub fn new(mut columns: Vec<ColumnPlan>, objects: Vec<String>, options: &Options) -> Result<Self, Fault> {
        for (name, kind) in &options.types {
            if columns.iter().all(|column| column.name != *name) {
                columns.push(ColumnPlan { name: name.clone(), kind: kind.clone(), given: true });
            }
        }
        if columns.is_empty() {
            let fault = Fault::bad_data("the first page has no records, so that nothing says which columns there are");
            return Err(fault.help("give them in `types`"));
        }
        let mut places = HashMap::new();
        for (number, column) in columns.iter().enumerate() {
            match places.entry(column.name.clone()) {
                MapEntry::Vacant(free) => free.insert(Place::Column(number)),
                MapEntry::Occupied(_) => return Err(clash(&column.name)),
            };
        }
        let around = columns.iter().filter(|column| column.given).flat_map(|column| {
            let name = &column.name;
            name.match_indices('.').map(move |(dot, _)| name[..dot].to_owned())
        });
        for name in objects.into_iter().chain(around.collect::<Vec<_>>()) {
            places.entry(name).or_insert(Place::Inside);
        }
        let fields = columns.iter().map(|column| Field::new(&column.name, column.kind.data_type(), true));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        Ok(Self { schema, columns, places, unknown: options.unknown, forms: options.forms.clone() })
    }
}

/// The fault for two fields that become one column.
fn clash(name: &str) -> Fault {
    let message = format!("two fields become the column \"{name}\": one of that name, and one within an object");
    let object = name.rsplit_once('.').map_or(name, |(object, _)| object);
    Fault::bad_data(message.clone())
        .column(name)
        .help(format!("keep the object as it is: `types: {{\"{object}\": json}}`"))
        .violation(pointer(["types", object]), message)
}
