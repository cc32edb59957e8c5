//! The fields of a JSON object, each with its value as it is written. Nothing is copied but names with escapes.

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// Why not all fields were seen.
#[derive(Debug)]
pub enum FieldError<E> {
    /// It is no object, or no JSON.
    Json(serde_json::Error),
    /// Whoever saw them had enough.
    Stopped(E),
}

impl<E> FieldError<E> {
    /// What stopped it, or what is made of an error of JSON, told in words.
    pub fn into_fault(self, make: impl FnOnce(String) -> E) -> E {
        match self {
            Self::Json(error) => make(told(&error)),
            Self::Stopped(error) => error,
        }
    }
}

/// An error of JSON in words. A record is one line, so that its line says nothing.
pub fn told(error: &serde_json::Error) -> String {
    match (error.line(), error.column()) {
        (0, _) => error.to_string(),
        (_, column) => format!("{}, at byte {column}", error.to_string().split(" at line").next().unwrap_or_default()),
    }
}

/// Shows each field of an object, in order: its name, and its value as JSON.
///
/// # Errors
/// What is no object, or what `see` says.
pub fn each_field<'a, E>(
    object: &'a str,
    see: impl FnMut(Cow<'a, str>, &'a str) -> Result<(), E>,
) -> Result<(), FieldError<E>> {
    let mut stopped = None;
    let mut json = serde_json::Deserializer::from_str(object);
    let done = json.deserialize_map(Fields { see, stopped: &mut stopped }).and_then(|()| json.end());
    match (stopped, done) {
        (Some(error), _) => Err(FieldError::Stopped(error)),
        (None, Err(error)) => Err(FieldError::Json(error)),
        (None, Ok(())) => Ok(()),
    }
}

struct Fields<'s, F, E> {
    see: F,
    stopped: &'s mut Option<E>,
}

impl<'de, F, E> Visitor<'de> for Fields<'_, F, E>
where
    F: FnMut(Cow<'de, str>, &'de str) -> Result<(), E>,
{
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(Name(name)) = map.next_key()? {
            let value: &RawValue = map.next_value()?;
            if let Err(error) = (self.see)(name, value.get()) {
                *self.stopped = Some(error);
                return Err(A::Error::custom("stopped"));
            }
        }
        Ok(())
    }
}

/// A name, borrowed where it has no escapes.
struct Name<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(NameVisitor)
    }
}

struct NameVisitor;

impl<'de> Visitor<'de> for NameVisitor {
    type Value = Name<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_borrowed_str<E: Error>(self, name: &'de str) -> Result<Name<'de>, E> {
        Ok(Name(Cow::Borrowed(name)))
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Name<'de>, E> {
        Ok(Name(Cow::Owned(name.to_owned())))
    }
}

/// A JSON text without its quotes and escapes.
///
/// # Errors
/// An escape that means no character.
pub fn unescaped(quoted: &str) -> Result<Cow<'_, str>, serde_json::Error> {
    let inner = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    match inner {
        Some(inner) if memchr::memchr(b'\\', inner.as_bytes()).is_none() => Ok(Cow::Borrowed(inner)),
        _ => serde_json::from_str(quoted).map(Cow::Owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(object: &str) -> Result<Vec<(String, String)>, String> {
        let mut found = Vec::new();
        each_field(object, |name, value| {
            found.push((name.into_owned(), value.to_owned()));
            if value == "false" { Err("stop".to_owned()) } else { Ok(()) }
        })
        .map(|()| found)
        .map_err(|error| error.into_fault(|what| what))
    }

    #[test]
    fn values_are_as_they_are_written() {
        let found = fields(r#" {"a\u0062": 1.50, "c": {"d": [1, 2]} , "e": "\n"} "#).expect("an object");
        let wanted = [("ab", "1.50"), ("c", r#"{"d": [1, 2]}"#), ("e", r#""\n""#)];
        assert_eq!(found, wanted.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        assert!(fields(r#"{"a": 1,}"#).expect_err("no JSON").contains("at byte"));
        assert!(fields("{} x").is_err() && fields("[1]").is_err());
        assert_eq!(fields(r#"{"a": false, "b": "#), Err("stop".to_owned()));
    }

    #[test]
    fn escapes_are_characters() {
        assert_eq!(unescaped(r#""a\"\u00e9\ud83d\ude00""#).expect("text"), "a\"é😀");
        assert!(unescaped(r#""\ud83d""#).is_err());
    }
}
