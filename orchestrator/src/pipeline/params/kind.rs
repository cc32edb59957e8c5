//! Which values a parameter may take. Pure.

use chrono::NaiveDate;
use serde::Serialize;
use serde_json::{Number, Value};
use std::fmt;

/// The type of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ParamKind {
    /// A text.
    String,
    /// A whole number of 64 bits.
    Integer,
    /// A number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// A day: `2024-02-29`.
    Date,
}

impl ParamKind {
    /// Each of them.
    pub const ALL: [Self; 5] = [Self::String, Self::Integer, Self::Number, Self::Boolean, Self::Date];

    /// Its name in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::Date => "date",
        }
    }

    /// The type of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The type of a value that is written without one.
    pub fn of(value: &Value) -> Option<Self> {
        match value {
            Value::String(_) => Some(Self::String),
            Value::Bool(_) => Some(Self::Boolean),
            Value::Number(number) if number.is_f64() => Some(Self::Number),
            Value::Number(_) => Some(Self::Integer),
            _ => None,
        }
    }

    /// Whether a value is of this type as it stands.
    pub fn holds(self, value: &Value) -> bool {
        match (self, value) {
            (Self::String, Value::String(_)) | (Self::Boolean, Value::Bool(_)) | (Self::Number, Value::Number(_)) => {
                true
            }
            (Self::Integer, Value::Number(number)) => !number.is_f64(),
            (Self::Date, Value::String(text)) => is_date(text),
            _ => false,
        }
    }

    /// A value that was given from outside, where a text may stand for any type: `"7"` for an integer.
    pub fn read(self, given: &Value) -> Option<Value> {
        match given {
            Value::String(text) if self != Self::String => self.parse(text.trim()),
            _ => self.holds(given).then(|| given.clone()),
        }
    }

    fn parse(self, text: &str) -> Option<Value> {
        match self {
            Self::String => Some(text.into()),
            Self::Integer => whole(text),
            Self::Number => whole(text).or_else(|| Number::from_f64(text.parse().ok()?).map(Value::Number)),
            Self::Boolean => text.parse::<bool>().ok().map(Value::Bool),
            Self::Date => is_date(text).then(|| text.into()),
        }
    }

    /// What to write for it.
    pub fn example(self) -> &'static str {
        match self {
            Self::String => "a text is put in quotes where YAML would read it as something else: '007'",
            Self::Integer => "write digits, as in 500",
            Self::Number => "write a number, as in 2.5",
            Self::Boolean => "write true or false",
            Self::Date => "write year, month and day, as in 2024-02-29",
        }
    }
}

impl fmt::Display for ParamKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A whole number as YAML writes it: `+7` and `007` are texts.
fn whole(text: &str) -> Option<Value> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = digits == "0" || (!digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit()));
    if !plain {
        return None;
    }
    text.parse::<i64>().map(Value::from).or_else(|_| text.parse::<u64>().map(Value::from)).ok()
}

/// Ten characters that name a day of the calendar.
fn is_date(text: &str) -> bool {
    text.len() == 10 && NaiveDate::parse_from_str(text, "%Y-%m-%d").is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_text_from_outside_is_read_as_the_type() {
        for (kind, text, value) in [
            (ParamKind::Integer, "7", json!(7)),
            (ParamKind::Integer, "-9007199254740993", json!(-9_007_199_254_740_993_i64)),
            (ParamKind::Number, "2.5", json!(2.5)),
            (ParamKind::Number, "3", json!(3)),
            (ParamKind::Boolean, "true", json!(true)),
            (ParamKind::Date, "2024-02-29", json!("2024-02-29")),
            (ParamKind::String, "007", json!("007")),
            (ParamKind::String, " x ", json!(" x ")),
        ] {
            assert_eq!(kind.read(&json!(text)), Some(value), "{kind} {text}");
        }
    }

    #[test]
    fn what_is_of_another_type_is_not_taken() {
        for (kind, value) in [
            (ParamKind::Integer, json!("7.5")),
            (ParamKind::Integer, json!(7.0)),
            (ParamKind::Integer, json!("007")),
            (ParamKind::Integer, json!("")),
            (ParamKind::Number, json!("nan")),
            (ParamKind::Number, json!(true)),
            (ParamKind::Boolean, json!("yes")),
            (ParamKind::Boolean, json!(1)),
            (ParamKind::Date, json!("2023-02-29")),
            (ParamKind::Date, json!("2024-2-9")),
            (ParamKind::String, json!(7)),
            (ParamKind::String, json!(null)),
        ] {
            assert_eq!(kind.read(&value), None, "{kind} {value}");
        }
    }
}
