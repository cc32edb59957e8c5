//! Texts of times and lengths of time, completed where DataFusion (55.2) would read them otherwise than PostgreSQL, or not at all.
//!
//! `'10'` is an interval of 10 seconds, and would be one of 10 months; `'2024-01-05 12:00'` is a timestamp, and would be none.

use crate::intervals;
use crate::of_one::of_one;
use datafusion::arrow::array::{Array, AsArray, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::expr_rewriter::FunctionRewrite;
use datafusion::logical_expr::{Cast, ColumnarValue, Expr, ExprSchemable, TryCast};
use std::borrow::Cow;

const WITH_UNIT: &str = "with_unit";
const WITH_SECONDS: &str = "with_seconds";

/// Completes what becomes an interval or a timestamp.
#[derive(Debug)]
pub struct WholeTexts;

impl FunctionRewrite for WholeTexts {
    fn name(&self) -> &str {
        "whole_texts"
    }

    fn rewrite(&self, mut expr: Expr, schema: &DFSchema, _config: &ConfigOptions) -> Result<Transformed<Expr>> {
        let completed = match &expr {
            Expr::Cast(Cast { expr, field }) | Expr::TryCast(TryCast { expr, field }) => {
                completed(expr, field.data_type(), schema)?
            }
            _ => None,
        };
        let Some(completed) = completed else { return Ok(Transformed::no(expr)) };
        if let Expr::Cast(Cast { expr, .. }) | Expr::TryCast(TryCast { expr, .. }) = &mut expr {
            **expr = completed;
        }
        Ok(Transformed::yes(expr))
    }
}

/// What is cast to this type in the place of a text, if it may have to be completed.
fn completed(text: &Expr, to: &DataType, schema: &DFSchema) -> Result<Option<Expr>> {
    match text {
        Expr::Literal(value, metadata) => {
            let Some(Some(text)) = value.try_as_str() else { return Ok(None) };
            let whole = |text| ScalarValue::Utf8(Some(text));
            let completed = match to {
                DataType::Interval(_) => interval_of(text).map(whole),
                // What is wrong all the same is told as it was written.
                DataType::Timestamp(..) => with_seconds(text).map(whole).filter(|text| text.cast_to(to).is_ok()),
                _ => None,
            };
            Ok(completed.map(|text| Expr::Literal(text, metadata.clone())))
        }
        Expr::ScalarFunction(ScalarFunction { func, .. }) if matches!(func.name(), WITH_UNIT | WITH_SECONDS) => {
            Ok(None)
        }
        _ if !text.get_type(schema)?.is_string() => Ok(None),
        _ => Ok(match to {
            DataType::Interval(_) => {
                Some(of_one(WITH_UNIT, |texts, rows| each(texts, rows, interval_of), text.clone()))
            }
            DataType::Timestamp(..) => {
                Some(of_one(WITH_SECONDS, |texts, rows| each(texts, rows, with_seconds), text.clone()))
            }
            _ => None,
        }),
    }
}

/// The interval that a text is cast to, if it is one that is written out.
pub(crate) fn interval(expr: &Expr) -> Option<ScalarValue> {
    let Expr::Cast(Cast { expr, field }) = expr else { return None };
    let Expr::Literal(value, _) = expr.as_ref() else { return None };
    let text = value.try_as_str()??;
    let whole = interval_of(text).unwrap_or_else(|| text.to_owned());
    matches!(field.data_type(), DataType::Interval(_))
        .then(|| ScalarValue::Utf8(Some(whole)).cast_to(field.data_type()).ok())
        .flatten()
}

/// An interval as it is read, if it is written otherwise.
fn interval_of(text: &str) -> Option<String> {
    let spelled = intervals::spelled(text);
    with_unit(spelled.as_deref().unwrap_or(text)).or(spelled)
}

/// An interval whose last number has no unit, with seconds for one.
fn with_unit(text: &str) -> Option<String> {
    let text = text.trim_end();
    let last = text.rsplit(char::is_whitespace).next()?;
    let is_number = last.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.'));
    (is_number && last.parse::<f64>().is_ok()).then(|| format!("{text} seconds"))
}

/// A timestamp of hours and minutes, with no seconds for seconds, whatever follows.
fn with_seconds(text: &str) -> Option<String> {
    const END: usize = "2024-01-05 12:00".len();
    let [.., b' ' | b'T' | b't', a, b, b':', c, d] = text.as_bytes().get(..END)? else { return None };
    let follows = text.as_bytes().get(END);
    let is_time = [a, b, c, d].iter().all(|byte| byte.is_ascii_digit());
    let ends = follows.is_none_or(|byte| *byte != b':' && !byte.is_ascii_digit());
    let (time, rest) = text.split_at_checked(END)?;
    (is_time && ends).then(|| format!("{time}:00{rest}"))
}

/// Each of these texts, completed.
fn each(texts: ColumnarValue, rows: usize, complete: fn(&str) -> Option<String>) -> Result<ColumnarValue> {
    let given = texts.to_array(rows)?;
    let views = cast(&given, &DataType::Utf8View)?;
    let views = views.as_string_view();
    if !views.iter().flatten().any(|text| complete(text).is_some()) {
        return Ok(texts);
    }
    let whole = |text| complete(text).map_or(Cow::Borrowed(text), Cow::Owned);
    let completed: StringArray = views.iter().map(|text| text.map(whole)).collect();
    Ok(ColumnarValue::Array(cast(&completed, given.data_type())?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{MEMORY, number, refused, within};

    #[test]
    fn what_is_whole_stays_as_it_is() {
        for (text, completed) in [
            ("10", Some("10 seconds")),
            ("1 day 2.5 ", Some("1 day 2.5 seconds")),
            ("-3", Some("-3 seconds")),
            ("10 days", None),
            ("01:02:03", None),
            ("1-2", None),
            ("inf", None),
            ("", None),
        ] {
            assert_eq!(with_unit(text).as_deref(), completed, "{text}");
        }
        for (text, completed) in [
            ("2024-01-05 12:00", Some("2024-01-05 12:00:00")),
            ("2024-01-05T12:00Z", Some("2024-01-05T12:00:00Z")),
            ("2024-01-05 12:00+02:00", Some("2024-01-05 12:00:00+02:00")),
            ("2024-01-05 12:00:30", None),
            ("2024-01-05 120000", None),
            ("2024-01-05", None),
            ("zwölfter Januar", None),
        ] {
            assert_eq!(with_seconds(text).as_deref(), completed, "{text}");
        }
    }

    #[tokio::test]
    async fn a_number_without_a_unit_is_seconds() {
        for (sql, expected) in [
            ("SELECT CAST(TIMESTAMP '1970-01-01 00:00:00' + '10'::interval AS BIGINT) / 1000000", 10),
            ("SELECT CAST(TIMESTAMP '1970-01-01 00:00:00' + '1 hour 10'::interval AS BIGINT) / 1000000", 3610),
            ("SELECT CAST(TIMESTAMP '1970-01-01 00:00:00' + '1 day'::interval AS BIGINT) / 1000000", 86_400),
            (
                "SELECT count(*) FROM (SELECT TIMESTAMP '1970-01-01 00:00:00' + CAST(CAST(n AS VARCHAR) AS INTERVAL) AS s \
                 FROM t) WHERE s < TIMESTAMP '1970-01-01 00:01:00'",
                60,
            ),
        ] {
            assert_eq!(number(&within(MEMORY, sql)).await, expected, "{sql}");
        }
    }

    #[tokio::test]
    async fn a_timestamp_needs_no_seconds() {
        for (sql, expected) in [
            ("SELECT CAST(TIMESTAMP '1970-01-01 12:30' AS BIGINT) / 60000000", 750),
            ("SELECT CAST('1970-01-01T12:30'::timestamp AS BIGINT) / 60000000", 750),
            ("SELECT CAST(TIMESTAMPTZ '1970-01-01 12:30+02:00' AS BIGINT) / 60000000", 630),
            (
                "SELECT count(*) FROM t WHERE CAST('1970-01-01 00:' || CAST(n % 50 + 10 AS VARCHAR) AS TIMESTAMP) \
                 = '1970-01-01 00:10'",
                400,
            ),
            (
                "SELECT count(*) FROM t \
                 WHERE TRY_CAST('1970-01-01 00:' || CAST(n % 100 + 10 AS VARCHAR) AS TIMESTAMP) IS NULL",
                10_000,
            ),
        ] {
            assert_eq!(number(&within(MEMORY, sql)).await, expected, "{sql}");
        }
        let fault = refused(&within(MEMORY, "SELECT TIMESTAMP '1970-13-01 12:30'")).await;
        assert!(!fault.message().contains("12:30:00"), "{fault}");
    }
}
