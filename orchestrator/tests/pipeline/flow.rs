//! Steps on a condition, steps that are repeated, and steps at the end.

use super::steps::{only, planned, planner_at, told};
use orchestrator::pipeline::{self, Arguments, Plan, Problems, Source};
use std::collections::HashSet;

fn ids(plan: &Plan) -> Vec<&str> {
    plan.nodes.iter().map(|node| node.id.as_str()).collect()
}

const STAGED: &str = "\
params: {stage: test}
steps:
  - {id: a, service: read-rows, params: {columns: [x]}, when: stage == 'prod'}
  - {id: b, service: store, depends_on: a}
  - {id: c, service: read-rows, params: {columns: [y]}, when: 'stage != \"prod\"'}
";

#[tokio::test]
async fn what_a_parameter_decides_is_decided_at_planning() {
    let plan = planned(STAGED).await;
    let left_out: Vec<bool> = plan.nodes.iter().map(|node| node.left_out).collect();
    assert_eq!(left_out, [true, true, false]);
    let arguments = Arguments { params: [("stage".to_owned(), "prod".into())].into(), ..Arguments::default() };
    let source = Source::new("test", STAGED);
    let plan = pipeline::check(&source, &arguments, &super::steps::planner()).await.expect("good");
    let left_out: Vec<bool> = plan.nodes.iter().map(|node| node.left_out).collect();
    assert_eq!(left_out, [false, false, true]);
}

#[tokio::test]
async fn a_condition_orders_its_step_after_those_that_it_names() {
    let plan = planned(
        "\
steps:
  - {id: last, service: store, depends_on: one-two, when: steps.check_it.rows_out > 0}
  - {id: one-two, service: read-rows, params: {columns: [x]}}
  - {id: check-it, service: read-rows, params: {columns: [x]}}
",
    )
    .await;
    assert_eq!(ids(&plan), ["one-two", "check-it", "last"]);
    assert_eq!(plan.nodes[2].asks, [1]);
    assert!(plan.drawn(100).contains("when steps.check_it.rows_out > 0"), "{}", plan.drawn(100));
}

#[tokio::test]
async fn wrong_conditions_are_told_at_their_places() {
    told(
        "\
params: {stage: test}
steps:
  - {id: a, service: read-rows, params: {columns: [x]}, when: «stag == 'prod'»}
  - {id: b, service: read-rows, params: {columns: [x]}, when: «stage ==»}
  - {id: c, service: read-rows, params: {columns: [x]}, when: «steps.d.rows > 0»}
  - {id: d, service: read-rows, params: {columns: [x]}, when: «steps.nobody.rows_out > 0»}
  - {id: e, service: read-rows, params: {columns: [x]}, when: «run.status == 'failed' and stage»}
  - {id: «f», service: read-rows, params: {columns: [x]}, when: steps.f.rows_out > 0}
  - {id: g, service: read-rows, params: {columns: [x]}, when: «[»1]}
",
        &["bad-when", "bad-when", "bad-when", "unknown-dependency", "bad-when", "cycle", "wrong-type"],
    )
    .await;
}

#[tokio::test]
async fn a_condition_that_could_mean_either_of_two_steps_is_refused() {
    let read = "service: read-rows, params: {columns: [x]}";
    let yaml = format!(
        "\
steps:
  - {{id: check-a, {read}}}
  - {{id: check_a, {read}}}
  - {{id: alone, {read}, when: «steps.check_a.rows_out > 0 and steps.check_a.status == 'done'»}}
  - {{id: far_off, {read}, when: steps.alone.rows_out > 0}}
  - {{id: near, {read}, when: steps.far_off.rows_out > 0}}
  - id: g
    for_each: [1, 2]
    steps:
      - {{id: far-off, {read}}}
      - {{id: b-1, {read}}}
      - {{id: b_1, {read}}}
      - {{id: c, {read}, when: «steps.b_1.rows_out > 0»}}
      - {{id: d, {read}, when: «steps.far_off.rows_out > 0»}}
"
    );
    let problems = told(&yaml, &["bad-when", "bad-when", "bad-when"]).await;
    assert_eq!(problems[0].message, "`steps.check_a` is two steps here: \"check-a\" and \"check_a\"");
}

const REGIONS: &str = "\
params: {more: east}
steps:
  - {id: all, service: read-rows, params: {columns: [x, t]}}
  - id: regions
    for_each: {items: [north, south, '{{ more }}'], as: region, at_once: 1}
    depends_on: all
    steps:
      - {id: read, service: read-rows, params: {columns: ['{{ region }}', x]}}
      - {id: both, service: pair, depends_on: [read, all]}
      - {id: write, service: store, depends_on: both, when: region != 'south' and steps.read.rows_out > 0}
  - {id: done, service: read-rows, params: {columns: [x]}, depends_on: [regions]}
";

#[tokio::test]
async fn a_group_is_repeated_for_each_item() {
    let plan = planned(REGIONS).await;
    let of = |name: &str| plan.nodes.iter().position(|node| node.id == name).unwrap_or_else(|| panic!("{name}"));
    assert_eq!(plan.nodes.len(), 11, "{:?}", ids(&plan));
    let south = &plan.nodes[of("read[south]")];
    assert_eq!(south.params["columns"][0], "south");
    assert!(south.after.contains(&of("write[north]")), "one after the other: {south:?}");
    let both = &plan.nodes[of("both[east]")];
    let fed: Vec<usize> = both.inputs.iter().map(|input| input.node).collect();
    assert_eq!(fed, [of("read[east]"), of("all")]);
    assert_eq!(plan.nodes[of("write[east]")].asks, [of("read[east]")]);
    let done = &plan.nodes[of("done")];
    assert!(done.inputs.is_empty() && done.after.contains(&of("write[south]")), "{done:?}");
}

#[tokio::test]
async fn one_step_is_repeated_by_itself_and_items_may_have_parts() {
    let plan = planned(
        "\
steps:
  - id: read
    for_each: [{column: x, kind: a}, {column: y, kind: b}]
    service: read-rows
    params: {columns: ['{{ item.column }}', 'as {{item.kind}}']}
",
    )
    .await;
    assert_eq!(ids(&plan), ["read[1]", "read[2]"]);
    assert_eq!(plan.nodes[1].params["columns"], serde_json::json!(["y", "as b"]));
}

async fn with_files(files: &[&str], yaml: &str) -> Result<Plan, Problems> {
    let folder = tempfile::tempdir().expect("a folder");
    for file in files {
        let path = folder.path().join(file);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, "x").expect("written");
    }
    pipeline::check(&Source::new("test", yaml), &Arguments::default(), &planner_at(folder.path())).await
}

const FILES: &str = "\
steps:
  - id: read
    for_each: {files: 'in/*.csv', as: file}
    service: read-rows
    params: {columns: ['{{ file }}', '{{ file.name }}', '{{ file.stem }}', '{{ file.folder }}']}
    when: file.stem != 'b'
";

#[tokio::test]
async fn files_that_match_are_the_items() {
    let plan = with_files(&["in/b.csv", "in/a.csv", "in/deep/c.csv", "in/d.txt"], FILES).await.expect("good");
    assert_eq!(ids(&plan), ["read[a]", "read[b]"]);
    assert_eq!(plan.nodes[0].params["columns"], serde_json::json!(["in/a.csv", "a.csv", "a", "in"]));
    assert_eq!((plan.nodes[0].left_out, plan.nodes[1].left_out), (false, true));
    let none = with_files(&[], FILES).await.expect_err("nothing to do");
    let one = none.iter().next().expect("a problem");
    assert_eq!((one.code, one.line, one.column), ("empty-for-each", 3, 23), "{none}");
    let plan = with_files(&[], &FILES.replace("as: file", "as: file, allow_empty: true")).await.expect("good");
    assert_eq!(plan.nodes.len(), 0);
    let folder = tempfile::tempdir().expect("a folder");
    let (steps, source) = (planner_at(folder.path()), Source::new("test.yaml", FILES));
    pipeline::check_to_keep(&source, &steps).await.expect("they may come before it runs");
    let none = pipeline::check_unfilled(&source, &steps).await.expect_err("nothing to do");
    assert_eq!(none.iter().map(|one| one.code).collect::<Vec<_>>(), ["empty-for-each"], "{none}");
    let awaited = format!("params: {{folder: {{type: string}}}}\n{}", FILES.replace("in/*", "{{ folder }}/*"));
    pipeline::check_unfilled(&Source::new("test.yaml", awaited), &steps).await.expect("its value may come later");
    let problems = with_files(&["in/a.csv"], &FILES.replace("in/*", "../*")).await.expect_err("outside");
    assert_eq!(problems.iter().next().map(|one| one.code), Some("denied"), "{problems}");
}

#[tokio::test]
async fn what_a_file_is_called_depends_on_no_other_file() {
    let named = async |files: &[&str], pattern: &str| {
        let plan = with_files(files, &FILES.replace("in/*.csv", pattern)).await.expect("good");
        ids(&plan).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let files = ["in/a.csv", "in/b b.csv", "in/2025/a.csv", "in/2026/a.csv", "in/2026/a.txt"];
    for pattern in ["in/*.csv", "in/**/*.csv", "in/202?/a.*", "in/**/a*"] {
        let all = named(&files, pattern).await;
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len(), "{all:?}");
        for file in files {
            // One of them alone may not match.
            if let Ok(plan) = with_files(&[file], &FILES.replace("in/*.csv", pattern)).await {
                assert!(all.contains(&ids(&plan)[0].to_owned()), "{pattern}, {file}: {:?} of {all:?}", ids(&plan));
            }
        }
    }
    assert_eq!(named(&files[..2], "in/*.csv").await, ["read[a]", "read[b_b-7242dc3738]"]);
}

#[tokio::test]
async fn two_braces_in_a_pattern_that_mean_themselves_are_looked_up() {
    let named = |params: &str, pattern: &str| {
        let later = "  - {id: later, service: read-rows, params: {columns: [x]}, depends_on: read}";
        format!("{params}\n{}{later}\n", FILES.replace("'in/*.csv'", pattern))
    };
    for (params, pattern, file) in [
        ("", "'in/{{ day }}/*.csv'", "in/{{ day }}/a.csv"),
        ("params: {}", r"'in/\{{ day }}/*.csv'", "in/{{ day }}/a.csv"),
        ("params: {day: '{{ 7'}", "'in/{{ day }}/*.csv'", "in/{{ 7/a.csv"),
    ] {
        let none = with_files(&[], &named(params, pattern)).await.expect_err("no file");
        assert_eq!(none.iter().map(|one| one.code).collect::<Vec<_>>(), ["empty-for-each"], "{none}");
        let plan = with_files(&[file], &named(params, pattern)).await.expect("good");
        assert_eq!(ids(&plan), ["read[a]", "later"], "{pattern}");
    }
    only(&named("params: {day: 7}", "«'{{ day }}'»"), "wrong-type").await;
}

#[tokio::test]
async fn a_mistake_in_what_is_repeated_is_told_once() {
    told(
        "\
steps:
  - id: g
    for_each: [n, s]
    steps:
      - {id: read, service: «reed-rows», params: {columns: [x]}}
      - {id: trim, service: drop-columns, params: {columns: [], «colums»: []}, depends_on: read}
      - {id: «a», service: read-rows, params: {columns: ['«{{ itm }}»']}}
  - {id: a, service: read-rows, params: {columns: [x]}}
"
        .replace("'«{{ itm }}»'", "«'{{ itm }}'»")
        .as_str(),
        &["unknown-service", "unknown-param", "duplicate-id", "unknown-param"],
    )
    .await;
}

#[tokio::test]
async fn what_cannot_be_repeated_is_told() {
    only("steps:\n  - {id: a, service: read-rows, params: {columns: [x]}, for_each: «7»}\n", "wrong-type").await;
    only(
        "steps:\n  - {id: a, service: read-rows, params: {columns: []}, for_each: {items: [1], «az»: x}}\n",
        "unknown-key",
    )
    .await;
    let nested = "\
steps:
  - id: g
    for_each: [1]
    steps:
      - {id: a, «for_each»: [2], service: read-rows, params: {columns: [x]}}
";
    only(nested, "nested-for-each").await;
    let taken = "\
steps:
  - {id: «g», service: read-rows, params: {columns: [x]}}
  - {id: g, for_each: [1], steps: [{id: a, service: read-rows, params: {columns: [x]}}]}
";
    let problem = only(&taken.replace("«g»", "g").replace("for_each", "«for_each»"), "duplicate-id").await;
    assert!(problem.message.contains("\"g\""), "{problem:?}");
    let rows = "\
steps:
  - {id: a, for_each: [1], service: read-rows, params: {columns: [x]}}
  - {id: b, service: store, inputs: {input: «a»}}
";
    told(&rows.replace("«a»", "««a»»"), &["wrong-inputs", "unknown-dependency"]).await;
}

#[tokio::test]
async fn what_would_be_too_many_steps_is_repeated_for_none() {
    let yaml = |items: usize| {
        let items: Vec<usize> = (0..items).collect();
        format!(
            "\
steps:
  - {{id: before, service: read-rows, params: {{columns: [x]}}}}
  - id: g
    «for_each»: {items:?}
    steps:
      - {{id: a, service: read-rows, params: {{columns: [x]}}}}
      - {{id: b, service: store, depends_on: a}}
  - {{id: after, service: read-rows, params: {{columns: [x]}}, depends_on: [g, a]}}
"
        )
    };
    for items in [500, 90_000] {
        let problem = only(&yaml(items), "too-many-steps").await;
        let wanted = format!("this pipeline has {} steps, and 1000 is the most", 1 + 2 * items);
        assert_eq!(problem.message, wanted);
    }
    // What comes after it is one too many.
    let last = "  - {id: «last», service: read-rows, params: {columns: [x]}}\n";
    only(&(yaml(499).replace(['«', '»'], "") + last), "too-many-steps").await;
}

#[tokio::test]
async fn what_runs_finally_is_fed_by_itself_alone() {
    let plan = planned(
        "\
steps:
  - {id: a, service: read-rows, params: {columns: [x]}}
finally:
  - {id: r, service: read-rows, params: {columns: [x]}, when: \"run.status == 'failed'\"}
  - {id: w, service: store, depends_on: r}
",
    )
    .await;
    let finally: Vec<bool> = plan.nodes.iter().map(|node| node.finally).collect();
    assert_eq!(finally, [false, true, true]);
    told(
        "\
steps:
  - {id: a, service: read-rows, params: {columns: [x]}}
  - {id: b, service: store, depends_on: [a, «w»]}
finally:
  - {id: w, service: store, depends_on: «a»}
",
        &["bad-finally", "bad-finally"],
    )
    .await;
}
