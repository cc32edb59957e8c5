//! What is wrong with a pipeline, and where.

use super::source::Span;
use flight_common::FaultKind;
use serde::Serialize;
use serde::ser::SerializeStruct;
use std::collections::HashSet;
use std::fmt;
use std::ops::Range;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// A short name for programs: `unknown-service`.
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
    /// What to try.
    pub help: Option<String>,
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1.
    pub column: usize,
    /// Bytes of the text to underline.
    pub span: Range<usize>,
}

impl Problem {
    /// A problem at this place. What a message quotes from the file is shown safely: no terminal codes, no endless text.
    pub fn at(span: &Span, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            message: shown(&message.into()),
            help: None,
            line: span.line,
            column: span.column,
            span: span.bytes.clone(),
        }
    }

    /// Says what to try.
    pub fn help(mut self, help: impl Into<Option<String>>) -> Self {
        self.help = help.into().map(|help| shown(&help));
        self
    }

    /// The kind of fault behind it, if it may be gone at the next try.
    pub fn transient(&self) -> Option<FaultKind> {
        match self.code {
            "unreachable" => Some(FaultKind::Upstream),
            "busy" => Some(FaultKind::Busy),
            "timed-out" => Some(FaultKind::TimedOut),
            _ => None,
        }
    }
}

fn shown(text: &str) -> String {
    const LONGEST: usize = 600;
    let mut safe = String::with_capacity(text.len().min(LONGEST));
    for (place, character) in text.chars().enumerate() {
        match character {
            _ if place == LONGEST => {
                safe.push('…');
                break;
            }
            '\n' => safe.push('\n'),
            control if control.is_control() => safe.extend(control.escape_default()),
            other => safe.push(other),
        }
    }
    safe
}

impl Serialize for Problem {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut shown = serializer.serialize_struct("Problem", 5)?;
        shown.serialize_field("line", &self.line)?;
        shown.serialize_field("column", &self.column)?;
        shown.serialize_field("code", self.code)?;
        shown.serialize_field("message", &self.message)?;
        shown.serialize_field("help", &self.help)?;
        shown.end()
    }
}

/// All that is wrong, in the order of the text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// None yet.
    pub fn none() -> Self {
        Self::default()
    }

    /// Adds one.
    pub fn push(&mut self, problem: Problem) {
        self.0.push(problem);
    }

    /// A service that is not known may be one of a server that has not answered yet.
    pub(super) fn blame_silent(&mut self, servers: &[String]) {
        if servers.is_empty() {
            return;
        }
        for problem in self.0.iter_mut().filter(|problem| problem.code == "unknown-service") {
            problem.code = "unreachable";
            problem.message += " on the servers that answer";
            problem.help = Some(format!("these do not answer: {}", servers.join(", ")));
        }
    }

    /// Them, one by one.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `value` if nothing is wrong.
    ///
    /// # Errors
    /// All that is wrong, as [`Problems::in_order`] gives it.
    pub fn or<T>(self, value: T) -> Result<T, Self> {
        if self.is_empty() { Ok(value) } else { Err(self.in_order()) }
    }

    /// Them, sorted by place, and each told once.
    pub fn in_order(mut self) -> Self {
        let mut told = HashSet::new();
        self.0.retain(|problem| told.insert((problem.span.start, problem.code, unlabelled(&problem.message))));
        self.0.sort_by_key(|problem| (problem.line, problem.column));
        self
    }
}

/// A message without the labels of repeated steps (`read[north]`): a mistake in one of them is one in all.
fn unlabelled(message: &str) -> String {
    let mut plain = String::with_capacity(message.len());
    let mut rest = message;
    while let Some((before, (_, after))) =
        rest.split_once('[').and_then(|(before, it)| Some((before, it.split_once(']')?)))
    {
        plain.push_str(before);
        rest = after;
    }
    plain + rest
}

impl Extend<Problem> for Problems {
    fn extend<I: IntoIterator<Item = Problem>>(&mut self, problems: I) {
        self.0.extend(problems);
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.0 {
            writeln!(f, "{}:{}: {}", problem.line, problem.column, problem.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(line: usize, column: usize, message: &str) -> Problem {
        let start = line * 100 + column;
        Problem::at(&Span { line, column, bytes: start..start + 1 }, "yaml", message)
    }

    #[test]
    fn problems_come_in_the_order_of_the_text_and_once() {
        let mut problems = Problems::none();
        problems.extend([at(3, 1, "c"), at(1, 9, "b"), at(3, 1, "c"), at(1, 2, "a"), at(3, 1, "d")]);
        let found = problems.or(()).expect_err("problems");
        let messages: Vec<&str> = found.iter().map(|problem| problem.message.as_str()).collect();
        assert_eq!(messages, ["a", "b", "c", "d"]);
    }

    #[test]
    fn a_problem_for_programs_has_five_fields() {
        let problem = at(2, 3, "wrong").help("right".to_owned());
        let json = serde_json::to_string(&problem).expect("JSON");
        assert_eq!(json, r#"{"line":2,"column":3,"code":"yaml","message":"wrong","help":"right"}"#);
    }

    #[test]
    fn what_is_quoted_from_a_file_is_shown_safely() {
        let problem = at(1, 1, &format!("\u{1b}[31m{}", "x".repeat(10_000)));
        assert!(problem.message.starts_with("\\u{1b}[31mx") && problem.message.chars().count() < 620);
    }
}
