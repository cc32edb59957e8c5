//! What the whole-mesh tests share: a data root of their own, the command run in it, and waiting with a deadline.

pub mod proxy;
pub mod service;

use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A data root with the examples in it, and the command to run there.
pub struct House {
    program: &'static str,
    folder: TempDir,
}

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code; nothing when a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Ended {
    /// Standard output as one JSON document.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("no JSON document ({error}):\n{}\n{}", self.stdout, self.stderr))
    }
}

impl House {
    /// A fresh data root. `program` is `env!("CARGO_BIN_EXE_quiver-under-test")`, which only a test knows.
    pub fn new(program: &'static str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        copy_folder(&repository().join("examples"), &folder.path().join("examples"));
        Self { program, folder }
    }

    /// The data root.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file beneath the data root, and returns its path.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a file has a folder")).expect("a folder");
        std::fs::write(&path, content).expect("written");
        path
    }

    /// The command with these words, in the data root.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(self.program);
        command.args(words).current_dir(self.path()).stdin(Stdio::null());
        for name in [
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "RUST_LOG",
            "QUIVER_DATA_ROOT",
            "QUIVER_MEMORY_LIMIT",
            "QUIVER_URL",
            "QUIVER_TOKEN",
        ] {
            command.env_remove(name);
        }
        command
    }

    /// Runs the command to its end.
    pub fn quiver(&self, words: &[&str]) -> Ended {
        let Output { status, stdout, stderr } = self.command(words).output().expect("the command starts");
        Ended {
            code: status.code(),
            stdout: String::from_utf8_lossy(&stdout).into_owned(),
            stderr: String::from_utf8_lossy(&stderr).into_owned(),
        }
    }

    /// The errors that `validate --json` tells of a pipeline that is written to the data root.
    pub fn errors(&self, yaml: &str) -> Vec<Value> {
        self.write("p.yaml", yaml);
        let ended = self.quiver(&["validate", "p.yaml", "--json"]);
        let found = ended.json()["errors"].as_array().expect("a list of errors").clone();
        assert_eq!(ended.code, Some(if found.is_empty() { 0 } else { 2 }), "{}{}", ended.stdout, ended.stderr);
        found
    }

    /// The only error of a pipeline: its code, line, column and help.
    pub fn only_error(&self, yaml: &str) -> (String, u64, u64, String) {
        let found = self.errors(yaml);
        assert_eq!(found.len(), 1, "{found:?}");
        let text = |name: &str| found[0][name].as_str().unwrap_or_default().to_owned();
        let place = |name: &str| found[0][name].as_u64().expect("a number");
        (text("code"), place("line"), place("column"), text("help"))
    }

    /// Starts the command, and leaves it running.
    pub fn start(&self, words: &[&str]) -> Running {
        let mut command = self.command(words);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the command starts");
        Running(Some(child))
    }

    /// Every file beneath the data root but the examples, by its path from there, in order.
    pub fn outputs(&self) -> Vec<String> {
        let mut found = Vec::new();
        walk(self.path(), &mut |path| {
            let relative = path.strip_prefix(self.path()).expect("beneath the root").to_string_lossy().into_owned();
            if !relative.starts_with("examples/") {
                found.push(relative);
            }
        });
        found.sort();
        found
    }
}

/// A command under way; killed when dropped.
pub struct Running(Option<Child>);

impl Running {
    /// A process that was started otherwise.
    pub fn of(child: Child) -> Self {
        Self(Some(child))
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.0.as_ref().expect("it runs").id()
    }

    /// Sends it a signal: `INT`, `TERM`, `KILL`.
    pub fn signal(&self, name: &str) {
        signal(self.pid(), name);
    }

    /// The address in the first line that a server prints.
    pub fn address(&mut self) -> String {
        let output = self.child().stdout.take().expect("its output");
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line).expect("a line");
        line.trim().rsplit(' ').next().expect("an address").to_owned()
    }

    /// The process itself.
    pub fn child(&mut self) -> &mut Child {
        self.0.as_mut().expect("it runs")
    }

    /// Waits for its end, which must come within `limit`.
    pub fn end_within(mut self, limit: Duration) -> Ended {
        let mut child = self.0.take().expect("it runs");
        eventually(limit, "the command ends", || child.try_wait().expect("its state").map(drop));
        let Output { status, stdout, stderr } = child.wait_with_output().expect("its output");
        Ended {
            code: status.code(),
            stdout: String::from_utf8_lossy(&stdout).into_owned(),
            stderr: String::from_utf8_lossy(&stderr).into_owned(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Sends a signal to a process.
pub fn signal(pid: u32, name: &str) {
    let status = Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status();
    assert!(status.is_ok_and(|status| status.success()), "kill -{name} {pid}");
}

/// Polls until `probe` finds something, and fails the test if it does not within `limit`.
pub fn eventually<T>(limit: Duration, what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(begun.elapsed() < limit, "not within {limit:?}: {what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// The children of a process, with their command lines.
pub fn children(pid: u32) -> Vec<(u32, String)> {
    let path = format!("/proc/{pid}/task/{pid}/children");
    let listed = std::fs::read_to_string(path).unwrap_or_default();
    let all_threads = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let listed = all_threads
        .filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok())
        .fold(listed, |all, more| all + " " + &more);
    let mut pids: Vec<u32> = listed.split_whitespace().filter_map(|pid| pid.parse().ok()).collect();
    pids.sort_unstable();
    pids.dedup();
    let line =
        |pid: &u32| std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default().replace('\0', " ");
    pids.iter().map(|pid| (*pid, line(pid))).collect()
}

/// The root of the repository.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the repository").to_owned()
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("the examples are there").flatten() {
        let target = to.join(entry.file_name());
        match entry.file_type().expect("its type").is_dir() {
            true => copy_folder(&entry.path(), &target),
            false => drop(std::fs::copy(entry.path(), &target).expect("copied")),
        }
    }
}

fn walk(folder: &Path, found: &mut dyn FnMut(&Path)) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            true => walk(&entry.path(), found),
            false => found(&entry.path()),
        }
    }
}
