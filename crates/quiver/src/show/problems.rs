//! What is wrong, with the line of YAML underlined, the cause, and what to try.

use flight_common::{Fault, passwords, telemetry};
use miette::{Diagnostic, GraphicalReportHandler, LabeledSpan, NamedSource, Severity, SourceCode};
use orchestrator::pipeline::{Problem, Problems, Source};
use std::fmt;

/// Bytes of the longest line that is drawn: a longer one would fill the screen.
const LONGEST_LINE: usize = 500;

/// Shows every problem of a pipeline.
pub fn problems(source: &Source, problems: &Problems) {
    let text = NamedSource::new(source.name(), passwords::hidden(source.text())).with_language("yaml");
    for problem in problems.iter() {
        match source.line_at(problem.span.start).len() {
            0..=LONGEST_LINE => show(&Shown { problem, text: Some(&text) }),
            _ => {
                show(&Shown { problem, text: None });
                super::tell(format_args!("  at {}:{}:{}\n", source.name(), problem.line, problem.column));
            }
        }
    }
    let count = problems.iter().count();
    let what = if count == 1 { "1 problem".to_owned() } else { format!("{count} problems") };
    super::tell(format_args!("{}: {what}; nothing has run", source.name()));
}

/// Shows a fault that has no place in a pipeline.
pub fn fault(fault: &Fault) {
    show(&ShownFault(fault));
}

fn show(diagnostic: &dyn Diagnostic) {
    let mut text = String::new();
    let handler = match telemetry::colors() {
        true => GraphicalReportHandler::new(),
        false => GraphicalReportHandler::new_themed(miette::GraphicalTheme::unicode_nocolor()),
    };
    match handler.with_width(super::width()).render_report(&mut text, diagnostic) {
        Ok(()) => super::tell(text),
        Err(_) => super::tell(diagnostic),
    }
}

struct Shown<'a> {
    problem: &'a Problem,
    /// What to underline it in.
    text: Option<&'a NamedSource<String>>,
}

impl fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problem.message)
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problem.message)
    }
}

impl std::error::Error for Shown<'_> {}

impl Diagnostic for Shown<'_> {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.problem.code))
    }

    fn severity(&self) -> Option<Severity> {
        Some(Severity::Error)
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.problem.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.text.map(|text| text as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let span = self.problem.span.clone();
        Some(Box::new(std::iter::once(LabeledSpan::new(Some("here".to_owned()), span.start, span.len().max(1)))))
    }
}

struct ShownFault<'a>(&'a Fault);

impl fmt::Debug for ShownFault<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Display for ShownFault<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.with_place())
    }
}

impl std::error::Error for ShownFault<'_> {}

impl Diagnostic for ShownFault<'_> {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.0.kind()))
    }

    fn severity(&self) -> Option<Severity> {
        Some(Severity::Error)
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.0.help_text().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }
}
