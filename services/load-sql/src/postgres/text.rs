//! Values as `COPY` reads them: each as the text of its column's type. What the server would round is refused here.

use super::types::Type;
use crate::lines::{self, Cells as _, Lines, Text};
use arrow::array::{Array, ArrayRef, AsArray, Int64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, IntervalDayTimeType, IntervalMonthDayNanoType, IntervalUnit};
use arrow::util::display::{ArrayFormatter, DurationFormat, FormatOptions};
use flight_common::Fault;
use std::fmt::{self, Write};
use std::ops::RangeInclusive;

/// Times as PostgreSQL reads them.
const OPTIONS: FormatOptions<'static> = FormatOptions::new()
    .with_display_error(false)
    .with_duration_format(DurationFormat::ISO8601)
    .with_timestamp_format(Some("%Y-%m-%d %H:%M:%S%.6f"))
    .with_timestamp_tz_format(Some("%Y-%m-%d %H:%M:%S%.6f%:z"));

/// From the year 1 to the year 9999, in days since 1970: what is spelled by everybody alike.
const DAYS: RangeInclusive<i64> = -719_162..=2_932_896;
/// Microseconds of a day.
const DAY: i64 = 86_400_000_000;

/// The rows of plain columns as lines. `types` are those of the table; nothing for one that is made.
///
/// # Errors
/// [`flight_common::FaultKind::BadData`] for a time that has no spelling or that the column would round, or a NUL in a text,
/// which PostgreSQL does not hold.
pub fn lines(columns: &[ArrayRef], names: &[String], types: &[Type]) -> Result<Lines, Fault> {
    let cells = columns.iter().enumerate().map(|(place, column)| Cells::new(column, types.get(place)));
    let cells: Vec<Cells<'_>> = cells.collect::<Result<_, _>>()?;
    lines::lines(&cells, names, columns.first().map_or(0, |column| column.len()))
}

/// The values of a column.
enum Cells<'a> {
    Null,
    Text(&'a ArrayRef),
    Bytes(&'a ArrayRef),
    /// Numbers and truths, whose spelling needs no escape.
    Plain(&'a ArrayRef, ArrayFormatter<'a>),
    /// Days, times, moments and lengths of time.
    Time(&'a ArrayRef, Steps, ArrayFormatter<'a>),
    List(&'a ArrayRef, Box<Cells<'a>>),
}

/// The times of a column as whole numbers of a unit.
struct Steps {
    values: Int64Array,
    /// Those that are spelled alike everywhere.
    common: RangeInclusive<i64>,
    /// What the column holds, in that unit.
    step: i64,
}

impl Steps {
    /// Nothing for a column that holds no times.
    fn of(column: &ArrayRef, held: Option<&Type>) -> Result<Option<Self>, Fault> {
        let everywhere = i64::MIN..=i64::MAX;
        let (values, common, per_second) = match column.data_type() {
            DataType::Date32 => (whole(column)?, DAYS, 1),
            DataType::Timestamp(..) => (whole(column)?, DAYS.start() * DAY..=DAYS.end() * DAY + (DAY - 1), 1_000_000),
            DataType::Time64(_) | DataType::Duration(_) => (whole(column)?, everywhere, 1_000_000),
            DataType::Interval(IntervalUnit::MonthDayNano) => {
                let spans = column.as_primitive::<IntervalMonthDayNanoType>();
                (spans.unary(|span| span.nanoseconds), everywhere, 1_000_000_000)
            }
            DataType::Interval(IntervalUnit::DayTime) => {
                let spans = column.as_primitive::<IntervalDayTimeType>();
                (spans.unary(|span| i64::from(span.milliseconds)), everywhere, 1000)
            }
            _ => return Ok(None),
        };
        let held = held.and_then(|held| held.seconds);
        let step = held.map_or(1, |decimals| (per_second / 10_i64.pow(decimals)).max(1));
        Ok(Some(Self { values, common, step }))
    }

    fn check(&self, row: usize) -> Result<(), String> {
        match self.values.value(row) % self.step {
            0 => Ok(()),
            _ => Err("a part of a second that the column would round: it holds fewer decimals".to_owned()),
        }
    }

    fn is_common(&self, row: usize) -> bool {
        self.common.contains(&self.values.value(row))
    }
}

fn whole(column: &ArrayRef) -> Result<Int64Array, Fault> {
    Ok(cast(column, &DataType::Int64)?.as_primitive::<Int64Type>().clone())
}

/// A day or a moment of another year, as PostgreSQL reads it: `10000-01-01`, `0044-03-15 BC`. Arrow has a sign before the
/// year, and a year 0.
fn with_era(spelled: &str) -> Option<String> {
    if let Some(after) = spelled.strip_prefix('+') {
        return Some(after.to_owned());
    }
    let (year, rest) = spelled.strip_prefix('-').unwrap_or(spelled).split_once('-')?;
    let year: u32 = year.parse().ok()?;
    Some(format!("{:04}-{rest} BC", year + 1))
}

impl<'a> Cells<'a> {
    fn new(column: &'a ArrayRef, held: Option<&Type>) -> Result<Self, Fault> {
        Ok(match column.data_type() {
            DataType::Null => Self::Null,
            DataType::Utf8View => Self::Text(column),
            DataType::BinaryView => Self::Bytes(column),
            DataType::List(_) => Self::List(column, Box::new(Self::new(column.as_list::<i32>().values(), held)?)),
            _ => {
                let formatter = ArrayFormatter::try_new(column, &OPTIONS)?;
                match Steps::of(column, held)? {
                    Some(steps) => Self::Time(column, steps, formatter),
                    None => Self::Plain(column, formatter),
                }
            }
        })
    }

    /// A value that is no list, as PostgreSQL spells it.
    fn spell(&self, row: usize, out: &mut impl Write) -> Result<(), String> {
        let written = match self {
            Self::Text(column) => out.write_str(column.as_string_view().value(row)),
            Self::Bytes(column) => {
                let bytes = column.as_binary_view().value(row);
                out.write_str("\\x").and_then(|()| bytes.iter().try_for_each(|byte| write!(out, "{byte:02x}")))
            }
            Self::Plain(_, formatter) => formatter.value(row).write(out).map_err(|_| fmt::Error),
            Self::Time(column, steps, formatter) => {
                steps.check(row)?;
                let is_length = matches!(column.data_type(), DataType::Duration(_));
                if steps.is_common(row) && !is_length {
                    return formatter.value(row).write(out).map_err(|_| unspelled());
                }
                let mut spelled = String::new();
                formatter.value(row).write(&mut spelled).map_err(|_| unspelled())?;
                match spelled.strip_prefix("-PT") {
                    // PostgreSQL reads a sign before a number, and none before the whole.
                    Some(below_zero) if is_length => write!(out, "PT-{below_zero}"),
                    _ if is_length => out.write_str(&spelled),
                    _ => out.write_str(&with_era(&spelled).ok_or_else(unspelled)?),
                }
            }
            Self::Null | Self::List(..) => Ok(()),
        };
        written.map_err(|_| unspelled())
    }
}

impl lines::Cells for Cells<'_> {
    fn is_null(&self, row: usize) -> bool {
        match self {
            Self::Null => true,
            Self::Text(column)
            | Self::Bytes(column)
            | Self::Plain(column, _)
            | Self::Time(column, ..)
            | Self::List(column, _) => column.is_null(row),
        }
    }

    fn push(&self, row: usize, text: &mut Text) -> Result<(), String> {
        match self {
            Self::List(column, items) => text.escaped(array(column, items, row)?.as_bytes(), None),
            Self::Text(column) => text.escaped(column.as_string_view().value(row).as_bytes(), None),
            // The backslash of `\x` is one to COPY too.
            Self::Bytes(_) => {
                text.write_str("\\").map_err(|_| unspelled())?;
                self.spell(row, text)
            }
            _ => self.spell(row, text),
        }
    }
}

fn unspelled() -> String {
    "a time beyond what can be spelled".to_owned()
}

/// An array of one dimension: `{"1",NULL,"a\"b"}` (PostgreSQL's manual, *Arrays*, Input and Output Syntax).
fn array(column: &ArrayRef, items: &Cells<'_>, row: usize) -> Result<String, String> {
    let offsets = column.as_list::<i32>().value_offsets();
    let (begin, end) = (offsets[row] as usize, offsets[row + 1] as usize);
    let (mut literal, mut item) = ("{".to_owned(), String::new());
    for place in begin..end {
        if place > begin {
            literal.push(',');
        }
        if items.is_null(place) {
            literal.push_str("NULL");
            continue;
        }
        item.clear();
        items.spell(place, &mut item)?;
        literal.push('"');
        for character in item.chars() {
            if matches!(character, '"' | '\\') {
                literal.push('\\');
            }
            literal.push(character);
        }
        literal.push('"');
    }
    literal.push('}');
    Ok(literal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{
        BinaryViewArray, Date32Array, DurationMillisecondArray, Float64Array, IntervalMonthDayNanoArray, ListArray,
        NullArray, StringViewArray, Time64MicrosecondArray, TimestampMicrosecondArray,
    };
    use arrow::datatypes::{Int32Type, IntervalMonthDayNano};
    use std::sync::Arc;

    fn text(columns: Vec<ArrayRef>) -> Result<String, Fault> {
        let names: Vec<String> = (0..columns.len()).map(|place| format!("c{place}")).collect();
        lines(&columns, &names, &[]).map(|lines| String::from_utf8(lines.text).expect("UTF-8"))
    }

    #[test]
    fn values_are_spelled_for_copy() {
        let texts = StringViewArray::from(vec![Some("a\tb\\c\n"), Some(""), None]);
        let bytes = BinaryViewArray::from(vec![Some(&b"\x00\xff"[..]), Some(b""), None]);
        let floats = Float64Array::from(vec![Some(f64::NAN), Some(0.1), None]);
        let written = text(vec![Arc::new(texts), Arc::new(bytes), Arc::new(floats), Arc::new(NullArray::new(3))]);
        assert_eq!(
            written.expect("spelled"),
            "a\\tb\\\\c\\n\t\\\\x00ff\tNaN\t\\N\n\t\\\\x\t0.1\t\\N\n\\N\t\\N\t\\N\t\\N\n"
        );
    }

    #[test]
    fn a_length_of_time_has_its_sign_where_it_is_read() {
        let lengths = DurationMillisecondArray::from(vec![1500, -1500, 0]);
        assert_eq!(text(vec![Arc::new(lengths)]).expect("spelled"), "PT1.5S\nPT-1.5S\nP0D\n");
    }

    #[test]
    fn years_before_the_first_and_of_five_digits_are_spelled_for_postgresql() {
        let days = Date32Array::from(vec![-719_162, -719_163, -735_160, 2_932_896, 2_932_897]);
        let spelled = "0001-01-01\n0001-12-31 BC\n0044-03-15 BC\n9999-12-31\n10000-01-01\n";
        assert_eq!(text(vec![Arc::new(days)]).expect("spelled"), spelled);
        let moments =
            TimestampMicrosecondArray::from(vec![-719_163 * DAY + 1, 2_932_897 * DAY]).with_timezone("+00:00");
        let spelled = "0001-12-31 00:00:00.000001+00:00 BC\n10000-01-01 00:00:00.000000+00:00\n";
        assert_eq!(text(vec![Arc::new(moments)]).expect("spelled"), spelled);
        assert!(text(vec![Arc::new(Date32Array::from(vec![i32::MAX]))]).is_err(), "the year 5881580");
    }

    #[test]
    fn what_the_column_would_round_is_refused_with_its_row() {
        let times: ArrayRef = Arc::new(Time64MicrosecondArray::from(vec![1_000_000, 1_500_000]));
        let lengths: ArrayRef = Arc::new(DurationMillisecondArray::from(vec![1000, 1500]));
        let lengths =
            cast(&lengths, &DataType::Duration(arrow::datatypes::TimeUnit::Microsecond)).expect("microseconds");
        let spans = [0, 500_000_000].map(|nanos| IntervalMonthDayNano::new(1, 1, nanos));
        let spans: ArrayRef = Arc::new(IntervalMonthDayNanoArray::from(spans.to_vec()));
        for column in [times, lengths, spans] {
            let held = |seconds| [Type { seconds: Some(seconds), ..Type::default() }];
            let names = ["c".to_owned()];
            let fine = lines(std::slice::from_ref(&column), &names, &held(1));
            assert!(fine.is_ok(), "{}", column.data_type());
            let fault = lines(&[column], &names, &held(0)).map(|_| ()).expect_err("rounded");
            assert_eq!(fault.row_number(), Some(2));
        }
    }

    #[test]
    fn lists_are_array_literals() {
        let numbers =
            ListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(1), None]), Some(vec![]), None]);
        assert_eq!(text(vec![Arc::new(numbers)]).expect("spelled"), "{\"1\",NULL}\n{}\n\\N\n");
    }

    #[test]
    fn a_nul_is_refused_with_its_row() {
        let fault =
            text(vec![Arc::new(Int64Array::from(vec![1, 2])), Arc::new(StringViewArray::from(vec!["a", "b\0"]))]);
        assert_eq!(fault.expect_err("refused").row_number(), Some(2));
    }
}
