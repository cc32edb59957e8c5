//! What is wrong with the parameters, gathered so that all of it is told at once, each at its place.

use flight_common::{Fault, FaultKind, Violation};
use std::fmt::Display;

/// What is wrong so far.
#[derive(Default)]
pub struct Wrong(Vec<Fault>);

impl Wrong {
    /// Notes the fault, if it is one.
    pub fn note<T>(&mut self, result: Result<T, Fault>) -> Option<T> {
        result.map_err(|fault| self.0.push(fault)).ok()
    }

    /// Notes a fault.
    pub fn push(&mut self, fault: Fault) {
        self.0.push(fault);
    }

    /// One fault that tells them all.
    pub fn into_fault(mut self) -> Option<Fault> {
        if self.0.len() < 2 {
            return self.0.pop();
        }
        let messages: Vec<&str> = self.0.iter().map(Fault::message).collect();
        let schema = self.0.iter().any(|fault| fault.kind() == FaultKind::BadSchema);
        let kind = if schema { FaultKind::BadSchema } else { FaultKind::BadParams };
        let fault = Fault::new(kind, messages.join("; "));
        let help = self.0.iter().find_map(|fault| fault.help_text()).map(str::to_owned);
        let violations = self.0.iter().flat_map(with_help).collect();
        let fault = fault.with_violations(violations);
        Some(match help {
            Some(help) => fault.help(help),
            None => fault,
        })
    }
}

/// The violations of a fault. What is told beside others needs its own help.
fn with_help(fault: &Fault) -> impl Iterator<Item = Violation> + '_ {
    let help = |violation: &Violation| violation.help.clone().or_else(|| fault.help_text().map(str::to_owned));
    fault.violations().iter().map(move |violation| Violation { help: help(violation), ..violation.clone() })
}

/// A fault in the parameter at this pointer.
pub fn bad_params(pointer: impl Into<String>, message: String, help: impl Display) -> Fault {
    let (pointer, help) = (pointer.into(), help.to_string());
    let violation = Violation { pointer, message: message.clone(), help: Some(help.clone()) };
    Fault::bad_params(message).help(help).with_violations(vec![violation])
}

/// A column's entry in a rule, as a JSON pointer (RFC 6901).
pub fn pointer(rule: &str, column: &str) -> String {
    format!("/rules/{rule}/{}", column.replace('~', "~0").replace('/', "~1"))
}
