//! The service as operators run it: real processes, killed, stopped and started again at every point of a run.

use quiver_tests::{Ended, House, Running, children, eventually, signal};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use test_servers::Postgres;

const PROGRAM: &str = env!("CARGO_BIN_EXE_quiver-under-test");
const SOON: Duration = Duration::from_secs(60);

/// `quiver up` in a house.
struct Service<'a> {
    house: &'a House,
    process: Running,
    url: String,
}

impl<'a> Service<'a> {
    fn start(house: &'a House, words: &[&str]) -> Self {
        let all = [
            &["up", "--api", "127.0.0.1:0", "--front", "127.0.0.1:0", "--lease", "1s", "--drain", "5s", "--json"],
            words,
        ]
        .concat();
        let mut command = house.command(&all);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts");
        let mut process = Running::of(child);
        let output = BufReader::new(process.child().stdout.take().expect("its output"));
        let lines = output.lines().map_while(Result::ok).find(|line| line.contains("\"api\""));
        let line = lines.expect("it says where it listens");
        let url = line.split('"').nth(3).expect("a URL").to_owned();
        Self { house, process, url }
    }

    fn quiver(&self, words: &[&str]) -> Ended {
        self.house.quiver(&[words, &["--url", &self.url]].concat())
    }

    fn submit(&self, file: &str) -> String {
        let ended = self.quiver(&["runs", "submit", file]);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        ended.stdout.trim().to_owned()
    }

    fn show(&self, run: &str) -> Value {
        let ended = self.quiver(&["runs", "show", run, "--json"]);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        ended.json()
    }

    /// What it says of itself.
    fn version(&self) -> Value {
        let answer = get(self.url.trim_start_matches("http://"), "/version");
        serde_json::from_str(&answer).expect("JSON")
    }

    /// Waits until a run is in one of these states.
    fn until(&self, run: &str, states: &[&str]) -> Value {
        eventually(SOON, &format!("{run} is {states:?}"), || {
            let shown = self.show(run);
            states.contains(&shown["state"].as_str().expect("a state")).then_some(shown)
        })
    }

    /// Waits until something of this kind has happened to a run, or it has ended.
    fn until_event(&self, run: &str, kind: &str) {
        let mut command = self.house.command(&["runs", "logs", run, "-f", "--json", "--url", &self.url]);
        let mut listening =
            Running::of(command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts"));
        let lines = BufReader::new(listening.child().stdout.take().expect("its output")).lines();
        let wanted = format!("\"kind\":\"{kind}\"");
        lines.map_while(Result::ok).find(|line| line.contains(&wanted));
    }

    fn server(&self, step: &str) -> u32 {
        let named = format!("serve {step} ");
        eventually(SOON, "the server runs", || {
            children(self.process.pid()).into_iter().find(|(_, line)| line.contains(&named)).map(|(pid, _)| pid)
        })
    }
}

/// The body of an answer.
fn get(address: &str, path: &str) -> String {
    let mut socket = TcpStream::connect(address).expect("open");
    write!(socket, "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").expect("sent");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("an answer");
    answer.split_once("\r\n\r\n").expect("a body").1.to_owned()
}

/// The files that the loads of a house have written.
fn written(house: &House) -> Vec<String> {
    house.outputs().into_iter().filter(|path| path.contains("/processed/")).collect()
}

#[test]
fn an_operator_lives_through_a_day() {
    let house = House::new(PROGRAM);
    let service = Service::start(&house, &[]);
    let followed = service.quiver(&["runs", "submit", "examples/pipelines/hr_analytics.yaml", "--follow"]);
    assert_eq!(followed.code, Some(0), "{}", followed.stderr);
    assert!(followed.stdout.contains("committing load"), "{}", followed.stdout);

    let gate = ["runs", "submit", "examples/pipelines/hr_analytics.yaml", "-f", "--set", "quality.rules.min_rows=501"];
    let failed = service.quiver(&gate);
    assert_eq!(failed.code, Some(1), "{}", failed.stderr);
    assert!(failed.stdout.contains("min_rows"), "{}", failed.stdout);

    house.write("wrong.yaml", "steps:\n  - {id: a, service: extract-cvs, params: {file_path: x.csv}}\n");
    let wrong = service.quiver(&["runs", "submit", "wrong.yaml"]);
    assert_eq!(wrong.code, Some(2), "{}", wrong.stderr);
    assert!(wrong.stderr.contains("line 2") && wrong.stderr.contains("extract-csv"), "{}", wrong.stderr);

    let listed = service.quiver(&["runs", "list", "--json"]).json();
    let states: Vec<&str> =
        listed["items"].as_array().expect("runs").iter().filter_map(|r| r["state"].as_str()).collect();
    assert_eq!(states, ["failed", "done"]);
    let (failed, done) = (listed["items"][0]["id"].as_str(), listed["items"][1]["id"].as_str());
    let (failed, done) = (failed.expect("an id"), done.expect("an id"));
    let shown = service.quiver(&["runs", "show", failed]);
    assert!(shown.stdout.contains("min_rows") && shown.stdout.contains("quality"), "{}", shown.stdout);
    assert_eq!(service.quiver(&["runs", "diff", failed, done]).code, Some(0));
    let log = service.quiver(&["runs", "logs", failed, "--step", "quality"]).stdout;
    assert!(log.lines().count() == 1 && log.contains("error") && log.contains("min_rows"), "{log}");
    let whole = service.quiver(&["runs", "logs", done, "--json"]).json();
    assert!(whole.as_array().is_some_and(|lines| lines.iter().any(|line| line["step"] == "clean")), "{whole}");
    assert_eq!(service.quiver(&["runs", "cancel", done]).code, Some(2));
    assert_eq!(service.quiver(&["runs", "show", "none"]).code, Some(2));

    let put = ["pipelines", "put", "hr", "examples/pipelines/hr_analytics.yaml"];
    assert_eq!(service.quiver(&put).code, Some(0));
    let by_name = service.quiver(&["runs", "submit", "--pipeline", "hr", "--follow"]);
    assert_eq!(by_name.code, Some(0), "{}", by_name.stderr);

    let doctor = service.quiver(&["doctor", "--json"]);
    assert_eq!(doctor.code, Some(0), "{}", doctor.stdout);
    assert_eq!(written(&house).len(), 2);
    service.process.signal("TERM");
    assert_eq!(service.process.end_within(SOON).code, Some(0));
    assert_eq!(house.quiver(&["doctor", "--url", &service.url]).code, Some(1));
}

#[test]
fn tokens_made_at_the_store_open_the_service() {
    let house = House::new(PROGRAM);
    let made = house.quiver(&["token", "create", "ann", "--role", "operator"]);
    let secret = made.stdout.trim().to_owned();
    let service = Service::start(&house, &["--embedded", "--tokens"]);
    assert_eq!(service.quiver(&["runs", "list"]).code, Some(1));
    assert_eq!(service.quiver(&["runs", "list", "--token", &secret]).code, Some(0));
    house.write("token", &secret);
    let contexts = format!("current: here\ncontexts:\n  here: {{url: \"{}\", token_file: token}}\n", service.url);
    house.write("config.yaml", contexts);
    assert_eq!(house.quiver(&["runs", "list", "--config", "config.yaml"]).code, Some(0));
    // Not an admin.
    assert_eq!(house.quiver(&["token", "list", "--config", "config.yaml"]).code, Some(2));
}

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

/// Whether a file is neither an output nor the orchestrator's.
fn is_left_over(path: &str) -> bool {
    let own = path.starts_with(".quiver/quiver.db") || path.starts_with(".quiver/audit/");
    !(own || path.contains("/processed/") || Path::new(path).starts_with("examples"))
}

#[test]
fn a_thousand_queued_runs_outlive_a_kill() {
    let house = House::new(PROGRAM);
    house.write("in.csv", "id,name\n1,Ann\n2,Bo\n");
    house.write(
        "tiny.yaml",
        "name: tiny\nsteps:\n  - {id: read, service: extract-csv, params: {file_path: in.csv}}\n  \
         - {id: write, service: load-data, params: {format: csv, dataset_name: out}, depends_on: [read]}\n",
    );
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
    let made = house.quiver(&["generate", "hr", "--rows", "150000", "-o", "long.csv"]);
    assert_eq!(made.code, Some(0), "{}", made.stderr);
    house.write("long.yaml", LONG);
    house
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
    let holds = |service: &&Service| service.version()["replica"] == owner.as_str();
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

#[test]
fn a_server_that_hangs_is_given_up_in_time() {
    let house = House::new(PROGRAM);
    let text = std::fs::read_to_string(house.path().join("examples/pipelines/hr_analytics.yaml")).expect("there");
    house.write("limited.yaml", text.replace("service: outliers", "service: outliers\n    timeout: 2s"));
    let service = Service::start(&house, &["--attempts", "2"]);
    let server = service.server("outliers");
    let run = service.submit("limited.yaml");
    service.until_event(&run, "done");
    // From here on nothing that it is asked is answered.
    signal(server, "STOP");
    house.write("again.yaml", text.replace("service: outliers", "service: outliers\n    timeout: 2s") + "\n");
    let refused = service.quiver(&["runs", "submit", "again.yaml"]);
    signal(server, "CONT");
    assert_eq!(refused.code, Some(1), "{}", refused.stderr);
    assert!(refused.stderr.contains("outliers"), "{}", refused.stderr);
    let next = service.submit("again.yaml");
    assert_eq!(service.until(&next, &["done", "failed"])["state"], "done");
}

#[test]
fn a_full_disk_is_told_and_got_over() {
    let house = House::new(PROGRAM);
    house.write("in.csv", "id,name\n1,Ann\n2,Bo\n");
    house.write(
        "tiny.yaml",
        "name: tiny\nsteps:\n  - {id: read, service: extract-csv, params: {file_path: in.csv}}\n  \
         - {id: write, service: load-data, params: {format: csv, dataset_name: out}, depends_on: [read]}\n",
    );
    let service = Service::start(&house, &["--embedded"]);
    let first = service.submit("tiny.yaml");
    service.until(&first, &["done"]);
    // No file may grow any more: what a full disk does, without filling one.
    let limit = |soft: &str| {
        let pid = service.process.pid().to_string();
        let limit = format!("--fsize={soft}:unlimited");
        let set = std::process::Command::new("prlimit").args(["--pid", &pid, &limit]).status();
        assert!(set.is_ok_and(|status| status.success()), "prlimit");
    };
    limit("0");
    let refused = service.quiver(&["runs", "submit", "tiny.yaml"]);
    assert_eq!(refused.code, Some(1), "{}{}", refused.stdout, refused.stderr);
    assert!(refused.stderr.contains("the store cannot be used"), "{}", refused.stderr);
    // It can still be asked.
    assert_eq!(service.show(&first)["state"], "done");
    limit("unlimited");
    let next = service.submit("tiny.yaml");
    assert_eq!(service.until(&next, &["done", "failed"])["state"], "done");
}

#[test]
fn a_secret_is_used_and_written_down_nowhere() {
    const SECRET: &str = "topsecret-4711";
    let house = House::new(PROGRAM);
    house.write("in.csv", "id,name\n1,Ann\n2,Bo\n");
    house.write("secrets/place", SECRET);
    house.write(
        "secret.yaml",
        "name: hidden\nsteps:\n  - {id: read, service: extract-csv, params: {file_path: in.csv}}\n  \
         - {id: write, service: load-data, params: {format: csv, dataset_name: \"secret://place\"}, depends_on: [read]}\n",
    );
    let service = Service::start(&house, &["--secrets-dir", "secrets"]);
    let followed = service.quiver(&["runs", "submit", "secret.yaml", "--follow"]);
    assert_eq!(followed.code, Some(0), "{}", followed.stderr);
    assert!(!followed.stdout.contains(SECRET), "{}", followed.stdout);
    let run = service.quiver(&["runs", "list", "--json"]).json()["items"][0]["id"].as_str().expect("a run").to_owned();
    let shown = service.show(&run).to_string();
    assert!(!shown.contains(SECRET), "{shown}");
    service.process.signal("TERM");
    assert_eq!(service.process.end_within(SOON).code, Some(0));
    // It was used: the data set has its name.
    assert!(house.outputs().iter().any(|path| path.starts_with(&format!("{SECRET}/processed/"))));
    for path in house.outputs().into_iter().filter(|path| path.starts_with(".quiver/")) {
        let bytes = std::fs::read(house.path().join(&path)).expect("there");
        let found = bytes.windows(SECRET.len()).any(|part| part == SECRET.as_bytes());
        assert!(!found, "{path} holds the secret");
    }
}
