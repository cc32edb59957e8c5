//! Secrets struck out of what comes back from a step. Pure.
//!
//! A value is looked for as it is, as it stands in JSON and in quoted messages, and as it stands in an address, where
//! most characters of a password are written in another way.

use flight_common::{Fault, StepReport, Violation, params};
use serde_json::{Map, Value};
use std::fmt;

/// What a secret is shown as.
const STRUCK: &str = "***";

/// The secrets of one call.
#[derive(Default)]
pub(super) struct Redactor {
    /// A value in one of its spellings, and what to call it; the longest first.
    spellings: Vec<(String, String)>,
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redactor({} spellings)", self.spellings.len())
    }
}

impl Redactor {
    /// Strikes this value out from now on.
    pub fn hide(&mut self, name: &str, value: &str) {
        let reference = format!("{}{name}", params::SECRET);
        let json = Value::from(value).to_string();
        let spellings = [
            (value.to_owned(), reference.clone()),
            (json[1..json.len() - 1].to_owned(), format!("{reference}#json")),
            (in_address(value, false), format!("{reference}#url")),
            (in_address(value, true), format!("{reference}#form")),
            (in_variable(value), format!("{reference}#variable")),
        ];
        for (spelling, name) in spellings {
            if !spelling.is_empty() && self.spellings.iter().all(|(known, _)| *known != spelling) {
                self.spellings.push((spelling, name));
            }
        }
        self.spellings.sort_by_key(|(spelling, _)| std::cmp::Reverse(spelling.len()));
    }

    /// Whether there is nothing to strike out.
    pub fn is_idle(&self) -> bool {
        self.spellings.is_empty()
    }

    /// A text without secrets.
    pub fn text(&self, text: &str) -> String {
        self.spellings.iter().fold(text.to_owned(), |text, (spelling, _)| text.replace(spelling.as_str(), STRUCK))
    }

    /// A text with references in the place of secrets: [`Redactor::restored`] takes it back.
    pub fn referred(&self, text: &str) -> String {
        self.spellings.iter().fold(text.to_owned(), |text, (spelling, name)| text.replace(spelling.as_str(), name))
    }

    /// A text with secrets in the place of references.
    pub fn restored(&self, text: &str) -> String {
        let mut names: Vec<&(String, String)> = self.spellings.iter().collect();
        // `secret://db` is the beginning of `secret://db#url` and of `secret://db2`.
        names.sort_by_key(|(_, name)| std::cmp::Reverse(name.len()));
        names.into_iter().fold(text.to_owned(), |text, (spelling, name)| text.replace(name.as_str(), spelling))
    }

    /// A fault without secrets.
    pub fn fault(&self, fault: &Fault) -> Fault {
        if self.is_idle() {
            return fault.clone();
        }
        let violation = |one: &Violation| Violation {
            message: self.text(&one.message),
            help: one.help.as_deref().map(|help| self.text(help)),
            ..one.clone()
        };
        let mut clean = Fault::new(fault.kind(), self.text(fault.message()))
            .with_violations(fault.violations().iter().map(violation).collect());
        if let Some(step) = fault.step_name() {
            clean = clean.step(step);
        }
        if let Some(column) = fault.column_name() {
            clean = clean.column(self.text(column));
        }
        if let Some(row) = fault.row_number() {
            clean = clean.row(row);
        }
        if let Some(help) = fault.help_text() {
            clean = clean.help(self.text(help));
        }
        match fault.retry_delay() {
            Some(delay) => clean.retry_after(delay),
            None => clean,
        }
    }

    /// A report without secrets.
    pub fn report(&self, report: StepReport) -> StepReport {
        StepReport {
            counters: report.counters.into_iter().map(|(name, count)| (self.text(&name), count)).collect(),
            details: self.map(report.details),
            ..report
        }
    }

    fn map(&self, map: Map<String, Value>) -> Map<String, Value> {
        map.into_iter().map(|(key, value)| (self.text(&key), self.value(value))).collect()
    }

    /// A value without secrets.
    pub fn value(&self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(&text)),
            Value::Array(items) => items.into_iter().map(|item| self.value(item)).collect(),
            Value::Object(map) => Value::Object(self.map(map)),
            other => other,
        }
    }
}

/// A text as it stands in an address: all but letters, digits and `-._~` by their bytes in hexadecimal digits; in a
/// form, a space is a plus.
fn in_address(text: &str, form: bool) -> String {
    let spelled = |byte: u8| match byte {
        b' ' if form => "+".to_owned(),
        b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(spelled).collect()
}

/// A text as it stands in the name of a variable, which a fault may tell of something that was looked for: in capital letters,
/// and `_` for all but letters and digits. Nothing for a text without those.
fn in_variable(text: &str) -> String {
    let letter = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    match text.contains(|c: char| c.is_ascii_alphanumeric()) {
        true => text.chars().map(letter).collect(),
        false => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn redactor() -> Redactor {
        let mut redactor = Redactor::default();
        redactor.hide("db", "p@ss \"w\"");
        redactor.hide("db2", "p@ss");
        redactor
    }

    #[test]
    fn a_secret_is_struck_out_in_each_spelling() {
        let text = r#"p@ss "w", "p@ss \"w\"", http://u:p%40ss%20%22w%22@h, p%40ss+%22w%22, p@ss2, MY_P_SS__W_"#;
        assert_eq!(redactor().text(text), r#"***, "***", http://u:***@h, ***, ***2, MY_***"#);
    }

    #[test]
    fn a_source_is_told_by_reference_and_taken_back() {
        let source = r#"sql p@ss "w" and p%40ss%20%22w%22, p@ss"#;
        let told = redactor().referred(source);
        assert_eq!(told, "sql secret://db and secret://db#url, secret://db2");
        assert_eq!(redactor().restored(&told), source);
    }

    #[test]
    fn a_fault_keeps_all_but_the_secret() {
        let fault = Fault::upstream("no login with p@ss").column("p@ss").row(3).help("not p@ss").step("read");
        let fault = fault.violation("/dsn", "p@ss is wrong").retry_after(std::time::Duration::from_secs(1));
        let clean = serde_json::to_string(&redactor().fault(&fault)).expect("JSON");
        assert_eq!(clean, serde_json::to_string(&fault).expect("JSON").replace("p@ss", "***"));
    }

    #[test]
    fn a_report_keeps_all_but_the_secret() {
        let details = json!({"p@ss": ["p@ss", {"a": 1}]}).as_object().expect("a map").clone();
        let report = StepReport { details, counters: [("p@ss".to_owned(), 1)].into(), ..StepReport::default() };
        let clean = serde_json::to_string(&redactor().report(report)).expect("JSON");
        assert!(!clean.contains("p@ss") && clean.contains(r#"{"***":["***",{"a":1}]}"#), "{clean}");
    }
}
