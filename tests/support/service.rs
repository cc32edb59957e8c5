//! `quiver up` as a process, and what tests ask of it.

use crate::{Ended, House, Running, children, eventually};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// No test waits longer than this for what must come.
pub const SOON: Duration = Duration::from_secs(60);

/// `quiver up` in a house.
pub struct Service<'a> {
    /// Its data root.
    pub house: &'a House,
    /// The process.
    pub process: Running,
    /// Where its REST API is.
    pub url: String,
}

impl<'a> Service<'a> {
    /// Starts it with these words, on free ports and with a short lease.
    pub fn start(house: &'a House, words: &[&str]) -> Self {
        let all = [
            &["up", "--api", "127.0.0.1:0", "--front", "127.0.0.1:0", "--lease", "1s", "--drain", "5s", "--json"],
            words,
        ]
        .concat();
        Self::spawn(house, house.command(&all))
    }

    /// As [`Service::start`], by a command that was made otherwise; it prints JSON.
    pub fn spawn(house: &'a House, mut command: Command) -> Self {
        let child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts");
        let mut process = Running::of(child);
        let output = BufReader::new(process.child().stdout.take().expect("its output"));
        let lines = output.lines().map_while(Result::ok).find(|line| line.contains("\"api\""));
        let line = lines.expect("it says where it listens");
        let url = line.split('"').nth(3).expect("a URL").to_owned();
        Self { house, process, url }
    }

    /// Runs the command against it.
    pub fn quiver(&self, words: &[&str]) -> Ended {
        self.house.quiver(&[words, &["--url", &self.url]].concat())
    }

    /// Submits a file, and returns the run's id.
    pub fn submit(&self, file: &str) -> String {
        let ended = self.quiver(&["runs", "submit", file]);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        ended.stdout.trim().to_owned()
    }

    /// A run, as it is shown.
    pub fn show(&self, run: &str) -> Value {
        let ended = self.quiver(&["runs", "show", run, "--json"]);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        ended.json()
    }

    /// What it answers to `/version` or `/ready`.
    pub fn asked(&self, path: &str) -> Value {
        let answer = get(self.url.trim_start_matches("http://"), path);
        serde_json::from_str(&answer).expect("JSON")
    }

    /// Waits until a run is in one of these states.
    pub fn until(&self, run: &str, states: &[&str]) -> Value {
        eventually(SOON, &format!("{run} is {states:?}"), || {
            let shown = self.show(run);
            states.contains(&shown["state"].as_str().expect("a state")).then_some(shown)
        })
    }

    /// Waits until something of this kind has happened to a run, or it has ended.
    pub fn until_event(&self, run: &str, kind: &str) {
        let mut command = self.house.command(&["runs", "logs", run, "-f", "--json", "--url", &self.url]);
        let mut listening =
            Running::of(command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts"));
        let lines = BufReader::new(listening.child().stdout.take().expect("its output")).lines();
        let wanted = format!("\"kind\":\"{kind}\"");
        lines.map_while(Result::ok).find(|line| line.contains(&wanted));
    }

    /// The process of a step's server.
    pub fn server(&self, step: &str) -> u32 {
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

/// Writes `tiny.yaml`, a pipeline that loads the two rows of `in.csv`.
pub fn write_tiny(house: &House) {
    house.write("in.csv", "id,name\n1,Ann\n2,Bo\n");
    house.write(
        "tiny.yaml",
        "name: tiny\nsteps:\n  - {id: read, service: extract-csv, params: {file_path: in.csv}}\n  \
         - {id: write, service: load-data, params: {format: csv, dataset_name: out}, depends_on: [read]}\n",
    );
}

/// The files that the loads of a house have written.
pub fn written(house: &House) -> Vec<String> {
    house.outputs().into_iter().filter(|path| path.contains("/processed/")).collect()
}

/// Whether a file is neither an output nor the orchestrator's.
pub fn is_left_over(path: &str) -> bool {
    let own = path.starts_with(".quiver/quiver.db") || path.starts_with(".quiver/audit/");
    !(own || path.contains("/processed/") || Path::new(path).starts_with("examples"))
}
