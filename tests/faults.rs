//! What goes wrong while a pipeline runs: a killed server, Ctrl-C, a full disk, two runs at once. Nothing half-written is
//! ever seen, and the run says what happened.

use flight_common::client::StepClient;
use flight_common::wire::Gather;
use flight_common::{FaultKind, StepCommand};
use quiver_tests::{Ended, House, Running, children, eventually, signal};
use serde_json::json;
use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use test_servers::{Database, MariaDatabase, PostgresDatabase};
use tokio::runtime::Runtime;

const PROGRAM: &str = env!("CARGO_BIN_EXE_quiver-under-test");
const SOON: Duration = Duration::from_secs(60);

/// A pipeline over so many rows that it is still running when something happens to it.
fn long_house() -> House {
    let house = House::new(PROGRAM);
    let made = house.quiver(&["generate", "hr", "--rows", "150000", "-o", "long.csv"]);
    assert_eq!(made.code, Some(0), "{}", made.stderr);
    house.write(
        "p.yaml",
        "steps:
  - {id: extract, service: extract-csv, params: {file_path: long.csv}}
  - {id: outliers, service: outliers, params: {column: MonthlyIncome}, depends_on: [extract]}
  - {id: clean, service: clean-nan, params: {strategy: fill_median}, depends_on: [outliers]}
  - {id: load, service: load-data, params: {format: csv, dataset_name: out}, depends_on: [clean]}
",
    );
    house
}

fn written(house: &House) -> Vec<String> {
    house.outputs().into_iter().filter(|path| path.starts_with("out/")).collect()
}

#[test]
fn a_killed_server_fails_the_run_by_name_and_leaves_no_file() {
    let house = long_house();
    let run = house.start(&["run", "p.yaml", "--mesh", "--json"]);
    let victim = eventually(SOON, "the server of outliers runs", || {
        children(run.pid()).into_iter().find(|(_, line)| line.contains("serve outliers")).map(|(pid, _)| pid)
    });
    // It is at work once it has read something; before that it could only be missing.
    eventually(SOON, "rows reach it", || (cpu_ticks(victim)? > 20).then_some(()));
    let servers = children(run.pid()).into_iter().filter(|(_, line)| line.contains(" serve ")).count();
    assert_eq!(servers, 4, "one for each step of the pipeline");
    signal(victim, "KILL");
    let ended = run.end_within(SOON);
    assert_eq!(ended.code, Some(1), "{}{}", ended.stdout, ended.stderr);
    let report = ended.json();
    assert_eq!(report["status"], "failed");
    assert_eq!(report["fault"]["step"], "outliers", "{}", report["fault"]);
    assert!(report["fault"]["help"].as_str().is_some_and(|help| help.contains("still runs")), "{}", report["fault"]);
    assert_eq!(written(&house), Vec::<String>::new());
}

/// CPU time that a process has used, in ticks.
fn cpu_ticks(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit(')').next()?.split_whitespace().collect();
    Some(fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?)
}

fn interrupted(words: &[&str]) -> (Ended, House) {
    let house = long_house();
    let run = house.start(words);
    let pid = run.pid();
    let mesh = words.contains(&"--mesh");
    eventually(SOON, "it is at work", || match mesh {
        true => {
            children(pid).into_iter().any(|(child, _)| cpu_ticks(child).is_some_and(|ticks| ticks > 20)).then_some(())
        }
        false => (cpu_ticks(pid)? > 20).then_some(()),
    });
    run.signal("INT");
    (run.end_within(SOON), house)
}

/// A server in a long computation does not notice that its client is gone: the command says so before it ends. Several
/// times, since an end that does not wait for it is only sometimes too early.
#[test]
fn ctrl_c_ends_the_query_at_the_server() {
    let runtime = Runtime::new().expect("threads");
    let maria = runtime.block_on(MariaDatabase::new());
    assert_ctrl_c_ends(
        &runtime,
        &maria,
        "SELECT count(*) AS n FROM seq_1_to_1000000 AS a, seq_1_to_1000000 AS b WHERE a.seq * b.seq = -1",
        "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE 'SELECT%a.seq * b.seq = -1%' AND id <> CONNECTION_ID()",
    );
    let postgres = runtime.block_on(PostgresDatabase::new());
    assert_ctrl_c_ends(
        &runtime,
        &postgres,
        "SELECT count(*) AS n FROM generate_series(1, 1000000) AS a, generate_series(1, 1000000) AS b WHERE a * b = -1",
        "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%a * b = -1%' AND pid <> pg_backend_pid()",
    );
}

fn assert_ctrl_c_ends(runtime: &Runtime, database: &impl Database, query: &str, running: &str) {
    let house = House::new(PROGRAM);
    let pipeline = json!({"steps": [
        {"id": "read", "service": "extract-sql", "params": {"db_url": database.url(), "query": query}},
        {"id": "write", "service": "load-data", "params": {"format": "csv", "dataset_name": "out"}, "depends_on": ["read"]},
    ]});
    house.write("p.yaml", pipeline.to_string());
    let runs = |wanted: i64| (runtime.block_on(database.figure(running)) == wanted).then_some(());
    for try_number in 1..=8 {
        let run = house.start(&["run", "p.yaml", "--json"]);
        eventually(SOON, "the query runs", || runs(1));
        run.signal("INT");
        let ended = run.end_within(SOON);
        assert_eq!(ended.code, Some(130), "{}{}", ended.stdout, ended.stderr);
        eventually(SOON / 6, &format!("the query is gone, the {try_number}th time"), || runs(0));
    }
}

/// A load has not asked whether it may commit while it waits for a table: it is not waited for.
#[test]
fn ctrl_c_ends_a_load_that_waits_for_a_table() {
    let runtime = Runtime::new().expect("threads");
    let database = runtime.block_on(PostgresDatabase::with("CREATE TABLE people (id bigint, name text)"));
    runtime.block_on(database.run("BEGIN; LOCK TABLE people"));
    let house = House::new(PROGRAM);
    house.write("in.csv", "id,name\n1,Ann\n2,Bo\n");
    let pipeline = json!({"steps": [
        {"id": "read", "service": "extract-csv", "params": {"file_path": "in.csv"}},
        {"id": "write", "service": "load-sql", "params": {"db_url": database.url(), "table": "people"}, "depends_on": "read"},
    ]});
    house.write("p.yaml", pipeline.to_string());
    let waiting = |wanted: i64| {
        let locks = runtime.block_on(database.figure("SELECT count(*) FROM pg_locks WHERE NOT granted"));
        (locks == wanted).then_some(())
    };
    for words in [&["run", "p.yaml"][..], &["run", "p.yaml", "--mesh"]] {
        let run = house.start(words);
        eventually(SOON, "it waits for the table", || waiting(1));
        run.signal("INT");
        let ended = run.end_within(SOON);
        assert_eq!(ended.code, Some(130), "{words:?} {}", ended.stderr);
        for (part, is_told) in [("nothing half-written is left", true), ("it was committing", false)] {
            assert_eq!(ended.stderr.contains(part), is_told, "{words:?} {}", ended.stderr);
        }
        eventually(SOON, "nobody waits any more", || waiting(0));
    }
    runtime.block_on(database.run("ROLLBACK"));
    assert_eq!(runtime.block_on(database.figure("SELECT count(*) FROM people")), 0);
}

#[test]
fn ctrl_c_cancels_cleanly() {
    for words in [&["run", "p.yaml", "--json"][..], &["run", "p.yaml", "--mesh", "--json"]] {
        let (ended, house) = interrupted(words);
        assert_eq!(ended.code, Some(130), "{words:?} {}{}", ended.stdout, ended.stderr);
        assert_eq!(ended.json()["status"], "cancelled");
        assert_eq!(written(&house), Vec::<String>::new());
    }
}

#[test]
fn ctrl_c_ends_a_command_that_waits_for_an_answer() {
    let house = House::new(PROGRAM);
    house.write("p.yaml", json!({"steps": [{"id": "read", "service": "extract-file"}]}).to_string());
    for command in ["run", "validate", "plan"] {
        // Of its own: a connection that waits in the queue would not be of this command.
        let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = silent.local_addr().expect("an address").to_string();
        let waiting = house.start(&[command, "p.yaml", "--connect", &address, "--json"]);
        let _connection = silent.accept().expect("a connection");
        waiting.signal("INT");
        let ended = waiting.end_within(SOON);
        assert_eq!(ended.code, Some(130), "{command} {}{}", ended.stdout, ended.stderr);
        if command == "run" {
            assert_eq!(ended.json()["status"], "cancelled");
        }
    }
}

#[test]
fn ctrl_c_ends_a_command_that_waits_for_its_pipeline() {
    let house = House::new(PROGRAM);
    for command in ["run", "validate", "plan"] {
        let mut waiting = house.command(&[command, "-"]);
        let mut child =
            waiting.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("started");
        let input = child.stdin.take();
        let waiting = Running::of(child);
        eventually(SOON, "it listens for signals", || catches_interrupts(waiting.pid()).then_some(()));
        waiting.signal("INT");
        assert_eq!(waiting.end_within(SOON).code, Some(130), "{command}");
        drop(input);
    }
}

/// Whether a process has a handler for SIGINT: proc(5), `SigCgt`.
fn catches_interrupts(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 0b10 != 0)
}

/// Whoever reads what the command says may go away; the run goes on, and ends as it does.
#[test]
fn a_reader_of_standard_error_that_goes_away_changes_nothing() {
    let house = House::new(PROGRAM);
    for words in [
        &["run", "examples/pipelines/hr_analytics.yaml"][..],
        &["run", "examples/pipelines/hr_analytics.yaml", "--mesh"],
    ] {
        let full = File::options().write(true).open("/dev/full").expect("/dev/full");
        let ended = house.command(words).stdout(Stdio::null()).stderr(full).status().expect("ended");
        assert_eq!(ended.code(), Some(0), "{words:?}");
    }
    house.write("wrong.yaml", "steps: []");
    let full = File::options().write(true).open("/dev/full").expect("/dev/full");
    let ended = house.command(&["validate", "wrong.yaml"]).stderr(full).status().expect("ended");
    assert_eq!(ended.code(), Some(2));
}

#[test]
fn nothing_of_the_servers_outlives_the_command_even_when_it_is_killed() {
    let house = long_house();
    let run = house.start(&["up", "--api", "127.0.0.1:0", "--front", "127.0.0.1:0"]);
    let servers = all_servers(&house, run.pid());
    run.signal("KILL");
    drop(run);
    let socket = |line: &str| Some(PathBuf::from(line.split(' ').skip_while(|word| *word != "--socket").nth(1)?));
    let sockets: Vec<PathBuf> = servers.iter().filter_map(|(_, line)| socket(line)).collect();
    let folder = sockets.first().and_then(|socket| socket.parent()).expect("a folder of sockets");
    for (pid, line) in &servers {
        let gone = || (!Path::new(&format!("/proc/{pid}")).exists() || zombie(*pid)).then_some(());
        eventually(SOON, &format!("{line} ends"), gone);
    }
    assert!(!folder.exists(), "{}", folder.display());
}

/// The processes of the command, once there is a server for each step.
fn all_servers(house: &House, command: u32) -> Vec<(u32, String)> {
    let steps = house.quiver(&["steps", "--json"]).json().as_array().map_or(0, Vec::len);
    eventually(SOON, "all servers run", || {
        let found = children(command);
        (found.iter().filter(|(_, line)| line.contains(" serve ")).count() == steps).then_some(found)
    })
}

fn zombie(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") Z "))
}

#[test]
fn up_drains_on_sigterm() {
    let house = House::new(PROGRAM);
    let run = house.start(&["up", "--api", "127.0.0.1:0", "--front", "127.0.0.1:0"]);
    all_servers(&house, run.pid());
    run.signal("TERM");
    assert_eq!(run.end_within(SOON).code, Some(0));
}

#[test]
fn a_failed_gate_leaves_no_file() {
    let house = House::new(PROGRAM);
    for words in [
        &["run", "examples/pipelines/hr_analytics.yaml", "--json", "--set", "quality.rules.min_rows=501"][..],
        &["run", "examples/pipelines/hr_analytics.yaml", "--json", "--set", "quality.rules.min_rows=501", "--mesh"],
    ] {
        let ended = house.quiver(words);
        assert_eq!(ended.code, Some(1), "{}", ended.stderr);
        let report = ended.json();
        assert_eq!(report["fault"]["kind"], "bad_data");
        assert_eq!(report["fault"]["step"], "quality");
        assert!(report["fault"]["message"].as_str().is_some_and(|text| text.contains("min_rows")), "{report}");
        let quality = &report["steps"][1];
        assert_eq!((&quality["status"], &quality["rows_in"]), (&json!("failed"), &json!(500)), "{report}");
        assert!(quality["counters"]["checks_failed"] == 1 && quality["computing_ms"] != 0.0, "{quality}");
        assert_eq!(house.outputs(), Vec::<String>::new());
    }
}

/// MariaDB cannot make a table in a transaction: the one that was being made is taken away before the command ends.
#[test]
fn a_failed_run_leaves_no_table_that_was_being_made() {
    let runtime = Runtime::new().expect("threads");
    let database = runtime.block_on(MariaDatabase::new());
    let house = House::new(PROGRAM);
    let rows: String = (0..300_000).map(|n| format!("{n}\n")).collect();
    house.write("in.csv", format!("id\n{rows}x\n"));
    let pipeline = json!({"steps": [
        {"id": "read", "service": "extract-csv", "params": {"file_path": "in.csv"}},
        {"id": "write", "service": "load-sql", "params": {"db_url": database.url(), "table": "people"}, "depends_on": "read"},
    ]});
    house.write("p.yaml", pipeline.to_string());
    for words in [&["run", "p.yaml", "--json"][..], &["run", "p.yaml", "--json", "--mesh"]] {
        let ended = house.quiver(words);
        assert_eq!((ended.code, &ended.json()["fault"]["step"]), (Some(1), &json!("read")), "{}", ended.stderr);
        let left: Vec<String> =
            runtime.block_on(database.tables()).into_iter().filter(|table| table != "quiver_loads").collect();
        assert_eq!(left, Vec::<String>::new(), "{words:?}");
    }
}

#[test]
fn two_runs_at_once_both_keep_their_output() {
    let house = House::new(PROGRAM);
    let words = ["run", "examples/pipelines/hr_analytics.yaml", "--json"];
    let (first, second) = (house.start(&words), house.start(&words));
    let paths: Vec<String> = [first.end_within(SOON), second.end_within(SOON)]
        .iter()
        .map(|ended| {
            assert_eq!(ended.code, Some(0), "{}", ended.stderr);
            ended.json()["steps"][5]["receipt"]["path"].as_str().expect("a path").to_owned()
        })
        .collect();
    assert_ne!(paths[0], paths[1]);
    for path in paths {
        assert!(house.path().join(path).is_file());
    }
}

#[test]
fn a_source_that_changes_between_plan_and_run_is_an_error() {
    let house = House::new(PROGRAM);
    house.write("in.csv", "a\n1\n");
    house.write("p.yaml", "steps:\n  - {id: e, service: extract-csv, params: {file_path: in.csv}}\n");
    let planned = house.quiver(&["plan", "p.yaml", "--json"]);
    let source = planned.json()["nodes"][0]["source"].as_str().expect("a source").to_owned();
    let mut server = house.start(&["serve", "extract-csv", "--listen", "127.0.0.1:0"]);
    let address = server.address();
    let command = StepCommand {
        step: "extract-csv".to_owned(),
        params: json!({"file_path": "in.csv"}),
        source,
        ..StepCommand::default()
    };
    let run = |command: &StepCommand| {
        let runtime = Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let client = StepClient::tcp(&address).expect("an address");
            client.exchange(command, None, Gather::Aligned, None).await.map(drop)
        })
    };
    assert_eq!(run(&command), Ok(()));
    house.write("in.csv", "a\n1\n2\n3\n");
    let fault = run(&command).expect_err("another source");
    assert_eq!(fault.kind(), FaultKind::BadData);
    assert!(fault.message().contains("changed"), "{fault}");
}

#[test]
fn memory_stays_within_its_limit_however_large_the_input() {
    let house = long_house();
    let ended = house.quiver(&["run", "p.yaml", "--json", "--memory-limit", "16MiB"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let report = ended.json();
    let spilled: u64 =
        report["steps"].as_array().expect("steps").iter().filter_map(|step| step["bytes_spilled"].as_u64()).sum();
    assert!(spilled > 20 << 20, "{spilled}");
    let plenty = house.quiver(&["run", "p.yaml", "--json"]).json();
    let bytes = |report: &serde_json::Value| {
        let path = report["steps"][3]["receipt"]["path"].as_str().expect("a path");
        std::fs::read(house.path().join(path)).expect("the output")
    };
    assert!(bytes(&report) == bytes(&plenty), "equal output with little memory");
}
