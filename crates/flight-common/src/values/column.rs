//! A column being filled with values that are written as text, one by one.

use super::boolean::parse_boolean;
use super::forms::Forms;
use super::parse::{ByType, Parse, by_type};
use arrow::array::{ArrayRef, BooleanBuilder, PrimitiveBuilder, StringBuilder};
use arrow::datatypes::DataType;
use std::sync::Arc;

/// A column being filled.
pub trait Column: Send {
    /// Adds the value that a text without spaces around it says, or adds nothing and returns `false` if it is no value
    /// of the column's type.
    #[must_use]
    fn push(&mut self, text: &str) -> bool;

    /// Adds a null.
    fn push_null(&mut self);

    /// How many values it has.
    fn len(&self) -> usize;

    /// Whether it has none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What was added since the last time.
    fn finish(&mut self) -> ArrayRef;
}

/// An empty column of that type; text for a type that has no parser. `given` says that the user chose the type: see
/// [`by_type`].
pub fn column(data_type: &DataType, given: bool, forms: &Arc<Forms>) -> Box<dyn Column> {
    by_type(data_type, given, forms, Make { data_type, given })
}

/// Makes columns that take no room before they hold values: there may be very many.
struct Make<'a> {
    data_type: &'a DataType,
    given: bool,
}

impl ByType for Make<'_> {
    type Made = Box<dyn Column>;

    fn primitive<P: Parse + 'static>(self, parse: P) -> Self::Made {
        let values = PrimitiveBuilder::with_capacity(0).with_data_type(self.data_type.clone());
        Box::new(Primitives { parse, values })
    }

    fn boolean(self) -> Self::Made {
        Box::new(Booleans { given: self.given, values: BooleanBuilder::with_capacity(0) })
    }

    fn text(self) -> Self::Made {
        Box::new(Texts(StringBuilder::with_capacity(0, 0)))
    }
}

struct Primitives<P: Parse> {
    parse: P,
    values: PrimitiveBuilder<P::Arrow>,
}

impl<P: Parse> Column for Primitives<P> {
    fn push(&mut self, text: &str) -> bool {
        let value = self.parse.parse(text.as_bytes());
        if let Some(value) = value {
            self.values.append_value(value);
        }
        value.is_some()
    }

    fn push_null(&mut self) {
        self.values.append_null();
    }

    fn len(&self) -> usize {
        self.values.values_slice().len()
    }

    fn finish(&mut self) -> ArrayRef {
        Arc::new(self.values.finish())
    }
}

struct Booleans {
    given: bool,
    values: BooleanBuilder,
}

impl Column for Booleans {
    fn push(&mut self, text: &str) -> bool {
        let value = parse_boolean(text.as_bytes(), self.given);
        if let Some(value) = value {
            self.values.append_value(value);
        }
        value.is_some()
    }

    fn push_null(&mut self) {
        self.values.append_null();
    }

    fn len(&self) -> usize {
        arrow::array::ArrayBuilder::len(&self.values)
    }

    fn finish(&mut self) -> ArrayRef {
        Arc::new(self.values.finish())
    }
}

struct Texts(StringBuilder);

impl Column for Texts {
    fn push(&mut self, text: &str) -> bool {
        self.0.append_value(text);
        true
    }

    fn push_null(&mut self) {
        self.0.append_null();
    }

    fn len(&self) -> usize {
        arrow::array::ArrayBuilder::len(&self.0)
    }

    fn finish(&mut self) -> ArrayRef {
        Arc::new(self.0.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::super::types;
    use super::*;
    use arrow::array::Array;

    #[test]
    fn a_column_of_each_type_takes_its_values_and_refuses_others() {
        for (name, good, bad) in [
            ("int64", "9007199254740993", "1.5"),
            ("uint8", "255", "256"),
            ("float64", "0.5", "x"),
            ("decimal(10,2)", "12345678.25", "0.005"),
            ("boolean", "TRUE", "2"),
            ("date", "2024-02-29", "2023-02-29"),
            ("timestamp[ms, UTC]", "1969-12-31T23:59:59.5Z", "yesterday"),
            ("time", "23:59", "24:00"),
        ] {
            let data_type = types::parse(name).expect("a type");
            let mut values = column(&data_type, true, &Arc::default());
            assert!(values.push(good) && !values.push(bad), "{name}");
            values.push_null();
            assert_eq!(values.len(), 2);
            let array = values.finish();
            assert_eq!((array.data_type(), array.len(), array.null_count()), (&data_type, 2, 1));
            assert!(values.is_empty());
        }
    }

    #[test]
    fn a_guessed_type_takes_nothing_that_would_change() {
        for (name, value) in [("int64", "007"), ("float64", "9007199254740993"), ("boolean", "yes")] {
            let data_type = types::parse(name).expect("a type");
            assert!(!column(&data_type, false, &Arc::default()).push(value), "{name}");
            assert!(column(&data_type, true, &Arc::default()).push(value), "{name}");
        }
    }
}
