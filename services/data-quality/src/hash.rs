//! Rows as hashes of 128 bits, so that equal rows can be found without keeping them.
//!
//! Two lanes of 64 bits take in a row's cells one after another by folded multiplication (the 128-bit product with a
//! secret, its halves combined by exclusive or), as wyhash and foldhash do. The lanes differ in their secrets, which are
//! drawn anew for each run, so that no input can be made to collide. Among n different rows the probability that any
//! two get one hash is about n²/2¹²⁹: less than 10⁻²⁰ for a thousand million rows.
//!
//! Columns are taken one after another over a few hundred rows, whose lanes stay in the cache; nothing is copied.
//!
//! Equal are: the same values; null and null, but null and nothing else; NaN and NaN; 0.0 and -0.0. Within lists and
//! structs, floats are equal when their bits are.

use arrow::array::{
    Array, ArrayAccessor, ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray, downcast_primitive_array,
};
use arrow::compute::{cast, take};
use arrow::datatypes::{DataType, IntervalDayTime, IntervalMonthDayNano, i256};
use arrow::row::{RowConverter, Rows, SortField};
use flight_common::Fault;
use flight_common::cells::plain_type;
use half::f16;
use std::hash::{BuildHasher, RandomState};
use std::ops::Range;

/// Rows whose lanes stay in the cache while columns are taken in.
const STRIP: usize = 512;

/// The secrets of a run.
#[derive(Clone, Copy)]
pub struct Keys {
    start: Lanes,
    word: Lanes,
    null: Lanes,
    length: u64,
}

#[derive(Clone, Copy)]
struct Lanes(u64, u64);

impl Keys {
    /// Drawn at random.
    pub fn random() -> Self {
        let random = RandomState::new();
        let draw = |number: u64| random.hash_one(number);
        let lanes = |number: u64| Lanes(draw(number), draw(number + 1));
        Self { start: lanes(0), word: lanes(2), null: lanes(4), length: draw(6) }
    }

    /// The hash of each row of these columns, which are of one length.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::Internal`] for a type of which [`can_hash`] says that it cannot be hashed.
    pub fn hash_rows(&self, columns: &[ArrayRef], rows: usize) -> Result<Vec<u128>, Fault> {
        let columns: Vec<Cells> = columns.iter().map(cells).collect::<Result<_, _>>()?;
        let mut hashes = Vec::with_capacity(rows);
        let mut strip = [self.start; STRIP];
        for start in (0..rows).step_by(STRIP) {
            let range = start..rows.min(start + STRIP);
            let lanes = &mut strip[..range.len()];
            lanes.fill(self.start);
            for column in &columns {
                self.take_in(column, range.clone(), lanes)?;
            }
            hashes.extend(lanes.iter().map(|lanes| u128::from(lanes.1) << 64 | u128::from(lanes.0)));
        }
        Ok(hashes)
    }

    fn take_in(&self, cells: &Cells, range: Range<usize>, lanes: &mut [Lanes]) -> Result<(), Fault> {
        let array = match cells {
            Cells::Rows(rows) => {
                for (row, lanes) in range.zip(lanes) {
                    *lanes = self.bytes(*lanes, rows.row(row).data());
                }
                return Ok(());
            }
            Cells::Array(array) => array.as_ref(),
        };
        downcast_primitive_array! {
            array => self.numbers(array, range, lanes),
            DataType::Boolean => self.each(array.as_boolean(), range, lanes),
            DataType::Utf8 => self.each(array.as_string::<i32>(), range, lanes),
            DataType::LargeUtf8 => self.each(array.as_string::<i64>(), range, lanes),
            DataType::Utf8View => self.each(array.as_string_view(), range, lanes),
            DataType::Binary => self.each(array.as_binary::<i32>(), range, lanes),
            DataType::LargeBinary => self.each(array.as_binary::<i64>(), range, lanes),
            DataType::BinaryView => self.each(array.as_binary_view(), range, lanes),
            DataType::FixedSizeBinary(_) => self.each(array.as_fixed_size_binary(), range, lanes),
            DataType::Null => {}
            other => return Err(Fault::internal(format!("no hash for {other}"))),
        }
        Ok(())
    }

    fn numbers<T>(&self, array: &PrimitiveArray<T>, range: Range<usize>, lanes: &mut [Lanes])
    where
        T: ArrowPrimitiveType,
        T::Native: Cell,
    {
        if array.null_count() > 0 {
            return self.each(array, range, lanes);
        }
        for (lanes, value) in lanes.iter_mut().zip(&array.values()[range]) {
            *lanes = value.add_to(*lanes, self);
        }
    }

    fn each<A>(&self, array: A, range: Range<usize>, lanes: &mut [Lanes])
    where
        A: ArrayAccessor,
        A::Item: Cell,
    {
        match array.nulls().filter(|nulls| nulls.null_count() > 0) {
            None => range.zip(lanes).for_each(|(row, lanes)| *lanes = array.value(row).add_to(*lanes, self)),
            Some(nulls) => range.zip(lanes).for_each(|(row, lanes)| {
                *lanes = match nulls.is_valid(row) {
                    true => array.value(row).add_to(*lanes, self),
                    false => Lanes(fold(lanes.0, self.null.0), fold(lanes.1, self.null.1)),
                }
            }),
        }
    }

    fn word(&self, lanes: Lanes, word: u64) -> Lanes {
        Lanes(fold(lanes.0 ^ word, self.word.0), fold(lanes.1 ^ word, self.word.1))
    }

    fn pair(&self, lanes: Lanes, first: u64, second: u64) -> Lanes {
        Lanes(fold(lanes.0 ^ first, self.word.0 ^ second), fold(lanes.1 ^ first, self.word.1 ^ second))
    }

    /// The length goes in first, so that cells beside each other do not run together.
    fn bytes(&self, lanes: Lanes, bytes: &[u8]) -> Lanes {
        let length = (bytes.len() as u64).wrapping_mul(self.length);
        let mut lanes = Lanes(lanes.0.wrapping_add(length), lanes.1.wrapping_add(length));
        let mut rest = bytes;
        while let Some((block, more)) = rest.split_first_chunk::<16>().filter(|(_, more)| !more.is_empty()) {
            let (first, second) = halves(*block);
            lanes = self.pair(lanes, first, second);
            rest = more;
        }
        // What is left of a long text is shorter than a block: its last block overlaps with what went in before.
        let (first, second) = match bytes.last_chunk::<16>() {
            Some(block) => halves(*block),
            None => short(bytes),
        };
        self.pair(lanes, first, second)
    }
}

/// High and low half of the product.
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product as u64) ^ (product >> 64) as u64
}

fn halves(block: [u8; 16]) -> (u64, u64) {
    let whole = u128::from_le_bytes(block);
    (whole as u64, (whole >> 64) as u64)
}

/// Fewer than 16 bytes, all of them at least once.
fn short(bytes: &[u8]) -> (u64, u64) {
    if let (Some(first), Some(last)) = (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        return (u64::from_le_bytes(*first), u64::from_le_bytes(*last));
    }
    if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        return (u32::from_le_bytes(*first).into(), u32::from_le_bytes(*last).into());
    }
    (bytes.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)), 0)
}

/// A value that a row's lanes can take in.
trait Cell {
    fn add_to(self, lanes: Lanes, keys: &Keys) -> Lanes;
}

macro_rules! cells {
    ($($native:ty: $value:ident, $keys:ident, $lanes:ident => $added:expr;)*) => {$(
        impl Cell for $native {
            #[inline]
            fn add_to(self, $lanes: Lanes, $keys: &Keys) -> Lanes {
                let $value = self;
                $added
            }
        }
    )*};
}

cells! {
    bool: value, keys, lanes => keys.word(lanes, value.into());
    i8: value, keys, lanes => keys.word(lanes, value as u64);
    i16: value, keys, lanes => keys.word(lanes, value as u64);
    i32: value, keys, lanes => keys.word(lanes, value as u64);
    i64: value, keys, lanes => keys.word(lanes, value as u64);
    u8: value, keys, lanes => keys.word(lanes, value.into());
    u16: value, keys, lanes => keys.word(lanes, value.into());
    u32: value, keys, lanes => keys.word(lanes, value.into());
    u64: value, keys, lanes => keys.word(lanes, value);
    i128: value, keys, lanes => keys.pair(lanes, value as u64, (value >> 64) as u64);
    f32: value, keys, lanes => f64::from(value).add_to(lanes, keys);
    f64: value, keys, lanes => keys.word(lanes, canonical(value));
    &str: value, keys, lanes => keys.bytes(lanes, value.as_bytes());
    &[u8]: value, keys, lanes => keys.bytes(lanes, value);
    f16: value, keys, lanes => value.to_f64().add_to(lanes, keys);
    IntervalDayTime: value, keys, lanes =>
        keys.pair(lanes, value.days as u64, value.milliseconds as u64);
    IntervalMonthDayNano: value, keys, lanes => {
        let lanes = keys.pair(lanes, value.months as u64, value.days as u64);
        keys.word(lanes, value.nanoseconds as u64)
    };
    i256: value, keys, lanes => {
        let (low, high) = value.to_parts();
        high.add_to((low as i128).add_to(lanes, keys), keys)
    };
}

/// One pattern of bits for all NaN, and one for both zeros.
fn canonical(value: f64) -> u64 {
    match value {
        value if value.is_nan() => f64::NAN.to_bits(),
        value => (value + 0.0).to_bits(),
    }
}

/// A column made ready to be taken in.
enum Cells {
    Array(ArrayRef),
    /// Nested values, in a form in which equal ones have equal bytes.
    Rows(Rows),
}

fn cells(column: &ArrayRef) -> Result<Cells, Fault> {
    match column.data_type() {
        DataType::Dictionary(..) => {
            let column = column.as_any_dictionary();
            cells(&take(column.values(), column.keys(), None)?)
        }
        DataType::RunEndEncoded(_, values) => cells(&cast(column, values.data_type())?),
        nested if nested.is_nested() => {
            let converter = RowConverter::new(vec![SortField::new(nested.clone())])?;
            Ok(Cells::Rows(converter.convert_columns(std::slice::from_ref(column))?))
        }
        _ => Ok(Cells::Array(column.clone())),
    }
}

/// Whether values of this type can be told apart by their hash.
pub fn can_hash(data_type: &DataType) -> bool {
    let plain = plain_type(data_type);
    !plain.is_nested() || RowConverter::supports_fields(&[SortField::new(plain.clone())])
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Float64Array, Int64Array, ListArray, StringArray, StringViewArray};
    use arrow::datatypes::Int64Type;
    use std::collections::HashSet;
    use std::sync::Arc;

    fn hashes(columns: &[ArrayRef]) -> Vec<u128> {
        FIXED.hash_rows(columns, columns[0].len()).expect("types that can be hashed")
    }

    const FIXED: Keys = Keys {
        start: Lanes(0x9e37_79b9_7f4a_7c15, 0xbf58_476d_1ce4_e5b9),
        word: Lanes(0x94d0_49bb_1331_11eb, 0xd6e8_feb8_6659_fd93),
        null: Lanes(0xa076_1d64_78bd_642f, 0xe703_7ed1_a0b4_28db),
        length: 0x8ebc_6af0_9c88_c6e3,
    };

    fn distinct(columns: &[ArrayRef]) -> usize {
        hashes(columns).into_iter().collect::<HashSet<_>>().len()
    }

    #[test]
    fn equal_rows_have_equal_hashes_however_they_are_cut() {
        let rows = 2000;
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter((0..rows).map(|n| (n % 7 != 0).then_some(n % 500))));
        let texts = (0..rows).map(|n| format!("{}{}", "long text ".repeat(n as usize % 4), n % 500));
        let texts: ArrayRef = Arc::new(StringArray::from_iter_values(texts));
        let columns = [numbers.clone(), texts.clone()];
        let whole = hashes(&columns);
        let parts: Vec<u128> = (0..rows as usize)
            .step_by(77)
            .flat_map(|start| {
                let length = 77.min(rows as usize - start);
                hashes(&columns.each_ref().map(|column| column.slice(start, length)))
            })
            .collect();
        assert_eq!(whole, parts);
    }

    #[test]
    fn texts_of_every_length_are_told_apart() {
        let texts: Vec<String> = (0..200).map(|length| "a".repeat(length)).collect();
        let changed = (0..60).flat_map(|length: usize| {
            (0..length).map(move |place| format!("{}b{}", "a".repeat(place), "a".repeat(length - place - 1)))
        });
        let texts: Vec<String> = texts.into_iter().chain(changed).collect();
        let plain: ArrayRef = Arc::new(StringArray::from_iter_values(&texts));
        assert_eq!(distinct(std::slice::from_ref(&plain)), texts.len());
        let views: ArrayRef = Arc::new(StringViewArray::from_iter_values(&texts));
        assert_eq!(hashes(&[views]), hashes(&[plain]));
    }

    #[test]
    fn what_looks_alike_is_told_apart() {
        let left: ArrayRef = Arc::new(StringArray::from(vec![Some("ab"), Some("a"), Some(""), None, None, Some("")]));
        let right: ArrayRef = Arc::new(StringArray::from(vec![Some("c"), Some("bc"), None, Some(""), None, Some("")]));
        assert_eq!(distinct(&[left, right]), 6);
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![Some(0), None, Some(-1), Some(i64::MIN), Some(1)]));
        assert_eq!(distinct(&[numbers]), 5);
    }

    #[test]
    fn all_nan_are_equal_and_both_zeros_and_null_is_neither() {
        let other_nan = f64::from_bits(f64::NAN.to_bits() | 1);
        let values = vec![Some(0.0), Some(-0.0), Some(f64::NAN), Some(other_nan), Some(-f64::NAN), None];
        assert_eq!(distinct(&[Arc::new(Float64Array::from(values))]), 3);
    }

    #[test]
    fn encoded_columns_hash_like_plain_ones() {
        let plain: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), None, Some("b"), Some("a")]));
        let encoded = DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8));
        let encoded = cast(&plain, &encoded).expect("encoded");
        assert_eq!(hashes(&[encoded]), hashes(&[plain]));
    }

    #[test]
    fn lists_are_told_apart() {
        let lists = [Some(vec![Some(1), Some(2)]), Some(vec![Some(1)]), None, Some(vec![]), Some(vec![None])];
        let lists: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(lists));
        assert!(can_hash(lists.data_type()));
        assert_eq!(distinct(&[lists]), 5);
    }
}
