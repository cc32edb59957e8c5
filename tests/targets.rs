//! What the steps of a pipeline read and write: nobody undoes the work of another, or reads its own.

use quiver_tests::House;
use std::os::unix::fs::symlink;

const PROGRAM: &str = env!("CARGO_BIN_EXE_quiver-under-test");

#[test]
fn two_loads_do_not_write_the_same_file() {
    let load = |id: &str, more: &str| {
        format!(
            "  - {{id: {id}, service: load-data, params: {{format: csv, dataset_name: out}}, depends_on: a{more}}}\n"
        )
    };
    let read = "steps:\n  - {id: a, service: extract-csv, params: {file_path: examples/data/departments.csv}}\n";
    let (code, line, column, message) =
        House::new(PROGRAM).only_error(&format!("{read}{}{}", load("b", ""), load("c", "")));
    assert_eq!((code.as_str(), line, column), ("same-target", 4, 10), "{message}");
    let house = House::new(PROGRAM);
    std::fs::create_dir(house.path().join("out")).expect("a folder");
    symlink("out", house.path().join("link")).expect("a link");
    let path = |id: &str, path: &str| {
        format!("  - {{id: {id}, service: load-data, params: {{path: {path}}}, depends_on: a}}\n")
    };
    let report = |id: &str| {
        let params = "{rules: {min_rows: 1}, report: out/x}";
        format!("  - {{id: {id}, service: data-quality, params: {params}, depends_on: a}}\n")
    };
    for (first, second) in [
        (path("b", "out/x.csv"), path("c", "link/x.csv")),
        (path("b", "link/x.json"), report("c")),
        (report("b"), report("c")),
    ] {
        house.write("same.yaml", format!("{read}{first}{second}"));
        let told = house.quiver(&["validate", "same.yaml", "--json"]).json();
        let codes: Vec<_> = told["errors"].as_array().expect("a list").iter().map(|one| &one["code"]).collect();
        assert!(!codes.is_empty() && codes.iter().all(|code| *code == "same-target"), "{told}");
    }
    let apart = format!("{read}{}{}", load("b", ", when: steps.a.rows_out > 9"), load("c", ""));
    house.write("p.yaml", apart);
    assert_eq!(house.quiver(&["validate", "p.yaml"]).code, Some(0));
}

#[test]
fn no_step_writes_the_file_that_another_reads() {
    let house = House::new(PROGRAM);
    for file in ["a.csv", "b.csv", "in/2024/a.csv", "in/2024/[b].csv", "a/processed/a_0.csv", "a/processed/a_old.csv"] {
        house.write(file, "n\n1\n");
    }
    symlink("in/2024/a.csv", house.path().join("link.csv")).expect("linked");
    let read = |id: &str, path: &str, after: &str| {
        format!("  - {{id: {id}, service: extract-csv, params: {{file_path: '{path}'}}{after}}}\n")
    };
    let write = |id: &str, path: &str, after: &str| {
        format!("  - {{id: {id}, service: load-data, params: {{path: '{path}'}}, depends_on: {after}}}\n")
    };
    let compare = |path: &str| {
        let rules = format!("{{check_reference: {{n: {{file_path: {path}, column: n}}}}}}");
        format!("  - {{id: c, service: data-quality, params: {{rules: {rules}}}, depends_on: a}}\n")
    };
    let named =
        |name: &str| format!("  - {{id: out, service: load-data, params: {{dataset_name: {name}}}, depends_on: a}}\n");
    let each = |files: &str| {
        format!("  - {{id: e, for_each: '{files}', service: extract-csv, params: {{file_path: '{{{{ item }}}}'}}}}\n")
    };
    let a = read("a", "a.csv", "");
    for (steps, line) in [
        (format!("{a}{}", write("out", "a.csv", "a")), Some(3)),
        (format!("{a}{}{}", read("b", "b.csv", ""), write("out", "a.csv", "b")), Some(4)),
        (format!("{a}{}", write("out", "b.csv", "a")), None),
        (format!("{a}{}{}", write("out", "b.csv", "a"), read("b", "b.csv", ", depends_on: out")), None),
        (format!("{a}{}finally:\n{}", write("out", "b.csv", "a"), read("b", "b.csv", "")), None),
        // Files that match, also ones that are not there yet, and no others.
        (format!("{}{}", read("a", "in/*/*.csv", ""), write("out", "in/2024/a.csv", "a")), Some(3)),
        (format!("{}{}", read("a", "in/*/*.csv", ""), write("out", "in/2024/all.csv", "a")), Some(3)),
        (format!("{}{}", read("a", "in/**/*.csv", ""), write("out", "in/2025/all.csv", "a")), Some(3)),
        (format!("{}{}", read("a", "in/*/*.csv", ""), write("out", "in/all.csv", "a")), None),
        (format!("{}{}", read("a", "in/*/*.csv", ""), write("out", "in/2024/all.parquet", "a")), None),
        (format!("{}{}", read("a", "in/2024/[b].csv", ""), write("out", "in/2024/b.csv", "a")), None),
        (format!("{}{}", read("a", "in/2024/[b].csv", ""), write("out", "in/2024/[b].csv", "a")), Some(3)),
        // What a link leads to; the link itself would be replaced.
        (format!("{}{}", read("a", "link.csv", ""), write("out", "in/2024/a.csv", "a")), Some(3)),
        (format!("{}{}", read("a", "l*.csv", ""), write("out", "in/2024/a.csv", "a")), Some(3)),
        (format!("{}{}", read("a", "in/2024/a.csv", ""), write("out", "link.csv", "a")), None),
        (format!("{a}{}{}", compare("in/2024/a.csv"), write("out", "in/2024/a.csv", "c")), Some(4)),
        (format!("{}{}", read("a", "in/*/*.csv", ""), write("out", "in/2024/.a.csv", "a")), None),
        // What runs finally comes too late for who reads it.
        (format!("{a}finally:\n{}{}", read("b", "b.csv", ""), write("out", "a.csv", "b")), Some(5)),
        // A file that is named by its run.
        (format!("{}{}", read("a", "a/processed/a_0*.csv", ""), named("a")), Some(3)),
        (format!("{}{}", read("a", "a/processed/a_old*.csv", ""), named("a")), None),
        // What steps are repeated for.
        (format!("{}{a}{}", each("in/2024/*.csv"), write("out", "in/2024/c.csv", "a")), Some(4)),
        (format!("{}{a}{}", each("in/2024/*.csv"), write("out", "in/c.csv", "a")), None),
    ] {
        let found = house.errors(&format!("steps:\n{steps}"));
        let codes: Vec<_> = found.iter().map(|one| (one["code"].as_str(), one["line"].as_u64())).collect();
        let expected: Vec<_> = line.into_iter().map(|line| (Some("same-source"), Some(line))).collect();
        assert_eq!(codes, expected, "{steps}{found:?}");
    }
}

#[test]
fn loads_share_a_table_if_all_of_them_add_rows() {
    let house = House::new(PROGRAM);
    let read = "steps:\n  - {id: a, service: extract-csv, params: {file_path: examples/data/departments.csv}}\n";
    let load = |id: &str, mode: &str, after: &str| {
        let keys = if mode == "upsert" { ", keys: [Department]" } else { "" };
        format!(
            "  - {{id: {id}, service: load-sql, depends_on: [a{after}], \
             params: {{db_url: 'sqlite:d.db', table: t, mode: {mode}{keys}}}}}\n"
        )
    };
    for (first, second, after, good) in [
        ("append", "append", "", true),
        ("append", "append", ", b", true),
        ("replace", "append", ", b", false),
        ("append", "upsert", ", b", false),
        ("upsert", "upsert", "", false),
    ] {
        house.write("p.yaml", format!("{read}{}{}", load("b", first, ""), load("c", second, after)));
        let told = house.quiver(&["validate", "p.yaml", "--json"]).json();
        let codes: Vec<_> = told["errors"].as_array().expect("a list").iter().map(|one| &one["code"]).collect();
        assert_eq!(codes.is_empty(), good, "{first} {second} {after}: {told}");
        assert!(codes.iter().all(|code| *code == "same-target"), "{told}");
    }
    for (file, after) in [("at_once.yaml", ""), ("in_turn.yaml", ", b")] {
        house.write(file, format!("{read}{}{}", load("b", "append", ""), load("c", "append", after)));
        let ended = house.quiver(&["run", file]);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    }
    let query = "SELECT count(*) AS n, count(DISTINCT \"Department\") AS departments FROM t";
    let count =
        format!("steps:\n  - {{id: a, service: extract-sql, params: {{db_url: 'sqlite:d.db', query: {query:?}}}}}\n");
    house.write("count.yaml", count + "  - {id: b, service: load-data, params: {path: n.csv}, depends_on: a}\n");
    assert_eq!(house.quiver(&["run", "count.yaml"]).code, Some(0));
    let told = std::fs::read_to_string(house.path().join("n.csv")).expect("a file");
    let departments: u64 = told.trim().rsplit(',').next().and_then(|n| n.parse().ok()).expect("a number");
    assert_eq!(told, format!("n,departments\n{},{departments}\n", 4 * departments));
}

#[test]
fn no_file_takes_the_place_of_a_database() {
    let house = House::new(PROGRAM);
    house.write("a.csv", "n\n1\n");
    let read = "steps:\n  - {id: a, service: extract-csv, params: {file_path: a.csv}}\n";
    let load = |id: &str, table: &str, of: &str| {
        let params = format!("{{db_url: 'sqlite:d.db', table: {table}}}");
        format!("  - {{id: {id}, service: load-sql, params: {params}, depends_on: {of}}}\n")
    };
    let write = |of: &str| {
        format!("  - {{id: out, service: load-data, params: {{path: d.db, format: csv}}, depends_on: {of}}}\n")
    };
    house.write("p.yaml", format!("{read}{}", load("l", "t", "a")));
    assert_eq!(house.quiver(&["run", "p.yaml"]).code, Some(0));
    let query = "steps:\n  - {id: q, service: extract-sql, params: {db_url: 'sqlite:d.db', query: SELECT n FROM t}}\n";
    symlink("d.db", house.path().join("link.db")).expect("linked");
    symlink("new.db", house.path().join("dangling.db")).expect("linked");
    let write_new = write("a").replace("d.db", "new.db");
    let linked = query.replace("d.db", "link.db");
    for (steps, code) in [
        (format!("{query}{}", write("q")), Some("same-source")),
        (format!("{linked}{}", write("q")), Some("same-source")),
        (format!("{linked}{}", write("q").replace("d.db", "link.db")), Some("same-source")),
        (format!("{read}{}{}", load("l", "t", "a").replace("d.db", "link.db"), write("a")), Some("same-target")),
        (format!("{read}{}{}", load("l", "t", "a"), load("m", "t", "a").replace("d.db", "link.db")), None),
        (format!("{read}{}{}", load("l", "t", "a"), write("a")), Some("same-target")),
        (format!("{query}{}{}", load("l", "u", "q"), load("m", "v", "q")), None),
        // One that is made where a link leads to.
        (format!("{read}{}{}", load("l", "t", "a").replace("d.db", "dangling.db"), write_new), Some("same-target")),
        // What SQLite would take for its own.
        (format!("{read}{}", write("a").replace("d.db", "d.db-journal")), Some("denied")),
        (format!("{read}{}", write("a").replace("d.db", "e.db-wal")), None),
    ] {
        let found = house.errors(&steps);
        let codes: Vec<_> = found.iter().filter_map(|one| one["code"].as_str()).collect();
        assert_eq!(codes, code.into_iter().collect::<Vec<_>>(), "{steps}{found:?}");
    }
}
