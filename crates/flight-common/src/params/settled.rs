//! Parameters as their writer meant them, where the schema leaves no doubt: a null where none is taken is as a key that is
//! not there, and 1000.0 is a whole number. Pure.

use serde_json::{Map, Number, Value};

/// References and choices within each other, of a schema that leads somewhere.
const DEEPEST: usize = 16;

/// The parameters, settled. Nothing at all is no parameters.
pub(super) fn settled(schema: &Value, params: &Value) -> Value {
    match params {
        Value::Null => Value::Object(Map::new()),
        params => Settling { root: schema }.value(&[schema], params),
    }
}

struct Settling<'a> {
    root: &'a Value,
}

impl<'a> Settling<'a> {
    /// A value of which these schemas speak.
    fn value(&self, schemas: &[&'a Value], value: &Value) -> Value {
        let forms = self.forms(schemas);
        match value {
            Value::Object(fields) => {
                Value::Object(fields.iter().filter_map(|(name, it)| self.field(&forms, name, it)).collect())
            }
            Value::Array(items) => {
                let of_items: Vec<&Value> = forms.iter().filter_map(|form| form.get("items")).collect();
                items.iter().map(|item| self.value(&of_items, item)).collect()
            }
            Value::Number(number) if takes(&forms, "integer") && !takes(&forms, "number") => {
                whole(number).unwrap_or_else(|| value.clone())
            }
            other => other.clone(),
        }
    }

    /// A key and its value; nothing for a null that is not taken.
    fn field(&self, forms: &[&'a Value], name: &str, value: &Value) -> Option<(String, Value)> {
        let of = |form: &&'a Value| {
            form.get("properties").and_then(|all| all.get(name)).or_else(|| form.get("additionalProperties"))
        };
        let schemas: Vec<&Value> = forms.iter().filter_map(of).filter(|schema| schema.is_object()).collect();
        if value.is_null() && !schemas.is_empty() && !takes(&self.forms(&schemas), "null") {
            return None;
        }
        Some((name.to_owned(), self.value(&schemas, value)))
    }

    /// The schemas, and those that they refer to or choose from.
    fn forms(&self, schemas: &[&'a Value]) -> Vec<&'a Value> {
        let mut found = Vec::new();
        schemas.iter().for_each(|schema| self.gather(schema, DEEPEST, &mut found));
        found
    }

    fn gather(&self, schema: &'a Value, deep: usize, found: &mut Vec<&'a Value>) {
        let Some(deep) = deep.checked_sub(1) else { return };
        let target =
            schema.get("$ref").and_then(Value::as_str).and_then(|path| self.root.pointer(path.strip_prefix('#')?));
        let choices = ["anyOf", "oneOf", "allOf"].iter().filter_map(|word| schema.get(word)?.as_array()).flatten();
        let mut further = target.into_iter().chain(choices).peekable();
        // What only leads on says nothing itself.
        if further.peek().is_none() || schema.get("properties").is_some() {
            found.push(schema);
        }
        further.for_each(|schema| self.gather(schema, deep, found));
    }
}

/// Whether one of these forms takes values of that type.
fn takes(forms: &[&Value], kind: &str) -> bool {
    let is_kind = |one: &Value| one.as_str() == Some(kind);
    let takes = |form: &Value| match form.get("type") {
        Some(Value::Array(kinds)) => kinds.iter().any(is_kind),
        Some(one) => is_kind(one),
        // One of a few values: a null may be among them.
        None => match (form.get("enum").and_then(Value::as_array), form.get("const")) {
            (Some(values), _) => values.iter().any(Value::is_null),
            (None, Some(value)) => value.is_null(),
            (None, None) => true,
        },
    };
    forms.iter().any(|form| takes(form))
}

/// A number with a point and nothing behind it, without the point.
fn whole(number: &Number) -> Option<Value> {
    /// Beyond, not every whole number is one of these.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let float = number.as_f64().filter(|float| number.is_f64() && float.fract() == 0.0 && float.abs() <= EXACT)?;
    Some(Value::from(float as i64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_the_schema_leaves_open_stays_as_it_is() {
        let schema = json!({
            "properties": {
                "any": {},
                "rate": {"type": "number"},
                "some": {"anyOf": [{"$ref": "#/$defs/some"}, {"type": "null"}]},
                "each": {"type": "object", "additionalProperties": {"type": "integer"}},
                "list": {"type": "array", "items": {"type": ["integer", "null"]}},
                "odd": {"$ref": "#/properties/odd"},
            },
            "$defs": {"some": {"type": "object", "properties": {"least": {"type": "integer"}}}},
        });
        for (given, meant) in [
            (json!({"any": null, "rate": 2.0, "odd": 2.0}), json!({"any": null, "rate": 2.0, "odd": 2.0})),
            (json!({"some": {"least": 5.0}, "rate": null}), json!({"some": {"least": 5}})),
            (json!({"some": null, "unknown": null}), json!({"some": null, "unknown": null})),
            (
                json!({"each": {"a": 1.0, "b": null}, "list": [3.0, null, 3.5]}),
                json!({"each": {"a": 1}, "list": [3, null, 3.5]}),
            ),
            (json!({"each": {"a": 1e300}}), json!({"each": {"a": 1e300}})),
            (json!(null), json!({})),
            (json!([]), json!([])),
        ] {
            assert_eq!(settled(&schema, &given), meant, "{given}");
        }
    }
}
