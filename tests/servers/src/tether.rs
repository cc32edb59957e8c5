//! A child process that ends with its parent, however that ends.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A process that is stopped when this is dropped, or when this process is gone.
pub struct Tethered(Child);

impl Tethered {
    /// Starts `command`. `signal` is how it is asked to stop: `INT`, `TERM`.
    pub fn start(command: &Command, signal: &str) -> Self {
        Self::start_into(command, signal, Stdio::inherit())
    }

    /// As [`Tethered::start`]; what it writes goes to `output`.
    pub fn start_into(command: &Command, signal: &str, output: Stdio) -> Self {
        // The shell waits for the end of its input, which comes when the parent closes the pipe or dies.
        let script =
            format!(r#"exec 3<&0; "$@" </dev/null 3<&- & pid=$!; read -r _ <&3; kill -{signal} $pid; wait $pid"#);
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(script).arg("sh").arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        if let Some(folder) = command.get_current_dir() {
            shell.current_dir(folder);
        }
        let child = shell.stdin(Stdio::piped()).stdout(output).spawn();
        Self(child.unwrap_or_else(|error| panic!("{command:?} does not start: {error}")))
    }

    /// Sends the process a signal: `KILL`, `STOP`, `CONT`.
    pub fn signal(&self, name: &str) {
        let children = self.children();
        let sent = Command::new("kill").arg(format!("-{name}")).args(&children).status();
        assert!(sent.is_ok_and(|status| status.success()), "kill -{name} {children:?}");
    }

    /// The process, as the shell's only child.
    fn children(&self) -> Vec<String> {
        let shell = self.0.id();
        let children = std::fs::read_to_string(format!("/proc/{shell}/task/{shell}/children")).unwrap_or_default();
        children.split_whitespace().map(str::to_owned).collect()
    }

    /// Whether the process has ended by itself: the shell, which waits for its parent's word, has not looked yet.
    fn has_ended(&self) -> bool {
        let stat = |id: &String| std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        self.children().iter().any(|id| stat(id).contains(") Z "))
    }

    /// Waits until `ready` says so.
    pub fn wait_until(&mut self, what: &str, ready: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !ready() {
            assert!(Instant::now() < deadline, "{what} was not ready within a minute");
            assert!(!self.has_ended(), "{what} ended at once");
            if let Ok(Some(status)) = self.0.try_wait() {
                panic!("{what} did not start: {status}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Tethered {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        // It may have ended by itself.
        let _ = self.0.wait();
    }
}
