//! A step's parameters: from JSON to its own type, with errors a user can act on.
//!
//! The JSON Schema that `schemars` derives from the type is the one source: it is what `describe` shows, what the
//! orchestrator checks a pipeline against before anything runs, and what a step checks its own call against. So the
//! same mistake reads the same in both places.

mod settled;
mod wrong;

pub use wrong::{Wrong, bad_param, pointer};

use settled::settled;

use crate::fault::{Fault, Violation};
use jsonschema::error::{TypeKind, ValidationErrorKind};
use schemars::{JsonSchema, generate::SchemaSettings};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The JSON Schema (2020-12, self-contained) of a parameter type.
pub fn schema_of<P: JsonSchema>() -> Value {
    let generator = SchemaSettings::draft2020_12().into_generator();
    generator.into_root_schema_for::<P>().to_value()
}

/// Checks `params` against their JSON Schema and returns all that is wrong, each with its place.
///
/// A `null` counts as nothing, for the whole as for a parameter that takes none; and 1000.0 is a whole number.
///
/// # Errors
/// [`crate::FaultKind::Internal`] if the schema itself is not valid.
pub fn check(schema: &Value, params: &Value) -> Result<Vec<Violation>, Fault> {
    let validator = jsonschema::draft202012::options()
        .build(schema)
        .map_err(|error| Fault::internal(format!("invalid parameter schema: {error}")))?;
    let params = settled(schema, params);
    let mut found: Vec<Violation> = Vec::new();
    for error in validator.iter_errors(&params) {
        for violation in violations(schema, &error) {
            if !found.contains(&violation) {
                found.push(violation);
            }
        }
    }
    Ok(found)
}

/// Reads `params` as `P`.
///
/// # Errors
/// [`crate::FaultKind::BadParams`] with one violation for each thing that is wrong.
pub fn parse<P: DeserializeOwned + JsonSchema>(params: &Value) -> Result<P, Fault> {
    let schema = schema_of::<P>();
    let violations = check(&schema, params)?;
    if !violations.is_empty() {
        return Err(bad_params(violations));
    }
    serde_path_to_error::deserialize(settled(&schema, params)).map_err(|error| {
        let pointer = pointer_of(&error.path().to_string());
        bad_params(vec![Violation { pointer, message: error.inner().to_string(), help: None }])
    })
}

/// A fault whose message lists the violations in one line.
pub fn bad_params(violations: Vec<Violation>) -> Fault {
    let text: Vec<&str> = violations.iter().map(|violation| violation.message.as_str()).collect();
    let fault = Fault::bad_params(text.join("; "));
    match violations.iter().find_map(|violation| violation.help.clone()) {
        Some(help) => fault.help(help),
        None => fault,
    }
    .with_violations(violations)
}

/// The nearest of `known` to a misspelt `word`, if one is near.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded = word.to_lowercase();
    known
        .into_iter()
        .map(|candidate| (likeness(&folded, &candidate.to_lowercase()), candidate))
        .filter(|(likeness, _)| *likeness >= NEAR)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// How like two words are that are taken for one.
const NEAR: f64 = 0.75;

/// From 0 to 1. Short words with one slip, such as `cvs` for `csv`, have little in common but that.
fn likeness(word: &str, candidate: &str) -> f64 {
    const SHORTEST: usize = 3;
    let likeness = strsim::jaro_winkler(word, candidate);
    let shorter = word.chars().count().min(candidate.chars().count());
    match shorter >= SHORTEST && strsim::osa_distance(word, candidate) <= 1 {
        true => likeness.max(NEAR),
        false => likeness,
    }
}

/// "did you mean …?", or the list of what there is, cut short.
pub fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> String {
    if let Some(near) = nearest(word, known.clone()) {
        return format!("did you mean \"{near}\"?");
    }
    let all: Vec<&str> = known.into_iter().collect();
    const SHOWN: usize = 12;
    match all.len() {
        0 => "there is none".to_owned(),
        count if count > SHOWN => format!("there are: {} and {} more", all[..SHOWN].join(", "), count - SHOWN),
        _ => format!("there are: {}", all.join(", ")),
    }
}

fn violations(schema: &Value, error: &jsonschema::ValidationError<'_>) -> Vec<Violation> {
    let pointer = error.instance_path().to_string();
    let place = pointer.trim_start_matches('/').replace('/', ".");
    let named = if place.is_empty() { String::new() } else { format!("{place}: ") };
    match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected }
        | ValidationErrorKind::UnevaluatedProperties { unexpected } => unexpected
            .iter()
            .map(|key| {
                let known = known_properties(schema, &pointer);
                Violation {
                    pointer: pointer.clone() + &wrong::pointer([key.as_str()]),
                    message: format!("{named}unknown parameter \"{key}\""),
                    help: Some(did_you_mean(key, known.iter().map(String::as_str))),
                }
            })
            .collect(),
        ValidationErrorKind::Required { property } => {
            let name = property.as_str().map_or_else(|| property.to_string(), str::to_owned);
            vec![Violation {
                pointer,
                message: format!("{named}missing parameter \"{name}\""),
                help: describe_property(schema, &name),
            }]
        }
        ValidationErrorKind::Type { kind } => {
            let wanted = match kind {
                TypeKind::Single(one) => one.to_string(),
                TypeKind::Multiple(many) => many.iter().map(|one| one.to_string()).collect::<Vec<_>>().join(" or "),
            };
            let given = error.instance();
            let spelling = spelling(&wanted, given);
            let message = match given.is_f64() && wanted.split(" or ").any(|one| one == "integer") {
                true => format!("{named}{given} is no whole number"),
                false => format!("{named}expected {wanted}, got {}", kind_of(given)),
            };
            vec![Violation { pointer, message, help: spelling.or_else(|| describe_property(schema, &place)) }]
        }
        ValidationErrorKind::Enum { options } => {
            let options: Vec<&str> =
                options.as_array().map(|all| all.iter().filter_map(Value::as_str).collect()).unwrap_or_default();
            let given = error.instance().as_str().unwrap_or_default().to_owned();
            vec![Violation {
                pointer,
                message: format!("{named}\"{given}\" is not one of {}", options.join(", ")),
                help: nearest(&given, options).map(|near| format!("did you mean \"{near}\"?")),
            }]
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
                    format!("{named}this form is not understood: {}", kind_of(given)),
                    describe_property(schema, &place),
                ),
            };
            vec![Violation { pointer, message, help }]
        }
        _ => vec![Violation { pointer, message: format!("{named}{error}"), help: None }],
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

/// `a number (3.5)`, cut short.
fn kind_of(value: &Value) -> String {
    let kind = match value {
        Value::Null => return "nothing (null)".to_owned(),
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    };
    let text: String = value.to_string().chars().take(40).collect();
    format!("{kind} ({text})")
}

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

fn known_properties(root: &Value, pointer: &str) -> Vec<String> {
    let place = pointer.trim_start_matches('/').replace('/', ".");
    let properties =
        subschema(root, &place).map(|found| resolve(root, found)).and_then(|found| found.get("properties"));
    properties.and_then(Value::as_object).map(|all| all.keys().cloned().collect()).unwrap_or_default()
}

/// The first sentence of the property's documentation.
fn describe_property(root: &Value, place: &str) -> Option<String> {
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
fn string_choices(root: &Value, place: &str) -> Vec<String> {
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

/// `rules.min_rows` or `columns[0]` as a JSON pointer.
fn pointer_of(path: &str) -> String {
    let path = path.replace('[', ".").replace(']', "");
    path.split('.').filter(|part| !part.is_empty() && *part != "?").map(|part| format!("/{part}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use serde_json::json;

    /// How to fill.
    #[derive(Debug, Deserialize, JsonSchema, PartialEq)]
    #[serde(rename_all = "snake_case")]
    enum Strategy {
        /// Remove the row.
        Drop,
        /// Put the mean.
        FillMean,
    }

    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Knobs {
        /// The column to look at.
        column: String,
        /// What to do.
        #[serde(default)]
        strategy: Option<Strategy>,
        /// How many.
        #[serde(default)]
        limit: Option<u32>,
        /// Whether to tell.
        #[serde(default)]
        loud: bool,
        /// Whether to ask, if that is known.
        #[serde(default)]
        ask: Option<bool>,
    }

    fn messages(params: Value) -> Vec<(String, String, Option<String>)> {
        let found = check(&schema_of::<Knobs>(), &params).expect("a valid schema");
        found.into_iter().map(|one| (one.pointer, one.message, one.help)).collect()
    }

    #[test]
    fn an_unknown_parameter_is_refused_with_the_nearest_name() {
        let found = messages(json!({"column": "a", "strateggy": "drop"}));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].0, "/strateggy");
        assert_eq!(found[0].2.as_deref(), Some("did you mean \"strategy\"?"));
    }

    #[test]
    fn all_mistakes_are_told_at_once() {
        let found = messages(json!({"strategy": "fill_meen", "limit": "many"}));
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found.iter().any(|one| one.1.contains("missing parameter \"column\"")));
        assert!(found.iter().any(|one| one.2.as_deref() == Some("did you mean \"fill_mean\"?")), "{found:?}");
        assert!(found.iter().any(|one| one.1.contains("limit: expected")), "{found:?}");
    }

    #[test]
    fn a_short_word_with_one_slip_is_near() {
        let formats = ["csv", "json", "xlsx", "excel"];
        for (word, wanted) in
            [("cvs", Some("csv")), ("csb", Some("csv")), ("xslx", Some("xlsx")), ("Cvs", Some("csv")), ("pdf", None)]
        {
            assert_eq!(nearest(word, formats), wanted, "{word}");
        }
        assert_eq!(nearest("a", ["b"]), None);
    }

    #[test]
    fn what_older_yaml_took_for_a_boolean_is_refused_with_what_to_write() {
        for word in ["yes", "no", "on", "Off", "true"] {
            for name in ["loud", "ask"] {
                let found = messages(json!({"column": "a", name: word}));
                assert_eq!(found.len(), 1, "{found:?}");
                assert_eq!(found[0].0, format!("/{name}"));
                assert_eq!(found[0].2.as_deref(), Some("write true or false"), "{found:?}");
            }
        }
    }

    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its schema is used")]
    struct Deep {
        /// Some, or none.
        knobs: Option<Knobs>,
        /// Names.
        columns: crate::columns::ColumnList,
    }

    #[test]
    fn a_number_where_a_text_belongs_is_told_to_be_put_in_quotes() {
        let found = check(&schema_of::<Deep>(), &json!({"columns": ["a", 2024]})).expect("a valid schema");
        assert_eq!(found[0].help.as_deref(), Some("put a text in quotes: \"2024\""));
    }

    #[test]
    fn a_sentence_does_not_end_within_code() {
        assert_eq!(first_sentence("One of `a . b`. More."), "One of `a . b`");
        assert_eq!(first_sentence("All of it."), "All of it");
    }

    #[test]
    fn of_several_forms_the_one_that_is_meant_tells_its_mistakes() {
        let told = |params: Value| {
            let found = check(&schema_of::<Deep>(), &params).expect("a valid schema");
            found.into_iter().map(|one| (one.pointer, one.message)).collect::<Vec<_>>()
        };
        let found = told(json!({"knobs": {"column": 1, "li/mit": 2}, "columns": ["a", 5]}));
        let expected = [
            ("/knobs/column", "knobs.column: expected string, got a number (1)"),
            ("/knobs/li~1mit", "knobs: unknown parameter \"li/mit\""),
            ("/columns/1", "columns.1: expected string, got a number (5)"),
        ];
        let expected: Vec<_> = expected.iter().map(|(at, what)| ((*at).to_owned(), (*what).to_owned())).collect();
        for one in &expected {
            assert!(found.contains(one), "{one:?} in {found:?}");
        }
        assert_eq!(found.len(), expected.len(), "{found:?}");
        let found = told(json!({"knobs": "x", "columns": {"a": 1}}));
        assert!(found.iter().all(|(_, message)| message.contains("this form is not understood")), "{found:?}");
    }

    #[test]
    fn what_is_no_mapping_is_told_without_a_name() {
        let found = messages(json!([]));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(!found[0].2.as_deref().unwrap_or_default().starts_with(':'), "{found:?}");
    }

    #[test]
    fn a_null_is_as_nothing_and_a_whole_number_may_have_a_point() {
        let knobs: Knobs = parse(&json!({"column": "a", "limit": 1000.0, "loud": null})).expect("good parameters");
        assert_eq!((knobs.limit, knobs.loud), (Some(1000), false));
        let found = messages(json!({"column": null, "limit": 1000.5}));
        let told: Vec<&str> = found.iter().map(|one| one.1.as_str()).collect();
        assert!(told.contains(&"missing parameter \"column\""), "{told:?}");
        assert!(told.contains(&"limit: 1000.5 is no whole number"), "{told:?}");
        assert_eq!(told.len(), 2, "{told:?}");
    }

    #[test]
    fn good_parameters_become_the_type() {
        let knobs: Knobs = parse(&json!({"column": "a", "strategy": "fill_mean"})).expect("good parameters");
        assert_eq!(knobs.strategy, Some(Strategy::FillMean));
        assert_eq!((knobs.column.as_str(), knobs.limit), ("a", None));
        assert_eq!((knobs.loud, knobs.ask), (false, None));
    }
}
