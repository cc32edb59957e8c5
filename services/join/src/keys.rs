//! Which columns are the key, and whether they can be compared.
//!
//! Two columns make a pair of keys if they hold the same logical type; how it is encoded (plain, large, view,
//! dictionary) does not matter. Anything else is refused with the cast to use: a silent conversion is how `007` comes
//! to match `7`.

use crate::params::Params;
use crate::rows::plain;
use arrow::datatypes::{DataType, Schema};
use flight_common::columns::ColumnList;
use flight_common::params::did_you_mean;
use flight_common::values::types;
use flight_common::{Fault, FaultKind, Violation};

/// A pair of key columns, by their places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyPair {
    /// The column on the left.
    pub left: usize,
    /// The column on the right.
    pub right: usize,
}

/// Looks the key up on both sides.
///
/// # Errors
/// [`FaultKind::BadParams`] if it is not said, or said twice; [`FaultKind::BadSchema`] for columns that are missing or
/// cannot be compared. All that is wrong is told at once.
pub fn resolve(params: &Params, left: &Schema, right: &Schema) -> Result<Vec<KeyPair>, Fault> {
    let named = Named::from(params)?;
    let mut wrong = Wrong::default();
    let mut pairs = Vec::new();
    for (left_name, right_name) in named.left.iter().zip(&named.right) {
        let left_place = wrong.find(left, left_name, "left", named.left_pointer);
        let right_place = wrong.find(right, right_name, "right", named.right_pointer);
        if let (Some(left_place), Some(right_place)) = (left_place, right_place) {
            let pair = KeyPair { left: left_place, right: right_place };
            wrong.compare(left, right, pair, named.right_pointer);
            pairs.push(pair);
        }
    }
    wrong.into_result().map(|()| pairs)
}

/// The names of the key's columns, and the parameters that say them.
struct Named<'a> {
    left: Vec<&'a str>,
    right: Vec<&'a str>,
    left_pointer: &'static str,
    right_pointer: &'static str,
}

impl<'a> Named<'a> {
    fn from(params: &'a Params) -> Result<Self, Fault> {
        let names = |list: &'a ColumnList, pointer: &str| match list.names() {
            names if names.is_empty() => Err(refused(pointer, "the key has no column")),
            names => Ok(names),
        };
        match (&params.join_key, &params.left_on, &params.right_on) {
            (Some(key), None, None) => {
                let key = names(key, "/join_key")?;
                Ok(Self { left: key.clone(), right: key, left_pointer: "/join_key", right_pointer: "/join_key" })
            }
            (None, Some(left), Some(right)) => {
                let (left, right) = (names(left, "/left_on")?, names(right, "/right_on")?);
                if left.len() != right.len() {
                    let message = format!("left_on names {} columns, right_on {}", left.len(), right.len());
                    return Err(refused("/right_on", &message).help("name as many columns on the right as on the left"));
                }
                Ok(Self { left, right, left_pointer: "/left_on", right_pointer: "/right_on" })
            }
            (Some(_), _, _) => Err(refused("/join_key", "join_key stands beside left_on or right_on")
                .help("use join_key where the names are the same on both sides, else left_on and right_on")),
            (None, Some(_), None) => Err(refused("/left_on", "left_on needs right_on beside it")),
            (None, None, Some(_)) => Err(refused("/right_on", "right_on needs left_on beside it")),
            (None, None, None) => Err(refused("", "a join needs a key")
                .help("set join_key, or left_on and right_on where the names differ: join_key: CustomerID")),
        }
    }
}

fn refused(pointer: &str, message: &str) -> Fault {
    Fault::bad_params(message).violation(pointer, message)
}

/// All that is wrong with the key's columns.
#[derive(Default)]
struct Wrong {
    violations: Vec<Violation>,
    column: Option<String>,
}

impl Wrong {
    fn find(&mut self, schema: &Schema, name: &str, side: &str, pointer: &str) -> Option<usize> {
        let place = schema.fields().iter().position(|field| field.name() == name);
        if place.is_none() {
            let known = schema.fields().iter().map(|field| field.name().as_str());
            self.add(name, pointer, format!("the {side} input has no column \"{name}\""), did_you_mean(name, known));
        }
        place
    }

    fn compare(&mut self, left: &Schema, right: &Schema, pair: KeyPair, pointer: &str) {
        let (left, right) = (left.field(pair.left), right.field(pair.right));
        let (left_type, right_type) = (logical(left.data_type()), logical(right.data_type()));
        if left_type != right_type {
            let message = format!("left.{} is {left_type}, right.{} is {right_type}", left.name(), right.name());
            let help = match cast_to_use(&left_type, &right_type) {
                (Side::Left, target) => remedy(left.name(), "left", &target),
                (Side::Right, target) => remedy(right.name(), "right", &target),
            };
            self.add(right.name(), pointer, message, help);
        } else if left_type.is_nested() {
            let message = format!("\"{}\" is {left_type}, which cannot be a key", left.name());
            self.add(left.name(), pointer, message, "use columns of single values as the key".to_owned());
        }
    }

    fn add(&mut self, column: &str, pointer: &str, message: String, help: String) {
        self.column.get_or_insert_with(|| column.to_owned());
        self.violations.push(Violation::new(pointer, message).help(help));
    }

    fn into_result(self) -> Result<(), Fault> {
        let Some(column) = self.column else { return Ok(()) };
        let message = self.violations.iter().map(|one| one.message.as_str()).collect::<Vec<_>>().join("; ");
        let mut help: Vec<&str> = self.violations.iter().filter_map(|one| one.help.as_deref()).collect();
        help.dedup();
        let help = help.join("; ");
        Err(Fault::new(FaultKind::BadSchema, message).column(column).help(help).with_violations(self.violations))
    }
}

/// The type without its encoding.
fn logical(data_type: &DataType) -> DataType {
    match plain(data_type) {
        DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::LargeBinary | DataType::BinaryView => DataType::Binary,
        other => other,
    }
}

enum Side {
    Left,
    Right,
}

/// Which side to cast, and to what: text to what it is text of, the narrower number to the wider one, a day to a time.
fn cast_to_use(left: &DataType, right: &DataType) -> (Side, DataType) {
    match (breadth(left), breadth(right)) {
        (left_breadth, right_breadth) if left_breadth < right_breadth => (Side::Left, right.clone()),
        _ => (Side::Right, left.clone()),
    }
}

fn breadth(data_type: &DataType) -> usize {
    match data_type {
        DataType::Null => 0,
        DataType::Utf8 => 1,
        DataType::Boolean => 2,
        other if other.is_integer() => 10 + other.primitive_width().unwrap_or_default(),
        other if other.is_floating() => 20 + other.primitive_width().unwrap_or_default(),
        other if other.is_numeric() => 30 + other.primitive_width().unwrap_or_default(),
        DataType::Date32 => 80,
        DataType::Date64 => 81,
        DataType::Timestamp(..) => 82,
        _ => 100,
    }
}

/// How one side is made the type of the other: where it comes from, if that type has a name there.
fn remedy(column: &str, side: &str, target: &DataType) -> String {
    let name = types::name(target);
    if types::parse(&name).is_ok_and(|named| named == *target) {
        let name = if name.contains(['[', '(']) { format!("\"{name}\"") } else { name };
        let types = format!("types: {{{column}: {name}}}");
        return format!(
            "make them one type, for instance `{types}` in the extract-csv that the {side} input comes from"
        );
    }
    format!("make them one type, for instance with CAST in a step `sql` that the {side} input goes through")
}
