//! Intervals as PostgreSQL writes them, in the words that DataFusion (55.2) reads: `'3 days 04:05:06'`, which ends with a clock, and
//! `'1 day ago'`. Of `-INTERVAL '1 day 2 hours'` it would turn the day around, and not the hours.

use datafusion::sql::sqlparser::ast::{Expr, Interval, UnaryOperator, Value, VisitMut, visit_expressions_mut};
use std::ops::ControlFlow;

/// Puts these words into what is said.
pub(crate) fn in_words(said: &mut impl VisitMut) {
    let walked: ControlFlow<()> = visit_expressions_mut(said, |expr| {
        let read = match expr {
            Expr::Interval(interval) => with_text(interval, spelled),
            Expr::UnaryOp { op: UnaryOperator::Minus, expr } => match &**expr {
                Expr::Interval(interval) => with_text(interval, |text| Some(turned(text))),
                _ => None,
            },
            _ => None,
        };
        if let Some(read) = read {
            *expr = read;
        }
        ControlFlow::Continue(())
    });
    debug_assert!(walked.is_continue());
}

/// An interval with another text, if it is one that names its units itself.
fn with_text(interval: &Interval, other: impl FnOnce(&str) -> Option<String>) -> Option<Expr> {
    let Expr::Value(value) = &*interval.value else { return None };
    let Value::SingleQuotedString(text) = &value.value else { return None };
    if interval.leading_field.is_some() {
        return None;
    }
    let mut value = value.clone();
    value.value = Value::SingleQuotedString(other(text)?);
    Some(Expr::Interval(Interval { value: Box::new(Expr::Value(value)), ..interval.clone() }))
}

/// An interval as DataFusion reads it, if it is written otherwise.
pub(crate) fn spelled(text: &str) -> Option<String> {
    let plain = |word: &str| word.strip_prefix('+').filter(|word| !word.is_empty()).unwrap_or(word).to_owned();
    let mut words: Vec<String> = text.split_whitespace().map(plain).collect();
    let is_ago = words.last().is_some_and(|word| word.eq_ignore_ascii_case("ago"));
    if is_ago {
        words.pop();
    }
    spell_clock(&mut words);
    let spelled = words.join(" ");
    let spelled = if is_ago { turned(&spelled) } else { spelled };
    (!spelled.is_empty() && spelled != text).then_some(spelled)
}

/// Each of its numbers with the other sign.
fn turned(text: &str) -> String {
    let word = |word: &str| match word.strip_prefix('-') {
        Some(word) => word.to_owned(),
        None if word.starts_with(|first: char| first.is_ascii_digit() || first == '.') => format!("-{word}"),
        None => word.to_owned(),
    };
    text.split_whitespace().map(word).collect::<Vec<_>>().join(" ")
}

/// Puts words for a clock at the end of days, months and years. A number alone before it is of days.
fn spell_clock(words: &mut Vec<String>) {
    let Some((clock, days)) = words.split_last() else { return };
    let Some(clock) = clock_in_words(clock).filter(|_| days.iter().all(|word| is_of_days(word))) else { return };
    let ends_with_number = days.last().is_some_and(|last| last.parse::<i64>().is_ok());
    words.pop();
    words.extend(ends_with_number.then(|| "days".to_owned()));
    words.push(clock);
}

/// `04:05:06` is `04 hours 05 minutes 06 seconds`, and `-1:30` is `-1 hours -30 minutes`.
fn clock_in_words(word: &str) -> Option<String> {
    let (sign, clock) = match word.strip_prefix('-') {
        Some(clock) => ("-", clock),
        None => ("", word),
    };
    let (hours, rest) = clock.split_once(':')?;
    let (minutes, seconds) = rest.split_once(':').unwrap_or((rest, "0"));
    let (whole, fraction) = seconds.split_once('.').unwrap_or((seconds, "0"));
    let is_clock = is_number(hours) && is_below_sixty(minutes) && is_below_sixty(whole) && is_number(fraction);
    is_clock.then(|| format!("{sign}{hours} hours {sign}{minutes} minutes {sign}{seconds} seconds"))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_below_sixty(text: &str) -> bool {
    is_number(text) && text.parse::<u8>().is_ok_and(|number| number < 60)
}

/// Whether it is a number, or a unit of which a clock shows none.
fn is_of_days(word: &str) -> bool {
    let unit = word.trim_start_matches(|letter: char| !letter.is_ascii_alphabetic()).to_ascii_lowercase();
    unit.is_empty() || unit.starts_with(['c', 'd', 'w', 'y']) || unit.starts_with("mon")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{MEMORY, number, refused, within};

    #[test]
    fn what_is_read_stays_as_it_is() {
        for (text, read) in [
            ("04:05:06", Some("04 hours 05 minutes 06 seconds")),
            ("3 days 4:05:06.25", Some("3 days 4 hours 05 minutes 06.25 seconds")),
            ("1 year 2 mons -1:30", Some("1 year 2 mons -1 hours -30 minutes -0 seconds")),
            ("-1 12:59", Some("-1 days 12 hours 59 minutes 0 seconds")),
            ("1 day -2 hours ago", Some("-1 day 2 hours")),
            (" +1  hour ", Some("1 hour")),
            ("1 day", None),
            ("10", None),
            ("1 hour 04:05", None),
            ("1min 04:05", None),
            ("04:60", None),
            ("04:05:06:07", None),
            ("04:05:", None),
            (":05", None),
            ("ago", None),
            ("", None),
        ] {
            assert_eq!(spelled(text).as_deref(), read, "{text}");
        }
    }

    #[tokio::test]
    async fn intervals_are_read_as_postgres_writes_them() {
        for (moment, expected) in [
            ("TIMESTAMP '1970-01-01 00:00:00' + INTERVAL '04:05:06'", 14_706_000),
            ("TIMESTAMP '1970-01-01 00:00:00' + INTERVAL '3 days 04:05:06.5'", 273_906_500),
            ("TIMESTAMP '1970-01-01 00:00:00' + INTERVAL '1 day -04:05'", 71_700_000),
            ("TIMESTAMP '1970-01-01 00:00:00' - INTERVAL '-1:30'", 5_400_000),
            ("TIMESTAMP '1970-01-01 00:00:00' + INTERVAL '1 day 2 hours ago'", -93_600_000),
            ("TIMESTAMP '1970-01-01 00:00:00' + -INTERVAL '1 day 2 hours'", -93_600_000),
            ("TIMESTAMP '1970-01-01 00:00:00' + -INTERVAL '1 day 02:00'", -93_600_000),
            ("TIMESTAMP '1970-01-01 00:00:00' + -INTERVAL '-1 day'", 86_400_000),
            ("TIMESTAMP '1970-01-01 00:00:00' + -INTERVAL '1' DAY", -86_400_000),
            ("TIMESTAMP '1970-01-01 00:00:00' + '3 days 04:05:06'::interval", 273_906_000),
            ("DATE '1970-01-01' + INTERVAL '04:05:06'", 14_706_000),
            ("DATE '1970-01-01' + '04:05:06'::interval", 14_706_000),
        ] {
            let sql = format!("SELECT CAST({moment} AS BIGINT) / 1000");
            assert_eq!(number(&within(MEMORY, &sql)).await, expected, "{sql}");
        }
        let of_column = "SELECT count(*) FROM t WHERE TIMESTAMP '1970-01-01 00:00:00' + \
                         CAST('00:' || CAST(n % 50 + 10 AS VARCHAR) AS INTERVAL) = TIMESTAMP '1970-01-01 00:10:00'";
        assert_eq!(number(&within(MEMORY, of_column)).await, 400);
    }

    #[tokio::test]
    async fn what_is_no_interval_is_told_as_it_is_written() {
        for text in ["1 hour 04:05", "04:60", "1 hour 2 hours"] {
            let fault = refused(&within(MEMORY, &format!("SELECT INTERVAL '{text}'"))).await;
            assert!(fault.message().starts_with(&format!("\"{text}\" is no interval")), "{fault:?}");
            assert!(fault.help_text().is_some(), "{fault:?}");
        }
    }
}
