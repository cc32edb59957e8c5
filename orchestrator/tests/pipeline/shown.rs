//! What a plan shows to people and to programs, and the schema of files for editors.

use super::steps::{catalog, planned};
use orchestrator::pipeline::json_schema;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;

const DIAMOND: &str = "\
name: diamond
steps:
  - {id: a, service: read-rows, params: {columns: [x, t_name]}}
  - {id: b, service: drop-columns, params: {columns: [x]}, depends_on: a}
  - {id: c, service: split, depends_on: a}
  - {id: why, service: store, depends_on: c.rejected}
  - {id: d, service: pair, depends_on: [b, c]}
  - {id: e, service: store, depends_on: [d, why], timeout: 90s}
";

#[tokio::test]
async fn a_plan_is_drawn_with_its_lanes_and_columns() {
    let expected = "\
diamond

● a  read-rows
├─╮
│ │ 2 columns: x: Int64, t_name: Utf8
│ │
● │ b  drop-columns  ◂ a
│ │ 1 column (−x): t_name: Utf8
│ │
│ ● c  split  ◂ a
│ ├─╮
│ │ │ passed: 2 columns, those of a
│ │ │ rejected: 1 column (−x −t_name +why): why: Utf8
│ │ │
│ ● │ why  store  ◂ c.rejected
│   │ 1 column: path: Utf8
├───╯
● d  pair  ◂ left: b, right: c
│ 3 columns: t_name: Utf8, x: Int64, t_name: Utf8
│
● e  store  ◂ d  (after why)
  1 column: path: Utf8
";
    assert_eq!(planned(DIAMOND).await.drawn(100), expected);
}

#[tokio::test]
async fn lanes_cross_those_that_only_pass() {
    let drawn = planned(
        "\
steps:
  - {id: a, service: read-rows, params: {columns: [x]}}
  - {id: b, service: read-rows, params: {columns: [y]}}
  - {id: c, service: read-rows, params: {columns: [z]}}
  - {id: ac, service: pair, depends_on: [a, c]}
  - {id: all, service: pair, depends_on: [ac, b]}
  - {id: twice, service: pair, depends_on: [all, all]}
",
    )
    .await
    .drawn(100);
    let lanes: Vec<&str> = drawn.lines().skip(8).collect();
    let expected = [
        "│ │ ● c  read-rows",
        "│ │ │ 1 column: z: Int64",
        "├─┼─╯",
        "● │ ac  pair  ◂ left: a, right: c",
        "│ │ 2 columns: x: Int64, z: Int64",
        "├─╯",
        "● all  pair  ◂ left: ac, right: b",
        "├─╮",
        "│ │ 3 columns: x: Int64, z: Int64, y: Int64",
        "├─╯",
        "● twice  pair  ◂ left: all, right: all",
        "  6 columns: x: Int64, z: Int64, y: Int64, x: Int64, z: Int64, y: Int64",
    ];
    assert_eq!(lanes, expected, "\n{drawn}");
}

#[tokio::test]
async fn a_drawing_keeps_to_the_width_and_leaves_no_column_out() {
    let names: Vec<String> = (0..200).map(|n| format!("column_{n}")).collect();
    let long = "x".repeat(120);
    let yaml = format!("steps: [{{id: {long}, service: read-rows, params: {{columns: [{}]}}}}]", names.join(", "));
    let plan = planned(&yaml).await;
    for width in [0, 40, 80, 200] {
        let drawn = plan.drawn(width);
        assert!(drawn.lines().all(|line| line.chars().count() <= width.max(40)), "{width}:\n{drawn}");
        assert!(names.iter().all(|name| drawn.contains(&format!("{name}: Int64"))));
    }
}

#[tokio::test]
async fn many_lanes_and_odd_names_do_no_harm() {
    let mut yaml = "steps:\n  - {id: a, service: read-rows, params: {columns: [\"x\\e[31m\\ny\"]}}\n".to_owned();
    for n in 0..60 {
        yaml += &format!("  - {{id: s{n}, service: store, depends_on: a}}\n");
    }
    let drawn = planned(&yaml).await.drawn(40);
    assert!(drawn.lines().all(|line| line.chars().count() <= 40), "{drawn}");
    assert!(!drawn.contains('\u{1b}') && drawn.contains("s59  store"), "{drawn}");
}

#[tokio::test]
async fn programs_get_nodes_edges_and_their_columns() {
    let shown = planned(DIAMOND).await.to_json();
    assert_eq!((&shown["pipeline"], shown["nodes"].as_array().map(Vec::len)), (&json!("diamond"), Some(6)));
    let first = json!({
        "id": "a", "step": "read-rows", "kind": "extract", "effects": "none",
        "params": {"columns": ["x", "t_name"]}, "source": "x.csv 1 2", "datasets": [], "when": null, "left_out": false, "finally": false, "timeout_ms": null,
        "outputs": [{"name": "output", "columns": [
            {"name": "x", "type": "Int64", "nullable": true}, {"name": "t_name", "type": "Utf8", "nullable": true}
        ]}],
    });
    assert_eq!(shown["nodes"][0], first);
    assert_eq!((&shown["nodes"][5]["timeout_ms"], &shown["nodes"][5]["effects"]), (&json!(90_000), &json!("commits")));
    let why = json!({
        "from": "c", "output": "rejected", "to": "why", "input": "input",
        "columns": [{"name": "why", "type": "Utf8", "nullable": false}],
    });
    assert!(shown["edges"].as_array().is_some_and(|edges| edges.len() == 6 && edges.contains(&why)), "{shown:#}");
    assert_eq!(shown["ordering"], json!([{"before": "why", "after": "e"}]));
    let secret = planned(&DIAMOND.replacen("t_name", "'postgres://ann:s3cret@h/db'", 1)).await.to_json();
    assert_eq!(secret["nodes"][0]["params"]["columns"][1], "postgres://ann:******@h/db");
}

#[tokio::test]
async fn a_mermaid_diagram_has_every_node_and_edge() {
    let text = planned(DIAMOND).await.mermaid();
    for line in [
        "graph LR",
        r#"  n0(["a<br>read-rows"])"#,
        r#"  n1["b<br>drop-columns"]"#,
        r#"  n5[("e<br>store")]"#,
        r#"  n0 -->|"2 columns"| n1"#,
        r#"  n2 -->|"rejected: 1 column"| n3"#,
        "  n3 -.-> n5",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
    }
}

/// What a JSON Schema validator, such as an editor's, says of a file.
fn accepted(file: &Value) -> bool {
    let schema = json_schema(&catalog());
    jsonschema::draft202012::new(&schema).expect("a valid schema").is_valid(file)
}

fn step(service: &str, params: Value) -> Value {
    json!({"id": "a", "service": service, "params": params})
}

#[test]
fn editors_accept_what_can_be_run() {
    let good = step("read-rows", json!({"columns": ["x"], "mode": "sample"}));
    for file in [
        json!({"name": "n", "description": "d", "steps": [good]}),
        json!({"pipeline": [good]}),
        json!({"name": "n", "pipeline": {"steps": [good]}}),
        json!([good]),
        json!({"steps": [good], "concurrency": 2, "priority": -1, "timeout": "5m",
               "retry": {"attempts": 5, "first": "1s", "longest": 60}}),
        json!({"steps": [good], "hooks": {"on_success": "https://example.org/", "on_cancel": null,
               "on_failure": [{"url": "secret://chat", "secret": "secret://hook-key"}]}}),
        json!({"x-mine": 1, "steps": [step("row_source", json!({"columns": []}))]}),
        json!({"steps": [{"id": "a", "step": "read_rows", "params": {"columns": []}}]}),
        json!({"steps": [{"id": "b", "service": "pair", "inputs": {"left": "a", "right": "a.x"}, "params": null,
                          "timeout": "30s", "depends_on": ["a"], "when": null, "checkpoint": null}]}),
        json!({"steps": [step("drop-columns", json!({"columns": ["x"], "bounds": {"lowest": 1}}))]}),
        json!({"steps": [step("drop-columns", json!({"columns": ["{{ a }}"], "bounds": {"lowest": "{{ low }}"}}))],
               "params": {"low": {"type": "integer", "default": 1, "enum": [1, 2]}, "a": "x", "b": {}}}),
        json!({"steps": [{"id": "a", "service": "store", "when": "stage == 'x'"}], "finally": [good]}),
        json!({"steps": [{"id": "a", "service": "store", "for_each": "in/*.csv"}]}),
        json!({"steps": [{"id": "g", "for_each": {"items": [1], "as": "n", "at_once": 2}, "steps": [good]}]}),
        json!({"pipeline": [step("read-rows", json!({"columns": "{{ a }}", "mode": "{{ m }}"}))], "params": {"m": "all"}}),
    ] {
        assert!(accepted(&file), "{file:#}");
    }
}

#[test]
fn editors_refuse_what_cannot_be_run() {
    for file in [
        json!({}),
        json!({"steps": []}),
        json!({"steps": [step("store", json!({}))], "retry": {"attempts": 0}}),
        json!({"steps": [step("store", json!({}))], "retry": {"tries": 1}}),
        json!({"steps": [step("store", json!({}))], "concurrency": 0}),
        json!({"steps": [step("store", json!({}))], "hooks": {"on_fail": "https://example.org/"}}),
        json!({"steps": [step("store", json!({}))], "hooks": {"on_failure": {"url": "https://example.org/", "secret": "key"}}}),
        json!({"steps": [step("store", json!({}))], "params": {"a": [1]}}),
        json!({"steps": [step("store", json!({}))], "params": {"a": {"type": "text"}}}),
        json!({"steps": [step("store", json!({}))], "params": {"a b": 1}}),
        json!({"stepz": [step("store", json!({}))]}),
        json!({"steps": [step("stor", json!({}))]}),
        json!({"pipeline": [step("store", json!({}))], "steps": []}),
        json!({"steps": [{"service": "store"}]}),
        json!({"steps": [{"id": "a"}]}),
        json!({"steps": [{"id": "a.b", "service": "store"}]}),
        json!({"steps": [{"id": "a", "service": "read-rows"}]}),
        json!({"steps": [step("read-rows", json!({}))]}),
        json!({"steps": [step("row_source", json!({"columns": [], "mode": "sampel"}))]}),
        json!({"steps": [step("store", json!({"columns": []}))]}),
        json!({"steps": [step("drop-columns", json!({"columns": [], "bounds": {"lowest": "low"}}))]}),
        json!({"steps": [{"id": "a", "service": "store", "when": 7}]}),
        json!({"steps": [{"id": "g", "for_each": [1], "steps": []}]}),
        json!({"steps": [{"id": "g", "steps": [step("store", json!({}))]}]}),
        json!({"steps": [{"id": "a", "service": "store", "for_each": {"files": "x", "items": []}}]}),
    ] {
        assert!(!accepted(&file), "{file:#}");
    }
}

#[test]
fn each_step_has_its_definitions_to_itself() {
    let schema = json_schema(&catalog());
    let defs = schema["$defs"].as_object().expect("definitions");
    for name in ["read-rows.params", "read-rows.Mode", "drop-columns.Bounds", "store.params"] {
        assert!(defs.contains_key(name), "{name} in {:?}", defs.keys().collect::<Vec<_>>());
    }
    assert_eq!(defs["read-rows.params"]["properties"]["mode"]["anyOf"][0]["$ref"], "#/$defs/read-rows.Mode");
}

/// The names of problems, as the sources give them.
fn codes(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            codes(&path, found);
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("a source");
        let quoted = text.split("Problem::at(").skip(1).filter_map(|call| call.split('"').nth(1));
        let is_code = |text: &&str| text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
        found.extend(quoted.filter(is_code).map(str::to_owned));
    }
}

#[test]
fn every_code_is_documented() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let documented = std::fs::read_to_string(root.join("../docs/errors.md")).expect("it is there");
    let mut found = BTreeSet::new();
    codes(&root.join("src/pipeline"), &mut found);
    assert!(found.len() > 25, "{found:?}");
    found.retain(|code| !documented.contains(&format!("`{code}`")));
    assert!(found.is_empty(), "docs/errors.md lacks {found:?}");
}
