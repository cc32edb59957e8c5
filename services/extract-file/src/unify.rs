//! One schema for several files, by rules that change no value.
//!
//! A column that a file lacks is null there. Of two types of numbers the wider one is taken, where it holds each value of
//! the narrower, of two units of time the finer one, and of two encodings of one type the plain or the larger one. Whole numbers and floats go together where both were only guessed, and no number was seen that a float
//! does not hold. Everything else is a fault that names both files.

use crate::format::Look;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use flight_common::Fault;
use std::sync::Arc;

/// The schema of files, as far as they have been seen.
#[derive(Default)]
pub struct Unified {
    columns: Vec<Column>,
    files: usize,
}

struct Column {
    field: Field,
    /// The file that had it first.
    path: String,
    /// In how many files it is.
    files: usize,
    /// Whether it was guessed to be a number everywhere, and a float holds all that was seen.
    is_number: bool,
    /// Whether its type was guessed everywhere.
    is_guess: bool,
}

impl Unified {
    /// Takes one more file in.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::BadData`] where a column is of a type that does not go with that of another file, or
    /// two columns of the file have one name.
    pub fn add(&mut self, path: &str, look: &Look) -> Result<(), Fault> {
        let schema = &look.schema;
        for (place, field) in schema.fields().iter().enumerate() {
            if schema.fields()[..place].iter().any(|before| before.name() == field.name()) {
                let message = format!("{path}: two columns are called \"{}\"", field.name());
                return Err(Fault::bad_data(message)
                    .column(field.name())
                    .help("write the file again without one of them"));
            }
            match self.columns.iter_mut().find(|column| column.field.name() == field.name()) {
                Some(column) => {
                    column.is_guess &= look.is_guess;
                    column.widen(path, field, look.numbers.contains(field.name()))?;
                }
                None => {
                    let field = Field::clone(field).with_nullable(field.is_nullable() || self.files > 0);
                    let is_number = look.numbers.contains(field.name());
                    self.columns.push(Column {
                        field,
                        path: path.to_owned(),
                        files: 1,
                        is_number,
                        is_guess: look.is_guess,
                    });
                }
            }
        }
        self.files += 1;
        Ok(())
    }

    /// The schema of all of them: the columns of the first file in its order, then those that others add. Of a column
    /// without values, text is guessed.
    pub fn schema(self) -> SchemaRef {
        let nullable = |column: &Column| column.field.is_nullable() || column.files < self.files;
        let data_type = |column: &Column| match column.field.data_type() {
            DataType::Null if column.is_guess => DataType::Utf8,
            other => other.clone(),
        };
        let fields = self
            .columns
            .iter()
            .map(|column| column.field.clone().with_data_type(data_type(column)).with_nullable(nullable(column)));
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }
}

impl Column {
    fn widen(&mut self, path: &str, other: &Field, is_number: bool) -> Result<(), Fault> {
        let (own, its) = (self.field.data_type(), other.data_type());
        // Of a column without values nothing was guessed.
        self.is_number = match (own, its) {
            (DataType::Null, _) => is_number,
            (_, DataType::Null) => self.is_number,
            _ => self.is_number && is_number,
        };
        let floats = (self.is_number && own != its).then_some(DataType::Float64);
        let Some(wider) = wider(own, its).or(floats) else {
            let name = other.name();
            let message = format!("the column \"{name}\" is {own} in {}, and {its} in {path}", self.path);
            return Err(Fault::bad_data(message)
                .column(name)
                .help("choose a narrower pattern, or write the files alike"));
        };
        self.field = Field::new(other.name(), wider, self.field.is_nullable() || other.is_nullable())
            .with_metadata(self.field.metadata().clone());
        self.files += 1;
        Ok(())
    }
}

/// The type that holds each value of both.
fn wider(one: &DataType, other: &DataType) -> Option<DataType> {
    use DataType as T;
    const SIGNED: [T; 4] = [T::Int8, T::Int16, T::Int32, T::Int64];
    const UNSIGNED: [T; 4] = [T::UInt8, T::UInt16, T::UInt32, T::UInt64];
    const FLOATS: [T; 3] = [T::Float16, T::Float32, T::Float64];
    const TEXTS: [T; 3] = [T::Utf8, T::Utf8View, T::LargeUtf8];
    const BYTES: [T; 3] = [T::Binary, T::BinaryView, T::LargeBinary];
    if one == other {
        return Some(one.clone());
    }
    let along = |ladder: &[T]| {
        let place = |wanted: &T| ladder.iter().position(|rung| rung == wanted);
        Some(ladder[place(one)?.max(place(other)?)].clone())
    };
    match (one, other) {
        (T::Null, some) | (some, T::Null) => Some(some.clone()),
        (T::Dictionary(_, values), some) | (some, T::Dictionary(_, values)) => wider(values, some),
        (T::List(items), T::List(others)) => Some(T::List(wider_items(items, others)?)),
        (T::List(items) | T::LargeList(items), T::List(others) | T::LargeList(others)) => {
            Some(T::LargeList(wider_items(items, others)?))
        }
        (T::Timestamp(unit, zone), T::Timestamp(its, same)) if zone == same => {
            Some(T::Timestamp(*unit.max(its), zone.clone()))
        }
        (T::Duration(unit), T::Duration(its)) => Some(T::Duration(*unit.max(its))),
        (T::Time32(unit), T::Time32(its)) => Some(T::Time32(*unit.max(its))),
        (T::Time32(unit) | T::Time64(unit), T::Time32(its) | T::Time64(its)) => Some(T::Time64(*unit.max(its))),
        (T::Decimal128(p, s), T::Decimal128(q, t)) if s == t => Some(T::Decimal128(*p.max(q), *s)),
        _ => along(&SIGNED)
            .or_else(|| along(&UNSIGNED))
            .or_else(|| along(&FLOATS))
            .or_else(|| along(&TEXTS))
            .or_else(|| along(&BYTES)),
    }
}

/// Items that hold each item of both, under the name that the first has for them.
fn wider_items(items: &FieldRef, others: &FieldRef) -> Option<FieldRef> {
    let wider = wider(items.data_type(), others.data_type())?;
    Some(Arc::new(Field::new(items.name(), wider, items.is_nullable() || others.is_nullable())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::TimeUnit;

    fn look(columns: &[(&str, DataType, bool)], numbers: &[&str]) -> Look {
        let numbers = numbers.iter().map(|&name| name.to_owned()).collect();
        Look { schema: Arc::new(schema(columns)), row_groups: None, is_guess: true, numbers }
    }

    fn schema(columns: &[(&str, DataType, bool)]) -> Schema {
        Schema::new(
            columns.iter().map(|(name, of, nullable)| Field::new(*name, of.clone(), *nullable)).collect::<Vec<_>>(),
        )
    }

    #[test]
    fn missing_columns_are_null_and_numbers_widen() {
        let mut unified = Unified::default();
        unified
            .add("a", &look(&[("x", DataType::Int32, false), ("y", DataType::Utf8, false)], &[]))
            .expect("the first");
        unified
            .add("b", &look(&[("z", DataType::Date32, false), ("x", DataType::Int64, false)], &[]))
            .expect("they go together");
        let wanted = [("x", DataType::Int64, false), ("y", DataType::Utf8, true), ("z", DataType::Date32, true)];
        assert_eq!(*unified.schema(), schema(&wanted));
    }

    #[test]
    fn encodings_and_units_of_one_type_go_together() {
        use DataType as T;
        let list = |name: &str, of: T| Arc::new(Field::new(name, of, true));
        let dictionary = |keys: T, values: T| T::Dictionary(Box::new(keys), Box::new(values));
        let utc = |unit| T::Timestamp(unit, Some("UTC".into()));
        for (one, other, wanted) in [
            (T::LargeUtf8, T::Utf8, Some(T::LargeUtf8)),
            (dictionary(T::Int8, T::Utf8), T::Utf8, Some(T::Utf8)),
            (dictionary(T::Int8, T::Utf8), dictionary(T::Int32, T::LargeUtf8), Some(T::LargeUtf8)),
            (dictionary(T::Int8, T::Utf8), T::Int64, None),
            (utc(TimeUnit::Millisecond), utc(TimeUnit::Nanosecond), Some(utc(TimeUnit::Nanosecond))),
            (utc(TimeUnit::Second), T::Timestamp(TimeUnit::Second, None), None),
            (T::Time32(TimeUnit::Second), T::Time64(TimeUnit::Microsecond), Some(T::Time64(TimeUnit::Microsecond))),
            (
                T::List(list("element", T::Int32)),
                T::List(list("item", T::Int64)),
                Some(T::List(list("element", T::Int64))),
            ),
            (T::LargeList(list("a", T::Utf8)), T::List(list("b", T::Utf8)), Some(T::LargeList(list("a", T::Utf8)))),
            (T::List(list("a", T::Utf8)), T::List(list("a", T::Int8)), None),
        ] {
            assert_eq!(wider(&one, &other), wanted, "{one} and {other}");
        }
    }

    #[test]
    fn what_could_change_a_value_is_refused_and_names_both_files() {
        for (one, other) in [
            (DataType::Int64, DataType::Float64),
            (DataType::Int64, DataType::UInt64),
            (DataType::Utf8, DataType::Int64),
            (DataType::Date32, DataType::Date64),
            (DataType::Decimal128(10, 2), DataType::Decimal128(10, 3)),
        ] {
            let mut unified = Unified::default();
            unified.add("first", &look(&[("x", one, true)], &[])).expect("the first");
            let fault = unified.add("second", &look(&[("x", other, true)], &["x"])).expect_err("refused");
            assert!(fault.message().contains("first") && fault.message().contains("second"), "{fault}");
        }
    }

    #[test]
    fn guessed_numbers_are_floats_together_if_floats_hold_them_all() {
        let of = |types: &[(DataType, bool)]| {
            let mut unified = Unified::default();
            for (data_type, is_number) in types {
                let numbers: &[&str] = if *is_number { &["x"] } else { &[] };
                unified.add("f", &look(&[("x", data_type.clone(), true)], numbers)).ok()?;
            }
            Some(unified.schema().field(0).data_type().clone())
        };
        let (whole, float) = (DataType::Int64, DataType::Float64);
        assert_eq!(of(&[(whole.clone(), true), (DataType::Null, false), (float.clone(), true)]), Some(float.clone()));
        assert_eq!(of(&[(float.clone(), true), (whole.clone(), true)]), Some(float.clone()));
        assert_eq!(of(&[(whole.clone(), false), (float.clone(), true)]), None);
        assert_eq!(of(&[(whole.clone(), true), (whole.clone(), false), (float, true)]), None);
        assert_eq!(of(&[(whole.clone(), true), (whole.clone(), false)]), Some(whole));
    }
}
