//! What a step refuses when it is planned, at its place in the pipeline.

use super::graph::Node;
use super::problem::Problem;
use super::source::{Source, Span};
use super::yaml::Yaml;
use flight_common::{Fault, FaultKind, Violation};

/// What a step said when it was planned: one problem for each parameter that it points to.
pub(super) fn refused(source: &Source, node: &Node, fault: &Fault) -> Vec<Problem> {
    if fault.violations().is_empty() {
        return vec![from_fault(&fault.clone().in_step(&node.id), &node.id_span)];
    }
    let problems = fault.violations().iter().map(|violation| {
        let help = fault.help_for(violation).map(str::to_owned);
        from_violation(source, node, fault.kind(), &violation.clone().help(help))
    });
    problems.collect()
}

/// What one violation of a step's parameters means to whoever wrote the pipeline.
pub(super) fn from_violation(source: &Source, node: &Node, kind: FaultKind, violation: &Violation) -> Problem {
    let code = match violation.message.as_str() {
        text if kind == FaultKind::BadParams && text.contains("unknown parameter") => "unknown-param",
        text if kind == FaultKind::BadParams && text.contains("missing parameter") => "missing-param",
        _ => code(kind),
    };
    let span = match &node.params {
        Some(params) if code == "unknown-param" => params.locate_key(&violation.pointer),
        // What is missing has no place of its own.
        Some(params) if !violation.pointer.is_empty() => located(source, params, violation),
        _ => node.service_span.clone(),
    };
    let manual = || Some(format!("`quiver steps {}` explains its parameters", node.description.as_ref()?.name));
    Problem::at(&span, code, format!("{}: {}", node.id, violation.message)).help(violation.help.clone().or_else(manual))
}

/// Where the value stands that a violation is about, or the word in it.
fn located(source: &Source, params: &Yaml, violation: &Violation) -> Span {
    let span = params.locate(&violation.pointer);
    let value = params.at(&violation.pointer).and_then(Yaml::text);
    let word = value.zip(violation.place).and_then(|(text, place)| source.word_within(&span, text, place));
    word.unwrap_or(span)
}

/// A fault that has no better place than this one.
pub(super) fn from_fault(fault: &Fault, span: &Span) -> Problem {
    Problem::at(span, code(fault.kind()), fault.to_string()).help(fault.help_text().map(str::to_owned))
}

fn code(kind: FaultKind) -> &'static str {
    match kind {
        FaultKind::BadParams => "bad-params",
        FaultKind::BadSchema => "bad-schema",
        FaultKind::BadData => "bad-data",
        FaultKind::Denied => "denied",
        FaultKind::Unauthenticated => "unauthenticated",
        FaultKind::NotFound => "not-found",
        FaultKind::Upstream => "unreachable",
        FaultKind::Busy => "busy",
        FaultKind::Cancelled => "cancelled",
        FaultKind::TimedOut => "timed-out",
        FaultKind::Internal => "internal",
    }
}
