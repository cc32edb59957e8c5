//! Bad pipelines and bad files, as a user meets them: every mistake at once, each with its place, and nothing written.

use quiver_tests::{Ended, House};
use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_quiver-under-test");

/// The errors that `validate --json` tells of a pipeline.
fn errors(yaml: &str) -> Vec<Value> {
    House::new(PROGRAM).errors(yaml)
}

/// The only error of a pipeline: its code, line, column and help.
fn only(yaml: &str) -> (String, u64, u64, String) {
    House::new(PROGRAM).only_error(yaml)
}

const EXTRACT: &str =
    "steps:\n  - id: extract\n    service: extract-csv\n    params: {file_path: examples/data/hr_employees.csv}\n";

#[test]
fn what_is_not_yaml_is_told_with_its_line() {
    let (code, line, ..) = only("steps:\n  - id: a\n   service: b\n");
    assert_eq!((code.as_str(), line), ("yaml", 3));
    assert_eq!(only("").0, "no-steps");
    assert_eq!(only("just words").0, "no-steps");
    assert_eq!(only("steps: []").0, "no-steps");
}

#[test]
fn an_unknown_key_is_told_with_the_nearest_one() {
    let (code, line, column, help) = only(&format!("{EXTRACT}    timeouts: 3s\n"));
    assert_eq!((code.as_str(), line, column), ("unknown-key", 5, 5));
    assert!(help.contains("timeout"), "{help}");
}

#[test]
fn an_id_may_be_used_once() {
    let (code, line, column, _) = only(&format!("{EXTRACT}{}", &EXTRACT["steps:\n".len()..]));
    assert_eq!((code.as_str(), line, column), ("duplicate-id", 5, 9));
}

#[test]
fn an_unknown_service_is_told_with_the_nearest_one() {
    let (code, line, column, help) = only("steps:\n  - {id: a, service: extract_cvs}\n");
    assert_eq!((code.as_str(), line, column), ("unknown-service", 2, 22));
    assert!(help.contains("extract-csv"), "{help}");
}

#[test]
fn parameters_are_checked_against_the_service() {
    let yaml = format!("{EXTRACT}  - id: cut\n    service: outliers\n    depends_on: extract\n    params:\n");
    let (code, line, column, help) = only(&format!("{yaml}      column: Age\n      z_treshold: 3\n"));
    assert_eq!((code.as_str(), line, column), ("unknown-param", 10, 7));
    assert!(help.contains("z_threshold"), "{help}");
    let (code, line, column, _) = only(&format!("{yaml}      column: Age\n      z_threshold: high\n"));
    assert_eq!((code.as_str(), line, column), ("bad-params", 10, 20));
    let yaml = yaml.replace("outliers", "delete-columns");
    let (code, line, ..) = only(&format!("{yaml}      missing: ignore\n"));
    assert_eq!((code.as_str(), line), ("missing-param", 6));
}

#[test]
fn a_wrong_word_of_a_query_is_told_where_it_stands() {
    let query = |text: &str| {
        format!("{EXTRACT}  - id: ask\n    service: sql\n    params:\n      query: {text}\n    depends_on: extract\n")
    };
    let (code, line, column, help) = only(
        &query("|\n        SELECT Age, '{{ day }}' AS day,\n          Agee AS a\n        FROM input")
            .replace("steps:", "params: {day: {default: '2024-01-01'}}\nsteps:"),
    );
    assert_eq!((code.as_str(), line, column), ("bad-schema", 11, 11));
    assert!(help.contains("Age"), "{help}");
    let (code, line, column, _) = only(&query("\"SELECT Age FRM input\""));
    assert_eq!((code.as_str(), line, column), ("bad-params", 8, 30));
    let (code, line, column, _) =
        only(&query("SELECT Age,\n        sum(Gender) AS s\n        FROM input GROUP BY Age"));
    assert_eq!((code.as_str(), line, column), ("bad-params", 9, 9));
}

#[test]
fn an_unknown_dependency_is_told_with_the_nearest_one() {
    let yaml = format!("{EXTRACT}  - {{id: cut, service: outliers, params: {{column: Age}}, depends_on: [extrct]}}\n");
    let (code, line, _, help) = only(&yaml);
    assert_eq!((code.as_str(), line), ("unknown-dependency", 5));
    assert!(help.contains("extract"), "{help}");
}

#[test]
fn a_cycle_is_named() {
    let step = |id: &str, on: &str| {
        format!("  - {{id: {id}, service: outliers, params: {{column: x}}, depends_on: [{on}]}}\n")
    };
    let found = errors(&format!("steps:\n{}{}{}", step("a", "c"), step("b", "a"), step("c", "b")));
    assert_eq!(found.len(), 1, "{found:?}");
    let message = found[0]["message"].as_str().expect("a message");
    assert!(message.contains("a → b → c → a"), "{message}");
}

#[test]
fn a_step_wants_the_right_number_of_inputs() {
    let (code, line, ..) =
        only(&format!("{EXTRACT}  - {{id: j, service: join, params: {{join_key: Age}}, depends_on: [extract]}}\n"));
    assert_eq!((code.as_str(), line), ("wrong-inputs", 5));
}

#[test]
fn a_column_that_is_gone_at_that_point_is_told_before_anything_runs() {
    let yaml = format!(
        "{EXTRACT}  - {{id: trim, service: delete-columns, params: {{columns: [Age]}}, depends_on: [extract]}}\n  \
         - {{id: cut, service: outliers, params: {{column: Age}}, depends_on: [trim]}}\n"
    );
    let (code, line, column, _) = only(&yaml);
    assert_eq!((code.as_str(), line, column), ("bad-schema", 6, 51));
}

#[test]
fn several_mistakes_are_all_told_in_order() {
    let found = errors(
        "steps:\n  - id: a\n    service: extract-csw\n    depends_on: [zz]\n  - id: b\n    service: delete-columns\n    \
         params: {colum: x}\n    depends_on: [a]\n    extra: 1\n",
    );
    let codes: Vec<&str> = found.iter().filter_map(|one| one["code"].as_str()).collect();
    assert_eq!(codes, ["unknown-service", "unknown-dependency", "missing-param", "unknown-param", "unknown-key"]);
}

#[test]
fn an_anchor_bomb_is_refused() {
    let mut yaml = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for n in 1..12 {
        let before = vec![format!("*a{}", n - 1); 10].join(", ");
        yaml += &format!("a{n}: &a{n} [{before}]\n");
    }
    assert_eq!(only(&yaml).0, "yaml");
}

#[test]
fn a_password_that_was_struck_out_where_it_was_shown_is_none() {
    let params = "{db_url: 'postgres://u:***@h/d', query: SELECT 1}";
    let (code, line, column, help) = only(&format!("steps:\n  - {{id: a, service: extract-sql, params: {params}}}\n"));
    assert_eq!((code.as_str(), line, column), ("bad-params", 2, 52));
    assert!(help.contains("secret://"), "{help}");
}

#[test]
fn what_steps_warn_of_is_told() {
    let house = House::new(PROGRAM);
    let read = "steps:\n  - {id: a, service: extract-csv, params: {file_path: examples/data/departments.csv}}\n";
    let check = "  - {id: b, service: data-quality, params: {rules: {min_rows: 1000}}, depends_on: a}\n";
    house.write("p.yaml", format!("{read}{check}"));
    for quiet in [&["run", "p.yaml"][..], &["run", "p.yaml", "-q"]] {
        let ended = house.quiver(quiet);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        assert!(ended.stderr.contains("warning: b: min_rows: "), "{}", ended.stderr);
    }
    let told = house.quiver(&["run", "p.yaml", "--json"]).json();
    let warned = told["steps"][1]["details"]["warnings"][0].as_str().expect("a sentence").to_owned();
    assert!(warned.ends_with(" rows, expected at least 1000"), "{warned}");
}

#[test]
fn a_wrong_set_is_told_with_the_nearest_step() {
    let house = House::new(PROGRAM);
    house.write("p.yaml", EXTRACT);
    let ended = house.quiver(&["run", "p.yaml", "--json", "--set", "extrakt.file_path=x"]);
    assert_eq!(ended.code, Some(2));
    let report = ended.json();
    assert_eq!(report["status"], "invalid");
    assert!(report["errors"][0]["help"].as_str().is_some_and(|help| help.contains("extract")), "{report}");
}

#[test]
fn people_see_the_line_underlined_and_what_to_try() {
    let house = House::new(PROGRAM);
    house.write("p.yaml", "steps:\n  - {id: a, service: extract_cvs}\n");
    let Ended { code, stdout, stderr } = house.quiver(&["run", "p.yaml"]);
    assert_eq!((code, stdout.as_str()), (Some(2), ""));
    for part in ["there is no service \"extract_cvs\"", "p.yaml:2:22", "───", "did you mean \"extract-csv\"?"] {
        assert!(stderr.contains(part), "{part} in:\n{stderr}");
    }
}

#[test]
fn a_wrong_word_is_told_with_the_word_that_is_meant() {
    let house = House::new(PROGRAM);
    house.write("a.csv", "x\n1\n");
    for (params, help) in [
        ("format: cvs, dataset_name: d", "did you mean \"csv\"?"),
        ("format: csv, dataset_name: d, header: yes", "write true or false"),
    ] {
        house.write(
            "p.yaml",
            format!(
                "steps:\n  - {{id: e, service: extract-csv, params: {{file_path: a.csv}}}}\n  \
                 - {{id: l, service: load-data, params: {{{params}}}, depends_on: [e]}}\n"
            ),
        );
        let ended = house.quiver(&["validate", "p.yaml"]);
        assert!(ended.code == Some(2) && ended.stderr.contains(help), "{params}: {}", ended.stderr);
    }
}

/// Runs a CSV file through to a Parquet file, and returns how that ended and what was written.
fn csv(content: &[u8], params: &str) -> (Ended, Vec<String>) {
    let house = House::new(PROGRAM);
    house.write("in.csv", content);
    house.write(
        "p.yaml",
        format!(
            "steps:\n  - {{id: e, service: extract-csv, params: {{file_path: in.csv{params}}}}}\n  \
             - {{id: l, service: load-data, params: {{format: csv, dataset_name: d}}, depends_on: [e]}}\n"
        ),
    );
    let ended = house.quiver(&["run", "p.yaml", "--json"]);
    let written = house.outputs().into_iter().filter(|path| path.starts_with("d/")).collect();
    (ended, written)
}

fn refused(content: &[u8], parts: &[&str]) {
    let (ended, written) = csv(content, "");
    assert!(matches!(ended.code, Some(1 | 2)), "{ended:?}");
    for part in parts {
        assert!(ended.stdout.contains(part), "\"{part}\" in {}", ended.stdout);
    }
    assert_eq!(written, Vec::<String>::new(), "nothing is written");
}

#[test]
fn bad_csv_files_are_told_by_line_and_leave_nothing() {
    refused(b"", &["empty"]);
    refused(b"a,a\n1,2\n", &["\\\"a\\\""]);
    refused(b"a,b\n1,2\n3\n", &["line 3"]);
    refused(b"a,b\n1,\xff\xfe\n", &["encoding"]);
    let mut late = b"a,b\n".to_vec();
    for n in 0..60_000 {
        late.extend(format!("{n},{n}\n").bytes());
    }
    late.extend(b"x1,2\n");
    refused(&late, &["line 60002", "\\\"a\\\"", "x1", "types"]);
}

#[test]
fn good_but_odd_csv_files_pass() {
    for (content, rows) in
        [(&b"a,b\n"[..], 0), (b"a,b\r\n1,2\r\n", 1), (b"\xef\xbb\xbfa,b\n1,2\n3,4", 2), (b"a,b\n1,\"two\nlines\"\n", 1)]
    {
        let (ended, written) = csv(content, "");
        assert_eq!(ended.code, Some(0), "{}", ended.stdout);
        assert_eq!(ended.json()["steps"][0]["rows_out"], rows);
        assert_eq!(written.len(), 1);
    }
}

#[test]
fn paths_do_not_leave_the_data_root() {
    for path in ["../x.csv", "/etc/passwd", "missing.csv", "examples"] {
        let yaml = format!("steps:\n  - {{id: e, service: extract-csv, params: {{file_path: {path}}}}}\n");
        let found = errors(&yaml);
        assert_eq!(found.len(), 1, "{path}: {found:?}");
        assert_eq!(found[0]["line"], 2, "{path}");
    }
}

#[test]
fn a_document_is_printed_also_when_there_is_no_pipeline_to_speak_of() {
    let house = House::new(PROGRAM);
    for word in ["run", "validate", "plan"] {
        let ended = house.quiver(&[word, "nowhere.yaml", "--json"]);
        assert_eq!(ended.code, Some(2), "{}", ended.stderr);
        assert_eq!(ended.json()["fault"]["kind"], "not_found", "{}", ended.stdout);
    }
    let gate = ["run", "examples/pipelines/hr_analytics.yaml", "--set", "quality.rules.min_rows=501"];
    let failed = house.quiver(&gate);
    assert_eq!(failed.code, Some(1));
    assert!(!failed.stderr.contains("WARN") && !failed.stderr.contains('\u{1b}'), "{}", failed.stderr);
}

#[test]
fn a_server_is_named_with_its_port() {
    let house = House::new(PROGRAM);
    let ended = house.quiver(&["run", "examples/pipelines/hr_analytics.yaml", "--connect", "localhost"]);
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains("host:port"), "{}", ended.stderr);
}
