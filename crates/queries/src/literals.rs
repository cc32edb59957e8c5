//! Numbers with a point, as they are written, beside decimals.
//!
//! DataFusion reads `1.19` as a float, and a decimal that meets a float becomes one: `price * 1.19` would be a cent off now
//! and then. So where such a number meets a decimal, it is a decimal too; where it meets a whole number that a float does not
//! hold, it is compared as one. Beside floats, in `/`, and alone it stays a float. A float keeps 15 digits, whatever they are;
//! a number of more digits, of which some would be lost, is refused.

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::{InList, ScalarFunction};
use datafusion::logical_expr::expr_rewriter::FunctionRewrite;
use datafusion::logical_expr::{Between, BinaryExpr, Case, Cast, Expr, ExprSchemable, Operator, TryCast};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};
use flight_common::Fault;
use flight_common::digits::float_keeps;

use crate::lengths::is_comparison;

/// Whole numbers up to here are floats too.
const LARGEST_WHOLE: f64 = 9_007_199_254_740_992.0;
/// Functions that give one of their arguments.
const CHOOSING: [&str; 6] = ["coalesce", "greatest", "ifnull", "least", "nullif", "nvl"];

/// Reads numbers beside decimals as decimals. It comes before types are made to agree.
#[derive(Debug)]
pub(crate) struct ExactLiterals;

/// An expression over these columns in which numbers beside decimals are decimals, for who computes it outside of a query.
/// Its types are not yet made to agree.
///
/// # Errors
/// None that DataFusion does not have.
pub fn exact(expression: Expr, columns: &DFSchema) -> Result<Expr> {
    let config = ConfigOptions::default();
    Ok(expression.transform_up(|part| ExactLiterals.rewrite(part, columns, &config))?.data)
}

/// Refuses numbers of a query of which digits would be lost.
///
/// # Errors
/// [`flight_common::FaultKind::BadParams`] for the first one.
pub fn check_numbers(query: &str) -> std::result::Result<(), Fault> {
    // What cannot be read at all is told by the parser.
    let Ok(tokens) = Tokenizer::new(&GenericDialect {}, query).tokenize() else { return Ok(()) };
    let (mut negative, mut lost) = (false, None);
    for token in &tokens {
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
            .help(format!("write CAST('{number}' AS DECIMAL(38, 10)), or fewer digits"))),
        None => Ok(()),
    }
}

impl FunctionRewrite for ExactLiterals {
    fn name(&self) -> &str {
        "exact_literals"
    }

    fn rewrite(&self, expr: Expr, schema: &DFSchema, _config: &ConfigOptions) -> Result<Transformed<Expr>> {
        let decimal = |expr: &Expr| expr.get_type(schema).is_ok_and(|it| it.is_decimal());
        let mut changed = false;
        let mut put = |part: &mut Expr| {
            if let Some(exact) = constant(part) {
                changed |= *part != exact;
                *part = exact;
            }
        };
        let mut expr = expr;
        match &mut expr {
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
                let op = *op;
                let exactly = |side: &Expr, other: &Expr| match op {
                    Operator::Plus | Operator::Minus | Operator::Multiply => decimal(side),
                    _ if is_comparison(op) => decimal(side) || is_beyond(other) && is_whole(side, schema),
                    _ => false,
                };
                if exactly(left, right) {
                    put(right);
                } else if exactly(right, left) {
                    put(left);
                }
            }
            Expr::Between(Between { expr, low, high, .. }) if decimal(expr) => {
                [low, high].into_iter().for_each(|it| put(it))
            }
            Expr::InList(InList { expr, list, .. }) if decimal(expr) => list.iter_mut().for_each(put),
            Expr::ScalarFunction(ScalarFunction { func, args })
                if CHOOSING.contains(&func.name()) && args.iter().any(decimal) =>
            {
                args.iter_mut().for_each(put);
            }
            Expr::Case(Case { when_then_expr, else_expr, .. })
                if when_then_expr.iter().map(|(_, then)| &**then).chain(else_expr.as_deref()).any(decimal) =>
            {
                when_then_expr.iter_mut().for_each(|(_, then)| put(then));
                else_expr.iter_mut().for_each(|otherwise| put(otherwise));
            }
            Expr::Cast(Cast { expr, field }) | Expr::TryCast(TryCast { expr, field })
                if field.data_type().is_decimal() =>
            {
                put(expr);
            }
            _ => {}
        }
        Ok(if changed { Transformed::yes(expr) } else { Transformed::no(expr) })
    }
}

fn is_whole(expr: &Expr, schema: &DFSchema) -> bool {
    expr.get_type(schema).is_ok_and(|it| it.is_integer())
}

/// Whether it is a number that has neighbours which a float does not tell from it.
fn is_beyond(expr: &Expr) -> bool {
    matches!(expr, Expr::Literal(ScalarValue::Float64(Some(value)), _) if value.abs() >= LARGEST_WHOLE)
}

/// The same constant with decimals in the place of floats: a number, or what `+`, `-` and `*` make of some.
fn constant(expr: &Expr) -> Option<Expr> {
    match expr {
        Expr::Literal(ScalarValue::Float64(Some(value)), _) => Some(Expr::Literal(decimal_of(*value)?, None)),
        Expr::Literal(value, _) if value.data_type().is_integer() => Some(expr.clone()),
        Expr::Negative(inner) => Some(Expr::Negative(Box::new(constant(inner)?))),
        Expr::BinaryExpr(BinaryExpr {
            left,
            op: op @ (Operator::Plus | Operator::Minus | Operator::Multiply),
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
}
