//! Numbers with a point, as they are written, beside decimals.
//!
//! DataFusion reads `1.19` as a float, and a decimal that meets a float becomes one: `price * 1.19` would be a cent off now
//! and then. So where such a number meets a decimal, it is a decimal too, if there is one that holds both; where it meets a
//! whole number that a float does not hold, it is compared as one. Beside floats, in `/`, and alone it stays a float. A float
//! keeps 15 digits, whatever they are; a number of more digits, of which some would be lost, is refused.
//!
//! Where a decimal meets a float, as a value that is compared or that may be given instead, it becomes a float: see
//! [`crate::floats`].

use crate::floats::{agreed, as_float, floats_prevail, looked_up};
use crate::lengths::is_comparison;
use datafusion::arrow::datatypes::{DECIMAL128_MAX_PRECISION, DECIMAL256_MAX_PRECISION, DataType};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::{InList, InSubquery, ScalarFunction, SetComparison};
use datafusion::logical_expr::expr_rewriter::FunctionRewrite;
use datafusion::logical_expr::{Between, BinaryExpr, Case, Cast, Expr, ExprSchemable, Operator, TryCast};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};
use flight_common::Fault;
use flight_common::digits::float_keeps;
use std::{iter, mem};

/// Whole numbers up to here are floats too.
const LARGEST_WHOLE: f64 = 9_007_199_254_740_992.0;
/// Functions that give one of their arguments, or a list of all.
const CHOOSING: [&str; 7] = ["coalesce", "greatest", "ifnull", "least", "make_array", "nullif", "nvl"];

/// Reads numbers beside decimals as decimals. It comes before types are made to agree.
#[derive(Debug)]
pub(crate) struct ExactLiterals;

/// Refuses numbers of a query of which digits would be lost.
///
/// # Errors
/// [`flight_common::FaultKind::BadParams`] for the first one.
pub fn check_numbers(query: &str) -> std::result::Result<(), Fault> {
    // What cannot be read at all is told by the parser.
    check_number_tokens(&Tokenizer::new(&GenericDialect {}, query).tokenize().unwrap_or_default())
}

/// As [`check_numbers`], of a query that was taken apart.
pub(crate) fn check_number_tokens(tokens: &[Token]) -> std::result::Result<(), Fault> {
    let (mut negative, mut lost) = (false, None);
    for token in tokens {
        if let Token::Number(number, _) = token {
            // DataFusion takes a minus before a number for a part of it.
            let is_whole =
                if negative { format!("-{number}").parse::<i64>().is_ok() } else { number.parse::<u64>().is_ok() };
            if !is_whole && !float_keeps(number) {
                lost = Some(number);
                break;
            }
        }
        if !matches!(token, Token::Whitespace(_)) {
            negative = *token == Token::Minus;
        }
    }
    match lost {
        Some(number) => Err(Fault::bad_params(format!("{number} has more digits than a number of a query keeps"))
            .help(match wide_enough(number) {
                Some(decimal) => format!("write CAST('{number}' AS {decimal}), or fewer digits"),
                None => "write fewer digits".to_owned(),
            })),
        None => Ok(()),
    }
}

/// The type that holds every digit of a number as it is written; nothing if there are too many.
fn wide_enough(number: &str) -> Option<String> {
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent: i64 = exponent.parse().ok()?;
    let scale = (fraction.len() as i64).saturating_sub(exponent).max(0);
    let digits = (whole.len() as i64).saturating_add(exponent).max(1).saturating_add(scale);
    let precision = [38, 76].into_iter().find(|most| digits <= *most)?;
    Some(format!("DECIMAL({precision}, {scale})"))
}

impl FunctionRewrite for ExactLiterals {
    fn name(&self) -> &str {
        "exact_literals"
    }

    fn rewrite(&self, expr: Expr, schema: &DFSchema, _config: &ConfigOptions) -> Result<Transformed<Expr>> {
        let decimal = |expr: &Expr| expr.get_type(schema).ok().filter(DataType::is_decimal);
        let Transformed { data: mut expr, transformed: is_new, .. } = without_nvl2(expr);
        let changed = match &mut expr {
            Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_comparison(*op) => {
                compared(vec![left, right], schema)
            }
            Expr::Between(Between { expr, low, high, .. }) => compared(vec![expr, low, high], schema),
            Expr::InList(InList { expr, list, .. }) => compared(iter::once(&mut **expr).chain(list).collect(), schema),
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
                let fits = match op {
                    Operator::Plus | Operator::Minus | Operator::Modulo => agree,
                    Operator::Multiply => multiplies,
                    _ => return Ok(Transformed::no(expr)),
                };
                match (decimal(left), decimal(right)) {
                    (Some(side), _) => put(right, schema, |it| fits(&side, it)),
                    (None, Some(side)) => put(left, schema, |it| fits(&side, it)),
                    (None, None) => false,
                }
            }
            Expr::ScalarFunction(ScalarFunction { func, args }) if CHOOSING.contains(&func.name()) => {
                given(args.iter_mut().collect(), schema)
            }
            Expr::Case(Case { expr, when_then_expr, else_expr }) => {
                let mut values: Vec<&mut Expr> = else_expr.as_deref_mut().into_iter().collect();
                let mut sought: Vec<&mut Expr> = Vec::new();
                for (when, then) in when_then_expr {
                    sought.push(&mut **when);
                    values.push(&mut **then);
                }
                let found = expr.as_deref_mut().is_some_and(|value| {
                    sought.push(value);
                    compared(sought, schema)
                });
                let changed = given(values.iter_mut().map(|value| &mut **value).collect(), schema);
                agreed(values, schema)? | changed | found
            }
            Expr::InSubquery(InSubquery { expr, subquery, .. })
            | Expr::SetComparison(SetComparison { expr, subquery, .. }) => {
                let side = subquery.subquery.schema().fields().first().map(|field| field.data_type().clone());
                let is_exact =
                    side.filter(DataType::is_decimal).is_some_and(|side| put(expr, schema, |it| agree(&side, it)));
                looked_up(expr, subquery, schema)? | is_exact
            }
            Expr::Cast(Cast { expr, field }) | Expr::TryCast(TryCast { expr, field })
                if field.data_type().is_decimal() =>
            {
                put(expr, schema, |_| true)
            }
            _ => false,
        };
        Ok(if changed || is_new { Transformed::yes(expr) } else { Transformed::no(expr) })
    }
}

/// `nvl2` as the `CASE` that it is. DataFusion (55.2) makes it one too late: it gives the values a type that holds the first
/// argument, too, which is only asked whether it is null.
fn without_nvl2(expr: Expr) -> Transformed<Expr> {
    let (func, args) = match expr {
        Expr::ScalarFunction(ScalarFunction { func, args }) if func.name() == "nvl2" => (func, args),
        other => return Transformed::no(other),
    };
    match <[Expr; 3]>::try_from(args) {
        Ok([asked, value, other]) => {
            let branches = vec![(Box::new(asked.is_not_null()), Box::new(value))];
            Transformed::yes(Expr::Case(Case::new(None, branches, Some(Box::new(other)))))
        }
        Err(args) => Transformed::no(Expr::ScalarFunction(ScalarFunction { func, args })),
    }
}

/// Puts the same constant with decimals into the place of one with floats, if its type fits. Says whether it did.
fn put(part: &mut Expr, schema: &DFSchema, fits: impl Fn(&DataType) -> bool) -> bool {
    let exact = constant(part).filter(|it| it.get_type(schema).is_ok_and(|it| fits(&it)));
    match exact.filter(|exact| part != exact) {
        Some(exact) => {
            *part = exact;
            true
        }
        None => false,
    }
}

fn put_all<'a>(parts: impl Iterator<Item = &'a mut Expr>, schema: &DFSchema, fits: impl Fn(&DataType) -> bool) -> bool {
    parts.fold(false, |changed, part| put(part, schema, &fits) | changed)
}

/// Makes what is compared exact: numbers decimals beside decimals, and beside whole numbers that a float does not hold. What
/// then is beside floats becomes one, as in PostgreSQL: DataFusion would make decimals of the floats, and most floats do not
/// fit into one.
fn compared(mut parts: Vec<&mut Expr>, schema: &DFSchema) -> bool {
    let of = |parts: &[&mut Expr], is: fn(&DataType) -> bool| {
        parts.iter().filter_map(|expr| expr.get_type(schema).ok()).find(is)
    };
    let beyond = parts.iter().any(|part| is_beyond(part));
    let side = of(&parts, DataType::is_decimal).or_else(|| of(&parts, DataType::is_integer).filter(|_| beyond));
    let mut changed =
        side.is_some_and(|side| put_all(parts.iter_mut().map(|part| &mut **part), schema, |it| agree(&side, it)));
    if of(&parts, DataType::is_floating).is_none() {
        return changed;
    }
    for part in &mut parts {
        if part.get_type(schema).is_ok_and(|it| it.is_decimal()) {
            changed = true;
            **part = as_float(mem::take(&mut **part));
        }
    }
    changed
}

/// Makes what is given instead of each other exact, or floats of all numbers where a column or the like among them is one.
fn given(mut parts: Vec<&mut Expr>, schema: &DFSchema) -> bool {
    let types_of = |parts: &[&mut Expr]| -> Vec<DataType> {
        parts.iter().map(|part| part.get_type(schema).unwrap_or(DataType::Null)).collect()
    };
    let is_float = |part: &Expr| constant(part).is_none() && part.get_type(schema).is_ok_and(|it| it.is_floating());
    let side =
        types_of(&parts).into_iter().find(DataType::is_decimal).filter(|_| !parts.iter().any(|part| is_float(part)));
    let changed =
        side.is_some_and(|side| put_all(parts.iter_mut().map(|part| &mut **part), schema, |it| agree(&side, it)));
    let types = types_of(&parts);
    if !floats_prevail(&types) {
        return changed;
    }
    for (part, it) in parts.into_iter().zip(types) {
        if it.is_numeric() && it != DataType::Float64 {
            *part = as_float(mem::take(part));
        }
    }
    true
}

/// Digits and scale of a decimal; nothing of what has no scale.
fn digits(it: &DataType) -> Option<(i16, i16)> {
    use DataType::{Decimal32, Decimal64, Decimal128, Decimal256};
    match it {
        Decimal32(digits, scale) | Decimal64(digits, scale) | Decimal128(digits, scale) | Decimal256(digits, scale) => {
            Some((i16::from(*digits), i16::from(*scale)))
        }
        _ => None,
    }
}

fn most_digits(left: &DataType, right: &DataType) -> i16 {
    let is_wide = |it: &DataType| matches!(it, DataType::Decimal256(..));
    i16::from(if is_wide(left) || is_wide(right) { DECIMAL256_MAX_PRECISION } else { DECIMAL128_MAX_PRECISION })
}

/// Whether a number fits into the decimal that both become. Where it does not, floats tell them apart.
fn agree(side: &DataType, number: &DataType) -> bool {
    let (Some((_, scale)), Some((digits, own))) = (digits(side), digits(number)) else { return true };
    digits - own + scale.max(own) <= most_digits(side, number)
}

/// Whether their product is a decimal.
fn multiplies(side: &DataType, number: &DataType) -> bool {
    let (Some((_, scale)), Some((_, own))) = (digits(side), digits(number)) else { return true };
    scale + own <= most_digits(side, number)
}

/// Whether it is a number that has neighbours which a float does not tell from it.
fn is_beyond(expr: &Expr) -> bool {
    matches!(expr, Expr::Literal(ScalarValue::Float64(Some(value)), _) if value.abs() >= LARGEST_WHOLE)
}

/// The same constant with decimals in the place of floats: a number, or what `+`, `-`, `*` and `%` make of some.
fn constant(expr: &Expr) -> Option<Expr> {
    match expr {
        Expr::Literal(ScalarValue::Float64(Some(value)), _) => Some(Expr::Literal(decimal_of(*value)?, None)),
        Expr::Literal(value, _) if value.data_type().is_integer() => Some(expr.clone()),
        Expr::Negative(inner) => Some(Expr::Negative(Box::new(constant(inner)?))),
        Expr::BinaryExpr(BinaryExpr {
            left,
            op: op @ (Operator::Plus | Operator::Minus | Operator::Multiply | Operator::Modulo),
            right,
        }) => {
            let (left, right) = (Box::new(constant(left)?), Box::new(constant(right)?));
            Some(Expr::BinaryExpr(BinaryExpr::new(left, *op, right)))
        }
        _ => None,
    }
}

/// The decimal that is written as this float is: see [`check_numbers`].
fn decimal_of(value: f64) -> Option<ScalarValue> {
    const MOST_DIGITS: usize = 38;
    let text = format!("{value}");
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let digits = whole.trim_start_matches(['-', '0']).len() + fraction.len();
    let is_kept = value.is_finite() && digits <= MOST_DIGITS;
    let unscaled = format!("{whole}{fraction}").parse().ok().filter(|_| is_kept)?;
    let (precision, scale) = (u8::try_from(digits.max(1)).ok()?, i8::try_from(fraction.len()).ok()?);
    Some(ScalarValue::Decimal128(Some(unscaled), precision, scale))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{MEMORY, number, within};

    #[tokio::test]
    async fn remainders_of_decimals_are_exact() {
        for (sql, expected) in [
            ("SELECT count(*) FROM {cents} WHERE d % 0.05 = 0", 4_000),
            ("SELECT count(*) FROM {cents} WHERE d % -0.05 = 0", 4_000),
            ("SELECT count(*) FROM {cents} WHERE 0.09 % (d + 0.01) = 0", 3),
            ("SELECT count(*) FROM {cents} WHERE d = 0.3 % 0.1", 1),
            ("SELECT count(*) FROM t WHERE n < 5 AND CAST('99999999999999999.99' AS DECIMAL(19, 2)) % 0.3 = 0.09", 5),
            ("SELECT count(*) FROM t WHERE n < 5 AND arrow_typeof(n % 0.5) = 'Float64'", 5),
        ] {
            let sql = sql.replace("{cents}", "(SELECT CAST(n AS DECIMAL(10, 2)) * 0.01 AS d FROM t)");
            assert_eq!(number(&within(MEMORY, &sql)).await, expected, "{sql}");
        }
    }

    #[test]
    fn a_float_is_the_decimal_as_which_it_is_written() {
        for (value, expected) in [
            (1.19, Some((119, 3, 2))),
            (-0.5, Some((-5, 1, 1))),
            (0.001, Some((1, 3, 3))),
            (100.0, Some((100, 3, 0))),
            (0.0, Some((0, 1, 0))),
            (9_007_199_254_740_992.0, Some((9_007_199_254_740_992, 16, 0))),
            (1e20, Some((100_000_000_000_000_000_000, 21, 0))),
            (1e300, None),
            (f64::NAN, None),
        ] {
            let expected =
                expected.map(|(value, precision, scale)| ScalarValue::Decimal128(Some(value), precision, scale));
            assert_eq!(decimal_of(value), expected, "{value}");
        }
    }

    #[test]
    fn a_number_that_would_lose_digits_is_refused() {
        for kept in
            ["SELECT 0.1, 18446744073709551615, 1e300, 0.30000000000000004", "SELECT '1.2345678901234567890'", "'"]
        {
            assert!(check_numbers(kept).is_ok(), "{kept}");
        }
        assert!(check_numbers("SELECT -9223372036854775808, a - 1, - 9223372036854775807").is_ok());
        for lost in [
            "SELECT -9999999999999999999",
            "SELECT - 18446744073709551615",
            "SELECT 1234567890123456789012345678.01",
            "SELECT 99999999999999999999999",
            "SELECT 3.14159265358979323846",
        ] {
            assert!(check_numbers(lost).is_err(), "{lost}");
        }
    }

    #[test]
    fn the_type_that_is_advised_holds_all_digits() {
        for (number, advised) in [
            ("99999999999999999999999", Some("DECIMAL(38, 0)")),
            ("1234567890123456789012345678.0123456788", Some("DECIMAL(38, 10)")),
            ("1.2345678901234567891e-3", Some("DECIMAL(38, 22)")),
            ("12345678901234567891e5", Some("DECIMAL(38, 0)")),
            ("12345678901234567890123456789.0123456789", Some("DECIMAL(76, 10)")),
            ("1.2345678901234567891e-300", None),
        ] {
            assert_eq!(wide_enough(number).as_deref(), advised, "{number}");
        }
    }
}
