//! Programs that tests need: found, or installed from Debian's packages. Never skipped.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

/// One installation at a time: the package manager has a lock of its own, and does not wait for it.
static INSTALLING: Mutex<()> = Mutex::new(());

/// A program of a Debian package, looked for on the path and in `folders`.
pub fn program(name: &str, package: &str, folders: impl Fn() -> Vec<PathBuf>) -> PathBuf {
    let _one_at_a_time = INSTALLING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(found) = find(name, &folders()) {
        return found;
    }
    install(package);
    find(name, &folders()).unwrap_or_else(|| panic!("package {package} was installed, but there is no {name}"))
}

fn find(name: &str, folders: &[PathBuf]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path: Vec<PathBuf> = std::env::split_paths(&path).collect();
    folders.iter().chain(&on_path).map(|folder| folder.join(name)).find(|program| program.is_file())
}

fn install(package: &str) {
    let apt = |words: &[&str]| {
        let mut command = if is_root() { Command::new("apt-get") } else { Command::new("sudo") };
        if !is_root() {
            command.args(["-n", "apt-get"]);
        }
        let done = command.args(words).env("DEBIAN_FRONTEND", "noninteractive").output();
        match done {
            Ok(output) if output.status.success() => Ok(()),
            Ok(output) => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
            Err(error) => Err(error.to_string()),
        }
    };
    let installed = apt(&["install", "-y", "--no-install-recommends", package])
        .or_else(|_| apt(&["update"]).and_then(|()| apt(&["install", "-y", "--no-install-recommends", package])));
    if let Err(why) = installed {
        panic!("the tests need Debian's package {package}, and it could not be installed: {why}");
    }
}

/// Runs a program to its end, which must be a good one.
pub fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Whether this process is root: some servers refuse to be.
pub fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
}

/// The `bin` folders beneath each version of a package.
pub fn versions(folder: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(Path::new(folder)).into_iter().flatten().flatten();
    entries.map(|entry| entry.path().join("bin")).collect()
}
