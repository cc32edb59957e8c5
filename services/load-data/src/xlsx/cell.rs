//! What stands in a cell. A cell holds a double, a boolean or a text; what a double cannot hold exactly is text.

use arrow::array::{Array, ArrowPrimitiveType, AsArray};
use arrow::datatypes::*;
use formats::text::{Out, scalar};
use std::borrow::Cow;

/// The value of a cell.
pub enum Cell<'a> {
    /// A text.
    Text(Cow<'a, str>),
    /// A boolean.
    Boolean(bool),
    /// A number.
    Number(f64),
    /// Days since the end of 1899, shown as a date or time.
    Time(f64, Kind),
}

/// No cell, and no row, takes more bytes of XML than this beside what stands in it.
pub const MARKUP: u64 = 128;
/// A byte of text takes no more than this: `_x0001_`.
const ESCAPED: u64 = 7;
/// No number has more digits: those of the smallest double.
const DIGITS: u64 = 400;

impl Cell<'_> {
    /// It takes no more bytes of XML than this.
    pub fn most_xml(&self) -> u64 {
        match self {
            Self::Text(text) => MARKUP + ESCAPED * text.len() as u64,
            Self::Number(number) if *number != 0.0 && !(1e-9..1e20).contains(&number.abs()) => MARKUP + DIGITS,
            Self::Number(_) | Self::Boolean(_) | Self::Time(..) => MARKUP,
        }
    }
}

/// How a time is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `2024-02-29`
    Date,
    /// `2024-02-29 12:30:00`
    Seconds,
    /// `2024-02-29 12:30:00.250`
    Millis,
    /// `12:30:00`
    TimeOfDay,
    /// `12:30:00.250`
    TimeOfDayMillis,
}

impl Kind {
    /// How many there are.
    pub const COUNT: usize = 5;
    /// Each, in order.
    pub const ALL: [Self; Self::COUNT] =
        [Self::Date, Self::Seconds, Self::Millis, Self::TimeOfDay, Self::TimeOfDayMillis];

    /// The number format of Excel.
    pub fn pattern(self) -> &'static str {
        match self {
            Self::Date => "yyyy-mm-dd",
            Self::Seconds => "yyyy-mm-dd hh:mm:ss",
            Self::Millis => "yyyy-mm-dd hh:mm:ss.000",
            Self::TimeOfDay => "hh:mm:ss",
            Self::TimeOfDayMillis => "hh:mm:ss.000",
        }
    }
}

/// Gives the cell of a row, or nothing for a null.
pub type CellColumn<'a> = Box<dyn Fn(usize) -> Option<Cell<'a>> + 'a>;

const DAY_MILLIS: i64 = 86_400_000;
/// Days from the end of 1899, Excel's zero, to 1970.
const EXCEL_EPOCH: i64 = 25_569;
/// 1900-03-01 and 9999-12-31, counted from 1970. Excel has a 29th of February in 1900: earlier days would be off by one.
const EXCEL_DAYS: std::ops::RangeInclusive<i64> = -25_508..=2_932_896;
/// Whole numbers up to here are doubles, each of them.
const EXACT: u64 = 1 << 53;
/// A decimal of so many digits comes back from a double as it was.
const EXACT_DIGITS: usize = 15;

/// The cells of a column.
pub fn column(array: &dyn Array) -> CellColumn<'_> {
    let nulls = array.logical_nulls();
    let cell = values(array);
    Box::new(move |row| match &nulls {
        Some(nulls) if nulls.is_null(row) => None,
        _ => Some(cell(row)),
    })
}

fn values<'a>(array: &'a dyn Array) -> Box<dyn Fn(usize) -> Cell<'a> + 'a> {
    use TimeUnit::{Microsecond, Millisecond, Nanosecond, Second};
    match array.data_type() {
        DataType::Utf8 => {
            let array = array.as_string::<i32>();
            Box::new(|row| Cell::Text(array.value(row).into()))
        }
        DataType::LargeUtf8 => {
            let array = array.as_string::<i64>();
            Box::new(|row| Cell::Text(array.value(row).into()))
        }
        DataType::Boolean => {
            let array = array.as_boolean();
            Box::new(|row| Cell::Boolean(array.value(row)))
        }
        DataType::Int8 => number::<Int8Type>(array),
        DataType::Int16 => number::<Int16Type>(array),
        DataType::Int32 => number::<Int32Type>(array),
        DataType::UInt8 => number::<UInt8Type>(array),
        DataType::UInt16 => number::<UInt16Type>(array),
        DataType::UInt32 => number::<UInt32Type>(array),
        DataType::Float32 => number::<Float32Type>(array),
        DataType::Float64 => number::<Float64Type>(array),
        DataType::Float16 => {
            let array = array.as_primitive::<Float16Type>();
            or_text(array, |row| finite(array.value(row).to_f64()))
        }
        DataType::Int64 => {
            let array = array.as_primitive::<Int64Type>();
            or_text(array, |row| {
                let number = array.value(row);
                (number.unsigned_abs() <= EXACT).then_some(Cell::Number(number as f64))
            })
        }
        DataType::UInt64 => {
            let array = array.as_primitive::<UInt64Type>();
            or_text(array, |row| {
                let number = array.value(row);
                (number <= EXACT).then_some(Cell::Number(number as f64))
            })
        }
        DataType::Decimal32(..) | DataType::Decimal64(..) | DataType::Decimal128(..) | DataType::Decimal256(..) => {
            let text = text(array);
            Box::new(move |row| decimal(text(row)))
        }
        DataType::Date32 => times::<Date32Type>(array, date),
        DataType::Date64 => times::<Date64Type>(array, |millis| date(whole(millis, DAY_MILLIS)?)),
        DataType::Time32(Second) => times::<Time32SecondType>(array, |time| clock(time * 1000, Kind::TimeOfDay)),
        DataType::Time32(_) => times::<Time32MillisecondType>(array, |time| clock(time, Kind::TimeOfDayMillis)),
        DataType::Time64(Microsecond) => {
            times::<Time64MicrosecondType>(array, |time| clock(whole(time, 1000)?, Kind::TimeOfDayMillis))
        }
        DataType::Time64(_) => {
            times::<Time64NanosecondType>(array, |time| clock(whole(time, 1_000_000)?, Kind::TimeOfDayMillis))
        }
        // A zone has no place in a cell: those remain text.
        DataType::Timestamp(unit, None) => match unit {
            Second => times::<TimestampSecondType>(array, |time| instant(time.checked_mul(1000)?, Kind::Seconds)),
            Millisecond => times::<TimestampMillisecondType>(array, |time| instant(time, Kind::Millis)),
            Microsecond => times::<TimestampMicrosecondType>(array, |time| instant(whole(time, 1000)?, Kind::Millis)),
            Nanosecond => {
                times::<TimestampNanosecondType>(array, |time| instant(whole(time, 1_000_000)?, Kind::Millis))
            }
        },
        _ => {
            let text = text(array);
            Box::new(move |row| Cell::Text(text(row).into()))
        }
    }
}

fn number<'a, T: ArrowPrimitiveType<Native: Into<f64>>>(array: &'a dyn Array) -> Box<dyn Fn(usize) -> Cell<'a> + 'a> {
    let values = array.as_primitive::<T>();
    or_text(array, |row| finite(values.value(row).into()))
}

/// As text where `exact` has no cell.
fn or_text<'a>(
    array: &'a dyn Array,
    exact: impl Fn(usize) -> Option<Cell<'a>> + 'a,
) -> Box<dyn Fn(usize) -> Cell<'a> + 'a> {
    let text = text(array);
    Box::new(move |row| exact(row).unwrap_or_else(|| Cell::Text(text(row).into())))
}

fn times<'a, T: ArrowPrimitiveType<Native: Into<i64>>>(
    array: &'a dyn Array,
    exact: impl Fn(i64) -> Option<Cell<'a>> + 'a,
) -> Box<dyn Fn(usize) -> Cell<'a> + 'a> {
    let values = array.as_primitive::<T>();
    or_text(array, move |row| exact(values.value(row).into()))
}

fn text<'a>(array: &'a dyn Array) -> impl Fn(usize) -> String + 'a {
    let scalar = scalar(array);
    move |row| {
        let mut out = Out::default();
        if let Some(scalar) = &scalar {
            scalar.printer.print(row, &mut out);
        }
        String::from_utf8_lossy(&out.into_bytes()).into_owned()
    }
}

fn finite<'a>(number: f64) -> Option<Cell<'a>> {
    number.is_finite().then_some(Cell::Number(number))
}

fn decimal<'a>(text: String) -> Cell<'a> {
    let digits = text.bytes().filter(u8::is_ascii_digit).skip_while(|&digit| digit == b'0').count();
    match text.parse() {
        Ok(number) if digits <= EXACT_DIGITS => Cell::Number(number),
        _ => Cell::Text(text.into()),
    }
}

fn whole(time: i64, unit: i64) -> Option<i64> {
    (time % unit == 0).then_some(time / unit)
}

fn date<'a>(day: i64) -> Option<Cell<'a>> {
    EXCEL_DAYS.contains(&day).then(|| Cell::Time((day + EXCEL_EPOCH) as f64, Kind::Date))
}

fn clock<'a>(millis: i64, kind: Kind) -> Option<Cell<'a>> {
    (0..DAY_MILLIS).contains(&millis).then(|| Cell::Time(millis as f64 / DAY_MILLIS as f64, kind))
}

fn instant<'a>(millis: i64, kind: Kind) -> Option<Cell<'a>> {
    let since_zero = millis.checked_add(EXCEL_EPOCH * DAY_MILLIS)?;
    let known = EXCEL_DAYS.contains(&millis.div_euclid(DAY_MILLIS));
    known.then(|| Cell::Time(since_zero as f64 / DAY_MILLIS as f64, kind))
}

/// A name that is short enough for a message.
pub fn shortened(name: &str) -> String {
    name.chars().take(128).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{MAX_ROWS, put};
    use super::*;
    use rust_xlsxwriter::{Format, Workbook};

    /// The bytes of a sheet with this cell in its last place. A zip's central directory tells them: see APPNOTE.TXT, 4.3.12.
    fn sheet_bytes(cell: Option<&Cell<'_>>) -> u64 {
        let mut book = Workbook::new();
        let sheet = book.add_worksheet_with_constant_memory().expect("a sheet");
        if let Some(cell) = cell {
            put(sheet, MAX_ROWS - 1, 16_383, cell, &Kind::ALL.map(|_| Format::new())).expect("it is put");
        }
        let zip = book.save_to_buffer().expect("a workbook");
        let is_sheet = |entry: &&[u8]| entry.starts_with(b"PK\x01\x02") && entry[46..].starts_with(b"xl/worksheets/");
        let entry = zip.windows(64).find(is_sheet).expect("the sheet");
        u32::from_le_bytes([entry[24], entry[25], entry[26], entry[27]]).into()
    }

    #[test]
    fn no_cell_takes_more_xml_than_it_says() {
        let texts = ["", "\u{1}\u{1}\u{1}", " _x0041_ ", "<&>\"'", "\u{fffe}ü😀"].map(|text| Cell::Text(text.into()));
        let numbers = [0.0, f64::MIN, -5e-324, 1e20, -1e-9, -0.1 - 0.2].map(Cell::Number);
        let others = [Cell::Boolean(false), Cell::Time(2_958_465.999, Kind::Millis)];
        let empty = sheet_bytes(None);
        for cell in texts.into_iter().chain(numbers).chain(others) {
            let taken = sheet_bytes(Some(&cell)) - empty;
            assert!(taken <= cell.most_xml() + MARKUP, "{taken} of {}", cell.most_xml());
        }
    }
}
