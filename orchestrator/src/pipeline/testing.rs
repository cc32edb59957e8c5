//! Plans as unit tests make them.

use super::{Plan, PlannedNode, RunRules};
use flight_common::{Effects, StepKind};
use serde_json::Value;

/// A node without inputs, outputs and parameters.
pub(crate) fn node(id: &str, step: &str, kind: StepKind) -> PlannedNode {
    PlannedNode {
        id: id.to_owned(),
        step: step.to_owned(),
        version: "1".to_owned(),
        kind,
        effects: Effects::None,
        params: Value::Null,
        inputs: Vec::new(),
        after: Vec::new(),
        outputs: Vec::new(),
        claimed: Vec::new(),
        source: None,
        datasets: Vec::new(),
        when: None,
        asks: Vec::new(),
        left_out: false,
        finally: false,
        timeout: None,
        checkpoint: false,
    }
}

/// A plan of these nodes.
pub(crate) fn plan(nodes: Vec<PlannedNode>) -> Plan {
    Plan { name: "p".to_owned(), rules: RunRules::default(), nodes }
}
