//! Who feeds whom.

use super::steps::{only, planned, told};
use orchestrator::pipeline::{Plan, PlannedNode};

const READ: &str = "steps:\n  - {id: a, service: read-rows, params: {columns: [x]}}\n";

/// `id<inputs>after`, by ids.
fn joined(plan: &Plan) -> Vec<String> {
    let id = |place: &usize| plan.nodes[*place].id.clone();
    let node = |node: &PlannedNode| {
        let inputs: Vec<String> =
            node.inputs.iter().map(|input| format!("{}={}.{}", input.name, id(&input.node), input.output)).collect();
        format!("{}<{}>{}", node.id, inputs.join(","), node.after.iter().map(id).collect::<Vec<_>>().join(","))
    };
    plan.nodes.iter().map(node).collect()
}

#[tokio::test]
async fn dependencies_feed_the_inputs_in_order_and_further_ones_only_order() {
    let plan = planned(
        "steps:\n  - {id: p, service: pair, depends_on: [b, a, gate]}\n  \
         - {id: b, service: read-rows, params: {columns: [y]}, depends_on: gate}\n  \
         - {id: a, service: read-rows, params: {columns: [x]}}\n  \
         - {id: gate, service: store, depends_on: other}\n  \
         - {id: other, service: read-rows, params: {columns: [z]}}\n",
    )
    .await;
    assert_eq!(
        joined(&plan),
        ["a<>", "other<>", "gate<input=other.output>", "b<>gate", "p<left=b.output,right=a.output>gate"]
    );
}

#[tokio::test]
async fn inputs_may_be_named_and_outputs_too() {
    let plan = planned(&format!(
        "{READ}  - {{id: s, service: split, depends_on: [a]}}\n  \
         - {{id: p, service: pair, inputs: {{right: s.rejected, left: s}}}}\n  \
         - {{id: bad, service: store, depends_on: [s.rejected]}}\n  \
         - {{id: l, service: store, inputs: {{input: p}}, depends_on: [bad]}}\n"
    ))
    .await;
    assert_eq!(joined(&plan)[2], "p<left=s.passed,right=s.rejected>");
    assert_eq!(joined(&plan)[4], "l<input=p.output>bad");
    assert_eq!(plan.nodes[1].claimed, ["rejected"]);
    assert_eq!(plan.nodes[2].outputs[0].1.fields().len(), 2);
    assert_eq!(plan.nodes[3].outputs[0].0, "output");
}

#[tokio::test]
async fn a_step_does_not_wait_for_the_end_of_what_feeds_it() {
    let plan = planned(&format!(
        "{READ}  - {{id: d, service: drop-columns, params: {{columns: []}}, depends_on: [a, a]}}\n  \
         - {{id: e, service: drop-columns, params: {{columns: []}}, depends_on: [d, a]}}\n  \
         - {{id: l, service: store, inputs: {{input: e}}, depends_on: [e, d, a]}}\n"
    ))
    .await;
    assert_eq!(joined(&plan), ["a<>", "d<input=a.output>", "e<input=d.output>", "l<input=e.output>"]);
}

#[tokio::test]
async fn both_inputs_may_come_from_one_step_and_a_receipt_feeds_too() {
    let plan = planned(&format!(
        "{READ}  - {{id: p, service: pair, depends_on: [a, a]}}\n  - {{id: l, service: store, depends_on: p}}\n  \
         - {{id: again, service: drop-columns, params: {{columns: []}}, depends_on: l}}\n"
    ))
    .await;
    assert_eq!(joined(&plan)[1], "p<left=a.output,right=a.output>");
    assert_eq!(plan.nodes[3].outputs[0].1.field(0).name(), "path");
}

#[tokio::test]
async fn an_id_may_be_used_once() {
    // The second step is another one, and whoever names the id means the first.
    let problem = only(&format!("{READ}  - {{id: «a», service: store, depends_on: [a]}}\n"), "duplicate-id").await;
    assert!(problem.message.contains("line 2"));
}

#[tokio::test]
async fn unknown_names_are_told_with_the_nearest() {
    let yaml = "
  - {id: split_rows, service: split, depends_on: [a]}
  - {id: c, service: «stroe», depends_on: [«split_row»]}
  - {id: d, service: store, depends_on: [«split_rows.reject», «a.x»]}
  - {id: «e», service: pair, inputs: {left: a, «rigth»: a}}
";
    let codes =
        ["unknown-service", "unknown-dependency", "unknown-output", "unknown-output", "wrong-inputs", "wrong-inputs"];
    let found = told(&format!("{}{yaml}", READ.trim_end()), &codes).await;
    let help: Vec<_> = found.iter().filter_map(|problem| problem.help.as_deref()).collect();
    let expected = [
        "did you mean \"store\"?",
        "did you mean \"split_rows\"?",
        "did you mean \"rejected\"?",
        "there are: output",
        "name the steps that feed it, in this order: depends_on: [left, right]",
        "did you mean \"right\"?",
    ];
    assert_eq!(help, expected);
}

#[tokio::test]
async fn the_number_of_inputs_must_be_right() {
    let none = only(&format!("{READ}  - {{id: «s», service: store}}\n"), "wrong-inputs").await;
    assert_eq!(none.message, "store takes 1 input (input), and none is given");
    let one = only(&format!("{READ}  - {{id: «p», service: pair, depends_on: a}}\n"), "wrong-inputs").await;
    assert_eq!(one.message, "pair takes 2 inputs (left, right), and only 1 is given");
    let named = "  - {id: r, service: read-rows, params: {columns: [x]}, inputs: {«input»: a}}\n";
    only(&format!("{READ}{named}"), "wrong-inputs").await;
}

#[tokio::test]
async fn a_step_that_takes_any_inputs_is_fed_by_names_of_the_authors() {
    let plan = planned(&format!(
        "{READ}  - {{id: s, service: split, depends_on: a}}\n  \
         - {{id: g, service: gather, inputs: {{orders: a, bad-ones: s.rejected}}, depends_on: last}}\n  \
         - {{id: last, service: store, depends_on: [a]}}\n  \
         - {{id: one, service: gather, depends_on: g}}\n"
    ))
    .await;
    let gathered = joined(&plan);
    assert!(gathered.contains(&"g<orders=a.output,bad-ones=s.rejected>last".to_owned()), "{gathered:?}");
    assert!(gathered.contains(&"one<input=g.output>".to_owned()), "{gathered:?}");
    let column = |id: &str| {
        let node = plan.nodes.iter().find(|node| node.id == id).expect("planned");
        node.outputs[0].1.field(0).name().clone()
    };
    assert_eq!(column("g"), "orders:x bad-ones:why");
    assert_eq!(column("one"), "input:orders:x bad-ones:why");
}

#[tokio::test]
async fn several_inputs_without_names_and_names_that_are_none_are_refused() {
    let several = only(&format!("{READ}  - {{id: «g», service: gather, depends_on: [a, a]}}\n"), "wrong-inputs").await;
    assert_eq!(several.message, "gather takes one input or more, and of 2 it does not know the names");
    assert!(several.help.is_some_and(|help| help.contains("inputs: {orders: a, customers: b}")));
    let none = only(&format!("{READ}  - {{id: «g», service: gather}}\n"), "wrong-inputs").await;
    assert_eq!(none.message, "gather takes one input or more, and none is given");
    only(&format!("{READ}  - {{id: g, service: gather, inputs: {{b: a, «a b»: a}}}}\n"), "wrong-inputs").await;
    only(&format!("{READ}  - {{id: g, service: gather, inputs: {{b: a, c: «x»}}}}\n"), "unknown-dependency").await;
}

#[tokio::test]
async fn cycles_are_named_each_of_them_whatever_else_is_wrong() {
    let yaml = "\
steps:
  - {id: «a», service: store, depends_on: [c]}
  - {id: b, service: «nonsense», depends_on: [a]}
  - {id: c, service: store, depends_on: [b]}
  - {id: «d», service: store, depends_on: [e]}
  - {id: e, service: store, depends_on: [d]}
  - {id: f, service: store, depends_on: [«f»]}
";
    let found = told(yaml, &["cycle", "unknown-service", "cycle", "cycle"]).await;
    let messages: Vec<_> = found.iter().filter(|one| one.code == "cycle").map(|one| one.message.as_str()).collect();
    let expected = [
        "these steps wait for each other: a → b → c → a",
        "these steps wait for each other: d → e → d",
        "\"f\" depends on itself",
    ];
    assert_eq!(messages, expected);
}

#[tokio::test]
async fn ordering_alone_can_close_a_cycle() {
    let yaml = "\
steps:
  - {id: «a», service: read-rows, params: {columns: [x]}, depends_on: [l]}
  - {id: l, service: store, depends_on: [a]}
";
    only(yaml, "cycle").await;
}

#[tokio::test]
async fn a_long_chain_in_reverse_is_ordered() {
    let mut yaml = "steps:\n".to_owned();
    for n in (1..600).rev() {
        yaml += &format!("  - {{id: s{n}, service: store, depends_on: [s{}]}}\n", n - 1);
    }
    yaml += "  - {id: s0, service: read-rows, params: {columns: [x]}}\n";
    let plan = planned(&yaml).await;
    let ids: Vec<String> = plan.nodes.iter().map(|node| node.id.clone()).collect();
    assert_eq!(ids, (0..600).map(|n| format!("s{n}")).collect::<Vec<_>>());
}
