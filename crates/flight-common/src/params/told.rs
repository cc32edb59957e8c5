//! What a validator found, in words.

use super::lookup::{describe_property, known_properties, string_choices};
use super::{did_you_mean, nearest, wrong};
use crate::fault::Violation;
use crate::passwords;
use jsonschema::error::{TypeKind, ValidationErrorKind};
use serde_json::Value;

/// What an error of the schema's validator means to whoever wrote the parameters.
pub(super) fn violations(schema: &Value, error: &jsonschema::ValidationError<'_>) -> Vec<Violation> {
    let pointer = error.instance_path().to_string();
    let place = pointer.trim_start_matches('/').replace('/', ".");
    let named = if place.is_empty() { String::new() } else { format!("{place}: ") };
    match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected }
        | ValidationErrorKind::UnevaluatedProperties { unexpected } => unexpected
            .iter()
            .map(|key| {
                let known = known_properties(schema, &pointer);
                let pointer = pointer.clone() + &wrong::pointer([key.as_str()]);
                Violation::new(pointer, format!("{named}unknown parameter \"{key}\""))
                    .help(did_you_mean(key, known.iter().map(String::as_str)))
            })
            .collect(),
        ValidationErrorKind::Required { property } => {
            let name = property.as_str().map_or_else(|| property.to_string(), str::to_owned);
            let message = format!("{named}missing parameter \"{name}\"");
            vec![Violation::new(pointer, message).help(describe_property(schema, &name))]
        }
        ValidationErrorKind::Type { kind } => {
            let wanted = match kind {
                TypeKind::Single(one) => one.to_string(),
                TypeKind::Multiple(many) => many.iter().map(|one| one.to_string()).collect::<Vec<_>>().join(" or "),
            };
            let given = error.instance();
            let spelling = spelling(&wanted, given).filter(|_| !passwords::is_of_credential(&pointer));
            let message = match given.is_f64() && wanted.split(" or ").any(|one| one == "integer") {
                true => format!("{named}{given} is no whole number"),
                false => format!("{named}expected {wanted}, got {}", kind_of(given, &pointer)),
            };
            vec![Violation::new(pointer, message).help(spelling.or_else(|| describe_property(schema, &place)))]
        }
        ValidationErrorKind::Enum { options } => {
            let options: Vec<&str> =
                options.as_array().map(|all| all.iter().filter_map(Value::as_str).collect()).unwrap_or_default();
            let given = error.instance().as_str().unwrap_or_default().to_owned();
            let message = format!("{named}\"{given}\" is not one of {}", options.join(", "));
            let help = nearest(&given, options).map(|near| format!("did you mean \"{near}\"?"));
            vec![Violation::new(pointer, message).help(help)]
        }
        ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context }
            if meant(error, context).is_some() =>
        {
            let inner = meant(error, context).into_iter().flatten();
            inner.flat_map(|error| violations(schema, error)).collect()
        }
        ValidationErrorKind::AnyOf { .. } | ValidationErrorKind::OneOfNotValid { .. } => {
            let choices = string_choices(schema, &place);
            let given = error.instance();
            let (message, help) = match (given.as_str(), choices.is_empty()) {
                (Some(word), false) => (
                    format!("{named}\"{word}\" is not one of {}", choices.join(", ")),
                    nearest(word, choices.iter().map(String::as_str)).map(|near| format!("did you mean \"{near}\"?")),
                ),
                _ => (
                    format!("{named}this form is not understood: {}", kind_of(given, &pointer)),
                    describe_property(schema, &place),
                ),
            };
            vec![Violation::new(pointer, message).help(help)]
        }
        _ => vec![Violation::new(pointer, format!("{named}{error}"))],
    }
}

/// Of several forms the only one that the value has the type of: its mistakes are told, and not that no form fits.
fn meant<'a>(
    error: &jsonschema::ValidationError<'_>,
    forms: &'a [Vec<jsonschema::ValidationError<'static>>],
) -> Option<&'a Vec<jsonschema::ValidationError<'static>>> {
    let is_other = |one: &jsonschema::ValidationError<'_>| {
        one.instance_path() == error.instance_path()
            && matches!(
                one.kind(),
                ValidationErrorKind::Type { .. }
                    | ValidationErrorKind::Constant { .. }
                    | ValidationErrorKind::Enum { .. }
                    | ValidationErrorKind::AnyOf { .. }
                    | ValidationErrorKind::OneOfNotValid { .. }
            )
    };
    let mut fitting = forms.iter().filter(|form| !form.iter().any(is_other));
    fitting.next().filter(|_| fitting.next().is_none())
}

/// How the value is to be written that YAML takes for something else.
fn spelling(wanted: &str, given: &Value) -> Option<String> {
    let wants = |kind| wanted.split(" or ").any(|one| one == kind);
    if wants("string") && (given.is_number() || given.is_boolean()) {
        return Some(format!("put a text in quotes: \"{given}\""));
    }
    // As `yes`, which older versions of YAML took for one.
    (wants("boolean") && given.is_string()).then(|| "write true or false".to_owned())
}

/// `a number (3.5)`, cut short; of what may be a credential the kind alone.
fn kind_of(value: &Value, pointer: &str) -> String {
    let kind = match value {
        Value::Null => return "nothing (null)".to_owned(),
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    };
    if passwords::is_of_credential(pointer) {
        return kind.to_owned();
    }
    let text: String = passwords::hidden_in(value).to_string().chars().take(40).collect();
    format!("{kind} ({text})")
}
