//! A step's parameters: from JSON to its own type, with errors a user can act on.
//!
//! The JSON Schema that `schemars` derives from the type is the one source: it is what `describe` shows, what the
//! orchestrator checks a pipeline against before anything runs, and what a step checks its own call against. So the
//! same mistake reads the same in both places.

mod lookup;
mod nearest;
mod schema;
mod secrets;
mod settled;
mod told;
mod wrong;

pub use nearest::{did_you_mean, nearest};
pub use schema::ParamsSchema;
pub use secrets::{SECRET, refuse_secrets, secrets_in};
pub use wrong::{Wrong, bad_param, pointer};

use crate::fault::{Fault, Violation};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Reads `params` as `P`.
///
/// # Errors
/// As [`ParamsSchema::parse`].
pub fn parse<P: DeserializeOwned + JsonSchema>(params: &Value) -> Result<P, Fault> {
    ParamsSchema::of::<P>().parse(params)
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
        let found = ParamsSchema::of::<Knobs>().check(&params).expect("a valid schema");
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
        let found = ParamsSchema::of::<Deep>().check(&json!({"columns": ["a", 2024]})).expect("a valid schema");
        assert_eq!(found[0].help.as_deref(), Some("put a text in quotes: \"2024\""));
    }

    #[test]
    fn of_several_forms_the_one_that_is_meant_tells_its_mistakes() {
        let told = |params: Value| {
            let found = ParamsSchema::of::<Deep>().check(&params).expect("a valid schema");
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
