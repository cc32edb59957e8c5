//! The service killed, halted and cut off from its store, at every point of a run: each run comes to a clear end, once.
//!
//! What happens to calls on their way is in `harms.rs`.

use quiver_tests::service::{SOON, Service, is_left_over, write_tiny, written};
use quiver_tests::{House, eventually, signal};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use test_servers::Postgres;

const PROGRAM: &str = env!("CARGO_BIN_EXE_quiver-under-test");

/// What is done to the service.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Harm {
    /// `kill -9` of the orchestrator, and a new start.
    KillOrchestrator,
    /// `kill -9` of a step's server.
    KillStep,
    /// A step's server stands still for a while.
    StopStep,
}

/// Every golden pipeline, at every point of its run, with every harm: it ends well, with one output for each load, and
/// the next run gets its turn.
#[test]
fn whatever_happens_at_any_point_a_run_ends_once() {
    let golden = [
        ("examples/pipelines/hr_analytics.yaml", "outliers", 1),
        ("examples/pipelines/ecommerce_analytics.yaml", "clean-nan", 1),
        ("examples/pipelines/departments_diamond.yaml", "join", 1),
        ("examples/pipelines/orders_two_ways.yaml", "clean-nan", 3),
    ];
    for harm in [Harm::KillOrchestrator, Harm::KillStep, Harm::StopStep] {
        for (pipeline, step, outputs) in golden {
            for point in ["queued", "started", "committing", "done"] {
                let case = format!("{harm:?} at {point} of {pipeline}");
                let house = House::new(PROGRAM);
                let options: &[&str] = match harm {
                    Harm::KillOrchestrator => &["--embedded", "--slots", "1", "--max-runs", "1"],
                    _ => &["--slots", "1", "--max-runs", "1"],
                };
                let mut service = Service::start(&house, options);
                let run = service.submit(pipeline);
                if point != "queued" {
                    service.until_event(&run, point);
                }
                match harm {
                    Harm::KillOrchestrator => {
                        service.process.signal("KILL");
                        service.process.end_within(SOON);
                        service = Service::start(&house, options);
                    }
                    Harm::KillStep => signal(service.server(step), "KILL"),
                    Harm::StopStep => {
                        let pid = service.server(step);
                        signal(pid, "STOP");
                        // It comes back while somebody may wait for it, or after it was given up.
                        std::thread::sleep(Duration::from_millis(300));
                        signal(pid, "CONT");
                    }
                }
                let ended = service.until(&run, &["done", "failed", "cancelled"]);
                assert_eq!(ended["state"], "done", "{case}: {}", ended["fault"]);
                assert_eq!(written(&house).len(), outputs, "{case}: {:?}", written(&house));
                let next = service.submit(pipeline);
                assert_eq!(service.until(&next, &["done", "failed"])["state"], "done", "{case}: the next run");
                let left: Vec<String> = house.outputs().into_iter().filter(|path| is_left_over(path)).collect();
                assert_eq!(left, Vec::<String>::new(), "{case}");
            }
        }
    }
}

#[test]
fn a_thousand_queued_runs_outlive_a_kill() {
    let house = House::new(PROGRAM);
    write_tiny(&house);
    let options = ["--embedded", "--slots", "2"];
    let service = Service::start(&house, &options);
    submit_many(&service, 1000);
    service.process.signal("KILL");
    service.process.end_within(SOON);
    let service = Service::start(&house, &options);
    eventually(4 * SOON, "all runs end", || {
        let waiting = service.quiver(&["runs", "list", "--state", "queued,running", "--limit", "1", "--json"]).json();
        waiting["items"].as_array().expect("runs").is_empty().then_some(())
    });
    let failed = service.quiver(&["runs", "list", "--state", "failed,cancelled", "--json"]).json();
    assert_eq!(failed["items"], serde_json::json!([]));
    assert_eq!(written(&house).len(), 1000);
}

/// Submits by one connection after the other: the command would take a process for each.
fn submit_many(service: &Service, count: usize) {
    let text = std::fs::read_to_string(service.house.path().join("tiny.yaml")).expect("written");
    let address = service.url.trim_start_matches("http://");
    let mut socket = TcpStream::connect(address).expect("open");
    let request = format!(
        "POST /api/v1/runs HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/yaml\r\ncontent-length: {}\r\n\r\n{text}",
        text.len()
    );
    let mut answers = Vec::new();
    let mut piece = [0; 65536];
    for sent in 1..=count {
        socket.write_all(request.as_bytes()).expect("sent");
        // One at a time: the answer is there before the next request.
        while answers.windows(12).filter(|head| head == b"HTTP/1.1 202").count() < sent {
            let length = socket.read(&mut piece).expect("an answer");
            assert!(length > 0, "{}", String::from_utf8_lossy(&answers));
            answers.extend_from_slice(&piece[..length]);
        }
        if answers.len() > 1 << 20 {
            panic!("the answers are longer than expected");
        }
    }
}

/// A pipeline over so many rows that it is still running when something happens to it.
const LONG: &str = "name: long
steps:
  - {id: extract, service: extract-csv, params: {file_path: long.csv}}
  - {id: outliers, service: outliers, params: {column: MonthlyIncome}, depends_on: [extract]}
  - {id: clean, service: clean-nan, params: {strategy: fill_median}, depends_on: [outliers]}
  - {id: load, service: load-data, params: {format: csv, dataset_name: out}, depends_on: [clean]}
";

fn long_house() -> House {
    let house = House::new(PROGRAM);
    generate(&house, "150000");
    house.write("long.yaml", LONG);
    house
}

fn generate(house: &House, rows: &str) {
    let made = house.quiver(&["generate", "hr", "--rows", rows, "-o", "long.csv"]);
    assert_eq!(made.code, Some(0), "{}", made.stderr);
}

#[test]
fn a_replica_that_stood_still_past_its_lease_commits_nothing() {
    let database = Postgres::shared();
    let house = long_house();
    let store = database.database();
    let options = ["--embedded", "--store", &store];
    let replicas = [Service::start(&house, &options), Service::start(&house, &options)];
    let run = replicas[0].submit("long.yaml");
    let owner = eventually(SOON, "a replica has it", || replicas[0].show(&run)["owner"].as_str().map(str::to_owned));
    let holds = |service: &&Service| service.asked("/version")["replica"] == owner.as_str();
    let (holder, other) = match replicas.iter().find(holds) {
        Some(holder) if std::ptr::eq(holder, &replicas[0]) => (&replicas[0], &replicas[1]),
        _ => (&replicas[1], &replicas[0]),
    };
    holder.process.signal("STOP");
    // Nobody is told: its lease passes, and the other one takes the run.
    let ended = other.until(&run, &["done", "failed"]);
    assert_eq!(ended["state"], "done", "{}", ended["fault"]);
    let outputs = written(&house);
    assert_eq!(outputs.len(), 1, "{outputs:?}");
    let whole = std::fs::metadata(house.path().join(&outputs[0])).expect("there").modified().expect("a time");
    holder.process.signal("CONT");
    // It is back once it answers; it knows then that the run is another's.
    eventually(SOON, "it has given the run up", || {
        let ended = holder.quiver(&["runs", "show", &run, "--json"]);
        (ended.code == Some(0) && ended.json()["state"] == "done").then_some(())
    });
    let next = holder.submit("examples/pipelines/hr_analytics.yaml");
    assert_eq!(holder.until(&next, &["done", "failed"])["state"], "done");
    assert_eq!(written(&house).len(), 2);
    let after = std::fs::metadata(house.path().join(&outputs[0])).expect("there").modified().expect("a time");
    assert_eq!(whole, after, "the output was written again");
}

/// The workbook is written for a while before its load asks whether it may commit.
const REPORT: &str = "name: report
params:
  file: {type: string, default: long.csv}
steps:
  - {id: extract, service: extract-csv, params: {file_path: '{{ file }}'}}
  - {id: load, service: load-data, params: {path: report.xlsx}, depends_on: [extract]}
";

/// Whether a process has a file beneath this folder that has no name yet.
fn writes_a_file(pid: u32, folder: &Path) -> bool {
    let open = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("it runs").flatten();
    let mut targets = open.filter_map(|entry| std::fs::read_link(entry.path()).ok());
    targets.any(|target| target.starts_with(folder) && target.to_string_lossy().ends_with(" (deleted)"))
}

#[test]
fn a_machine_that_stood_still_past_the_lease_puts_nothing_in_the_place_of_what_is_newer() {
    let database = Postgres::shared();
    let house = House::new(PROGRAM);
    generate(&house, "30000");
    house.write("report.yaml", REPORT);
    let store = database.database();
    let options = ["--slots", "1", "--store", &store];
    let first = Service::start(&house, &options);
    let run = first.submit("report.yaml");
    let server = first.server("load-data");
    eventually(SOON, "the load has begun", || writes_a_file(server, house.path()).then_some(()));
    signal(server, "STOP");
    first.process.signal("STOP");
    let second = Service::start(&house, &options);
    assert_eq!(second.until(&run, &["done", "failed"])["state"], "done");
    let newer = second.quiver(&["runs", "submit", "report.yaml", "--param", "file=examples/data/hr_employees.csv"]);
    assert_eq!(second.until(newer.stdout.trim(), &["done", "failed"])["state"], "done", "{}", newer.stderr);
    let report = std::fs::read(house.path().join("report.xlsx")).expect("written");
    signal(server, "CONT");
    first.process.signal("CONT");
    eventually(SOON, "the load has ended", || (!writes_a_file(server, house.path())).then_some(()));
    eventually(SOON, "it knows the run as the other's", || {
        let shown = first.quiver(&["runs", "show", &run, "--json"]);
        (shown.code == Some(0) && shown.json()["state"] == "done").then_some(())
    });
    assert!(std::fs::read(house.path().join("report.xlsx")).expect("there") == report, "the older report is there");
}

#[test]
fn a_database_that_restarts_costs_no_run() {
    let database = Postgres::start();
    let house = long_house();
    let store = database.database();
    let service = Service::start(&house, &["--embedded", "--store", &store]);
    let run = service.submit("long.yaml");
    service.until_event(&run, "started");
    database.down();
    database.up();
    let ended = eventually(SOON, "the run ends", || {
        // While the database is away, the service says so and lives.
        let shown = service.quiver(&["runs", "show", &run, "--json"]);
        let ended = shown.code == Some(0) && matches!(shown.json()["state"].as_str(), Some("done" | "failed"));
        ended.then(|| shown.json())
    });
    assert_eq!(ended["state"], "done", "{}", ended["fault"]);
    assert_eq!(written(&house).len(), 1);
}

/// `quiver up --embedded`, killed and started again.
fn killed<'a>(service: Service<'a>, options: &[&str]) -> Service<'a> {
    let house = service.house;
    service.process.signal("KILL");
    service.process.end_within(SOON);
    Service::start(house, options)
}

const ONE: [&str; 5] = ["--embedded", "--slots", "1", "--max-runs", "1"];

#[test]
fn a_run_that_waits_to_be_tried_again_outlives_a_kill() {
    let house = long_house();
    let service = Service::start(&house, &["--slots", "1", "--max-runs", "1"]);
    let run = service.submit("long.yaml");
    service.until_event(&run, "started");
    eventually(SOON, "outliers runs", || {
        let shown = service.show(&run);
        let running = |step: &serde_json::Value| step["id"] == "outliers" && step["status"] == "running";
        shown["steps"].as_array()?.iter().any(running).then_some(())
    });
    signal(service.server("outliers"), "KILL");
    service.until_event(&run, "retry");
    let service = killed(service, &ONE);
    assert_eq!(service.until(&run, &["done", "failed"])["state"], "done");
    assert_eq!(written(&house).len(), 1);
}

#[test]
fn a_run_that_is_being_cancelled_is_cancelled_after_a_kill() {
    let house = long_house();
    let service = Service::start(&house, &ONE);
    let run = service.submit("long.yaml");
    service.until_event(&run, "started");
    assert_eq!(service.quiver(&["runs", "cancel", &run]).code, Some(0));
    let service = killed(service, &ONE);
    let ended = service.until(&run, &["done", "failed", "cancelled"]);
    assert_eq!(ended["state"], "cancelled");
    assert_eq!(written(&house), [""; 0]);
    let next = service.submit("examples/pipelines/hr_analytics.yaml");
    assert_eq!(service.until(&next, &["done", "failed"])["state"], "done", "the slot is free");
}

#[test]
fn a_resumed_run_outlives_a_kill() {
    let house = House::new(PROGRAM);
    let service = Service::start(&house, &ONE);
    let text = std::fs::read_to_string(house.path().join("examples/pipelines/hr_analytics.yaml")).expect("there");
    let kept = text.replace("service: extract-csv", "service: extract-csv\n    checkpoint: true");
    assert!(kept.contains("min_rows: 100"), "{kept}");
    house.write("strict.yaml", kept.replace("min_rows: 100", "min_rows: 501"));
    let run = service.submit("strict.yaml");
    service.until(&run, &["failed"]);
    house.write("milder.yaml", &kept);
    assert_eq!(service.quiver(&["runs", "resume", &run, "--file", "milder.yaml"]).code, Some(0));
    let service = killed(service, &ONE);
    let ended = service.until(&run, &["done", "failed"]);
    assert_eq!((&ended["state"], &ended["steps"][0]["status"]), (&"done".into(), &"reused".into()), "{ended}");
    assert_eq!(written(&house).len(), 1);
}

/// The library that lets the clock of a process be set.
fn faketime() -> PathBuf {
    test_servers::program("faketime", "faketime");
    let listed = Command::new("dpkg").args(["-L", "libfaketime"]).output().expect("dpkg runs");
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    PathBuf::from(listed.lines().find(|line| line.ends_with("libfaketime.so.1")).expect("the library"))
}

#[test]
fn the_clock_may_jump_in_the_middle_of_a_run() {
    let house = long_house();
    house.write("clock", "+0");
    let mut command = house.command(&["up", "--embedded", "--api", "127.0.0.1:0", "--front", "127.0.0.1:0", "--json"]);
    command.env("LD_PRELOAD", faketime()).env("FAKETIME_TIMESTAMP_FILE", house.path().join("clock"));
    // A clock that is set back does not change how time passes.
    command.env("FAKETIME_NO_CACHE", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    let service = Service::spawn(&house, command);
    for (count, jump) in ["+2h", "-2h", "+0"].into_iter().enumerate() {
        let run = service.submit("long.yaml");
        service.until_event(&run, "started");
        house.write("clock", jump);
        let ended = service.until(&run, &["done", "failed"]);
        assert_eq!(ended["state"], "done", "{jump}: {}", ended["fault"]);
        assert_eq!(ended["attempt"], 1, "{jump}: nobody took it from its owner");
        assert_eq!(written(&house).len(), count + 1, "{jump}");
    }
}
