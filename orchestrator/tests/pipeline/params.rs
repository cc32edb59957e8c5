//! Parameters of a pipeline: declared, given, put where placeholders stand.

use super::steps::{only, planner, told};
use orchestrator::pipeline::{self, Arguments, Plan, Problems, Source, check_unfilled};
use serde_json::{Value, json};

async fn given(yaml: &str, params: Value) -> Result<Plan, Problems> {
    let params = params.as_object().expect("an object").clone().into_iter().collect();
    let arguments = Arguments { params, ..Arguments::default() };
    pipeline::check(&Source::new("test.yaml", yaml), &arguments, &planner()).await
}

const FILE: &str = r#"
params:
  name: x
  low: {type: integer, enum: [1, 2, 3], description: The lowest.}
  day: {type: date, default: 2024-02-29}
  absent: {default: false}
steps:
  - id: a
    service: read-rows
    params: {columns: ["{{ name }}", "t_{{ day }}_{{ low }}", '\{{ name }}', "{{ \"{{\" }}"], absent: "{{ absent }}"}
  - {id: d, service: drop-columns, depends_on: a, params: {columns: ["{{ name }}"], bounds: {lowest: "{{low}}"}}}
"#;

#[tokio::test]
async fn a_whole_placeholder_is_typed_and_one_within_a_text_is_written_out() {
    let plan = given(FILE, json!({"low": 2})).await.expect("good");
    let first = json!({"columns": ["x", "t_2024-02-29_2", "{{ name }}", "{{"], "absent": false});
    assert_eq!(plan.nodes[0].params, first);
    assert_eq!(plan.nodes[1].params, json!({"columns": ["x"], "bounds": {"lowest": 2}}));
}

#[tokio::test]
async fn a_text_that_is_given_is_read_as_the_type() {
    let given = given(FILE, json!({"low": "3", "day": "2023-01-01", "absent": "false", "name": "t"})).await;
    let plan = given.expect("good");
    assert_eq!(plan.nodes[0].params["columns"][1], "t_2023-01-01_3");
    assert_eq!(plan.nodes[1].params["bounds"]["lowest"], 3);
}

#[tokio::test]
async fn what_is_given_wrong_is_told_at_the_declaration() {
    let wrong = given(FILE, json!({"low": "low", "day": "2023-02-29", "absent": 1, "nme": "x"})).await;
    let wrong = wrong.expect_err("wrong");
    let places: Vec<_> = wrong.iter().map(|one| (one.line, one.column, one.code)).collect();
    assert_eq!(places, [(1, 1, "unknown-param"), (4, 3, "bad-value"), (5, 3, "bad-value"), (6, 3, "bad-value")]);
    let helps: Vec<_> = wrong.iter().filter_map(|one| one.help.as_deref()).collect();
    assert_eq!(helps[0], "did you mean \"name\"?");
    let wrong = given(FILE, json!({"low": 4})).await.expect_err("wrong");
    let told: Vec<_> = wrong.iter().map(|one| (one.message.as_str(), one.help.as_deref())).collect();
    assert_eq!(told, [("the value given for \"low\" is 4, which \"low\" may not be", Some("there are: 1, 2, 3"))]);
}

#[tokio::test]
async fn a_parameter_without_a_value_is_told_unless_the_pipeline_is_only_kept() {
    let marked = FILE.replace("low:", "«low»:");
    let problem = only(&marked, "missing-value").await;
    assert_eq!(problem.message, "the parameter \"low\" has no value");
    check_unfilled(&Source::new("test.yaml", FILE), &planner()).await.expect("its value may come later");
    let broken = FILE.replace("service: read-rows", "service: read-rowz");
    let problems = check_unfilled(&Source::new("test.yaml", broken), &planner()).await.expect_err("still checked");
    assert_eq!(problems.iter().map(|one| one.code).collect::<Vec<_>>(), ["unknown-service"]);
}

#[tokio::test]
async fn wrong_placeholders_are_told_where_they_stand() {
    let yaml = r#"
params: {name: x, «unused»: 1}
steps:
  - id: a
    service: read-rows
    params:
      columns: [«"{{ nmae }}"», «"a{{ name"», «"{{ name + 1 }}"», "{{ name }}"]
"#;
    let found = told(yaml, &["unused-param", "unknown-param", "bad-placeholder", "bad-placeholder"]).await;
    assert_eq!(found[1].help.as_deref(), Some("did you mean \"name\"?"));
}

#[tokio::test]
async fn a_value_that_a_step_refuses_is_told_where_it_is_used() {
    let yaml = "
params: {n: 5, mode: sampel}
steps:
  - {id: a, service: read-rows, params: {columns: [«'{{ n }}'»], mode: «'{{ mode }}'»}}
";
    let found = told(yaml, &["bad-params", "bad-params"]).await;
    assert_eq!(found[1].help.as_deref(), Some("did you mean \"sample\"?"));
}

#[tokio::test]
async fn wrong_declarations_are_told_each_at_its_place() {
    let yaml = r#"
params:
  «1st»: 1
  list: «[»1]
  nothing: «~»
  kind: {type: «text»}
  typed: {type: integer, default: «"7"», enum: [1, «two»]}
  other: {enum: [a, b], default: «c», «defualt»: a}
  empty: {enum: «[»], description: «7»}
steps:
  - id: a
    service: read-rows
    params: {columns: ["{{ list }}{{ nothing }}{{ kind }}{{ typed }}{{ other }}{{ empty }}"], absent: «"{{ 1st }}"»}
"#;
    let codes = [
        "bad-name",
        "wrong-type",
        "wrong-type",
        "unknown-type",
        "bad-value",
        "bad-value",
        "bad-value",
        "unknown-key",
        "wrong-type",
        "wrong-type",
        "bad-placeholder",
    ];
    let found = told(yaml, &codes).await;
    assert!(found.iter().any(|one| one.message == "the default is \"7\", which is not an integer"), "{found:#?}");
}

#[tokio::test]
async fn a_file_without_params_has_no_placeholders() {
    let yaml = "steps:\n  - {id: a, service: read-rows, params: {columns: ['{{ x }} \\{{', x]}}\n";
    let plan = given(yaml, json!({})).await.expect("as it always was");
    assert_eq!(plan.nodes[0].params["columns"][0], "{{ x }} \\{{");
    let wrong = given(yaml, json!({"x": 1})).await.expect_err("there is no x");
    assert_eq!(wrong.iter().map(|one| (one.line, one.code)).collect::<Vec<_>>(), [(1, "unknown-param")]);
    let wrapped = "
params: {name: x}
pipeline:
  - {id: a, service: read-rows, params: {columns: ['{{ name }}']}}
";
    let plan = given(wrapped, json!({"name": "y"})).await.expect("the older form has them too");
    assert_eq!(plan.nodes[0].params["columns"][0], "y");
}

#[tokio::test]
async fn a_set_may_use_a_parameter_and_takes_none_away() {
    let yaml = "params: {name: x}\nsteps:\n  - {id: a, service: read-rows, params: {columns: ['{{ name }}']}}\n";
    for (set, column) in [("a.columns=['{{ name }}_2']", "x_2"), ("a.columns=[y]", "y")] {
        let arguments = Arguments { sets: vec![set.to_owned()], ..Arguments::default() };
        let plan = pipeline::check(&Source::new("test.yaml", yaml), &arguments, &planner()).await.expect("good");
        assert_eq!(plan.nodes[0].params["columns"][0], column);
    }
}
