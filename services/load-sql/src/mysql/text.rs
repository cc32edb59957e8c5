//! Values as `LOAD DATA` reads them: each as the text of its column's type; bytes as hexadecimal digits, which the statement
//! undoes. What the server would change without a word is refused here.

use super::types::Type;
use crate::lines::{self, Lines, Text};
use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use flight_common::Fault;
use std::fmt::Write;
use std::ops::RangeInclusive;

/// Times as they are read. Instants are in UTC, as the session is.
const OPTIONS: FormatOptions<'static> = FormatOptions::new()
    .with_display_error(false)
    .with_timestamp_format(Some("%Y-%m-%d %H:%M:%S%.6f"))
    .with_timestamp_tz_format(Some("%Y-%m-%d %H:%M:%S%.6f"));
/// From the year 1 to the year 9999, in days since 1970.
const DAYS: RangeInclusive<i64> = -719_162..=2_932_896;
/// Microseconds of a day.
const DAY: i64 = 86_400_000_000;
/// What a `timestamp` holds, in microseconds since 1970: more than none, and seconds in 32 bits (MariaDB from 11.5 on; other
/// servers say where theirs end).
const INSTANTS: RangeInclusive<i64> = 1..=u32::MAX as i64 * 1_000_000 + 999_999;
/// What to try with an instant that it does not hold.
pub const OTHER_INSTANTS: &str =
    "CAST(x AS TIMESTAMP) in the step sql makes a datetime of it, of the years 1 to 9999; or leave the row out";

/// The rows of plain columns as lines. `types` are those of the table; nothing for one that is made.
///
/// # Errors
/// [`flight_common::FaultKind::BadData`] for a value that the server would change.
pub fn lines(columns: &[ArrayRef], names: &[String], types: &[Type]) -> Result<Lines, Fault> {
    let cells = columns.iter().enumerate().map(|(place, column)| Cells::new(column, types.get(place)));
    let cells: Vec<Cells<'_>> = cells.collect::<Result<_, _>>()?;
    lines::lines(&cells, names, columns.first().map_or(0, |column| column.len()))
}

/// The values of a column.
enum Cells<'a> {
    Null,
    Text(&'a ArrayRef),
    /// Texts of an `enum` or a `set`, which have these members.
    Member(&'a ArrayRef, &'a [String]),
    Bytes(&'a ArrayRef),
    Truth(&'a ArrayRef),
    Float(ArrayRef),
    /// Days, times and moments, as whole numbers of a unit.
    Time(&'a ArrayRef, Steps, ArrayFormatter<'a>),
    /// Numbers.
    Plain(&'a ArrayRef, ArrayFormatter<'a>),
}

/// What a `date` and a `datetime` hold.
const YEARS: &str = "the years 1 to 9999";
/// What a `timestamp` holds.
const STAMPS: &str = "what a timestamp holds: 1970 to 2038, or to 2106 at newer servers";

/// Which times a column holds.
struct Steps {
    values: ArrayRef,
    range: RangeInclusive<i64>,
    /// The range in words.
    told: &'static str,
    /// The column's unit, in units of the values.
    step: i64,
    /// Whether a null would become the time of loading.
    stamped: bool,
}

impl<'a> Cells<'a> {
    fn new(column: &'a ArrayRef, held: Option<&'a Type>) -> Result<Self, Fault> {
        let formatter = || ArrayFormatter::try_new(column, &OPTIONS);
        let micros = DAYS.start() * DAY..=DAYS.end() * DAY + (DAY - 1);
        let step = held.and_then(|held| held.seconds).map_or(1, |seconds| 10_i64.pow(6_u32.saturating_sub(seconds)));
        let stamped = held.is_some_and(|held| held.stamped);
        let steps = |range, told, step| {
            Ok::<_, Fault>(Steps { values: cast(column, &DataType::Int64)?, range, told, step, stamped })
        };
        Ok(match column.data_type() {
            DataType::Null => Self::Null,
            DataType::Utf8View => match held.map(|held| held.members.as_slice()) {
                None | Some([]) => Self::Text(column),
                Some(members) => Self::Member(column, members),
            },
            DataType::BinaryView => Self::Bytes(column),
            DataType::Boolean => Self::Truth(column),
            // In all their digits: the shortest spelling of the largest is read as a larger one.
            DataType::Float32 | DataType::Float64 => Self::Float(cast(column, &DataType::Float64)?),
            DataType::Date32 => Self::Time(column, steps(DAYS, YEARS, 1)?, formatter()?),
            DataType::Time64(_) => Self::Time(column, steps(0..=DAY - 1, "a day", step)?, formatter()?),
            DataType::Timestamp(_, None) => Self::Time(column, steps(micros, YEARS, step)?, formatter()?),
            DataType::Timestamp(_, Some(_)) => Self::Time(column, steps(INSTANTS, STAMPS, step)?, formatter()?),
            _ => Self::Plain(column, formatter()?),
        })
    }
}

impl Steps {
    fn check(&self, row: usize, shown: &ArrayFormatter<'_>) -> Result<(), String> {
        if self.values.is_null(row) {
            return Err("a null, for which the server would write the time of loading".to_owned());
        }
        let value = self.values.as_primitive::<Int64Type>().value(row);
        let told = || shown.value(row).try_to_string().unwrap_or_else(|_| value.to_string());
        if !self.range.contains(&value) {
            return Err(format!("{} is outside of {}", told(), self.told));
        }
        match value % self.step {
            0 => Ok(()),
            _ => {
                Err(format!("{} has parts of a second that the column would cut off: it holds fewer decimals", told()))
            }
        }
    }
}

impl lines::Cells for Cells<'_> {
    fn is_null(&self, row: usize) -> bool {
        match self {
            Self::Null => true,
            // There is none there.
            Self::Float(column) => column.is_null(row) || column.as_primitive::<Float64Type>().value(row).is_nan(),
            Self::Text(column)
            | Self::Member(column, _)
            | Self::Bytes(column)
            | Self::Truth(column)
            | Self::Plain(column, _) => column.is_null(row),
            // A null that is none there is looked at as a value.
            Self::Time(column, steps, _) => column.is_null(row) && !steps.stamped,
        }
    }

    fn help(&self) -> &'static str {
        match self {
            Self::Time(column, ..) if matches!(column.data_type(), DataType::Timestamp(_, Some(_))) => OTHER_INSTANTS,
            _ => lines::MEND,
        }
    }

    fn push(&self, row: usize, text: &mut Text) -> Result<(), String> {
        match self {
            Self::Null => Ok(()),
            Self::Text(column) => text.escaped(column.as_string_view().value(row).as_bytes(), NUL),
            Self::Member(column, members) => {
                let value = column.as_string_view().value(row);
                check_member(value, members)?;
                text.escaped(value.as_bytes(), NUL)
            }
            Self::Bytes(column) => {
                let bytes = column.as_binary_view().value(row);
                bytes.iter().try_for_each(|byte| write!(text, "{byte:02x}")).map_err(|_| unspelled())
            }
            Self::Truth(column) => {
                text.write_str(if column.as_boolean().value(row) { "1" } else { "0" }).map_err(|_| unspelled())
            }
            Self::Float(column) => match column.as_primitive::<Float64Type>().value(row) {
                value if value.is_finite() => write!(text, "{value:e}").map_err(|_| unspelled()),
                _ => Err("an infinite number, which MySQL and MariaDB do not hold".to_owned()),
            },
            Self::Time(_, steps, formatter) => {
                steps.check(row, formatter)?;
                formatter.value(row).write(text).map_err(|_| unspelled())
            }
            Self::Plain(_, formatter) => formatter.value(row).write(text).map_err(|_| unspelled()),
        }
    }
}

/// How a NUL is spelled.
const NUL: Option<&[u8]> = Some(b"\\0");

fn unspelled() -> String {
    "a value that cannot be spelled".to_owned()
}

/// What is no member but a number would be taken for the member of that number.
fn check_member(value: &str, members: &[String]) -> Result<(), String> {
    let numeric = value.trim_start().starts_with(|first: char| first.is_ascii_digit() || matches!(first, '+' | '-'));
    let is_one = |value: &str| members.iter().any(|member| member == value);
    match numeric && !is_one(value) && !value.split(',').all(is_one) {
        true => Err(format!("{value:?} is none of the column's values: {}", members.join(", "))),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{
        BinaryViewArray, BooleanArray, Float32Array, Float64Array, StringViewArray, TimestampMicrosecondArray,
    };
    use std::sync::Arc;

    fn text(column: impl Array + 'static, held: Type) -> Result<String, Fault> {
        let column: ArrayRef = Arc::new(column);
        lines(&[column], &["c".to_owned()], &[held]).map(|lines| String::from_utf8(lines.text).expect("UTF-8"))
    }

    #[test]
    fn values_are_spelled_for_load_data() {
        let texts = StringViewArray::from(vec![Some("a\tb\\c\n\0"), Some(""), None]);
        assert_eq!(text(texts, Type::default()).expect("spelled"), "a\\tb\\\\c\\n\\0\n\n\\N\n");
        let bytes = BinaryViewArray::from(vec![Some(&b"\x00\xff"[..]), Some(b""), None]);
        assert_eq!(text(bytes, Type::default()).expect("spelled"), "00ff\n\n\\N\n");
        assert_eq!(text(BooleanArray::from(vec![true, false]), Type::default()).expect("spelled"), "1\n0\n");
        let floats = Float64Array::from(vec![Some(f64::NAN), Some(0.1), Some(1e300), None]);
        assert_eq!(text(floats, Type::default()).expect("spelled"), "\\N\n1e-1\n1e300\n\\N\n");
        let float = Float32Array::from(vec![f32::MAX]);
        assert_eq!(text(float, Type::default()).expect("spelled"), "3.4028234663852886e38\n");
    }

    #[test]
    fn what_the_server_would_change_is_refused_with_its_row() {
        let seconds = |seconds| Type { seconds: Some(seconds), ..Type::default() };
        let moments = || TimestampMicrosecondArray::from(vec![1_000_000, 1_500_000]);
        assert!(text(moments(), seconds(1)).is_ok());
        assert_eq!(text(moments(), seconds(0)).expect_err("cut off").row_number(), Some(2));
        let late = TimestampMicrosecondArray::from(vec![253_402_300_799_999_999, 253_402_300_800_000_000]);
        assert_eq!(text(late, seconds(6)).expect_err("the year 10000").row_number(), Some(2));
        assert_eq!(
            text(Float64Array::from(vec![0.0, f64::INFINITY]), Type::default()).expect_err("infinite").row_number(),
            Some(2)
        );
    }

    #[test]
    fn an_instant_that_no_timestamp_holds_is_told_with_its_value() {
        let held = || Type { seconds: Some(6), ..Type::default() };
        let instants = |micros: Vec<i64>| text(TimestampMicrosecondArray::from(micros).with_timezone("UTC"), held());
        assert!(instants(vec![1, 4_294_967_295_999_999]).is_ok());
        for (micros, shown) in [
            (0, "1970-01-01 00:00:00.000000"),
            (-1, "1969-12-31 23:59:59.999999"),
            (4_294_967_296_000_000, "2106-02-07 06:28:16.000000"),
            (i64::MIN, "-9223372036854775808"),
        ] {
            let fault = instants(vec![1, micros]).expect_err(shown);
            assert_eq!((fault.row_number(), fault.column_name()), (Some(2), Some("c")));
            let wanted = format!("column \"c\": {shown} is outside of what a timestamp holds");
            assert!(fault.message().starts_with(&wanted), "{fault}");
            assert_eq!(fault.help_text(), Some(OTHER_INSTANTS));
        }
    }

    #[test]
    fn a_number_is_not_taken_for_the_member_at_its_place() {
        let members = |members: &[&str]| members.iter().map(|&member| member.to_owned()).collect::<Vec<_>>();
        for (value, good) in
            [("ok", true), ("OK", true), ("1", false), (" 2", false), ("3", true), ("3,4", true), ("3,5", false)]
        {
            assert_eq!(check_member(value, &members(&["ok", "3", "4"])).is_ok(), good, "{value}");
        }
    }
}
