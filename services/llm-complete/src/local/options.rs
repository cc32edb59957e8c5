//! How a local model chooses its words, by the parameters. Pure.

use crate::chat::OWN_FIELDS;
use crate::params::Params;
use flight_common::Violation;
use local_model::Manner;
use serde_json::Value;

/// The manner that the parameters ask for.
///
/// # Errors
/// Options that local models do not have, or that cannot be so.
pub fn manner(params: &Params) -> Result<Manner, Vec<Violation>> {
    let max_tokens = usize::try_from(params.max_tokens).unwrap_or(usize::MAX);
    let mut manner = Manner { max_tokens, temperature: 0.0, top_p: 1.0, seed: 0 };
    let mut wrong = Vec::new();
    for (name, value) in &params.options {
        let said = match name.as_str() {
            "temperature" => number(value, 0.0, 100.0).map(|number| manner.temperature = number),
            "top_p" => number(value, f64::MIN_POSITIVE, 1.0).map(|number| manner.top_p = number),
            "seed" => value.as_u64().map(|number| manner.seed = number).ok_or("a whole number from 0 on"),
            // Refused for all models.
            own if OWN_FIELDS.contains(&own) => Ok(()),
            _ => Err("no option of a local model"),
        };
        wrong.extend(said.err().map(|expected| {
            let verb = if expected.starts_with("no ") { "is" } else { "must be" };
            let help = "local models know temperature, top_p and seed".to_owned();
            Violation::new(format!("/options/{name}"), format!("{name} {verb} {expected}")).help(help)
        }));
    }
    if wrong.is_empty() { Ok(manner) } else { Err(wrong) }
}

fn number(value: &Value, least: f64, most: f64) -> Result<f64, &'static str> {
    let number = value.as_f64().filter(|number| (least..=most).contains(number));
    number.ok_or(if most > 1.0 { "a number between 0 and 100" } else { "a number above 0, and 1 at most" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(options: Value) -> Result<Manner, Vec<String>> {
        let params = serde_json::from_value(json!({"text_column": "t", "options": options})).expect("parameters");
        manner(&params).map_err(|wrong| wrong.into_iter().map(|violation| violation.message).collect())
    }

    #[test]
    fn the_likeliest_words_are_taken_unless_told() {
        let greedy = Manner { max_tokens: 20, temperature: 0.0, top_p: 1.0, seed: 0 };
        assert_eq!(of(json!({})), Ok(greedy));
        let free = Manner { temperature: 0.5, top_p: 0.9, seed: 7, ..greedy };
        assert_eq!(of(json!({"temperature": 0.5, "top_p": 0.9, "seed": 7})), Ok(free));
    }

    #[test]
    fn what_cannot_be_is_told_all_at_once() {
        let wrong = of(json!({"temperature": -1, "top_p": 0, "seed": 1.5, "stop": ["x"], "stream": true}));
        let told = wrong.expect_err("four are wrong");
        assert_eq!(told.len(), 4, "{told:?}");
        assert_eq!(told[3], "stop is no option of a local model");
    }
}
