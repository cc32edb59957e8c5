//! What a step finds wrong with its parameters beyond their types, gathered so that all of it is told at once, each at its
//! place.

use crate::fault::{Fault, FaultKind, Violation};
use std::fmt::Display;

/// What is wrong so far.
#[derive(Debug, Default)]
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

    /// One fault that tells them all, if there are any. Its column and its help are the first that one of them has.
    ///
    /// # Errors
    /// [`FaultKind::BadSchema`] if a column is among what is wrong, else [`FaultKind::BadParams`]; a single fault as it is.
    pub fn into_result(mut self) -> Result<(), Fault> {
        if self.0.len() < 2 {
            return self.0.pop().map_or(Ok(()), Err);
        }
        let messages: Vec<&str> = self.0.iter().map(Fault::message).collect();
        let schema = self.0.iter().any(|fault| fault.kind() == FaultKind::BadSchema);
        let kind = if schema { FaultKind::BadSchema } else { FaultKind::BadParams };
        let mut fault = Fault::new(kind, messages.join("; "));
        if let Some(column) = self.0.iter().find_map(Fault::column_name) {
            fault = fault.column(column);
        }
        if let Some(help) = self.0.iter().find_map(Fault::help_text) {
            fault = fault.help(help);
        }
        Err(fault.with_violations(self.0.iter().flat_map(with_help).collect()))
    }
}

/// The violations of a fault. What is told beside others needs its own help.
fn with_help(fault: &Fault) -> impl Iterator<Item = Violation> + '_ {
    let help = |violation: &Violation| fault.help_for(violation).map(str::to_owned);
    fault.violations().iter().map(move |violation| violation.clone().help(help(violation)))
}

/// A fault in the parameter at this pointer.
pub fn bad_param(pointer: impl Into<String>, message: impl Into<String>, help: impl Display) -> Fault {
    let (message, help) = (message.into(), help.to_string());
    let violation = Violation::new(pointer, message.as_str()).help(help.clone());
    Fault::bad_params(message).help(help).with_violations(vec![violation])
}

/// The place of a value within the parameters, from the outermost key inwards: a JSON pointer (RFC 6901).
pub fn pointer<'a>(keys: impl IntoIterator<Item = &'a str>) -> String {
    keys.into_iter().flat_map(|key| ["/".to_owned(), key.replace('~', "~0").replace('/', "~1")]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_wrong_is_told_at_once_each_with_its_help() {
        let mut wrong = Wrong::default();
        assert_eq!(wrong.note(Ok(1)), Some(1));
        wrong.push(bad_param("/bins", "too many bins", "2 to 100"));
        wrong.push(Fault::bad_schema("no column \"agee\"").column("agee").violation("/column", "unknown").help("age?"));
        let fault = wrong.into_result().expect_err("two faults");
        assert_eq!((fault.kind(), fault.message()), (FaultKind::BadSchema, "too many bins; no column \"agee\""));
        assert_eq!((fault.column_name(), fault.help_text()), (Some("agee"), Some("2 to 100")));
        let told = fault.violations().iter().map(|one| (one.pointer.as_str(), one.help.as_deref()));
        assert_eq!(told.collect::<Vec<_>>(), [("/bins", Some("2 to 100")), ("/column", Some("age?"))]);
        assert!(Wrong::default().into_result().is_ok());
    }

    #[test]
    fn keys_that_look_like_a_pointer_are_escaped() {
        assert_eq!(pointer(["rules", "a/b~c", ""]), "/rules/a~1b~0c/");
    }
}
