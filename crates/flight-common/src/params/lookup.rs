//! What a JSON Schema says of a place.

use serde_json::Value;

/// The part of the schema that speaks of the property at `place` (names joined by dots), following references.
fn subschema<'a>(root: &'a Value, place: &str) -> Option<&'a Value> {
    let mut here = root;
    for name in place.split('.').filter(|name| !name.is_empty()) {
        here = resolve(root, here);
        here = here
            .get("properties")
            .and_then(|properties| properties.get(name))
            .or_else(|| here.get("items").filter(|_| name.parse::<usize>().is_ok()))
            .or_else(|| here.get("additionalProperties").filter(|more| more.is_object()))?;
    }
    Some(here)
}

fn resolve<'a>(root: &'a Value, here: &'a Value) -> &'a Value {
    let target = here.get("$ref").and_then(Value::as_str).and_then(|path| root.pointer(path.strip_prefix('#')?));
    if let Some(target) = target {
        return resolve(root, target);
    }
    // `Option<T>` of a referenced type is `anyOf: [T, null]`.
    let options = here.get("anyOf").and_then(Value::as_array);
    match options.and_then(|all| all.iter().find(|one| one.get("$ref").is_some())) {
        Some(reference) if here.get("properties").is_none() => resolve(root, reference),
        _ => here,
    }
}

/// The names of the properties at a JSON pointer.
pub(super) fn known_properties(root: &Value, pointer: &str) -> Vec<String> {
    let place = pointer.trim_start_matches('/').replace('/', ".");
    let properties =
        subschema(root, &place).map(|found| resolve(root, found)).and_then(|found| found.get("properties"));
    properties.and_then(Value::as_object).map(|all| all.keys().cloned().collect()).unwrap_or_default()
}

/// The first sentence of the property's documentation.
pub(super) fn describe_property(root: &Value, place: &str) -> Option<String> {
    let found = subschema(root, place)?;
    let text = found.get("description").or_else(|| resolve(root, found).get("description"))?.as_str()?;
    let paragraph = text.split("\n\n").next()?.replace('\n', " ");
    let sentence = first_sentence(&paragraph);
    Some(match place.rsplit('.').next().filter(|name| !name.is_empty()) {
        Some(name) => format!("{name}: {sentence}"),
        None => sentence.to_owned(),
    })
}

/// Up to the first full stop that is not part of code.
fn first_sentence(text: &str) -> &str {
    let ends = |(place, _): &(usize, &str)| text[..*place].matches('`').count().is_multiple_of(2);
    let end = text.match_indices(". ").find(ends).map_or(text.len(), |(place, _)| place);
    text[..end].trim_end_matches('.')
}

/// The words that an enum of documented variants allows (`oneOf` of constants).
pub(super) fn string_choices(root: &Value, place: &str) -> Vec<String> {
    let Some(found) = subschema(root, place).map(|found| resolve(root, found)) else { return Vec::new() };
    let Some(options) = found.get("oneOf").or_else(|| found.get("anyOf")).and_then(Value::as_array) else {
        return Vec::new();
    };
    let mut choices = Vec::new();
    for option in options {
        if let Some(word) = option.get("const").and_then(Value::as_str) {
            choices.push(word.to_owned());
        }
        if let Some(words) = option.get("enum").and_then(Value::as_array) {
            choices.extend(words.iter().filter_map(Value::as_str).map(str::to_owned));
        }
    }
    choices
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_does_not_end_within_code() {
        assert_eq!(first_sentence("One of `a . b`. More."), "One of `a . b`");
        assert_eq!(first_sentence("All of it."), "All of it");
    }
}
