//! Values that hold others: lists become JSON arrays, structs and maps become objects.

use super::records::Column;
use super::string::put_string;
use crate::text::{Out, Print};
use arrow::array::{Array, AsArray, OffsetSizeTrait};
use arrow::datatypes::{ArrowNativeType, DataType};
use std::cell::Cell;
use std::ops::Range;

/// A member of an object.
pub struct Member<'a> {
    /// `"name":`
    label: Vec<u8>,
    column: Column<'a>,
}

impl<'a> Member<'a> {
    /// The values of this name.
    pub fn new(name: &str, column: Column<'a>) -> Self {
        let mut label = Out::default();
        put_string(name, &mut label);
        label.push(b':');
        Self { label: label.into_bytes(), column }
    }
}

/// Writes an object.
pub fn put_members(members: &[Member<'_>], row: usize, out: &mut Out) {
    out.push(b'{');
    for (place, member) in members.iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        out.put(&member.label);
        member.column.put(row, out);
    }
    out.push(b'}');
}

/// The printer of a column of lists, structs or maps.
pub fn printer<'a>(array: &'a dyn Array, not_finite: &'a Cell<u64>) -> Option<Box<dyn Print + 'a>> {
    Some(match array.data_type() {
        DataType::List(_) => offset_lists::<i32>(array, not_finite),
        DataType::LargeList(_) => offset_lists::<i64>(array, not_finite),
        DataType::FixedSizeList(_, length) => {
            let length = usize::try_from(*length).ok()?;
            let items = Column::new(array.as_fixed_size_list().values(), not_finite);
            Box::new(Lists { items, span: move |row| row * length..(row + 1) * length })
        }
        DataType::Struct(_) => {
            let array = array.as_struct();
            let pairs = array.fields().iter().zip(array.columns());
            Box::new(Structs(
                pairs.map(|(field, column)| Member::new(field.name(), Column::new(column, not_finite))).collect(),
            ))
        }
        DataType::Map(..) => {
            let array = array.as_map();
            let offsets = array.value_offsets();
            Box::new(Maps {
                keys: Column::new(array.keys(), not_finite),
                values: Column::new(array.values(), not_finite),
                span: move |row: usize| offsets[row].as_usize()..offsets[row + 1].as_usize(),
            })
        }
        _ => return None,
    })
}

fn offset_lists<'a, O: OffsetSizeTrait>(array: &'a dyn Array, not_finite: &'a Cell<u64>) -> Box<dyn Print + 'a> {
    let array = array.as_list::<O>();
    let offsets = array.value_offsets();
    let span = move |row: usize| offsets[row].as_usize()..offsets[row + 1].as_usize();
    Box::new(Lists { items: Column::new(array.values(), not_finite), span })
}

struct Lists<'a, S> {
    items: Column<'a>,
    span: S,
}

impl<S: Fn(usize) -> Range<usize>> Print for Lists<'_, S> {
    fn print(&self, row: usize, out: &mut Out) {
        out.push(b'[');
        for (place, item) in (self.span)(row).enumerate() {
            if place > 0 {
                out.push(b',');
            }
            self.items.put(item, out);
        }
        out.push(b']');
    }
}

struct Structs<'a>(Vec<Member<'a>>);

impl Print for Structs<'_> {
    fn print(&self, row: usize, out: &mut Out) {
        put_members(&self.0, row, out);
    }
}

struct Maps<'a, S> {
    keys: Column<'a>,
    values: Column<'a>,
    span: S,
}

impl<S: Fn(usize) -> Range<usize>> Print for Maps<'_, S> {
    fn print(&self, row: usize, out: &mut Out) {
        out.push(b'{');
        for (place, entry) in (self.span)(row).enumerate() {
            if place > 0 {
                out.push(b',');
            }
            self.keys.put(entry, out);
            out.push(b':');
            self.values.put(entry, out);
        }
        out.push(b'}');
    }
}
