//! What the values of columns must be, by their types.

use super::scan::text_of;
use arrow::datatypes::DataType;

/// What the type of whole numbers is taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whole {
    /// What it is.
    IsWhole,
    /// Floats: to see which whole numbers would be none.
    IsFloat,
}

/// The fields of a record.
#[derive(Debug)]
pub struct Named {
    /// The number of the first among all fields.
    pub first: usize,
    /// Each with its name.
    pub fields: Vec<(String, Expected)>,
}

/// What a value must be.
#[derive(Debug)]
pub enum Expected {
    /// Anything.
    Any,
    /// A text, or what is taken as one: a number, true or false.
    Text,
    /// True or false.
    Boolean,
    /// A whole number.
    Whole,
    /// A number that a float holds.
    Float,
    /// A list of these.
    List(Box<Self>),
    /// A record with these fields.
    Record(Named),
}

/// What is looked for in values of a type. `count` are the fields so far.
pub fn of_type(data_type: &DataType, whole: Whole, count: &mut usize) -> Expected {
    match data_type {
        integer if integer.is_integer() && whole == Whole::IsWhole => Expected::Whole,
        number if number.is_integer() || number.is_floating() => Expected::Float,
        DataType::Utf8 => Expected::Text,
        DataType::Boolean => Expected::Boolean,
        DataType::List(item) => match of_type(item.data_type(), whole, count) {
            Expected::Any => Expected::Any,
            item => Expected::List(Box::new(item)),
        },
        DataType::Struct(fields) => {
            let first = *count;
            *count += fields.len();
            let fields =
                fields.iter().map(|field| (field.name().clone(), of_type(field.data_type(), whole, count))).collect();
            Expected::Record(Named { first, fields })
        }
        _ => Expected::Any,
    }
}

/// The field of this name. Most records have their fields in the same order, if not all of them.
pub fn place(fields: &[(String, Expected)], key: &[u8], next: usize) -> Option<usize> {
    if key.contains(&b'\\') {
        let key = text_of(key)?;
        return fields.iter().position(|(name, _)| *name == key);
    }
    let is_it = |(name, _): &(String, Expected)| name.as_bytes() == key;
    let (before, after) = fields.split_at(next.min(fields.len()));
    match after.iter().position(is_it) {
        Some(place) => Some(before.len() + place),
        None => before.iter().position(is_it),
    }
}
