//! References to secrets: whoever calls a step puts values in their place before.

use super::{Violation, bad_params, pointer};
use crate::fault::Fault;
use serde_json::Value;

/// A parameter with this in front is a reference to a secret.
pub const SECRET: &str = "secret://";

/// All references within parameters: the place of each, as a JSON pointer, and the name that it refers to.
pub fn secrets_in(params: &Value) -> Vec<(String, String)> {
    let mut found = Vec::new();
    find(params, String::new(), &mut found);
    found
}

fn find(value: &Value, at: String, found: &mut Vec<(String, String)>) {
    match value {
        Value::String(text) => {
            if let Some(name) = text.strip_prefix(SECRET) {
                found.push((at, name.to_owned()));
            }
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(place, item)| find(item, format!("{at}/{place}"), found));
        }
        Value::Object(map) => {
            map.iter().for_each(|(key, item)| find(item, at.clone() + &pointer([key.as_str()]), found));
        }
        _ => {}
    }
}

/// Refuses parameters in which a reference stands where a value should.
///
/// # Errors
/// [`crate::FaultKind::BadParams`], with the place of each.
pub fn refuse_secrets(params: &Value) -> Result<(), Fault> {
    let help =
        "a step looks up no secrets: who calls it gives the value, as `quiver run` and the orchestrator's runs do";
    let wrong: Vec<Violation> = secrets_in(params)
        .into_iter()
        .map(|(at, name)| {
            let place = at.trim_start_matches('/').replace('/', ".");
            let message = format!("{place}: {SECRET}{name} is the name of a secret, and not its value");
            Violation::new(at, message).help(help.to_owned())
        })
        .collect();
    if wrong.is_empty() { Ok(()) } else { Err(bad_params(wrong)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn references_are_found_wherever_they_are() {
        let params =
            json!({"a/b": ["x", "secret://one"], "auth": {"token": "secret://two#key"}, "text": "a secret://"});
        let found = [("/a~1b/1", "one"), ("/auth/token", "two#key")];
        assert_eq!(secrets_in(&params), found.map(|(at, name)| (at.to_owned(), name.to_owned())));
        let fault = refuse_secrets(&params).expect_err("nobody looked them up");
        assert_eq!((fault.violations().len(), fault.violations()[1].pointer.as_str()), (2, "/auth/token"));
        assert!(refuse_secrets(&json!({"token": "t", "n": 1})).is_ok());
    }
}
