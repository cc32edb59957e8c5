//! Values for `$1`, `$2`, …: sent apart from the query, as texts that the server reads by the types it expects.

use bytes::BytesMut;
use serde_json::Value;
use std::error::Error;
use tokio_postgres::types::{Format, IsNull, Kind, ToSql, Type, to_sql_checked};

/// A value of the parameter `params`.
#[derive(Debug)]
pub struct Bound<'a>(pub &'a Value);

impl ToSql for Bound<'_> {
    fn to_sql(&self, expected: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match text(self.0, matches!(expected.kind(), Kind::Array(_))) {
            Some(text) => out.extend_from_slice(text.as_bytes()),
            None => return Ok(IsNull::Yes),
        }
        Ok(IsNull::No)
    }

    fn accepts(_expected: &Type) -> bool {
        true
    }

    fn encode_format(&self, _expected: &Type) -> Format {
        Format::Text
    }

    to_sql_checked!();
}

/// A value as PostgreSQL reads it from a text; nothing for a null. Where no array is expected, lists and maps are JSON.
fn text(value: &Value, array: bool) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Array(items) if array => {
            let items: Vec<String> = items.iter().map(item).collect();
            Some(format!("{{{}}}", items.join(",")))
        }
        other => Some(other.to_string()),
    }
}

/// An item of an array: quoted, so that nothing in it is read as more than text.
fn item(value: &Value) -> String {
    match text(value, value.is_array()) {
        None => "NULL".to_owned(),
        Some(text) if value.is_array() => text,
        Some(text) => format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_spelled_as_the_database_reads_them() {
        let spelled = |value: Value, array| text(&value, array);
        assert_eq!(spelled(json!("it's; DROP"), false).as_deref(), Some("it's; DROP"));
        assert_eq!(spelled(json!(1.5), false).as_deref(), Some("1.5"));
        assert_eq!(spelled(json!(true), false).as_deref(), Some("true"));
        assert_eq!(spelled(json!(null), false), None);
        assert_eq!(spelled(json!({"a": [1]}), false).as_deref(), Some(r#"{"a":[1]}"#));
        assert_eq!(spelled(json!(["a,\"b\\", null, 3]), true).as_deref(), Some(r#"{"a,\"b\\",NULL,"3"}"#));
    }
}
