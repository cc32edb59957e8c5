//! Programs that are built from Go modules: once for each version, whoever of several test processes comes first.

use crate::install;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The program of `package`, as the `go.mod` and `go.sum` in `module` say, kept beneath `cache`.
///
/// Both files are complete, so that the build decides nothing and asks no database of checksums.
pub fn built(name: &str, package: &str, module: &Path, cache: &Path) -> PathBuf {
    let folder = cache.join(format!("{name}-{}", version(package, module)));
    let program = folder.join(name);
    std::fs::create_dir_all(&folder).expect("a folder for a program");
    let lock = File::create(folder.join("lock")).expect("a file to lock");
    lock.lock().expect("the lock of a build");
    if !program.is_file() {
        build(package, module, &folder.join("half"));
        // Whole or not at all: a build that was killed leaves no program.
        std::fs::rename(folder.join("half"), &program).expect("a built program");
    }
    program
}

fn build(package: &str, module: &Path, output: &Path) {
    eprintln!("building {package}: this takes minutes, once");
    let go = install::program("go", "golang-go", || vec![PathBuf::from("/usr/local/go/bin")]);
    let mut command = Command::new(&go);
    command.args(["build", "-trimpath", "-ldflags", "-s -w", "-o"]).arg(output).arg(package).current_dir(module);
    command.env("GOTOOLCHAIN", "local").env("GOFLAGS", "-mod=readonly -buildvcs=false");
    let built = command.output().unwrap_or_else(|error| panic!("{}: {error}", go.display()));
    let why = String::from_utf8_lossy(&built.stderr);
    let wanted = "the Go that go.mod asks for must be on the path; Debian's own may be too old";
    assert!(built.status.success(), "{package} does not build ({wanted}):\n{why}");
}

/// The version of the module that a package is of.
fn version(package: &str, module: &Path) -> String {
    let file = module.join("go.mod");
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let mut required = text.lines().filter_map(|line| {
        let mut words = line.trim().trim_start_matches("require ").split_whitespace();
        Some((words.next()?, words.next()?))
    });
    let found = required.rfind(|(path, version)| version.starts_with('v') && package.starts_with(path));
    found.unwrap_or_else(|| panic!("{} does not require {package}", file.display())).1.to_owned()
}
