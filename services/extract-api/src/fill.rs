//! A column being filled with values as they are written in JSON.

use crate::fields::{told, unescaped};
use crate::kind::Kind;
use crate::layout::ColumnPlan;
use arrow::array::{ArrayRef, ListArray, NullBufferBuilder, StringBuilder};
use arrow::buffer::{OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Field};
use flight_common::Fault;
use flight_common::values::{Column, Forms, column};
use serde_json::value::RawValue;
use std::sync::Arc;

/// A column being filled.
pub enum Filling {
    /// With values.
    Plain(Values),
    /// With lists of values.
    List(Lists),
    /// With JSON text.
    Json(StringBuilder),
}

/// Values of a type.
pub struct Values {
    column: Box<dyn Column>,
    takes: Takes,
}

/// Which forms of JSON a column takes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Takes {
    /// Texts, numbers and booleans: what the user's type makes of them, or text.
    Any,
    /// Texts: times.
    Texts,
    /// Numbers and booleans. A text that looks like one is none.
    Others,
}

/// Lists of values.
pub struct Lists {
    values: Values,
    data_type: DataType,
    offsets: Vec<i32>,
    validity: NullBufferBuilder,
}

/// Why a value cannot be taken.
#[derive(Debug, PartialEq, Eq)]
pub enum Refused {
    /// It is no value of the column's type.
    Type,
    /// It is no JSON.
    Json(String),
}

impl Filling {
    /// An empty column.
    pub fn new(plan: &ColumnPlan, forms: &Arc<Forms>) -> Self {
        match &plan.kind {
            Kind::Json => Self::Json(StringBuilder::with_capacity(0, 0)),
            Kind::Plain(data_type) => Self::Plain(Values::new(data_type, plan.given, forms)),
            Kind::List(data_type) => Self::List(Lists {
                values: Values::new(data_type, plan.given, forms),
                data_type: data_type.clone(),
                offsets: vec![0],
                validity: NullBufferBuilder::new(0),
            }),
        }
    }

    /// Adds a value as it is written in JSON.
    ///
    /// # Errors
    /// Why it cannot be taken.
    pub fn push(&mut self, value: &str) -> Result<(), Refused> {
        if value == "null" {
            self.push_null();
            return Ok(());
        }
        match self {
            Self::Plain(values) => values.push(value),
            Self::List(lists) => lists.push(value),
            Self::Json(texts) => {
                texts.append_value(value);
                Ok(())
            }
        }
    }

    /// Adds a null.
    pub fn push_null(&mut self) {
        match self {
            Self::Plain(values) => values.column.push_null(),
            Self::Json(texts) => texts.append_null(),
            Self::List(lists) => {
                lists.validity.append_null();
                lists.end();
            }
        }
    }

    /// How many values it has.
    pub fn len(&self) -> usize {
        match self {
            Self::Plain(values) => values.column.len(),
            Self::Json(texts) => arrow::array::ArrayBuilder::len(texts),
            Self::List(lists) => lists.offsets.len() - 1,
        }
    }

    /// What it was filled with.
    ///
    /// # Errors
    /// Only if its parts do not fit together, which they do.
    pub fn finish(self) -> Result<ArrayRef, Fault> {
        Ok(match self {
            Self::Plain(mut values) => values.column.finish(),
            Self::Json(mut texts) => Arc::new(texts.finish()),
            Self::List(mut lists) => {
                let field = Arc::new(Field::new_list_field(lists.data_type, true));
                let offsets = OffsetBuffer::new(ScalarBuffer::from(lists.offsets));
                Arc::new(ListArray::try_new(field, offsets, lists.values.column.finish(), lists.validity.finish())?)
            }
        })
    }
}

impl Values {
    fn new(data_type: &DataType, given: bool, forms: &Arc<Forms>) -> Self {
        let takes = match data_type {
            _ if given => Takes::Any,
            DataType::Utf8 => Takes::Any,
            DataType::Date32 | DataType::Time64(_) | DataType::Timestamp(..) => Takes::Texts,
            _ => Takes::Others,
        };
        Self { column: column(data_type, given, forms), takes }
    }

    fn push(&mut self, value: &str) -> Result<(), Refused> {
        let taken = match value.as_bytes() {
            [b'"', ..] => {
                let text = unescaped(value).map_err(|error| Refused::Json(told(&error)))?;
                self.takes != Takes::Others && self.column.push(&text)
            }
            [b'{' | b'[', ..] => false,
            _ => self.takes != Takes::Texts && self.column.push(value),
        };
        if taken { Ok(()) } else { Err(Refused::Type) }
    }
}

impl Lists {
    fn push(&mut self, value: &str) -> Result<(), Refused> {
        if !value.starts_with('[') {
            return Err(Refused::Type);
        }
        let elements: Vec<&RawValue> = serde_json::from_str(value).map_err(|error| Refused::Json(told(&error)))?;
        for element in elements {
            match element.get() {
                "null" => self.values.column.push_null(),
                element => self.values.push(element)?,
            }
        }
        self.validity.append_non_null();
        self.end();
        Ok(())
    }

    /// Records are cut into blocks that are shorter than 2 GiB, so that a place in one always fits.
    fn end(&mut self) {
        self.offsets.push(self.values.column.len() as i32);
    }
}
