//! The fields of a column as they come over the wire, in big-endian binary form, read into an Arrow array.

use super::numeric;
use super::time;
use super::types::Form;
use crate::trouble::Wrong;
use arrow::array::{
    ArrayRef, BinaryBuilder, BooleanBuilder, Date32Builder, Decimal128Builder, Decimal256Builder, Float32Builder,
    Float64Builder, Int16Builder, Int32Builder, Int64Builder, IntervalMonthDayNanoBuilder, ListArray,
    NullBufferBuilder, StringBuilder, Time64MicrosecondBuilder, TimestampMicrosecondBuilder,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{Decimal128Type, Decimal256Type, DecimalType, Field};
use flight_common::Fault;
use std::fmt::Write;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

/// A column under way.
pub enum Cells {
    Bool(BooleanBuilder),
    Int2(Int16Builder),
    Int4(Int32Builder),
    Int8(Int64Builder),
    Oid(Int64Builder),
    Float4(Float32Builder),
    Float8(Float64Builder),
    Decimal128(Decimal128Builder, u8, i8),
    Decimal256(Decimal256Builder, u8, i8),
    Text(StringBuilder),
    Jsonb(StringBuilder),
    Uuid(StringBuilder),
    Network(StringBuilder),
    Bytes(BinaryBuilder),
    Date(Date32Builder),
    Time(Time64MicrosecondBuilder),
    Timestamp(TimestampMicrosecondBuilder),
    Interval(IntervalMonthDayNanoBuilder),
    List(Box<List>),
}

/// A column of arrays under way.
pub struct List {
    item: Cells,
    field: Arc<Field>,
    ends: Vec<i32>,
    nulls: NullBufferBuilder,
}

const ARRAY: &str = "unnest it in the query, or cast it: the_column::text";
const DAMAGED: &str = "run again; if it stays, cast the column to text in the query";

impl Cells {
    /// An empty column.
    pub fn new(form: &Form) -> Self {
        match form {
            Form::Bool => Self::Bool(BooleanBuilder::new()),
            Form::Int2 => Self::Int2(Int16Builder::new()),
            Form::Int4 => Self::Int4(Int32Builder::new()),
            Form::Int8 => Self::Int8(Int64Builder::new()),
            Form::Oid => Self::Oid(Int64Builder::new()),
            Form::Float4 => Self::Float4(Float32Builder::new()),
            Form::Float8 => Self::Float8(Float64Builder::new()),
            Form::Decimal128(precision, scale) => {
                Self::Decimal128(Decimal128Builder::new().with_data_type(form.data_type()), *precision, *scale)
            }
            Form::Decimal256(precision, scale) => {
                Self::Decimal256(Decimal256Builder::new().with_data_type(form.data_type()), *precision, *scale)
            }
            Form::Text => Self::Text(StringBuilder::new()),
            Form::Jsonb => Self::Jsonb(StringBuilder::new()),
            Form::Uuid => Self::Uuid(StringBuilder::new()),
            Form::Network => Self::Network(StringBuilder::new()),
            Form::Bytes => Self::Bytes(BinaryBuilder::new()),
            Form::Date => Self::Date(Date32Builder::new()),
            Form::Time => Self::Time(Time64MicrosecondBuilder::new()),
            Form::Timestamp { .. } => {
                Self::Timestamp(TimestampMicrosecondBuilder::new().with_data_type(form.data_type()))
            }
            Form::Interval => Self::Interval(IntervalMonthDayNanoBuilder::new()),
            Form::List(item) => Self::List(Box::new(List {
                item: Self::new(item),
                field: Arc::new(item.field()),
                ends: vec![0],
                nulls: NullBufferBuilder::new(0),
            })),
        }
    }

    /// Adds a field.
    ///
    /// # Errors
    /// Why its value cannot be taken.
    pub fn push(&mut self, field: &[u8]) -> Result<(), Wrong> {
        match self {
            Self::Bool(cells) => cells.append_value(u8::from_be_bytes(fixed(field)?) != 0),
            Self::Int2(cells) => cells.append_value(i16::from_be_bytes(fixed(field)?)),
            Self::Int4(cells) => cells.append_value(i32::from_be_bytes(fixed(field)?)),
            Self::Int8(cells) => cells.append_value(i64::from_be_bytes(fixed(field)?)),
            Self::Oid(cells) => cells.append_value(u32::from_be_bytes(fixed(field)?).into()),
            Self::Float4(cells) => cells.append_value(f32::from_be_bytes(fixed(field)?)),
            Self::Float8(cells) => cells.append_value(f64::from_be_bytes(fixed(field)?)),
            Self::Decimal128(cells, precision, scale) => {
                let whole = numeric::read::<i128>(field, *scale)?;
                Decimal128Type::validate_decimal_precision(whole, *precision, *scale)
                    .map_err(|_| numeric::too_large())?;
                cells.append_value(whole);
            }
            Self::Decimal256(cells, precision, scale) => {
                let whole = numeric::read(field, *scale)?;
                Decimal256Type::validate_decimal_precision(whole, *precision, *scale)
                    .map_err(|_| numeric::too_large())?;
                cells.append_value(whole);
            }
            Self::Text(cells) => cells.append_value(text(field)?),
            Self::Jsonb(cells) => match field.split_first() {
                Some((1, json)) => cells.append_value(text(json)?),
                _ => return Err(damaged("jsonb")),
            },
            Self::Uuid(cells) => push_uuid(cells, fixed(field)?),
            Self::Network(cells) => cells.append_value(network(field)?),
            Self::Bytes(cells) => cells.append_value(field),
            Self::Date(cells) => cells.append_value(time::date(i32::from_be_bytes(fixed(field)?))?),
            Self::Time(cells) => cells.append_value(time::time(i64::from_be_bytes(fixed(field)?))?),
            Self::Timestamp(cells) => cells.append_value(time::timestamp(i64::from_be_bytes(fixed(field)?))?),
            Self::Interval(cells) => cells.append_value(time::interval(fixed(field)?)?),
            Self::List(list) => list.push(field)?,
        }
        Ok(())
    }

    /// Adds a null.
    pub fn push_null(&mut self) {
        match self {
            Self::Bool(cells) => cells.append_null(),
            Self::Int2(cells) => cells.append_null(),
            Self::Int4(cells) => cells.append_null(),
            Self::Int8(cells) | Self::Oid(cells) => cells.append_null(),
            Self::Float4(cells) => cells.append_null(),
            Self::Float8(cells) => cells.append_null(),
            Self::Decimal128(cells, ..) => cells.append_null(),
            Self::Decimal256(cells, ..) => cells.append_null(),
            Self::Text(cells) | Self::Jsonb(cells) | Self::Uuid(cells) | Self::Network(cells) => cells.append_null(),
            Self::Bytes(cells) => cells.append_null(),
            Self::Date(cells) => cells.append_null(),
            Self::Time(cells) => cells.append_null(),
            Self::Timestamp(cells) => cells.append_null(),
            Self::Interval(cells) => cells.append_null(),
            Self::List(list) => {
                list.ends.push(list.ends.last().copied().unwrap_or_default());
                list.nulls.append_null();
            }
        }
    }

    /// The column.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::Internal`] if its parts do not fit together.
    pub fn finish(self) -> Result<ArrayRef, Fault> {
        Ok(match self {
            Self::Bool(mut cells) => Arc::new(cells.finish()),
            Self::Int2(mut cells) => Arc::new(cells.finish()),
            Self::Int4(mut cells) => Arc::new(cells.finish()),
            Self::Int8(mut cells) | Self::Oid(mut cells) => Arc::new(cells.finish()),
            Self::Float4(mut cells) => Arc::new(cells.finish()),
            Self::Float8(mut cells) => Arc::new(cells.finish()),
            Self::Decimal128(mut cells, ..) => Arc::new(cells.finish()),
            Self::Decimal256(mut cells, ..) => Arc::new(cells.finish()),
            Self::Text(mut cells) | Self::Jsonb(mut cells) | Self::Uuid(mut cells) | Self::Network(mut cells) => {
                Arc::new(cells.finish())
            }
            Self::Bytes(mut cells) => Arc::new(cells.finish()),
            Self::Date(mut cells) => Arc::new(cells.finish()),
            Self::Time(mut cells) => Arc::new(cells.finish()),
            Self::Timestamp(mut cells) => Arc::new(cells.finish()),
            Self::Interval(mut cells) => Arc::new(cells.finish()),
            Self::List(list) => {
                let List { item, field, ends, mut nulls } = *list;
                Arc::new(ListArray::try_new(field, OffsetBuffer::new(ends.into()), item.finish()?, nulls.finish())?)
            }
        })
    }
}

impl List {
    /// An array on the wire: dimensions, a flag, the items' type; length and lower bound of each dimension; the items, each
    /// with its length (PostgreSQL, `array_send`).
    fn push(&mut self, field: &[u8]) -> Result<(), Wrong> {
        let mut rest = field;
        let dimensions = word(&mut rest)?;
        word(&mut rest)?;
        word(&mut rest)?;
        let count = match dimensions {
            0 => 0,
            1 => {
                let count = word(&mut rest)?;
                word(&mut rest)?;
                count
            }
            more => return Err(Wrong::new(format!("an array of {more} dimensions, and a list has one"), ARRAY)),
        };
        for _ in 0..count {
            match usize::try_from(word(&mut rest)?) {
                // A length below zero is a null.
                Err(_) => self.item.push_null(),
                Ok(length) => {
                    let (item, after) = rest.split_at_checked(length).ok_or_else(|| damaged("array"))?;
                    self.item.push(item)?;
                    rest = after;
                }
            }
        }
        let end = self.ends.last().copied().unwrap_or_default().checked_add(count);
        self.ends.push(end.ok_or_else(|| Wrong::new("arrays with too many items", ARRAY))?);
        self.nulls.append_non_null();
        Ok(())
    }
}

fn word(rest: &mut &[u8]) -> Result<i32, Wrong> {
    let (word, after) = rest.split_first_chunk().ok_or_else(|| damaged("array"))?;
    *rest = after;
    Ok(i32::from_be_bytes(*word))
}

fn fixed<const N: usize>(field: &[u8]) -> Result<[u8; N], Wrong> {
    field.try_into().map_err(|_| damaged("value"))
}

fn damaged(what: &str) -> Wrong {
    Wrong::new(format!("a {what} that cannot be read: the server sends it in another form than expected"), DAMAGED)
}

fn text(field: &[u8]) -> Result<&str, Wrong> {
    let help = "its database keeps texts in no encoding (SQL_ASCII): decode it in the query, such as convert_from(x::bytea, 'LATIN1')";
    std::str::from_utf8(field).map_err(|_| Wrong::new("a text that is not UTF-8", help))
}

fn push_uuid(cells: &mut StringBuilder, bytes: [u8; 16]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [b'-'; 36];
    let mut at = 0;
    for (place, byte) in bytes.into_iter().enumerate() {
        // 8-4-4-4-12 digits
        at += usize::from(matches!(place, 4 | 6 | 8 | 10));
        text[at] = DIGITS[usize::from(byte >> 4)];
        text[at + 1] = DIGITS[usize::from(byte & 15)];
        at += 2;
    }
    cells.append_value(std::str::from_utf8(&text).unwrap_or_default());
}

/// Family, bits of the mask, whether it is a network, length, address (PostgreSQL, `network_send`). As PostgreSQL writes
/// it: without the mask where that is a whole address.
fn network(field: &[u8]) -> Result<String, Wrong> {
    let (address, bits, is_network) = match field {
        [2, bits, is_network, 4, address @ ..] => {
            (Ipv4Addr::from(fixed::<4>(address)?).to_string(), (*bits, 32), *is_network)
        }
        [3, bits, is_network, 16, address @ ..] => {
            (Ipv6Addr::from(fixed::<16>(address)?).to_string(), (*bits, 128), *is_network)
        }
        _ => return Err(damaged("network address")),
    };
    let mut text = address;
    if is_network != 0 || bits.0 != bits.1 {
        let _ = write!(text, "/{}", bits.0);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Array, AsArray};
    use arrow::datatypes::Int32Type;

    #[test]
    fn an_array_may_hold_nulls_and_may_be_one() {
        let mut cells = Cells::new(&Form::List(Box::new(Form::Int4)));
        let words = |words: &[i32]| words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<u8>>();
        cells.push(&words(&[1, 1, 23, 3, 1, 4, 7, -1, 4, 9])).expect("an array");
        cells.push_null();
        cells.push(&words(&[0, 0, 23])).expect("an empty array");
        assert!(
            cells.push(&words(&[2, 0, 23, 1, 1, 1, 1, 4, 5])).is_err_and(|wrong| wrong.what.contains("dimensions"))
        );
        assert!(cells.push(&words(&[1, 0, 23, 1, 1, 400, 5])).is_err());
        let lists = cells.finish().expect("whole");
        let lists = lists.as_list::<i32>();
        assert_eq!((lists.len(), lists.null_count()), (3, 1));
        let first = lists.value(0);
        assert_eq!(first.as_primitive::<Int32Type>().iter().collect::<Vec<_>>(), [Some(7), None, Some(9)]);
        assert!(lists.value(2).is_empty());
    }

    #[test]
    fn addresses_and_ids_are_spelled_as_the_database_spells_them() {
        assert_eq!(network(&[2, 32, 0, 4, 10, 0, 0, 1]).as_deref(), Ok("10.0.0.1"));
        assert_eq!(network(&[2, 8, 1, 4, 10, 0, 0, 0]).as_deref(), Ok("10.0.0.0/8"));
        let mut cells = StringBuilder::new();
        push_uuid(&mut cells, *b"\x12\x3e\x45\x67\xe8\x9b\x12\xd3\xa4\x56\x42\x66\x14\x17\x40\x00");
        assert_eq!(cells.finish().value(0), "123e4567-e89b-12d3-a456-426614174000");
    }
}
