//! Values for the `?` of a query, sent apart from it.

use mysql_async::{Params, Value};

/// The values as the driver sends them. Lists and maps are JSON, as the functions for it read them.
pub fn bound(values: &[serde_json::Value]) -> Params {
    if values.is_empty() { Params::Empty } else { Params::Positional(values.iter().map(value).collect()) }
}

fn value(given: &serde_json::Value) -> Value {
    use serde_json::Value as Given;
    match given {
        Given::Null => Value::NULL,
        Given::Bool(truth) => Value::Int((*truth).into()),
        Given::String(text) => Value::Bytes(text.clone().into_bytes()),
        Given::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(whole), ..) => Value::Int(whole),
            (None, Some(whole), _) => Value::UInt(whole),
            (None, None, Some(float)) => Value::Double(float),
            (None, None, None) => Value::Bytes(number.to_string().into_bytes()),
        },
        other => Value::Bytes(other.to_string().into_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_keep_their_types() {
        let given = [json!(null), json!(true), json!("it's"), json!(-1), json!(u64::MAX), json!(0.5), json!([1, "a"])];
        let wanted = vec![
            Value::NULL,
            Value::Int(1),
            Value::Bytes(b"it's".to_vec()),
            Value::Int(-1),
            Value::UInt(u64::MAX),
            Value::Double(0.5),
            Value::Bytes(br#"[1,"a"]"#.to_vec()),
        ];
        assert_eq!(bound(&given), Params::Positional(wanted));
        assert_eq!(bound(&[]), Params::Empty);
    }
}
