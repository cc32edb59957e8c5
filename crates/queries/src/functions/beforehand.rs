//! What a call comes to before it is made: how many bytes, and how much work.

use super::joined;
use crate::sizes::sizes;
use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use datafusion::arrow::compute::cast;
use datafusion::arrow::compute::kernels::length::length;
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs};
use flight_common::wire::row_bytes;
use regex::Regex;
use std::ops::Range;

/// Bytes of the largest character, and digits of the longest number.
const CHARACTER: u64 = 4;
const NUMBER: u64 = 24;
/// Steps after which it is looked up whether anybody still wants the result: a tenth of a second, about.
const PART: u64 = 100_000_000;
/// Steps for one row, at most.
const MOST_STEPS: u64 = 10 * PART;
/// What it takes to read a regular expression, in such steps.
const EXPRESSION: u64 = PART / 100;

/// The most bytes that a call can make, for all rows together; nothing for one that makes little more than it is given of one of its
/// arguments.
pub(super) fn bytes(name: &str, args: &ScalarFunctionArgs) -> Result<Option<u64>> {
    let given = Given::of(args);
    let bytes = match (name, args.args.as_slice()) {
        ("repeat", [text, times, ..]) => {
            let (text, times) = (given.lengths(text)?, given.numbers(times)?);
            given.sum(|row| text.at(row).saturating_mul(times.at(row)))
        }
        ("lpad" | "rpad", [_, characters, ..]) => {
            let characters = given.numbers(characters)?;
            given.sum(|row| characters.at(row).saturating_mul(CHARACTER))
        }
        ("replace", [text, from, to, ..]) => {
            let (length, longer) = (given.lengths(text)?, given.lengths(to)?);
            let worst = given.sum(|row| length.at(row).saturating_add(1).saturating_mul(longer.at(row).max(1)));
            match small(worst) {
                true => worst,
                false => {
                    let (text, from) = (given.texts(text)?, given.texts(from)?);
                    given.sum(|row| {
                        let found = text.at(row).matches(from.at(row)).count() as u64;
                        length.at(row).saturating_add(found.saturating_mul(longer.at(row)))
                    })
                }
            }
        }
        ("regexp_replace", [text, pattern, to, flags @ ..]) => {
            let (length, longer, taken) = (given.lengths(text)?, given.lengths(to)?, given.texts(to)?);
            // What is replaced may be written into its replacement, as often as that names it.
            let one = |row: usize| {
                let named = taken.at(row).matches(['$', '\\']).count() as u64;
                longer.at(row).saturating_add(length.at(row).saturating_mul(named))
            };
            let worst = given.sum(|row| length.at(row).saturating_add(1).saturating_mul(one(row).max(1)));
            match small(worst) {
                true => worst,
                false => {
                    let (text, pattern) = (given.texts(text)?, given.texts(pattern)?);
                    let flags = flags.first().map(|flags| given.texts(flags)).transpose()?;
                    given.sum(|row| {
                        let flags = flags.as_ref().map_or("", |flags| flags.at(row));
                        let found = found(text.at(row), pattern.at(row), flags);
                        let named = taken.at(row).matches(['$', '\\']).count() as u64;
                        let replaced = found.saturating_mul(longer.at(row));
                        length.at(row).saturating_mul(named + 1).saturating_add(replaced)
                    })
                }
            }
        }
        ("array_to_string", [list, between, ..]) => {
            let (elements, between) = (given.lengths(list)?, given.lengths(between)?);
            let separated = |row| u64::saturating_mul(elements.at(row), between.at(row) + NUMBER);
            given.bytes(list)?.saturating_add(given.sum(separated))
        }
        ("array_replace" | "array_replace_n" | "array_replace_all", [list, _, to, ..]) => {
            let (elements, to) = (given.lengths(list)?, given.sizes(to)?);
            given.bytes(list)?.saturating_add(given.sum(|row| elements.at(row).saturating_mul(to.at(row))))
        }
        ("concat_ws", [between, rest @ ..]) => {
            let between = given.bytes(between)?.saturating_mul(rest.len() as u64);
            given.together(rest)?.saturating_add(between)
        }
        (
            joined::NAME
            | "concat"
            | "array_concat"
            | "array_append"
            | "array_prepend"
            | "make_array"
            | "struct"
            | "named_struct"
            | "arrays_zip"
            | "map",
            all,
        ) => given.together(all)?,
        _ => return Ok(None),
    };
    Ok(Some(bytes))
}

/// The steps that each row takes, if they are many for some function; of constants nothing but whether they are too many.
pub(super) fn work(name: &str, args: &ScalarFunctionArgs) -> Result<Option<Vec<u64>>> {
    let given = Given::of(args);
    let work: Vec<u64> = match (name, args.args.as_slice()) {
        ("levenshtein" | "array_has_any" | "array_has_all" | "array_except" | "array_intersect", [one, other]) => {
            let (one, other) = (given.lengths(one)?, given.lengths(other)?);
            (0..given.rows).map(|row| one.at(row).saturating_mul(other.at(row))).collect()
        }
        (
            "regexp_replace" | "regexp_like" | "regexp_match" | "regexp_count" | "regexp_instr",
            [_, ColumnarValue::Array(_), ..],
        ) => vec![EXPRESSION; given.rows],
        _ => return Ok(None),
    };
    if let Some(steps) = work.iter().find(|steps| **steps > MOST_STEPS) {
        return exec_err!("{name} would take {steps} steps for one row, and {MOST_STEPS} is the most");
    }
    let one_part = work.iter().fold(0, |sum, steps| u64::saturating_add(sum, *steps)) <= PART;
    Ok((!one_part && !given.constant).then_some(work))
}

/// Rows that take about as much work as each other, together.
pub(super) fn parts(work: &[u64]) -> Vec<Range<usize>> {
    let (mut parts, mut begun, mut steps) = (Vec::new(), 0, 0);
    for (row, more) in work.iter().enumerate() {
        if steps + more > PART && row > begun {
            parts.push(begun..row);
            (begun, steps) = (row, 0);
        }
        steps += more;
    }
    parts.push(begun..work.len());
    parts
}

/// Whether a first guess, which is never too low, will do.
fn small(bytes: u64) -> bool {
    bytes <= crate::errand::MOST_BYTES as u64
}

/// How often a pattern is replaced. One that is none is told by the function itself.
fn found(text: &str, pattern: &str, flags: &str) -> u64 {
    if !flags.contains('g') {
        return 1;
    }
    let flags: String = flags.chars().filter(|flag| *flag != 'g').collect();
    let pattern = if flags.is_empty() { pattern.to_owned() } else { format!("(?{flags}){pattern}") };
    Regex::new(&pattern).map_or(0, |pattern| pattern.find_iter(text).count() as u64)
}

/// What a function is given.
struct Given {
    /// Whether all are constants, which are computed once.
    constant: bool,
    rows: usize,
}

impl Given {
    fn of(args: &ScalarFunctionArgs) -> Self {
        let constant = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        Self { constant, rows: if constant { 1 } else { args.number_rows } }
    }

    fn sum(&self, of: impl Fn(usize) -> u64) -> u64 {
        (0..self.rows).map(of).fold(0, u64::saturating_add)
    }

    /// One row of a constant, and all of a column.
    fn array(arg: &ColumnarValue) -> Result<ArrayRef> {
        match arg {
            ColumnarValue::Array(values) => Ok(values.clone()),
            ColumnarValue::Scalar(value) => value.to_array_of_size(1),
        }
    }

    fn numbers(&self, arg: &ColumnarValue) -> Result<Numbers> {
        let numbers = cast(&Self::array(arg)?, &DataType::Int64)?;
        Ok(Numbers(numbers.as_primitive::<Int64Type>().iter().map(|n| n.unwrap_or(0).max(0).unsigned_abs()).collect()))
    }

    /// Bytes of texts, or elements of lists.
    fn lengths(&self, arg: &ColumnarValue) -> Result<Numbers> {
        match length(&Self::array(arg)?) {
            Ok(lengths) => self.numbers(&ColumnarValue::Array(lengths)),
            // It is of a type that is cast first: a number, say.
            Err(_) => Ok(Numbers(vec![NUMBER])),
        }
    }

    /// Bytes of values of any type.
    fn sizes(&self, arg: &ColumnarValue) -> Result<Numbers> {
        Ok(Numbers(sizes(&Self::array(arg)?)))
    }

    fn texts(&self, arg: &ColumnarValue) -> Result<Texts> {
        Ok(Texts(cast(&Self::array(arg)?, &DataType::Utf8View)?))
    }

    /// Bytes of all rows.
    fn bytes(&self, arg: &ColumnarValue) -> Result<u64> {
        let bytes = all_bytes(&Self::array(arg)?)?;
        Ok(match arg {
            ColumnarValue::Array(_) => bytes,
            ColumnarValue::Scalar(_) => bytes.saturating_mul(self.rows as u64),
        })
    }

    fn together(&self, args: &[ColumnarValue]) -> Result<u64> {
        args.iter().try_fold(0, |sum, arg| Ok(u64::saturating_add(sum, self.bytes(arg)?)))
    }
}

/// Bytes of these rows alone, whatever else is in their buffers.
fn all_bytes(values: &ArrayRef) -> Result<u64> {
    Ok(row_bytes(&RecordBatch::try_from_iter([("", values.clone())])?) as u64)
}

/// A number for each row, or one for all.
struct Numbers(Vec<u64>);

impl Numbers {
    fn at(&self, row: usize) -> u64 {
        self.0.get(row).or(self.0.first()).copied().unwrap_or(0)
    }
}

/// A text for each row, or one for all.
struct Texts(ArrayRef);

impl Texts {
    fn at(&self, row: usize) -> &str {
        let texts = self.0.as_string_view();
        let row = if row < texts.len() { row } else { 0 };
        if texts.len() == 0 || texts.is_null(row) { "" } else { texts.value(row) }
    }
}
