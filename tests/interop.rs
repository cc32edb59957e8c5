//! Other languages: real pyarrow drives every step of a real server. The environment is made here, once.

use quiver_tests::{House, Running, repository};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use test_servers::{MariaDb, Postgres};

const PROGRAM: &str = env!("CARGO_BIN_EXE_quiver-under-test");
const SOON: Duration = Duration::from_secs(60);

/// A Python with the packages for Flight.
fn python() -> PathBuf {
    let packages = ["pyarrow==26.*", "adbc-driver-manager==1.*", "adbc-driver-flightsql==1.*"];
    environment("python-flight", &packages, "import pyarrow.flight, adbc_driver_flightsql.dbapi")
}

/// A Python with pyarrow, and with what fills and looks at the files and databases that steps read and write.
fn python_of_steps() -> PathBuf {
    let packages = ["pyarrow==26.*", "psycopg[binary]==3.*", "PyMySQL==1.*", "openpyxl==3.*", "fastavro==1.*"];
    environment("python-steps", &packages, "import pyarrow.flight, psycopg, pymysql, openpyxl, fastavro")
}

/// A Python with these packages, in the target folder. Fails where it cannot be had.
fn environment(name: &str, packages: &[&str], proof: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let program = folder.join("bin/python");
    let ready = |program: &PathBuf| {
        let import = Command::new(program).args(["-c", proof]).stderr(Stdio::null()).status();
        import.is_ok_and(|status| status.success())
    };
    if !ready(&program) {
        test_servers::program("python3", "python3");
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder));
        run(Command::new(&program).args(["-m", "pip", "install", "--quiet"]).args(packages));
        assert!(ready(&program), "they cannot be imported");
    }
    program
}

fn run(command: &mut Command) {
    let status = command.status().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(status.success(), "{command:?}");
}

#[test]
fn pyarrow_drives_every_step() {
    let python = python_of_steps();
    let (postgres, mariadb) = (Postgres::shared(), MariaDb::shared());
    let house = House::new(PROGRAM);
    let mut server = house.start(&["serve", "--listen", "127.0.0.1:0", "--http-allow", "127.0.0.1"]);
    let address = server.address();
    let tests = Command::new(python)
        .args(["-m", "unittest", "discover", "--start-directory"])
        .arg(repository().join("tests/interop/steps"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("QUIVER_ADDRESS", format!("grpc://{address}"))
        .env("QUIVER_DATA_ROOT", house.path())
        .env("QUIVER_POSTGRES", postgres.database())
        .env("QUIVER_MARIADB", mariadb.database())
        .output()
        .expect("Python runs");
    assert!(tests.status.success(), "{}", String::from_utf8_lossy(&tests.stderr));
}

/// An orchestrator, its front door, and a token of an operator.
struct Door {
    house: House,
    process: Running,
    front: String,
    url: String,
    token: String,
}

impl Door {
    /// One that asks for tokens.
    fn guarded() -> Self {
        Self::open(&["--tokens"])
    }

    fn open(words: &[&str]) -> Self {
        let house = House::new(PROGRAM);
        let token = house.quiver(&["token", "create", "tests", "--role", "operator"]).stdout.trim().to_owned();
        let all = ["up", "--embedded", "--json", "--api", "127.0.0.1:0", "--front", "127.0.0.1:0"];
        let words = [&all, words].concat();
        let child = house.command(&words).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts");
        let mut process = Running::of(child);
        let mut lines =
            BufReader::new(process.child().stdout.take().expect("its output")).lines().map_while(Result::ok);
        let mut named = |name: &str| {
            let line = lines.find(|line| line.contains(name)).expect("it says where it listens");
            line.split('"').nth(3).expect("an address").to_owned()
        };
        let (url, front) = (named("\"api\""), named("\"front\""));
        Self { house, process, front, url, token }
    }
}

#[test]
fn pyarrow_and_adbc_come_in_by_the_front_door() {
    let python = python();
    let door = Door::guarded();
    let other = door.house.quiver(&["token", "create", "others", "--role", "operator"]).stdout;
    let tests = Command::new(&python)
        .arg(repository().join("tests/interop/test_front.py"))
        .env("QUIVER_FRONT", format!("grpc://{}", door.front))
        .env("QUIVER_TOKEN", &door.token)
        .env("QUIVER_OTHER_TOKEN", other.trim())
        .output()
        .expect("Python runs");
    assert!(tests.status.success(), "{}", String::from_utf8_lossy(&tests.stderr));
    door.process.signal("TERM");
    assert_eq!(door.process.end_within(SOON).code, Some(0));
}

const KEEPING: &str = "name: kept
steps:
  - {id: read, service: extract-csv, params: {file_path: examples/data/hr_employees.csv}, checkpoint: true}
  - {id: write, service: load-data, params: {format: csv, dataset_name: kept}, depends_on: [read]}
";

#[test]
fn the_examples_for_python_and_java_do_what_they_say() {
    let python = python();
    let door = Door::guarded();
    let file = door.house.write("kept.yaml", KEEPING);
    let example = Command::new(&python)
        .arg(repository().join("examples/clients/python/read_kept.py"))
        .arg(format!("grpc://{}", door.front))
        .arg(&file)
        .args(["read", &door.token])
        .output()
        .expect("Python runs");
    assert_eq!(String::from_utf8_lossy(&example.stdout), "read: 500 rows, 35 columns\n", "{example:?}");

    let listed = door.house.quiver(&["runs", "list", "--json", "--url", &door.url, "--token", &door.token]).json();
    let run = listed["items"][0]["id"].as_str().expect("a run").to_owned();
    let (host, port) = door.front.split_once(':').expect("an address");
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("java");
    copy(&repository().join("examples/clients/java"), &folder);
    copy(&repository().join("tests/interop/java"), &folder.join("src/main/java"));
    let words = format!("{host} {port} {run} read {}", door.token);
    let said = java(&folder, &format!("ReadKept {words}"));
    assert!(said.contains("flight: 500 rows of 35 columns") && said.contains("jdbc: 500 rows"), "{said}");

    let people = std::fs::read_to_string(repository().join("examples/data/hr_employees.csv")).expect("an example");
    let above = |age: u32| {
        let rows = people.lines().skip(1).map(|line| line.split(',').collect::<Vec<_>>());
        let counted = rows.filter(|row| row[4] == "Sales" && row[0].parse::<u32>().is_ok_and(|own| own > age));
        format!("above {age}: {}\n", counted.count())
    };
    let said = java(&folder, &format!("Prepared {words} Sales"));
    assert!(said.contains(&[above(0), above(40), above(200)].concat()), "{said}");
}

/// What a class of this folder says, built and run by Maven with these words.
fn java(folder: &Path, words: &str) -> String {
    test_servers::program("javac", "default-jdk-headless");
    let java = Command::new(test_servers::program("mvn", "maven"))
        .args(["--quiet", "--batch-mode", "compile", "exec:exec", "-Dexec.executable=java"])
        .arg(format!("-Dexec.args=--add-opens=java.base/java.nio=ALL-UNNAMED -cp %classpath {words}"))
        .current_dir(folder)
        .output()
        .expect("Maven runs: install maven and a JDK");
    assert!(java.status.success(), "{java:?}");
    String::from_utf8_lossy(&java.stdout).into_owned()
}

/// What Maven builds lies beside its sources: not in the repository.
fn copy(from: &Path, to: &Path) {
    run(Command::new("mkdir").arg("-p").arg(to));
    run(Command::new("cp").arg("-r").arg(from.join(".")).arg(to));
}

/// Thousands of requests, made from the API's own document: each is answered, and none by a failure of the service.
#[test]
fn no_request_makes_the_service_fail() {
    let door = Door::open(&[]);
    let python = environment("schemathesis", &["schemathesis==4.*"], "import schemathesis");
    let fuzzed = Command::new(python.with_file_name("schemathesis"))
        .args(["run", &format!("{}/openapi.json", door.url)])
        .args(["--checks", "not_a_server_error", "--max-examples", "10", "--request-timeout", "20", "--seed", "1"])
        .current_dir(door.house.path())
        .output()
        .expect("it runs");
    assert!(fuzzed.status.success(), "{}", String::from_utf8_lossy(&fuzzed.stdout));
    let ready = door.house.quiver(&["doctor", "--url", &door.url]);
    assert_eq!(ready.code, Some(0), "{}", ready.stdout);
}

#[test]
fn the_official_client_of_openlineage_knows_all_that_is_told() {
    let python = environment("openlineage", &["openlineage-python==1.*"], "import openlineage.client.event_v2");
    let mut consumer = Command::new(python)
        .arg(repository().join("tests/interop/test_lineage.py"))
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .expect("Python runs");
    let mut lines = BufReader::new(consumer.stdout.take().expect("its output")).lines().map_while(Result::ok);
    let address = lines.next().expect("an address");
    let door = Door::open(&["--openlineage-url", &address]);
    let run = ["runs", "submit", "examples/pipelines/hr_analytics.yaml", "--follow", "--url", &door.url];
    let ended = door.house.quiver(&run);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(lines.next().as_deref(), Some("COMPLETE after 14 events"));
    assert!(consumer.wait().expect("it ends").success());
}
