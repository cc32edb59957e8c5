//! Frames of windows that end further away than rows can be counted: DataFusion (55.2) adds a `LIMIT` to that number, and
//! wraps around. And frames by distances of what has none: it takes them for a mistake of its own.

use crate::peers::{has_distances, names_a_distance};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result as Found, ScalarValue};
use datafusion::logical_expr::expr::WindowFunction;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, WindowFrameBound, WindowFrameUnits};
use flight_common::Fault;

/// What is wrong with a frame in a node of a plan.
pub(super) fn wrong(node: &LogicalPlan) -> Found<Option<Fault>> {
    let LogicalPlan::Window(window) = node else { return Ok(None) };
    let mut offence = None;
    for expr in &window.window_expr {
        expr.apply(|part| {
            if let Expr::WindowFunction(function) = part {
                let frame = &function.params.window_frame;
                let too_far = [&frame.start_bound, &frame.end_bound].into_iter().find_map(too_far);
                let found = too_far.or_else(|| without_distances(function, window.input.schema()));
                offence = offence.take().or(found);
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

fn without_distances(function: &WindowFunction, schema: &DFSchema) -> Option<Fault> {
    let frame = &function.params.window_frame;
    let key = function.params.order_by.first()?.expr.get_type(schema).ok()?;
    if frame.units != WindowFrameUnits::Range || has_distances(&key) {
        return None;
    }
    if matches!(key, DataType::Interval(_)) {
        let fault = Fault::bad_params("a window cannot be ordered by an interval, which has no length of its own");
        return Some(fault.help("order by a time, or by the difference of two"));
    }
    names_a_distance(frame).then(|| {
        Fault::bad_params(format!(
            "a window by distances (RANGE … PRECEDING) cannot be ordered by values of type {key}"
        ))
        .help("order by numbers, days or timestamps, or write ROWS or GROUPS")
    })
}

#[cfg(test)]
mod tests {
    use crate::{check_plan, session};
    use datafusion::execution::runtime_env::RuntimeEnv;
    use datafusion::prelude::{SessionConfig, SessionContext};
    use std::sync::Arc;

    #[tokio::test]
    async fn a_window_by_distances_is_over_what_has_some() {
        const LENGTHS: &str = "(VALUES (INTERVAL '1 day', 1, TIME '12:00:00')) AS v(a, n, t)";
        let state = session(SessionConfig::new(), Arc::new(RuntimeEnv::default())).build();
        let context = SessionContext::new_with_state(state);
        for (window, refused) in [
            ("rank() OVER (ORDER BY a)", true),
            ("rank() OVER (ORDER BY n, a)", false),
            ("rank() OVER (ORDER BY t)", false),
            ("count(*) OVER (ORDER BY t RANGE INTERVAL '1 hour' PRECEDING)", true),
            ("count(*) OVER (ORDER BY t ROWS 1 PRECEDING)", false),
        ] {
            let sql = format!("SELECT {window} FROM {LENGTHS}");
            let plan = context.state().create_logical_plan(&sql).await.expect("a plan");
            assert_eq!(check_plan(&plan, &sql).is_err(), refused, "{sql}");
        }
    }
}
