//! Records as a record batch. This is the work that goes on in parallel.

use crate::fields::{each_field, told};
use crate::fill::{Filling, Refused};
use crate::kind::Kind;
use crate::layout::{ColumnPlan, Layout, Place};
use crate::params::UnknownFields;
use crate::sniff::VALUE;
use crate::split::Records;
use crate::trouble::{At, Trouble};
use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::DataType;
use flight_common::params::pointer;
use flight_common::values::{Column, NullWords, column};
use flight_common::{Fault, Reservation};
use serde_json::value::RawValue;
use std::sync::Arc;

/// Some records, and where they stand.
#[derive(Debug)]
pub struct Block {
    /// The records.
    pub records: Records,
    /// Where the first of them stands.
    pub at: At,
    /// The memory that they take, given back when the last block is dropped that is a part of them.
    pub booked: Arc<Reservation>,
}

impl Block {
    /// The block in parts of at most so many records, which is itself if it has no more, and if it is of rows of fields:
    /// these hold all cells that come of them.
    pub fn parts(self, records: usize) -> Vec<Self> {
        if self.records.len() <= records || self.records.names.is_some() {
            return vec![self];
        }
        let parts = self.records.parts(records).enumerate();
        let part =
            |(number, part)| Self { records: part, at: self.at.plus(number * records), booked: self.booked.clone() };
        parts.map(part).collect()
    }
}

/// Reads a block.
///
/// # Errors
/// [`flight_common::FaultKind::BadData`] for the first value that does not fit, with its page, record and field.
pub fn decode(layout: &Layout, nulls: &NullWords, block: &Block) -> Result<RecordBatch, Fault> {
    let columns = match &block.records.names {
        Some(names) => decode_rows(layout, nulls, block, names)?,
        None => decode_json(layout, block)?,
    };
    let options = RecordBatchOptions::new().with_row_count(Some(block.records.len()));
    Ok(RecordBatch::try_new_with_options(layout.schema.clone(), columns, &options)?)
}

fn decode_json(layout: &Layout, block: &Block) -> Result<Vec<ArrayRef>, Fault> {
    let columns = layout.columns.iter().map(|plan| Filling::new(plan, &layout.forms)).collect();
    let mut reader = Reader { layout, columns, row: 0, name: String::new() };
    for (number, record) in block.records.values().enumerate() {
        reader.read(record).map_err(|trouble| trouble.explain(block.at.plus(number)))?;
    }
    reader.columns.into_iter().map(Filling::finish).collect()
}

/// Reads records of JSON.
struct Reader<'a> {
    layout: &'a Layout,
    columns: Vec<Filling>,
    row: usize,
    /// The names of the objects around a field, with a dot behind each.
    name: String,
}

impl Reader<'_> {
    fn read(&mut self, record: &[u8]) -> Result<(), Trouble> {
        let text = std::str::from_utf8(record).map_err(|_| Trouble::NotUtf8)?.trim();
        match text.as_bytes().first() {
            Some(b'{') => self.object(text)?,
            _ if text == "null" => {}
            // What it is must be checked here; elsewhere that comes with reading the object around it.
            _ => match serde_json::from_str::<&RawValue>(text) {
                Ok(value) => self.field(VALUE, value.get())?,
                Err(error) => return Err(Trouble::NotJson(told(&error))),
            },
        }
        self.row += 1;
        let row = self.row;
        self.columns.iter_mut().filter(|column| column.len() < row).for_each(Filling::push_null);
        Ok(())
    }

    fn object(&mut self, text: &str) -> Result<(), Trouble> {
        each_field(text, |name, value| self.field(&name, value)).map_err(|error| error.into_fault(Trouble::NotJson))
    }

    fn field(&mut self, name: &str, value: &str) -> Result<(), Trouble> {
        let outer = self.name.len();
        let place = match outer {
            0 => self.layout.places.get(name),
            _ => {
                self.name.push_str(name);
                self.layout.places.get(&self.name)
            }
        };
        let done = match place {
            Some(&Place::Column(column)) => self.push(column, value),
            Some(Place::Inside) if value == "null" => Ok(()),
            Some(Place::Inside) if value.starts_with('{') => {
                if outer == 0 {
                    self.name.push_str(name);
                }
                self.name.push('.');
                self.object(value)
            }
            Some(Place::Inside) => Err(Trouble::NoObject { name: self.full(outer, name), value: value.to_owned() }),
            None if self.layout.unknown == UnknownFields::Ignore => Ok(()),
            None => Err(Trouble::Unknown { name: self.full(outer, name), value: value.to_owned() }),
        };
        self.name.truncate(outer);
        done
    }

    fn full(&self, outer: usize, name: &str) -> String {
        format!("{}{name}", &self.name[..outer])
    }

    fn push(&mut self, column: usize, value: &str) -> Result<(), Trouble> {
        let filling = &mut self.columns[column];
        if filling.len() > self.row {
            return Err(Trouble::Twice { name: self.layout.columns[column].name.clone() });
        }
        filling.push(value).map_err(|refused| match refused {
            Refused::Type => Trouble::wrong_type(&self.layout.columns[column], value),
            Refused::Json(what) => Trouble::NotJson(what),
        })
    }
}

/// Reads rows of fields, column by column.
fn decode_rows(layout: &Layout, nulls: &NullWords, block: &Block, names: &[String]) -> Result<Vec<ArrayRef>, Fault> {
    if layout.unknown == UnknownFields::Refuse
        && let Some(name) = names.iter().find(|&name| !layout.places.contains_key(name))
    {
        return Err(Trouble::Unknown { name: name.clone(), value: String::new() }.explain(block.at));
    }
    let values: Vec<&[u8]> = block.records.values().collect();
    let read = |plan: &ColumnPlan| {
        let Some(place) = names.iter().position(|name| *name == plan.name) else {
            return Err(Trouble::Missing { name: plan.name.clone() }.explain(block.at));
        };
        if let Kind::List(_) = plan.kind {
            let message = format!("types.{}: a field of CSV is no list", plan.name);
            return Err(Fault::bad_params(message.clone()).violation(pointer(["types", &plan.name]), message));
        }
        let mut filling = column(&plan.kind.data_type(), plan.given, &layout.forms);
        for (number, value) in values.iter().skip(place).step_by(names.len()).enumerate() {
            push(filling.as_mut(), plan, nulls, value).map_err(|trouble| trouble.explain(block.at.plus(number)))?;
        }
        Ok(filling.finish())
    };
    layout.columns.iter().map(read).collect()
}

fn push(filling: &mut dyn Column, plan: &ColumnPlan, nulls: &NullWords, value: &[u8]) -> Result<(), Trouble> {
    let is_text = plan.kind.data_type() == DataType::Utf8;
    let text = if is_text { value } else { value.trim_ascii() };
    if nulls.contain(text) || (text.is_empty() && !is_text) {
        filling.push_null();
        return Ok(());
    }
    let text = std::str::from_utf8(text).map_err(|_| Trouble::NotUtf8)?;
    if filling.push(text) { Ok(()) } else { Err(Trouble::wrong_type(plan, text)) }
}
