//! What can go wrong, as one closed set.
//!
//! A [`Fault`] says what happened, where (step, column, row) and what to try. Steps make one with the constructor of
//! its kind (`Fault::bad_data("…").column("age").row(17).help("…")`); the edge turns it into a gRPC status
//! ([`status`]) or an HTTP answer. Errors of libraries never cross that edge as they are: what is not expected becomes
//! [`FaultKind::Internal`], whose cause goes to the log and whose id goes to the user.

mod io;
mod status;
mod violation;

pub use violation::{TextPlace, Violation};

use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// The kinds of fault. Each maps to one gRPC code and one HTTP status, and is either worth a retry or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// A parameter is missing, unknown or of the wrong type.
    BadParams,
    /// A column is missing or of the wrong type.
    BadSchema,
    /// A value cannot be taken, or a quality gate failed.
    BadData,
    /// The caller may not do this: a path outside the data root, say.
    Denied,
    /// The caller did not say who they are.
    Unauthenticated,
    /// There is no such file, step, output or run.
    NotFound,
    /// A source or peer is not reachable, or a stream was cut short.
    Upstream,
    /// Memory, disk, or a quota is used up.
    Busy,
    /// Somebody asked to stop.
    Cancelled,
    /// A deadline passed.
    TimedOut,
    /// A bug, or a failure that nobody foresaw.
    Internal,
}

impl FaultKind {
    /// Every kind, in the order of the documentation.
    pub const ALL: [FaultKind; 11] = [
        Self::BadParams,
        Self::BadSchema,
        Self::BadData,
        Self::Denied,
        Self::Unauthenticated,
        Self::NotFound,
        Self::Upstream,
        Self::Busy,
        Self::Cancelled,
        Self::TimedOut,
        Self::Internal,
    ];

    /// The name used on the wire and in JSON: `bad_data`.
    pub fn name(self) -> &'static str {
        match self {
            Self::BadParams => "bad_params",
            Self::BadSchema => "bad_schema",
            Self::BadData => "bad_data",
            Self::Denied => "denied",
            Self::Unauthenticated => "unauthenticated",
            Self::NotFound => "not_found",
            Self::Upstream => "upstream",
            Self::Busy => "busy",
            Self::Cancelled => "cancelled",
            Self::TimedOut => "timed_out",
            Self::Internal => "internal",
        }
    }

    /// The kind of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Whether the same call may succeed later.
    pub fn retryable(self) -> bool {
        matches!(self, Self::Upstream | Self::Busy | Self::TimedOut)
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A failure, told so that a user can act on it.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fault(Box<Details>);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Details {
    kind: FaultKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    step: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    column: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    row: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    help: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    violations: Vec<Violation>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
}

macro_rules! constructors {
    ($($name:ident => $kind:ident, $doc:literal;)*) => {$(
        #[doc = $doc]
        pub fn $name(message: impl Into<String>) -> Self {
            Self::new(FaultKind::$kind, message)
        }
    )*};
}

/// Bytes of the longest text of a fault. Some quote what they were given, and that has no bound.
const LONGEST: usize = 8 << 10;

fn shortened(text: String) -> String {
    status::shortened(text, LONGEST)
}

impl Fault {
    /// A fault of this kind. The message says what happened, without a full stop.
    pub fn new(kind: FaultKind, message: impl Into<String>) -> Self {
        Self(Box::new(Details {
            kind,
            code: None,
            message: shortened(message.into()),
            step: None,
            column: None,
            row: None,
            help: None,
            violations: Vec::new(),
            retry_after_ms: None,
        }))
    }

    constructors! {
        bad_params => BadParams, "A parameter is missing, unknown or wrong.";
        bad_schema => BadSchema, "A column is missing or of the wrong type.";
        bad_data => BadData, "A value cannot be taken, or a quality gate failed.";
        denied => Denied, "The caller may not do this.";
        unauthenticated => Unauthenticated, "The caller did not say who they are.";
        not_found => NotFound, "There is no such thing.";
        upstream => Upstream, "A source or peer is not reachable, or a stream was cut short.";
        busy => Busy, "Memory, disk or a quota is used up.";
        cancelled => Cancelled, "Somebody asked to stop.";
        timed_out => TimedOut, "A deadline passed.";
    }

    /// A failure that nobody foresaw. The cause is logged under an id; the user sees the id and not the cause.
    pub fn internal(cause: impl fmt::Display) -> Self {
        let id = uuid::Uuid::now_v7().simple().to_string();
        tracing::error!(fault_id = %id, cause = %cause, "unexpected failure");
        Self::new(FaultKind::Internal, format!("unexpected failure {id}"))
            .help(format!("look for {id} in the service's log, and report it"))
    }

    /// Says what REST calls it, which has codes beside the kinds: `illegal_move`.
    pub fn code(mut self, code: impl Into<String>) -> Self {
        self.0.code = Some(shortened(code.into()));
        self
    }

    /// Names the step it happened in, unless a step nearer to it has been named.
    pub fn step(mut self, step: impl Into<String>) -> Self {
        self.0.step.get_or_insert(step.into());
        self
    }

    /// Names the step anew: by its id in a pipeline, which tells two steps of one kind apart.
    pub fn in_step(mut self, id: impl Into<String>) -> Self {
        self.0.step = Some(id.into());
        self
    }

    /// Names the column.
    pub fn column(mut self, column: impl Into<String>) -> Self {
        self.0.column = Some(shortened(column.into()));
        self
    }

    /// Tells the row, counted from 1 (for a text file: its line).
    pub fn row(mut self, row: u64) -> Self {
        self.0.row = Some(row);
        self
    }

    /// Says what to try.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.0.help = Some(shortened(help.into()));
        self
    }

    /// Adds one thing that is wrong with the parameters.
    pub fn violation(mut self, pointer: impl Into<String>, message: impl Into<String>) -> Self {
        self.0.violations.push(Violation::new(pointer, shortened(message.into())));
        self
    }

    /// Says where in the texts that its violations point to.
    pub fn in_text(mut self, place: TextPlace) -> Self {
        self.0.violations.iter_mut().for_each(|violation| violation.place = Some(place));
        self
    }

    /// Sets all that is wrong with the parameters.
    pub fn with_violations(mut self, violations: Vec<Violation>) -> Self {
        let short = |it: Violation| Violation { message: shortened(it.message), help: it.help.map(shortened), ..it };
        self.0.violations = violations.into_iter().map(short).collect();
        self
    }

    /// Tells when a retry makes sense.
    pub fn retry_after(mut self, delay: Duration) -> Self {
        self.0.retry_after_ms = Some(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX));
        self
    }

    /// Its kind.
    pub fn kind(&self) -> FaultKind {
        self.0.kind
    }

    /// What happened.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The step it happened in, where known.
    pub fn step_name(&self) -> Option<&str> {
        self.0.step.as_deref()
    }

    /// The column it is about, where there is one.
    pub fn column_name(&self) -> Option<&str> {
        self.0.column.as_deref()
    }

    /// The row it is about, counted from 1.
    pub fn row_number(&self) -> Option<u64> {
        self.0.row
    }

    /// It as people read it, with the row and the column that it is about, where its message does not name them.
    pub fn with_place(&self) -> String {
        let named = |part: String| self.message().contains(&part);
        let is_new = |row: &u64| !["row", "line", "record"].iter().any(|word| named(format!("{word} {row}")));
        let row = self.row_number().filter(is_new).map(|row| format!("row {row}"));
        let column = self.column_name().map(|column| format!("\"{column}\""));
        let column = column.filter(|column| !named(column.clone())).map(|column| format!("column {column}"));
        let place: Vec<String> = row.into_iter().chain(column).collect();
        if place.is_empty() { self.to_string() } else { format!("{self} ({})", place.join(", ")) }
    }

    /// What to try.
    pub fn help_text(&self) -> Option<&str> {
        self.0.help.as_deref()
    }

    /// What is wrong with the parameters, one by one.
    pub fn violations(&self) -> &[Violation] {
        &self.0.violations
    }

    /// What to try about one of them. What the fault as a whole says is for a violation that stands alone: of several, it
    /// may mean another.
    pub fn help_for<'a>(&'a self, violation: &'a Violation) -> Option<&'a str> {
        let whole = self.help_text().filter(|_| self.violations().len() == 1);
        violation.help.as_deref().or(whole)
    }

    /// When a retry makes sense.
    pub fn retry_delay(&self) -> Option<Duration> {
        self.0.retry_after_ms.map(Duration::from_millis)
    }
}

/// `step: message`, and what to try after a semicolon is left to [`Fault::help_text`].
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(step) = &self.0.step {
            write!(f, "{step}: ")?;
        }
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl std::error::Error for Fault {}

/// A failed Arrow computation. Steps check types when they plan, so that one reaching this place was not foreseen;
/// overflow and bad values keep their message, since it speaks of the user's data.
impl From<arrow::error::ArrowError> for Fault {
    fn from(error: arrow::error::ArrowError) -> Self {
        use arrow::error::ArrowError as A;
        match error {
            A::ExternalError(source) => match source.downcast::<Fault>() {
                Ok(fault) => *fault,
                Err(other) => Self::internal(other),
            },
            A::DivideByZero => Self::bad_data("a division by zero"),
            A::ArithmeticOverflow(what) => Self::bad_data(format!("a number grew too large: {what}")),
            A::IoError(what, source) => Self::io(what, &source),
            other => Self::internal(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_names_its_nearest_step() {
        let fault = Fault::bad_data("gate failed").step("quality").step("run");
        assert_eq!(fault.to_string(), "quality: gate failed");
    }

    #[test]
    fn people_read_the_row_and_the_column_once() {
        let fault = || Fault::bad_data("value \"100000\" is out of range").step("s").column("i").row(70_001);
        assert_eq!(fault().with_place(), "s: value \"100000\" is out of range (row 70001, column \"i\")");
        assert_eq!(Fault::bad_data("no \"i\"").column("i").with_place(), "no \"i\"");
        assert_eq!(Fault::bad_data("line 3: ragged").row(3).with_place(), "line 3: ragged");
    }

    #[test]
    fn the_help_of_a_fault_is_for_a_violation_that_stands_alone() {
        let one = Fault::bad_params("a").help("try b").violation("/a", "a");
        assert_eq!(one.help_for(&one.violations()[0]), Some("try b"));
        let two = one.violation("/c", "c");
        assert!(two.violations().iter().all(|violation| two.help_for(violation).is_none()));
    }

    #[test]
    fn what_a_fault_quotes_is_cut_short() {
        let endless = "é".repeat(1 << 20);
        let whole = Fault::bad_schema(&*endless).column(&*endless).help(&*endless).violation("/a", &*endless);
        let fault =
            whole.clone().with_violations(vec![Violation { help: Some(endless), ..whole.violations()[0].clone() }]);
        assert!(format!("{fault:?}").len() < 6 * LONGEST);
        assert!(fault.message().ends_with('…'));
    }

    #[test]
    fn every_kind_has_a_name_of_its_own() {
        for kind in FaultKind::ALL {
            assert_eq!(FaultKind::from_name(kind.name()), Some(kind));
        }
    }
}
