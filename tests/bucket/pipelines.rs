//! Pipelines over a bucket give what they give over a folder.

use crate::house::{Place, count, server};
use quiver_tests::House;
use quiver_tests::service::{SOON, Service};
use serde_json::json;

const HR: &str = "examples/pipelines/hr_analytics.yaml";
const HERE: &[&str] = &[];
const MESH: &[&str] = &["--mesh"];

/// The same pipeline over a folder: the bytes of its only output.
fn over_a_folder(words: &[&str]) -> (String, Vec<u8>) {
    let house = House::new(env!("CARGO_BIN_EXE_quiver-under-test"));
    let ended = house.quiver(&[&["run", HR, "--run-id", "x"], words].concat());
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let [output] = house.outputs().try_into().expect("one output");
    let content = std::fs::read(house.path().join(&output)).expect("readable");
    (output, content)
}

#[test]
fn the_hr_pipeline_gives_the_same_bytes_over_a_bucket() {
    let server = server();
    for format in ["csv", "parquet"] {
        let set = format!("load.format={format}");
        let (output, content) = over_a_folder(&["--set", &set]);
        for words in [HERE, MESH] {
            let place = Place::new(&server);
            place.well(&[&["run", HR, "--run-id", "x", "--set", &set], words].concat());
            assert_eq!(place.outputs(), std::slice::from_ref(&output), "{words:?}");
            assert!(place.get(&output) == content, "{output} differs, {words:?}");
        }
    }
}

#[test]
fn two_runs_at_once_both_leave_their_output() {
    let server = server();
    let place = Place::new(&server);
    let runs = [place.start(&["run", HR, "--run-id", "one"]), place.start(&["run", HR, "--run-id", "two"])];
    for run in runs {
        let ended = run.end_within(SOON);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    }
    assert_eq!(place.outputs().len(), 2);
}

/// 40 MiB go there in parts, come back in pieces, and are what they were.
#[test]
fn large_files_go_in_parts_and_come_in_pieces() {
    let server = server();
    let place = Place::new(&server);
    let rows = ["generate", "hr", "--rows", "270000"];
    place.well(&[&rows[..], &["-o", &format!("{}/big.csv", place.url)]].concat());
    let sent = server.requests();
    assert!(count(&sent, "s3_UploadPart") > 4 && count(&sent, "s3_CompleteMultipartUpload") == 1, "{sent:?}");
    place.house.quiver(&[&rows[..], &["-o", "big.csv"]].concat());
    let whole = std::fs::read(place.house.path().join("big.csv")).expect("readable");
    assert!(whole.len() > 32 << 20 && place.get("big.csv") == whole);

    let pipeline = "steps:
  - {id: read, service: extract-csv, params: {file_path: big.csv}}
  - {id: load, service: load-data, params: {path: out/copy.parquet}, depends_on: [read]}
  - {id: again, service: extract-file, params: {file_path: out/copy.parquet}, depends_on: load}
";
    place.house.write("copy.yaml", pipeline.split("  - {id: again").next().expect("two steps"));
    let report = place.well(&["run", "copy.yaml", "--json"]).json();
    assert_eq!(report["steps"][1]["rows_in"], 270_000);
    let fetched = count(&server.requests(), "s3_GetObject");
    assert_eq!(fetched, whole.len().div_ceil(8 << 20) + 1, "each piece once, and once all by the test");
    place.house.write("plan.yaml", pipeline);
    let planned = place.well(&["plan", "plan.yaml"]);
    assert!(planned.stdout.contains("MonthlyIncome"), "{}", planned.stdout);
}

#[test]
fn patterns_and_partitioned_folders_are_read() {
    let server = server();
    let place = Place::new(&server);
    for (year, month, file) in [("2023", "11", "a"), ("2024", "01", "a"), ("2024", "01", "b"), ("2024", "02", "a")] {
        let csv = format!("day,amount\n{year}-{month}-05,{year}.5\n");
        place.put(&format!("raw/{year}-{month}-{file}.csv"), csv);
        let write = format!(
            "steps:
  - {{id: read, service: extract-csv, params: {{file_path: raw/{year}-{month}-{file}.csv}}}}
  - {{id: load, service: load-data, params: {{path: sales/year={year}/month={month}/{file}.parquet}}, depends_on: [read]}}
"
        );
        place.house.write("write.yaml", write);
        place.well(&["run", "write.yaml"]);
    }
    place.put("sales/.hidden/c.parquet", "not read");
    let read = format!(
        "steps:
  - {{id: texts, service: extract-csv, params: {{file_path: '{}/raw/2024-*.csv'}}}}
  - {{id: load_texts, service: load-data, params: {{path: texts.csv}}, depends_on: [texts]}}
  - id: parts
    service: extract-file
    params: {{file_path: 'sales/**/*.parquet', where: year = 2024}}
  - {{id: load_parts, service: load-data, params: {{path: parts.csv}}, depends_on: [parts]}}
",
        place.url
    );
    place.house.write("read.yaml", read);
    for words in [HERE, MESH] {
        place.well(&[&["run", "read.yaml"], words].concat());
        let text = |path| String::from_utf8(place.get(path)).expect("text");
        assert_eq!(text("texts.csv"), "day,amount\n2024-01-05,2024.5\n2024-01-05,2024.5\n2024-02-05,2024.5\n");
        let parts = text("parts.csv");
        assert!(parts.starts_with("day,amount,year,month\n2024-01-05,2024.5,2024,"), "{parts}");
        assert_eq!(parts.lines().count(), 4, "{parts}");
    }
}

/// What a bucket cannot keep, the store of runs, is on this machine, and the service does all that it does over a folder.
#[test]
fn the_service_works_over_a_bucket() {
    let server = server();
    let place = Place::new(&server);
    let up = ["up", "--api", "127.0.0.1:0", "--front", "127.0.0.1:0", "--embedded", "--json"];
    let service = Service::spawn(&place.house, place.command(&up));
    place.house.write(
        "kept.yaml",
        std::fs::read_to_string(place.house.path().join(HR))
            .expect("there")
            .replace("service: clean-nan", "service: clean-nan\n    checkpoint: true"),
    );
    let run = service.submit("kept.yaml");
    let done = service.until(&run, &["done", "failed"]);
    assert_eq!(done["state"], "done", "{done}");
    assert_eq!(place.outputs(), [format!("hr_analytics/processed/hr_analytics_{run}.csv")]);
    assert!(
        place
            .state()
            .read_dir()
            .is_ok_and(|mut all| all.any(|one| { one.is_ok_and(|one| one.path().join("own/quiver.db").exists()) }))
    );

    // A second run of the same finds the output of the first still there, without fetching it.
    let ready = service.asked("/ready");
    assert_eq!(ready["ready"], json!(true), "{ready}");
    let listed = service.asked("/api/v1/datasets?prefix=hr_analytics/");
    assert_eq!(listed["items"].as_array().map(Vec::len), Some(1), "{listed}");
    let path = listed["items"][0]["path"].as_str().expect("a path").to_owned();
    let described = service.asked(&format!("/api/v1/datasets/{path}"));
    assert!(described["columns"].as_array().is_some_and(|columns| columns.len() > 10), "{described}");
}
