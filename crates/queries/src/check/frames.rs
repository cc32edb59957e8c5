//! Frames of windows that end further away than rows can be counted: DataFusion (55.2) adds a `LIMIT` to that number, and
//! wraps around.

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Result as Found, ScalarValue};
use datafusion::logical_expr::{Expr, LogicalPlan, WindowFrameBound};
use flight_common::Fault;

/// What is wrong with a frame in a node of a plan.
pub(super) fn wrong(node: &LogicalPlan) -> Found<Option<Fault>> {
    let LogicalPlan::Window(window) = node else { return Ok(None) };
    let mut offence = None;
    for expr in &window.window_expr {
        expr.apply(|part| {
            if let Expr::WindowFunction(function) = part {
                let frame = &function.params.window_frame;
                offence = [&frame.start_bound, &frame.end_bound].into_iter().find_map(too_far);
            }
            Ok(if offence.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        })?;
    }
    Ok(offence)
}

fn too_far(bound: &WindowFrameBound) -> Option<Fault> {
    let (WindowFrameBound::Preceding(rows) | WindowFrameBound::Following(rows)) = bound else { return None };
    let ScalarValue::UInt64(Some(rows)) = rows else { return None };
    (i64::try_from(*rows).is_err()).then(|| {
        Fault::bad_params(format!("a frame of a window reaches {rows} rows, and {} is the most", i64::MAX))
            .help("write UNBOUNDED PRECEDING or UNBOUNDED FOLLOWING")
    })
}
