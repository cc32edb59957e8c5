//! How an attempt ended.

use super::fingerprint::fingerprints;
use super::lineage::Touched;
use super::{RetryPolicy, Service, audit, earlier, tell};
use crate::pipeline::{self, Plan, Problem, Problems, Source};
use crate::run::RunReport;
use crate::store::{AuditRecord, Claim, Ending};
use flight_common::{Fault, FaultKind};
use serde_json::Value;

/// How an attempt ended, and what is stored and told of it.
pub(super) struct Ended {
    pub ending: Ending,
    pub report: Value,
    pub audit: Vec<AuditRecord>,
    pub touched: Touched,
    /// Whether what runs finally has had its turn.
    pub finished: bool,
}

impl Ended {
    /// Nothing of it ran.
    pub fn before_it_ran(ending: Ending) -> Self {
        Self { ending, report: Value::Null, audit: Vec::new(), touched: Touched::default(), finished: false }
    }
}

/// An attempt of which something ran, of which these records were written before.
pub(super) async fn written_down(
    service: &Service,
    claim: &Claim,
    plan: &Plan,
    report: &RunReport,
    ending: Ending,
    before: Vec<AuditRecord>,
) -> Ended {
    let audit = audit::written_down(service, claim, plan, report, before).await;
    let touched = tell::steps(service, claim, plan, report);
    let finished = report.finished;
    let mut report = serde_json::to_value(report).unwrap_or_default();
    let steps = report["steps"].as_array_mut().into_iter().flatten();
    // A later attempt may call its steps otherwise.
    for (step, print) in steps.zip(fingerprints(plan)) {
        step[earlier::FINGERPRINT] = print.into();
    }
    Ended { ending, report, audit, touched, finished }
}

/// What stands in the way of planning, as one fault: the first problem, and how many there are.
pub(super) fn unplanned(problems: &Problems) -> Fault {
    let Some(first) = problems.iter().next() else { return Fault::internal("no plan, and no problem") };
    let more = match problems.len() {
        1 => String::new(),
        count => format!(" (and {} more problems)", count - 1),
    };
    let kind = match problems.iter().find_map(Problem::transient) {
        Some(kind) => kind,
        None => FaultKind::BadParams,
    };
    let fault = Fault::new(kind, format!("line {}: {}{more}", first.line, first.message));
    match &first.help {
        Some(help) => fault.help(help),
        None => fault,
    }
}

/// When an attempt of this pipeline is followed by another one, and how many were begun before.
pub(super) fn policy_of(service: &Service, claim: &Claim, source: &Source) -> (RetryPolicy, u32) {
    let policy = service.0.settings.retry.ruled(&pipeline::rules(source).retry);
    (policy, u32::try_from(claim.tries).unwrap_or(u32::MAX))
}
